// From a page that knows nothing to a page with keys: who is signed in, whether this browser is one of the person's devices,
// the share, the seeds, the teams. Everything that stands in the way has a page of its own, which comes back here.

import { type UserChain, verifyUserChain, walkBackSeeds } from "../crypto/directory.ts";
import { unb64 } from "../crypto/encoding.ts";
import { refused } from "../crypto/reasons.ts";
import { openTeam } from "../crypto/teams.ts";
import { type Account, ApiError, type SessionState, get, isCode, readSession, speakFor } from "../live/api.ts";
import { Store } from "../store/db.ts";
import { isShared } from "../store/shared.ts";
import { bind } from "./binding.ts";
import { Comparisons } from "./comparing.ts";
import { Directory } from "./directory.ts";
import { Keyring } from "./keyring.ts";
import { guardedDevice, lockOfSession } from "./guarding.ts";
import { Resting, exclusively, forgetKeys, keptDevice, keptGuards, signingKey } from "./local.ts";
import { Objects } from "./objects.ts";
import { finishPending } from "./pending.ts";
import { Pins } from "./pins.ts";
import { type OwnKeys } from "./shapes.ts";

/** A page that can open and sign. */
export interface Ready {
  readonly session: SessionState;
  readonly account: Account;
  readonly store: Store;
  readonly keyring: Keyring;
  /** The person's own chain, verified. */
  readonly chain: UserChain;
  readonly own: OwnKeys;
  readonly resting: Resting;
  readonly directory: Directory;
  readonly objects: Objects;
}

/** A page of somebody signed in, whose browser may or may not have keys. */
export interface SignedIn {
  readonly session: SessionState;
  readonly account: Account;
  readonly store: Store;
}

/** Why a page cannot have keys yet. */
export type Missing =
  /** Nobody has made keys for this person. */
  | "no-keys"
  /** The person has keys, this browser has none. */
  | "new-browser"
  /** This browser was a device and was ended. */
  | "ended"
  /** The person started again elsewhere; what lies here belongs to the old keys. */
  | "stale"
  /** The person's newest key was made on another device. */
  | "behind"
  /** The server can no longer give this device's share, or the PIN of a shared one was deleted. */
  | "share-gone"
  /** A device that others use too: its person opens it first. */
  | "guarded";

/** The page that helps. `/setup` makes first keys without a question; `/recover` asks for a way back. */
const HELPS: Readonly<Record<Missing, string>> = {
  "no-keys": "/setup", "new-browser": "/recover", ended: "/recover", stale: "/recover", behind: "/recover", "share-gone": "/recover",
  guarded: "/lock",
};

/** Where the person is now, for `next`. */
export function here(): string {
  return location.pathname + location.search;
}

/** Leaves this page for another; never comes back. */
export function leaveFor(path: string, query: Readonly<Record<string, string>> = {}): Promise<never> {
  const words = new URLSearchParams(query).toString();
  location.replace(words === "" ? path : `${path}?${words}`);
  return new Promise(() => undefined);
}

/** The person of this page; signs in or unlocks first where that is needed. */
export async function signedIn(): Promise<SignedIn> {
  const session = await readSession();
  // A shared browser's lock page knows who may come back; without any it goes on to the login.
  if (session.account === null || session.state === "anonymous") return leaveFor(isShared() ? "/lock" : "/login", { next: here() });
  if (session.state === "locked") return leaveFor(session.shared ? "/lock" : "/unlock", { next: here() });
  speakFor(session.account.id);
  return { session, account: session.account, store: await Store.open(session.account.id) };
}

/** Keys for this page. Where something is missing, the page that helps comes first, and this one again after it. */
export async function ensureReady(): Promise<Ready> {
  const person = await signedIn();
  const found = await unlock(person);
  if (typeof found !== "string") return found;
  return leaveFor(HELPS[found], { next: here(), ...(HELPS[found] === "/recover" ? { why: found } : {}) });
}

/** As `ensureReady`, but says what is missing instead of leaving. */
export async function unlock(person: SignedIn): Promise<Ready | Missing> {
  const { session, account, store } = person;
  const [finished, own, opened] = await exclusively(account.id, async () => {
    // Asked for inside the lock: another tab may be just about to publish keys.
    const before = await ownKeys();
    const guarded = await guardedDevice(store);
    const living = before.devices.find((one) => one.id === guarded?.id)?.state === "active";
    const lock = guarded !== undefined && living ? (await lockOfSession(session, store, account.id, guarded)) ?? "guarded" as const : undefined;
    if (lock === "guarded") return [undefined, before, (await keptGuards(store)).length === 0 ? "share-gone" as const : lock] as const;
    const done = await finishPending(store, account.id, session, before, lock);
    return [done, done === undefined ? before : await ownKeys(), lock] as const;
  });
  if (typeof opened === "string") return opened;
  let given = finished;
  const device = await keptDevice(store);
  if (device === undefined) return own.entries.length === 0 ? "no-keys" : "new-browser";
  const state = own.devices.find((one) => one.id === device.id)?.state;
  if (state === undefined || state === "ended") {
    await forgetKeys(store);
    return own.entries.length === 0 ? "no-keys" : "ended";
  }
  if (state === "stale") return "stale";
  const chain = await ownChain(account.id, own, store);
  try {
    given ??= opened?.given ?? await bind(session, device);
  } catch (error) {
    if (isCode(error, "share-gone")) return "share-gone";
    if (isCode(error, "device-stale")) return "stale";
    // Somebody pressed "Something is wrong": a login from before it opens nothing.
    if (isCode(error, "step-up")) return leaveFor("/step-up", { next: here() });
    throw error;
  }
  const resting = new Resting(store, account.id, device, opened?.lock ?? unb64(given.share, 32));
  await forgetLeftTeams(resting, own);
  const keyring = await Keyring.from({
    account: account.id, device: device.id, publicKey: device.publicKey, seeds: await resting.seeds(),
    signing: await signingKey(device, opened === undefined ? undefined : { account: account.id, lock: opened.lock }),
  });
  if (!(await completeOwn(keyring, chain))) return "behind";
  const directory = new Directory(chain, own, account);
  const objects = new Objects(keyring, directory);
  directory.keepPinsIn(new Pins(objects, keyring, account.role !== "patient"));
  directory.keepComparisonsIn(new Comparisons(objects, account.id));
  await openTeams(keyring, directory, resting, own);
  return { session, account, store, keyring, chain, own, resting, directory, objects };
}

/** The person's own keys, without the vault: reading that one is put on record, and only acts with the root key need it. */
export function ownKeys(): Promise<OwnKeys> {
  return get<OwnKeys>("/api/keys/me?vault=0");
}

/** The person's own keys with the vault. */
export async function ownKeysWithVault(): Promise<OwnKeys & { readonly vault: NonNullable<OwnKeys["vault"]> }> {
  const own = await get<OwnKeys>("/api/keys/me");
  // Given to a certified device, or within five minutes of a sign-in.
  if (own.vault === null) throw new ApiError(403, "step-up", "", {}, null);
  return { ...own, vault: own.vault };
}

/** Who was taken out of a team keeps nothing of it here, not even sealed. */
async function forgetLeftTeams(resting: Resting, own: OwnKeys): Promise<void> {
  const mine = new Set(own.teams.filter((seat) => seat.state === "member").map((seat) => seat.team));
  for (const { what, owner, gen } of await resting.names()) {
    if (what === "team" && !mine.has(owner)) await resting.drop("team", owner, gen);
  }
}

/** One's own chain, held against what this browser saw last. Throws Refused (`rollback`, `fork` …): the server shows another. */
export async function ownChain(account: string, own: OwnKeys, store: Store): Promise<UserChain> {
  const pin = await store.get<{ n: number; hash: Uint8Array<ArrayBuffer> }>("pins", "own");
  const chain = await verifyUserChain(account, own.entries, pin);
  if (refused(chain)) throw chain;
  if (pin?.n !== chain.newest.n) await store.put("pins", "own", chain.pin());
  return chain;
}

/** Walks back to older generations; false if the newest is not held. */
async function completeOwn(keyring: Keyring, chain: UserChain): Promise<boolean> {
  const newest = keyring.seed(keyring.account, chain.newest.gen);
  if (newest === undefined) return false;
  const walked = await walkBackSeeds(chain, newest);
  if (refused(walked)) throw walked;
  for (const [gen, seed] of walked) keyring.add({ id: keyring.account, gen, seed });
  return true;
}

/** Opens the keys of the person's teams. A team that does not open is left out; its page says so. */
export async function openTeams(keyring: Keyring, directory: Directory, resting: Resting, own: OwnKeys): Promise<void> {
  const teams = own.teams.filter((seat) => seat.state === "member").map((seat) => seat.team);
  if (teams.length === 0) return;
  await directory.load(teams);
  for (const team of teams) {
    const chain = directory.known.team(team);
    if (chain === undefined || keyring.newest(team) === chain.newest.gen) continue;
    const seeds = await openTeam(chain, keyring.account, keyring.newest(keyring.account) ?? 0, keyring);
    if (seeds === undefined || refused(seeds)) continue;
    for (const [gen, seed] of seeds) {
      keyring.add({ id: team, gen, seed });
      await resting.keep("team", team, gen, seed);
    }
  }
}
