// HPKE base mode, one message a seal, suite 0x647a/0x0011/0x0002: MLKEM768-X25519 (X-Wing), SHAKE256, AES-256-GCM.
// Never auth mode and never PSK: who speaks is shown by signatures (docs/protocol.md, "Choice" and section 12).

import { shake256 } from "@noble/hashes/sha3.js";

import { type Bytes, aesOpen, aesSeal, concat, randomBytes, sameBytes, utf8 } from "./encoding.ts";
import { byHand, nativeAllowed, nativePublicKey } from "./platform.ts";

export const PUBLIC_KEY_BYTES = 1216;
export const SEED_BYTES = 32;
export const ENC_BYTES = 1120;
export const TAG_BYTES = 16;
/** What a seal adds to its content. */
export const OVERHEAD_BYTES = ENC_BYTES + TAG_BYTES;

const ALGORITHM = { name: "MLKEM768-X25519" };
const KEM_ID = [0x64, 0x7a];
const SUITE_ID = concat(utf8("HPKE"), Uint8Array.of(...KEM_ID, 0x00, 0x11, 0x00, 0x02));
const VERSION = utf8("HPKE-v1");
const NO_BYTES: Bytes = new Uint8Array(0);

/** The newer calls of WebCrypto that the type library does not know yet. */
interface KemSubtle {
  encapsulateBits(algorithm: Algorithm, key: CryptoKey): Promise<{ sharedKey: ArrayBuffer; ciphertext: ArrayBuffer }>;
  decapsulateBits(algorithm: Algorithm, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>;
}

/** A fresh 32-byte seed of an encryption key. */
export function generateSeed(): Bytes {
  return randomBytes(SEED_BYTES);
}

/** The public key of a seed: ML-KEM-768, then X25519. */
export async function publicKeyOf(seed: Bytes): Promise<Bytes> {
  return await nativePublicKey(ALGORITHM, seed, ["decapsulateBits", "encapsulateBits"]) ?? byHand("kemPublicKey", seed);
}

/**
 * Seals `plain` to a public key; gives enc || ct. All context stands in `info`, there is no further associated data.
 * Throws if the public key is not one.
 */
export async function seal(publicKey: Bytes, info: Bytes, plain: Bytes): Promise<Bytes> {
  const { secret, enc } = await encapsulate(publicKey);
  const { key, nonce } = schedule(secret, info);
  return concat(enc, await aesSeal(key, nonce, NO_BYTES, plain));
}

/** Opens enc || ct with the seed of the key; undefined if it was not sealed to it under this `info`. */
export async function open(seed: Bytes, info: Bytes, sealed: Bytes): Promise<Bytes | undefined> {
  if (sealed.length < OVERHEAD_BYTES) return undefined;
  const enc = sealed.slice(0, ENC_BYTES);
  if (!acceptableEnc(enc)) return undefined;
  const { key, nonce } = schedule(await decapsulate(seed, enc), info);
  return aesOpen(key, nonce, NO_BYTES, sealed.slice(ENC_BYTES));
}

/** The seven u values, reduced or not, from which X25519 gives zero whatever the secret. */
const SMALL_U = [
  0n,
  1n,
  (1n << 255n) - 20n,
  (1n << 255n) - 19n,
  (1n << 255n) - 18n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
].map((value) => {
  const out = new Uint8Array(32);
  for (let index = 0; index < 32; index += 1) out[index] = Number((value >> BigInt(8 * index)) & 0xffn);
  return out;
});

/** Whether the X25519 part of an encapsulation can give a secret at all; libraries do not show an all-zero result. */
export function acceptableEnc(enc: Uint8Array): boolean {
  const u = enc.slice(-32);
  u[31] = u[31]! & 0x7f;
  return !SMALL_U.some((value) => sameBytes(value, u));
}

async function encapsulate(publicKey: Bytes): Promise<{ secret: Bytes; enc: Bytes }> {
  const handle = await nativeKey("raw-public", publicKey, "encapsulateBits");
  if (handle !== undefined) {
    const result = await (crypto.subtle as unknown as KemSubtle).encapsulateBits(ALGORITHM, handle);
    return { secret: new Uint8Array(result.sharedKey), enc: new Uint8Array(result.ciphertext) };
  }
  return byHand("kemEncapsulate", publicKey);
}

async function decapsulate(seed: Bytes, enc: Bytes): Promise<Bytes> {
  const handle = await nativeKey("raw-seed", seed, "decapsulateBits");
  if (handle !== undefined) {
    return new Uint8Array(await (crypto.subtle as unknown as KemSubtle).decapsulateBits(ALGORITHM, handle, enc));
  }
  return byHand("kemDecapsulate", { seed, enc });
}

/** A WebCrypto key, or undefined where the platform has no X-Wing: then the same bytes are computed by hand. */
async function nativeKey(
  format: string, bytes: Bytes, use: "encapsulateBits" | "decapsulateBits",
): Promise<CryptoKey | undefined> {
  if (!nativeAllowed()) return undefined;
  try {
    return await crypto.subtle.importKey(format as "raw", bytes, ALGORITHM, false, [use as KeyUsage]);
  } catch {
    return undefined;
  }
}

/** The key schedule of base mode with a one-stage KDF. */
function schedule(secret: Bytes, info: Bytes): { key: Bytes; nonce: Bytes } {
  const secrets = concat(lengthPrefixed(NO_BYTES), lengthPrefixed(secret));
  const context = concat(Uint8Array.of(0), lengthPrefixed(NO_BYTES), lengthPrefixed(info));
  // 32 bytes of key, 12 of nonce, 64 of exporter secret: the last are not used, but their length enters the hash.
  const length = 32 + 12 + 64;
  const labeled = concat(secrets, VERSION, SUITE_ID, lengthPrefixed(utf8("secret")), twoBytes(length), context);
  const out = shake256(labeled, { dkLen: length }) as Bytes;
  return { key: out.slice(0, 32), nonce: out.slice(32, 44) };
}

function twoBytes(value: number): Bytes {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function lengthPrefixed(bytes: Bytes): Bytes {
  if (bytes.length > 0xffff) throw new RangeError("HPKE takes at most 65,535 bytes here");
  return concat(twoBytes(bytes.length), bytes);
}
