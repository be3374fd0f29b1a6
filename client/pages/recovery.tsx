// "If you lose this device": passkeys first, then a printed code, then a passphrase; and trying them out while nothing is lost.

import { useEffect, useMemo, useState } from "preact/hooks";

import type { Bytes } from "../crypto/encoding.ts";
import { ENGLISH_WORDS } from "../crypto/words/english.ts";
import { SPANISH_WORDS } from "../crypto/words/spanish.ts";
import type { UrkWrap } from "../crypto/recovery.ts";
import {
  type Wraps, addPasskey, confirmOther, generateCode, generatePassphrase, passphraseProblem, removeWay, setWay, tryOut, wrapOf,
} from "../keys/recovery.ts";
import type { RecoveryWay } from "../keys/shapes.ts";
import { type Ready, leaveFor, ownKeys } from "../keys/unlock.ts";
import { knowsPasskeys } from "../keys/webauthn.ts";
import { isCode } from "../live/api.ts";
import { SignInAgain } from "../frame/again.tsx";
import { type Page, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Spinner, Tag } from "../views/components/basics.tsx";
import { ErrorSummary, PassphraseField } from "../views/components/forms.tsx";
import { RecoverySheet } from "../views/components/recovery.tsx";
import { dayOf } from "../views/format.ts";
import { language, t } from "../views/i18n.ts";
import { useAttempt } from "./parts/attempt.ts";
import { NewPasskey, Passkeys } from "./parts/passkey.tsx";
import { type Asking, RootDialog, SecretForm, onward, prepare } from "./parts/root.tsx";
import { Tried, WayDates } from "./parts/way.tsx";

type Way = "passkey" | "code" | "passphrase";

type Step =
  | { readonly kind: "overview" }
  | { readonly kind: "code"; readonly code: string }
  | { readonly kind: "passphrase"; readonly root: Bytes }
  | { readonly kind: "passkey"; readonly root: Bytes; readonly wraps: Wraps; readonly failed?: unknown }
  | { readonly kind: "try"; readonly method: Way; readonly wrap: UrkWrap }
  | { readonly kind: "done"; readonly says: "try" | "passkey" };

const WAYS: readonly Way[] = ["passkey", "code", "passphrase"];
const TYPED = ["code", "passphrase"] as const;
const wanted = new URLSearchParams(location.search);

function Recovery({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const next = onward(ready.account.role === "patient" ? "/home" : "/team");
  const [ways, setWays] = useState<readonly RecoveryWay[]>(ready.own.recovery);
  const [step, setStep] = useState<Step>({ kind: "overview" });
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const reload = async (): Promise<void> => setWays((await ownKeys()).recovery);

  const begin = async (method: Way): Promise<void> => {
    setProblem(undefined);
    const run = async (root: Bytes, wraps: Wraps): Promise<void> => {
      if (method === "passkey") return setStep({ kind: "passkey", root, wraps });
      if (method === "passphrase") return setStep({ kind: "passphrase", root });
      const code = generateCode();
      await setWay(ready, root, "code", code);
      await reload();
      setStep({ kind: "code", code });
    };
    setBusy(true);
    try {
      const resting = ways.length === 0 ? await ready.resting.root() : undefined;
      if (resting !== undefined) return await run(resting, []);
      const replaces = method !== "passkey" && ways.some((way) => way.method === method);
      setAsking(await prepare(ready, {
        title: t(replaces ? `keys.recovery.replace-${method}` : `keys.recovery.add-${method}`),
        body: t(replaces ? "keys.recovery.replace-body" : "keys.recovery.add-body"),
        confirm: t("common.continue"), query: { do: method, next }, run,
      }));
    } catch (error) {
      setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };
  /** The first way back may be a passkey at once, with the tap that asked for it: there is nothing to prove yet. */
  const firstPasskey = async (): Promise<void> => {
    const root = ways.length === 0 ? await ready.resting.root() : undefined;
    if (root === undefined) return begin("passkey");
    setProblem(undefined);
    setBusy(true);
    try {
      await addPasskey(ready, root, []);
      await passkeySet();
    } catch (failed) {
      setStep({ kind: "passkey", root, wraps: [], failed });
    } finally {
      setBusy(false);
    }
  };
  const passkeySet = async (): Promise<void> => {
    await reload();
    setStep({ kind: "done", says: "passkey" });
  };

  const startTry = async (way: string, method: Way): Promise<void> => {
    setProblem(undefined);
    try {
      const wrap = await wrapOf(ready, way);
      // Removed elsewhere since this list was read.
      if (wrap === undefined) await reload();
      else setStep({ kind: "try", method, wrap });
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: `/recovery?${new URLSearchParams({ try: way, next }).toString()}` });
      setProblem(troubleWords(error));
    }
  };

  const drop = async (way: RecoveryWay): Promise<void> => {
    setProblem(undefined);
    setBusy(true);
    try {
      setAsking(await prepare(ready, {
        title: t("keys.passkey.remove-title", { name: way.name ?? "" }), body: t("keys.passkey.remove-body"), danger: true,
        confirm: t("keys.passkey.remove"), query: { remove: way.id, next },
        run: async (_root, wraps) => {
          await removeWay(ready, wraps, way.id);
          await reload();
        },
      }));
    } catch (error) {
      setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    const method = WAYS.find((one) => one === wanted.get("do"));
    if (method !== undefined) void begin(method);
    const asked = (name: string): RecoveryWay | undefined => ways.find((way) => way.id === wanted.get(name));
    const [tries, removes] = [asked("try"), asked("remove")];
    if (tries !== undefined && tries.method !== "device") void startTry(tries.id, tries.method);
    if (removes?.method === "passkey") void drop(removes);
  }, []);

  useEffect(() => {
    if (step.kind !== "code") return undefined;
    // The code is shown this once: the browser asks before it is gone.
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [step.kind]);

  return (
    <div class="narrow stack-wide">
      {problem === undefined ? null : (
        <Banner tone="warn" announce title={t("common.error.title")}>
          <p>{problem}</p>
        </Banner>
      )}
      {asking === undefined ? null : <RootDialog ready={ready} asking={asking} onDone={() => setAsking(undefined)} onClose={() => setAsking(undefined)} />}
      {step.kind === "code" ? (
        <NewCode page={page} code={step.code} onTry={() => void startTry("code", "code")} next={next} />
      ) : step.kind === "passphrase" ? (
        <NewPassphrase
          ready={ready}
          root={step.root}
          onSet={async () => {
            await reload();
            await startTry("passphrase", "passphrase");
          }}
          onBack={() => setStep({ kind: "overview" })}
        />
      ) : step.kind === "passkey" ? (
        <NewPasskey
          ready={ready}
          root={step.root}
          wraps={step.wraps}
          failed={step.failed}
          other={t("keys.passkey.rather-code")}
          back={t("common.cancel")}
          onSet={passkeySet}
          onOther={() => void begin("code")}
          onBack={() => setStep({ kind: "overview" })}
        />
      ) : step.kind === "try" ? (
        <TryOut
          ready={ready}
          method={step.method}
          wrap={step.wrap}
          onBack={() => setStep({ kind: "overview" })}
          onDone={async () => {
            await reload();
            setStep({ kind: "done", says: "try" });
          }}
        />
      ) : (
        <>
          <div class="stack">
            <h1>{t("keys.recovery.title")}</h1>
            <p class="lead">{t("keys.recovery.body")}</p>
          </div>
          {step.kind === "done" ? (
            <Banner tone="ok" announce title={t(`keys.${step.says}.done`)}>
              <p>{t(`keys.${step.says}.done-body`)}</p>
            </Banner>
          ) : null}
          {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
          <ul class="list">
            <li class="stack-tight" data-way="passkey">
              <Passkeys ways={ways} onAdd={() => void firstPasskey()} onTry={(way) => void startTry(way.id, "passkey")} onRemove={(way) => void drop(way)} />
            </li>
            {TYPED.map((method) => (
              <li key={method} class="stack-tight" data-way={method}>
                <TypedWay
                  method={method}
                  way={ways.find((one) => one.method === method)}
                  first={method === "code" && !knowsPasskeys()}
                  onSet={() => void begin(method)}
                  onTry={() => void startTry(method, method)}
                />
              </li>
            ))}
          </ul>
          <div class="button-row">
            <LinkButton look={ways.length === 0 ? "quiet" : "main"} href={next}>
              {t(ways.length === 0 ? "keys.recovery.later" : "common.continue")}
            </LinkButton>
            <LinkButton look="quiet" href="/devices">
              {t("keys.devices.title")}
            </LinkButton>
          </div>
          {ways.length === 0 ? <p class="soft">{t("keys.recovery.later-body")}</p> : <ConfirmOther />}
        </>
      )}
    </div>
  );
}

function TypedWay({ method, way, first, onSet, onTry }: {
  readonly method: (typeof TYPED)[number]; readonly way: RecoveryWay | undefined; readonly first: boolean;
  readonly onSet: () => void; readonly onTry: () => void;
}) {
  return (
    <>
      <div class="row row-apart">
        <h2>{t(`keys.way.${method}`)}</h2>
        {way === undefined ? <Tag>{t("keys.way.none")}</Tag>
          : <Tried way={way} />}
      </div>
      {way === undefined ? <p class="soft">{t(`keys.way.${method}-body`)}</p> : <WayDates way={way} />}
      <div class="button-row">
        {way === undefined ? <Button look={first ? "main" : "quiet"} onClick={onSet}>{t(`keys.way.${method}-do`)}</Button> : (
          <>
            <Button onClick={onTry}>{t("keys.try.do")}</Button>
            <Button look="quiet" onClick={onSet}>{t("keys.way.replace")}</Button>
          </>
        )}
      </div>
    </>
  );
}

function NewCode({ page, code, onTry, next }: {
  readonly page: Page<Ready>; readonly code: string; readonly onTry: () => void; readonly next: string;
}) {
  const made = dayOf(Date.now());
  return (
    <div class="stack">
      <h1 class="no-print">{t("keys.code.title")}</h1>
      <p class="lead no-print">{t("keys.code.body")}</p>
      <RecoverySheet name={page.person.account.name} code={code} madeOn={made} signInAt={location.origin} />
      <div class="button-row no-print">
        <Button icon="print" onClick={() => print()}>
          {t("common.print")}
        </Button>
        <Button look="quiet" onClick={() => saveText(`${t("views.recovery.sheet")}\n${page.person.account.name}, ${made}\n${location.origin}\n\n${code}\n`)}>
          {t("keys.code.save")}
        </Button>
      </div>
      <div class="button-row no-print">
        <Button look="quiet" onClick={onTry}>
          {t("keys.try.do")}
        </Button>
        <LinkButton look="plain" href={next}>
          {t("keys.code.later")}
        </LinkButton>
      </div>
    </div>
  );
}

/** Gives the code as a file: it goes from the page to the disk and nowhere else. */
function saveText(text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "recovery-code.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function NewPassphrase({ ready, root, onSet, onBack }: {
  readonly ready: Ready; readonly root: Bytes; readonly onSet: () => Promise<void>; readonly onBack: () => void;
}) {
  const words = useMemo(() => generatePassphrase(language() === "es" ? SPANISH_WORDS : ENGLISH_WORDS), []);
  const [passphrase, setPassphrase] = useState("");
  const { busy, problem, stale, say, run } = useAttempt();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    const fault = passphraseProblem(passphrase);
    if (fault !== undefined) return say(t(fault));
    await run(async () => {
      await setWay(ready, root, "passphrase", passphrase);
      await onSet();
    });
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)} noValidate>
      <h1>{t("keys.way.passphrase")}</h1>
      <p class="lead">{t("keys.passphrase.body")}</p>
      <ErrorSummary problems={problem === undefined ? [] : [{ field: "new-passphrase", text: problem }]} />
      {stale ? <SignInAgain /> : null}
      <PassphraseField id="new-passphrase" label={t("keys.passphrase.label")} hint={t("keys.passphrase.hint")} fresh value={passphrase}
        onInput={setPassphrase} error={problem} words={words.split(" ")} onUseWords={() => setPassphrase(words)} />
      {busy ? <Spinner>{t("keys.passphrase.busy")}</Spinner> : null}
      <div class="button-row">
        <Button type="submit" busy={busy}>{t("common.save")}</Button>
        <Button look="quiet" onClick={onBack}>{t("common.cancel")}</Button>
      </div>
    </form>
  );
}

function TryOut({ ready, method, wrap, onDone, onBack }: {
  readonly ready: Ready; readonly method: Way; readonly wrap: UrkWrap; readonly onDone: () => Promise<void>; readonly onBack: () => void;
}) {
  return (
    <div class="stack">
      <h1>{t("keys.try.title")}</h1>
      <p class="lead">{t(`keys.try.${method}`)}</p>
      <SecretForm account={ready.account.id} wraps={[wrap]} label={t("keys.try.do")} busyWords={t("keys.secret.working")} onCancel={onBack}
        onSecret={async (tried, secret) => {
          await tryOut(ready, tried, secret);
          await onDone();
        }} />
    </div>
  );
}

/** Another browser of the person asked for the keys too often: from here one says that it is oneself. */
function ConfirmOther() {
  const [done, setDone] = useState(false);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  return (
    <details class="card card--plain">
      <summary>{t("keys.other.title")}</summary>
      <p>{t("keys.other.body")}</p>
      {problem === undefined ? null : (
        <p class="field__error" role="alert">
          {problem}
        </p>
      )}
      {done ? (
        <p role="status">{t("keys.other.done")}</p>
      ) : (
        <Button
          look="quiet"
          onClick={() => {
            confirmOther().then(
              () => setDone(true),
              (error: unknown) => setProblem(troubleWords(error)),
            );
          }}
        >
          {t("keys.other.do")}
        </Button>
      )}
    </details>
  );
}

await startKeyPage({ path: "/account", title: "keys.recovery.title", view: (page) => <Recovery page={page} /> });
