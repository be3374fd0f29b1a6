// A person's own keys on one device: seeds at rest, and the signature that binds a session to its device
// (docs/protocol.md section 2).

import { type Signer, verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, aesOpen, aesSeal, concat, hkdf, pae, randomBytes } from "./encoding.ts";
import { Refused } from "./reasons.ts";

const NONCE_BYTES = 12;

/** What is kept at rest: which seed of whom, on which device. Moving it to another place makes it unreadable. */
export interface RestingPlace {
  readonly user: string;
  readonly dev: string;
  readonly what: "puk" | "urk" | "dsk" | "team" | "lk";
  /** Person or team whose seed it is. */
  readonly owner: string;
  readonly gen: number;
}

/** A fresh wrapping key of a device. It cannot be exported, only kept in IndexedDB. */
export function generateDeviceWrappingKey(): Promise<CryptoKey> {
  return crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

function placeBytes({ user, dev, what, owner, gen }: RestingPlace): Bytes {
  return pae("at-rest", user, dev, what, owner, gen);
}

function innerKey(share: Bytes, place: Bytes): Bytes {
  if (share.length !== 32) throw new RangeError("a share has 32 bytes");
  return hkdf(share, new Uint8Array(0), place, 32);
}

/** AES-GCM(DEK, AES-GCM(HKDF(share), seed)), each with its nonce before it. On a shared device `share` is its lock key. */
export async function sealAtRest(dek: CryptoKey, share: Bytes, place: RestingPlace, seed: Bytes): Promise<Bytes> {
  const aad = placeBytes(place);
  const [inner, outer] = [randomBytes(NONCE_BYTES), randomBytes(NONCE_BYTES)];
  const once = concat(inner, await aesSeal(innerKey(share, aad), inner, aad, seed));
  return concat(outer, await aesSeal(dek, outer, aad, once));
}

/** Opens a seed at rest; undefined without the right device key, share and place. */
export async function openAtRest(
  dek: CryptoKey, share: Bytes, place: RestingPlace, kept: Bytes,
): Promise<Bytes | undefined> {
  const aad = placeBytes(place);
  const once = await aesOpen(dek, kept.slice(0, NONCE_BYTES), aad, kept.slice(NONCE_BYTES));
  if (once === undefined) return undefined;
  return aesOpen(innerKey(share, aad), once.slice(0, NONCE_BYTES), aad, once.slice(NONCE_BYTES));
}

const CHALLENGE_BYTES = [16, 64] as const;

function isChallenge(challenge: Bytes): boolean {
  return challenge.length >= CHALLENGE_BYTES[0] && challenge.length <= CHALLENGE_BYTES[1];
}

function sessionBytes(dev: string, challenge: Bytes): Bytes {
  if (!isChallenge(challenge)) throw new RangeError("a challenge has 16 to 64 bytes");
  return pae("dev-session", dev, challenge);
}

/** Signs the server's challenge: this session runs on this device. */
export function signSession(signer: Signer, dev: string, challenge: Bytes): Promise<Bytes> {
  return signer.sign(sessionBytes(dev, challenge));
}

/** Verifies a session's signature: `form` for a challenge or signature of another length, `signature` if it does not hold. */
export async function verifySession(
  publicKey: Bytes, dev: string, challenge: Bytes, signature: Bytes,
): Promise<Refused | undefined> {
  if (!isChallenge(challenge) || signature.length !== 64) return new Refused("form");
  return (await verifyEd25519(publicKey, signature, sessionBytes(dev, challenge))) ? undefined : new Refused("signature");
}
