// What a page needs to work with threads: keys in the worker, the directory known on both sides, the outbox, the stream, the kept
// heads, and the open threads. One for each page.

import { b64, fromUtf8, newId, unb64, utf8 } from "../crypto/encoding.ts";
import type { Role } from "../crypto/records.ts";
import type { DirectoryItem } from "../keys/shapes.ts";
import type { Ready } from "../keys/unlock.ts";
import { ApiError, Unreachable, post } from "../live/api.ts";
import { Outbox } from "../live/outbox.ts";
import type { Page, PharmacyItem } from "../live/page.tsx";
import { Stream } from "../live/stream.ts";
import { run } from "../live/worker.ts";
import { deliver, type Parcel } from "./send.ts";
import type { HeadText } from "./shapes.ts";
import type { Wish } from "./tasks.ts";
import { ThreadModel } from "./thread.ts";

const HEADS_AFTER_MS = 5_000;
/** A sealed object holds at most 256 KiB; a head takes about 90 bytes. */
const MOST_HEADS = 2_000;

/** What a new thread is about and with whom. */
export interface NewThread {
  readonly thread: string;
  readonly pharmacy: string;
  readonly patient: string;
  readonly topic: string;
  readonly members: readonly { readonly id: string; readonly role: Role }[];
}

/** The threads of a page. */
export class Desk {
  readonly ready: Ready;
  readonly outbox: Outbox;
  readonly stream: Stream;
  private readonly threads = new Map<string, ThreadModel>();
  private readonly learned = new Map<string, DirectoryItem>();
  private readonly heads = new Map<string, HeadText>();
  private headsTimer: ReturnType<typeof setTimeout> | undefined;
  private headsRead: Promise<void> | undefined;

  private constructor(readonly page: Page<Ready>) {
    this.ready = page.person;
    this.outbox = new Outbox(this.ready, (entry) => deliver(this, entry));
    this.stream = new Stream(this.ready.account.id, (state) => page.live.told(state));
    page.live.onWipe(() => {
      this.outbox.close();
      this.stream.close();
      clearTimeout(this.headsTimer);
      this.threads.clear();
      this.heads.clear();
    });
    this.stream.listen((news) => {
      if (news.kind === "ready") {
        void this.outbox.hurry();
        for (const thread of this.threads.values()) void thread.sync();
      } else if (news.kind === "thread") void this.threads.get(news.thread)?.sync();
    });
  }

  /** Hands the keys to the worker and begins. */
  static async open(page: Page<Ready>): Promise<Desk> {
    await run("threadKeys", page.person.keyring.material());
    const desk = new Desk(page);
    await desk.teach();
    await desk.outbox.open();
    return desk;
  }

  /** The account of this page. */
  get me(): string {
    return this.ready.account.id;
  }

  get staff(): boolean {
    return this.ready.account.role !== "patient";
  }

  pharmacy(id: string): PharmacyItem | undefined {
    return this.page.pharmacies.find((one) => one.id === id);
  }

  /** Whether somebody works at a pharmacy, as far as the directory says. */
  isStaff(id: string): boolean {
    const role = id === this.me ? this.ready.account.role : this.ready.directory.person(id)?.role;
    return role !== undefined && role !== "patient";
  }

  /** Makes sure that page and worker know these ids, and the people of the teams among them. */
  async know(ids: readonly string[], options: { readonly fresh?: boolean } = {}): Promise<void> {
    const { directory } = this.ready;
    await directory.load(ids, options);
    const people = ids.flatMap((id) => directory.known.team(id)?.newest.members.map((one) => one.id) ?? []);
    await directory.load(people);
    await this.teach();
  }

  /** Gives the worker what the page has learned since the last time; the worker verifies it for itself. */
  private async teach(): Promise<void> {
    const { directory, own, account } = this.ready;
    const items: DirectoryItem[] = [...directory.items.values()].filter((item) => this.learned.get(item.id) !== item);
    if (!this.learned.has(account.id)) {
      items.unshift({ id: account.id, role: account.role, pharmacy: account.pharmacy, name: account.name, disabled: false, entries: own.entries, devices: own.devices });
    }
    if (items.length === 0) return;
    for (const item of items) this.learned.set(item.id, item);
    await run("threadLearn", { items, pins: directory.currentPins() });
  }

  /** The model of a thread; it is opened by its first `sync`. */
  thread(id: string): ThreadModel {
    const found = this.threads.get(id) ?? new ThreadModel(this, id);
    this.threads.set(id, found);
    return found;
  }

  /** Puts a message, a correction or a retraction of an existing thread into the outbox. `id` is the body's. */
  append(thread: string, id: string, wish: Wish, urgent = false): Promise<void> {
    const parcel: Parcel = { kind: "append", wish };
    return this.outbox.add({ id, thread, at: Date.now(), urgent, parcel });
  }

  /** Puts the first message of a new thread into the outbox. */
  begin(fresh: NewThread, id: string, wish: Wish, urgent: boolean): Promise<void> {
    const { thread, pharmacy, patient, topic, members } = fresh;
    const parcel: Parcel = { kind: "birth", wish, pharmacy, patient, topic, members };
    return this.outbox.add({ id, thread, at: Date.now(), urgent, parcel });
  }

  /**
   * Lets those in who have keys now and for whom the thread waited: an epoch with their keys, and all that was said before.
   * Nobody who started again is let in like this; a person confirms that first.
   */
  async letIn(thread: ThreadModel): Promise<void> {
    const joining = thread.info?.joinable ?? [];
    if (!this.staff || joining.length === 0 || thread.opening.kind !== "ready" || !thread.canWrite) return;
    await this.know(joining.map((one) => one.id), { fresh: true });
    const sure = joining.filter((one) => {
      const chain = this.ready.directory.known.chain(one.id);
      return chain !== undefined && !chain.entries.some((entry) => entry.reset);
    });
    if (sure.length > 0) await this.join(thread, sure);
  }

  /** Posts a new epoch with `joining` in it and the history for them. A colleague who was faster has done the same. */
  async join(thread: ThreadModel, joining: readonly { readonly id: string; readonly role: Role }[]): Promise<void> {
    await this.know(thread.people(), { fresh: true });
    let revoked: readonly string[] = [];
    for (let tries = 0; tries < 2; tries += 1) {
      const { records } = await run("threadJoin", { thread: thread.id, joining, revoked });
      try {
        await post(`/api/threads/${thread.id}/messages`, { records, urgent: false }, { key: newId() });
        break;
      } catch (error) {
        if (!(error instanceof ApiError) && !(error instanceof Unreachable)) throw error;
        // The new epoch must also name the devices that were ended since the last one.
        const unnamed = error instanceof ApiError && error.code === "rekey" ? error.extra["revoked"] : undefined;
        if (!Array.isArray(unnamed)) break;
        revoked = unnamed.map(String);
      }
    }
    await thread.sync();
  }

  /** The highest head seen of a thread, in this browser or in another of this person's. */
  async keptHead(thread: string): Promise<HeadText | null> {
    const local = await this.ready.store.get<HeadText>("heads", thread);
    this.headsRead ??= this.readHeads();
    await this.headsRead;
    const sealed = this.heads.get(thread);
    if (local === undefined || sealed === undefined) return local ?? sealed ?? null;
    return sealed.seq > local.seq ? sealed : local;
  }

  /** Remembers a head that was reached without a fault. */
  async keepHead(thread: string, head: HeadText): Promise<void> {
    const known = this.heads.get(thread);
    if (known !== undefined && known.seq >= head.seq) return;
    this.heads.delete(thread);
    this.heads.set(thread, head);
    await this.ready.store.put("heads", thread, head, (kept) => kept.seq === head.seq && kept.head === head.head);
    clearTimeout(this.headsTimer);
    this.headsTimer = setTimeout(() => void this.storeHeads(), HEADS_AFTER_MS);
  }

  private async readHeads(): Promise<void> {
    try {
      const found = await this.ready.objects.read(this.me, "heads", "heads");
      if (found !== undefined) for (const [thread, head] of readHeads(found.content)) this.heads.set(thread, head);
    } catch (error) {
      // Those of this browser still count.
      if (!(error instanceof ApiError) && !(error instanceof Unreachable)) throw error;
    }
  }

  private async storeHeads(): Promise<void> {
    try {
      await this.ready.objects.update(this.me, "heads", "heads", (content) => {
        const all = new Map(content === undefined ? [] : readHeads(content));
        for (const [thread, head] of this.heads) if ((all.get(thread)?.seq ?? 0) < head.seq) all.set(thread, head);
        return utf8(JSON.stringify(Object.fromEntries([...all].slice(-MOST_HEADS).map(([thread, head]) => [thread, [head.seq, head.head]]))));
      });
    } catch (error) {
      // Stored with the next one.
      if (!(error instanceof ApiError) && !(error instanceof Unreachable)) throw error;
    }
  }
}

function readHeads(content: Uint8Array): [string, HeadText][] {
  const said: unknown = JSON.parse(fromUtf8(content));
  if (typeof said !== "object" || said === null) return [];
  return Object.entries(said).flatMap(([thread, value]): [string, HeadText][] => {
    const [seq, head] = Array.isArray(value) ? value as unknown[] : [];
    if (typeof seq !== "number" || typeof head !== "string") return [];
    return [[thread, { seq, head: b64(unb64(head, 32)) }]];
  });
}
