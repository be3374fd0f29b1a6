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
import { deviceSigner, exclusively, forgetKeys, keepPending, keepWrap, keptDevice, makeDevice, Resting } from "./local.ts";
import { finishPending, settle } from "./pending.ts";
import { tried } from "./recovery.ts";
import { type Given } from "./shapes.ts";
import { type SignedIn, ownChain, ownKeys, ownKeysWithVault } from "./unlock.ts";
import { entryHash, identityIn, makeVault, newestSeedIn, openRootKey } from "./vault.ts";

/**
 * Makes this browser a device of the person again. Throws Refused `code` for a typing error, `aead` for a wrong code or
 * passphrase; ApiError.
 */
export async function restore(person: SignedIn, wrap: UrkWrap, secret: string): Promise<void> {
  const root = await openRootKey(wrap, person.account.id, secret);
  return exclusively(person.account.id, () => comeBack(person, wrap, root));
}

/**
 * Finishes what was begun in this browser, if its keys are known to the server already and only the device is not: the line broke
 * between the two. Then no code would open anything any more. Says whether the browser has keys now. Throws ApiError.
 */
export function finishBegun({ account, session, store }: SignedIn): Promise<boolean> {
  return exclusively(account.id, async () => (await finishPending(store, account.id, session, await ownKeys())) !== undefined);
}

async function comeBack(person: SignedIn, wrap: UrkWrap, root: Bytes): Promise<void> {
  const { account, store } = person;
  const own = await ownKeysWithVault();
  if ((await finishPending(store, account.id, person.session, own)) !== undefined) return;
  const chain = await ownChain(account.id, own, store);
  const vault = own.vault.vault;
  const [identity, seed] = [await identityIn(vault, root, chain), await newestSeedIn(vault, root, chain)];
  // What a colleague made ahead is replaced before anything else is done with it.
  if (chain.newest.ahead) return makeAnew(person, own, chain, { identity, seed });
  const kept = await keptDevice(store);
  const state = own.devices.find((one) => one.id === kept?.id)?.state;
  if (kept !== undefined && state === "active") {
    // Still a device: only the newest key is missing here.
    const given = await bind(person.session, kept).catch((error: unknown) => {
      // The operator's key that sealed the share is gone: this browser becomes a new device.
      if (isCode(error, "share-gone", "not-found")) return undefined;
      throw error;
    });
    if (given !== undefined) {
      await new Resting(store, account.id, kept, unb64(given.share, 32)).keep("puk", account.id, chain.newest.gen, seed);
      await keepWay(store, wrap);
      return;
    }
  }
  await forgetKeys(store);
  const device = await makeDevice();
  const certificate = await makeCertificate(identity, await deviceSigner(device), { user: account.id, dev: device.id, ts: Date.now() });
  const pending = await keepPending(
    store, { device, gen: chain.newest.gen, keepRoot: false, certificate, entry: chain.newest.hash }, { root, seed },
  );
  const given = await post<Given>("/api/keys/devices", { certificate, name: deviceName() });
  await settle(store, account.id, pending, given);
  if (await keepWay(store, wrap)) await tried(wayOf(wrap));
}

/** Keeps the wrap that opened, but for what another device offered: that was for once. Says whether it is a way back. */
async function keepWay(store: Store, wrap: UrkWrap): Promise<boolean> {
  if (wrap.method === "device") return false;
  await keepWrap(store, wrap);
  return true;
}

/**
 * Starts again without the old keys: a new identity that says so (`reset`). Old messages stay closed until a pharmacist has
 * confirmed who it is; new ones can be written at once. Asks for a fresh login (ApiError `step-up`).
 */
export function startAgain(person: SignedIn): Promise<void> {
  return exclusively(person.account.id, async () => {
    const own = await ownKeysWithVault();
    return makeAnew(person, own, await ownChain(person.account.id, own, person.store), undefined);
  });
}

/** New keys and a new device after a chain: a `reset`, or taking over from `before`, which then vouches and is led back to. */
async function makeAnew(
  { account, store }: SignedIn, own: Awaited<ReturnType<typeof ownKeysWithVault>>, chain: UserChain,
  before: { readonly identity: IdentitySeeds; readonly seed: Bytes } | undefined,
): Promise<void> {
  const [identity, seed, root, device] = [generateIdentity(), generateSeed(), generateUrk(), await makeDevice()];
  const [n, gen, rev] = [chain.newest.n + 1, chain.newest.gen + 1, own.vault.rev + 1];
  const entry = await makeNextEntry(
    { id: account.id, role: "person", gen, kem: await publicKeyOf(seed) }, identity, chain.newest, before?.identity,
    before === undefined ? undefined : { before: before.seed, now: seed },
  );
  const certificate = await makeCertificate(identity, await deviceSigner(device), { user: account.id, dev: device.id, ts: Date.now() });
  const vault = await makeVault(account.id, root, { rev, n, gen }, identity, seed);
  await forgetKeys(store);
  const pending = await keepPending(store, { device, gen, keepRoot: true, certificate, entry: entryHash(entry.h) }, { root, seed });
  await post("/api/keys/entries", { entry, vault, rev });
  await settle(store, account.id, pending, await post<Given>("/api/keys/devices", { certificate, name: deviceName() }));
}
