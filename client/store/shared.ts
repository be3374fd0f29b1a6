// "Others use this computer too": said once, it holds for everybody who signs in here, on pages with keys and on those of the
// server. The mark is a cookie, so that the server's pages show it; it says nothing about anyone.

import { Store } from "./db.ts";

/** The same name as in portal/web/public/frame.py. */
const COOKIE = "portal_shared";
const YEAR_SECONDS = 365 * 24 * 3600;

/** Whether this computer was marked as shared. */
export function isShared(): boolean {
  return document.cookie.split("; ").includes(`${COOKIE}=1`);
}

/** Sets or takes away the mark. */
export function markShared(shared: boolean): void {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${COOKIE}=1; Path=/; SameSite=Lax; Max-Age=${shared ? YEAR_SECONDS : 0}${secure}`;
}

/** Whether messages of an account wait here to be sent: who leaves a shared computer loses them. */
export async function unsentHere(account: string): Promise<boolean> {
  const store = await Store.open(account);
  const unsent = (await store.all("outbox")).length > 0;
  store.close();
  return unsent;
}

/** The one key that locks a shared device at once. No browser, screen reader or keyboard layout needs it alone on a page. */
export const LOCK_KEY = "F8";

/** Whether somebody pressed it, and nothing else with it. */
export function isLockKey(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "shiftKey" | "metaKey">): boolean {
  return event.key === LOCK_KEY && !event.ctrlKey && !event.altKey && !event.shiftKey && !event.metaKey;
}
