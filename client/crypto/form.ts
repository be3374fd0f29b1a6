// Small readers for the members of signed JSON objects. Each throws Refused("form") for anything but what it reads.

import { type Bytes, unb64 } from "./encoding.ts";
import { Refused } from "./reasons.ts";
import { type Json, type JsonObject, readBytes } from "./strictjson.ts";

export const HEADER_BYTES_LIMIT = 32 * 1024;
export const LIST_LIMIT = 256;

const ID = /^[a-z0-9_]{1,64}$/;
const THREAD = /^[0-9a-f]{32}$/;

export type ReadMember<T> = (value: Json | undefined) => T;

/** The object in the bytes of a header. */
export function headerObject(bytes: Bytes): JsonObject {
  if (bytes.length > HEADER_BYTES_LIMIT) throw new Refused("form", "header above 32 KiB");
  const value = readBytes(bytes);
  if (!(value instanceof Map)) throw new Refused("form", "not an object");
  return value;
}

/** Reads `v` and `t`, which come before every other look at the members. */
export function versionAndType(object: JsonObject, types: readonly string[]): string {
  const version = integer(object.get("v"));
  const type = text(object.get("t"));
  if (version !== 1) throw new Refused("version");
  if (!types.includes(type)) throw new Refused("type");
  return type;
}

/** Refuses members that are not listed. Missing ones are refused by their own readers. */
export function onlyMembers(object: JsonObject, names: readonly string[]): void {
  for (const name of object.keys()) {
    if (!names.includes(name)) throw new Refused("form", `a member ${JSON.stringify(name)} is not listed`);
  }
}

export function object(value: Json | undefined): JsonObject {
  if (!(value instanceof Map)) throw new Refused("form", "an object was expected");
  return value;
}

export function text(value: Json | undefined): string {
  if (typeof value !== "string") throw new Refused("form", "a text was expected");
  return value;
}

export function integer(value: Json | undefined): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new Refused("form", "a whole number was expected");
  }
  return value;
}

/** A whole number from 1. */
export function positive(value: Json | undefined): number {
  const read = integer(value);
  if (read === 0) throw new Refused("form", "counted from 1");
  return read;
}

export function id(value: Json | undefined): string {
  const read = text(value);
  if (!ID.test(read)) throw new Refused("form", "not an id");
  return read;
}

/** 128 bit as 32 lowercase hexadecimal digits. */
export function longId(value: Json | undefined): string {
  const read = text(value);
  if (!THREAD.test(read)) throw new Refused("form", "not a 128-bit id");
  return read;
}

export function oneOf<T extends string>(...allowed: readonly T[]): ReadMember<T> {
  return (value) => {
    const found = allowed.find((word) => word === value);
    if (found === undefined) throw new Refused("form", `one of ${allowed.join(", ")} was expected`);
    return found;
  };
}

/** base64url of exactly `length` bytes. */
export function bytes(length?: number): ReadMember<Bytes> {
  return (value) => unb64(value, length);
}

/** base64url of exactly `length` bytes, or the empty text for "there is none". */
export function bytesOrNone(length: number): ReadMember<Bytes | undefined> {
  return (value) => (value === "" ? undefined : unb64(value, length));
}

export function list<T>(entry: ReadMember<T>): ReadMember<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Refused("form", "a list was expected");
    if (value.length > LIST_LIMIT) throw new Refused("form", `more than ${LIST_LIMIT} entries`);
    return value.map(entry);
  };
}

/** Reads a member only if it is there. */
export function optional<T>(value: Json | undefined, read: ReadMember<T>): T | undefined {
  return value === undefined ? undefined : read(value);
}
