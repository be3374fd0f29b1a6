// Ending a device: a revocation signed by the identity, and a new encryption key, as the old one may be in other hands.

import { makeRevocation } from "../crypto/certificates.ts";
import { makeNextEntry } from "../crypto/directory.ts";
import { type Bytes } from "../crypto/encoding.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { ApiError, post } from "../live/api.ts";
import { type Ready, ownChain, ownKeysWithVault } from "./unlock.ts";
import { identityIn, vaultWithSeed } from "./vault.ts";

/** Ends a device of the person. Its share is destroyed and its sessions end; from then on a new key is used. */
export async function endDevice(ready: Ready, root: Bytes, device: string): Promise<void> {
  const own = await ownKeysWithVault();
  const chain = await ownChain(ready.account.id, own, ready.store);
  const identity = await identityIn(own.vault.vault, root, chain);
  const revocation = await makeRevocation(identity, { user: ready.account.id, dev: device, ts: Date.now() });
  await post(`/api/keys/devices/${device}/end`, { revocation });
  await newGeneration(ready, root);
}

/**
 * Makes the next generation of the person's own encryption key. The seed lies at rest before the server hears of it. Other
 * devices of the person ask for code or passphrase once.
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
