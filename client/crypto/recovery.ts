// Recovery of the user root key: by passkey, by a printed code, by passphrase through Argon2id (docs/protocol.md section 2).

import { argon2id } from "hash-wasm";

import { type Bytes, aesOpen, aesSeal, b64, hex, hkdf, pae, randomBytes, sha256, unb64, utf8 } from "./encoding.ts";
import { bytes, id, oneOf, onlyMembers, text, versionAndType } from "./form.ts";
import { Refused, attempt, attemptAsync, refused } from "./reasons.ts";
import { type JsonObject } from "./strictjson.ts";
import { CHECK_SYMBOLS, SYMBOLS, bareCode } from "./symbols.ts";

/** A wrap of the user root key as the server keeps it. */
export interface UrkWrap {
  readonly v: 1;
  readonly t: "urk";
  readonly user: string;
  /** What opens it. `device`: a code that one device of the person shows to another, once. */
  readonly method: "passphrase" | "code" | "passkey" | "device";
  readonly salt: string;
  readonly params: string;
  readonly iv: string;
  readonly ct: string;
}

export const URK_BYTES = 32;
/** What a passkey gives by the PRF extension of WebAuthn. */
export const PRF_BYTES = 32;
const CODE_PARAMETERS = "hkdf";
const CREDENTIAL = /^prf,cred=([A-Za-z0-9_-]+)$/;
const CREDENTIAL_BYTES = [16, 1023] as const;
const NEW_PARAMETERS = { kib: 65_536, passes: 3, lanes: 1 };
/** The cost of new wraps and guards, as `params`. */
export const NEW_STRETCHING = `argon2id,v=19,m=${NEW_PARAMETERS.kib},t=${NEW_PARAMETERS.passes},p=${NEW_PARAMETERS.lanes}`;
const BOUNDS = { kib: [65_536, 1_048_576], passes: [3, 16], lanes: [1, 4] } as const;
const PARAMETERS = /^argon2id,v=19,m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})$/;

export interface Argon2Parameters {
  readonly kib: number;
  readonly passes: number;
  readonly lanes: number;
}

/** A fresh user root key. */
export function generateUrk(): Bytes {
  return randomBytes(URK_BYTES);
}

/** NFKC, each run of white space one space, none at either end. */
export function normalPassphrase(passphrase: string): string {
  return passphrase.normalize("NFKC").replace(/[ \t\r\n]+/g, " ").replace(/^ | $/g, "");
}

/** Wraps the root key under a passphrase. Takes a few hundred milliseconds and 64 MiB. */
export async function wrapByPassphrase(user: string, urk: Bytes, passphrase: string): Promise<UrkWrap> {
  const salt = randomBytes(16);
  return wrap(user, "passphrase", NEW_STRETCHING, salt, await stretch(passphrase, salt, NEW_PARAMETERS), urk);
}

/** Wraps the root key under a recovery code. */
export async function wrapByCode(user: string, urk: Bytes, code: string): Promise<UrkWrap | Refused> {
  return attemptAsync(() => wrap(user, "code", CODE_PARAMETERS, randomBytes(16), utf8(readCode(code)), urk));
}

/** Wraps the root key for one other device of the person, which is shown `code`. */
export async function wrapByDevice(user: string, urk: Bytes, code: string): Promise<UrkWrap | Refused> {
  return attemptAsync(() => wrap(user, "device", CODE_PARAMETERS, randomBytes(16), utf8(readCode(code)), urk));
}

/** Under which name the server keeps what one device of a person offers to another. Throws `Refused("code")`. */
export function offerName(user: string, typed: string): string {
  return hex(sha256(pae("device-offer", user, readCode(typed))).slice(0, 16));
}

/** Wraps the root key under a passkey, `given` being what it gives for `prfInput(user)`. */
export async function wrapByPasskey(user: string, urk: Bytes, credential: Bytes, given: Bytes): Promise<UrkWrap | Refused> {
  return attemptAsync(async () => {
    const params = `prf,cred=${b64(credential)}`;
    readCredential(params);
    return wrap(user, "passkey", params, randomBytes(16), unb64(b64(given), PRF_BYTES), urk);
  });
}

/** What a passkey of `user` is asked for: the member `eval.first` of the PRF extension. */
export function prfInput(user: string): Bytes {
  return sha256(pae("prf", "urk", user));
}

/** The id of a way back: the method's name, of a passkey 32 hex digits for its credential. Throws `Refused("parameters")`. */
export function wayOf({ method, params }: UrkWrap): string {
  if (method !== "passkey") return method;
  return hex(sha256(readCredential(params)).slice(0, 16));
}

async function wrap(
  user: string, method: UrkWrap["method"], params: string, salt: Bytes, ikm: Bytes, urk: Bytes,
): Promise<UrkWrap> {
  const iv = randomBytes(12);
  const key = hkdf(ikm, salt, pae("urk-key", user, method), 32);
  const ct = await aesSeal(key, iv, pae("urk", user, method, params), urk);
  return { v: 1, t: "urk", user, method, salt: b64(salt), params, iv: b64(iv), ct: b64(ct) };
}

/**
 * Opens the root key by passphrase or code as typed, or by b64 of what the passkey gave. `code` before anything is tried if a code is
 * mistyped, `parameters` for Argon2 settings that are too weak or too costly, `form` for what no passkey gives, `aead` for a wrong
 * secret, `object` for the wrap of another person.
 */
export function unwrapUrk(given: UrkWrap, user: string, secret: string): Promise<Bytes | Refused> {
  return attemptAsync(async () => {
    const { user: named, method, salt, params, iv, ct } = readWrap(given);
    if (named !== user) throw new Refused("object", "the wrap of another person");
    const ikm = method === "passphrase" ? await stretch(secret, salt, readParameters(params))
      : method === "passkey" ? unb64(secret, PRF_BYTES) : utf8(readCode(secret));
    const key = hkdf(ikm, salt, pae("urk-key", user, method), 32);
    const urk = await aesOpen(key, iv, pae("urk", user, method, params), ct);
    if (urk === undefined) throw new Refused("aead", "a wrong secret");
    return urk;
  });
}

interface ReadWrap {
  readonly user: string;
  readonly method: UrkWrap["method"];
  readonly salt: Bytes;
  readonly params: string;
  readonly iv: Bytes;
  readonly ct: Bytes;
}

/** Reads a wrap. Throws `Refused`: form, version, type, or parameters that are refused before any work. */
function readWrap(given: UrkWrap): ReadWrap {
  if (typeof given !== "object" || given === null) throw new Refused("form");
  const members: JsonObject = new Map(Object.entries(given));
  versionAndType(members, ["urk"]);
  onlyMembers(members, ["v", "t", "user", "method", "salt", "params", "iv", "ct"]);
  const wrap: ReadWrap = {
    user: id(members.get("user")),
    method: oneOf("passphrase", "code", "passkey", "device")(members.get("method")),
    salt: bytes(16)(members.get("salt")),
    params: text(members.get("params")),
    iv: bytes(12)(members.get("iv")),
    ct: bytes(URK_BYTES + 16)(members.get("ct")),
  };
  if (wrap.method === "passphrase") readParameters(wrap.params);
  else if (wrap.method === "passkey") readCredential(wrap.params);
  else if (wrap.params !== CODE_PARAMETERS) throw new Refused("parameters");
  return wrap;
}

/** The id of the passkey of a wrap. Throws `Refused("parameters")` for another text or length. */
export function readCredential(params: string): Bytes {
  const found = CREDENTIAL.exec(params);
  const credential = found === null ? undefined : attempt(() => unb64(found[1]!));
  if (credential === undefined || refused(credential)) throw new Refused("parameters", "an unknown form");
  const [least, most] = CREDENTIAL_BYTES;
  if (credential.length < least || credential.length > most) throw new Refused("parameters", "no id of a passkey");
  return credential;
}

/** Reads Argon2 settings. Throws `Refused("parameters")` outside the bounds, before any work is done. */
export function readParameters(params: string): Argon2Parameters {
  const found = PARAMETERS.exec(params);
  if (found === null) throw new Refused("parameters", "an unknown form");
  const [kib, passes, lanes] = [Number(found[1]), Number(found[2]), Number(found[3])];
  const within = (value: number, [least, most]: readonly [number, number]): boolean => value >= least && value <= most;
  if (!within(kib, BOUNDS.kib) || !within(passes, BOUNDS.passes) || !within(lanes, BOUNDS.lanes)) {
    throw new Refused("parameters", "too weak or too costly");
  }
  return { kib, passes, lanes };
}

function stretch(passphrase: string, salt: Bytes, parameters: Argon2Parameters): Promise<Bytes> {
  return stretchBytes(utf8(normalPassphrase(passphrase)), salt, parameters);
}

/** Argon2id of bytes, 32 bytes. */
export async function stretchBytes(password: Bytes, salt: Bytes, { kib, passes, lanes }: Argon2Parameters): Promise<Bytes> {
  return (await argon2id({
    password, salt, memorySize: kib, iterations: passes, parallelism: lanes,
    hashLength: 32, outputType: "binary",
  })) as Bytes;
}

const CODE_SYMBOLS = 26;

/** A fresh recovery code, in groups of four. */
export function generateCode(): string {
  const symbols = [...randomBytes(CODE_SYMBOLS)].map((byte) => SYMBOLS[byte & 31]!).join("");
  return (symbols + checkSymbol(symbols)).match(/.{1,4}/g)!.join("-");
}

/** The 26 symbols of a typed code. Throws `Refused("code")` for a wrong length, symbol or check symbol. */
export function readCode(typed: string): string {
  const whole = bareCode(typed);
  const symbols = whole.slice(0, CODE_SYMBOLS);
  const valid = whole.length === CODE_SYMBOLS + 1 && [...symbols].every((symbol) => SYMBOLS.includes(symbol));
  if (!valid || whole[CODE_SYMBOLS] !== checkSymbol(symbols)) throw new Refused("code");
  return symbols;
}

/** Whether a code is complete and free of typing errors, for the page that asks for it. */
export function codeIsWhole(typed: string): boolean {
  return !refused(attempt(() => readCode(typed)));
}

function checkSymbol(symbols: string): string {
  let rest = 0;
  for (const symbol of symbols) rest = (rest * 32 + SYMBOLS.indexOf(symbol)) % 37;
  return CHECK_SYMBOLS[rest]!;
}

/** What a generated passphrase must at least hold. */
const PASSPHRASE_BITS = 64;
/** Characters of a passphrase of one's own. */
export const OWN_PASSPHRASE_LENGTH = 20;

/** How many words of a list make 64 bit: five of the English one, six of the Spanish one. */
export function wordsNeeded(words: readonly string[]): number {
  return Math.ceil(PASSPHRASE_BITS / Math.log2(words.length));
}

/** As many words as 64 bit take, each drawn evenly from the list. */
export function generatePassphrase(words: readonly string[]): string {
  const count = wordsNeeded(words);
  const chosen: string[] = [];
  const limit = Math.floor(2 ** 32 / words.length) * words.length;
  while (chosen.length < count) {
    const draw = crypto.getRandomValues(new Uint32Array(1))[0]!;
    if (draw < limit) chosen.push(words[draw % words.length]!);
  }
  const passphrase = chosen.join(" ");
  // One in some millions is so short that it would not pass for a passphrase of one's own: draw again.
  return passphrase.length < OWN_PASSPHRASE_LENGTH ? generatePassphrase(words) : passphrase;
}

/** Why a passphrase of one's own is not taken; undefined if it is. */
export type PassphraseFault = "too short" | "known";

/** Judges a passphrase of one's own: at least 20 characters, not one that is known, not a few characters over and over. */
export function passphraseFault(passphrase: string, known: readonly string[]): PassphraseFault | undefined {
  const normal = normalPassphrase(passphrase);
  if ([...normal].length < OWN_PASSPHRASE_LENGTH) return "too short";
  const bare = bareText(normal);
  return new Set(bare).size < 8 || known.some((other) => bareText(other) === bare) ? "known" : undefined;
}

function bareText(value: string): string {
  return value.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}
