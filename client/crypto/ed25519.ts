// Ed25519 as every reader must see it: without cofactor, R compared as bytes, keys and R canonical and never of small
// order (docs/protocol.md section 1). WebCrypto does the equation where it does it this way; our own checks stand before it.

import { type Bytes, b64, concat, randomBytes, sameBytes, unb64 } from "./encoding.ts";
import { byHand } from "./platform.ts";

/** Signs as one device or identity. The private half may be a key that cannot leave the browser. */
export interface Signer {
  readonly publicKey: Bytes;
  sign(message: Bytes): Promise<Bytes>;
}

/** A signing key as it is kept: a handle where WebCrypto has Ed25519, otherwise a seed that is to be wrapped at rest. */
export type KeptKey = { readonly kind: "handle"; readonly handle: CryptoKey } | { readonly kind: "seed"; readonly seed: Bytes };

/** Of the base point. */
export const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;
const ORDER_BYTES = littleEndian(ORDER);
const FIELD_BYTES = littleEndian((1n << 255n) - 19n);

/** The y values of the eight points of small order, without sign bit. */
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
].map(fromHex);

function littleEndian(value: bigint): Bytes {
  const out = new Uint8Array(32);
  for (let index = 0; index < 32; index += 1) out[index] = Number((value >> BigInt(8 * index)) & 0xffn);
  return out;
}

function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g)!, (pair) => Number.parseInt(pair, 16));
}

/** The number whose bytes these are, the least significant first. */
export function fromLittleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index -= 1) value = (value << 8n) | BigInt(bytes[index]!);
  return value;
}

/** Both are 32 bytes, the least significant first. */
function below(left: Uint8Array, right: Uint8Array): boolean {
  for (let index = 31; index >= 0; index -= 1) {
    if (left[index]! !== right[index]!) return left[index]! < right[index]!;
  }
  return false;
}

/** Whether 32 bytes may stand for a point: y < p, and none of the points of small order. */
export function acceptablePoint(encoded: Uint8Array): boolean {
  if (encoded.length !== 32) return false;
  const y = encoded.slice();
  y[31] = y[31]! & 0x7f;
  return below(y, FIELD_BYTES) && !SMALL_ORDER.some((point) => sameBytes(point, y));
}

/** Whether the scalar of a signature is reduced. */
export function acceptableScalar(scalar: Uint8Array): boolean {
  return scalar.length === 32 && below(scalar, ORDER_BYTES);
}

/** Whether `signature` over `message` holds under `publicKey`. Any malformed input is simply false. */
export async function verify(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  if (signature.length !== 64) return false;
  if (!acceptablePoint(publicKey) || !acceptablePoint(signature.subarray(0, 32))) return false;
  if (!acceptableScalar(signature.subarray(32))) return false;
  if (await webCryptoComparesBytes()) return equationByWebCrypto(publicKey, signature, message);
  return byHand("edVerify", { publicKey, signature, message });
}

const importedKeys = new Map<string, Promise<CryptoKey | undefined>>();
const IMPORTED_LIMIT = 512;

function imported(publicKey: Bytes): Promise<CryptoKey | undefined> {
  const name = b64(publicKey);
  let key = importedKeys.get(name);
  if (key === undefined) {
    if (importedKeys.size >= IMPORTED_LIMIT) importedKeys.clear();
    // An import may fail for bytes that are not a point: then no signature holds.
    key = crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]).catch(() => undefined);
    importedKeys.set(name, key);
  }
  return key;
}

async function equationByWebCrypto(publicKey: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  const key = await imported(publicKey);
  return key !== undefined && crypto.subtle.verify("Ed25519", key, signature, message);
}

/** The message of both probes. */
export const PROBED: Bytes = Uint8Array.of(1);

/** A signature under the key of the seed 7, 7, …, 7. */
export const HOLDS = {
  publicKey: fromHex("ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"),
  signature: fromHex(
    "6d4c7f936bb1536c2b2a2162708198910e2eaa6a6d6abc613f56164087c509ac610fc80e4296d0fc3821dac490cfb795103c325c5a0c1196785c4488aa36a80b",
  ),
};

/** A signature under the same key with the point of order 2 added, which only a verifier with cofactor takes. */
export const MIXED_ORDER = {
  publicKey: fromHex("03b5939c1d63adf5410aaf84ecd13a066ab889514141846dbde11596ebb92dd3"),
  signature: fromHex(
    "58666666666666666666666666666666666666666666666666666666666666665f09a7f0cf6fa2253c745f5a7c0ad7ccca40129a32d7281da4d8ab1d3ee9fa04",
  ),
};

let comparison: Promise<boolean> | undefined;

/** Forgets what was found out about this platform's WebCrypto (for tests that change it). */
export function forgetPlatform(): void {
  comparison = undefined;
  importedKeys.clear();
}

/**
 * Whether this platform has Ed25519 and compares R as bytes. Tried once with a signature under a key of mixed order that
 * holds only if the verifier multiplies by the cofactor, and with one that holds.
 */
function webCryptoComparesBytes(): Promise<boolean> {
  comparison ??= (async () => {
    try {
      const [holds, mixed] = await Promise.all([HOLDS, MIXED_ORDER].map((one) => equationByWebCrypto(one.publicKey, one.signature, PROBED)));
      return holds === true && mixed === false;
    } catch {
      return false; // no Ed25519 here
    }
  })();
  return comparison;
}

const PKCS8_PREFIX = fromHex("302e020100300506032b657004220420");

/** The public key of a 32-byte seed. */
export async function publicKeyOfSeed(seed: Bytes): Promise<Bytes> {
  if (!(await webCryptoComparesBytes())) return byHand("edPublicKey", seed);
  const handle = await crypto.subtle.importKey("pkcs8", concat(PKCS8_PREFIX, seed), "Ed25519", true, ["sign"]);
  return unb64((await crypto.subtle.exportKey("jwk", handle)).x, 32);
}

/** A signer from a 32-byte seed. */
export async function signerFromSeed(seed: Bytes): Promise<Signer> {
  const publicKey = await publicKeyOfSeed(seed);
  if (!(await webCryptoComparesBytes())) {
    const own = seed.slice();
    return { publicKey, sign: (message) => byHand("edSign", { seed: own, message }) };
  }
  const handle = await crypto.subtle.importKey("pkcs8", concat(PKCS8_PREFIX, seed), "Ed25519", false, ["sign"]);
  return signerFromHandle(handle, publicKey);
}

/** A signer from a WebCrypto key and its public half. */
export function signerFromHandle(handle: CryptoKey, publicKey: Bytes): Signer {
  return {
    publicKey,
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", handle, message)),
  };
}

/** A fresh device key, which cannot be exported where the platform has Ed25519. */
export async function generateDeviceKey(): Promise<{ readonly publicKey: Bytes; readonly kept: KeptKey }> {
  if (await webCryptoComparesBytes()) {
    const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    return { publicKey, kept: { kind: "handle", handle: pair.privateKey } };
  }
  const seed = randomBytes(32);
  return { publicKey: await publicKeyOfSeed(seed), kept: { kind: "seed", seed } };
}

/** A kept key out of its seed: a handle that gives it out no more, where WebCrypto has Ed25519. */
export async function keptFromSeed(seed: Bytes): Promise<KeptKey> {
  if (!(await webCryptoComparesBytes())) return { kind: "seed", seed };
  return { kind: "handle", handle: await crypto.subtle.importKey("pkcs8", concat(PKCS8_PREFIX, seed), "Ed25519", false, ["sign"]) };
}

/** The signer of a kept key. */
export function signerOf(kept: KeptKey, publicKey: Bytes): Promise<Signer> {
  return kept.kind === "seed" ? signerFromSeed(kept.seed) : Promise.resolve(signerFromHandle(kept.handle, publicKey));
}
