// On the page of devices: whether others use this one too, its PIN, and making it the other kind.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { byPin, changeGuard, guardByPasskey, guardedDevice, lockOfSession } from "../../keys/guarding.ts";
import { recoveryWraps } from "../../keys/recovery.ts";
import { becomeAnother } from "../../keys/rotate.ts";
import { type Ready, leaveFor } from "../../keys/unlock.ts";
import { PasskeyTrouble, knowsPasskeys } from "../../keys/webauthn.ts";
import { Said, sendForm, troubleWords } from "../../frame/page.tsx";
import { isCode, post, readSession } from "../../live/api.ts";
import { forgetAccount } from "../../store/db.ts";
import { Banner, Button, Spinner, Tag } from "../../views/components/basics.tsx";
import { Dialog } from "../../views/components/dialog.tsx";
import { ErrorSummary } from "../../views/components/forms.tsx";
import { t } from "../../views/i18n.ts";
import { type Asking, passkeyWords, prepare } from "./root.tsx";
import { NO_PIN, NewPin, type PinTyped, ownershipOf, pinTrouble } from "./sharing.tsx";

type Doing = "nothing" | "change" | "share" | "forget";

/** `onAsking`: becoming another device needs the root key, which the page asks for. */
export function DeviceKind({ ready, shared, more, onAsking }: {
  readonly ready: Ready; readonly shared: boolean;
  /** What else can be done with the device, beside the rest. */
  readonly more: ComponentChildren;
  readonly onAsking: (asking: Asking) => void;
}) {
  const hasPasskey = ready.own.recovery.some((way) => way.method === "passkey");
  const [doing, setDoing] = useState<Doing>("nothing");
  const [typed, setTyped] = useState<PinTyped>(NO_PIN);
  const [trouble, setTrouble] = useState<ReturnType<typeof pinTrouble>>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [changed, setChanged] = useState<"keys.pin.changed" | "keys.lock.passkey-set" | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    // Back from a fresh sign-in: what was begun before it goes on.
    const wanted = new URLSearchParams(location.search).get("kind");
    if (wanted === "mine" && shared) void become("mine");
    else if (wanted === "shared" && !shared) setDoing("share");
    else if (wanted === "pin" && shared) setDoing("change");
    else if (wanted === "passkey" && shared) void addPasskey();
    else if (wanted === "forget" && shared) setDoing("forget");
  }, []);
  const trying = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await work();
    } catch (error) {
      setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };
  const become = (whose: "mine" | "shared"): Promise<void> => trying(async () => {
    onAsking(await prepare(ready, {
      title: t(`keys.devices.make-${whose}`), body: t(`keys.devices.make-${whose}-body`), confirm: t(`keys.devices.make-${whose}`),
      query: { kind: whose },
      run: async (root) => {
        await becomeAnother(ready, root, ownershipOf(whose, typed));
        location.replace("/devices");
      },
    }));
  });
  const change = (): Promise<void> => trying(async () => {
    const device = await guardedDevice(ready.store);
    const opened = device === undefined ? undefined : await lockOfSession(await readSession(), ready.store, ready.account.id, device);
    if (device === undefined || opened === undefined) return leaveFor("/lock", { next: "/devices?kind=pin" });
    try {
      await changeGuard(ready.store, ready.account.id, device.id, opened.lock, byPin(typed.pin));
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: "/devices?kind=pin" });
      throw error;
    }
    setChanged("keys.pin.changed");
    setDoing("nothing");
    setTyped(NO_PIN);
  });
  /** A passkey beside the PIN: one of those that are ways back already, on a phone or a security key. */
  const addPasskey = (): Promise<void> => trying(async () => {
    const device = await guardedDevice(ready.store);
    const opened = device === undefined ? undefined : await lockOfSession(await readSession(), ready.store, ready.account.id, device);
    if (device === undefined || opened === undefined) return leaveFor("/lock", { next: "/devices" });
    try {
      await guardByPasskey(ready.store, ready.account.id, device.id, opened.lock, await recoveryWraps());
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: "/devices?kind=passkey" });
      if (error instanceof PasskeyTrouble) throw new Said(passkeyWords(error));
      throw error;
    }
    setChanged("keys.lock.passkey-set");
  });
  /** Keys, tile and all that lies here of the person go; then the person is signed out. */
  const forget = (): Promise<void> => trying(async () => {
    try {
      await post("/api/browser/forget");
    } catch (error) {
      if (isCode(error, "step-up")) await leaveFor("/step-up", { next: "/devices?kind=forget" });
      setDoing("nothing");
      throw error;
    }
    const { csrf } = await readSession();
    ready.store.close();
    await forgetAccount(ready.account.id);
    sendForm("/logout", { csrf_token: csrf });
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    const wrong = pinTrouble(typed);
    setTrouble(wrong);
    if (wrong !== undefined) return;
    void (doing === "change" ? change() : become("shared"));
  };
  return (
    <div class="stack-tight" data-kind={shared ? "shared" : "mine"}>
      {shared ? (
        <>
          <p><Tag tone="info" icon="people">{t("keys.devices.shared")}</Tag></p>
          <p>{t("keys.devices.shared-body")}</p>
        </>
      ) : null}
      {changed === undefined ? null : <Banner tone="ok" slim announce><p>{t(changed)}</p></Banner>}
      {problem === undefined ? null : <p class="field__error" role="alert">{problem}</p>}
      {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
      {doing !== "forget" ? null : (
        <Dialog title={t("keys.forget.title")} urgent onClose={() => setDoing("nothing")}>
          <p>{t("keys.forget.body")}</p>
          <p>{t("keys.forget.copied")}</p>
          <div class="button-row">
            <Button look="danger" busy={busy} onClick={() => void forget()}>{t("keys.forget.do")}</Button>
            <Button look="quiet" onClick={() => setDoing("nothing")}>{t("common.cancel")}</Button>
          </div>
        </Dialog>
      )}
      {doing === "nothing" || doing === "forget" ? (
        <div class="button-row">
          {shared ? (
            <>
              <Button look="quiet" icon="key" onClick={() => setDoing("change")}>{t("keys.pin.change")}</Button>
              {hasPasskey && knowsPasskeys() ? <Button look="quiet" icon="key" onClick={() => void addPasskey()}>{t("keys.lock.passkey-add")}</Button> : null}
              <Button look="quiet" onClick={() => void become("mine")}>{t("keys.devices.make-mine")}</Button>
              <Button look="quiet" icon="out" onClick={() => setDoing("forget")}>{t("keys.forget.do")}</Button>
            </>
          ) : <Button look="quiet" icon="people" onClick={() => setDoing("share")}>{t("keys.devices.make-shared")}</Button>}
          {more}
        </div>
      ) : (
        <form class="stack" noValidate onSubmit={submit}>
          <ErrorSummary problems={trouble === undefined ? [] : [trouble]} />
          <p>{t(doing === "share" ? "keys.devices.make-shared-body" : "keys.pin.body")}</p>
          <NewPin typed={typed} onTyped={setTyped} trouble={trouble} />
          <div class="button-row">
            <Button type="submit" busy={busy}>{t(doing === "change" ? "keys.pin.change-do" : "keys.pin.set-do")}</Button>
            <Button look="quiet" onClick={() => setDoing("nothing")}>{t("common.cancel")}</Button>
          </div>
        </form>
      )}
    </div>
  );
}
