// The first visit: whose device this is, then keys are made. Where one's own device has a lock of its own, it is offered at once as the
// way back to them: one tap, or later. Then it goes on to where the person wanted to be.

import { useEffect, useState } from "preact/hooks";

import type { Bytes } from "../crypto/encoding.ts";
import { enrol } from "../keys/enrol.ts";
import type { Ownership } from "../keys/local.ts";
import { type Ready, type SignedIn, leaveFor, unlock } from "../keys/unlock.ts";
import { hasOwnLock } from "../keys/webauthn.ts";
import { isCode } from "../live/api.ts";
import { Loading, type Page, TroubleInside, startPage } from "../frame/page.tsx";
import { isShared } from "../store/shared.ts";
import { Button } from "../views/components/basics.tsx";
import { ErrorSummary } from "../views/components/forms.tsx";
import { t } from "../views/i18n.ts";
import { NewPasskey } from "./parts/passkey.tsx";
import { onward } from "./parts/root.tsx";
import { NO_PIN, NewPin, type PinTyped, type Whose, ownershipOf, pinTrouble } from "./parts/sharing.tsx";

/** Goes on where keys are there already, or elsewhere; comes back where they are to be made. */
async function look({ person }: Page<SignedIn>): Promise<void> {
  const next = afterwards(person);
  const found = await unlock(person);
  if (typeof found !== "string") await goOn(next);
  else if (found !== "no-keys") await leaveFor(found === "guarded" ? "/lock" : "/recover", { next, ...(found === "guarded" ? {} : { why: found }) });
}

/** What a passkey is set with: keys that were made just now. */
interface Made {
  readonly ready: Ready;
  readonly root: Bytes;
}

async function make({ person }: Page<SignedIn>, ownership: Ownership): Promise<Made> {
  const next = afterwards(person);
  try {
    await enrol(person, ownership);
  } catch (error) {
    // Another tab or device was faster: the page there asks for what is needed, or finds the keys already here.
    if (!isCode(error, "already-enrolled")) throw error;
    return leaveFor("/setup", { next });
  }
  // What a computer of several people unlocks with is not this person's own.
  if (ownership !== "mine" || isShared() || !(await hasOwnLock())) return goOn(next);
  const ready = await unlock(person);
  const root = typeof ready === "string" ? undefined : await ready.resting.root();
  return typeof ready === "string" || root === undefined ? goOn(next) : { ready, root };
}

function afterwards({ account }: SignedIn): string {
  return onward(account.role === "patient" ? "/home" : account.role === "operator" ? "/operator" : "/inbox");
}

function goOn(next: string): Promise<never> {
  location.replace(next);
  return new Promise(() => undefined);
}

function Setup({ page }: { readonly page: Page<SignedIn> }) {
  const [stage, setStage] = useState<"looking" | "asking" | "making">("looking");
  const [error, setError] = useState<unknown>(undefined);
  const [made, setMade] = useState<Made | undefined>(undefined);
  const [whose, setWhose] = useState<Whose | null>(null);
  const [typed, setTyped] = useState<PinTyped>(NO_PIN);
  const [trouble, setTrouble] = useState<ReturnType<typeof pinTrouble>>(undefined);
  useEffect(() => { look(page).then(() => setStage("asking"), setError); }, []);
  const answer = (chosen: Whose): void => {
    const wrong = chosen === "shared" ? pinTrouble(typed) : undefined;
    setTrouble(wrong);
    if (wrong !== undefined) return;
    setStage("making");
    make(page, ownershipOf(chosen, typed)).then(setMade, setError);
  };
  if (error !== undefined) return <TroubleInside error={error} />;
  if (made !== undefined) {
    const next = afterwards(page.person);
    return (
      <div class="narrow">
        <NewPasskey
          {...made}
          wraps={[]}
          other={t("keys.passkey.rather-code")}
          back={t("keys.recovery.later")}
          onSet={() => goOn(next)}
          onOther={() => void goOn(`/recovery?${new URLSearchParams({ do: "code", next }).toString()}`)}
          onBack={() => void goOn(next)}
        />
      </div>
    );
  }
  if (stage === "asking") {
    return (
      <form class="narrow stack" noValidate onSubmit={(event) => { event.preventDefault(); answer("shared"); }}>
        <h1>{t("keys.whose.title")}</h1>
        <p class="lead">{t("keys.whose.body")}</p>
        <ErrorSummary problems={trouble === undefined ? [] : [trouble]} />
        {whose === "shared" ? (
          <>
            <p>{t("keys.pin.body")}</p>
            <NewPin typed={typed} onTyped={setTyped} trouble={trouble} />
            <div class="button-row">
              <Button type="submit" big>{t("keys.pin.set-do")}</Button>
              <Button look="quiet" onClick={() => setWhose(null)}>{t("keys.whose.back")}</Button>
            </div>
          </>
        ) : (
          <div class="stack" data-whose>
            <div class="stack-tight">
              <Button big onClick={() => answer("mine")}>{t("keys.whose.mine")}</Button>
              <p class="soft">{t("keys.whose.mine-hint")}</p>
            </div>
            <div class="stack-tight">
              <Button big look="quiet" icon="people" onClick={() => setWhose("shared")}>{t("keys.whose.shared")}</Button>
              <p class="soft">{t("keys.whose.shared-hint")}</p>
            </div>
          </div>
        )}
      </form>
    );
  }
  return (
    <div class="narrow stack">
      <h1>{t("keys.setup.title")}</h1>
      <p class="lead">{t("keys.setup.body")}</p>
      <Loading words={t("keys.setup.busy")} />
    </div>
  );
}

await startPage({ path: "/setup", title: "keys.setup.title", view: (page) => <Setup page={page} /> });
