// Ways back to one's keys: a printed code, a passphrase. Set while the root key is at hand; tried out, so that the person knows
// that it works before it is needed.

import { type Bytes, sameBytes } from "../crypto/encoding.ts";
import { type UrkWrap, generateCode, passphraseFault, generatePassphrase } from "../crypto/recovery.ts";
import { KNOWN_PASSPHRASES } from "../crypto/words/known.ts";
import { get, post, put } from "../live/api.ts";
import { keepWrap, keptWrap } from "./local.ts";
import { type Ahead, type Method } from "./shapes.ts";
import { type Ready } from "./unlock.ts";
import { openRootKey } from "./vault.ts";
import { run } from "./work.ts";

export { generateCode, generatePassphrase };

export type Wraps = Readonly<Partial<Record<Method, UrkWrap>>>;

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

/** The root key by code or passphrase, out of the wrap that this device keeps or that the server gives. */
export async function rootBy(ready: Ready, method: Method, secret: string, wraps?: Wraps): Promise<Bytes> {
  const wrap = (await keptWrap(ready.store, method)) ?? wraps?.[method] ?? (await recoveryWraps())[method];
  if (wrap === undefined) throw new Error("no such recovery way");
  return openRootKey(wrap, ready.account.id, secret);
}

/**
 * Sets a recovery way. The wrap is opened again before the root key at rest is given up. Throws ApiError `step-up` when
 * another way is set already and the last sign-in is not fresh.
 */
export async function setWay(ready: Ready, root: Bytes, method: Method, secret: string): Promise<UrkWrap> {
  const wrap = await run("wrapRootKey", { user: ready.account.id, urk: root, method, secret });
  const opened = await openRootKey(wrap, ready.account.id, secret);
  if (!sameBytes(opened, root)) throw new Error("the wrap does not give the root key back");
  await put(`/api/keys/recovery/${method}`, { wrap });
  await keepWrap(ready.store, wrap);
  await ready.resting.dropRoot();
  return wrap;
}

/** Tries a way out as it would be used on a new device. Throws Refused `code` or `aead`; ApiError. */
export async function tryOut(ready: Ready, method: Method, secret: string): Promise<Bytes> {
  const kept = await keptWrap(ready.store, method);
  const wrap = kept ?? (await recoveryWraps())[method];
  if (wrap === undefined) throw new Error("no such recovery way");
  const root = await openRootKey(wrap, ready.account.id, secret);
  if (kept === undefined) await keepWrap(ready.store, wrap);
  await tried(method);
  return root;
}

/** Notes that a recovery way opened: the banner that asks to try it out goes. */
export function tried(method: Method): Promise<void> {
  return post<void>(`/api/keys/recovery/${method}/tried`);
}

/** Says to the server that the other browser which asks for the wraps is this person too. */
export function confirmOther(): Promise<void> {
  return post<void>("/api/keys/recovery/confirm");
}
