// What is being written into a thread: words, chips, files, what it answers or corrects. Kept as a sealed draft until it is sent.

import { correctBody } from "../crypto/bodies.ts";
import { fromUtf8, newId, utf8 } from "../crypto/encoding.ts";
import type { ObjectText } from "../crypto/objects.ts";
import { openKept, sealKept } from "../keys/kept.ts";
import type { Ready } from "../keys/unlock.ts";
import { isOfTheLine } from "../live/api.ts";
import { StoreFailed } from "../store/db.ts";
import type { ChipView, FileView } from "../views/types.ts";
import { bodyOf } from "./body.ts";
import type { Desk } from "./desk.ts";
import { Attaching, type FilePlace } from "./attaching.ts";
import { LARGEST_BYTES } from "./files.ts";
import type { Wish } from "./tasks.ts";

/** The server keeps it a little later than this browser does: each keeping there is a request. */
const SAVE_AFTER_MS = 1_200;
const KEEP_AFTER_MS = 150;
const KIND = "words";

interface Draft {
  readonly text: string;
  readonly chips: readonly ChipView[];
  readonly replyTo: string | null;
  /** Of a new question. */
  readonly subject?: string;
  readonly topic?: string | null;
  /** When it was written, in Unix milliseconds: the newer one counts. */
  readonly at?: number;
}

/** What this browser keeps of a draft; `stored`: the server had the same, so that where it has none the draft is done with. */
interface Kept extends Draft {
  readonly stored: boolean;
}

/** Which new questions were begun in this browser: the names of their drafts. */
export async function begunHere(ready: Ready): Promise<readonly string[]> {
  const begun = await ready.store.all("drafts", `${KIND}:new`);
  return begun.map(([key]) => key.slice(KIND.length + 1));
}

/** What is being written in one thread. */
export class Composing {
  text = "";
  chips: readonly ChipView[] = [];
  files: readonly Attaching[] = [];
  /** The body id of the message that is answered. */
  replyTo: string | null = null;
  /** The body id of one's own message that is corrected. */
  correcting: string | null = null;
  saved = false;
  /** Of a new question: a few words, and what it is about. */
  subject = "";
  topic: string | null = null;
  /** The last file that was not taken, and why. */
  notTaken: { readonly name: string; readonly why: "too-large" | "empty" } | null = null;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private keeping: ReturnType<typeof setTimeout> | undefined;
  private stored = false;
  private saving: Promise<void> = Promise.resolve();

  /** `draft` names the sealed object; a new thread's draft has no thread yet. */
  constructor(private readonly desk: Desk, private readonly draft: string, public place: FilePlace) {
    desk.page.live.onWipe(() => this.forget());
    // The page goes: what was written in the last moment too.
    addEventListener("pagehide", () => { if (this.keeping !== undefined) void this.keepHere(); });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Takes up the draft where it was left, unless something was written meanwhile, and the files that were picked for it. */
  async resume(): Promise<void> {
    await this.resumeFiles();
    const here = await this.kept();
    if (here !== undefined) this.take(here);
    try {
      const found = await this.desk.ready.objects.read(this.desk.me, "draft", this.draft);
      this.stored = found !== undefined;
      const there = found === undefined ? undefined : JSON.parse(fromUtf8(found.content)) as Draft;
      // Sent or thrown away elsewhere: what is kept here was the same once.
      if (there === undefined && here?.stored === true && this.isStill(here)) this.throwAway();
      else if (there !== undefined && (there.at ?? 0) >= (here?.at ?? 0)) this.take(there, here);
    } catch (error) {
      if (!isOfTheLine(error)) throw error;
    }
  }

  /** Takes up a draft, unless something was written meanwhile. */
  private take(draft: Draft, before?: Draft): void {
    if (before === undefined ? this.text !== "" || this.subject !== "" : !this.isStill(before)) return;
    this.text = draft.text;
    // "Ask about this" may have put something in already.
    if (before !== undefined || this.chips.length === 0) this.chips = draft.chips;
    this.replyTo = draft.replyTo;
    this.subject = draft.subject ?? "";
    this.topic ??= draft.topic ?? null;
    this.saved = !this.empty;
    this.notify();
  }

  private get empty(): boolean {
    return this.text === "" && this.chips.length === 0 && this.subject === "";
  }

  private isStill(draft: Draft): boolean {
    return this.text === draft.text && this.subject === (draft.subject ?? "") && this.chips.length === draft.chips.length;
  }

  private async resumeFiles(): Promise<void> {
    const found = await Attaching.resume(this.desk.ready, this.draft, () => this.notify());
    const thread = found[0]?.place.thread;
    if (thread === undefined) return;
    if (thread !== this.place.thread) {
      // A new question keeps its thread's name, as the files are encrypted for it; unless that thread was begun meanwhile.
      const begun = this.desk.outbox.list(thread).length > 0 || (await this.desk.keptHead(thread)) !== null;
      if (begun || this.files.length > 0) {
        for (const one of found) await one.remove();
        return;
      }
      this.place = { thread, pharmacy: this.place.pharmacy };
    }
    this.files = [...this.files, ...found];
    this.notify();
  }

  write(text: string): void {
    this.text = text;
    this.changed();
  }

  /** In a few words. */
  name(subject: string): void {
    this.subject = subject;
    this.changed();
  }

  /** What a new question is about. */
  choose(topic: string | null): void {
    if (this.topic === topic) return;
    this.topic = topic;
    if (!this.empty) this.changed();
  }

  addChip(chip: ChipView): void {
    if (this.chips.some((one) => one.id === chip.id)) return;
    this.chips = [...this.chips, chip];
    this.changed();
  }

  removeChip(chip: ChipView): void {
    this.chips = this.chips.filter((one) => one.id !== chip.id);
    this.changed();
  }

  addFiles(files: readonly File[]): void {
    this.notTaken = null;
    for (const file of files) {
      if (file.size > LARGEST_BYTES || file.size === 0) this.notTaken = { name: file.name, why: file.size === 0 ? "empty" : "too-large" };
      else this.files = [...this.files, Attaching.pick(this.desk.ready, this.draft, this.place, file, () => this.notify())];
    }
    this.notify();
  }

  /** The word about a file that was not taken was read. */
  understood(): void {
    this.notTaken = null;
    this.notify();
  }

  removeFile(file: FileView): void {
    void this.files.find((one) => one.view.id === file.id)?.remove();
    this.files = this.files.filter((one) => one.view.id !== file.id);
    this.notify();
  }

  reply(id: string | null): void {
    this.replyTo = id;
    this.correcting = null;
    this.changed();
  }

  /** Begins to correct a message: its words are what is written now. */
  correct(id: string | null, text = ""): void {
    this.correcting = id;
    this.replyTo = null;
    this.text = text;
    this.changed();
  }

  /** All files are uploaded; nothing is sent before. */
  get filesReady(): boolean {
    return this.files.every((one) => one.result !== undefined);
  }

  /** What would be sent, with the id it is sent under. */
  wish(subject?: string): { readonly id: string; readonly wish: Wish } {
    const id = newId();
    if (this.correcting !== null) {
      return { id, wish: { kind: "message", body: correctBody({ id, replaces: this.correcting, text: this.text }), att: [] } };
    }
    const notes = this.files.flatMap((one) => one.result?.notes ?? []);
    const att = this.files.flatMap((one) => one.result?.att ?? []);
    const body = bodyOf({
      id, text: this.text, chips: this.chips, files: notes, ...(subject === undefined ? {} : { subject }),
      ...(this.replyTo === null ? {} : { inReplyTo: this.replyTo }),
    });
    return { id, wish: { kind: "message", body, att } };
  }

  /** It is in the outbox now, or not wanted any more: the draft goes. */
  clear(): void {
    for (const file of this.files) void file.remove();
    this.throwAway();
    if (!this.stored) return;
    this.stored = false;
    void this.later(() => this.desk.ready.objects.remove(this.desk.me, "draft", this.draft));
  }

  private throwAway(): void {
    this.forget();
    this.notify();
    void this.later(() => this.desk.ready.store.delete("drafts", this.key));
  }

  private forget(): void {
    clearTimeout(this.timer);
    clearTimeout(this.keeping);
    this.keeping = undefined;
    this.text = "";
    this.subject = "";
    this.topic = null;
    this.chips = [];
    for (const file of this.files) file.leave();
    this.files = [];
    this.replyTo = null;
    this.correcting = null;
    this.notTaken = null;
    this.saved = false;
  }

  private changed(): void {
    this.saved = false;
    this.notify();
    clearTimeout(this.timer);
    clearTimeout(this.keeping);
    // A correction is not a draft: its words are those of a message that is there already.
    if (this.correcting !== null) return;
    this.keeping = setTimeout(() => void this.keepHere(), KEEP_AFTER_MS);
    this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  private get key(): string {
    return `${KIND}:${this.draft}`;
  }

  private get now(): Draft {
    return { text: this.text, chips: this.chips, replyTo: this.replyTo, subject: this.subject, topic: this.topic, at: Date.now() };
  }

  private async kept(): Promise<Kept | undefined> {
    const object = await this.desk.ready.store.get<ObjectText>("drafts", this.key);
    return object === undefined ? undefined : openKept<Kept>(this.desk.ready, KIND, this.draft, object);
  }

  /** Keeps the words sealed in this browser, so that a reload loses nothing. */
  private keepHere(stored = false): Promise<void> {
    this.keeping = undefined;
    const { ready } = this.desk;
    const kept: Kept = { ...this.now, stored };
    const gone = this.empty;
    return this.later(async () => {
      try {
        if (gone) return await ready.store.delete("drafts", this.key);
        const object = await sealKept(ready, KIND, this.draft, kept);
        await ready.store.put("drafts", this.key, object, (read) => read.ct === object.ct);
      } catch (error) {
        // A full disk: the server keeps it a moment later.
        if (!(error instanceof StoreFailed)) throw error;
      }
    });
  }

  private save(): void {
    const draft = this.now;
    const empty = this.empty;
    if (empty && !this.stored) return;
    void this.later(async () => {
      if (empty) await this.desk.ready.objects.remove(this.desk.me, "draft", this.draft);
      else await this.desk.ready.objects.update(this.desk.me, "draft", this.draft, () => utf8(JSON.stringify(draft)));
      this.stored = !empty;
      this.saved = !empty && this.isStill(draft);
      if (this.saved) void this.keepHere(true);
      this.notify();
    });
  }

  /** One after the other: an older draft must not overtake a newer one. */
  private later(work: () => Promise<void>): Promise<void> {
    this.saving = this.saving.then(work).catch((error: unknown) => {
      // Offline: saved with the next change. Wiped: nothing is to be saved any more.
      if (!isOfTheLine(error) && this.text !== "") throw error;
    });
    return this.saving;
  }

  private notify(): void {
    for (const listener of this.listeners) listener();
  }
}

/** What an element needs so that files can be dropped and pasted on it. */
export function takesFiles(composing: Composing): {
  readonly onDragOver: (event: DragEvent) => void; readonly onDrop: (event: DragEvent) => void; readonly onPaste: (event: ClipboardEvent) => void;
} {
  return {
    onDragOver: (event) => event.preventDefault(),
    onDrop: (event) => {
      event.preventDefault();
      composing.addFiles([...(event.dataTransfer?.files ?? [])]);
    },
    onPaste: (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      composing.addFiles(files);
    },
  };
}
