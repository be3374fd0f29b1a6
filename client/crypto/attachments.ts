// Attachments: the chunked encryption of the C2SP page "chunked-encryption", instance Cobblestone-256, as a stream of parts
// (docs/protocol.md section 8). A stored file is salt, commitment, chunks; the last chunk is always shorter than the rest.

import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

import { type Bytes, aesKey, aesOpen, aesSeal, concat, pae, randomBytes, sameBytes, utf8 } from "./encoding.ts";
import { bucket } from "./padding.ts";
import { Refused } from "./reasons.ts";

export const INPUT_KEY_BYTES = 32;
export const CHUNK_BYTES = 16_384;
/** Parts that are handed on; memory stays within a few of them. */
export const PART_BYTES = 1024 * 1024;
const SALT_BYTES = 24;
const HEAD_BYTES = SALT_BYTES + 32;
const TAG_BYTES = 16;
const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const LABEL = concat(utf8("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM"), Uint8Array.of(0));
const NO_BYTES: Bytes = new Uint8Array(0);

/** Where an attachment belongs; another thread or id does not open it. */
export function attachmentContext(thread: string, id: string): Bytes {
  return pae("att", thread, id);
}

/** Bytes as stored for a content of `size` bytes, without padding. */
export function sealedSize(size: number): number {
  return HEAD_BYTES + size + TAG_BYTES * (Math.floor(size / CHUNK_BYTES) + 1);
}

/** Bytes as stored for a file of `size` bytes, padded to its bucket. */
export function storedSize(size: number): number {
  return sealedSize(bucket(size));
}

/** What the message must say about an attachment once it is sealed. */
export interface SealedAttachment {
  /** Random input key; goes into the body. */
  readonly key: Bytes;
  /** True size; goes into the body. */
  readonly size: number;
  /** Bytes as stored; goes into the header. */
  readonly stored: number;
  /** SHA-256 of the stored bytes; goes into the header. */
  readonly cth: Bytes;
  /** SHA-256 of the file itself; goes into the body. */
  readonly hash: Bytes;
}

export type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

interface ChunkKeys {
  readonly key: Bytes;
  readonly nonce: Bytes;
  readonly commitment: Bytes;
}

/** HKDF-Expand over HMAC-SHA-512; the input key is the PRK as it is. */
function chunkKeys(inputKey: Bytes, salt: Uint8Array, context: Bytes): ChunkKeys {
  const info = concat(LABEL, salt, context);
  const first = hmac(sha512, inputKey, concat(info, Uint8Array.of(1)));
  const second = hmac(sha512, inputKey, concat(first, info, Uint8Array.of(2)));
  const out = concat(first, second);
  return { key: out.slice(0, 32), nonce: out.slice(32, 44), commitment: out.slice(44, 76) };
}

function chunkNonce(base: Bytes, index: number): Bytes {
  const nonce = base.slice();
  const view = new DataView(nonce.buffer);
  view.setUint32(8, (view.getUint32(8) ^ index >>> 0) >>> 0);
  const high = Math.floor(index / 2 ** 32);
  view.setUint32(4, (view.getUint32(4) ^ high) >>> 0);
  return nonce;
}

/** Cuts a stream into pieces of exactly `size` bytes; the last one is shorter, and may be empty. */
async function* pieces(source: Source, size: number): AsyncGenerator<Bytes, void, void> {
  let gathered = new Uint8Array(size);
  let filled = 0;
  for await (const part of source) {
    let at = 0;
    while (at < part.length) {
      const take = Math.min(size - filled, part.length - at);
      gathered.set(part.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === size) {
        yield gathered;
        gathered = new Uint8Array(size);
        filled = 0;
      }
    }
  }
  yield gathered.slice(0, filled);
}

/** The content, then zeros up to its bucket. Throws if the source does not hold `size` bytes. */
async function* padded(source: Source, size: number, plain: { update(part: Uint8Array): unknown }): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const part of source) {
    seen += part.length;
    plain.update(part);
    yield part;
  }
  if (seen !== size) throw new RangeError(`the file has ${seen} bytes, not ${size}`);
  for (let rest = bucket(size) - size; rest > 0; rest -= CHUNK_BYTES) yield new Uint8Array(Math.min(rest, CHUNK_BYTES));
}

/** Joins small pieces to parts of at most one MiB. */
async function* inParts(source: AsyncIterable<Bytes>): AsyncGenerator<Bytes, void, void> {
  let held: Bytes[] = [];
  let size = 0;
  for await (const piece of source) {
    if (size + piece.length > PART_BYTES) {
      yield concat(...held);
      held = [];
      size = 0;
    }
    held.push(piece);
    size += piece.length;
  }
  if (size > 0) yield concat(...held);
}

/** The stored form of a content as it is, without padding. */
export async function* sealChunks(
  inputKey: Bytes, context: Bytes, source: Source, salt: Bytes = randomBytes(SALT_BYTES),
): AsyncGenerator<Bytes, void, void> {
  const keys = chunkKeys(inputKey, salt, context);
  yield concat(salt, keys.commitment);
  const handle = await aesKey(keys.key, "encrypt");
  let index = 0;
  for await (const chunk of pieces(source, CHUNK_BYTES)) {
    yield await aesSeal(handle, chunkNonce(keys.nonce, index), NO_BYTES, chunk);
    index += 1;
  }
}

/**
 * The content of a stored form. What it yields is authentic but not known to be complete until it ends: it throws
 * `Refused("attachment")` for a truncated, extended or exchanged file, and the caller then discards everything.
 */
export async function* openChunks(inputKey: Bytes, context: Bytes, source: Source): AsyncGenerator<Bytes, void, void> {
  let keys: ChunkKeys | undefined;
  let handle: CryptoKey | undefined;
  let index = 0;
  let ended = false;
  for await (const sealed of chunksAfterHead(source, (head) => {
    keys = chunkKeys(inputKey, head.subarray(0, SALT_BYTES), context);
    if (!sameBytes(keys.commitment, head.subarray(SALT_BYTES))) throw new Refused("attachment", "commitment");
  })) {
    handle ??= await aesKey(keys!.key, "decrypt");
    if (ended) throw new Refused("attachment", "more after the last chunk");
    const plain = await aesOpen(handle, chunkNonce(keys!.nonce, index), NO_BYTES, sealed);
    if (plain === undefined) throw new Refused("attachment", `chunk ${index}`);
    ended = plain.length < CHUNK_BYTES;
    index += 1;
    if (plain.length > 0) yield plain;
  }
  if (!ended) throw new Refused("attachment", "cut short");
}

/** Hands the head to `head`, then yields the sealed chunks. */
async function* chunksAfterHead(source: Source, head: (bytes: Bytes) => void): AsyncGenerator<Bytes, void, void> {
  let beginning: Bytes | undefined = NO_BYTES;
  const rest = (async function* (): AsyncGenerator<Uint8Array> {
    for await (const part of source) {
      if (beginning === undefined) {
        yield part;
        continue;
      }
      beginning = concat(beginning, part);
      if (beginning.length < HEAD_BYTES) continue;
      head(beginning.slice(0, HEAD_BYTES));
      const more = beginning.slice(HEAD_BYTES);
      beginning = undefined;
      yield more;
    }
    if (beginning !== undefined) throw new Refused("attachment", "shorter than its head");
  })();
  for await (const chunk of pieces(rest, SEALED_CHUNK_BYTES)) {
    if (chunk.length > 0) yield chunk;
  }
}

/**
 * Pads and seals a file for one thread and attachment id. Yields the stored bytes in parts of at most 1 MiB; the generator's
 * return value is what the message says about it.
 */
export async function* sealAttachment(
  thread: string, id: string, source: Source, size: number,
): AsyncGenerator<Bytes, SealedAttachment, void> {
  const key = randomBytes(INPUT_KEY_BYTES);
  const stored = sha256.create();
  const plain = sha256.create();
  let count = 0;
  const chunks = sealChunks(key, attachmentContext(thread, id), padded(source, size, plain));
  for await (const part of inParts(chunks)) {
    stored.update(part);
    count += part.length;
    yield part;
  }
  return { key, size, stored: count, cth: stored.digest() as Bytes, hash: plain.digest() as Bytes };
}

/** What the verified message says about a file. */
export interface AttachmentFacts {
  readonly thread: string;
  readonly id: string;
  readonly key: Bytes;
  readonly size: number;
  /** SHA-256 of the stored bytes, from the signed header. */
  readonly cth: Bytes;
  /** SHA-256 of the file itself, from the body. */
  readonly hash: Bytes;
}

/**
 * Opens a stored attachment, in parts of at most 1 MiB, without its padding. Throws `Refused("attachment")`, at the latest at
 * the end; the caller shows nothing before it has ended.
 */
export async function* openAttachment(facts: AttachmentFacts, source: Source): AsyncGenerator<Bytes, void, void> {
  const stored = sha256.create();
  const hashed = (async function* (): AsyncGenerator<Uint8Array> {
    for await (const part of source) {
      stored.update(part);
      yield part;
    }
  })();
  const context = attachmentContext(facts.thread, facts.id);
  const plain = sha256.create();
  let seen = 0;
  const content = (async function* (): AsyncGenerator<Bytes> {
    for await (const chunk of openChunks(facts.key, context, hashed)) {
      const left = facts.size - seen;
      seen += chunk.length;
      const own = chunk.subarray(0, Math.max(0, Math.min(left, chunk.length)));
      if (chunk.subarray(own.length).some((byte) => byte !== 0)) throw new Refused("attachment", "padding");
      plain.update(own);
      if (own.length > 0) yield own;
    }
  })();
  yield* inParts(content);
  if (seen !== bucket(facts.size)) throw new Refused("attachment", "another size than the message says");
  if (!sameBytes(stored.digest(), facts.cth)) throw new Refused("attachment", "not the stored bytes that the header names");
  if (!sameBytes(plain.digest(), facts.hash)) throw new Refused("attachment", "not the content that the body names");
}

/** Collects a stream; for small files and tests. */
export async function collect(source: Source): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(...parts);
}
