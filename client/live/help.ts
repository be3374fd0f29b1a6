// Help without a line: one page with phone and hours, the same for everybody, is kept in this browser, and a service worker shows
// it where a page cannot be loaded (docs/decisions/0020). Nothing else is kept, and no key, message or name is in it.

import { trustedUrl } from "./worker.ts";

declare const __WORKER_HELP_URL__: string;

/** Where the page lies in this browser, and at the server. */
export const HELP_CACHE = "portal-help";
export const HELP_PAGE = "/offline-help";

const FRESH_MS = 24 * 3_600_000;

/** Keeps the page, renewed once a day, and the worker that shows it. Where the server has no such page any more, both go. */
export async function keepHelp(): Promise<void> {
  if (!("serviceWorker" in navigator) || !("caches" in globalThis)) return;
  const cache = await caches.open(HELP_CACHE);
  const before = await cache.match(HELP_PAGE, { ignoreVary: true });
  const age = Date.now() - Date.parse(before?.headers.get("Date") ?? "");
  // A date that cannot be read makes an age that is no number, which is not below the bound.
  if (age < FRESH_MS) return register();
  const answer = await fetch(HELP_PAGE, { credentials: "omit", cache: "no-store" });
  if (answer.status === 404 || answer.status === 410) return dropHelp();
  if (!answer.ok || answer.redirected) return;
  await cache.put(HELP_PAGE, answer);
  await register();
}

async function register(): Promise<void> {
  await navigator.serviceWorker.register(trustedUrl(__WORKER_HELP_URL__) as string, { scope: "/" });
}

/** Takes the page and the worker away from this browser. */
export async function dropHelp(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  await caches.delete(HELP_CACHE);
  const workers = await navigator.serviceWorker.getRegistrations();
  await Promise.all(workers.map((one) => one.unregister()));
}
