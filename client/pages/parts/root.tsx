// Asking for passkey, recovery code or passphrase: some acts need the root key, which this browser does not keep.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import type { Bytes } from "../../crypto/encoding.ts";
import { Refused } from "../../crypto/reasons.ts";
import { type UrkWrap, codeIsWhole } from "../../crypto/recovery.ts";
import { type Wraps, recoveryWraps } from "../../keys/recovery.ts";
import { type Ready, leaveFor } from "../../keys/unlock.ts";
import { openRootKey } from "../../keys/vault.ts";
import { PasskeyTrouble, askPasskey, knowsPasskeys } from "../../keys/webauthn.ts";
import { isCode } from "../../live/api.ts";
import { SignInAgain } from "../../frame/again.tsx";
import { troubleWords } from "../../frame/page.tsx";
import { Banner, Button, Spinner } from "../../views/components/basics.tsx";
import { Dialog } from "../../views/components/dialog.tsx";
import { ErrorSummary, PassphraseField, TextField, TileChoice } from "../../views/components/forms.tsx";
import { SafetyGroups } from "../../views/components/safety.tsx";
import { t } from "../../views/i18n.ts";
import { useAttempt } from "./attempt.ts";

/** How a person shows that the keys are theirs. */
export interface SecretFormProps {
  readonly account: string;
  /** What may be opened, in any order. */
  readonly wraps: Wraps;
  readonly label: string;
  readonly busyWords: string;
  /** Throws what it throws: a wrong or mistyped secret is said beside the field. */
  readonly onSecret: (wrap: UrkWrap, secret: string) => Promise<void>;
  /** What the code is called, where it is not one's own recovery code. */
  readonly codeLabel?: string | undefined;
  readonly onCancel?: () => void;
}

const TYPED = ["code", "passphrase"] as const;

/** Passkey first, where there is one and the browser knows them; then code and passphrase. */
export function SecretForm(props: SecretFormProps) {
  const { wraps } = props;
  const typed = TYPED.filter((method) => wraps.some((wrap) => wrap.method === method));
  const hasPasskey = wraps.some((wrap) => wrap.method === "passkey");
  const [typing, setTyping] = useState(false);
  if (hasPasskey && knowsPasskeys() && !typing) return <PasskeyForm {...props} onType={typed.length === 0 ? undefined : () => setTyping(true)} />;
  return (
    <>
      {hasPasskey && !knowsPasskeys() ? <p>{t("keys.passkey.unknown")}</p> : null}
      {typed.length === 0 ? null : <TypedForm {...props} methods={typed} />}
    </>
  );
}

/** What a passkey that did not open or was not made is called, and the way on. */
export function passkeyWords(error: unknown): string {
  return error instanceof PasskeyTrouble ? t(`keys.passkey.${error.fault}`) : troubleWords(error);
}

function PasskeyForm({ account, wraps, busyWords, onSecret, onCancel, onType }: SecretFormProps & { readonly onType: (() => void) | undefined }) {
  const { busy, problem, stale, run } = useAttempt((error) => {
    if (error instanceof Refused && error.reason === "aead") return t("keys.passkey.wrong");
    return error instanceof PasskeyTrouble && error.fault === "cancelled" ? t("keys.passkey.not-opened") : passkeyWords(error);
  });
  const go = (): Promise<void> => run(async () => {
    const { wrap, secret } = await askPasskey(account, wraps);
    await onSecret(wrap, secret);
  });
  return (
    <div class="stack">
      {problem === undefined ? null : <Banner tone="warn" announce title={t("keys.passkey.did-not")}><p>{problem}</p></Banner>}
      {stale ? <SignInAgain /> : null}
      {busy ? <Spinner>{busyWords}</Spinner> : null}
      <div class="button-row">
        <Button icon="key" busy={busy} onClick={() => void go()}>{t("keys.passkey.use")}</Button>
        {onType === undefined ? null : <Button look="quiet" onClick={onType}>{t("keys.passkey.instead")}</Button>}
        {onCancel === undefined ? null : <Button look="quiet" onClick={onCancel}>{t("common.cancel")}</Button>}
      </div>
    </div>
  );
}

/** The form for code or passphrase. Pasting, password managers and looking at what was typed are all allowed. */
function TypedForm({ wraps, methods, label, busyWords, onSecret, codeLabel, onCancel }: SecretFormProps & {
  readonly methods: readonly (typeof TYPED)[number][];
}) {
  const [method, setMethod] = useState(methods[0] ?? "code");
  const [secret, setSecret] = useState("");
  const field = `secret-${method}`;
  const { busy, problem, stale, say, run } = useAttempt((error) =>
    error instanceof Refused && error.reason === "aead" ? t(`keys.secret.wrong-${method}`) : troubleWords(error));
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (method === "code" && !codeIsWhole(secret)) return say(t(secret.trim() === "" ? "keys.secret.empty-code" : "keys.secret.typo"));
    if (method === "passphrase" && secret.trim() === "") return say(t("keys.secret.empty-passphrase"));
    await run(() => onSecret(wraps.find((wrap) => wrap.method === method)!, secret));
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)} noValidate>
      <ErrorSummary problems={problem === undefined ? [] : [{ field, text: problem }]} />
      {stale ? <SignInAgain /> : null}
      {methods.length < 2 ? null : (
        <TileChoice
          legend={t("keys.secret.which")}
          value={method}
          onChange={(chosen) => {
            setMethod(chosen);
            say(undefined);
            setSecret("");
          }}
          options={methods.map((one) => ({ value: one, label: t(`keys.way.${one}`) }))}
        />
      )}
      {method === "code" ? (
        <TextField
          id={field}
          label={codeLabel ?? t("keys.secret.code")}
          hint={t("keys.secret.code-hint")}
          secret
          value={secret}
          onInput={setSecret}
          error={problem}
          autoComplete="off"
        />
      ) : (
        <PassphraseField id={field} label={t("keys.secret.passphrase")} value={secret} onInput={setSecret} error={problem} />
      )}
      {busy ? <Spinner>{busyWords}</Spinner> : null}
      <div class="button-row">
        <Button type="submit" busy={busy}>
          {label}
        </Button>
        {onCancel === undefined ? null : (
          <Button look="quiet" onClick={onCancel}>
            {t("common.cancel")}
          </Button>
        )}
      </div>
    </form>
  );
}

/** Something that needs the root key: what is asked, and what is done with it. */
export interface RootAct {
  readonly title: string;
  readonly body?: string;
  /** The number of the person it is about, to be compared with what that person reads out. */
  readonly safety?: readonly string[];
  /** What is chosen before it is confirmed. */
  readonly more?: ComponentChildren;
  readonly danger?: boolean;
  readonly confirm: string;
  /** Where to go on after a fresh sign-in: the query of this page that begins the act again. */
  readonly query: Readonly<Record<string, string>>;
  readonly run: (root: Bytes, wraps: Wraps) => Promise<void>;
}

/** How an act is begun: what is needed before it may be confirmed. */
export interface Asking {
  readonly act: RootAct;
  /** The root key, where it is at rest. */
  readonly root: Bytes | undefined;
  readonly wraps: Wraps;
}

/**
 * Prepares an act. Without a fresh sign-in this leaves for it and comes back with `query`, so that nothing is asked twice.
 */
export async function prepare(ready: Ready, act: RootAct): Promise<Asking> {
  try {
    const wraps = await recoveryWraps();
    return { act, root: await ready.resting.root(), wraps };
  } catch (error) {
    if (!isCode(error, "step-up")) throw error;
    return leaveFor("/step-up", { next: `${location.pathname}?${new URLSearchParams(act.query).toString()}` });
  }
}

/** The dialog of an act that needs the root key. */
export function RootDialog({ ready, asking, onDone, onClose }: {
  readonly ready: Ready; readonly asking: Asking; readonly onDone: () => void; readonly onClose: () => void;
}) {
  const { act, wraps } = asking;
  const { busy, problem, stale, run } = useAttempt();
  const go = async (root: Bytes): Promise<void> => {
    await act.run(root, wraps);
    onDone();
  };
  const { root } = asking;
  return (
    <Dialog title={act.title} onClose={busy ? undefined : onClose} urgent={act.danger === true}>
      {act.body === undefined ? null : <p>{act.body}</p>}
      {act.more}
      {act.safety === undefined ? null : <div class="stack-tight"><p>{t("keys.team.admit.safety")}</p><SafetyGroups groups={act.safety} /></div>}
      {root !== undefined ? (
        <>
          {problem === undefined ? null : <p class="field__error" role="alert">{problem}</p>}
          {stale ? <SignInAgain /> : null}
          <div class="button-row">
            <Button look={act.danger === true ? "danger" : "main"} busy={busy} onClick={() => void run(() => go(root))}>{act.confirm}</Button>
            <Button look="quiet" onClick={onClose}>{t("common.cancel")}</Button>
          </div>
        </>
      ) : wraps.length === 0 ? <p>{t("keys.secret.none")} <a href="/recovery">{t("keys.recovery.title")}</a></p> : (
        <>
          <SecretForm account={ready.account.id} wraps={wraps} label={act.confirm} busyWords={t("keys.secret.working")} onCancel={onClose}
            onSecret={async (wrap, secret) => go(await openRootKey(wrap, ready.account.id, secret))} />
          <p><a href={`/recover?${new URLSearchParams({ why: "ways-lost", do: "again", next: location.pathname }).toString()}`}>{t("keys.secret.lost")}</a></p>
        </>
      )}
    </Dialog>
  );
}

/** Where a page goes on to: `next` of its address when that is a place of the portal, else `otherwise`. */
export function onward(otherwise: string): string {
  const wanted = new URLSearchParams(location.search).get("next");
  return wanted !== null && isPlace(wanted) ? wanted : otherwise;
}

/** Whether a text is a path of the portal. */
export function isPlace(path: string): boolean {
  return /^\/(?![/\\])[^\\\s]*$/.test(path);
}
