// Photos and files on their way into a message and out of it. Photos are drawn anew in the worker, so that nothing of the camera's
// notes (place, time, device) leaves; everything is encrypted before it is uploaded, in parts, and goes on where a line broke.

import type { FileNote } from "../crypto/bodies.ts";
import { newId } from "../crypto/encoding.ts";
import { Refused } from "../crypto/reasons.ts";
import { ApiError, Unreachable, pause, post, putBytes } from "../live/api.ts";
import type { FileView } from "../views/types.ts";
import type { RecordView } from "./shapes.ts";
import { run } from "./work.ts";

/** The largest file that can be sent. */
export const LARGEST_BYTES = 25 * 1024 * 1024;
const PART_BYTES = 1024 * 1024;
const LONGEST_SIDE = 2048;
const THUMB_SIDE = 480;
const TRIES = 8;
/** What is drawn here; anything else is offered for saving only. */
const PICTURES = new Set(["image/jpeg", "image/png", "image/webp"]);
const THUMB = /^([0-9a-f]{32})\.thumbnail$/;

/** A file's entry in a message's header. */
export interface AttNote {
  readonly id: string;
  readonly size: number;
  readonly cth: string;
}

/** A file that is ready to be named by a message: the file and, for a photo, its small version. */
export interface Attached {
  readonly notes: readonly FileNote[];
  readonly att: readonly AttNote[];
}

/** One file in the composer. */
export class Attaching {
  view: FileView;
  result: Attached | undefined;
  private readonly stop = new AbortController();

  constructor(
    private readonly file: File, private readonly place: { readonly thread: string; readonly pharmacy: string },
    private readonly changed: () => void,
  ) {
    this.view = { id: newId(), name: safeName(file.name), size: file.size, image: null, progress: 0, failed: false };
  }

  /** Draws, seals and uploads. Says how it ends through `view` and `changed`. */
  async go(): Promise<void> {
    try {
      const photo = await drawn(this.file, LONGEST_SIDE);
      const small = photo === undefined ? undefined : await drawn(this.file, THUMB_SIDE);
      const content = photo ?? new Blob([this.file], { type: this.file.type });
      const name = photo === undefined ? this.view.name : withExtension(this.view.name, photo.type);
      this.update({ name, size: content.size, ...(small === undefined ? {} : { image: URL.createObjectURL(small) }) });
      const whole = await this.send(this.view.id, name, content, (share) => this.update({ progress: share }));
      const thumb = small === undefined ? undefined : await this.send(newId(), `${this.view.id}.thumbnail`, small, () => undefined);
      const both = thumb === undefined ? [whole] : [whole, thumb];
      this.result = { notes: both.map((one) => one.note), att: both.map((one) => one.att) };
      this.update({ progress: null });
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.update({ failed: true, progress: null });
      if (!(error instanceof ApiError || error instanceof Unreachable || error instanceof Refused || error instanceof DOMException)) throw error;
    }
  }

  /** The person does not want it after all. */
  cancel(): void {
    this.stop.abort();
    if (this.view.image !== null) URL.revokeObjectURL(this.view.image);
  }

  private update(change: Partial<FileView>): void {
    this.view = { ...this.view, ...change };
    this.changed();
  }

  private async send(id: string, name: string, content: Blob, onShare: (share: number) => void): Promise<{ note: FileNote; att: AttNote }> {
    const { thread } = this.place;
    // Sealing is quick beside the upload: a tenth of the bar.
    const onPart = (part: { readonly share: number }): void => onShare(part.share * 0.1);
    const sealed = await run("fileSeal", { thread, id, file: content }, { onPart: onPart as (part: never) => void });
    const { stored, cth, key, hash, size } = sealed;
    await this.upload({ id, size: stored.size, cth }, stored, (share) => onShare(0.1 + share * 0.9));
    return { note: { id, key, name, type: content.type === "" ? "application/octet-stream" : content.type, size, hash }, att: { id, size: stored.size, cth } };
  }

  private async upload(att: AttNote, stored: Blob, onShare: (share: number) => void): Promise<void> {
    const { thread, pharmacy } = this.place;
    for (let tried = 1; ; tried += 1) {
      try {
        // Announcing again tells how far an interrupted upload has come.
        const begun = await post<{ received: number; complete: boolean }>("/api/attachments", { ...att, thread, pharmacy });
        for (let start = begun.received; start < stored.size;) {
          this.stop.signal.throwIfAborted();
          const part = new Uint8Array(await stored.slice(start, start + PART_BYTES).arrayBuffer());
          const { received } = await putBytes<{ received: number }>(`/api/attachments/${att.id}?start=${start}`, part, { signal: this.stop.signal });
          start = received;
          onShare(start / stored.size);
        }
        if (!begun.complete) await post(`/api/attachments/${att.id}/complete`);
        return;
      } catch (error) {
        const passing = error instanceof Unreachable || (error instanceof ApiError && (error.status >= 500 || error.status === 429));
        if (!passing || tried >= TRIES || this.stop.signal.aborted) throw error;
        await pause(1000 * 2 ** tried);
      }
    }
  }
}

/** A photo drawn anew with its longer side at most `longest`; undefined for what is no photo. */
async function drawn(file: Blob, longest: number): Promise<Blob | undefined> {
  if (!file.type.startsWith("image/") || file.type === "image/svg+xml") return undefined;
  return (await run("imageDraw", { image: file, longest })) ?? undefined;
}

/** Fetches and opens a file of a verified message. Throws Refused `attachment` when it is not what the message says. */
export async function openFile(thread: string, note: FileNote, record: RecordView | undefined): Promise<Blob> {
  const att = record?.t === "msg" ? record.att.find((one) => one.id === note.id) : undefined;
  if (att === undefined) throw new Refused("attachment", "not named by the header");
  const parts: Blob[] = [];
  for (let start = 0; start < att.size;) {
    const answer = await fetch(`/api/attachments/${note.id}`, { headers: { Range: `bytes=${start}-` }, cache: "no-store" });
    if (!answer.ok) throw new ApiError(answer.status, `status-${answer.status}`, "", {}, null);
    const part = await answer.blob();
    if (part.size === 0) throw new Refused("attachment", "cut short");
    parts.push(part);
    start += part.size;
  }
  const facts = { thread, id: note.id, key: note.key, size: note.size, cth: att.cth, hash: note.hash };
  return run("fileOpen", { facts, stored: new Blob(parts) });
}

/** A picture that may stand in the page: decoded and drawn anew here, whatever was sent. Undefined for what is no picture. */
export async function picture(content: Blob, type: string): Promise<Blob | undefined> {
  if (!PICTURES.has(type)) return undefined;
  return (await run("imageDraw", { image: new Blob([content], { type }), longest: LONGEST_SIDE })) ?? undefined;
}

/** Splits small versions from files: the id of the file each belongs to, and the files themselves. */
export function withoutThumbs(files: readonly FileNote[]): { readonly files: readonly FileNote[]; readonly thumbs: ReadonlyMap<string, FileNote> } {
  const thumbs = new Map<string, FileNote>();
  const own: FileNote[] = [];
  for (const file of files) {
    const of = THUMB.exec(file.name)?.[1];
    if (of === undefined) own.push(file);
    else thumbs.set(of, file);
  }
  return { files: own, thumbs };
}

/** Saves a file under a harmless name. The browser is told nothing that could make it open the file by itself. */
export function save(content: Blob, name: string): void {
  const address = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = safeName(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const LONGEST_NAME = 100;

/** A file name without paths, control characters, text direction marks and leading dots. */
export function safeName(name: string): string {
  const base = name.normalize("NFC").split(/[\\/]/).at(-1) ?? "";
  const clean = base.replace(/[\p{Cc}\p{Cf}<>:"|?*]/gu, "").replace(/^[.\s]+/, "").trim();
  const letters = [...clean];
  if (letters.length <= LONGEST_NAME) return clean === "" ? "file" : clean;
  const extension = /\.[a-z0-9]{1,8}$/i.exec(clean)?.[0] ?? "";
  return letters.slice(0, LONGEST_NAME - extension.length).join("") + extension;
}

function withExtension(name: string, type: string): string {
  return `${name.replace(/\.[a-z0-9]{1,8}$/i, "")}.${type === "image/webp" ? "webp" : "jpg"}`;
}
