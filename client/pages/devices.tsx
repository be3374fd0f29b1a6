// My devices: which ones hold my keys, which one this is, and ending one that is lost.

import { useEffect, useState } from "preact/hooks";

import { endDevice } from "../keys/rotate.ts";
import type { OwnDevice, OwnKeys } from "../keys/shapes.ts";
import { type Ready, ownKeys } from "../keys/unlock.ts";
import { type Page, startKeyPage, troubleWords } from "../frame/page.tsx";
import { isShared, markShared } from "../store/shared.ts";
import { Banner, Button, LinkButton, Spinner, Tag } from "../views/components/basics.tsx";
import { Checkbox } from "../views/components/forms.tsx";
import { moment } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import { type Asking, RootDialog, prepare } from "./parts/root.tsx";

function Devices({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const [own, setOwn] = useState<OwnKeys>(ready.own);
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [ended, setEnded] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const [shared, setShared] = useState(isShared());
  useEffect(() => {
    const wanted = new URLSearchParams(location.search).get("end");
    const device = own.devices.find((one) => one.id === wanted && one.state !== "ended" && !one.current);
    if (device !== undefined) void end(device);
  }, []);
  const end = async (device: OwnDevice): Promise<void> => {
    setProblem(undefined);
    setBusy(true);
    try {
      setAsking(await prepare(ready, {
        title: t("keys.end.title", { name: device.name }), body: t("keys.end.body"), danger: true, confirm: t("keys.end.do"),
        query: { end: device.id },
        run: async (root) => {
          await endDevice(ready, root, device.id);
          setOwn(await ownKeys());
          setEnded(device.name);
        },
      }));
    } catch (error) {
      setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };
  const mark = (checked: boolean): void => {
    markShared(checked);
    setShared(checked);
  };
  const living = own.devices.filter((one) => one.state !== "ended");
  const gone = own.devices.filter((one) => one.state === "ended");
  return (
    <div class="narrow stack-wide">
      <div class="stack">
        <h1>{t("keys.devices.title")}</h1>
        <p class="lead">{t("keys.devices.body")}</p>
      </div>
      {problem === undefined ? null : (
        <Banner tone="warn" announce title={t("common.error.title")}>
          <p>{problem}</p>
        </Banner>
      )}
      {ended === undefined ? null : (
        <Banner tone="ok" announce title={t("keys.end.done", { name: ended })}>
          <p>{t("keys.end.done-body")}</p>
          {ready.keyring.teams.length === 0 ? null : (
            <p>
              <a href="/team">{t("keys.end.renew-team")}</a>
            </p>
          )}
        </Banner>
      )}
      {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
      {asking === undefined ? null : <RootDialog ready={ready} asking={asking} onDone={() => setAsking(undefined)} onClose={() => setAsking(undefined)} />}
      <ul class="list" aria-label={t("keys.devices.title")}>
        {living.map((one) => (
          <li key={one.id} class="stack-tight" data-device={one.id}>
            <div class="row row-apart">
              <h2 translate={false}>{one.name}</h2>
              {one.id === ready.keyring.device ? (
                <Tag tone="ok" icon="check">
                  {t("keys.devices.this")}
                </Tag>
              ) : one.state === "stale" ? (
                <Tag tone="warn" icon="warn">
                  {t("keys.devices.stale")}
                </Tag>
              ) : null}
            </div>
            <p class="soft">
              {t("keys.devices.added", { time: moment(Date.parse(one.created_at)) })} · {t("keys.devices.seen", { time: moment(Date.parse(one.seen_at)) })}
            </p>
            {one.id === ready.keyring.device ? (
              <Checkbox id="shared" label={t("keys.shared.label")} hint={t("keys.shared.hint")} checked={shared} onChange={mark} />
            ) : (
              <div class="button-row">
                <Button look="danger" onClick={() => void end(one)} label={t("keys.end.label", { name: one.name })}>
                  {t("keys.end.do")}
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      {living.length > 1 ? null : <p class="soft">{t("keys.devices.only")}</p>}
      <div class="button-row"><LinkButton look="quiet" href="/add-device">{t("keys.offer.title")}</LinkButton></div>
      <section class="stack" aria-labelledby="ways">
        <h2 id="ways">{t("keys.recovery.title")}</h2>
        {own.recovery.length === 0 ? (
          <p>{t("keys.recovery.none")}</p>
        ) : (
          <ul class="list">
            {own.recovery.map((way) => (
              <li key={way.id}>
                {t(`keys.way.${way.method}`)}{way.name === null ? null : <> ({way.name})</>} · {t("keys.way.set", { time: moment(Date.parse(way.set_at)) })}
                {" · "}
                {way.tried_at === null ? t("keys.way.untried") : t("keys.way.tried", { time: moment(Date.parse(way.tried_at)) })}
              </li>
            ))}
          </ul>
        )}
        <div class="button-row">
          <LinkButton look="quiet" icon="key" href="/recovery?next=/devices">
            {t(own.recovery.length === 0 ? "keys.way.code-do" : "keys.try.do")}
          </LinkButton>
          <LinkButton look="quiet" href="/account/sessions">
            {t("keys.devices.sessions")}
          </LinkButton>
        </div>
      </section>
      {gone.length === 0 ? null : (
        <details class="card card--plain">
          <summary>{t("keys.devices.gone")}</summary>
          <ul>
            {gone.map((one) => (
              <li key={one.id}>
                {one.name} · {t("keys.devices.ended", { time: moment(Date.parse(one.ended_at ?? one.seen_at)) })}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

await startKeyPage({ path: "/account", title: "keys.devices.title", view: (page) => <Devices page={page} /> });
