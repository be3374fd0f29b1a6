// From verified records, receipts and the outbox to what the message list shows. Pure, so that every rule has its test.

import type { FileView, MessageState, MessageView, OddMessage, Reader, TextMessage } from "../views/types.ts";
import { chipOf } from "./body.ts";
import { safeName, withoutThumbs } from "./files.ts";
import type { BodyView, ReceiptView, RecordView } from "./shapes.ts";

/** What the server says beside a record, which nobody signed. */
export interface Transport {
  /** Unix milliseconds. */
  readonly receivedAt: number;
  readonly urgent: boolean;
}

/** Who wrote something, for a reader. */
export interface Writer {
  readonly name: string;
  /** In words. */
  readonly role: string;
  readonly staff: boolean;
}

/** A message in the outbox. */
export interface Pending {
  readonly id: string;
  readonly at: number;
  readonly state: MessageState;
  /** Why it was not taken, or what it waits for, in words; empty otherwise. */
  readonly why?: string;
  readonly urgent: boolean;
  readonly body: BodyView | undefined;
  /** A retraction of that sequence number. */
  readonly target: number | null;
}

/** Words that the list needs; given, so that this module knows no catalogue. */
export interface Words {
  readonly joined: (name: string) => string;
  readonly left: (name: string) => string;
  readonly begun: (name: string) => string;
  /** New keys after a reset, which `by` made sure of. */
  readonly renewed: (name: string, by: string) => string;
  /** Somebody ended a device of theirs. */
  readonly deviceEnded: () => string;
}

export interface Shown {
  readonly me: string;
  readonly staff: boolean;
  /** Verified records by sequence number. */
  readonly records: readonly RecordView[];
  readonly transport: ReadonlyMap<number, Transport>;
  readonly receipts: readonly ReceiptView[];
  readonly pending: readonly Pending[];
  /** Nothing can be written here: no acts are offered. */
  readonly closed: boolean;
  readonly writer: (user: string) => Writer;
  /** A member by name: a team in words, a person by name. */
  readonly member: (id: string) => string;
  readonly words: Words;
  /** Whether a member started again between two generations of its keys. */
  readonly startedAgain: (id: string, before: number, now: number) => boolean;
  /** A blob: address of a file's picture, once it was opened and drawn anew here. */
  readonly picture: (file: string) => string | null;
}

type MessageRecordView = Extract<RecordView, { t: "msg" }>;

/** The views of a thread, oldest first; what waits to be sent comes last. */
export function toViews(shown: Shown): MessageView[] {
  const messages = shown.records.filter((one): one is MessageRecordView => one.t === "msg");
  const total = messages.length;
  const bodies = new Map<string, { record: MessageRecordView; body: Extract<BodyView, { kind: "text" }> }>();
  const corrections = new Map<string, { text: string; at: number; foreign: boolean }[]>();
  const seen = new Set<string>();
  const doubled = new Set<number>();
  for (const record of messages) {
    const body = bodyOfRecord(record);
    if (body === undefined || body.kind === "newer" || body.kind === "system") continue;
    // The same body twice by one author is one message that was accepted twice (an answer was lost).
    const name = `${record.user} ${body.id}`;
    if (seen.has(name)) doubled.add(record.seq);
    seen.add(name);
    if (body.kind === "text" && !bodies.has(body.id)) bodies.set(body.id, { record, body });
  }
  for (const record of messages) {
    const body = bodyOfRecord(record);
    if (body?.kind !== "correct" || doubled.has(record.seq)) continue;
    const of = corrections.get(body.replaces) ?? [];
    of.push({ text: body.text, at: at(shown, record), foreign: bodies.get(body.replaces)?.record.user !== record.user });
    corrections.set(body.replaces, of);
  }
  const redacts = new Map<number, RecordView>();
  for (const record of shown.records) if (record.t === "redact") redacts.set(record.target, record);
  const views: MessageView[] = [];
  let members: ReadonlyMap<string, number> | undefined;
  let number = 0;
  for (const record of shown.records) {
    if (record.t === "epoch") {
      const now = new Map(record.members.map((one) => [one.id, one.gen]));
      if (members === undefined) {
        if (record.seq === 1)
          views.push({ kind: "system", key: "s1", at: at(shown, record), text: shown.words.begun(shown.writer(record.user).name), warn: false });
      } else {
        for (const [id, gen] of now) {
          const before = members.get(id);
          if (before === undefined)
            views.push({ kind: "system", key: `s${record.seq}+${id}`, at: at(shown, record), text: shown.words.joined(shown.member(id)), warn: true });
          else if (shown.startedAgain(id, before, gen))
            views.push({
              kind: "system",
              key: `s${record.seq}~${id}`,
              at: at(shown, record),
              text: shown.words.renewed(shown.member(id), shown.writer(record.user).name),
              warn: true,
            });
        }
        for (const id of members.keys())
          if (!now.has(id))
            views.push({ kind: "system", key: `s${record.seq}-${id}`, at: at(shown, record), text: shown.words.left(shown.member(id)), warn: false });
      }
      if (record.revoked > 0)
        views.push({ kind: "system", key: `s${record.seq}!`, at: at(shown, record), text: shown.words.deviceEnded(), warn: false });
      members = now;
    } else if (record.t === "msg") {
      number += 1;
      if (doubled.has(record.seq)) continue;
      const view = messageView(shown, record, { number, total, bodies, corrections, redact: redacts.get(record.seq) });
      if (view !== undefined) views.push(view);
    }
  }
  for (const pending of shown.pending) {
    const view = pendingView(shown, pending, bodies);
    if (view !== undefined && !views.some((one) => one.key === view.key)) views.push(view);
  }
  return views;
}

/** The key of a record's message in the list. */
export function keyOf(record: RecordView): string {
  return record.t === "msg" && record.content.kind === "body" && record.content.body.kind === "text" ? record.content.body.id : `s${record.seq}`;
}

interface Around {
  readonly number: number;
  readonly total: number;
  readonly bodies: ReadonlyMap<string, { readonly record: MessageRecordView; readonly body: Extract<BodyView, { kind: "text" }> }>;
  readonly corrections: ReadonlyMap<string, readonly { readonly text: string; readonly at: number; readonly foreign: boolean }[]>;
  readonly redact: RecordView | undefined;
}

function messageView(shown: Shown, record: MessageRecordView, around: Around): MessageView | undefined {
  const { me } = shown;
  const writer = shown.writer(record.user);
  const common = { key: `s${record.seq}`, at: at(shown, record), who: writer.name, role: writer.role, mine: record.user === me };
  const odd = (kind: OddMessage["kind"], reason = ""): OddMessage => ({ ...common, kind, number: around.number, total: around.total, reason });
  const { content } = record;
  if (content.kind === "redacted" || around.redact !== undefined) {
    const retractedAt = around.redact === undefined ? common.at : at(shown, around.redact);
    return {
      ...common,
      kind: "retracted",
      retractedAt,
      kept: content.kind === "redacted" ? content.kept : null,
      readBefore: readersOf(shown, record.seq, (receipt) => receipt.user !== record.user && shown.writer(receipt.user).staff && receipt.ts <= retractedAt).map(
        (one) => one.name,
      ),
    };
  }
  if (content.kind === "withheld") return odd("withheld");
  if (content.kind === "unreadable") {
    return content.fault === undefined ? odd(wasIn(shown, record.epoch) ? "no-key" : "not-yet") : odd("unreadable", content.fault);
  }
  const { body } = content;
  if (body.kind === "newer") return odd("newer");
  if (body.kind !== "text") return undefined;
  return textView(shown, record, body, common, around);
}

/** Whether who reads was let in when this epoch began: then it is the device that lacks the key. Staff read by their teams. */
function wasIn({ me, staff, records }: Shown, epoch: number): boolean {
  const begun = records.find((one) => one.t === "epoch" && one.epoch === epoch);
  return staff || begun?.t !== "epoch" || begun.members.some((one) => one.id === me);
}

function textView(
  shown: Shown, record: MessageRecordView, body: Extract<BodyView, { kind: "text" }>,
  common: { readonly at: number; readonly who: string; readonly role: string; readonly mine: boolean }, around: Around,
): TextMessage {
  const corrected = around.corrections.get(body.id) ?? [];
  const own = corrected.findLast((one) => !one.foreign);
  const readBy = readersOf(shown, record.seq, (receipt) => receipt.user !== record.user);
  const delivered = shown.receipts.some((one) => one.user !== record.user && one.kind !== "unreadable" && one.seq >= record.seq);
  return {
    kind: "text", ...common, key: body.id, text: own?.text ?? body.text, urgent: shown.transport.get(record.seq)?.urgent ?? false,
    state: !common.mine ? "received" : readBy.length > 0 ? "read" : delivered ? "delivered" : "sent",
    readBy, corrected: own?.at ?? null, foreignCorrection: corrected.some((one) => one.foreign),
    replyTo: replyOf(shown, body.inReplyTo, around.bodies), chips: body.fhir.map(chipOf),
    files: filesOf(shown, body),
    can: { reply: !shown.closed, correct: common.mine && !shown.closed, retract: common.mine && !shown.closed, print: !common.mine || shown.staff },
  };
}

function replyOf(shown: Shown, id: string | undefined, bodies: Around["bodies"]): TextMessage["replyTo"] {
  const of = id === undefined ? undefined : bodies.get(id);
  return of === undefined ? null : { key: of.body.id, who: shown.writer(of.record.user).name, text: of.body.text };
}

function pendingView(shown: Shown, pending: Pending, bodies: Around["bodies"]): MessageView | undefined {
  const { body } = pending;
  // A correction or a retraction that waits is told beside the message it is about, not as a message.
  if (body?.kind !== "text") return undefined;
  const writer = shown.writer(shown.me);
  return {
    kind: "text",
    key: body.id,
    at: pending.at,
    who: writer.name,
    role: writer.role,
    mine: true,
    text: body.text,
    urgent: pending.urgent,
    state: pending.state,
    ...((pending.state === "failed" || pending.state === "waiting") && pending.why !== undefined && pending.why !== "" ? { why: pending.why } : {}),
    readBy: [],
    corrected: null,
    foreignCorrection: false,
    replyTo: replyOf(shown, body.inReplyTo, bodies),
    chips: body.fhir.map(chipOf),
    files: filesOf(shown, body),
    can: { reply: false, correct: false, retract: false, print: false },
  };
}

function filesOf(shown: Shown, body: Extract<BodyView, { kind: "text" }>): FileView[] {
  return withoutThumbs(body.files).files.map(({ id, name, size }) => ({
    id, name: safeName(name), size, image: shown.picture(id), progress: null, failed: false,
  }));
}

function readersOf(shown: Shown, seq: number, counts: (receipt: ReceiptView) => boolean): Reader[] {
  return shown.receipts.filter((one) => one.kind === "read" && one.seq >= seq && counts(one))
    .map((one) => ({ name: shown.writer(one.user).name, at: one.ts }));
}

function at(shown: Shown, record: RecordView): number {
  return shown.transport.get(record.seq)?.receivedAt ?? record.ts;
}

function bodyOfRecord(record: MessageRecordView): BodyView | undefined {
  return record.content.kind === "body" ? record.content.body : undefined;
}
