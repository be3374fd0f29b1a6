// The forms of thread records and receipts, read strictly: docs/protocol.md sections 1 and 4. Nothing here is verified yet.

import { type Bytes, b64, pae, sha256, unb64, utf8 } from "./encoding.ts";
import {
  bytes, headerObject, id, integer, list, longId, object, oneOf, onlyMembers, optional, text, versionAndType,
} from "./form.ts";
import { OVERHEAD_BYTES } from "./hpke.ts";
import { Refused } from "./reasons.ts";
import { type Json } from "./strictjson.ts";

export const SUITE = "647a.11.2";
export const ROLES = ["patient", "proxy", "team", "pharmacist", "staff", "service"] as const;
export type Role = (typeof ROLES)[number];

/** A record as the server gives it: parsed JSON of either shape, plain objects or Maps. */
export type RawRecord = object;

export interface Member {
  readonly id: string;
  readonly role: Role;
  readonly gen: number;
  readonly kid: Bytes;
}

export interface AttachmentName {
  readonly id: string;
  /** Bytes as stored. */
  readonly size: number;
  /** SHA-256 of the stored bytes. */
  readonly cth: Bytes;
}

interface CommonHeader {
  readonly thread: string;
  readonly epoch: number;
  readonly seq: number;
  readonly prev: Bytes;
  readonly user: string;
  readonly dev: string;
  /** Unix milliseconds, as the sender claims. */
  readonly ts: number;
}

export interface EpochHeader extends CommonHeader {
  readonly t: "epoch";
  readonly suite: string;
  readonly commit: Bytes;
  readonly members: readonly Member[];
  readonly revoked: readonly string[] | undefined;
}

export interface MessageHeader extends CommonHeader {
  readonly t: "msg";
  readonly salt: Bytes;
  readonly frank: Bytes;
  readonly label: { readonly topic: string } | undefined;
  readonly att: readonly AttachmentName[];
}

export interface HistoryHeader extends CommonHeader {
  readonly t: "history";
  readonly to: { readonly id: string; readonly gen: number; readonly kid: Bytes };
  readonly from: number;
  readonly upto: number;
}

export interface RedactHeader extends CommonHeader {
  readonly t: "redact";
  readonly target: number;
  readonly reason: string;
}

export type Header = EpochHeader | MessageHeader | HistoryHeader | RedactHeader;

interface Frame<H extends Header> {
  readonly header: H;
  /** The exact bytes of the header. */
  readonly h: Bytes;
  readonly sig: Bytes;
  /** What the chain and the signature say about the body. */
  readonly bodyHash: Bytes;
}

export interface WrapRecord<H extends EpochHeader | HistoryHeader> extends Frame<H> {
  /** The wraps by id; undefined where retention has dropped them. */
  readonly wraps: ReadonlyMap<string, Bytes> | undefined;
}
export interface MessageRecord extends Frame<MessageHeader> {
  /** The sealed body; undefined where it is withheld or taken back. */
  readonly ct: Bytes | undefined;
}
export type EpochRecord = WrapRecord<EpochHeader>;
export type HistoryRecord = WrapRecord<HistoryHeader>;
export type RedactRecord = Frame<RedactHeader>;
export type ThreadRecord = EpochRecord | MessageRecord | HistoryRecord | RedactRecord;

const COMMON = ["v", "t", "thread", "epoch", "seq", "prev", "user", "dev", "ts"];
const OWN: Readonly<Record<Header["t"], readonly string[]>> = {
  epoch: [...COMMON, "suite", "commit", "members", "revoked"],
  msg: [...COMMON, "salt", "frank", "label", "att"],
  history: [...COMMON, "to", "from", "upto"],
  redact: [...COMMON, "target", "reason"],
};
const TYPES = Object.keys(OWN);

/** The body of a redact record is empty. */
const NOTHING_HASH = sha256(new Uint8Array(0));

/** Whether a record is of one type; narrows. */
export function isEpoch(record: ThreadRecord): record is EpochRecord {
  return record.header.t === "epoch";
}
export function isMessage(record: ThreadRecord): record is MessageRecord {
  return record.header.t === "msg";
}
export function isHistory(record: ThreadRecord): record is HistoryRecord {
  return record.header.t === "history";
}
export function isRedact(record: ThreadRecord): record is RedactRecord {
  return record.header.t === "redact";
}

/** A member of an object that may be a Map or a plain object from JSON.parse; inherited names do not count. */
export function memberOf(raw: RawRecord, name: string): unknown {
  if (raw instanceof Map) return raw.get(name);
  return Object.hasOwn(raw, name) ? (raw as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** Reads a record. Throws `Refused` with form, version or type. */
export function readRecord(raw: RawRecord): ThreadRecord {
  if (typeof raw !== "object" || raw === null) throw new Refused("form", "a record is an object");
  const h = unb64(memberOf(raw, "h"));
  const sig = unb64(memberOf(raw, "sig"));
  const header = readHeader(h);
  if (sig.length !== 64) throw new Refused("form", "a signature has 64 bytes");
  switch (header.t) {
    case "epoch":
    case "history": {
      const wh = unb64(memberOf(raw, "wh"), 32);
      const wraps = readWraps(memberOf(raw, "w"));
      checkWrapLengths(header, wraps);
      return { header, h, sig, bodyHash: wh, wraps } as ThreadRecord;
    }
    case "msg": {
      const cth = unb64(memberOf(raw, "cth"), 32);
      const ct = memberOf(raw, "ct") ?? undefined;
      return { header, h, sig, bodyHash: cth, ct: ct === undefined ? undefined : unb64(ct) };
    }
    case "redact":
      return { header, h, sig, bodyHash: NOTHING_HASH };
  }
}

/** Reads the bytes of a record's header. Throws `Refused`. */
export function readHeader(h: Bytes): Header {
  const members = headerObject(h);
  const t = versionAndType(members, TYPES) as Header["t"];
  onlyMembers(members, OWN[t]);
  const common: CommonHeader = {
    thread: longId(members.get("thread")),
    epoch: integer(members.get("epoch")),
    seq: integer(members.get("seq")),
    prev: bytes(32)(members.get("prev")),
    user: id(members.get("user")),
    dev: id(members.get("dev")),
    ts: integer(members.get("ts")),
  };
  switch (t) {
    case "epoch":
      return {
        t, ...common,
        suite: text(members.get("suite")),
        commit: bytes(32)(members.get("commit")),
        members: list(readMember)(members.get("members")),
        revoked: optional(members.get("revoked"), list(id)),
      };
    case "msg":
      return {
        t, ...common,
        salt: bytes(16)(members.get("salt")),
        frank: bytes(32)(members.get("frank")),
        label: optional(members.get("label"), readLabel),
        att: optional(members.get("att"), list(readAttachment)) ?? [],
      };
    case "history":
      return {
        t, ...common,
        to: readAddressee(members.get("to")),
        from: integer(members.get("from")),
        upto: integer(members.get("upto")),
      };
    case "redact":
      return { t, ...common, target: integer(members.get("target")), reason: text(members.get("reason")) };
  }
}

function readMember(value: Json | undefined): Member {
  const member = object(value);
  onlyMembers(member, ["id", "role", "gen", "kid"]);
  return {
    id: id(member.get("id")),
    role: oneOf(...ROLES)(member.get("role")),
    gen: integer(member.get("gen")),
    kid: bytes(16)(member.get("kid")),
  };
}

function readAddressee(value: Json | undefined): HistoryHeader["to"] {
  const to = object(value);
  onlyMembers(to, ["id", "gen", "kid"]);
  return { id: id(to.get("id")), gen: integer(to.get("gen")), kid: bytes(16)(to.get("kid")) };
}

function readLabel(value: Json | undefined): { topic: string } {
  const label = object(value);
  onlyMembers(label, ["topic"]);
  return { topic: text(label.get("topic")) };
}

function readAttachment(value: Json | undefined): AttachmentName {
  const attachment = object(value);
  onlyMembers(attachment, ["id", "size", "cth"]);
  return {
    id: id(attachment.get("id")),
    size: integer(attachment.get("size")),
    cth: bytes(32)(attachment.get("cth")),
  };
}

/** The wraps map, by id; undefined where it is null or absent. */
function readWraps(value: unknown): ReadonlyMap<string, Bytes> | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw new Refused("form", "wraps are an object");
  const entries: Iterable<[string, unknown]> = value instanceof Map ? value : Object.entries(value);
  const wraps = new Map<string, Bytes>();
  for (const [name, wrap] of entries) {
    if (wraps.size >= 256) throw new Refused("form", "more than 256 wraps");
    wraps.set(id(name), unb64(wrap));
  }
  return wraps;
}

function checkWrapLengths(header: EpochHeader | HistoryHeader, wraps: ReadonlyMap<string, Bytes> | undefined): void {
  if (wraps === undefined) return;
  const secrets = header.t === "epoch" ? 1 : header.upto - header.from + 1;
  if (secrets < 1) return; // no range at all: the rules of history refuse it by their own name
  for (const wrap of wraps.values()) {
    if (wrap.length !== OVERHEAD_BYTES + 32 * secrets) throw new Refused("form", "a wrap of another length");
  }
}

/** H(w): SHA-256 of the compact JSON of [id, wrap], sorted by id. */
export function wrapsHash(wraps: ReadonlyMap<string, Bytes>): Bytes {
  const pairs = [...wraps].sort(([left], [right]) => (left < right ? -1 : 1)).map(([name, wrap]) => [name, b64(wrap)]);
  return sha256(utf8(JSON.stringify(pairs)));
}

/** What the device signs. */
export function signedBytes(record: Pick<ThreadRecord, "header" | "h" | "bodyHash">): Bytes {
  return pae(record.header.t, record.h, record.bodyHash);
}

/** The `prev` of the record after this one. */
export function chainHash(record: Pick<ThreadRecord, "h" | "bodyHash" | "sig">): Bytes {
  return sha256(pae("chain", record.h, record.bodyHash, record.sig));
}

/** The `prev` of the first record of a thread. */
export function genesisHash(thread: string): Bytes {
  return sha256(pae("genesis", thread));
}

/** kid: the first 16 bytes of the hash of an encryption key. */
export function keyId(kem: Bytes): Bytes {
  return sha256(kem).slice(0, 16);
}
