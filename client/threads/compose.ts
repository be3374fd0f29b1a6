// What is being written into a thread: words, chips, files, what it answers or corrects. Kept as a sealed draft until it is sent.

import { correctBody } from "../crypto/bodies.ts";
import { fromUtf8, newId, utf8 } from "../crypto/encoding.ts";
import { ApiError, Unreachable } from "../live/api.ts";
import type { ChipView, FileView } from "../views/types.ts";
import { bodyOf } from "./body.ts";
import type { Desk } from "./desk.ts";
import { Attaching, type FilePlace } from "./attaching.ts";
import { LARGEST_BYTES } from "./files.ts";
import type { Wish } from "./tasks.ts";

const SAVE_AFTER_MS = 1_200;

interface Draft {
  readonly text: string;
  readonly chips: readonly ChipView[];
  readonly replyTo: string | null;
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
  /** A file that was not taken, by name: it is too large. */
  tooLarge: string | null = null;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stored = false;
  private saving: Promise<void> = Promise.resolve();

  /** `draft` names the sealed object; a new thread's draft has no thread yet. */
  constructor(private readonly desk: Desk, private readonly draft: string, public place: FilePlace) {
    desk.page.live.onWipe(() => this.forget());
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Takes up the draft where it was left, unless something was written meanwhile, and the files that were picked for it. */
  async resume(): Promise<void> {
    await this.resumeFiles();
    try {
      const found = await this.desk.ready.objects.read(this.desk.me, "draft", this.draft);
      if (found === undefined || this.text !== "") return;
      const draft = JSON.parse(fromUtf8(found.content)) as Draft;
      this.stored = true;
      this.saved = draft.text !== "" || draft.chips.length > 0;
      this.text = draft.text;
      this.chips = draft.chips;
      this.replyTo = draft.replyTo;
      this.notify();
    } catch (error) {
      if (!(error instanceof ApiError) && !(error instanceof Unreachable)) throw error;
    }
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
    this.tooLarge = files.find((one) => one.size > LARGEST_BYTES)?.name ?? null;
    for (const file of files) {
      if (file.size > LARGEST_BYTES) continue;
      this.files = [...this.files, Attaching.pick(this.desk.ready, this.draft, this.place, file, () => this.notify())];
    }
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

  /** It is in the outbox now: the draft goes. */
  clear(): void {
    for (const file of this.files) void file.remove();
    this.forget();
    this.notify();
    if (!this.stored) return;
    this.stored = false;
    this.later(() => this.desk.ready.objects.remove(this.desk.me, "draft", this.draft));
  }

  private forget(): void {
    clearTimeout(this.timer);
    this.text = "";
    this.chips = [];
    for (const file of this.files) file.leave();
    this.files = [];
    this.replyTo = null;
    this.correcting = null;
    this.saved = false;
  }

  private changed(): void {
    this.saved = false;
    this.notify();
    clearTimeout(this.timer);
    // A correction is not a draft: its words are those of a message that is there already.
    if (this.correcting === null) this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  private save(): void {
    const draft: Draft = { text: this.text, chips: this.chips, replyTo: this.replyTo };
    const empty = draft.text === "" && draft.chips.length === 0;
    if (empty && !this.stored) return;
    this.later(async () => {
      if (empty) await this.desk.ready.objects.remove(this.desk.me, "draft", this.draft);
      else await this.desk.ready.objects.update(this.desk.me, "draft", this.draft, () => utf8(JSON.stringify(draft)));
      this.stored = !empty;
      this.saved = !empty && this.text === draft.text;
      this.notify();
    });
  }

  /** One after the other: an older draft must not overtake a newer one. */
  private later(work: () => Promise<void>): void {
    this.saving = this.saving.then(work).catch((error: unknown) => {
      // Offline: saved with the next change. Wiped: nothing is to be saved any more.
      if (!(error instanceof ApiError) && !(error instanceof Unreachable) && this.text !== "") throw error;
    });
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
