// Keys made ahead: a member of a team makes the first keys of a colleague who has not signed in yet, under a code that is given by
// hand. Whoever types the code makes everything anew at once: what the member made opens nothing newer (docs/protocol.md section 3).

import { makeCertificate } from "../crypto/certificates.ts";
import { type UserChain, makeEntryAhead, makeNextEntry } from "../crypto/directory.ts";
import { type Bytes } from "../crypto/encoding.ts";
import { generateIdentity } from "../crypto/hybrid.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { generateCode, generateUrk } from "../crypto/recovery.ts";
import { post } from "../live/api.ts";
import { deviceName } from "./binding.ts";
import { deviceSigner, forgetKeys, keepPending, makeDevice } from "./local.ts";
import { settle } from "./pending.ts";
import { type Given, type OwnKeys } from "./shapes.ts";
import { type SignedIn } from "./unlock.ts";
import { entryHash, identityIn, makeVault, newestSeedIn } from "./vault.ts";
import { run } from "./work.ts";

/** What is handed over: the code, and until when it is taken (ISO 8601). `entry`: the hash of the entry that was made. */
export interface HandedOver {
  readonly code: string;
  readonly until: string;
  readonly entry: Bytes;
}

/** Makes the first keys of `account`. The code is known to this page alone, and shown once. Throws ApiError. */
export async function makeAhead(team: string, account: string): Promise<HandedOver> {
  const [identity, seed, root, code] = [generateIdentity(), generateSeed(), generateUrk(), generateCode()];
  const entry = await makeEntryAhead({ id: account, role: "person", gen: 1, kem: await publicKeyOf(seed) }, identity);
  const vault = await makeVault(account, root, { rev: 1, n: 1, gen: 1 }, identity, seed);
  const wrap = await run("wrapRootKey", { user: account, urk: root, method: "code", secret: code });
  const { until } = await post<{ until: string }>(`/api/teams/${team}/ahead`, { account, entry, vault, wrap });
  return { code, until, entry: entryHash(entry.h) };
}

/**
 * Replaces keys that were made ahead by own ones and makes this browser the first device. `root` is the root key by the code. Throws
 * Refused when the vault is not what the chain says, ApiError (`ahead-ended`, `step-up`).
 */
export async function takeOver(
  { account, store }: SignedIn,
  own: OwnKeys & { readonly vault: NonNullable<OwnKeys["vault"]> },
  chain: UserChain,
  root: Bytes,
): Promise<void> {
  const [given, before] = [await identityIn(own.vault.vault, root, chain), await newestSeedIn(own.vault.vault, root, chain)];
  const [identity, seed, newRoot, device] = [generateIdentity(), generateSeed(), generateUrk(), await makeDevice()];
  const [n, gen, rev] = [chain.newest.n + 1, chain.newest.gen + 1, own.vault.rev + 1];
  const entry = await makeNextEntry({ id: account.id, role: "person", gen, kem: await publicKeyOf(seed) }, identity, chain.newest, given, {
    before,
    now: seed,
  });
  const certificate = await makeCertificate(identity, await deviceSigner(device), { user: account.id, dev: device.id, ts: Date.now() });
  const vault = await makeVault(account.id, newRoot, { rev, n, gen }, identity, seed);
  await forgetKeys(store);
  const pending = await keepPending(store, { device, gen, keepRoot: true, certificate, entry: entryHash(entry.h) }, { root: newRoot, seed });
  await post("/api/keys/entries", { entry, vault, rev });
  await settle(store, account.id, pending, await post<Given>("/api/keys/devices", { certificate, name: deviceName() }));
}
