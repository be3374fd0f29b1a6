// How far each thread had come when this person last saw it: a server that shows less is noticed, also in another browser
// (docs/protocol.md section 5).

import { b64, fromUtf8, unb64, utf8 } from "../crypto/encoding.ts";
import type { Ready } from "../keys/unlock.ts";
import { isOfTheLine } from "../live/api.ts";
import type { HeadText } from "./shapes.ts";

const STORE_AFTER_MS = 5_000;
/** A sealed object holds at most 256 KiB; a head takes about 90 bytes. */
const MOST_HEADS = 2_000;

/** The heads of one person: in this browser at once, and a little later sealed on the server for the person's others. */
export class KeptHeads {
  private readonly heads = new Map<string, HeadText>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reading: Promise<void> | undefined;

  constructor(private readonly ready: Ready) {}

  /** Keys go: nothing is stored any more. */
  close(): void {
    clearTimeout(this.timer);
    this.heads.clear();
  }

  /** The highest head seen of a thread, in this browser or in another of this person's. */
  async kept(thread: string): Promise<HeadText | null> {
    const local = await this.ready.store.get<HeadText>("heads", thread);
    this.reading ??= this.read();
    await this.reading;
    const sealed = this.heads.get(thread);
    if (local === undefined || sealed === undefined) return local ?? sealed ?? null;
    return sealed.seq > local.seq ? sealed : local;
  }

  /** Remembers a head that was reached without a fault. */
  async keep(thread: string, head: HeadText): Promise<void> {
    const known = this.heads.get(thread);
    if (known !== undefined && known.seq >= head.seq) return;
    this.heads.delete(thread);
    this.heads.set(thread, head);
    await this.ready.store.put("heads", thread, head, (kept) => kept.seq === head.seq && kept.head === head.head);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.store(), STORE_AFTER_MS);
  }

  private async read(): Promise<void> {
    try {
      const found = await this.ready.objects.read(this.ready.account.id, "heads", "heads");
      if (found !== undefined) for (const [thread, head] of readHeads(found.content)) this.heads.set(thread, head);
    } catch (error) {
      // Those of this browser still count.
      if (!isOfTheLine(error)) throw error;
    }
  }

  private async store(): Promise<void> {
    try {
      await this.ready.objects.update(this.ready.account.id, "heads", "heads", (content) => {
        const all = new Map(content === undefined ? [] : readHeads(content));
        for (const [thread, head] of this.heads) if ((all.get(thread)?.seq ?? 0) < head.seq) all.set(thread, head);
        return utf8(JSON.stringify(Object.fromEntries([...all].slice(-MOST_HEADS).map(([thread, head]) => [thread, [head.seq, head.head]]))));
      });
    } catch (error) {
      // Stored with the next one.
      if (!isOfTheLine(error)) throw error;
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
