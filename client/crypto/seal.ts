// Making thread records: epochs, messages, history, redacts (docs/protocol.md section 4). Everything signed is sent as the
// exact bytes that were signed.

import { type Signer } from "./ed25519.ts";
import { type Bytes, aesSeal, b64, bigHash, concat, pae, randomBytes, sha256, utf8 } from "./encoding.ts";
import { FRANKING_KEY_BYTES, frankingTag } from "./franking.ts";
import { OVERHEAD_BYTES, seal as sealHpke } from "./hpke.ts";
import { epochCommitment, messageKey } from "./open.ts";
import { pad } from "./padding.ts";
import {
  type AttachmentName, type Role, SUITE, type ThreadRecord, chainHash, genesisHash, keyId, readRecord, signedBytes, wrapsHash,
} from "./records.ts";
import { type Head } from "./state.ts";

/** A record as it travels. */
export interface RecordText {
  readonly h: string;
  readonly sig: string;
  readonly w?: Readonly<Record<string, string>>;
  readonly wh?: string;
  readonly cth?: string;
  readonly ct?: string;
}

/** Where the next record of a thread stands, and who makes it. */
export interface Place {
  readonly thread: string;
  /** The head so far; undefined for a new thread. */
  readonly head: Head | undefined;
  readonly user: string;
  readonly dev: string;
  /** Unix milliseconds. */
  readonly ts: number;
}

/** A made record, and the head after it. */
export interface Made {
  readonly record: RecordText;
  readonly head: Head;
}

/** Whom an epoch is sealed to. */
export interface Recipient {
  readonly id: string;
  readonly role: Role;
  readonly gen: number;
  readonly kem: Bytes;
  /** A member whose access has ended and who has to stay listed: noise in place of the seal. */
  readonly shut?: boolean;
}

function frame(type: string, place: Place, epoch: number, own: Readonly<Record<string, unknown>>): Bytes {
  const seq = (place.head?.seq ?? 0) + 1;
  const prev = b64(place.head?.head ?? genesisHash(place.thread));
  const { thread, user, dev, ts } = place;
  return utf8(JSON.stringify({ v: 1, t: type, thread, epoch, seq, prev, user, dev, ts, ...own }));
}

/** Signs, and reads the result strictly once more: a record that we ourselves would refuse never leaves. */
async function finish(h: Bytes, bodyHash: Bytes, type: ThreadRecord["header"]["t"], signer: Signer, rest: Omit<RecordText, "h" | "sig">): Promise<Made> {
  const sig = await signer.sign(signedBytes({ header: { t: type } as ThreadRecord["header"], h, bodyHash }));
  const record: RecordText = { h: b64(h), sig: b64(sig), ...rest };
  const read = readRecord({ ...record });
  return { record, head: { seq: read.header.seq, head: chainHash(read) } };
}

/** Objects without prototype, so that any id is an ordinary name. */
function wrapsText(wraps: ReadonlyMap<string, Bytes>): Record<string, string> {
  const text = Object.create(null) as Record<string, string>;
  for (const [id, wrap] of wraps) text[id] = b64(wrap);
  return text;
}

/** Makes an epoch with a fresh secret for these members. */
export async function sealEpoch(
  place: Place, epoch: { readonly number: number; readonly members: readonly Recipient[]; readonly revoked?: readonly string[] },
  signer: Signer,
): Promise<Made & { readonly secret: Bytes }> {
  const secret = randomBytes(32);
  const h = frame("epoch", place, epoch.number, {
    suite: SUITE, commit: b64(epochCommitment(secret)),
    members: epoch.members.map(({ id, role, gen, kem }) => ({ id, role, gen, kid: b64(keyId(kem)) })),
    ...(epoch.revoked !== undefined && epoch.revoked.length > 0 ? { revoked: epoch.revoked } : {}),
  });
  const wraps = new Map<string, Bytes>();
  for (const { id, gen, kem, shut } of epoch.members) {
    wraps.set(id, shut === true ? randomBytes(OVERHEAD_BYTES + secret.length) : await sealHpke(kem, pae("wrap", h, id, gen), secret));
  }
  const wh = wrapsHash(wraps);
  return { ...(await finish(h, wh, "epoch", signer, { w: wrapsText(wraps), wh: b64(wh) })), secret };
}

/** What a message carries outside its sealed body. */
export interface MessageExtras {
  /** Only in the first message of a thread. */
  readonly topic?: string;
  readonly attachments?: readonly AttachmentName[];
}

/**
 * Seals a message under the current epoch. When the head has moved, seal again: the header is part of the key, and the salt is
 * fresh each time.
 */
export async function sealMessage(
  place: Place, epoch: number, secret: Bytes, body: string, signer: Signer, extras: MessageExtras = {},
): Promise<Made> {
  const frankingKey = randomBytes(FRANKING_KEY_BYTES);
  const bytes = utf8(body);
  const salt = randomBytes(16);
  const h = frame("msg", place, epoch, {
    salt: b64(salt),
    frank: b64(frankingTag(frankingKey, place.thread, place.dev, bytes)),
    ...(extras.topic === undefined ? {} : { label: { topic: extras.topic } }),
    ...(extras.attachments === undefined || extras.attachments.length === 0
      ? {} : { att: extras.attachments.map(({ id, size, cth }) => ({ id, size, cth: b64(cth) })) }),
  });
  const { key, nonce, com } = messageKey(secret, salt, h);
  const ct = concat(com, await aesSeal(key, nonce, h, pad(concat(frankingKey, bytes))));
  const cth = await bigHash(ct);
  return finish(h, cth, "msg", signer, { cth: b64(cth), ct: b64(ct) });
}

/** Hands the secrets of earlier epochs, one after the other without gap, to a member of the current one. */
export async function sealHistory(
  place: Place, epoch: number, to: Omit<Recipient, "role">,
  secrets: readonly { readonly epoch: number; readonly secret: Bytes }[], signer: Signer,
): Promise<Made> {
  const from = secrets[0]!.epoch;
  if (!secrets.every((one, index) => one.epoch === from + index)) throw new RangeError("epochs with a gap");
  const h = frame("history", place, epoch, {
    to: { id: to.id, gen: to.gen, kid: b64(keyId(to.kem)) }, from, upto: from + secrets.length - 1,
  });
  const joined = concat(...secrets.map((one) => one.secret));
  const wraps = new Map([[to.id, await sealHpke(to.kem, pae("history", h, to.id, to.gen), joined)]]);
  const wh = wrapsHash(wraps);
  return finish(h, wh, "history", signer, { w: wrapsText(wraps), wh: b64(wh) });
}

/** Takes back a message of one's own. */
export function sealRedact(place: Place, epoch: number, target: number, reason: string, signer: Signer): Promise<Made> {
  const h = frame("redact", place, epoch, { target, reason });
  return finish(h, sha256(new Uint8Array(0)), "redact", signer, {});
}
