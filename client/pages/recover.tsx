// A browser without this person's keys: back by passkey, code or passphrase, or, when both are gone, a new beginning.

import { useEffect, useState } from "preact/hooks";

import { type WaysBack, waysBack } from "../keys/recovery.ts";
import { finishBegun, restore, startAgain } from "../keys/restore.ts";
import { type SignedIn, leaveFor } from "../keys/unlock.ts";
import { isCode } from "../live/api.ts";
import { Loading, type Page, TroubleInside, startPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton } from "../views/components/basics.tsx";
import { Checkbox } from "../views/components/forms.tsx";
import { moment, phoneUri } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import { SecretForm, onward } from "./parts/root.tsx";

const asked = new URLSearchParams(location.search);

function Recover({ page }: { readonly page: Page<SignedIn> }) {
  const { person } = page;
  const next = onward(person.account.role === "patient" ? "/home" : "/inbox");
  const [ways, setWays] = useState<WaysBack | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const load = async (): Promise<void> => {
    try {
      if (await finishBegun(person)) return location.replace(next);
      setWays(await waysBack());
    } catch (problem) {
      if (isCode(problem, "step-up")) await leaveFor("/step-up", { next: location.pathname + location.search });
      setError(problem);
    }
  };
  useEffect(() => { void load(); }, []);
  const { wraps, ahead } = ways ?? {};
  const why = asked.get("why") ?? "new-browser";
  const methods = [...new Set(wraps?.map((wrap) => wrap.method))];
  const body = methods.includes("passkey") ? "keys.recover.body-passkey" : methods.length === 1 ? `keys.recover.body-${methods[0]}` : "keys.recover.body";
  if (error !== undefined && !isCode(error, "recovery-reads")) return <TroubleInside error={error} />;
  return (
    <div class="narrow stack-wide">
      <div class="stack">
        {ahead == null ? (
          <>
            <h1>{t(has(`keys.recover.why.${why}`) ? `keys.recover.why.${why}` : "keys.recover.why.new-browser")}</h1>
            <p class="lead">{t(body)}</p>
          </>
        ) : (
          <>
            <h1>{t("keys.ahead.title", { name: ahead.name })}</h1>
            <p class="lead">{t("keys.ahead.body", { time: moment(Date.parse(ahead.until)) })}</p>
          </>
        )}
        {error !== undefined ? (
          <Banner tone="warn" announce title={t("keys.recover.reads")}>
            <p>{troubleWords(error)}</p>
          </Banner>
        ) : wraps === undefined ? (
          <Loading words={t("keys.recover.loading")} />
        ) : methods.length === 0 ? (
          <Banner tone="warn" title={t("keys.recover.no-way")}>
            <p>{t("keys.recover.no-way-body")}</p>
          </Banner>
        ) : (
          <SecretForm
            account={person.account.id}
            wraps={wraps}
            label={t(ahead == null ? "keys.recover.do" : "keys.ahead.do")}
            busyWords={t("keys.recover.busy")}
            codeLabel={ahead == null ? undefined : t("keys.ahead.label")}
            onSecret={async (wrap, secret) => {
              await restore(person, wrap, secret);
              location.replace(next);
            }}
          />
        )}
      </div>
      <StartAgain page={page} next={next} open={asked.get("do") === "again" || (wraps !== undefined && methods.length === 0)} />
      <section class="stack" aria-labelledby="other-ways">
        <h2 id="other-ways">{t("keys.recover.other")}</h2>
        <p>{t(ahead == null ? "keys.recover.other-device" : "keys.ahead.no-code")}</p>
        <div class="button-row">
          {page.pharmacy === null ? (
            <LinkButton look="quiet" href="/contact">
              {t("common.nav.contact")}
            </LinkButton>
          ) : (
            <LinkButton look="quiet" icon="phone" href={phoneUri(page.pharmacy.phone)}>
              {t("common.call", { phone: page.pharmacy.phone })}
            </LinkButton>
          )}
          <LinkButton look="quiet" href={person.account.role === "patient" ? "/home" : "/account"}>
            {t("keys.recover.without")}
          </LinkButton>
        </div>
      </section>
    </div>
  );
}

function StartAgain({ page, next, open }: { readonly page: Page<SignedIn>; readonly next: string; readonly open: boolean }) {
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const staff = page.person.account.role !== "patient";
  const go = async (): Promise<void> => {
    if (!sure) return setProblem(t("keys.again.confirm-first"));
    setBusy(true);
    setProblem(undefined);
    try {
      await startAgain(page.person);
      location.replace(next);
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: `/recover?${new URLSearchParams({ next, do: "again" }).toString()}` });
      setProblem(troubleWords(error));
      setBusy(false);
    }
  };
  return (
    <details class="card" open={open}>
      <summary>{t("keys.again.title")}</summary>
      <p>{t("keys.again.body")}</p>
      <ul class="bullets">
        <li>{t("keys.again.lost")}</li>
        <li>{t(staff ? "keys.again.back-team" : "keys.again.back")}</li>
        <li>{t("keys.again.told")}</li>
      </ul>
      {problem === undefined ? null : <p class="field__error" role="alert">{problem}</p>}
      <Checkbox id="again-sure" label={t("keys.again.sure")} checked={sure} onChange={setSure} />
      <Button look="danger" busy={busy} onClick={() => void go()}>{t("keys.again.do")}</Button>
    </details>
  );
}

await startPage({ path: "/recover", title: "keys.recover.title", view: (page) => <Recover page={page} /> });
