// Bytes, base64url, PAE, hashes and key derivation: docs/protocol.md section 1.

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";

import { Refused } from "./reasons.ts";

/** Bytes that WebCrypto takes: never over shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES = new Int16Array(128).fill(-1);
for (let index = 0; index < ALPHABET.length; index += 1) VALUES[ALPHABET.charCodeAt(index)] = index;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a text. */
export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; a leading U+FEFF stays. Throws `Refused("form")` on anything that is not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Refused("form", "not UTF-8");
  }
}

/** base64url without padding. */
export function b64(bytes: Uint8Array): string {
  let text = "";
  let index = 0;
  for (; index + 2 < bytes.length; index += 3) {
    const word = (bytes[index]! << 16) | (bytes[index + 1]! << 8) | bytes[index + 2]!;
    text += ALPHABET[word >> 18]! + ALPHABET[(word >> 12) & 63]! + ALPHABET[(word >> 6) & 63]! + ALPHABET[word & 63]!;
  }
  if (index + 1 === bytes.length) {
    const word = bytes[index]! << 16;
    text += ALPHABET[word >> 18]! + ALPHABET[(word >> 12) & 63]!;
  } else if (index + 2 === bytes.length) {
    const word = (bytes[index]! << 16) | (bytes[index + 1]! << 8);
    text += ALPHABET[word >> 18]! + ALPHABET[(word >> 12) & 63]! + ALPHABET[(word >> 6) & 63]!;
  }
  return text;
}

/**
 * The bytes of canonical base64url: no padding, no foreign character, no set bit that is not used.
 * Throws `Refused("form")` for anything else, and if `length` is given and differs.
 */
export function unb64(text: unknown, length?: number): Bytes {
  if (typeof text !== "string") throw new Refused("form", "not a base64url text");
  const rest = text.length & 3;
  if (rest === 1) throw new Refused("form", "base64url of an impossible length");
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let word = 0;
  let bits = 0;
  let at = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const value = code < 128 ? VALUES[code]! : -1;
    if (value < 0) throw new Refused("form", "a character that is not base64url");
    word = ((word << 6) | value) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at] = (word >> bits) & 0xff;
      at += 1;
    }
  }
  if ((word & ((1 << bits) - 1)) !== 0) throw new Refused("form", "base64url with unused bits set");
  if (length !== undefined && out.length !== length) throw new Refused("form", `expected ${length} bytes`);
  return out;
}

/** One after the other. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let size = 0;
  for (const part of parts) size += part.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equal in length and content; the time does not depend on where they differ. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= left[index]! ^ right[index]!;
  return difference === 0;
}

const PROTOCOL = utf8("rxe2ee/1");

/**
 * Pre-authentication encoding: the protocol's name, then each part, each with its length before it as 8 bytes.
 * Texts enter as UTF-8, numbers as ASCII decimals.
 */
export function pae(...parts: readonly (Uint8Array | string | number)[]): Bytes {
  const bytes: Uint8Array[] = [PROTOCOL];
  let size = 8 + PROTOCOL.length;
  for (const part of parts) {
    const piece = part instanceof Uint8Array ? part : utf8(String(part));
    bytes.push(piece);
    size += 8 + piece.length;
  }
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const piece of bytes) {
    view.setUint32(at + 4, piece.length);
    out.set(piece, at + 8);
    at += 8 + piece.length;
  }
  return out;
}

/** SHA-256. */
export function sha256(bytes: Uint8Array): Bytes {
  return nobleSha256(bytes) as Bytes;
}

/** SHA-256 of what may be long: above a few kilobytes the platform's hash is worth the wait. */
export async function bigHash(bytes: Bytes): Promise<Bytes> {
  return bytes.length < 4096 ? sha256(bytes) : new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** HMAC-SHA-256. */
export function hmac256(key: Uint8Array, message: Uint8Array): Bytes {
  return hmac(nobleSha256, key, message) as Bytes;
}

/**
 * HKDF-SHA-256 over our own HMAC, because some WebCrypto implementations refuse an info above 1,024 bytes
 * and headers may be longer.
 */
export function hkdf(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Bytes {
  const prk = hmac256(salt.length === 0 ? new Uint8Array(32) : salt, ikm);
  const blocks: Uint8Array[] = [];
  let previous: Bytes = new Uint8Array(0);
  for (let counter = 1; blocks.length * 32 < length; counter += 1) {
    previous = hmac256(prk, concat(previous, info, Uint8Array.of(counter)));
    blocks.push(previous);
  }
  return concat(...blocks).subarray(0, length);
}

/** Random bytes from the system. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** A fresh 128-bit id, as 32 lowercase hexadecimal digits. */
export function newId(): string {
  return hex(randomBytes(16));
}

/** Lowercase hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** AES-256-GCM. */
export async function aesSeal(key: Bytes | CryptoKey, nonce: Bytes, aad: Bytes, plain: Bytes): Promise<Bytes> {
  const handle = key instanceof Uint8Array ? await aesKey(key, "encrypt") : key;
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, handle, plain));
}

/** AES-256-GCM; undefined when the tag does not agree. */
export async function aesOpen(
  key: Bytes | CryptoKey, nonce: Bytes, aad: Bytes, sealed: Bytes,
): Promise<Bytes | undefined> {
  const handle = key instanceof Uint8Array ? await aesKey(key, "decrypt") : key;
  try {
    return new Uint8Array(
      await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, handle, sealed),
    );
  } catch (error) {
    // WebCrypto names a wrong tag and a text shorter than a tag alike; anything else is a fault of ours.
    if (error instanceof DOMException && error.name === "OperationError") return undefined;
    throw error;
  }
}

/** A non-extractable AES-256-GCM key for one use. */
export function aesKey(key: Bytes, use: "encrypt" | "decrypt"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);
}
