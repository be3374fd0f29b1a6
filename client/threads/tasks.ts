// The crypto worker's half of threads: it holds the keys, the verified directory and every open thread, and hands the page only
// what people read. The page's half is desk.ts.

import { collect, openAttachment, sealAttachment } from "../crypto/attachments.ts";
import { type FhirQuote, readBody } from "../crypto/bodies.ts";
import { type Pin } from "../crypto/directory.ts";
import { type Bytes, b64, sameBytes, unb64 } from "../crypto/encoding.ts";
import { KnownDirectory } from "../crypto/known.ts";
import { type Content, type OpenedRecord, ThreadReader, openMessage } from "../crypto/open.ts";
import { Refused, refused } from "../crypto/reasons.ts";
import { type ReceiptKind, type ReceiptText, makeReceipt, verifyReceipt } from "../crypto/receipts.ts";
import { type RawRecord, type Role, type ThreadRecord, chainHash, isEpoch, isHistory, isMessage, isRedact } from "../crypto/records.ts";
import {
  type Made, type Place, type Recipient, type RecordText, sealEpoch, sealHistory, sealMessage, sealRedact,
} from "../crypto/seal.ts";
import { type Json } from "../crypto/strictjson.ts";
import { ThreadState } from "../crypto/state.ts";
import { voicesOf } from "../crypto/steps.ts";
import { verifyTail } from "../crypto/verify.ts";
import { verifyItems } from "../keys/directory.ts";
import { type KeyMaterial, Keyring } from "../keys/keyring.ts";
import { type DirectoryItem } from "../keys/shapes.ts";
import { WorkerEnded } from "../live/worker.ts";
import { subjectOrWords } from "./body.ts";
import {
  type BodyView, type ContentView, type HeadItem, type HeadText, type MemberView, type Plain, type Preview, type QuoteView, type ReadPart,
  type ReadResult, type ReceiptView, type RecordView, type Sealed,
} from "./shapes.ts";

let held: Keyring | undefined;
const directory = new KnownDirectory();
const rooms = new Map<string, ThreadReader>();

function keys(): Keyring {
  if (held === undefined) throw new WorkerEnded();
  return held;
}

function room(thread: string): ThreadReader {
  const found = rooms.get(thread);
  if (found === undefined) throw new WorkerEnded();
  return found;
}

function toPlain(value: Json): Plain {
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, one]) => [name, toPlain(one as Json)]));
  return value as Plain;
}

function quote({ structureDefinition, fhirVersion, text, resource }: FhirQuote): QuoteView {
  return { structureDefinition, fhirVersion, text, resource: toPlain(resource) as { readonly [name: string]: Plain } };
}

function bodyView(text: string): BodyView {
  const body = readBody(text);
  switch (body.kind) {
    case "text": {
      const { kind, id, subject, text: words, inReplyTo, files } = body;
      return { kind, id, subject, text: words, inReplyTo, files, fhir: body.fhir.map(quote) };
    }
    case "correct": return body;
    case "system": return { kind: "system", id: body.id };
    case "newer": return { kind: "newer", id: body.id };
  }
}

/** The text of a message that was taken back, where the server still gives it (to staff who may open it). */
async function keptText(reader: ThreadReader, record: ThreadRecord): Promise<string | null> {
  if (!isMessage(record) || record.ct === undefined) return null;
  const info = reader.state.epochNumber(record.header.epoch);
  const secret = info === undefined ? undefined : reader.secretOf(info);
  if (secret === undefined) return null;
  const opened = await openMessage(record, secret);
  if (refused(opened)) return null;
  const body = readBody(opened.text);
  return body.kind === "text" ? body.text : null;
}

async function contentView(reader: ThreadReader, record: ThreadRecord, content: Content): Promise<ContentView> {
  switch (content.kind) {
    case "body": return { kind: "body", body: bodyView(content.text) };
    case "unreadable": return { kind: "unreadable", fault: content.fault };
    case "withheld": return { kind: "withheld" };
    case "redacted": return { kind: "redacted", kept: await keptText(reader, record) };
  }
}

async function recordView(reader: ThreadReader, { record, content }: OpenedRecord): Promise<RecordView> {
  const { seq, epoch, user, dev, ts } = record.header;
  const common = { seq, epoch, user, dev, ts };
  if (isEpoch(record)) {
    const members = record.header.members.map(({ id, role, gen }) => ({ id, role, gen }));
    return { ...common, t: "epoch", members, revoked: record.header.revoked?.length ?? 0 };
  }
  if (isHistory(record)) return { ...common, t: "history", to: record.header.to.id };
  if (isRedact(record)) return { ...common, t: "redact", target: record.header.target };
  const att = isMessage(record) ? record.header.att.map((one) => ({ id: one.id, size: one.size, cth: b64(one.cth) })) : [];
  return { ...common, t: "msg", att, content: await contentView(reader, record, content ?? { kind: "withheld" }) };
}

function views(reader: ThreadReader, opened: readonly OpenedRecord[]): Promise<RecordView[]> {
  return Promise.all(opened.map((one) => recordView(reader, one)));
}

function standing(reader: ThreadReader, ended: Refused | undefined): ReadResult {
  const { state } = reader;
  const members: MemberView[] = [...(state.epoch?.members.values() ?? [])].map(({ id, role, gen }) => ({ id, role, gen }));
  return {
    seq: state.seq, head: b64(state.head), epoch: state.epoch?.epoch ?? 0, members,
    refused: ended === undefined ? null : { reason: ended.reason, seq: ended.seq },
    canWrite: state.epoch !== undefined && reader.secretOf(state.epoch) !== undefined,
    faults: [...reader.faults].map(([seq, reason]) => ({ seq, reason })),
  };
}

function recipient(id: string, role: Role): Recipient {
  const entry = directory.user(id);
  if (entry === undefined) throw new Refused("unknown user", id);
  return { id, role, gen: entry.gen, kem: entry.kem };
}

function place(thread: string, head: { seq: number; head: Bytes } | undefined): Place {
  const keyring = keys();
  return { thread, head, user: keyring.account, dev: keyring.device, ts: Date.now() };
}

/** What the server says that a new epoch must do: name ended devices, and give nothing to members who may not read any more. */
export interface Rekey {
  readonly revoked: readonly string[];
  readonly ended: readonly string[];
}

/** What a person wants to put into a thread. */
export type Wish =
  | { readonly kind: "message"; readonly body: string; readonly att: readonly { readonly id: string; readonly size: number; readonly cth: string }[] }
  | { readonly kind: "redact"; readonly target: number };

function attachments(wish: Wish): { readonly id: string; readonly size: number; readonly cth: Bytes }[] {
  return wish.kind === "message" ? wish.att.map(({ id, size, cth }) => ({ id, size, cth: unb64(cth, 32) })) : [];
}

function sealWish(wish: Wish, at: Place, epoch: number, secret: Bytes, topic?: string): Promise<Made> {
  const { signer } = keys();
  if (wish.kind === "redact") return sealRedact(at, epoch, wish.target, "", signer);
  return sealMessage(at, epoch, secret, wish.body, signer, { attachments: attachments(wish), ...(topic === undefined ? {} : { topic }) });
}

/** Seals an epoch for `members`, the histories for those who join, and the wish. */
async function sealWithEpoch(
  reader: ThreadReader, recipients: readonly Recipient[], revoked: readonly string[],
  wish: Wish | undefined, historyFor: readonly string[],
): Promise<RecordText[]> {
  const { state } = reader;
  const { signer } = keys();
  const number = (state.epoch?.epoch ?? 0) + 1;
  const fresh = await sealEpoch(place(state.thread, { seq: state.seq, head: state.head }), { number, members: recipients, revoked }, signer);
  const made: Made[] = [fresh];
  for (const id of historyFor) {
    const secrets = heldSecrets(reader);
    const to = recipients.find((one) => one.id === id);
    if (to === undefined || secrets.length === 0) continue;
    made.push(await sealHistory(place(state.thread, made.at(-1)!.head), number, to, secrets, signer));
  }
  if (wish !== undefined) made.push(await sealWish(wish, place(state.thread, made.at(-1)!.head), number, fresh.secret));
  return made.map((one) => one.record);
}

/**
 * The members of the next epoch, with their newest keys, but for those who may not read any more. Who is allowed to leaves carers
 * out; others, and patients always, stay listed as before and get noise in place of a seal (docs/protocol.md section 5).
 */
function goingOn(reader: ThreadReader, ended: readonly string[]): Recipient[] {
  const members = [...(reader.state.epoch?.members.values() ?? [])];
  const speaker = { user: keys().account, signer: directory.identities(keys().account)[0]?.keys };
  const voices = voicesOf(speaker, members, directory);
  const leavesOut = members.some((one) => voices.has(one.id) && (one.role === "team" || one.role === "patient"));
  return members.flatMap(({ id, role, gen }): Recipient[] => {
    if (!ended.includes(id)) return [recipient(id, role)];
    if (role === "proxy" && leavesOut) return [];
    const entry = directory.user(id, gen);
    if (entry === undefined) throw new Refused("unknown user", id);
    return [{ id, role, gen, kem: entry.kem, shut: true }];
  });
}

/** The secrets of the epochs so far that are held, the longest run that ends at the newest one. */
function heldSecrets(reader: ThreadReader): { epoch: number; secret: Bytes }[] {
  const run: { epoch: number; secret: Bytes }[] = [];
  for (const info of reader.state.epochs.toReversed()) {
    const secret = reader.secretOf(info);
    if (secret === undefined) break;
    run.unshift({ epoch: info.epoch, secret });
  }
  return run;
}

/** A file's content and what the message says about it. */
export interface FileFacts {
  readonly thread: string;
  readonly id: string;
  readonly key: string;
  readonly size: number;
  readonly cth: string;
  readonly hash: string;
}

export const threadTasks = {
  /** Takes the keys; everything else needs them. */
  async threadKeys(material: KeyMaterial): Promise<void> {
    held = await Keyring.from(material);
  },

  /** Verifies what the directory says, as the page did for itself; ids that do not hold are left as they were. Gives those ids. */
  async threadLearn(input: { readonly items: readonly DirectoryItem[]; readonly pins: ReadonlyMap<string, Pin> }): Promise<readonly string[]> {
    const faults = await verifyItems(directory, input.items, input.pins);
    return [...faults.keys()];
  },

  /** Opens the newest page early; null where it does not hold by itself (the whole chain then says why). */
  async threadTail(input: {
    readonly thread: string;
    readonly structure: readonly RawRecord[];
    readonly page: readonly RawRecord[];
  }): Promise<readonly RecordView[] | null> {
    const tail = await verifyTail(input.thread, input.structure, input.page, directory);
    if (refused(tail)) return null;
    const reader = new ThreadReader(tail.state, keys(), directory);
    await reader.learn([...input.structure, ...input.page]);
    const opened = await reader.take({ records: tail.records, refused: undefined });
    const from = tail.records.length - input.page.length;
    return views(reader, opened.records.slice(from));
  },

  /**
   * Verifies and opens further records of a thread, from the genesis with `fresh`. Says each chunk as it comes. `least` is the head
   * kept from before; it is asked for only with `last`, as the server may still hold more.
   */
  async threadRead(
    input: {
      readonly thread: string;
      readonly fresh: boolean;
      readonly records: readonly RawRecord[];
      readonly structure: readonly RawRecord[];
      readonly least: HeadText | null;
      readonly last: boolean;
    },
    emit: (part: ReadPart) => void,
  ): Promise<ReadResult> {
    if (input.fresh) rooms.set(input.thread, new ThreadReader(new ThreadState(input.thread), keys(), directory));
    const reader = room(input.thread);
    if (input.structure.length > 0) await reader.learn(input.structure);
    const { least } = input;
    // A kept head that lies beyond this part would look like a roll-back before the rest has come.
    const due = least !== null && (input.last || least.seq <= reader.state.seq + input.records.length);
    let ended: Refused | undefined;
    const guard = due ? { least: { seq: least.seq, head: unb64(least.head, 32) } } : {};
    if (due && least.seq < reader.state.seq) {
      const there = reader.state.heads.get(least.seq);
      if (there === undefined || !sameBytes(there, guard.least!.head)) ended = new Refused("fork", "another record than was seen before", least.seq);
    }
    if (ended === undefined) {
      for await (const chunk of reader.read(input.records, guard)) {
        emit({ records: await views(reader, chunk.records), updates: await views(reader, chunk.updates) });
        ended = chunk.refused;
      }
    }
    return standing(reader, ended);
  },

  /** Forgets an open thread. */
  async threadClose(input: { readonly thread: string }): Promise<void> {
    rooms.get(input.thread)?.wipe();
    rooms.delete(input.thread);
  },

  /**
   * Seals a message or a retraction at the thread's head. `rekey`: with a new epoch before it, for the same members with their
   * newest keys, after the devices in `revoked` were ended and without those in `ended`, who may not read any more. Throws Refused
   * `not a member` where the epoch cannot be written under.
   */
  async threadSeal(input: { readonly thread: string; readonly wish: Wish; readonly rekey: Rekey | null }): Promise<Sealed> {
    const reader = room(input.thread);
    const { state } = reader;
    const epoch = state.epoch;
    if (epoch === undefined) throw new Refused("epoch");
    if (input.rekey !== null) {
      return { records: await sealWithEpoch(reader, goingOn(reader, input.rekey.ended), input.rekey.revoked, input.wish, []) };
    }
    const secret = reader.secretOf(epoch);
    if (secret === undefined) throw new Refused("not a member");
    const made = await sealWish(input.wish, place(state.thread, { seq: state.seq, head: state.head }), epoch.epoch, secret);
    return { records: [made.record] };
  },

  /** Seals a new epoch with `joining` as further members, and with `history` all that was said before for each of them. */
  async threadJoin(input: {
    readonly thread: string;
    readonly joining: readonly { readonly id: string; readonly role: Role }[];
    readonly rekey: Rekey;
    readonly history: boolean;
  }): Promise<Sealed> {
    const reader = room(input.thread);
    const there = goingOn(reader, input.rekey.ended);
    const joining = input.joining.filter((one) => !there.some((member) => member.id === one.id)).map(({ id, role }) => recipient(id, role));
    return {
      records: await sealWithEpoch(
        reader,
        [...there, ...joining],
        input.rekey.revoked,
        undefined,
        input.history ? input.joining.map((one) => one.id) : [],
      ),
    };
  },

  /** Seals epoch 1 and the first message of a new thread. */
  async threadBirth(input: {
    readonly thread: string;
    readonly members: readonly { readonly id: string; readonly role: Role }[];
    readonly topic: string;
    readonly wish: Wish;
  }): Promise<Sealed> {
    const { signer } = keys();
    const members = input.members.map(({ id, role }) => recipient(id, role));
    const epoch = await sealEpoch(place(input.thread, undefined), { number: 1, members }, signer);
    const first = await sealWish(input.wish, place(input.thread, epoch.head), 1, epoch.secret, input.topic);
    return { records: [epoch.record, first.record] };
  },

  /** Signs a receipt for a place of an open thread, or for the place that a preview showed. */
  async threadReceipt(input: { readonly thread: string; readonly at: HeadText | number; readonly kind: ReceiptKind }): Promise<ReceiptText> {
    const { at } = input;
    const seq = typeof at === "number" ? at : at.seq;
    const head = typeof at === "number" ? room(input.thread).state.heads.get(at) : unb64(at.head, 32);
    if (head === undefined) throw new Refused("sequence");
    const { device, signer } = keys();
    return makeReceipt({ thread: input.thread, seq, head, kind: input.kind, dev: device, ts: Date.now() }, signer);
  },

  /** The receipts that hold against an open thread; others are left out. */
  async threadReceipts(input: {
    readonly thread: string;
    readonly receipts: readonly (ReceiptText & { readonly account: string })[];
  }): Promise<readonly ReceiptView[]> {
    const { state } = room(input.thread);
    const found: ReceiptView[] = [];
    for (const { account, h, sig } of input.receipts) {
      const receipt = await verifyReceipt({ h, sig }, account, state, directory);
      if (!refused(receipt)) found.push({ user: receipt.user, kind: receipt.kind, seq: receipt.seq, ts: receipt.ts });
    }
    return found;
  },

  /** Opens what the inbox shows of each thread. */
  async threadPreview(input: { readonly items: readonly HeadItem[] }): Promise<readonly Preview[]> {
    return Promise.all(input.items.map(preview));
  },

  /** Seals a file; says how much is done, then gives the stored form and what the message must say about it. */
  async fileSeal(
    input: { readonly thread: string; readonly id: string; readonly file: Blob },
    emit: (part: { readonly share: number }) => void,
  ): Promise<{ readonly stored: Blob; readonly cth: string; readonly key: string; readonly hash: string; readonly size: number }> {
    const { thread, id, file } = input;
    const parts: Bytes[] = [];
    const sealing = sealAttachment(thread, id, file.stream() as unknown as AsyncIterable<Uint8Array>, file.size);
    for (;;) {
      const step = await sealing.next();
      if (step.done === true) {
        const { key, cth, hash, size } = step.value;
        return { stored: new Blob(parts), cth: b64(cth), key: b64(key), hash: b64(hash), size };
      }
      parts.push(step.value);
      emit({ share: Math.min(1, parts.reduce((sum, part) => sum + part.length, 0) / Math.max(1, file.size)) });
    }
  },

  /** Opens a stored file; throws Refused `attachment` before anything of it is given out. */
  async fileOpen(input: { readonly facts: FileFacts; readonly stored: Blob }): Promise<Blob> {
    const { thread, id, key, size, cth, hash } = input.facts;
    const facts = { thread, id, key: unb64(key, 32), size, cth: unb64(cth, 32), hash: unb64(hash, 32) };
    const content = await collect(openAttachment(facts, input.stored.stream() as unknown as AsyncIterable<Uint8Array>));
    return new Blob([content]);
  },

  /** Draws a picture anew, its longer side at most `longest`: only what is seen remains. null for what is no picture. */
  async imageDraw(input: { readonly image: Blob; readonly longest: number }): Promise<Blob | null> {
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(input.image, { imageOrientation: "from-image" });
    } catch (error) {
      if (error instanceof DOMException) return null;
      throw error;
    }
    const scale = Math.min(1, input.longest / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
    const context = canvas.getContext("2d");
    if (context === null) return null;
    // A transparent picture becomes one on white, as JPEG knows no other.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const webp = await canvas.convertToBlob({ type: "image/webp", quality: 0.85 });
    return webp.type === "image/webp" ? webp : canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
  },
};

async function preview(item: HeadItem): Promise<Preview> {
  const nothing: Preview = { thread: item.thread, subject: null, begunBy: null, last: null, chips: [], files: [], lastBy: null, at: null };
  const messages = [...item.first.slice(1), ...(item.last === null ? [] : [item.last])];
  if (item.epochs.length === 0 || messages.length === 0) return nothing;
  let shown = nothing;
  for (const [index, message] of messages.entries()) {
    const tail = await verifyTail(item.thread, item.epochs, [message], directory, { gaps: true });
    if (refused(tail)) continue;
    const reader = new ThreadReader(tail.state, keys(), directory);
    await reader.learn(item.epochs);
    const record = tail.records.at(-1)!;
    if (!isMessage(record)) continue;
    const content = await reader.content(record);
    const body = content.kind === "body" ? readBody(content.text) : undefined;
    const words = body?.kind === "text" || body?.kind === "correct" ? body.text : null;
    if (index === 0 && body?.kind === "text") shown = { ...shown, subject: subjectOrWords(body), begunBy: record.header.user };
    // A subject that is made of the first words says them already.
    const said = index === 0 && body?.kind === "text" && shown.subject === subjectOrWords({ subject: undefined, text: body.text });
    const things = body?.kind === "text" ? { chips: body.fhir.map((one) => one.text.split(/[.:] /, 1)[0]!), files: body.files } : { chips: [], files: [] };
    shown = { ...shown, last: said ? "" : words, ...things, lastBy: record.header.user, at: { seq: record.header.seq, head: b64(chainHash(record)) } };
  }
  return shown;
}
