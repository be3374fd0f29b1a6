// The first visit: keys are made without a question, then it goes on to where the person wanted to be.

import { useEffect, useState } from "preact/hooks";

import { enrol } from "../keys/enrol.ts";
import { type SignedIn, leaveFor, unlock } from "../keys/unlock.ts";
import { isCode } from "../live/api.ts";
import { Loading, type Page, TroubleInside, startPage } from "../frame/page.tsx";
import { t } from "../views/i18n.ts";
import { onward } from "./parts/root.tsx";

async function begin({ person }: Page<SignedIn>): Promise<never> {
  const next = onward(person.account.role === "patient" ? "/home" : person.account.role === "operator" ? "/operator" : "/inbox");
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
  return goOn(next);
}

function goOn(next: string): Promise<never> {
  location.replace(next);
  return new Promise(() => undefined);
}

function Setup({ page }: { readonly page: Page<SignedIn> }) {
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => { begin(page).catch(setError); }, []);
  if (error !== undefined) return <TroubleInside error={error} />;
  return (
    <div class="narrow stack">
      <h1>{t("keys.setup.title")}</h1>
      <p class="lead">{t("keys.setup.body")}</p>
      <Loading words={t("keys.setup.busy")} />
    </div>
  );
}

await startPage({ path: "/setup", title: "keys.setup.title", view: (page) => <Setup page={page} /> });
