// "Your devices and recovery": which browsers open one's messages, the ways back with when each was set and tried, where one is
// signed in, and what is lost without all of it. Ending a lost device begins here.

import { useEffect, useState } from "preact/hooks";

import { endDevice } from "../keys/rotate.ts";
import type { OwnDevice, OwnKeys } from "../keys/shapes.ts";
import { type Ready, leaveFor, ownKeys } from "../keys/unlock.ts";
import { get, isCode, post, put } from "../live/api.ts";
import { type Page, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Spinner, Tag } from "../views/components/basics.tsx";
import { TextField } from "../views/components/forms.tsx";
import { moment } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import { DeviceKind } from "./parts/kind.tsx";
import { type Asking, RootDialog, prepare } from "./parts/root.tsx";
import { Tried, WayDates } from "./parts/way.tsx";

function Devices({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const [own, setOwn] = useState<OwnKeys>(ready.own);
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [ended, setEnded] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
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
  const reload = async (): Promise<void> => setOwn(await ownKeys());
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
      {own.stopped === null ? null : (
        <Banner tone="warn" icon="stop" title={t("keys.stopped.title")}>
          <p>{t("keys.stopped.body")}</p>
          <p><LinkButton look="quiet" href="/something-wrong">{t("keys.stopped.do")}</LinkButton></p>
        </Banner>
      )}
      <section class="stack" aria-labelledby="devices">
        <h2 id="devices">{t("keys.devices.list")}</h2>
        {living.length > 1 ? <p>{t("keys.devices.lost")}</p> : <p class="soft">{t("keys.devices.only")}</p>}
        <ul class="list">
          {living.map((one) => (
            <Living key={one.id} ready={ready} device={one} onEnd={() => void end(one)} onAsking={setAsking} onDone={reload} />
          ))}
        </ul>
        <div class="button-row"><LinkButton look="quiet" href="/add-device">{t("keys.offer.title")}</LinkButton></div>
      </section>
      <section class="stack" aria-labelledby="ways">
        <h2 id="ways">{t("keys.ways.title")}</h2>
        {own.recovery.length === 0 ? <p>{t("keys.recovery.none")}</p> : (
          <ul class="list">
            {own.recovery.map((way) => {
              const name = way.name === null ? t(`keys.way.${way.method}`) : `${t(`keys.way.${way.method}`)} (${way.name})`;
              return (
                <li key={way.id} class="stack-tight" data-recovery={way.id}>
                  <div class="row row-apart">
                    <h3>{name}</h3>
                    <Tried way={way} />
                  </div>
                  <WayDates way={way} />
                  <div class="button-row">
                    <Button look="quiet" label={t("keys.ways.try-label", { way: name })}
                      onClick={() => void leaveFor("/recovery", { try: way.id, next: "/devices" })}>{t("keys.try.do")}</Button>
                  </div>
                </li>
              );
            })}
          </ul>
        )}
        <div class="button-row"><LinkButton look="quiet" icon="key" href="/recovery?next=/devices">{t("keys.ways.change")}</LinkButton></div>
        <p>{t(ready.account.role === "patient" ? "keys.ways.without" : "keys.ways.without-staff")}</p>
      </section>
      <SignIns />
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

/** A device that opens messages, and what can be done with it. */
function Living({ ready, device, onEnd, onAsking, onDone }: {
  readonly ready: Ready; readonly device: OwnDevice; readonly onEnd: () => void; readonly onAsking: (asking: Asking) => void;
  readonly onDone: () => Promise<void>;
}) {
  const [naming, setNaming] = useState(false);
  const own = device.id === ready.keyring.device;
  const rename = naming ? null : (
    <Button look="quiet" onClick={() => setNaming(true)} label={t("keys.devices.rename-label", { name: device.name })}>{t("keys.devices.rename")}</Button>
  );
  return (
    <li class="stack-tight" data-device={device.id}>
      <div class="row row-apart">
        <h3 translate={false}>{device.name}</h3>
        {own ? <Tag tone="ok" icon="check">{t("keys.devices.this")}</Tag>
          : device.state === "stale" ? <Tag tone="warn" icon="warn">{t("keys.devices.stale")}</Tag> : null}
      </div>
      <p class="soft">
        {t("keys.devices.added", { time: moment(Date.parse(device.created_at)) })} · {t("keys.devices.seen", { time: moment(Date.parse(device.seen_at)) })}
      </p>
      {own ? <DeviceKind ready={ready} shared={device.shared} more={rename} onAsking={onAsking} /> : (
        <div class="button-row">
          <Button look="danger" onClick={onEnd} label={t("keys.end.label", { name: device.name })}>{t("keys.end.do")}</Button>
          {rename}
        </div>
      )}
      {naming ? <Rename device={device} onDone={onDone} onClose={() => setNaming(false)} /> : null}
    </li>
  );
}

/** Gives a device another name. */
function Rename({ device, onDone, onClose }: { readonly device: OwnDevice; readonly onDone: () => Promise<void>; readonly onClose: () => void }) {
  const [name, setName] = useState(device.name);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const field = `name-${device.id}`;
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setProblem(undefined);
    try {
      await put(`/api/keys/devices/${device.id}/name`, { name });
      await onDone();
      onClose();
    } catch (error) {
      setProblem(troubleWords(error));
    }
  };
  return (
    <form class="stack-tight" onSubmit={(event) => void submit(event)} noValidate>
      <TextField id={field} label={t("keys.devices.name")} value={name} onInput={setName} error={problem} autoComplete="off" />
      <div class="button-row">
        <Button type="submit">{t("common.save")}</Button>
        <Button look="quiet" onClick={onClose}>{t("common.cancel")}</Button>
      </div>
    </form>
  );
}

/** GET /api/sessions. */
interface SignIn {
  readonly ref: string;
  readonly current: boolean;
  readonly browser: string | null;
  readonly active_at: string;
}

/** Where the person is signed in, with or without keys there; signing out somewhere else asks for a fresh sign-in. */
function SignIns() {
  const [items, setItems] = useState<readonly SignIn[] | undefined>(undefined);
  const [done, setDone] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const load = async (): Promise<void> => setItems((await get<{ items: readonly SignIn[] }>("/api/sessions")).items);
  useEffect(() => { load().catch((error: unknown) => setProblem(troubleWords(error))); }, []);
  const end = async (path: string): Promise<void> => {
    setProblem(undefined);
    try {
      await post(path);
      setDone(true);
      await load();
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: "/devices" });
      setProblem(troubleWords(error));
    }
  };
  return (
    <section class="stack" aria-labelledby="sign-ins">
      <h2 id="sign-ins">{t("keys.signins.title")}</h2>
      {problem === undefined ? null : <p class="field__error" role="alert">{problem}</p>}
      {done ? <p role="status">{t("keys.signins.done")}</p> : null}
      <ul class="list">
        {(items ?? []).map((one) => {
          const [browser, time] = [one.browser ?? t("keys.signins.unknown"), moment(Date.parse(one.active_at))];
          return (
            <li key={one.ref} class="stack-tight" data-session={one.ref}>
              <div class="row row-apart">
                <h3>{browser}</h3>
                {one.current ? <Tag tone="ok" icon="check">{t("keys.signins.this")}</Tag> : null}
              </div>
              <p class="soft">{t("keys.signins.last", { time })}</p>
              {one.current ? null : (
                <div class="button-row">
                  <Button look="quiet" onClick={() => void end(`/api/sessions/${one.ref}/end`)} label={t("keys.signins.end-label", { browser, time })}>
                    {t("keys.signins.end")}
                  </Button>
                </div>
              )}
            </li>
          );
        })}
      </ul>
      {items === undefined ? null : items.length < 2 ? <p class="soft">{t("keys.signins.only")}</p> : (
        <div class="button-row"><Button look="quiet" onClick={() => void end("/api/sessions/end-others")}>{t("keys.signins.others")}</Button></div>
      )}
    </section>
  );
}

await startKeyPage({ path: "/account", title: "keys.devices.title", view: (page) => <Devices page={page} /> });
