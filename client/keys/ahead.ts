// Keys made ahead: a member of a team makes the first keys of a colleague who has not signed in yet, under a code that is given by
// hand. Whoever types the code makes everything anew at once (restore.ts): what the member made opens nothing newer
// (docs/protocol.md section 3).

import { makeEntryAhead } from "../crypto/directory.ts";
import { type Bytes } from "../crypto/encoding.ts";
import { generateIdentity } from "../crypto/hybrid.ts";
import { generateSeed, publicKeyOf } from "../crypto/hpke.ts";
import { generateCode, generateUrk } from "../crypto/recovery.ts";
import { post } from "../live/api.ts";
import { entryHash, makeVault } from "./vault.ts";
import { run } from "./work.ts";

/** What is handed over: the code, and until when it is taken (ISO 8601). `entry`: the hash of the entry that was made. */
export interface HandedOver {
  readonly code: string;
  readonly until: string;
  readonly entry: Bytes;
}

/**
 * Makes the first keys of `account`, who gets a seat in each of `teams`, of which this person is a member: one code opens them all.
 * The code is known to this page alone, and shown once. Throws ApiError.
 */
export async function makeAhead(teams: readonly [string, ...string[]], account: string): Promise<HandedOver> {
  const [first, ...also] = teams;
  const [identity, seed, root, code] = [generateIdentity(), generateSeed(), generateUrk(), generateCode()];
  const entry = await makeEntryAhead({ id: account, role: "person", gen: 1, kem: await publicKeyOf(seed) }, identity);
  const vault = await makeVault(account, root, { rev: 1, n: 1, gen: 1 }, identity, seed);
  const wrap = await run("wrapRootKey", { user: account, urk: root, method: "code", secret: code });
  const { until } = await post<{ until: string }>(`/api/teams/${first}/ahead`, { account, entry, vault, wrap, also });
  return { code, until, entry: entryHash(entry.h) };
}
