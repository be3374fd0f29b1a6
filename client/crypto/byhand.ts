// What a browser without the newer algorithms computes by hand: Ed25519, ML-DSA-65 and X-Wing by noble, the same bytes as the
// platform's own. It lies in a worker of its own (client/worker/byhand.ts), which only such a browser loads.

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { ml_kem768_x25519 as xwing } from "@noble/post-quantum/hybrid.js";
import { ml_dsa65 } from "@noble/post-quantum/ml-dsa.js";

import { ORDER, fromLittleEndian } from "./ed25519.ts";
import { type Bytes, concat, sameBytes } from "./encoding.ts";
import type { HandTasks } from "./platform.ts";

/** encode(SB - kA) = R, by noble's points. Its own verify multiplies by the cofactor and is never used. */
function equation(publicKey: Bytes, signature: Bytes, message: Bytes): boolean {
  let point: InstanceType<typeof ed25519.Point>;
  try {
    point = ed25519.Point.fromBytes(publicKey);
  } catch {
    return false; // not on the curve
  }
  const r = signature.subarray(0, 32);
  const k = fromLittleEndian(sha512(concat(r, publicKey, message))) % ORDER;
  const s = fromLittleEndian(signature.subarray(32));
  const expected = ed25519.Point.BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(k));
  return sameBytes(expected.toBytes(), r);
}

export const handTasks: HandTasks = {
  edPublicKey: async (seed) => ed25519.getPublicKey(seed) as Bytes,
  edSign: async ({ seed, message }) => ed25519.sign(message, seed) as Bytes,
  edVerify: async ({ publicKey, signature, message }) => equation(publicKey, signature, message),
  mlPublicKey: async (seed) => ml_dsa65.keygen(seed).publicKey as Bytes,
  mlSign: async ({ seed, message, context }) => ml_dsa65.sign(message, ml_dsa65.keygen(seed).secretKey, { context }) as Bytes,
  mlVerify: async ({ publicKey, signature, message, context }) => ml_dsa65.verify(signature, message, publicKey, { context }),
  kemPublicKey: async (seed) => xwing.keygen(seed).publicKey as Bytes,
  kemEncapsulate: async (publicKey) => {
    const { sharedSecret, cipherText } = xwing.encapsulate(publicKey);
    return { secret: sharedSecret as Bytes, enc: cipherText as Bytes };
  },
  kemDecapsulate: async ({ seed, enc }) => xwing.decapsulate(enc, seed) as Bytes,
};
