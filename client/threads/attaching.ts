// A file in the composer on its way up. A photo is drawn anew, everything is encrypted in the worker, and the ciphertext stays in this
// browser until the message that names it waits in the outbox: it survives a reload and goes on where a line broke.

import { newId } from "../crypto/encoding.ts";
import type { ObjectText } from "../crypto/objects.ts";
import { Refused } from "../crypto/reasons.ts";
import { openKept, sealKept } from "../keys/kept.ts";
import type { Ready } from "../keys/unlock.ts";
import { ApiError, Unreachable, isOfTheLine, pause, post, putBytes } from "../live/api.ts";
import { StoreFailed } from "../store/db.ts";
import type { FileView } from "../views/types.ts";
import { type AttNote, type Attached, LONGEST_SIDE, THUMB_SIDE, drawn, safeName, withExtension } from "./files.ts";
import { run } from "./work.ts";

const PART_BYTES = 1024 * 1024;
const TRIES = 8;
const KIND = "file";

/** Where a file goes: both are named before the thread exists. */
export interface FilePlace {
  readonly thread: string;
  readonly pharmacy: string;
}

/** What is kept of a file, sealed: its keys among others. `attached` null: the page went before the file was encrypted. */
interface Facts extends FilePlace {
  readonly name: string;
  readonly size: number;
  readonly attached: Attached | null;
}

interface Row {
  readonly object: ObjectText;
  /** The stored forms, in the order of `attached.att`. */
  readonly stored: readonly Blob[];
}

/** One file in the composer. */
export class Attaching {
  view: FileView;
  result: Attached | undefined;
  private readonly stop = new AbortController();
  private free: () => void = () => undefined;
  private gone = false;

  private constructor(
    private readonly ready: Ready, private readonly draft: string, readonly place: FilePlace, id: string, name: string, size: number,
    private readonly changed: () => void,
  ) {
    this.view = { id, name, size, image: null, progress: 0, failed: false };
  }

  /** A file that was picked just now; it goes up by itself and says how through `view` and `changed`. */
  static pick(ready: Ready, draft: string, place: FilePlace, file: File, changed: () => void): Attaching {
    const { thread, pharmacy } = place;
    const made = new Attaching(ready, draft, { thread, pharmacy }, newId(), safeName(file.name), file.size, changed);
    void made.go(async () => {
      made.free = await hold(made.view.id) ?? made.free;
      await made.keep(null, []);
      const [attached, stored] = await made.encrypt(file);
      await made.keep(attached, stored);
      return [attached, stored];
    });
    return made;
  }

  /** The files that were picked for a draft before this page was loaded, but for those that another tab holds; they go on by themselves. */
  static async resume(ready: Ready, draft: string, changed: () => void): Promise<readonly Attaching[]> {
    const found: Attaching[] = [];
    for (const [key, row] of await ready.store.all<Row>("drafts", `${KIND}:${draft}:`)) {
      const id = key.slice(key.lastIndexOf(":") + 1);
      const free = await hold(id);
      if (free === undefined) continue;
      const facts = await openKept<Facts>(ready, KIND, id, row.object);
      if (facts === undefined) {
        free();
        await ready.store.delete("drafts", key);
        continue;
      }
      const made = new Attaching(ready, draft, { thread: facts.thread, pharmacy: facts.pharmacy }, id, facts.name, facts.size, changed);
      made.free = free;
      if (facts.attached === null) made.view = { ...made.view, progress: null, failed: true };
      else void made.go(() => Promise.resolve([facts.attached!, row.stored]));
      found.push(made);
    }
    return found;
  }

  private async go(sealed: () => Promise<readonly [Attached, readonly Blob[]]>): Promise<void> {
    try {
      const [attached, stored] = await sealed();
      for (const [index, att] of attached.att.entries()) {
        // The first is the file itself, the other its small version. Encrypting was a tenth of the bar.
        await this.upload(att, stored[index]!, (share) => { if (index === 0) this.update({ progress: 0.1 + share * 0.9 }); });
      }
      this.result = attached;
      this.update({ progress: null });
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.update({ failed: true, progress: null });
      if (!(isOfTheLine(error) || error instanceof Refused || error instanceof DOMException)) throw error;
    }
  }

  /** The person does not want it after all, or it is in the outbox now: nothing is kept of it. */
  async remove(): Promise<void> {
    this.gone = true;
    this.leave();
    await this.ready.store.delete("drafts", this.key);
  }

  /** The page goes, or is locked: what is kept waits for the next one. */
  leave(): void {
    this.stop.abort();
    if (this.view.image !== null) URL.revokeObjectURL(this.view.image);
    this.free();
  }

  private get key(): string {
    return `${KIND}:${this.draft}:${this.view.id}`;
  }

  private async keep(attached: Attached | null, stored: readonly Blob[]): Promise<void> {
    this.stop.signal.throwIfAborted();
    const facts: Facts = { ...this.place, name: this.view.name, size: this.view.size, attached };
    try {
      const row: Row = { object: await sealKept(this.ready, KIND, this.view.id, facts), stored };
      await this.ready.store.put("drafts", this.key, row, (kept) => kept.stored.every((blob, index) => blob.size === stored[index]!.size));
    } catch (error) {
      // A full disk: it goes up all the same, but does not survive this page.
      if (!(error instanceof StoreFailed)) throw error;
    }
    if (this.gone) await this.ready.store.delete("drafts", this.key);
  }

  private async encrypt(file: File): Promise<readonly [Attached, readonly Blob[]]> {
    const photo = await drawn(file, LONGEST_SIDE);
    const small = photo === undefined ? undefined : await drawn(file, THUMB_SIDE);
    const content = photo ?? new Blob([file], { type: file.type });
    const name = photo === undefined ? this.view.name : withExtension(this.view.name, photo.type);
    const broken = photo === undefined && file.type.startsWith("image/") && file.type !== "image/svg+xml";
    this.update({ name, size: content.size, broken, ...(small === undefined ? {} : { image: URL.createObjectURL(small) }) });
    const both = [await this.seal(this.view.id, name, content, (share) => this.update({ progress: share * 0.1 }))];
    if (small !== undefined) both.push(await this.seal(newId(), `${this.view.id}.thumbnail`, small, () => undefined));
    return [{ notes: both.map((one) => one.note), att: both.map((one) => one.att) }, both.map((one) => one.stored)];
  }

  private async seal(
    id: string, name: string, content: Blob, onShare: (share: number) => void,
  ): Promise<{ readonly note: Attached["notes"][number]; readonly att: AttNote; readonly stored: Blob }> {
    this.stop.signal.throwIfAborted();
    const onPart = (part: { readonly share: number }): void => onShare(part.share);
    const { stored, cth, key, hash, size } = await run(
      "fileSeal",
      { thread: this.place.thread, id, file: content },
      { onPart: onPart as (part: never) => void },
    );
    const type = content.type === "" ? "application/octet-stream" : content.type;
    return { note: { id, key, name, type, size, hash }, att: { id, size: stored.size, cth }, stored };
  }

  private async upload(att: AttNote, stored: Blob, onShare: (share: number) => void): Promise<void> {
    const { signal } = this.stop;
    for (let tried = 1; ; tried += 1) {
      try {
        // Announcing again tells how far an interrupted upload has come.
        const begun = await post<{ received: number; complete: boolean }>("/api/attachments", { ...att, ...this.place });
        for (let start = begun.received; start < stored.size;) {
          signal.throwIfAborted();
          const part = new Uint8Array(await stored.slice(start, start + PART_BYTES).arrayBuffer());
          const { received } = await putBytes<{ received: number }>(`/api/attachments/${att.id}?start=${start}`, part, { signal });
          start = received;
          onShare(start / stored.size);
        }
        if (!begun.complete) await post(`/api/attachments/${att.id}/complete`);
        return;
      } catch (error) {
        const passing = error instanceof Unreachable || (error instanceof ApiError && (error.status >= 500 || error.status === 429));
        if (!passing || tried >= TRIES || signal.aborted) throw error;
        await pause(1000 * 2 ** tried);
      }
    }
  }

  private update(change: Partial<FileView>): void {
    this.view = { ...this.view, ...change };
    this.changed();
  }
}

/** Holds a file for this tab; gives what lets go of it again, undefined where another tab has it. */
function hold(id: string): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    void navigator.locks.request(`portal-file-${id}`, { ifAvailable: true }, (lock) => {
      if (lock === null) return resolve(undefined);
      return new Promise<void>((free) => resolve(free));
    });
  });
}
