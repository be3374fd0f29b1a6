// The outbox: what a person wrote lies sealed in this browser before anything is sent, and until the server has it. It survives
// reloads and lines that are down; all tabs share it, and one of them sends at a time.

import type { ObjectText } from "../crypto/objects.ts";
import { openKept, sealKept } from "../keys/kept.ts";
import type { Ready } from "../keys/unlock.ts";

/** `held`: somebody started again, and a pharmacist must confirm first. */
export type OutboxState = "waiting" | "sending" | "held" | "failed";

/** How a try to send ended. */
export type SendOutcome =
  | { readonly kind: "accepted" }
  /** Nobody could be reached, or the server asks for patience (`after` in seconds). */
  | { readonly kind: "later"; readonly after: number | null }
  | { readonly kind: "held" }
  /** It will never be accepted as it is; `reason` is a code of the server or of the protocol. */
  | { readonly kind: "refused"; readonly reason: string };

/** What is known of an entry without opening it. */
export interface OutboxFacts {
  readonly id: string;
  readonly state: OutboxState;
  readonly tries: number;
  /** Not before this moment (Unix milliseconds). */
  readonly due: number;
  readonly reason: string | null;
}

const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 60_000;
const HELD_PAUSE_MS = 60_000;
const AGAIN_MS = 1_000;
/** The server keeps Idempotency-Keys for 30 days; an older entry could be accepted twice, so its writer is asked. */
export const OLDEST_MS = 29 * 24 * 3_600_000;

/** The entry after a try, or undefined when it is done and can go. */
export function afterTry(facts: OutboxFacts, outcome: SendOutcome, now: number): OutboxFacts | undefined {
  switch (outcome.kind) {
    case "accepted": return undefined;
    case "later": {
      const pause = outcome.after === null ? Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** facts.tries) : outcome.after * 1000;
      return { ...facts, state: "waiting", tries: facts.tries + 1, due: now + pause, reason: null };
    }
    case "held": return { ...facts, state: "held", tries: facts.tries + 1, due: now + HELD_PAUSE_MS, reason: "reset" };
    case "refused": return { ...facts, state: "failed", tries: facts.tries + 1, due: Number.MAX_SAFE_INTEGER, reason: outcome.reason };
  }
}

/** The entry that may be tried now. Entries of one thread go out in the order in which they were written. */
export function nextDue<E extends { readonly facts: OutboxFacts; readonly thread: string; readonly at: number }>(
  entries: readonly E[],
  now: number,
): E | undefined {
  const stopped = new Set<string>();
  for (const entry of [...entries].sort((left, right) => left.at - right.at)) {
    if (stopped.has(entry.thread)) continue;
    if (entry.facts.state !== "failed" && entry.facts.due <= now) return entry;
    // What failed for good does not hold up what was written after it; what waits does.
    if (entry.facts.state !== "failed") stopped.add(entry.thread);
  }
  return undefined;
}

/** What waits to be sent. `id` is the body's id and the Idempotency-Key. */
export interface Outgoing {
  readonly id: string;
  readonly thread: string;
  readonly at: number;
  readonly urgent: boolean;
  /** Everything that `deliver` needs, as plain JSON. */
  readonly parcel: unknown;
}

export interface OutboxEntry extends Outgoing {
  readonly facts: OutboxFacts;
}

interface Row {
  readonly facts: OutboxFacts;
  readonly object: ObjectText;
}

const KIND = "outbox";

/** The outbox of one account in this browser. */
export class Outbox {
  /** Counts the changes, so that what is drawn from it need not be made anew without one. */
  version = 0;
  private entries = new Map<string, OutboxEntry>();
  private readonly listeners = new Set<() => void>();
  private readonly channel: BroadcastChannel;
  private readonly lock: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  /**
   * `deliver` hands an entry to the server. `arrived` is told of each that the server has: it is not kept here any more, and stays
   * listed until then, so that what was written is never out of sight.
   */
  constructor(
    private readonly ready: Ready, private readonly deliver: (entry: Outgoing) => Promise<SendOutcome>,
    private readonly arrived: (entry: Outgoing) => Promise<void>,
  ) {
    this.lock = `portal-outbox-${ready.account.id}`;
    this.channel = new BroadcastChannel(this.lock);
    this.channel.onmessage = () => void this.reload();
    addEventListener("online", () => void this.hurry());
  }

  /** Reads what lies here from before and begins to send. */
  async open(): Promise<void> {
    await this.reload();
    this.kick();
  }

  /** What waits, in the order in which it was written. */
  list(thread?: string): readonly OutboxEntry[] {
    return [...this.entries.values()].filter((one) => thread === undefined || one.thread === thread).sort((left, right) => left.at - right.at);
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Keeps a message sealed, then sends it. When this returns it will not be lost any more. */
  async add(outgoing: Outgoing): Promise<void> {
    const facts: OutboxFacts = { id: outgoing.id, state: "waiting", tries: 0, due: 0, reason: null };
    await this.write(outgoing.id, { facts, object: await sealKept(this.ready, KIND, outgoing.id, outgoing) });
    this.entries.set(outgoing.id, { ...outgoing, facts });
    this.tell();
    this.kick();
  }

  /** The person wants it tried again now. */
  async retry(id: string): Promise<void> {
    await this.change(id, (facts) => ({ ...facts, state: "waiting", due: 0, reason: null }));
    this.kick();
  }

  /** The person does not want it sent any more. */
  async remove(id: string): Promise<void> {
    await this.ready.store.delete("outbox", id);
    this.drop(id);
  }

  private drop(id: string): void {
    this.entries.delete(id);
    this.tell();
  }

  /** Keys go: nothing is sent from here any more, the sealed entries stay. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.channel.close();
    this.entries.clear();
  }

  /** The line is back, or a reset was lifted: what waits may go at once. */
  async hurry(): Promise<void> {
    for (const { facts } of this.list()) {
      if (facts.state === "waiting" || facts.state === "held") await this.change(facts.id, (now) => ({ ...now, due: 0 }));
    }
    this.kick();
  }

  private kick(): void {
    if (this.closed) return;
    void navigator.locks.request(this.lock, { ifAvailable: true }, async (lock) => {
      if (lock !== null) return this.sendAll();
      // Another tab is sending, and hears of what is new; or this one is about to stop, and looked before that was due.
      if (this.closed || nextDue(this.list(), Date.now()) === undefined) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.kick(), AGAIN_MS);
    });
  }

  private async sendAll(): Promise<void> {
    await this.reload();
    for (;;) {
      // Without a line nothing is tried: everything goes on waiting, and goes when the line is back.
      const entry = this.closed || !navigator.onLine ? undefined : nextDue(this.list(), Date.now());
      if (entry === undefined) break;
      await this.send(entry);
      // Other tabs may have added something meanwhile.
      await this.reload();
    }
    this.plan();
  }

  private async send(entry: OutboxEntry): Promise<void> {
    if (Date.now() - entry.at > OLDEST_MS) {
      await this.change(entry.id, (facts) => ({ ...facts, state: "failed", due: Number.MAX_SAFE_INTEGER, reason: "old" }));
      return;
    }
    this.entries.set(entry.id, { ...entry, facts: { ...entry.facts, state: "sending" } });
    this.notify();
    const outcome = await this.tryOnce(entry);
    if (outcome === undefined || this.closed) return;
    const next = afterTry(entry.facts, outcome, Date.now());
    if (next !== undefined) return this.change(entry.id, () => next);
    await this.ready.store.delete("outbox", entry.id);
    await this.arrived(entry).finally(() => this.drop(entry.id));
  }

  /** undefined: the screen was locked meanwhile, and the entry waits for the next visit. */
  private async tryOnce(entry: OutboxEntry): Promise<SendOutcome | undefined> {
    try {
      return await this.deliver(entry);
    } catch (error) {
      if (this.closed) return undefined;
      // A fault of ours: the person sees that it was not sent, and we hear of it.
      await this.change(entry.id, (facts) => afterTry(facts, { kind: "refused", reason: "fault" }, Date.now()) ?? facts);
      throw error;
    }
  }

  private plan(): void {
    clearTimeout(this.timer);
    const due = this.list().filter((one) => one.facts.state !== "failed").map((one) => one.facts.due);
    if (due.length === 0 || this.closed || !navigator.onLine) return;
    this.timer = setTimeout(() => this.kick(), Math.max(50, Math.min(...due) - Date.now()));
  }

  private async reload(): Promise<void> {
    if (this.closed) return;
    const rows = await this.ready.store.all<Row>("outbox");
    const there = new Map<string, OutboxEntry>();
    for (const [id, row] of rows) {
      const known = this.entries.get(id);
      const outgoing = known ?? (await openKept<Outgoing>(this.ready, KIND, id, row.object));
      // What cannot be opened belongs to keys that are gone; it stays until its owner's store is cleared.
      if (outgoing !== undefined) there.set(id, { ...outgoing, facts: known?.facts.state === "sending" ? known.facts : row.facts });
    }
    this.entries = there;
    this.notify();
    this.plan();
  }

  private async change(id: string, how: (facts: OutboxFacts) => OutboxFacts): Promise<void> {
    const row = await this.ready.store.get<Row>("outbox", id);
    if (row === undefined) return;
    const facts = how(row.facts);
    await this.write(id, { ...row, facts });
    const known = this.entries.get(id);
    if (known !== undefined) this.entries.set(id, { ...known, facts });
    this.tell();
  }

  private write(id: string, row: Row): Promise<void> {
    return this.ready.store.put("outbox", id, row, (kept) => kept.object.ct === row.object.ct && kept.facts.state === row.facts.state);
  }

  private tell(): void {
    this.notify();
    if (!this.closed) this.channel.postMessage("changed");
  }

  private notify(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }
}
