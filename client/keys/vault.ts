// The vault: a person's seeds in root boxes under the root key (docs/protocol.md section 8), and the root key itself by
// passphrase or code.

import { type UserChain } from "../crypto/directory.ts";
import { type Bytes, unb64, sha256 } from "../crypto/encoding.ts";
import { type IdentitySeeds } from "../crypto/hybrid.ts";
import {
  type RootBoxText, openEncryptionSeed, openIdentity, rootBoxName, sealEncryptionSeed, sealIdentity,
} from "../crypto/objects.ts";
import { Refused, attempt, refused } from "../crypto/reasons.ts";
import { type UrkWrap } from "../crypto/recovery.ts";
import { type VaultText } from "./shapes.ts";
import { run } from "./work.ts";

/** The vault of first keys, or of keys that start again. `n`: number of the entry that introduced the identity. */
export async function makeVault(
  user: string, root: Bytes, facts: { readonly rev: number; readonly n: number; readonly gen: number }, identity: IdentitySeeds, seed: Bytes,
): Promise<VaultText> {
  const ts = Date.now();
  return {
    user, rev: facts.rev,
    boxes: [await sealIdentity(root, user, facts.n, identity, ts), await sealEncryptionSeed(root, user, facts.gen, seed, ts)],
  };
}

/** The same vault with one more generation in it. Older generations are left out: `prevseed` leads to them. */
export async function vaultWithSeed(vault: VaultText, root: Bytes, user: string, gen: number, seed: Bytes): Promise<VaultText> {
  const kept = vault.boxes.filter((box) => {
    const name = attempt(() => rootBoxName(box));
    return !refused(name) && name.kind === "uik";
  });
  return { user, rev: vault.rev + 1, boxes: [...kept, await sealEncryptionSeed(root, user, gen, seed, Date.now())] };
}

function boxOf(vault: VaultText, kind: "uik" | "puk", n: number): RootBoxText {
  const found = vault.boxes.find((box) => {
    const name = attempt(() => rootBoxName(box));
    return !refused(name) && name.kind === kind && name.n === n;
  });
  if (found === undefined) throw new Refused("object", `no ${kind} ${n} in the vault`);
  return found;
}

/** The present identity. Throws Refused: `aead` for a wrong root key, `object`, `member key`. */
export async function identityIn(vault: VaultText, root: Bytes, chain: UserChain): Promise<IdentitySeeds> {
  const { n } = chain.introduced;
  const identity = await openIdentity(boxOf(vault, "uik", n), root, chain, n);
  if (refused(identity)) throw identity;
  return identity;
}

/** The newest encryption seed. Throws Refused as `identityIn`. */
export async function newestSeedIn(vault: VaultText, root: Bytes, chain: UserChain): Promise<Bytes> {
  const gen = chain.newest.gen;
  const seed = await openEncryptionSeed(boxOf(vault, "puk", gen), root, chain, gen);
  if (refused(seed)) throw seed;
  return seed;
}

/** The root key out of a wrap, stretched in the worker. Throws Refused: `code` (a typing error), `aead` (wrong), `parameters`. */
export function openRootKey(wrap: UrkWrap, user: string, secret: string): Promise<Bytes> {
  return run("openRootKey", { wrap, user, secret });
}

/** The hash by which an entry is named. */
export function entryHash(h: string): Bytes {
  return sha256(unb64(h));
}
