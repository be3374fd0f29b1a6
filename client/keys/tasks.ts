// The work with keys that takes long: stretching a passphrase (64 MiB, some hundred milliseconds).

import { type Bytes } from "../crypto/encoding.ts";
import { type GuardPlace, type GuardText, openGuard, pinFactor, sealGuard } from "../crypto/guard.ts";
import { refused } from "../crypto/reasons.ts";
import { type UrkWrap, unwrapUrk, wrapByCode, wrapByPassphrase } from "../crypto/recovery.ts";

export const keyTasks = {
  /** Opens the root key by passphrase or code. Throws Refused: `code`, `parameters`, `aead`, `object`. */
  async openRootKey(input: { readonly wrap: UrkWrap; readonly user: string; readonly secret: string }): Promise<Bytes> {
    const urk = await unwrapUrk(input.wrap, input.user, input.secret);
    if (refused(urk)) throw urk;
    return urk;
  },

  /** Wraps the root key under a passphrase or code. Throws Refused `code` for a mistyped one. */
  async wrapRootKey(input: {
    readonly user: string; readonly urk: Bytes; readonly method: "passphrase" | "code"; readonly secret: string;
  }): Promise<UrkWrap> {
    const { user, urk, method, secret } = input;
    const wrap = method === "passphrase" ? await wrapByPassphrase(user, urk, secret) : await wrapByCode(user, urk, secret);
    if (refused(wrap)) throw wrap;
    return wrap;
  },

  /** Puts the lock key of a shared device under a PIN. Throws Refused `code`. */
  sealByPin(input: { readonly place: GuardPlace; readonly lock: Bytes; readonly pin: string; readonly share: Bytes }): Promise<GuardText> {
    return sealGuard(input.place, input.lock, pinFactor(input.pin), input.share);
  },

  /** The lock key of a shared device by PIN. Throws Refused: `aead` for a wrong one, `code`, `object` … */
  async openByPin(input: { readonly guard: GuardText; readonly place: GuardPlace; readonly pin: string; readonly share: Bytes }): Promise<Bytes> {
    const lock = await openGuard(input.guard, input.place, pinFactor(input.pin), input.share);
    if (refused(lock)) throw lock;
    return lock;
  },
};
