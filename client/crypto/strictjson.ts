// A JSON reader that hides nothing: JSON.parse lets a name occur twice, 1.0 pass for 1 and half a surrogate through.
// Objects come back as Map, so that "__proto__" and "constructor" are ordinary names.

import { fromUtf8 } from "./encoding.ts";
import { Refused } from "./reasons.ts";

export type JsonObject = Map<string, Json>;
export type Json = null | boolean | number | string | Json[] | JsonObject;

export interface Limits {
  /** How deep lists and objects may lie in each other. */
  readonly depth: number;
  /** "integers": 0..2^53-1 written 0 or [1-9][0-9]*, as headers need. "any": every JSON number, for message bodies. */
  readonly numbers: "integers" | "any";
}

/** What headers, wraps and records may be. */
export const HEADER_LIMITS: Limits = { depth: 16, numbers: "integers" };
/** What message bodies may be; FHIR resources nest and carry decimals. */
export const BODY_LIMITS: Limits = { depth: 64, numbers: "any" };

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const INTEGER = /^(?:0|[1-9][0-9]*)$/;
const ESCAPES = new Map([
  ['"', '"'], ["\\", "\\"], ["/", "/"], ["b", "\b"], ["f", "\f"], ["n", "\n"], ["r", "\r"], ["t", "\t"],
]);

/** Reads UTF-8 bytes. Throws `Refused("form")`. */
export function readBytes(bytes: Uint8Array, limits: Limits = HEADER_LIMITS): Json {
  return readText(fromUtf8(bytes), limits);
}

/** Reads a text. Throws `Refused("form")`. */
export function readText(text: string, limits: Limits = HEADER_LIMITS): Json {
  const reader = new Reader(text, limits);
  return reader.whole();
}

/** Whether a text holds half a surrogate pair. */
export function hasLoneSurrogate(text: string): boolean {
  return !text.isWellFormed();
}

class Reader {
  private at = 0;

  constructor(private readonly text: string, private readonly limits: Limits) {}

  whole(): Json {
    const value = this.value(0);
    this.space();
    if (this.at !== this.text.length) this.fail("more after the end");
    return value;
  }

  private value(depth: number): Json {
    this.space();
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth + 1);
      case "[":
        return this.list(depth + 1);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    this.deep(depth);
    const members: JsonObject = new Map();
    this.at += 1;
    this.space();
    if (this.text[this.at] === "}") {
      this.at += 1;
      return members;
    }
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') this.fail("a name was expected");
      const name = this.string();
      if (members.has(name)) this.fail("a name twice");
      this.space();
      if (this.text[this.at] !== ":") this.fail("a colon was expected");
      this.at += 1;
      members.set(name, this.value(depth));
      if (this.ends("}")) return members;
    }
  }

  private list(depth: number): Json[] {
    this.deep(depth);
    const entries: Json[] = [];
    this.at += 1;
    this.space();
    if (this.text[this.at] === "]") {
      this.at += 1;
      return entries;
    }
    for (;;) {
      entries.push(this.value(depth));
      if (this.ends("]")) return entries;
    }
  }

  /** After an entry: true at the closing mark, false at a comma. */
  private ends(mark: string): boolean {
    this.space();
    const next = this.text[this.at];
    this.at += 1;
    if (next === mark) return true;
    if (next !== ",") this.fail("a comma was expected");
    return false;
  }

  private string(): string {
    this.at += 1;
    let out = "";
    let start = this.at;
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (Number.isNaN(code)) this.fail("a text without end");
      if (code === 0x22) break;
      if (code < 0x20) this.fail("a control character in a text");
      if (code === 0x5c) {
        out += this.text.slice(start, this.at) + this.escape();
        start = this.at;
      } else {
        this.at += 1;
      }
    }
    out += this.text.slice(start, this.at);
    this.at += 1;
    if (hasLoneSurrogate(out)) this.fail("half a surrogate pair");
    return out;
  }

  private escape(): string {
    const mark = this.text[this.at + 1] ?? "";
    if (mark === "u") {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("a broken \\u escape");
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = ESCAPES.get(mark);
    if (plain === undefined) this.fail("an unknown escape");
    this.at += 2;
    return plain!;
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text)?.[0];
    if (found === undefined) this.fail("no value");
    this.at += found!.length;
    const value = Number(found);
    if (this.limits.numbers === "integers") {
      if (!INTEGER.test(found!) || value > Number.MAX_SAFE_INTEGER) this.fail("not a whole number from 0 to 2^53-1");
    } else if (!Number.isFinite(value)) {
      this.fail("a number beyond all bounds");
    }
    return value;
  }

  private word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail("no value");
    this.at += word.length;
    return value;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at += 1;
    }
  }

  private deep(depth: number): void {
    if (depth > this.limits.depth) this.fail("too deep");
  }

  private fail(why: string): never {
    throw new Refused("form", `${why} at ${this.at}`);
  }
}
