// Photos and files as messages name them: how they are drawn, opened, saved and called. On their way up: attaching.ts.

import type { FileNote } from "../crypto/bodies.ts";
import { Refused } from "../crypto/reasons.ts";
import { ApiError, speaking } from "../live/api.ts";
import type { RecordView } from "./shapes.ts";
import { run } from "./work.ts";

/** The largest file that can be sent. */
export const LARGEST_BYTES = 25 * 1024 * 1024;
/** Of a photo and of its small version, in pixels. */
export const LONGEST_SIDE = 2048;
export const THUMB_SIDE = 480;
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

/** A photo drawn anew with its longer side at most `longest`: nothing of the camera's notes is left. Undefined for what is no photo. */
export async function drawn(file: Blob, longest: number): Promise<Blob | undefined> {
  if (!file.type.startsWith("image/") || file.type === "image/svg+xml") return undefined;
  return (await run("imageDraw", { image: file, longest })) ?? undefined;
}

/** Fetches and opens a file of a verified message. Throws Refused `attachment` when it is not what the message says. */
export async function openFile(thread: string, note: FileNote, record: RecordView | undefined): Promise<Blob> {
  const att = record?.t === "msg" ? record.att.find((one) => one.id === note.id) : undefined;
  if (att === undefined) throw new Refused("attachment", "not named by the header");
  const parts: Blob[] = [];
  for (let start = 0; start < att.size;) {
    const answer = await fetch(`/api/attachments/${note.id}`, { headers: { Range: `bytes=${start}-`, ...speaking() }, cache: "no-store" });
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

/** The name with the extension of what a photo was drawn as. */
export function withExtension(name: string, type: string): string {
  return `${name.replace(/\.[a-z0-9]{1,8}$/i, "")}.${type === "image/webp" ? "webp" : "jpg"}`;
}
