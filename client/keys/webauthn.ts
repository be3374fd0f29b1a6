// Passkeys that open keys (docs/protocol.md section 2): made and asked for their PRF output, never for a signature. Nobody verifies
// an assertion; a passkey that is not the person's gives other bytes, and these open nothing.

import { type Bytes, b64, randomBytes, sameBytes, utf8 } from "../crypto/encoding.ts";
import { PRF_BYTES, type UrkWrap, prfInput, readCredential } from "../crypto/recovery.ts";

/** Why a passkey was not made or did not open. */
export type PasskeyFault =
  /** Stopped by the person, too slow, or no authenticator here has one: platforms do not say which. */
  | "cancelled"
  /** It works as a passkey but gives no secret, so that it cannot keep keys. */
  | "no-secret"
  /** This authenticator has a passkey of the person already. */
  | "exists"
  /** The platform refused. */
  | "failed";

/** What the platform said to a passkey, as a page can say it in words. */
export class PasskeyTrouble extends Error {
  constructor(readonly fault: PasskeyFault, cause?: unknown) {
    super(`passkey: ${fault}`, { cause });
  }
}

/** A passkey that was made: its credential id and what it gives. */
export interface Passkey {
  readonly credential: Bytes;
  readonly given: Bytes;
}

/** A wrap, and what opens it. */
export interface Opener {
  readonly wrap: UrkWrap;
  readonly secret: string;
}

/** Whether this browser knows passkeys at all. */
export function knowsPasskeys(): boolean {
  return typeof PublicKeyCredential === "function" && isSecureContext;
}

/** Whether this device itself can make one: it has a fingerprint, face or screen lock that the browser may ask. */
export async function hasOwnLock(): Promise<boolean> {
  return knowsPasskeys() && (await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable().catch(() => false));
}

/** Whose passkey is made, and where. */
export interface Making {
  readonly id: string;
  readonly name: string;
  /** Credential ids the person has: a second one on the same authenticator would take the place of the first. */
  readonly others: readonly Bytes[];
  /** Others use this computer too: what opens its screen is not the person's own, so a phone or a security key must keep it. */
  readonly shared: boolean;
}

/** Makes a passkey for a person's keys. Throws PasskeyTrouble. */
export async function makePasskey(making: Making): Promise<Passkey> {
  const input = prfInput(making.id);
  const made = await create(making, input);
  const credential = new Uint8Array(made.rawId);
  const { prf } = made.getClientExtensionResults();
  try {
    // Some platforms give the secret only when the passkey is asked for the first time.
    if (prf?.results === undefined && prf?.enabled === false) throw new PasskeyTrouble("no-secret");
    const given = secretOf(made) ?? secretOf(await ask([credential], input));
    if (given === undefined) throw new PasskeyTrouble("no-secret");
    return { credential, given };
  } catch (error) {
    await forgetPasskey(credential);
    throw error;
  }
}

/** Asks the person for one of the passkeys of these wraps. Throws PasskeyTrouble. */
export async function askPasskey(account: string, wraps: readonly UrkWrap[]): Promise<Opener> {
  const known = wraps.filter((wrap) => wrap.method === "passkey").map((wrap) => ({ wrap, credential: readCredential(wrap.params) }));
  const answer = await ask(known.map((one) => one.credential), prfInput(account));
  const used = new Uint8Array(answer.rawId);
  const found = known.find((one) => sameBytes(one.credential, used));
  if (found === undefined) throw new PasskeyTrouble("failed");
  const given = secretOf(answer);
  if (given === undefined) throw new PasskeyTrouble("no-secret");
  return { wrap: found.wrap, secret: b64(given) };
}

/** What one of these passkeys gives for another input than the root key's, and which it was. Throws PasskeyTrouble. */
export async function askPasskeyFor(credentials: readonly Bytes[], input: Bytes): Promise<Passkey> {
  const answer = await ask(credentials, input);
  const given = secretOf(answer);
  if (given === undefined) throw new PasskeyTrouble("no-secret");
  return { credential: new Uint8Array(answer.rawId), given };
}

/** Tells the platform that a passkey opens nothing any more, so that it need not offer it. Most do not listen yet. */
export async function forgetPasskey(credential: Bytes): Promise<void> {
  const platform = PublicKeyCredential as typeof PublicKeyCredential & {
    signalUnknownCredential?: (what: { rpId: string; credentialId: string }) => Promise<void>;
  };
  await platform.signalUnknownCredential?.({ rpId: location.hostname, credentialId: b64(credential) }).catch(() => undefined);
}

/**
 * Makes the credential. The extension always names what is to be evaluated: a platform was found that refuses to make a passkey with
 * an empty one. Where it refuses all the same, once more without: some passkeys give the secret although nobody asked for it at first.
 */
async function create({ id, name, others, shared }: Making, input: Bytes): Promise<PublicKeyCredential> {
  const wanted: PublicKeyCredentialCreationOptions = {
    challenge: randomBytes(32),
    rp: { id: location.hostname, name: location.hostname },
    user: { id: utf8(id), name, displayName: name },
    pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
    authenticatorSelection: {
      residentKey: "required", requireResidentKey: true, userVerification: "required",
      ...(shared ? { authenticatorAttachment: "cross-platform" } : {}),
    },
    excludeCredentials: others.map(named),
    attestation: "none",
  };
  try {
    return await publicKey(navigator.credentials.create({ publicKey: { ...wanted, extensions: { prf: { eval: { first: input } } } } }), "exists");
  } catch (error) {
    if (!(error instanceof PasskeyTrouble) || error.fault !== "failed") throw error;
    return publicKey(navigator.credentials.create({ publicKey: { ...wanted, challenge: randomBytes(32) } }), "exists");
  }
}

function ask(credentials: readonly Bytes[], input: Bytes): Promise<PublicKeyCredential> {
  return publicKey(navigator.credentials.get({
    publicKey: {
      challenge: randomBytes(32),
      rpId: location.hostname,
      allowCredentials: credentials.map(named),
      userVerification: "required",
      extensions: { prf: { eval: { first: input } } },
    },
  }));
}

function named(id: Bytes): PublicKeyCredentialDescriptor {
  return { type: "public-key", id };
}

/** What the platform answered. Throws PasskeyTrouble for what it refused. */
async function publicKey(asked: Promise<Credential | null>, inThisState: PasskeyFault = "failed"): Promise<PublicKeyCredential> {
  try {
    const answer = await asked;
    if (answer instanceof PublicKeyCredential) return answer;
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    const fault = name === "InvalidStateError" ? inThisState : name === "NotAllowedError" || name === "AbortError" ? "cancelled" : "failed";
    throw new PasskeyTrouble(fault, error);
  }
  throw new PasskeyTrouble("failed");
}

/** What a passkey gave for `eval.first`; undefined if it gave nothing of the right length. */
function secretOf(answer: PublicKeyCredential): Bytes | undefined {
  const first = answer.getClientExtensionResults().prf?.results?.first;
  if (first === undefined) return undefined;
  const bytes = ArrayBuffer.isView(first) ? new Uint8Array(first.buffer, first.byteOffset, first.byteLength).slice() : new Uint8Array(first);
  return bytes.length === PRF_BYTES ? bytes : undefined;
}
