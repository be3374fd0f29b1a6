// One open thread in a page: fetched, verified and opened by the worker, kept up to date, and drawn from here.

import { type Bytes, fromUtf8, unb64 } from "../crypto/encoding.ts";
import type { ReceiptKind } from "../crypto/receipts.ts";
import type { RecordText } from "../crypto/seal.ts";
import type { Ready } from "../keys/unlock.ts";
import { ApiError, Unreachable, get, isCode, isOfTheLine, post } from "../live/api.ts";
import type { HeadText, MemberView, ReadPart, ReadResult, ReceiptView, RecordView } from "./shapes.ts";
import type { Transport } from "./show.ts";
import { run } from "./work.ts";

/** What a thread needs of the page it is open in (desk.ts). */
export interface ThreadDesk {
  readonly ready: Ready;
  readonly me: string;
  readonly staff: boolean;
  isStaff(id: string): boolean;
  know(ids: readonly string[], options?: { readonly fresh?: boolean }): Promise<void>;
  keptHead(thread: string): Promise<HeadText | null>;
  keepHead(thread: string, head: HeadText): Promise<void>;
}

/** GET /api/threads/<id>. */
export interface ThreadInfo {
  readonly thread: string;
  readonly pharmacy: string;
  readonly patient: string;
  readonly topic: string;
  readonly urgent: boolean;
  readonly created_at: string;
  readonly seq: number;
  readonly epoch: number;
  readonly waits_for_keys: boolean;
  readonly patient_active: boolean;
  /** `ended`: still listed, but may not read any more; `undone`: was joined to the patient's record by mistake. */
  readonly members: readonly { readonly id: string; readonly ended?: boolean; readonly undone?: boolean }[];
  readonly voices: readonly string[];
  readonly epochs: readonly { readonly seq: number; readonly record: RecordText }[];
  readonly receipts: readonly { readonly account: string; readonly kind: string; readonly h: string; readonly sig: string }[];
  /** Persons who have keys now and may be let in: for whom the thread waits, and its patient. */
  readonly joinable: readonly { readonly id: string; readonly role: "patient" | "proxy" }[];
  /** To the patient in person: who acts for her with messages and is not in this conversation. */
  readonly carers: readonly string[];
}

interface EntryItem {
  readonly seq: number;
  readonly received_at: string;
  readonly urgent: boolean;
  readonly retracted_by: number | null;
  readonly record: RecordText;
}

interface RecordPage {
  readonly items: readonly EntryItem[];
  readonly next: number | null;
}

/** How far opening has come. */
export type Opening =
  | { readonly kind: "loading" }
  /** The newest page is shown; the rest is being checked. */
  | { readonly kind: "checking"; readonly share: number }
  | { readonly kind: "ready" }
  /** The chain does not hold: what is shown ends before the fault. */
  | { readonly kind: "refused"; readonly reason: string }
  /** Unknown, or somebody else's. */
  | { readonly kind: "missing" }
  | { readonly kind: "offline" };

const NEWEST = 50;
const PAGE = 200;
/** What may only mean that the directory is older than the thread. */
const STALE_DIRECTORY = new Set(["member key", "unknown device", "unknown user", "certificate", "revoked", "history", "not a member", "creator", "membership"]);

/** A thread of this page. */
export class ThreadModel {
  info: ThreadInfo | undefined;
  opening: Opening = { kind: "loading" };
  receipts: readonly ReceiptView[] = [];
  members: readonly MemberView[] = [];
  canWrite = false;
  /** It was open here, and is this person's no more. */
  lost = false;
  seq = 0;
  /** Counts the changes, so that what is drawn from it need not be made anew without one. */
  version = 0;
  private readonly byNumber = new Map<number, RecordView>();
  /** `byNumber` in order, until it changes; and who wrote for the patient by it. */
  private inOrder: readonly RecordView[] | undefined;
  private proxies: { readonly of: readonly RecordView[]; readonly ids: ReadonlySet<string> } | undefined;
  /** The newest page before everything is checked. */
  private early: readonly RecordView[] = [];
  readonly transport = new Map<number, Transport>();
  private readonly listeners = new Set<() => void>();
  private work: Promise<void> = Promise.resolve();
  private wanted: Promise<void> | undefined;
  private begun = false;
  private readonly told: Partial<Record<ReceiptKind, number>> = {};

  constructor(
    private readonly desk: ThreadDesk,
    readonly id: string,
  ) {}

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** All records that can be shown, in order. */
  get records(): readonly RecordView[] {
    if (this.opening.kind === "checking" && this.early.length > 0) return this.early;
    this.inOrder ??= [...this.byNumber.values()].sort((left, right) => left.seq - right.seq);
    return this.inOrder;
  }

  /** Opens the thread, or brings it up to date. Several calls at once are one. */
  sync(): Promise<void> {
    if (this.wanted === undefined) {
      this.wanted = this.work.then(() => {
        this.wanted = undefined;
        return this.syncNow();
      });
      this.work = this.wanted.catch(() => undefined);
    }
    return this.wanted;
  }

  private async syncNow(): Promise<void> {
    try {
      if (this.begun) await this.update();
      else await this.openFirst();
    } catch (error) {
      if (error instanceof Unreachable) {
        if (!this.begun) this.show({ kind: "offline" });
      } else if (error instanceof ApiError && error.status === 404) this.lose();
      else if (!(error instanceof ApiError)) throw error;
      else if (!this.begun) this.show({ kind: "offline" });
    }
  }

  private async openFirst(): Promise<void> {
    const [info, newest] = await Promise.all([get<ThreadInfo>(`/api/threads/${this.id}`), get<RecordPage>(`/api/threads/${this.id}/records?limit=${NEWEST}`)]);
    this.info = info;
    const first = newest.items[0]?.seq ?? 1;
    // What the newest page already brought is not fetched again; of a longer thread the next page comes while one is read.
    let coming = first === 1 ? Promise.resolve(newest) : this.page(0);
    const structure = info.epochs.map((one) => one.record);
    await this.desk.know(idsIn([...structure, ...newest.items.map((one) => one.record)], info));
    this.note(newest.items);
    if (first > 1) {
      const before = info.epochs.filter((one) => one.seq < first).map((one) => one.record);
      this.early = (await run("threadTail", { thread: this.id, structure: before, page: newest.items.map((one) => one.record) })) ?? [];
      this.show({ kind: "checking", share: 0 });
    }
    const least = await this.desk.keptHead(this.id);
    let fresh = true;
    let result: ReadResult | undefined;
    for (;;) {
      const page = await coming;
      this.note(page.items);
      const last = first === 1 || page.next === null;
      if (!last) coming = this.page(page.items.at(-1)?.seq ?? 0);
      result = await this.read(page.items, { fresh, structure: fresh ? structure : [], least, last });
      fresh = false;
      if (result.refused !== null || last) break;
      this.show({ kind: "checking", share: Math.min(1, result.seq / Math.max(1, info.seq)) });
    }
    this.begun = true;
    await this.finish(result, info);
  }

  /** Records after a number. Whoever asks early may never look at the answer: then a failure is nobody's. */
  private page(after: number): Promise<RecordPage> {
    const asked = get<RecordPage>(`/api/threads/${this.id}/records?after=${after}&limit=${PAGE}`);
    asked.catch(() => undefined);
    return asked;
  }

  private async update(): Promise<void> {
    const info = await get<ThreadInfo>(`/api/threads/${this.id}`);
    this.info = info;
    if (this.opening.kind === "refused") return;
    let result: ReadResult | undefined;
    while (result === undefined || (result.refused === null && result.seq < info.seq)) {
      const page: RecordPage = await this.page(result?.seq ?? this.seq);
      this.note(page.items);
      if (page.items.length === 0) break;
      result = await this.read(page.items, { fresh: false, structure: [], least: null, last: false });
    }
    await this.finish(result, info);
  }

  private async finish(result: ReadResult | undefined, info: ThreadInfo): Promise<void> {
    if (result !== undefined) {
      this.take(result);
      this.early = [];
    }
    const holds = result?.refused === null || (result === undefined && this.opening.kind !== "refused");
    const kept = holds ? this.desk.keepHead(this.id, { seq: this.seq, head: this.head }) : Promise.resolve();
    kept.catch(() => undefined);
    await this.desk.know([...info.receipts.map((one) => one.account), ...info.carers]);
    this.receipts = await run("threadReceipts", { thread: this.id, receipts: info.receipts });
    for (const one of this.receipts) if (one.user === this.desk.me) this.told[one.kind] = Math.max(this.told[one.kind] ?? 0, one.seq);
    const refusal = result?.refused;
    this.show(
      refusal === null || refusal === undefined
        ? this.opening.kind === "refused"
          ? this.opening
          : { kind: "ready" }
        : { kind: "refused", reason: refusal.reason },
    );
    await kept;
    await this.tellFaults(result);
  }

  private head = "";

  private take(result: ReadResult): void {
    this.seq = result.seq;
    this.head = result.head;
    this.members = result.members;
    this.canWrite = result.canWrite;
  }

  /** Reads in the worker; where the directory may be behind the thread it is fetched anew, once. */
  private async read(
    items: readonly EntryItem[],
    how: { readonly fresh: boolean; readonly structure: readonly RecordText[]; readonly least: HeadText | null; readonly last: boolean },
  ): Promise<ReadResult> {
    const { least, last } = how;
    await this.desk.know(
      idsIn(
        items.map((one) => one.record),
        this.info,
      ),
    );
    const onPart = (part: ReadPart): void => this.takePart(part);
    const result = await run("threadRead", { thread: this.id, records: items.map((one) => one.record), ...how }, { onPart: onPart as (part: never) => void });
    if (result.refused === null || !STALE_DIRECTORY.has(result.refused.reason)) return result;
    const rest = items.filter((one) => one.seq > result.seq).map((one) => one.record);
    await this.desk.know(idsIn(rest, this.info), { fresh: true });
    return run("threadRead", { thread: this.id, records: rest, fresh: false, structure: [], least, last }, { onPart: onPart as (part: never) => void });
  }

  private takePart({ records, updates }: ReadPart): void {
    this.inOrder = undefined;
    for (const one of records) this.byNumber.set(one.seq, one);
    for (const one of updates) {
      const before = this.byNumber.get(one.seq);
      // Staff who had opened a message keep what they read; whether the server kept it too, the next visit shows.
      const kept =
        this.desk.staff && before?.t === "msg" && before.content.kind === "body" && before.content.body.kind === "text" ? before.content.body.text : null;
      const taken = one.t === "msg" && one.content.kind === "redacted" && one.content.kept === null;
      this.byNumber.set(one.seq, taken ? { ...one, content: { kind: "redacted", kept: this.hasRead(one.seq) ? kept : null } } : one);
    }
  }

  /** Everybody who is a member, sits in a team that is one, or has written here. */
  people(): readonly string[] {
    const { known } = this.desk.ready.directory;
    const ids = this.members.flatMap((one) => [one.id, ...(known.team(one.id)?.newest.members.map((member) => member.id) ?? [])]);
    return [...new Set([...ids, ...this.records.map((one) => one.user)])];
  }

  /** Whether somebody wrote here for the patient, not as the patient. */
  isProxy(user: string): boolean {
    const { records } = this;
    if (this.proxies?.of !== records) {
      const members = records.flatMap((one) => (one.t === "epoch" ? one.members : []));
      this.proxies = { of: records, ids: new Set(members.filter((one) => one.role === "proxy").map((one) => one.id)) };
    }
    return this.proxies.ids.has(user);
  }

  /** The members who can read what is written now: whose access has ended is still listed, and gets no key. */
  get readers(): readonly MemberView[] {
    const ended = new Set(this.info?.members.flatMap((one) => (one.ended === true ? [one.id] : [])) ?? []);
    return this.members.filter((one) => !ended.has(one.id));
  }

  /** A member who started again after this epoch was made: nobody writes before a pharmacist has made sure who it is. */
  startedAgain(): MemberView | undefined {
    const { directory } = this.desk.ready;
    return this.readers.find((one) => one.role !== "team" && directory.startedAgain(one.id, one.gen));
  }

  /**
   * A member who started again and of whom nobody here has made sure since: nothing is sent to such keys, neither under an epoch
   * made before (`startedAgain`) nor in a conversation that was begun with them (docs/protocol.md section 3).
   */
  unconfirmed(): MemberView | undefined {
    return this.heldTeam() ?? this.startedAgain() ?? this.readers.find((one) => this.desk.ready.directory.sendingHeld(one.id));
  }

  /** A listed team whose newest key may be of somebody else's making: no epoch is sealed to it, and nothing said before. */
  heldTeam(): MemberView | undefined {
    return this.readers.find((one) => one.role === "team" && this.desk.ready.directory.sendingHeld(one.id));
  }

  /** Whether this person may say who somebody is that started again: by the thread's teams, as every reader checks it. */
  mayVouch(): boolean {
    const { known } = this.desk.ready.directory;
    return this.members.some((one) => one.role === "team" && (known.team(one.id)?.vouches(this.desk.me, known.team(one.id)!.newest.gen) ?? false));
  }

  /** Whether a member of staff had read a message, by a signed receipt. */
  private hasRead(seq: number): boolean {
    return this.receipts.some((one) => one.kind === "read" && one.seq >= seq && this.desk.isStaff(one.user));
  }

  private note(items: readonly EntryItem[]): void {
    for (const one of items) this.transport.set(one.seq, { receivedAt: Date.parse(one.received_at), urgent: one.urgent });
  }

  /** Says that everything up to `seq` was delivered to, or read by, this person. Told once each. */
  async tell(kind: ReceiptKind, seq: number = this.seq): Promise<void> {
    if (this.opening.kind !== "ready" || seq === 0 || (this.told[kind] ?? 0) >= seq || this.info?.voices.length === 0) return;
    // New keys say nothing under an epoch that names those before: nobody has made sure yet whose they are.
    if (this.startedAgain()?.id === this.desk.me) return;
    this.told[kind] = seq;
    if (kind === "read") this.told.delivered = Math.max(this.told.delivered ?? 0, seq);
    try {
      await post(`/api/threads/${this.id}/receipts`, await run("threadReceipt", { thread: this.id, at: seq, kind }));
    } catch (error) {
      if (isCode(error, "receipt-older")) return;
      if (!isOfTheLine(error)) throw error;
      // What the server refuses for good is not asked of it each second again.
      if (!(error instanceof ApiError) || error.status === 401 || error.status === 429 || error.status >= 500) this.told[kind] = seq - 1;
      return;
    }
    if (kind === "read") this.notify();
  }

  /** Up to where this person is known to have read. */
  get readTo(): number {
    return this.told.read ?? 0;
  }

  /** An epoch that cannot be opened here is told to the others, whose next message brings a new one. */
  private async tellFaults(result: ReadResult | undefined): Promise<void> {
    const current = result?.faults.find((one) => this.byNumber.get(one.seq)?.epoch === result.epoch);
    if (current !== undefined && !this.canWrite) await this.tell("unreadable");
  }

  /** The first message of others that this person has not read; null when there is none. */
  firstUnread(): number | null {
    const read = this.told.read ?? 0;
    return this.records.find((one) => one.t === "msg" && one.seq > read && one.user !== this.desk.me)?.seq ?? null;
  }

  /** It is not this person's any more, or never was: nothing of it stays on the page. */
  private lose(): void {
    this.lost ||= this.begun;
    this.byNumber.clear();
    this.early = [];
    this.transport.clear();
    this.receipts = [];
    this.members = [];
    this.canWrite = false;
    this.info = undefined;
    this.show({ kind: "missing" });
  }

  private show(opening: Opening): void {
    this.opening = opening;
    this.notify();
  }

  private notify(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }
}

/** Ids that records name, to be looked up. Read loosely: nothing is believed, the worker verifies all of it. */
function idsIn(records: readonly RecordText[], info: ThreadInfo | undefined): string[] {
  const ids = new Set<string>(info?.voices.filter((id) => id.includes("_")) ?? []);
  for (const record of records) {
    const header = peek(record);
    if (typeof header["user"] === "string") ids.add(header["user"]);
    const members: unknown = header["members"];
    if (!Array.isArray(members)) continue;
    for (const member of members as unknown[]) {
      const id = typeof member === "object" && member !== null ? (member as Record<string, unknown>)["id"] : undefined;
      if (typeof id === "string") ids.add(id);
    }
  }
  return [...ids];
}

function peek(record: RecordText): Readonly<Record<string, unknown>> {
  try {
    const said: unknown = JSON.parse(fromUtf8(unb64(record.h) as Bytes));
    return typeof said === "object" && said !== null ? said as Record<string, unknown> : {};
  } catch {
    // The worker says what is wrong with it.
    return {};
  }
}
