// A browser without keys gets them back: by passkey, code or passphrase to the root key, from there to identity and seeds, and with them
// a certificate for this browser. Or, when everything is lost, a new beginning.

import { makeCertificate } from "../crypto/certificates.ts";
import { type UserChain, makeNextEntry } from "../crypto/directory.ts";
import { type Bytes, unb64 } from "../crypto/encoding.ts";
import { type IdentitySeeds, generateIdentity } from "../crypto/hybrid.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { generateUrk, type UrkWrap, wayOf } from "../crypto/recovery.ts";
import { isCode, post } from "../live/api.ts";
import { type Store } from "../store/db.ts";
import { bind, deviceName } from "./binding.ts";
import { lockOfSession } from "./guarding.ts";
import { type KeptDevice, isGuarded } from "./guarded.ts";
import {
  type Ownership, Resting, exclusively, forgetKeys, keepPending, keepWrap, keptDevice, makeDevice,
} from "./local.ts";
import { finishPending, settle } from "./pending.ts";
import { tried } from "./recovery.ts";
import { revoke } from "./rotate.ts";
import { type Given } from "./shapes.ts";
import { type SignedIn, ownChain, ownKeys, ownKeysWithVault } from "./unlock.ts";
import { entryHash, identityIn, makeVault, newestSeedIn, openRootKey } from "./vault.ts";

/**
 * Makes this browser a device of the person again. Throws Refused `code` for a typing error, `aead` for a wrong code or
 * passphrase; ApiError.
 */
export async function restore(person: SignedIn, wrap: UrkWrap, secret: string, ownership: Ownership): Promise<void> {
  const root = await openRootKey(wrap, person.account.id, secret);
  return exclusively(person.account.id, () => comeBack(person, wrap, root, ownership));
}

/**
 * Finishes what was begun in this browser, if its keys are known to the server already and only the device is not: the line broke
 * between the two. Then no code would open anything any more. Says whether the browser has keys now. Throws ApiError.
 */
export function finishBegun({ account, session, store }: SignedIn): Promise<boolean> {
  return exclusively(account.id, async () => (await finishPending(store, account.id, session, await ownKeys())) !== undefined);
}

async function comeBack(person: SignedIn, wrap: UrkWrap, root: Bytes, ownership: Ownership): Promise<void> {
  const { account, store } = person;
  const own = await ownKeysWithVault();
  if ((await finishPending(store, account.id, person.session, own)) !== undefined) return;
  const chain = await ownChain(account.id, own, store);
  const vault = own.vault.vault;
  const [identity, seed] = [await identityIn(vault, root, chain), await newestSeedIn(vault, root, chain)];
  // What a colleague made ahead is replaced before anything else is done with it.
  if (chain.newest.ahead) return makeAnew(person, own, chain, { identity, seed }, ownership);
  const kept = await keptDevice(store);
  const state = own.devices.find((one) => one.id === kept?.id)?.state;
  if (kept !== undefined && state === "active") {
    // Still a device: only the newest key is missing here.
    const resting = await openedHere(person, kept);
    if (resting !== undefined) {
      await resting.keep("puk", account.id, chain.newest.gen, seed);
      await keepWay(store, wrap);
      return;
    }
  }
  await forgetKeys(store);
  const made = await makeDevice(account.id, ownership);
  const certificate = await makeCertificate(identity, made.signer, { user: account.id, dev: made.device.id, ts: Date.now() });
  const pending = await keepPending(
    store, account.id, made, { gen: chain.newest.gen, keepRoot: false, certificate, entry: chain.newest.hash }, { root, seed },
  );
  const given = await post<Given>("/api/keys/devices", { certificate, name: deviceName(), ...made.request });
  await settle(store, account.id, pending, given, made.lock);
  if (await keepWay(store, wrap)) await tried(wayOf(wrap));
  // Its PIN is gone or forgotten, and nothing of it lies here any more.
  if (kept !== undefined && isGuarded(kept) && state === "active") await revoke(account.id, identity, kept.id);
}

/** Keeps the wrap that opened, but for what another device offered: that was for once. Says whether it is a way back. */
async function keepWay(store: Store, wrap: UrkWrap): Promise<boolean> {
  if (wrap.method === "device") return false;
  await keepWrap(store, wrap);
  return true;
}

/** What lies at rest here, if this browser still opens; undefined where it has to become a new device. */
async function openedHere({ account, session, store }: SignedIn, kept: KeptDevice): Promise<Resting | undefined> {
  if (isGuarded(kept)) {
    const opened = await lockOfSession(session, store, account.id, kept);
    return opened === undefined ? undefined : new Resting(store, account.id, kept, opened.lock);
  }
  try {
    return new Resting(store, account.id, kept, unb64((await bind(session, kept)).share, 32));
  } catch (error) {
    // The operator's key that sealed the share is gone: this browser becomes a new device.
    if (isCode(error, "share-gone", "not-found")) return undefined;
    throw error;
  }
}

/**
 * Starts again without the old keys: a new identity that says so (`reset`). Old messages stay closed until a pharmacist has
 * confirmed who it is; new ones can be written at once. Asks for a fresh login (ApiError `step-up`).
 */
export function startAgain(person: SignedIn, ownership: Ownership): Promise<void> {
  return exclusively(person.account.id, async () => {
    const own = await ownKeysWithVault();
    return makeAnew(person, own, await ownChain(person.account.id, own, person.store), undefined, ownership);
  });
}

/** New keys and a new device after a chain: a `reset`, or taking over from `before`, which then vouches and is led back to. */
async function makeAnew(
  { account, store }: SignedIn, own: Awaited<ReturnType<typeof ownKeysWithVault>>, chain: UserChain,
  before: { readonly identity: IdentitySeeds; readonly seed: Bytes } | undefined, ownership: Ownership,
): Promise<void> {
  const [identity, seed, root, made] = [generateIdentity(), generateSeed(), generateUrk(), await makeDevice(account.id, ownership)];
  const [n, gen, rev] = [chain.newest.n + 1, chain.newest.gen + 1, own.vault.rev + 1];
  const entry = await makeNextEntry(
    { id: account.id, role: "person", gen, kem: await publicKeyOf(seed) }, identity, chain.newest, before?.identity,
    before === undefined ? undefined : { before: before.seed, now: seed },
  );
  const certificate = await makeCertificate(identity, made.signer, { user: account.id, dev: made.device.id, ts: Date.now() });
  const vault = await makeVault(account.id, root, { rev, n, gen }, identity, seed);
  await forgetKeys(store);
  const pending = await keepPending(
    store, account.id, made, { gen, keepRoot: true, certificate, entry: entryHash(entry.h) }, { root, seed },
  );
  await post("/api/keys/entries", { entry, vault, rev });
  const given = await post<Given>("/api/keys/devices", { certificate, name: deviceName(), ...made.request });
  await settle(store, account.id, pending, given, made.lock);
}
