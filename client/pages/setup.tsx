// The first visit: keys are made without a question. Where the device has a lock of its own, it is offered at once as the way back to
// them: one tap, or later. Then it goes on to where the person wanted to be.

import { useEffect, useState } from "preact/hooks";

import type { Bytes } from "../crypto/encoding.ts";
import { enrol } from "../keys/enrol.ts";
import { type Ready, type SignedIn, leaveFor, unlock } from "../keys/unlock.ts";
import { hasOwnLock } from "../keys/webauthn.ts";
import { isCode } from "../live/api.ts";
import { Loading, type Page, TroubleInside, startPage } from "../frame/page.tsx";
import { isShared } from "../store/shared.ts";
import { t } from "../views/i18n.ts";
import { NewPasskey } from "./parts/passkey.tsx";
import { onward } from "./parts/root.tsx";

/** What a passkey is set with: keys that were made just now. */
interface Made {
  readonly ready: Ready;
  readonly root: Bytes;
}

async function begin({ person }: Page<SignedIn>, next: string): Promise<Made> {
  const found = await unlock(person);
  if (typeof found !== "string") return goOn(next);
  if (found !== "no-keys") return leaveFor("/recover", { next, why: found });
  try {
    await enrol(person);
  } catch (error) {
    // Another tab or device was faster: the page there asks for what is needed, or finds the keys already here.
    if (!isCode(error, "already-enrolled")) throw error;
    return leaveFor("/setup", { next });
  }
  // What a computer of several people unlocks with is not this person's own.
  if (isShared() || !(await hasOwnLock())) return goOn(next);
  const ready = await unlock(person);
  const root = typeof ready === "string" ? undefined : await ready.resting.root();
  return typeof ready === "string" || root === undefined ? goOn(next) : { ready, root };
}

function goOn(next: string): Promise<never> {
  location.replace(next);
  return new Promise(() => undefined);
}

function Setup({ page }: { readonly page: Page<SignedIn> }) {
  const { role } = page.person.account;
  const next = onward(role === "patient" ? "/home" : role === "operator" ? "/operator" : "/inbox");
  const [error, setError] = useState<unknown>(undefined);
  const [made, setMade] = useState<Made | undefined>(undefined);
  useEffect(() => { begin(page, next).then(setMade, setError); }, []);
  if (error !== undefined) return <TroubleInside error={error} />;
  if (made !== undefined) {
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
  return (
    <div class="narrow stack">
      <h1>{t("keys.setup.title")}</h1>
      <p class="lead">{t("keys.setup.body")}</p>
      <Loading words={t("keys.setup.busy")} />
    </div>
  );
}

await startPage({ path: "/setup", title: "keys.setup.title", view: (page) => <Setup page={page} /> });
