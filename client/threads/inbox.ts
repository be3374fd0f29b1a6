// The inbox of a page: its lines, opened by the worker, kept up to date by the stream.

import { get, isCode, isOfTheLine, post } from "../live/api.ts";
import type { ClosedQueue } from "../views/closed.ts";
import { list } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import type { InboxRow, Turn } from "../views/types.ts";
import type { Desk } from "./desk.ts";
import { safeName, withoutThumbs } from "./files.ts";
import type { HeadItem, Preview } from "./shapes.ts";
import { run } from "./work.ts";

const PAGE = 50;

interface InboxPage {
  readonly items: readonly HeadItem[];
  readonly next: string | null;
  readonly awaiting: number;
  readonly cursor: string;
}

interface Changes {
  readonly items: readonly HeadItem[];
  readonly cursor: string;
  readonly more: boolean;
}

/** The lines of all inboxes of this person. */
export class InboxModel {
  state: "loading" | "ready" | "offline" = "loading";
  /** Counted to 100 by the server. */
  awaiting = 0;
  hasMore = false;
  /** Teams whose inbox was this person's a moment ago. */
  left: readonly string[] = [];
  /** Teams whose inbox this person could have, and has not. */
  closed: readonly ClosedQueue[] = [];
  private readonly heads = new Map<string, HeadItem>();
  private readonly previews = new Map<string, Preview>();
  private readonly listeners = new Set<() => void>();
  private readonly told = new Map<string, number>();
  private cursor = "";
  private next: string | null = null;
  private work: Promise<void> = Promise.resolve();

  constructor(private readonly desk: Desk) {
    desk.stream.listen((news) => { if (news.kind !== "line") void this.refresh(); });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The lines, newest first; urgent ones that wait for an answer stand on top for staff. */
  rows(filter: "all" | "awaiting"): readonly InboxRow[] {
    const pressing = (one: HeadItem): number => Number(this.desk.staff && one.urgent && one.awaiting);
    return [...this.heads.values()]
      .filter((one) => filter === "all" || one.awaiting)
      .sort((left, right) => pressing(right) - pressing(left) || Date.parse(right.last_at) - Date.parse(left.last_at))
      .map((one) => this.row(one));
  }

  head(thread: string): HeadItem | undefined {
    return this.heads.get(thread);
  }

  preview(thread: string): Preview | undefined {
    return this.previews.get(thread);
  }

  private row(head: HeadItem): InboxRow {
    const preview = this.previews.get(head.thread);
    const pharmacy = this.desk.pharmacy(head.pharmacy)?.name ?? "";
    // Checked, and something of it opens: after a new start it is the one without the other.
    const readable = preview !== undefined && preview.at !== null && (preview.subject !== null || preview.last !== null);
    return {
      thread: head.thread,
      patient: head.patient,
      who: this.desk.staff ? (head.patient_name ?? this.forSomebody(preview)) : pharmacy,
      topic: head.topic,
      subject: preview === undefined ? t("threads.opening") : readable ? (preview.subject ?? "") : null,
      last: readable ? newest(preview) : null,
      lastAt: Date.parse(head.last_at),
      unread: preview?.lastBy === this.desk.me ? 0 : head.unread,
      turn: this.turn(head),
      urgent: head.urgent,
      waitsForKeys: head.waits_for_keys,
    };
  }

  /** A patient without an account has no name here: whoever wrote for that patient has. */
  private forSomebody(preview: Preview | undefined): string {
    const name = preview?.begunBy == null || this.desk.isStaff(preview.begunBy) ? undefined : this.desk.ready.directory.name(preview.begunBy);
    return name === undefined ? t("views.inbox.no-name") : t("views.inbox.for-somebody", { name });
  }

  private turn(head: HeadItem): Turn | null {
    if (this.desk.staff) return head.awaiting ? "needs-answer" : null;
    // A patient's line "awaits" until it was read; whose turn it is, the writer of the newest message says.
    const lastBy = this.previews.get(head.thread)?.lastBy ?? null;
    if (lastBy === null) return head.awaiting ? "answered" : null;
    if (!this.desk.isStaff(lastBy)) return "waits";
    return head.last === null ? "wrote" : "answered";
  }

  /** The newest lines. */
  load(): Promise<void> {
    return this.then(() => this.begin());
  }

  private async begin(): Promise<void> {
    const page = await get<InboxPage>(`/api/threads?limit=${PAGE}`);
    this.cursor = page.cursor;
    this.next = page.next;
    this.hasMore = page.next !== null;
    this.awaiting = page.awaiting;
    await this.take(page.items);
  }

  /** What waits where this person does not sit: no stream tells of it. An answer says nothing about the lines, which may still be missing. */
  async look(): Promise<void> {
    try {
      this.closed = (await get<{ items: readonly ClosedQueue[] }>("/api/threads/closed")).items;
    } catch (error) {
      // The next look may do better.
      if (!isOfTheLine(error)) throw error;
    }
    this.notify();
  }

  /** Older lines. */
  more(): Promise<void> {
    return this.then(async () => {
      if (this.next === null) return;
      const page = await get<InboxPage>(`/api/threads?limit=${PAGE}&after=${encodeURIComponent(this.next)}`);
      this.next = page.next;
      this.hasMore = page.next !== null;
      await this.take(page.items);
    });
  }

  /** What has changed since the last look. */
  refresh(): Promise<void> {
    return this.then(async () => {
      // News before the first page came: the page itself is still to be asked for.
      if (this.cursor === "") return this.begin();
      for (let more = true; more;) {
        const found: Changes = await get(`/api/threads/changes?since=${encodeURIComponent(this.cursor)}`);
        this.drop(this.cursor, found.cursor);
        this.cursor = found.cursor;
        more = found.more;
        await this.take(found.items);
      }
      this.awaiting = Math.max([...this.heads.values()].filter((one) => one.awaiting).length, this.hasMore ? this.awaiting : 0);
    });
  }

  /** A cursor names every inbox that is this person's: the lines of one that is no longer named go. */
  private drop(before: string, now: string): void {
    const mine = readersIn(now);
    const gone = readersIn(before).filter((reader) => !mine.includes(reader));
    this.left = [...this.left.filter((reader) => !mine.includes(reader)), ...gone];
    // Let in, or taken out.
    if (this.desk.staff && mine.length !== readersIn(before).length) void this.look();
    if (gone.length === 0) return;
    for (const [thread, head] of this.heads) {
      if (mine.includes(head.reader)) continue;
      this.heads.delete(thread);
      this.previews.delete(thread);
    }
  }

  private then(work: () => Promise<void>): Promise<void> {
    this.work = this.work.then(async () => {
      try {
        await work();
        this.state = "ready";
      } catch (error) {
        if (!isOfTheLine(error)) throw error;
        if (this.state === "loading") this.state = "offline";
      }
      this.notify();
    });
    return this.work;
  }

  private async take(items: readonly HeadItem[]): Promise<void> {
    for (const one of items) {
      // A thread can stand in two inboxes of one person; the line that waits counts.
      const known = this.heads.get(one.thread);
      this.heads.set(
        one.thread,
        known !== undefined && known.reader !== one.reader && known.seq === one.seq ? { ...one, awaiting: known.awaiting || one.awaiting } : one,
      );
    }
    this.notify();
    if (items.length === 0) return;
    await this.desk.know(writersOf(items));
    const found = await run("threadPreview", { items });
    for (const one of found) this.previews.set(one.thread, one);
    this.notify();
    for (const one of found) await this.tellDelivered(one);
    if (this.desk.staff) for (const one of items) if (one.joinable) await this.letIn(one.thread);
  }

  /** What stands here has reached this person. */
  private async tellDelivered({ thread, at, lastBy }: Preview): Promise<void> {
    const head = this.heads.get(thread);
    if (at === null || lastBy === this.desk.me || head === undefined || head.unread === 0 || (this.told.get(thread) ?? 0) >= at.seq) return;
    this.told.set(thread, at.seq);
    try {
      await post(`/api/threads/${thread}/receipts`, await run("threadReceipt", { thread, at, kind: "delivered" }));
    } catch (error) {
      if (!isOfTheLine(error)) throw error;
      if (!isCode(error, "receipt-older")) this.told.delete(thread);
    }
  }

  /** A thread that somebody with keys of late may read is looked at: that person is let in. */
  private async letIn(thread: string): Promise<void> {
    const model = this.desk.thread(thread);
    await model.sync();
    await this.desk.letIn(model);
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }
}

function readersIn(cursor: string): readonly string[] {
  return cursor.split(",").map((part) => part.slice(0, Math.max(0, part.lastIndexOf(":")))).filter((reader) => reader !== "");
}

/** The newest message in a line: its words, and what comes with it where it has none. */
function newest({ last, chips, files }: Preview): string | null {
  if (last === null || last.trim() !== "") return last;
  const names = [...chips, ...withoutThumbs(files).files.map((one) => safeName(one.name))];
  return names.length === 0 ? last : t("views.inbox.things", { names: list(names) });
}

/** Ids in the headers of an inbox's records, read loosely; the worker verifies them. */
function writersOf(items: readonly HeadItem[]): string[] {
  const ids = new Set<string>();
  for (const item of items) {
    for (const record of [...item.epochs, ...item.first, ...(item.last === null ? [] : [item.last])]) {
      const header = atobUrl(record.h);
      for (const hit of header.matchAll(/"(?:user|id)":"([a-z0-9_]{1,64})"/g)) ids.add(hit[1]!);
    }
  }
  return [...ids].filter((id) => /^[0-9a-f]{32}$/.test(id) || /_(pharmacists|desk|supervisors|privacy)$/.test(id));
}

function atobUrl(text: string): string {
  try {
    return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return "";
  }
}
