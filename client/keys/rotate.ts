// Ending a device: a revocation signed by the identity, and a new encryption key, as the old one may be in other hands.

import { makeCertificate, makeRevocation } from "../crypto/certificates.ts";
import { makeNextEntry } from "../crypto/directory.ts";
import { type Bytes } from "../crypto/encoding.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { type IdentitySeeds } from "../crypto/hybrid.ts";
import { ApiError, post } from "../live/api.ts";
import { deviceName } from "./binding.ts";
import { type Ownership, dropGuard, exclusively, keepPending, keptGuards, makeDevice } from "./local.ts";
import { settle } from "./pending.ts";
import { type Given } from "./shapes.ts";
import { type Ready, ownChain, ownKeysWithVault } from "./unlock.ts";
import { identityIn, newestSeedIn, vaultWithSeed } from "./vault.ts";

/** Ends a device of the person. Its share is destroyed and its sessions end; from then on a new key is used. */
export async function endDevice(ready: Ready, root: Bytes, device: string): Promise<void> {
  const own = await ownKeysWithVault();
  const chain = await ownChain(ready.account.id, own, ready.store);
  const identity = await identityIn(own.vault.vault, root, chain);
  await revoke(ready.account.id, identity, device);
  await newGeneration(ready, root);
}

/** Takes a device back: its shares are destroyed and its sessions end. */
export async function revoke(account: string, identity: IdentitySeeds, device: string): Promise<void> {
  const revocation = await makeRevocation(identity, { user: account, dev: device, ts: Date.now() });
  await post(`/api/keys/devices/${device}/end`, { revocation });
}

/**
 * Makes this browser another device of the person, one's own or one that others use too: what lies here is sealed anew, and the
 * device that it was ends. The page has to be loaded again. Throws ApiError (`step-up`).
 */
export async function becomeAnother(ready: Ready, root: Bytes, ownership: Ownership): Promise<void> {
  const { account, store } = ready;
  const before = ready.keyring.device;
  const own = await ownKeysWithVault();
  const chain = await ownChain(account.id, own, store);
  const [identity, seed] = [await identityIn(own.vault.vault, root, chain), await newestSeedIn(own.vault.vault, root, chain)];
  const made = await makeDevice(account.id, ownership);
  const certificate = await makeCertificate(identity, made.signer, { user: account.id, dev: made.device.id, ts: Date.now() });
  const keepRoot = own.recovery.length === 0;
  const guards = made.guard === undefined ? await keptGuards(store) : [];
  await exclusively(account.id, async () => {
    const pending = await keepPending(store, account.id, made, { gen: chain.newest.gen, keepRoot, certificate, entry: chain.newest.hash }, { root, seed });
    const given = await post<Given>("/api/keys/devices", { certificate, name: deviceName(), ...made.request });
    const resting = await settle(store, account.id, pending, given, made.lock);
    for (const one of ready.keyring.material().seeds) {
      if (one.id === account.id) await resting.keep("puk", one.id, one.gen, one.seed);
      else await resting.keep("team", one.id, one.gen, one.seed);
    }
    for (const { method } of guards) await dropGuard(store, method);
  });
  await revoke(account.id, identity, before);
}

/**
 * Makes the next generation of the person's own encryption key. The seed lies at rest before the server hears of it. Other
 * devices of the person ask for a way back once.
 */
export async function newGeneration(ready: Ready, root: Bytes): Promise<number> {
  const { account, keyring, resting } = ready;
  const own = await ownKeysWithVault();
  const chain = await ownChain(account.id, own, ready.store);
  const identity = await identityIn(own.vault.vault, root, chain);
  const [seed, gen] = [generateSeed(), chain.newest.gen + 1];
  const before = keyring.seed(account.id, chain.newest.gen);
  if (before === undefined) throw new Error("the newest key is not held here");
  const entry = await makeNextEntry(
    { id: account.id, role: "person", gen, kem: await publicKeyOf(seed) }, identity, chain.newest, identity, { before, now: seed },
  );
  const vault = await vaultWithSeed(own.vault.vault, root, account.id, gen, seed);
  await resting.keep("puk", account.id, gen, seed);
  try {
    await post("/api/keys/entries", { entry, vault: { ...vault, rev: own.vault.rev + 1 }, rev: own.vault.rev + 1 });
  } catch (error) {
    // Refused: the generation does not exist. Without an answer it may, and the seed must stay.
    if (error instanceof ApiError) await resting.drop("puk", account.id, gen);
    throw error;
  }
  keyring.add({ id: account.id, gen, seed });
  return gen;
}
