// A browser without this person's keys: back by passkey, code, passphrase or another device, or, when all are gone, a new beginning.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Refused } from "../crypto/reasons.ts";
import { codeIsWhole } from "../crypto/recovery.ts";
import { forgetOffered, offeredCode, readOffered, takeOffer } from "../keys/offers.ts";
import type { Ownership } from "../keys/local.ts";
import { type WaysBack, waysBack } from "../keys/recovery.ts";
import { finishBegun, restore, startAgain } from "../keys/restore.ts";
import { type SignedIn, leaveFor } from "../keys/unlock.ts";
import { isCode } from "../live/api.ts";
import { SignInAgain } from "../frame/again.tsx";
import { Loading, type Page, TroubleInside, startPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Spinner } from "../views/components/basics.tsx";
import { Checkbox, ErrorSummary, TextField } from "../views/components/forms.tsx";
import { moment, phoneUri } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import { useAttempt } from "./parts/attempt.ts";
import { SecretForm, onward } from "./parts/root.tsx";
import { NO_PIN, type PinTyped, type Whose, WhoseDevice, likely, ownershipOf, pinTrouble } from "./parts/sharing.tsx";

// The code of another device must be out of the address before anything else happens, the sign-in too.
readOffered();
// Pasted into the address of this very page it loads nothing by itself.
addEventListener("hashchange", () => {
  readOffered();
  if (offeredCode() !== null) location.reload();
});
const asked = new URLSearchParams(location.search);

function Recover({ page }: { readonly page: Page<SignedIn> }) {
  const { person } = page;
  const next = onward(person.account.role === "patient" ? "/home" : "/inbox");
  const [ways, setWays] = useState<WaysBack | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [offer, setOffer] = useState<"none" | "reading" | "over">(offeredCode() === null || likely() === "shared" ? "none" : "reading");
  const device = useDevice();
  const load = async (): Promise<void> => {
    try {
      if (await finishBegun(person)) {
        forgetOffered();
        return location.replace(next);
      }
      if (await byOffer()) return location.replace(next);
      setWays(await waysBack());
    } catch (problem) {
      if (isCode(problem, "step-up")) await leaveFor("/step-up", { next: location.pathname + location.search });
      setError(problem);
    }
  };
  /** By the code of another device, if this tab has read one. An offer that is over leaves the other ways. */
  const byOffer = async (): Promise<boolean> => {
    const code = offeredCode();
    // Where others use the browser too, whose this device is comes first; the code is then typed.
    if (code === null || likely() === "shared") return false;
    try {
      await takeOffer(person, code, "mine");
      return true;
    } catch (problem) {
      if (!isCode(problem, "not-found") && !(problem instanceof Refused)) throw problem;
      forgetOffered();
      setOffer("over");
      return false;
    }
  };
  useEffect(() => { void load(); }, []);
  useEffect(() => {
    // Who has never been here gets nothing back.
    if (ways?.ahead != null) document.title = `${t("keys.ahead.title", { name: ways.ahead.name })} · ${t("common.product")}`;
  }, [ways]);
  const { wraps, ahead } = ways ?? {};
  const why = asked.get("why") ?? "new-browser";
  const methods = [...new Set(wraps?.map((wrap) => wrap.method))];
  const body = why === "ways-lost" ? "keys.recover.ways-lost-body"
    : methods.includes("passkey") ? "keys.recover.body-passkey"
    : methods.length === 1 ? `keys.recover.body-${methods[0]}` : "keys.recover.body";
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
        {offer === "over" ? <Banner tone="warn" announce title={t("keys.offer.too-late")}><p>{t("keys.offer.too-late-body")}</p></Banner> : null}
        {error !== undefined ? (
          <Banner tone="warn" announce title={t("keys.recover.reads")}>
            <p>{troubleWords(error)}</p>
          </Banner>
        ) : wraps === undefined ? (
          <Loading words={t(offer === "reading" ? "keys.offer.reading" : "keys.recover.loading")} />
        ) : methods.length === 0 ? (
          <>
            <Banner tone="warn" title={t("keys.recover.no-way")}>
              <p>{t("keys.recover.no-way-body")}</p>
            </Banner>
            {device.question}
          </>
        ) : (
          <>
          {device.question}
          <SecretForm
            account={person.account.id}
            wraps={wraps}
            label={t(ahead == null ? "keys.recover.do" : "keys.ahead.do")}
            busyWords={t("keys.recover.busy")}
            codeLabel={ahead == null ? undefined : t("keys.ahead.label")}
            onSecret={async (wrap, secret) => {
              const ownership = device.answer();
              if (ownership === undefined) return;
              await restore(person, wrap, secret, ownership);
              location.replace(next);
            }}
          />
          </>
        )}
      </div>
      <StartAgain page={page} next={next} device={device} open={asked.get("do") === "again" || (wraps !== undefined && methods.length === 0)} />
      <section class="stack" aria-labelledby="other-ways">
        <h2 id="other-ways">{t("keys.recover.other")}</h2>
        {ahead == null ? <OtherDevice person={person} device={device} onDone={() => location.replace(next)} /> : <p>{t("keys.ahead.no-code")}</p>}
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

/** The code of another device, typed by who cannot scan. */
function OtherDevice({ person, device, onDone }: {
  readonly person: SignedIn; readonly device: ReturnType<typeof useDevice>; readonly onDone: () => void;
}) {
  const [code, setCode] = useState("");
  const { busy, problem, stale, say, run } = useAttempt((error) => (isCode(error, "not-found") ? t("keys.offer.too-late-body") : troubleWords(error)));
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (!codeIsWhole(code)) return say(t(code.trim() === "" ? "keys.offer.empty" : "keys.secret.typo"));
    say(undefined);
    const ownership = device.answer();
    if (ownership === undefined) return;
    await run(async () => {
      await takeOffer(person, code, ownership);
      onDone();
    });
  };
  return (
    <details class="card card--plain">
      <summary>{t("keys.offer.other")}</summary>
      <p>{t("keys.recover.other-device")}</p>
      <form class="stack" onSubmit={(event) => void submit(event)} noValidate>
        <ErrorSummary problems={problem === undefined ? [] : [{ field: "device-code", text: problem }]} />
        {stale ? <SignInAgain /> : null}
        <TextField id="device-code" label={t("keys.offer.code")} hint={t("keys.secret.code-hint")} secret value={code} onInput={setCode}
          error={problem} autoComplete="off" />
        {busy ? <Spinner>{t("keys.recover.busy")}</Spinner> : null}
        <div class="button-row"><Button type="submit" look="quiet" busy={busy}>{t("keys.offer.do")}</Button></div>
      </form>
    </details>
  );
}

/** The question whose device this is, and its answer; undefined while the PIN of a shared one is not whole. */
function useDevice(): { readonly question: ComponentChildren; readonly answer: () => Ownership | undefined } {
  const [whose, setWhose] = useState<Whose>(likely());
  const [typed, setTyped] = useState<PinTyped>(NO_PIN);
  const [trouble, setTrouble] = useState<ReturnType<typeof pinTrouble>>(undefined);
  const answer = (): Ownership | undefined => {
    const wrong = whose === "shared" ? pinTrouble(typed) : undefined;
    setTrouble(wrong);
    if (wrong !== undefined) document.getElementById(wrong.field)?.focus();
    return wrong === undefined ? ownershipOf(whose, typed) : undefined;
  };
  const question = <WhoseDevice whose={whose} onWhose={setWhose} typed={typed} onTyped={setTyped} trouble={trouble} />;
  return { question, answer };
}

function StartAgain({ page, next, device, open }: {
  readonly page: Page<SignedIn>; readonly next: string; readonly device: ReturnType<typeof useDevice>; readonly open: boolean;
}) {
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const staff = page.person.account.role !== "patient";
  const go = async (): Promise<void> => {
    if (!sure) return setProblem(t("keys.again.confirm-first"));
    const ownership = device.answer();
    if (ownership === undefined) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await startAgain(page.person, ownership);
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
