// What of a conversation is in the outbox still: messages on their way, and a conversation that is not born yet.

import { has, t } from "../views/i18n.ts";
import { subjectOrWords } from "./body.ts";
import type { Desk } from "./desk.ts";
import type { Parcel } from "./send.ts";
import type { BodyView } from "./shapes.ts";
import type { Pending } from "./show.ts";
import type { ThreadModel } from "./thread.ts";

/** What a parcel says, as the messages of a thread are shown; undefined for a retraction. */
export function bodyOfParcel(parcel: Parcel): BodyView | undefined {
  if (parcel.wish.kind === "redact") return undefined;
  const body = JSON.parse(parcel.wish.body) as {
    id: string;
    type: string;
    subject?: string;
    text: string;
    inReplyTo?: string;
    replaces?: string;
    fhir?: [];
    files?: [];
  };
  if (body.type === "correct") return { kind: "correct", id: body.id, replaces: body.replaces ?? "", text: body.text };
  return { kind: "text", id: body.id, subject: body.subject, text: body.text, inReplyTo: body.inReplyTo, fhir: body.fhir ?? [], files: body.files ?? [] };
}

/** What waits in the outbox for this thread, with the reason where it does not go. */
export function pendingOf(desk: Desk, thread: ThreadModel): readonly Pending[] {
  return desk.outbox.list(thread.id).map((one) => {
    const parcel = one.parcel as Parcel;
    return {
      id: one.id,
      at: one.at,
      urgent: one.urgent,
      body: bodyOfParcel(parcel),
      target: parcel.wish.kind === "redact" ? parcel.wish.target : null,
      state: one.facts.state === "held" ? "waiting" : one.facts.state,
      why: parcel.kind === "birth" && notOpen(desk, parcel) ? t("threads.waiting.not-open") : one.facts.state === "failed" ? whyNot(one.facts.reason) : "",
    };
  });
}

/** Nobody sits in the team of a new question yet: it waits here until the pharmacy opens for messages. */
function notOpen(desk: Desk, { pharmacy, members }: Extract<Parcel, { kind: "birth" }>): boolean {
  const teams = desk.pharmacy(pharmacy)?.teams ?? {};
  return members.some((one) => one.role === "team" && teams[one.id.slice(one.id.lastIndexOf("_") + 1)] === null);
}

/** Why the server or the protocol did not take a message, in words; empty where there is nothing to say about it. */
function whyNot(reason: string | null): string {
  if (reason === null) return "";
  for (const key of [`threads.failed.${reason}`, `errors.${reason}`, `keys.refused.${reason}`]) if (has(key)) return t(key);
  return t("threads.failed.other", { reason });
}

/** What a thread that is not born yet is about, from the outbox. */
export function birthOf(desk: Desk, thread: string): Extract<Parcel, { kind: "birth" }> | undefined {
  return desk.outbox.list(thread).map((one) => one.parcel as Parcel).find((one): one is Extract<Parcel, { kind: "birth" }> => one.kind === "birth");
}

/** The subject of a thread, once its first message is open. */
export function subjectOf(thread: ThreadModel, desk: Desk): string | undefined {
  for (const record of thread.records) {
    if (record.t === "msg" && record.content.kind === "body" && record.content.body.kind === "text") return subjectOrWords(record.content.body);
  }
  const birth = birthOf(desk, thread.id);
  const body = birth === undefined ? undefined : bodyOfParcel(birth);
  return body?.kind === "text" ? subjectOrWords(body) : undefined;
}
