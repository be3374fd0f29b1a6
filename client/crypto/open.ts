// What a reader with keys sees: secrets of epochs, texts of messages. A fault here makes one message or one epoch unreadable,
// never the thread (docs/protocol.md sections 1 and 4).

import { type Bytes, aesOpen, b64, fromUtf8, hkdf, pae, sameBytes } from "./encoding.ts";
import { FRANKING_KEY_BYTES, frankingTag } from "./franking.ts";
import { open as openHpke } from "./hpke.ts";
import { unpad } from "./padding.ts";
import { type ReaderReason, Refused, attempt, refused } from "./reasons.ts";
import {
  type EpochRecord, type HistoryRecord, type MessageRecord, type RawRecord, type ThreadRecord, isEpoch, isHistory, isMessage,
  isRedact, readRecord,
} from "./records.ts";
import { type DirectoryView, type EpochInfo, type Head, type ThreadState } from "./state.ts";
import { CHUNK, type VerifiedChunk, verifyThread } from "./verify.ts";

/** The reader's own encryption keys: those of the person and of the teams it may read for. */
export interface Keyring {
  /** The 32-byte seed of an id's key in a generation, or undefined if this reader does not hold it. */
  seed(id: string, gen: number): Bytes | undefined;
}

/** A keyring in memory. */
export class Keys implements Keyring {
  private readonly seeds = new Map<string, Map<number, Bytes>>();

  add(id: string, gen: number, seed: Bytes): this {
    const generations = this.seeds.get(id) ?? new Map<number, Bytes>();
    generations.set(gen, seed);
    this.seeds.set(id, generations);
    return this;
  }

  seed(id: string, gen: number): Bytes | undefined {
    return this.seeds.get(id)?.get(gen);
  }

  /** Overwrites and forgets all seeds. */
  wipe(): void {
    for (const generations of this.seeds.values()) for (const seed of generations.values()) seed.fill(0);
    this.seeds.clear();
  }
}

/** The commitment to an epoch's secret. */
export function epochCommitment(secret: Bytes): Bytes {
  return hkdf(secret, new Uint8Array(0), pae("epoch-commit"), 32);
}

/** Key, nonce and commitment of one message. */
export function messageKey(secret: Bytes, salt: Bytes, h: Bytes): { key: Bytes; nonce: Bytes; com: Bytes } {
  const out = hkdf(secret, salt, pae("msg-key", h), 76);
  return { key: out.slice(0, 32), nonce: out.slice(32, 44), com: out.slice(44, 76) };
}

/** An opened body, with the key that a report needs. */
export interface OpenedBody {
  readonly text: string;
  readonly frankingKey: Bytes;
}

interface Opening {
  readonly record: MessageRecord;
  readonly ct: Bytes;
  readonly keys: { readonly key: Bytes; readonly nonce: Bytes; readonly com: Bytes };
  padded: Bytes;
  content: Bytes;
  text: string;
}

/** One check of opening a message by name. It answers with the fault, or with undefined. */
export interface OpenStep {
  readonly name: string;
  readonly check: (opening: Opening) => ReaderReason | undefined | Promise<ReaderReason | undefined>;
}

/** The checks of opening a message, in their order. */
export const OPEN_STEPS: readonly OpenStep[] = [
  {
    name: "key commitment",
    check: ({ ct, keys }) => (sameBytes(ct.subarray(0, 32), keys.com) ? undefined : "key commitment"),
  },
  {
    name: "aead",
    check: async (opening) => {
      const { record, ct, keys } = opening;
      const plain = await aesOpen(keys.key, keys.nonce, record.h, ct.slice(32));
      if (plain === undefined) return "aead";
      opening.padded = plain;
      return undefined;
    },
  },
  { name: "padding", check: (opening) => takeContent(opening, true) },
  {
    name: "frank",
    check: (opening) => {
      const { record: { header }, content } = opening;
      if (content.length < FRANKING_KEY_BYTES) return "frank";
      const key = content.slice(0, FRANKING_KEY_BYTES);
      const tag = frankingTag(key, header.thread, header.dev, content.slice(FRANKING_KEY_BYTES));
      return sameBytes(tag, header.frank) ? undefined : "frank";
    },
  },
  {
    name: "body",
    check: (opening) => {
      const text = attempt(() => fromUtf8(opening.content.subarray(FRANKING_KEY_BYTES)));
      if (refused(text)) return "body";
      opening.text = text;
      return undefined;
    },
  },
];

function takeContent(opening: Opening, checked: boolean): ReaderReason | undefined {
  const content = attempt(() => unpad(opening.padded, { checked }));
  if (refused(content) || (checked && content.length < FRANKING_KEY_BYTES)) return "padding";
  opening.content = content;
  return undefined;
}

/** The steps without those of these names, for tests that show that each counts. */
export function openStepsWithout(names: readonly string[]): readonly OpenStep[] {
  return OPEN_STEPS.flatMap((step) => {
    if (!names.includes(step.name)) return [step];
    // Without its check the padding must still be taken off.
    return step.name === "padding" ? [{ name: step.name, check: (opening: Opening) => takeContent(opening, false) }] : [];
  });
}

/** Opens the body of a verified message with the secret of its epoch. */
export async function openMessage(
  record: MessageRecord, secret: Bytes, steps: readonly OpenStep[] = OPEN_STEPS,
): Promise<OpenedBody | Refused> {
  if (record.ct === undefined) throw new TypeError("a withheld message has nothing to open");
  const opening: Opening = {
    record, ct: record.ct, keys: messageKey(secret, record.header.salt, record.h),
    padded: new Uint8Array(0), content: new Uint8Array(0), text: "",
  };
  for (const step of steps) {
    const fault = await step.check(opening);
    if (fault !== undefined) return new Refused(fault, "", record.header.seq);
  }
  return { text: opening.text, frankingKey: opening.content.slice(0, FRANKING_KEY_BYTES) };
}

/** Opens my wrap of an epoch; undefined if none of my keys is a member there or the wraps are gone. */
export async function openEpoch(record: EpochRecord, keyring: Keyring): Promise<Bytes | Refused | undefined> {
  let fault: Refused | undefined;
  for (const member of record.header.members) {
    const seed = keyring.seed(member.id, member.gen);
    const wrap = record.wraps?.get(member.id);
    if (seed === undefined || wrap === undefined) continue;
    const secret = await openHpke(seed, pae("wrap", record.h, member.id, member.gen), wrap);
    if (secret?.length !== 32) fault ??= new Refused("wrap", "", record.header.seq);
    else if (sameBytes(epochCommitment(secret), record.header.commit)) return secret;
    else fault ??= new Refused("epoch commitment", "", record.header.seq);
  }
  return fault;
}

/**
 * Opens a history record that is meant for one of my keys: the secrets by epoch number. If one does not match the commitment
 * of its epoch, none is used.
 */
export async function openHistory(
  record: HistoryRecord, keyring: Keyring, commitment: (epoch: number) => Bytes | undefined,
): Promise<ReadonlyMap<number, Bytes> | Refused | undefined> {
  const { to, from, upto, seq } = record.header;
  const seed = keyring.seed(to.id, to.gen);
  const wrap = record.wraps?.get(to.id);
  if (seed === undefined || wrap === undefined) return undefined;
  const joined = await openHpke(seed, pae("history", record.h, to.id, to.gen), wrap);
  if (joined?.length !== 32 * (upto - from + 1)) return new Refused("wrap", "", seq);
  const secrets = new Map<number, Bytes>();
  for (let epoch = from; epoch <= upto; epoch += 1) {
    const secret = joined.slice(32 * (epoch - from), 32 * (epoch - from + 1));
    const commit = commitment(epoch);
    if (commit === undefined || !sameBytes(epochCommitment(secret), commit)) return new Refused("epoch commitment", "", seq);
    secrets.set(epoch, secret);
  }
  return secrets;
}

/** What there is to show of a message. */
export type Content =
  | { readonly kind: "body"; readonly text: string; readonly frankingKey: Bytes }
  | { readonly kind: "unreadable"; readonly fault: ReaderReason | undefined }
  | { readonly kind: "withheld" }
  | { readonly kind: "redacted" };

/** A verified record, and for a message what there is to show of it. */
export interface OpenedRecord {
  readonly record: ThreadRecord;
  readonly content: Content | undefined;
}

/** What a chunk brings: new records, and earlier messages that now show something else (history came, or a redact). */
export interface OpenedChunk {
  readonly records: readonly OpenedRecord[];
  readonly updates: readonly OpenedRecord[];
  /** Epoch and history records at fault for this reader. */
  readonly faults: ReadonlyMap<number, ReaderReason>;
  readonly refused: Refused | undefined;
}

/**
 * A reader of one thread. It keeps the secrets by the epochs' commitments, so that a secret learned early is used only in an
 * epoch that the verified chain names by the same commitment.
 */
export class ThreadReader {
  /** Reasons by sequence number of the epoch and history records that this reader cannot use. */
  readonly faults = new Map<number, ReaderReason>();
  private readonly secrets = new Map<string, Bytes>();
  /** Messages whose epoch's secret is not known yet. */
  private readonly waiting = new Map<number, MessageRecord>();
  /** All messages, without their sealed bodies: a redact may still come for them. */
  private readonly seen = new Map<number, MessageRecord>();

  constructor(
    readonly state: ThreadState, private readonly keyring: Keyring, private readonly directory: DirectoryView,
    private readonly steps: readonly OpenStep[] = OPEN_STEPS,
  ) {}

  /** The secret of an epoch, if this reader has it. */
  secretOf(epoch: EpochInfo): Bytes | undefined {
    return this.secrets.get(b64(epoch.commit));
  }

  /**
   * Learns secrets from epoch and history records ahead of the chain, so that the first pass can open everything. Nothing is
   * believed: a secret counts only where it matches a commitment, and records are verified in their turn all the same.
   */
  async learn(structure: readonly RawRecord[]): Promise<void> {
    const commits = new Map<number, Bytes>();
    for (const raw of structure) {
      const record = attempt(() => readRecord(raw));
      if (refused(record)) continue;
      if (isEpoch(record)) {
        commits.set(record.header.epoch, record.header.commit);
        this.keep(record.header.commit, await openEpoch(record, this.keyring));
      } else if (isHistory(record)) {
        const secrets = await openHistory(record, this.keyring, (epoch) => commits.get(epoch));
        if (secrets === undefined || refused(secrets)) continue;
        for (const [epoch, secret] of secrets) this.keep(commits.get(epoch)!, secret);
      }
    }
  }

  private keep(commit: Bytes, secret: Bytes | Refused | undefined): void {
    if (secret !== undefined && !refused(secret)) this.secrets.set(b64(commit), secret);
  }

  /** Takes verified records of `state`, in order, and opens what can be opened. */
  async take(chunk: VerifiedChunk): Promise<OpenedChunk> {
    const changed = new Set<number>();
    for (const record of chunk.records) {
      if (isEpoch(record)) await this.takeEpoch(record);
      else if (isHistory(record)) await this.takeHistory(record, changed);
      else if (isRedact(record)) changed.add(record.header.target);
    }
    const records = await Promise.all(chunk.records.map(async (record) => this.opened(record)));
    const fresh = new Set(chunk.records.map((record) => record.header.seq));
    const old = [...changed].filter((seq) => !fresh.has(seq)).flatMap((seq) => this.waiting.get(seq) ?? this.seen.get(seq) ?? []);
    const updates = await Promise.all(old.map((record) => this.opened(record)));
    return { records, updates, faults: this.faults, refused: chunk.refused };
  }

  private async takeEpoch(record: EpochRecord): Promise<void> {
    if (this.secrets.has(b64(record.header.commit))) return this.noteEpoch(record);
    const secret = await openEpoch(record, this.keyring);
    if (refused(secret)) this.faults.set(record.header.seq, secret.reason as ReaderReason);
    else this.keep(record.header.commit, secret);
  }

  /** The secret came by history: the epoch's own wrap may still be at fault. */
  private async noteEpoch(record: EpochRecord): Promise<void> {
    const own = await openEpoch(record, this.keyring);
    if (refused(own)) this.faults.set(record.header.seq, own.reason as ReaderReason);
  }

  private async takeHistory(record: HistoryRecord, changed: Set<number>): Promise<void> {
    const info = (epoch: number): EpochInfo | undefined => this.state.epochNumber(epoch);
    const secrets = await openHistory(record, this.keyring, (epoch) => info(epoch)?.commit);
    if (secrets === undefined) return;
    if (refused(secrets)) {
      this.faults.set(record.header.seq, secrets.reason as ReaderReason);
      return;
    }
    for (const [epoch, secret] of secrets) this.keep(info(epoch)!.commit, secret);
    for (const [seq, message] of this.waiting) if (secrets.has(message.header.epoch)) changed.add(seq);
  }

  private async opened(record: ThreadRecord): Promise<OpenedRecord> {
    return { record, content: isMessage(record) ? await this.content(record) : undefined };
  }

  /** What there is to show of a message by all that is known now. */
  async content(record: MessageRecord): Promise<Content> {
    const { seq, epoch } = record.header;
    this.seen.set(seq, { ...record, ct: undefined });
    this.waiting.delete(seq);
    if (this.state.redacted.has(seq)) return { kind: "redacted" };
    if (record.ct === undefined) return { kind: "withheld" };
    const info = this.state.epochNumber(epoch);
    const secret = info === undefined ? undefined : this.secretOf(info);
    if (secret === undefined) {
      this.waiting.set(seq, record);
      return { kind: "unreadable", fault: undefined };
    }
    const body = await openMessage(record, secret, this.steps);
    if (refused(body)) return { kind: "unreadable", fault: body.reason as ReaderReason };
    return { kind: "body", text: body.text, frankingKey: body.frankingKey };
  }

  /** Verifies and opens many records in chunks; a worker posts each chunk on as it comes. */
  async *read(
    records: readonly RawRecord[], options: { readonly least?: Head | undefined; readonly chunk?: number } = {},
  ): AsyncGenerator<OpenedChunk, void, void> {
    for await (const chunk of verifyThread(this.state, records, this.directory, { chunk: CHUNK, ...options })) {
      yield await this.take(chunk);
    }
  }

  /** Forgets all secrets of this thread. */
  wipe(): void {
    for (const secret of this.secrets.values()) secret.fill(0);
    this.secrets.clear();
    this.waiting.clear();
    this.seen.clear();
  }
}

