// The identity's signature: Ed25519 and ML-DSA-65 side by side, both must hold (docs/protocol.md sections 2 and 3).

import { publicKeyOfSeed, signerFromSeed, verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, randomBytes, unb64, utf8 } from "./encoding.ts";
import { byHand, nativeAllowed, nativePublicKey } from "./platform.ts";
import { attempt, refused } from "./reasons.ts";

/** The two public keys of an identity. */
export interface IdentityKeys {
  readonly ed: Bytes;
  readonly ml: Bytes;
}

/** The two 32-byte seeds of an identity; they lie only under the user root key. */
export interface IdentitySeeds {
  readonly ed: Bytes;
  readonly ml: Bytes;
}

export const ML_DSA_PUBLIC = 1952;
export const ML_DSA_SIGNATURE = 3309;
const CONTEXT = utf8("rxe2ee/1");
const ALGORITHM = { name: "ML-DSA-65" };

/** Fresh seeds of an identity. */
export function generateIdentity(): IdentitySeeds {
  return { ed: randomBytes(32), ml: randomBytes(32) };
}

/** The public keys that belong to the seeds. */
export async function identityKeys(seeds: IdentitySeeds): Promise<IdentityKeys> {
  const ml = await nativePublicKey(ALGORITHM, seeds.ml, ["sign", "verify"]);
  return { ed: await publicKeyOfSeed(seeds.ed), ml: ml ?? await byHand("mlPublicKey", seeds.ml) };
}

/** b64(Ed25519) + "." + b64(ML-DSA-65) over `message`. */
export async function sign(seeds: IdentitySeeds, message: Bytes): Promise<string> {
  const classical = await (await signerFromSeed(seeds.ed)).sign(message);
  return `${b64(classical)}.${b64(await signMlDsa(seeds.ml, message))}`;
}

/** Whether both halves of `signature` hold. A text of another form is false. */
export async function verify(keys: IdentityKeys, signature: string, message: Bytes): Promise<boolean> {
  const halves = splitSignature(signature);
  if (halves === undefined) return false;
  if (!(await verifyEd25519(keys.ed, halves.ed, message))) return false;
  return verifyMlDsa(keys.ml, halves.ml, message);
}

/** The two halves of a signature text, or undefined if it has another form. */
export function splitSignature(text: string): { readonly ed: Bytes; readonly ml: Bytes } | undefined {
  const parts = text.split(".");
  if (parts.length !== 2) return undefined;
  const halves = attempt(() => ({ ed: unb64(parts[0], 64), ml: unb64(parts[1], ML_DSA_SIGNATURE) }));
  return refused(halves) ? undefined : halves;
}

async function signMlDsa(seed: Bytes, message: Bytes): Promise<Bytes> {
  const handle = await nativeKey("raw-seed", seed, "sign");
  if (handle !== undefined) {
    return new Uint8Array(await crypto.subtle.sign({ ...ALGORITHM, context: CONTEXT } as Algorithm, handle, message));
  }
  return byHand("mlSign", { seed, message, context: CONTEXT });
}

async function verifyMlDsa(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  if (publicKey.length !== ML_DSA_PUBLIC) return false;
  const handle = await nativeKey("raw-public", publicKey, "verify");
  if (handle !== undefined) {
    return crypto.subtle.verify({ ...ALGORITHM, context: CONTEXT } as Algorithm, handle, signature, message);
  }
  return byHand("mlVerify", { publicKey, signature, message, context: CONTEXT });
}

/** A WebCrypto key, or undefined where the platform has no ML-DSA: then the same bytes are computed by hand. */
async function nativeKey(format: string, bytes: Bytes, use: "sign" | "verify"): Promise<CryptoKey | undefined> {
  if (!nativeAllowed()) return undefined;
  try {
    return await crypto.subtle.importKey(format as "raw", bytes, ALGORITHM, false, [use]);
  } catch {
    return undefined;
  }
}
