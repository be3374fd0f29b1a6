// What opens a shared device: its lock key under a person's PIN or passkey and a share of the server's (docs/protocol.md section 2).

import { type Bytes, aesOpen, aesSeal, b64, concat, hkdf, pae, randomBytes, sha256, utf8 } from "./encoding.ts";
import { bytes, id, oneOf, onlyMembers, text, versionAndType } from "./form.ts";
import { Refused, attemptAsync } from "./reasons.ts";
import { NEW_STRETCHING, readParameters, stretchBytes } from "./recovery.ts";
import { type JsonObject } from "./strictjson.ts";

export type GuardMethod = "pin" | "passkey";

/** A guard as it lies in the browser. */
export interface GuardText {
  readonly v: 1;
  readonly t: "guard";
  readonly user: string;
  readonly dev: string;
  readonly method: GuardMethod;
  readonly salt: string;
  readonly params: string;
  readonly iv: string;
  readonly ct: string;
}

/** Whose guard of which device. */
export interface GuardPlace {
  readonly user: string;
  readonly dev: string;
}

/** What a person shows: 32 bytes out of a PIN or a passkey, for the salt of a guard. */
export interface Factor {
  readonly method: GuardMethod;
  /** 32 bytes. Throws Refused `code` for a PIN that is not six digits. */
  derive(salt: Bytes, params: string): Promise<Bytes>;
}

/** A guard that was just made, and what its person shows the server for the share. */
export interface MadeGuard {
  readonly guard: GuardText;
  readonly auth: Bytes;
}

export const LOCK_KEY_BYTES = 32;
export const SHARE_BYTES = 32;
export const AUTH_BYTES = 32;
const PASSKEY_PARAMETERS = "prf";
const PIN = /^[0-9]{6}$/;

/** Whether a text is six digits. */
export function isPin(typed: string): boolean {
  return PIN.test(typed);
}

/** The factor of a PIN: stretching takes 64 MiB and some hundred milliseconds. */
export function pinFactor(pin: string): Factor {
  return {
    method: "pin",
    derive: async (salt, params) => {
      if (!isPin(pin)) throw new Refused("code");
      return stretchBytes(utf8(pin), salt, readParameters(params));
    },
  };
}

/** The factor of a passkey: `prf` gives the first output of its PRF for an input, which is the guard's own. */
export function passkeyFactor(prf: (input: Bytes) => Promise<Bytes>): Factor {
  return { method: "passkey", derive: (salt) => prf(sha256(pae("guard-prf", salt))) };
}

/** Puts a lock key under a factor and the server's share. Throws Refused `code`. */
export async function sealGuard(place: GuardPlace, lockKey: Bytes, factor: Factor, share: Bytes): Promise<MadeGuard> {
  const { user, dev } = place;
  const { method } = factor;
  const params = method === "pin" ? NEW_STRETCHING : PASSKEY_PARAMETERS;
  const [salt, iv] = [randomBytes(16), randomBytes(12)];
  const secret = await factor.derive(salt, params);
  const key = guardKey(place, method, salt, secret, share);
  const ct = await aesSeal(key, iv, pae("guard", user, dev, method, params), lockKey);
  const guard: GuardText = { v: 1, t: "guard", user, dev, method, salt: b64(salt), params, iv: b64(iv), ct: b64(ct) };
  return { guard, auth: guardAuth(place, method, salt, secret) };
}

/**
 * What the factor gives for a guard; it stays in the browser. Throws Refused `code` for a PIN that is none, and as a guard that is
 * refused before any work.
 */
export async function guardSecret(given: GuardText, place: GuardPlace, factor: Factor): Promise<Bytes> {
  const { salt, params } = ofPlace(given, place);
  return factor.derive(salt, params);
}

/** What is shown to the server for the share, out of what `guardSecret` gave: it says neither the PIN nor the key. */
export function authOf(given: GuardText, place: GuardPlace, secret: Bytes): Bytes {
  const { method, salt } = ofPlace(given, place);
  return guardAuth(place, method, salt, secret);
}

/**
 * The lock key; `object` for the guard of another person or device, `code` for a PIN that is none, `aead` for a wrong PIN, passkey
 * or share, `form`, `version`, `type`, `parameters` for a guard that is refused before any work.
 */
export function openGuard(given: GuardText, place: GuardPlace, factor: Factor, share: Bytes): Promise<Bytes | Refused> {
  return attemptAsync(async () => {
    const { user, dev, method, salt, params, iv, ct } = ofPlace(given, place);
    const key = guardKey(place, method, salt, await factor.derive(salt, params), share);
    const lockKey = await aesOpen(key, iv, pae("guard", user, dev, method, params), ct);
    if (lockKey === undefined) throw new Refused("aead", "a wrong PIN, passkey or share");
    return lockKey;
  });
}

function guardAuth({ user, dev }: GuardPlace, method: GuardMethod, salt: Bytes, secret: Bytes): Bytes {
  if (secret.length !== 32) throw new Refused("form");
  return hkdf(secret, salt, pae("guard-auth", user, dev, method), AUTH_BYTES);
}

function ofPlace(given: GuardText, place: GuardPlace) {
  const guard = readGuard(given);
  if (guard.user !== place.user) throw new Refused("object", "the guard of another person");
  if (guard.dev !== place.dev) throw new Refused("object", "the guard of another device");
  return guard;
}

function guardKey({ user, dev }: GuardPlace, method: GuardMethod, salt: Bytes, factor: Bytes, share: Bytes): Bytes {
  if (factor.length !== 32 || share.length !== SHARE_BYTES) throw new Refused("form");
  return hkdf(concat(factor, share), salt, pae("guard-key", user, dev, method), 32);
}

/** Reads a guard. Throws `Refused`: form, version, type, parameters. */
function readGuard(given: GuardText) {
  const members: JsonObject = new Map(Object.entries(given));
  versionAndType(members, ["guard"]);
  onlyMembers(members, ["v", "t", "user", "dev", "method", "salt", "params", "iv", "ct"]);
  const guard = {
    user: id(members.get("user")),
    dev: id(members.get("dev")),
    method: oneOf("pin", "passkey")(members.get("method")),
    salt: bytes(16)(members.get("salt")),
    params: text(members.get("params")),
    iv: bytes(12)(members.get("iv")),
    ct: bytes(LOCK_KEY_BYTES + 16)(members.get("ct")),
  };
  if (guard.method === "pin") readParameters(guard.params);
  else if (guard.params !== PASSKEY_PARAMETERS) throw new Refused("parameters");
  return guard;
}
