// A device that others use too: nothing that opens a key lies here without its person, who comes with a PIN or a passkey, for which
// the server gives its share; after a few wrong ones it deletes it (docs/protocol.md section 2, "Shared devices").

import { type Bytes, b64, randomBytes, unb64 } from "../crypto/encoding.ts";
import { type GuardText, SHARE_BYTES, authOf, guardSecret, isPin, openGuard, passkeyFactor, sealGuard } from "../crypto/guard.ts";
import { signSession } from "../crypto/identity.ts";
import { Refused, refused } from "../crypto/reasons.ts";
import { type UrkWrap, readCredential } from "../crypto/recovery.ts";
import { ApiError, type SessionState, isCode, post, put } from "../live/api.ts";
import { type Store } from "../store/db.ts";
import { type KeptDevice, isGuarded } from "./guarded.ts";
import {
  type Guarding, deviceSigner, dropGuard, keepGuard, keepGuardPasskey, keepStay, keptGuardPasskey, keptDevice,
  keptGuards, keptPending, openStay,
} from "./local.ts";
import { type Given } from "./shapes.ts";
import { type Passkey, askPasskeyFor } from "./webauthn.ts";
import { run } from "./work.ts";

/** The lock key, and the share of this session under which it was kept. */
export interface Opened {
  readonly lock: Bytes;
  readonly given: Given;
}

/** A wrong PIN: how often it may still be tried. None: its share is deleted. */
export class WrongPin extends Error {
  constructor(readonly left: number) {
    super("a wrong PIN");
    this.name = "WrongPin";
  }
}

const FEW_DIGITS = 2;
const COMMON = new Set([
  "112233", "123321", "123654", "131313", "142536", "147258", "147852", "159753", "159357", "102030", "100200", "258456", "321654",
  "456123", "456789", "654123", "696969", "741852", "789456", "789123", "852456", "963852", "987456", "010203", "246810", "135790",
]);

/** Why six digits are not taken as a PIN: a key of the catalogue, or undefined. */
export function pinProblem(pin: string): "keys.pin.form" | "keys.pin.easy" | undefined {
  if (!isPin(pin)) return "keys.pin.form";
  const digits = [...pin].map(Number);
  const step = (digits[1]! - digits[0]! + 10) % 10;
  const even = digits.every((digit, place) => place === 0 || (digit - digits[place - 1]! + 10) % 10 === step);
  const repeats = pin.slice(0, 3) === pin.slice(3) || pin.slice(0, 2).repeat(3) === pin;
  return even || repeats || new Set(digits).size <= FEW_DIGITS || COMMON.has(pin) ? "keys.pin.easy" : undefined;
}

/** A PIN as what guards a new device. Throws Refused `code`. */
export function byPin(pin: string): Guarding {
  return { method: "pin", seal: (place, lock, share) => run("sealByPin", { place, lock, pin, share }) };
}

/** The shared device that this browser is for the person, also one whose making was not finished. */
export async function guardedDevice(store: Store): Promise<KeptDevice | undefined> {
  const device = (await keptPending(store))?.device ?? (await keptDevice(store));
  return device !== undefined && isGuarded(device) ? device : undefined;
}

/** The lock key as long as the session is active; undefined where the person has to open the device first. */
export async function lockOfSession(session: SessionState, store: Store, account: string, device: KeptDevice): Promise<Opened | undefined> {
  if (session.device !== device.id) return undefined;
  try {
    const given = await post<Given>("/api/keys/guards/stay");
    const lock = await openStay(store, account, device, unb64(given.share, 32));
    return lock === undefined ? undefined : { lock, given };
  } catch (error) {
    if (isCode(error, "guard-needed", "not-found")) return undefined;
    throw error;
  }
}

/** What the person shows: 32 bytes for a guard, which stay in the browser. */
export interface Opening {
  readonly method: Guarding["method"];
  secret(guard: GuardText, place: { readonly user: string; readonly dev: string }): Promise<Bytes>;
}

/** A PIN as what opens a device. */
export function withPin(pin: string): Opening {
  return { method: "pin", secret: (guard, place) => run("stretchPin", { guard, place, pin }) };
}

/**
 * Opens this device and goes on with the session on it, which may be locked. Throws WrongPin; ApiError `guard-gone` when it was wrong
 * too often and the share is deleted.
 */
export async function openDevice(store: Store, account: string, device: KeptDevice, opening: Opening): Promise<void> {
  const { method } = opening;
  const guard = (await keptGuards(store)).find((one) => one.method === method);
  if (guard === undefined) throw new Refused("object", "no such guard here");
  const place = { user: account, dev: device.id };
  const secret = await opening.secret(guard, place);
  const { share, challenge } = await askForShare(store, device, method, authOf(guard, place, secret));
  const lock = await openGuard(guard, place, { method, derive: () => Promise.resolve(secret) }, share);
  if (refused(lock)) throw lock;
  const signature = await signSession(await deviceSigner(device, { account, lock }), device.id, unb64(challenge));
  const given = await post<Given>("/api/keys/guards/prove", { device: device.id, sig: b64(signature) });
  await keepStay(store, account, device, unb64(given.share, 32), lock);
}

async function askForShare(
  store: Store, device: KeptDevice, method: Guarding["method"], auth: Bytes,
): Promise<{ readonly share: Bytes; readonly challenge: string }> {
  try {
    const asked = { device: device.id, auth: b64(auth) };
    const given = await post<{ readonly share: string; readonly challenge: string }>(`/api/keys/guards/${method}/share`, asked);
    return { share: unb64(given.share, SHARE_BYTES), challenge: given.challenge };
  } catch (error) {
    if (isCode(error, "guard-gone")) await dropGuard(store, method);
    if (error instanceof ApiError && error.code === "guard-wrong") throw new WrongPin(Number(error.extra["left"]));
    throw error;
  }
}

/** Sets one of the person's passkeys beside the PIN, `wraps` being their ways back. Throws PasskeyTrouble; ApiError `step-up`. */
export async function guardByPasskey(store: Store, account: string, device: string, lock: Bytes, wraps: readonly UrkWrap[]): Promise<void> {
  const mine = wraps.filter((wrap) => wrap.method === "passkey").map((wrap) => readCredential(wrap.params));
  let used: Passkey | undefined;
  const factor = passkeyFactor(async (input) => {
    used = await askPasskeyFor(mine, input);
    return used.given;
  });
  await changeGuard(store, account, device, lock, { method: "passkey", seal: (place, key, share) => sealGuard(place, key, factor, share) });
  // Which one it is: so that the browser need not ask among all that people have for this portal.
  if (used !== undefined) await keepGuardPasskey(store, used.credential);
}

/** The passkey that was set beside the PIN, as what opens a device. */
export function withPasskey(store: Store): Opening {
  const factor = passkeyFactor(async (input) => {
    const known = await keptGuardPasskey(store);
    return (await askPasskeyFor(known === undefined ? [] : [known], input)).given;
  });
  return { method: "passkey", secret: (guard, place) => guardSecret(guard, place, factor) };
}

/** Sets another PIN, or a passkey beside it. Throws ApiError `step-up`. */
export async function changeGuard(store: Store, account: string, device: string, lock: Bytes, guarding: Guarding): Promise<void> {
  const share = randomBytes(SHARE_BYTES);
  const { guard, auth } = await guarding.seal({ user: account, dev: device }, lock, share);
  await put(`/api/keys/guards/${guarding.method}`, { share: b64(share), auth: b64(auth) });
  await keepGuard(store, guard);
}
