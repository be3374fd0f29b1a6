// What a page needs to work with threads: keys in the worker, the directory known on both sides, the outbox, the stream, the kept
// heads, and the open threads. One for each page.

import { newId } from "../crypto/encoding.ts";
import type { Role } from "../crypto/records.ts";
import type { DirectoryItem } from "../keys/shapes.ts";
import type { Ready } from "../keys/unlock.ts";
import { type ActingFor, get, isCode, isOfTheLine, post } from "../live/api.ts";
import type { Page, PharmacyItem } from "../frame/page.tsx";
import { Stream } from "../live/stream.ts";
import { KeptHeads } from "./heads.ts";
import { Outbox } from "./outbox.ts";
import { type Parcel, type SendingDesk, deliver, rekeyOf } from "./send.ts";
import type { HeadItem, HeadText } from "./shapes.ts";
import type { Rekey, Wish } from "./tasks.ts";
import { ThreadModel } from "./thread.ts";
import { run } from "./work.ts";

/** How a pharmacy makes sure who somebody is that started again. */
export type How = "in-person" | "call-back" | "waited";

/** GET and POST /api/identity-checks/<account>. */
export interface IdentityCheck {
  readonly state: "open" | "waiting" | "objected" | "passed";
  readonly how: How | null;
  /** When the waiting ends. */
  readonly until: string | null;
}

/** What a new thread is about and with whom. */
export interface NewThread {
  readonly thread: string;
  readonly pharmacy: string;
  readonly patient: string;
  readonly topic: string;
  readonly members: readonly { readonly id: string; readonly role: Role }[];
}

/** The threads of a page. */
export class Desk implements SendingDesk {
  readonly ready: Ready;
  readonly outbox: Outbox;
  readonly stream: Stream;
  private readonly threads = new Map<string, ThreadModel>();
  private readonly learned = new Map<string, DirectoryItem>();
  private readonly heads: KeptHeads;

  private constructor(readonly page: Page<Ready>) {
    this.ready = page.person;
    this.heads = new KeptHeads(this.ready);
    this.outbox = new Outbox(this.ready, (entry) => deliver(this, entry), (entry) => this.thread(entry.thread).sync());
    this.stream = new Stream(this.ready.account.id, (state) => page.live.told(state));
    page.live.onWipe(() => {
      this.outbox.close();
      this.stream.close();
      this.heads.close();
      this.threads.clear();
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

  /** The patients for whom this person reads and writes messages, oneself first. */
  get patients(): readonly ActingFor[] {
    const own = (one: ActingFor): number => Number(one.kind === "self");
    return this.ready.session.patients.filter((one) => one.scope === "all" || one.scope === "messages").toSorted((left, right) => own(right) - own(left));
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
      items.unshift({
        id: account.id,
        role: account.role,
        pharmacy: account.pharmacy,
        name: account.name,
        disabled: false,
        entries: own.entries,
        devices: own.devices,
      });
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

  /**
   * The patient lets somebody who acts for her into a conversation, from here on or with all that was said before; or takes
   * somebody out again. Who started again and was not made sure of is not let in. Says whether it was done.
   */
  async letCarerIn(thread: ThreadModel, id: string, history: boolean): Promise<boolean> {
    await this.know([id], { fresh: true });
    if (this.ready.directory.known.user(id) === undefined || this.ready.directory.sendingHeld(id)) return false;
    await this.join(thread, [{ id, role: "proxy" }], { history });
    return thread.members.some((one) => one.id === id);
  }

  /** A conversation goes on without somebody who acts for the patient: a new epoch, which the patient may make. */
  async takeCarerOut(thread: ThreadModel, id: string): Promise<boolean> {
    await this.join(thread, [], { out: [id] });
    return !thread.members.some((one) => one.id === id);
  }

  /**
   * Posts a new epoch with `joining` in it, the history for them where it is wanted, and without those in `out`. A colleague who
   * was faster has done the same.
   */
  async join(
    thread: ThreadModel,
    joining: readonly { readonly id: string; readonly role: Role }[],
    { history = true, out = [] }: { readonly history?: boolean; readonly out?: readonly string[] } = {},
  ): Promise<void> {
    await this.know(thread.people(), { fresh: true });
    if (thread.heldTeam() !== undefined) return;
    const anew = thread.startedAgain();
    if (anew !== undefined && !joining.some((one) => one.id === anew.id)) return;
    let rekey: Rekey = { revoked: [], ended: [...out, ...(thread.info?.members.flatMap((one) => (one.ended === true ? [one.id] : [])) ?? [])] };
    for (let tries = 0; tries < 2; tries += 1) {
      const { records } = await run("threadJoin", { thread: thread.id, joining, rekey, history });
      try {
        await post(`/api/threads/${thread.id}/messages`, { records, urgent: false }, { key: newId() });
        break;
      } catch (error) {
        if (!isOfTheLine(error)) throw error;
        // The new epoch must also name the devices that were ended since the last one, and do without who is gone.
        if (!isCode(error, "rekey")) break;
        const demanded = rekeyOf(error);
        rekey = { ...demanded, ended: [...new Set([...out, ...demanded.ended])] };
      }
    }
    await thread.sync();
  }

  /** Whether this person says for the pharmacy who somebody is (portal/accounts/policy.py). */
  get saysWho(): boolean {
    return this.ready.account.role === "pharmacist" || this.ready.account.role === "privacy";
  }

  /** How far this pharmacy is with somebody who started again. */
  identityCheck(account: string): Promise<IdentityCheck> {
    return get<IdentityCheck>(`/api/identity-checks/${account}`);
  }

  /** Puts on record how it was made sure who somebody is, or begins to wait. Throws ApiError `check-objected`. */
  madeSure(account: string, how: How): Promise<IdentityCheck> {
    return post<IdentityCheck>(`/api/identity-checks/${account}`, { how });
  }

  /**
   * A person has made sure that somebody's new keys are the right one's. Every conversation of the patient that this person's
   * teams can read gets an epoch with the new keys and all that was said before; what waits may go.
   */
  async confirm(held: { readonly id: string; readonly role: Role }, patient: string): Promise<void> {
    await this.ready.directory.confirm(held.id);
    if (this.staff) {
      for (let after: string | null = ""; after !== null;) {
        const query: string = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
        const page: { items: readonly HeadItem[]; next: string | null } = await get(`/api/threads?patient=${patient}&limit=100${query}`);
        for (const { thread: id } of page.items) {
          const thread = this.thread(id);
          await thread.sync();
          if (thread.startedAgain()?.id === held.id && thread.mayVouch()) await this.join(thread, [held]);
        }
        after = page.next;
      }
    }
    await this.outbox.hurry();
  }

  /** Staff: a thread needs no answer, or does after all. What has come since it was seen is not answered by it. */
  async answered(thread: ThreadModel, answered: boolean): Promise<void> {
    await post(`/api/threads/${thread.id}/answered`, { sequence: thread.seq, answered });
  }

  /** The highest head seen of a thread, in this browser or in another of this person's. */
  keptHead(thread: string): Promise<HeadText | null> {
    return this.heads.kept(thread);
  }

  /** Remembers a head that was reached without a fault. */
  keepHead(thread: string, head: HeadText): Promise<void> {
    return this.heads.keep(thread, head);
  }
}
