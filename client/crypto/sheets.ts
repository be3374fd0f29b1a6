// An organisation's recovery key on three printed sheets, of which two are needed (docs/protocol.md section 2). Shamir's scheme
// over GF(2^8), byte by byte: what is multiplied may be secret, so nothing branches on it or looks it up.

import { type UserEntry } from "./directory.ts";
import { type Bytes, concat, hkdf, pae, randomBytes, sameBytes } from "./encoding.ts";
import { publicKeyOf } from "./hpke.ts";
import { type IdentitySeeds, identityKeys } from "./hybrid.ts";
import { Refused } from "./reasons.ts";
import { CHECK_SYMBOLS, SYMBOLS, bareCode } from "./symbols.ts";

export const ORK_BYTES = 32;
const SET_BYTES = 6;
const NUMBERS = [1, 2, 3] as const;
const VERSION = 1;
const LINES = 4;
const LINE_SYMBOLS = 16;
const LINE_BYTES = 10;
const SHEET_BYTES = LINES * LINE_BYTES;
const POLYNOMIAL = 0x11b;

/** One share: `set` is that of all three sheets made together, `index` is 1, 2 or 3. */
export interface Sheet {
  readonly set: Bytes;
  readonly index: number;
  readonly share: Bytes;
}

/** The private half of a recovery. */
export interface RecoveryKeys {
  readonly identity: IdentitySeeds;
  /** The seed of its encryption key. */
  readonly seed: Bytes;
}

/** A fresh key of an organisation. */
export function generateOrk(): Bytes {
  return randomBytes(ORK_BYTES);
}

/** The product of two elements of GF(2^8). */
export function multiply(left: number, right: number): number {
  let [product, power] = [0, left];
  for (let place = 0; place < 8; place += 1) {
    product ^= -((right >> place) & 1) & power;
    power = (power << 1) ^ (-(power >> 7) & POLYNOMIAL);
  }
  return product;
}

/** value^254; of numbers of sheets only, which are no secret. */
function inverse(value: number): number {
  let result = 1;
  for (let count = 0; count < 254; count += 1) result = multiply(result, value);
  return result;
}

/** Three sheets, each of which alone says nothing about the key. Set and slope are drawn, but by tests. */
export function splitOrk(ork: Bytes, set: Bytes = randomBytes(SET_BYTES), slope: Bytes = randomBytes(ORK_BYTES)): Sheet[] {
  return NUMBERS.map((index) => ({ set, index, share: ork.map((it, place) => it ^ multiply(slope[place]!, index)) }));
}

/** The key that two sheets give. Throws Refused: `object` (of another set), `duplicate` (the same one twice). */
export function joinSheets(one: Sheet, other: Sheet): Bytes {
  if (!sameBytes(one.set, other.set)) throw new Refused("object", "sheets of two sets");
  if (one.index === other.index) throw new Refused("duplicate", "the same sheet twice");
  const denominator = inverse(one.index ^ other.index);
  const [left, right] = [multiply(other.index, denominator), multiply(one.index, denominator)];
  return one.share.map((it, place) => multiply(it, left) ^ multiply(other.share[place]!, right));
}

/** A sheet as it is printed: four lines of four groups, each with its check symbol. */
export function writeSheet(sheet: Sheet): readonly string[] {
  const octets = concat(Uint8Array.of(VERSION), sheet.set, Uint8Array.of(sheet.index), sheet.share);
  return Array.from({ length: LINES }, (_, line) => {
    const symbols = symbolsOf(octets.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES));
    return (symbols + checkSymbol(symbols, line + 1)).match(/.{1,4}/g)!.join("-");
  });
}

/** Five bits a symbol. */
function symbolsOf(octets: Uint8Array): string {
  let [text, word, bits] = ["", 0, 0];
  for (const octet of octets) {
    word = ((word << 8) | octet) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += SYMBOLS[(word >> (bits - 5)) & 31]!;
  }
  return text;
}

function bytesOf(symbols: string): Bytes {
  const out = new Uint8Array((symbols.length * 5) / 8);
  let [at, word, bits] = [0, 0, 0];
  for (const symbol of symbols) {
    word = ((word << 5) | SYMBOLS.indexOf(symbol)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    out[at] = (word >> bits) & 0xff;
    at += 1;
  }
  return out;
}

function checkSymbol(symbols: string, line: number): string {
  let rest = 0;
  for (const symbol of symbols) rest = (rest * 32 + SYMBOLS.indexOf(symbol)) % 37;
  return CHECK_SYMBOLS[(rest + line) % 37]!;
}

function linesOf(typed: string): string[] {
  return bareCode(typed).match(new RegExp(`.{1,${LINE_SYMBOLS + 1}}`, "g")) ?? [];
}

function lineHolds(line: string, place: number): boolean {
  const symbols = line.slice(0, LINE_SYMBOLS);
  return line.length === LINE_SYMBOLS + 1 && [...symbols].every((one) => SYMBOLS.includes(one)) && line[LINE_SYMBOLS] === checkSymbol(symbols, place);
}

/** The lines, counted from 1, that are mistyped in what was typed so far; one that is not complete yet is not. */
export function mistypedLines(typed: string): readonly number[] {
  return linesOf(typed).flatMap((line, place) => (line.length > LINE_SYMBOLS && !lineHolds(line, place + 1) ? [place + 1] : []));
}

/** A typed sheet; case, spaces, hyphens and look-alikes do not matter. Throws Refused `code`. */
export function readSheet(typed: string): Sheet {
  const lines = linesOf(typed);
  if (lines.length !== LINES || !lines.every((line, place) => lineHolds(line, place + 1))) throw new Refused("code");
  const octets = bytesOf(lines.map((line) => line.slice(0, LINE_SYMBOLS)).join(""));
  const index = octets[1 + SET_BYTES]!;
  if (octets.length !== SHEET_BYTES || octets[0] !== VERSION || !NUMBERS.some((one) => one === index)) throw new Refused("code");
  return { set: octets.slice(1, 1 + SET_BYTES), index, share: octets.slice(2 + SET_BYTES) };
}

/** The private half of the recovery `id`. */
export function recoveryKeys(ork: Bytes, id: string): RecoveryKeys {
  const seeds = hkdf(ork, new Uint8Array(0), pae("ork", id), 96);
  return { identity: { ed: seeds.slice(0, 32), ml: seeds.slice(32, 64) }, seed: seeds.slice(64) };
}

/**
 * The recovery key out of two typed sheets, held against the verified newest entry of the recovery. Throws Refused: `code` (a typing
 * error), `object`, `duplicate`, `member key` (of older sheets, or of somebody else's).
 */
export async function openSheets(typed: readonly [string, string], newest: UserEntry): Promise<Bytes> {
  const ork = joinSheets(readSheet(typed[0]), readSheet(typed[1]));
  const { identity, seed } = recoveryKeys(ork, newest.id);
  const { ed, ml } = await identityKeys(identity);
  const same = sameBytes(ed, newest.keys.ed) && sameBytes(ml, newest.keys.ml) && sameBytes(await publicKeyOf(seed), newest.kem);
  if (!same) throw new Refused("member key", "not the sheets of the newest key");
  return ork;
}
