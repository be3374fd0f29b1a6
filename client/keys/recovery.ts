// Ways back to one's keys: passkeys, a printed code, a passphrase. Set while the root key is at hand; tried out, so that the person
// knows that it works before it is needed.

import { type Bytes, b64, sameBytes } from "../crypto/encoding.ts";
import { Refused, refused } from "../crypto/reasons.ts";
import { type UrkWrap, generateCode, generatePassphrase, passphraseFault, readCredential, wayOf, wrapByPasskey } from "../crypto/recovery.ts";
import { KNOWN_PASSPHRASES } from "../crypto/words/known.ts";
import { get, post, put, remove } from "../live/api.ts";
import { isShared } from "../store/shared.ts";
import { deviceName } from "./binding.ts";
import { dropWrap, keepWrap, keptWrap } from "./local.ts";
import { type Ahead } from "./shapes.ts";
import { type Ready } from "./unlock.ts";
import { openRootKey } from "./vault.ts";
import { forgetPasskey, makePasskey } from "./webauthn.ts";
import { run } from "./work.ts";

export { generateCode, generatePassphrase };

/** All wraps of a person's root key. */
export type Wraps = readonly UrkWrap[];

/** Ways back, and the keys that a colleague made ahead, while nobody has taken them over. */
export interface WaysBack {
  readonly wraps: Wraps;
  readonly ahead: Ahead | null;
}

/** How to get back in. Throws ApiError `step-up` (sign in afresh), `recovery-reads` (too often today). */
export function waysBack(): Promise<WaysBack> {
  return get<WaysBack>("/api/keys/recovery");
}

/** The wraps of the root key. Throws as `waysBack`. */
export async function recoveryWraps(): Promise<Wraps> {
  return (await waysBack()).wraps;
}

/** Why a passphrase of one's own is not taken: a key of the catalogue, or undefined. */
export function passphraseProblem(passphrase: string): "keys.passphrase.short" | "keys.passphrase.known" | undefined {
  const fault = passphraseFault(passphrase, KNOWN_PASSPHRASES);
  return fault === undefined ? undefined : fault === "too short" ? "keys.passphrase.short" : "keys.passphrase.known";
}

/** Sets code or passphrase as a way back. Throws ApiError `step-up` when another way is set and the last sign-in is not fresh. */
export async function setWay(ready: Ready, root: Bytes, method: "code" | "passphrase", secret: string): Promise<void> {
  await publish(ready, root, await run("wrapRootKey", { user: ready.account.id, urk: root, method, secret }), secret, {});
}

/**
 * Makes a passkey and sets it as a way back, under the name of this browser. `wraps`: those there are. To be called while the
 * person's tap is fresh, as some browsers ask for one. Throws PasskeyTrouble; as `setWay`; ApiError `too-many-passkeys`.
 */
export async function addPasskey(ready: Ready, root: Bytes, wraps: Wraps): Promise<void> {
  const others = wraps.filter((wrap) => wrap.method === "passkey").map((wrap) => readCredential(wrap.params));
  const { credential, given } = await makePasskey({ ...ready.account, others, shared: isShared() });
  try {
    const wrap = await wrapByPasskey(ready.account.id, root, credential, given);
    if (refused(wrap)) throw wrap;
    await publish(ready, root, wrap, b64(given), { name: deviceName() });
  } catch (error) {
    // Nothing lies under it: the platform need not offer it.
    await forgetPasskey(credential);
    throw error;
  }
}

/** The wrap is opened again before the root key at rest is given up. */
async function publish(ready: Ready, root: Bytes, wrap: UrkWrap, secret: string, more: { readonly name?: string }): Promise<void> {
  const opened = await openRootKey(wrap, ready.account.id, secret);
  if (!sameBytes(opened, root)) throw new Error("the wrap does not give the root key back");
  await put(`/api/keys/recovery/${wayOf(wrap)}`, { wrap, ...more });
  await keepWrap(ready.store, wrap);
  await ready.resting.dropRoot();
}

/** Takes a way back away. Throws ApiError `step-up`, `last-way`. */
export async function removeWay(ready: Ready, wraps: Wraps, way: string): Promise<void> {
  await remove(`/api/keys/recovery/${way}`);
  await dropWrap(ready.store, way);
  const wrap = wraps.find((one) => wayOf(one) === way);
  if (wrap?.method === "passkey") await forgetPasskey(readCredential(wrap.params));
}

/** The wrap of a way back: this device's own copy, else the server's. Throws as `waysBack`. */
export async function wrapOf(ready: Ready, way: string): Promise<UrkWrap | undefined> {
  return (await keptWrap(ready.store, way)) ?? (await recoveryWraps()).find((one) => wayOf(one) === way);
}

/** Tries a way out as it would be used on a new device. Throws Refused `code` or `aead`; ApiError. */
export async function tryOut(ready: Ready, wrap: UrkWrap, secret: string): Promise<void> {
  try {
    await openRootKey(wrap, ready.account.id, secret);
    await keepWrap(ready.store, wrap);
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== "aead") throw error;
    // It may have been replaced on another device since this one kept its copy.
    const newer = (await recoveryWraps()).find((one) => wayOf(one) === wayOf(wrap));
    if (newer === undefined || newer.ct === wrap.ct) throw error;
    await openRootKey(newer, ready.account.id, secret);
    await keepWrap(ready.store, newer);
  }
  await tried(wayOf(wrap));
}

/** Notes that a recovery way opened: the banner that asks to try it out goes. */
export function tried(way: string): Promise<void> {
  return post<void>(`/api/keys/recovery/${way}/tried`);
}

/** Says to the server that the other browser which asks for the wraps is this person too. */
export function confirmOther(): Promise<void> {
  return post<void>("/api/keys/recovery/confirm");
}
