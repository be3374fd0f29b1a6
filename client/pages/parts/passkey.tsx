// Passkeys as ways back: the list of them, and making one.

import { useState } from "preact/hooks";

import type { Bytes } from "../../crypto/encoding.ts";
import { type Wraps, addPasskey } from "../../keys/recovery.ts";
import type { RecoveryWay } from "../../keys/shapes.ts";
import type { Ready } from "../../keys/unlock.ts";
import { knowsPasskeys } from "../../keys/webauthn.ts";
import { SignInAgain } from "../../frame/again.tsx";
import { isCode } from "../../live/api.ts";
import { isShared } from "../../store/shared.ts";
import { Banner, Button, Spinner, Tag } from "../../views/components/basics.tsx";
import { t } from "../../views/i18n.ts";
import { passkeyWords } from "./root.tsx";
import { Tried, WayDates } from "./way.tsx";

/** The passkeys of a person: each with its name, when it was set and last tried; trying, removing, adding. */
export function Passkeys({ ways, onAdd, onTry, onRemove }: {
  /** All ways back of the person. */
  readonly ways: readonly RecoveryWay[];
  readonly onAdd: () => void;
  readonly onTry: (way: RecoveryWay) => void;
  readonly onRemove: (way: RecoveryWay) => void;
}) {
  const mine = ways.filter((way) => way.method === "passkey");
  const usable = knowsPasskeys();
  return (
    <>
      <div class="row row-apart">
        <h2>{t("keys.way.passkey")}</h2>
        {mine.length === 0 ? <Tag>{t("keys.way.none")}</Tag> : null}
      </div>
      <p class="soft">{t(!usable ? "keys.passkey.unknown" : isShared() ? "keys.passkey.shared" : "keys.way.passkey-body")}</p>
      {mine.length === 0 ? null : (
        <ul class="list">
          {mine.map((way) => (
            <li key={way.id} class="stack-tight" data-passkey={way.id}>
              <div class="row row-apart">
                <h3 translate={false}>{way.name}</h3>
                <Tried way={way} />
              </div>
              <WayDates way={way} />
              <div class="button-row">
                {usable ? (
                  <Button look="quiet" onClick={() => onTry(way)} label={t("keys.passkey.try-label", { name: way.name ?? "" })}>{t("keys.try.do")}</Button>
                ) : null}
                {ways.length === 1 ? null : (
                  <Button look="quiet" onClick={() => onRemove(way)} label={t("keys.passkey.remove-label", { name: way.name ?? "" })}>
                    {t("keys.passkey.remove")}
                  </Button>
                )}
              </div>
            </li>
          ))}
        </ul>
      )}
      {usable ? (
        <div class="button-row">
          <Button look={mine.length === 0 ? "main" : "quiet"} icon="key" onClick={onAdd}>
            {t(mine.length === 0 ? "keys.way.passkey-do" : "keys.passkey.add")}
          </Button>
        </div>
      ) : null}
    </>
  );
}

/** The one tap that makes a passkey, what the platform says to it in plain words, and the way on. */
export function NewPasskey({ ready, root, wraps, failed, other, back, onSet, onOther, onBack }: {
  readonly ready: Ready;
  readonly root: Bytes;
  readonly wraps: Wraps;
  /** What went wrong already, before this was shown. */
  readonly failed?: unknown;
  /** What to do where this device cannot. */
  readonly other: string;
  readonly back: string;
  readonly onSet: () => Promise<void>;
  readonly onOther: () => void;
  readonly onBack: () => void;
}) {
  const [problem, setProblem] = useState<unknown>(failed);
  const [busy, setBusy] = useState(false);
  const go = async (): Promise<void> => {
    if (busy) return;
    setProblem(undefined);
    setBusy(true);
    try {
      await addPasskey(ready, root, wraps);
      await onSet();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <div class="stack" data-new-passkey>
      <h1>{t("keys.passkey.title")}</h1>
      <p class="lead">{t(isShared() ? "keys.passkey.shared" : "keys.passkey.body")}</p>
      {problem === undefined ? null : isCode(problem, "step-up") ? <SignInAgain /> : (
        <Banner tone="warn" announce title={t("keys.passkey.did-not")}><p>{passkeyWords(problem)}</p></Banner>
      )}
      {busy ? <Spinner>{t("keys.passkey.busy")}</Spinner> : null}
      <div class="button-row">
        <Button big icon="key" busy={busy} onClick={() => void go()}>{t("keys.passkey.use")}</Button>
        <Button look="quiet" onClick={onOther}>{other}</Button>
        <Button look="plain" onClick={onBack}>{back}</Button>
      </div>
      <p class="soft">{t("keys.passkey.private")}</p>
    </div>
  );
}
