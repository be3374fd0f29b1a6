// On a page of the server, on a computer that others use too. Signing out: what the client keeps here of the person goes first, as
// on a page with keys. Locking: by one key, and by itself. Without scripts there are no keys here, and the forms work as they are.

import { readSession } from "../live/api.ts";
import { dropHelp } from "../live/help.ts";
import { forgetAccount } from "../store/db.ts";
import { isLockKey, unsentHere } from "../store/shared.ts";

async function leave(form: HTMLFormElement): Promise<void> {
  const { leaving = "", unsent = "" } = form.dataset;
  if ((await unsentHere(leaving)) && !confirm(unsent)) return;
  await forgetAccount(leaving);
  await dropHelp();
  form.submit();
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-leaving]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // Where the store cannot be opened there is nothing to delete: leaving is always possible.
    leave(form).catch(() => form.submit());
  });
}

const LOOK_EVERY_MS = 5_000;

/** Keeps nothing on the screen once the session is locked, has ended, or is another person's. */
function watch(form: HTMLFormElement): void {
  const away = (): void => location.replace(`/lock?${new URLSearchParams({ next: location.pathname + location.search }).toString()}`);
  let lockAt = 0;
  const look = async (): Promise<void> => {
    if (Date.now() < lockAt) return;
    const session = await readSession();
    if (session.state !== "active" || session.account?.id !== form.dataset["account"]) return away();
    // The server's clock counts; this browser's may be wrong by hours.
    lockAt = Date.now() + Date.parse(session.lock_at ?? session.now) - Date.parse(session.now);
  };
  const channel = new BroadcastChannel("portal-session");
  // Tabs with keys wipe them at once.
  form.addEventListener("submit", () => channel.postMessage({ kind: "locked", account: form.dataset["account"] }));
  addEventListener("keydown", (event) => {
    if (!isLockKey(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  // A page that comes back out of the browser's own memory may be somebody else's.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  channel.onmessage = ({ data }: MessageEvent<{ kind: string; account: string }>) => {
    if ((data.kind === "active") !== (data.account === form.dataset["account"])) away();
  };
  document.addEventListener("visibilitychange", () => {
    lockAt = 0;
    look().catch(() => undefined);
  });
  setInterval(() => look().catch(() => undefined), LOOK_EVERY_MS);
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-lock]")) watch(form);
