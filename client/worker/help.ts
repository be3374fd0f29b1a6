// The one service worker: a page that cannot be loaded is answered with the kept page of help. It sees nothing else: no request but
// those for whole pages, and of them nothing but whether they failed (docs/decisions/0020).

import { HELP_CACHE, HELP_PAGE } from "../live/help.ts";

interface PageRequest extends Event {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

interface Installing extends Event {
  /** Where the browser has it: what is no page goes past this worker without even starting it. */
  addRoutes?(rule: { readonly condition: object; readonly source: "network" }): Promise<void>;
  waitUntil(work: Promise<unknown>): void;
}

async function pageOr(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await (await caches.open(HELP_CACHE)).match(HELP_PAGE, { ignoreVary: true });
    if (kept === undefined) throw error;
    return kept;
  }
}

addEventListener("install", (event) => {
  const installing = event as Installing;
  const past = installing.addRoutes?.({ condition: { not: { requestMode: "navigate" } }, source: "network" });
  if (past !== undefined) installing.waitUntil(past);
  // A newer one takes over at once: there is no state that could belong to the older one.
  installing.waitUntil((globalThis as unknown as { skipWaiting(): Promise<void> }).skipWaiting());
});

addEventListener("fetch", (event) => {
  const { request } = event as PageRequest;
  // A form that is sent is never repeated or answered here.
  if (request.mode === "navigate" && request.method === "GET") (event as PageRequest).respondWith(pageOr(request));
});
