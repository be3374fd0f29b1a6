// On a page of the server, on a computer that others use too. Signing out: what the client keeps here of the person goes first, as
// on a page with keys. Locking: by one key, and by itself. Without scripts there are no keys here, and the forms work as they are.

import { hasGuard } from "../keys/guarded.ts";
import { post, readSession } from "../live/api.ts";
import { dropHelp } from "../live/help.ts";
import { Store, forgetAccount } from "../store/db.ts";
import { isLockKey, isShared, unsentHere } from "../store/shared.ts";

async function leave(form: HTMLFormElement): Promise<void> {
  const { leaving = "", unsent = "" } = form.dataset;
  if (!isShared() || (await guardedHere(leaving))) return form.submit();
  if ((await unsentHere(leaving)) && !confirm(unsent)) return;
  await forgetAccount(leaving);
  await dropHelp();
  form.submit();
}

async function guardedHere(account: string): Promise<boolean> {
  const store = await Store.open(account);
  const guarded = await hasGuard(store);
  store.close();
  return guarded;
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-leaving]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // Where the store cannot be opened there is nothing to delete: leaving is always possible.
    leave(form).catch(() => form.submit());
  });
}

const LOOK_EVERY_MS = 5_000;
const ACTS = ["pointerdown", "keydown", "wheel", "touchstart"] as const;

/**
 * Keeps nothing on the screen once the session is locked, has ended, or is another person's; and keeps it open for as long as somebody
 * reads or types here, as a page with keys does.
 */
function watch(form: HTMLFormElement): void {
  const account = form.dataset["account"] ?? "";
  const warning = document.querySelector<HTMLElement>("[data-lock-warning]");
  const away = (): void => location.replace(`/lock?${new URLSearchParams({ next: location.pathname + location.search }).toString()}`);
  const channel = new BroadcastChannel("portal-session");
  let [lockAt, warnAt, tellEvery, told] = [0, 0, 0, 0];
  let locking = false;
  const look = async (): Promise<void> => {
    if (Date.now() >= lockAt) {
      const session = await readSession();
      if (session.state !== "active" || session.account?.id !== account) return away();
      // The server's clock counts; this browser's may be wrong by hours.
      lockAt = Date.now() + Date.parse(session.lock_at ?? session.now) - Date.parse(session.now);
      warnAt = lockAt - session.warn_before * 1000;
      tellEvery = session.tell_every * 1000;
    }
    if (warning !== null) warning.hidden = Date.now() < warnAt;
  };
  const act = async (): Promise<void> => {
    if (Date.now() - told < tellEvery && warning?.hidden !== false) return;
    told = Date.now();
    const said = await post<{ lock_at: string; ends_at: string }>("/api/session/activity");
    // Locked since: the other tabs must not come back by what was said before.
    if (locking) return;
    channel.postMessage({ kind: "active", account, lockAt: Date.parse(said.lock_at), endsAt: Date.parse(said.ends_at) });
    lockAt = 0;
    await look();
  };
  for (const kind of ACTS) addEventListener(kind, () => void act().catch(() => undefined), { passive: true, capture: true });
  // Tabs with keys wipe them at once.
  form.addEventListener("submit", () => {
    locking = true;
    channel.postMessage({ kind: "locked", account });
  });
  addEventListener("keydown", (event) => {
    if (!isLockKey(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  // A page that comes back out of the browser's own memory may be somebody else's.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  channel.onmessage = ({ data }: MessageEvent<{ kind: string; account: string }>) => {
    if ((data.kind === "active") !== (data.account === account)) away();
    else lockAt = 0;
  };
  const lookAnew = (): void => {
    lockAt = 0;
    look().catch(() => undefined);
  };
  document.addEventListener("visibilitychange", lookAnew);
  setInterval(() => look().catch(() => undefined), LOOK_EVERY_MS);
  lookAnew();
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-lock]")) watch(form);
