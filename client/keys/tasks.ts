// The work with keys that takes long: stretching a passphrase (64 MiB, some hundred milliseconds).

import { type Bytes } from "../crypto/encoding.ts";
import { type GuardPlace, type GuardText, type MadeGuard, guardSecret, pinFactor, sealGuard } from "../crypto/guard.ts";
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
  sealByPin(input: { readonly place: GuardPlace; readonly lock: Bytes; readonly pin: string; readonly share: Bytes }): Promise<MadeGuard> {
    return sealGuard(input.place, input.lock, pinFactor(input.pin), input.share);
  },

  /** A PIN stretched for a guard. Throws Refused: `code`, `object` … */
  stretchPin(input: { readonly guard: GuardText; readonly place: GuardPlace; readonly pin: string }): Promise<Bytes> {
    return guardSecret(input.guard, input.place, pinFactor(input.pin));
  },
};
