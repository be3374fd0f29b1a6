// Sealed objects of a person or a team (docs/protocol.md section 8): read, verified and opened here, written by compare-and-swap.

import { type Bytes } from "../crypto/encoding.ts";
import { type ObjectText, openObject, sealObject } from "../crypto/objects.ts";
import { Refused, refused } from "../crypto/reasons.ts";
import { get, isCode, put, remove } from "../live/api.ts";
import { type Directory } from "./directory.ts";
import { type Keyring } from "./keyring.ts";

/** The kinds that the server keeps. */
export type ObjectKind = "draft" | "pins" | "heads" | "settings" | "outbox_key" | "confirmations" | "context";

/** An object that opened. */
export interface Opened {
  readonly rev: number;
  readonly content: Bytes;
}

interface Item extends ObjectText {
  readonly id: string;
  readonly rev: number;
}

const TRIES = 5;

/** The sealed objects that this person may open. */
export class Objects {
  /** The highest revision seen of each object: an older one is a roll-back. */
  private readonly seen = new Map<string, number>();
  /** What did not open, by "owner/kind/id". */
  readonly faults = new Map<string, Refused>();

  constructor(private readonly keyring: Keyring, private readonly directory: Directory) {}

  /** All objects of an owner and kind that open, by id. Those that do not are in `faults`. */
  async list(owner: string, kind: ObjectKind): Promise<Map<string, Opened>> {
    if (owner !== this.keyring.account) await this.loadWriters(owner);
    const found = new Map<string, Opened>();
    for (let after: string | null = ""; after !== null;) {
      const query: string = after === "" ? "" : `?after=${after}`;
      const page: { items: readonly Item[]; next: string | null } = await get(`/api/objects/${owner}/${kind}${query}`);
      for (const item of page.items) {
        const opened = await this.open(owner, kind, item);
        if (opened !== undefined) found.set(item.id, opened);
      }
      after = page.next;
    }
    return found;
  }

  /** One object; undefined where there is none that opens. */
  async read(owner: string, kind: ObjectKind, id: string): Promise<Opened | undefined> {
    return (await this.list(owner, kind)).get(id);
  }

  /**
   * Writes what `change` makes of the content that is there (undefined: none), again if somebody else was faster.
   * Throws ApiError; Error for a team whose key is not held.
   */
  async update(owner: string, kind: ObjectKind, id: string, change: (content: Bytes | undefined) => Bytes): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      const there = await this.read(owner, kind, id);
      const rev = (there?.rev ?? this.unreadableRev(owner, kind, id)) + 1;
      const gen = this.keyring.newest(owner);
      const seed = gen === undefined ? undefined : this.keyring.seed(owner, gen);
      if (gen === undefined || seed === undefined) throw new Error("no key of this owner");
      const facts = { owner, kind, id, rev, gen, dev: this.keyring.device, ts: Date.now() };
      const text = await sealObject(facts, seed, change(there?.content), this.keyring.signer);
      try {
        await put(`/api/objects/${owner}/${kind}/${id}`, { rev, ...text });
        this.seen.set(`${owner}/${kind}/${id}`, rev);
        return;
      } catch (error) {
        if (!isCode(error, "moved-object") || tried >= TRIES) throw error;
      }
    }
  }

  /** Takes an object away; nothing happens where there is none. */
  async remove(owner: string, kind: ObjectKind, id: string): Promise<void> {
    try {
      await remove(`/api/objects/${owner}/${kind}/${id}`);
    } catch (error) {
      if (!isCode(error, "not-found")) throw error;
    }
    this.seen.delete(`${owner}/${kind}/${id}`);
  }

  /** An object that does not open is written over (drafts of keys that are lost): its revision still counts. */
  private unreadableRev(owner: string, kind: ObjectKind, id: string): number {
    return this.faults.has(`${owner}/${kind}/${id}`) ? (this.seen.get(`${owner}/${kind}/${id}`) ?? 0) : 0;
  }

  private async open(owner: string, kind: ObjectKind, item: Item): Promise<Opened | undefined> {
    const name = `${owner}/${kind}/${item.id}`;
    const wanted = { owner, kind, id: item.id, seenRev: this.seen.get(name) ?? 0 };
    const opened = await openObject(item, wanted, this.directory.known, (gen) => this.keyring.seed(owner, gen));
    if (refused(opened)) {
      this.faults.set(name, opened);
      this.seen.set(name, Math.max(this.seen.get(name) ?? 0, item.rev));
      return undefined;
    }
    this.faults.delete(name);
    this.seen.set(name, opened.header.rev);
    return { rev: opened.header.rev, content: opened.content };
  }

  /** Whoever may have written for a team: everybody who was ever listed in it. */
  private async loadWriters(team: string): Promise<void> {
    await this.directory.load([team]);
    const records = this.directory.known.team(team)?.records ?? [];
    await this.directory.load([...new Set(records.flatMap((record) => record.members.map((member) => member.id)))]);
  }
}
