// What is inside a message: JSON {id, type, …} (docs/protocol.md section 4). A body that a newer version made stays readable as
// "made by a newer version", never as an error of the thread.

import { attempt, refused } from "./reasons.ts";
import { BODY_LIMITS, type Json, type JsonObject, readText } from "./strictjson.ts";

/** A piece of medication or order context that was quoted into a message. */
export interface FhirQuote {
  readonly structureDefinition: string;
  readonly fhirVersion: string;
  /** What a person reads. */
  readonly text: string;
  readonly resource: JsonObject;
}

/** A file of the message. */
export interface FileNote {
  readonly id: string;
  /** Input key of the attachment, base64url. */
  readonly key: string;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly hash: string;
}

export interface TextBody {
  readonly kind: "text";
  readonly id: string;
  readonly subject: string | undefined;
  readonly text: string;
  readonly inReplyTo: string | undefined;
  readonly fhir: readonly FhirQuote[];
  readonly files: readonly FileNote[];
}

export interface CorrectBody {
  readonly kind: "correct";
  readonly id: string;
  readonly replaces: string;
  readonly text: string;
}

export interface SystemBody {
  readonly kind: "system";
  readonly id: string;
  readonly members: JsonObject;
}

/** A type that this version does not know, or a body of another form. */
export interface NewerBody {
  readonly kind: "newer";
  readonly id: string | undefined;
  readonly type: string | undefined;
}

export type Body = TextBody | CorrectBody | SystemBody | NewerBody;

/** Reads the text of a body. What it cannot read is "newer". */
export function readBody(text: string): Body {
  const value = attempt(() => readText(text, BODY_LIMITS));
  if (refused(value) || !(value instanceof Map)) return { kind: "newer", id: undefined, type: undefined };
  const id = textOf(value.get("id"));
  const type = textOf(value.get("type"));
  const newer: NewerBody = { kind: "newer", id, type };
  if (id === undefined || !/^[0-9a-f]{32}$/.test(id)) return newer;
  switch (type) {
    case "text":
      return readTextBody(id, value) ?? newer;
    case "correct": {
      const replaces = textOf(value.get("replaces"));
      const corrected = textOf(value.get("text"));
      return replaces === undefined || corrected === undefined ? newer : { kind: "correct", id, replaces, text: corrected };
    }
    case "system":
      return { kind: "system", id, members: value };
    default:
      return newer;
  }
}

function readTextBody(id: string, value: JsonObject): TextBody | undefined {
  const text = textOf(value.get("text"));
  const fhir = listOf(value.get("fhir"), readQuote);
  const files = listOf(value.get("files"), readFile);
  if (text === undefined || fhir === undefined || files === undefined) return undefined;
  return { kind: "text", id, subject: textOf(value.get("subject")), text, inReplyTo: textOf(value.get("inReplyTo")), fhir, files };
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function listOf<T>(value: Json | undefined, read: (entry: JsonObject) => T | undefined): T[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const entries: T[] = [];
  for (const entry of value) {
    const one = entry instanceof Map ? read(entry) : undefined;
    if (one === undefined) return undefined;
    entries.push(one);
  }
  return entries;
}

function readQuote(value: JsonObject): FhirQuote | undefined {
  const structureDefinition = textOf(value.get("structureDefinition"));
  const fhirVersion = textOf(value.get("fhirVersion"));
  const text = textOf(value.get("text"));
  const resource = value.get("resource");
  if (structureDefinition === undefined || fhirVersion === undefined || text === undefined) return undefined;
  return resource instanceof Map ? { structureDefinition, fhirVersion, text, resource } : undefined;
}

function readFile(value: JsonObject): FileNote | undefined {
  const [id, key, name, type, hash] = ["id", "key", "name", "type", "hash"].map((member) => textOf(value.get(member)));
  const size = value.get("size");
  if (id === undefined || key === undefined || name === undefined || type === undefined || hash === undefined) return undefined;
  return typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? { id, key, name, type, size, hash } : undefined;
}

/** A plain JSON value that is to be sealed. */
export type PlainJson = null | boolean | number | string | readonly PlainJson[] | { readonly [name: string]: PlainJson };

/** The text of a new text body. `id` is its Idempotency-Key: one per message, kept over every re-seal. */
export function textBody(body: {
  readonly id: string; readonly text: string; readonly subject?: string; readonly inReplyTo?: string;
  readonly fhir?: readonly { readonly [name: string]: PlainJson }[]; readonly files?: readonly FileNote[];
}): string {
  const { id, ...rest } = body;
  return JSON.stringify({ id, type: "text", ...rest });
}

/** The text of a correction of one's own earlier message. */
export function correctBody(body: { readonly id: string; readonly replaces: string; readonly text: string }): string {
  return JSON.stringify({ id: body.id, type: "correct", replaces: body.replaces, text: body.text });
}
