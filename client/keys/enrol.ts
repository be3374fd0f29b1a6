// First keys, made at the first sign-in without a question: the first message can be sent at once. A recovery way is offered
// afterwards; until one is set, the root key lies at rest on this device like the seeds.

import { makeCertificate } from "../crypto/certificates.ts";
import { makeFirstEntry } from "../crypto/directory.ts";
import { generateIdentity } from "../crypto/hybrid.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { generateUrk } from "../crypto/recovery.ts";
import { post } from "../live/api.ts";
import { deviceName } from "./binding.ts";
import { type Ownership, exclusively, keepPending, keptDevice, makeDevice } from "./local.ts";
import { settle } from "./pending.ts";
import { type Given } from "./shapes.ts";
import { type SignedIn } from "./unlock.ts";
import { entryHash, makeVault } from "./vault.ts";

/** Makes and publishes the first keys. Throws ApiError `already-enrolled` when another browser was faster. */
export function enrol(person: SignedIn, ownership: Ownership): Promise<void> {
  return exclusively(person.account.id, async () => {
    // Another tab may have made them while this one waited.
    if ((await keptDevice(person.store)) === undefined) await makeFirst(person, ownership);
  });
}

async function makeFirst({ account, store }: SignedIn, ownership: Ownership): Promise<void> {
  const [identity, seed, root, made] = [generateIdentity(), generateSeed(), generateUrk(), await makeDevice(account.id, ownership)];
  const entry = await makeFirstEntry({ id: account.id, role: "person", gen: 1, kem: await publicKeyOf(seed) }, identity);
  const certificate = await makeCertificate(identity, made.signer, { user: account.id, dev: made.device.id, ts: Date.now() });
  const vault = await makeVault(account.id, root, { rev: 1, n: 1, gen: 1 }, identity, seed);
  const pending = await keepPending(
    store, account.id, made, { gen: 1, keepRoot: true, certificate, entry: entryHash(entry.h) }, { root, seed },
  );
  const given = await post<Given>("/api/keys/enrol", { entry, certificate, vault, device_name: deviceName(), ...made.request });
  await settle(store, account.id, pending, given, made.lock);
}
