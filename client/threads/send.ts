// From an outbox entry to an accepted record: seal at the head, again when the head has moved, with a new epoch when keys have
// changed, and not at all while somebody who started again was not confirmed (docs/protocol.md section 6).

import { Refused } from "../crypto/reasons.ts";
import type { Role } from "../crypto/records.ts";
import { ApiError, Unreachable, post } from "../live/api.ts";
import type { Outgoing, SendOutcome } from "./outbox.ts";
import type { Rekey, Wish } from "./tasks.ts";
import type { ThreadDesk, ThreadModel } from "./thread.ts";
import { run } from "./work.ts";

/** What sending needs of the page (desk.ts). */
export interface SendingDesk extends ThreadDesk {
  thread(id: string): ThreadModel;
}

/** What an outbox entry holds. */
export type Parcel =
  | { readonly kind: "append"; readonly wish: Wish }
  | {
    readonly kind: "birth"; readonly wish: Wish; readonly pharmacy: string; readonly patient: string; readonly topic: string;
    readonly members: readonly { readonly id: string; readonly role: Role }[];
  };

const TRIES = 6;
const NOT_OPEN_SECONDS = 30;

/** Sends one entry. Never throws for what the server or the line does. */
export async function deliver(desk: SendingDesk, entry: Outgoing): Promise<SendOutcome> {
  const parcel = entry.parcel as Parcel;
  try {
    return parcel.kind === "birth" ? await deliverBirth(desk, entry, parcel) : await deliverAppend(desk, entry, parcel.wish);
  } catch (error) {
    return outcomeOf(error);
  }
}

/** What an error means for the entry. */
export function outcomeOf(error: unknown): SendOutcome {
  if (error instanceof Unreachable) return { kind: "later", after: null };
  if (error instanceof ApiError) {
    if (error.code === "already-accepted") return { kind: "accepted" };
    if (error.code === "reset") return { kind: "held" };
    if (error.code === "pharmacy-not-open") return { kind: "later", after: NOT_OPEN_SECONDS };
    if (error.status === 401 || error.status === 429 || error.status >= 500) return { kind: "later", after: error.retryAfter };
    return { kind: "refused", reason: error.code };
  }
  if (error instanceof Refused) return { kind: "refused", reason: error.reason };
  throw error;
}

async function deliverAppend(desk: SendingDesk, entry: Outgoing, wish: Wish): Promise<SendOutcome> {
  const thread = desk.thread(entry.thread);
  await thread.sync();
  let rekey: Rekey | null = null;
  for (let tried = 1; ; tried += 1) {
    if (thread.opening.kind === "offline") return { kind: "later", after: null };
    if (thread.opening.kind === "missing") return { kind: "refused", reason: "not-found" };
    if (thread.opening.kind === "refused") return { kind: "refused", reason: thread.opening.reason };
    if (thread.unconfirmed() !== undefined) return { kind: "held" };
    try {
      const { records } = await run("threadSeal", { thread: thread.id, wish, rekey });
      await post(`/api/threads/${thread.id}/messages`, { records, urgent: entry.urgent }, { key: entry.id });
      return { kind: "accepted" };
    } catch (error) {
      if (!(error instanceof ApiError) || tried >= TRIES) throw error;
      if (error.code === "moved-head") {
        rekey = null;
        await thread.sync();
      } else if (error.code === "rekey") {
        await desk.know(thread.people(), { fresh: true });
        rekey = rekeyOf(error);
      } else {
        if (error.code === "reset") await desk.know(thread.people(), { fresh: true });
        throw error;
      }
    }
  }
}

async function deliverBirth(desk: SendingDesk, entry: Outgoing, parcel: Extract<Parcel, { kind: "birth" }>): Promise<SendOutcome> {
  const { pharmacy, patient, topic, wish, members } = parcel;
  await desk.know(members.map((one) => one.id), { fresh: true });
  if (members.some((one) => desk.ready.directory.sendingHeld(one.id))) return { kind: "held" };
  // A team without keys yet: the question waits here until the pharmacy has opened for messages.
  const missing = members.filter((one) => desk.ready.directory.known.user(one.id) === undefined);
  if (missing.some((one) => one.role === "team")) return { kind: "later", after: NOT_OPEN_SECONDS };
  const { records } = await run("threadBirth", { thread: entry.thread, members: members.filter((one) => !missing.includes(one)), topic, wish });
  try {
    await post("/api/threads", { pharmacy, patient, topic, thread: entry.thread, urgent: entry.urgent, records }, { key: entry.id });
  } catch (error) {
    // The answer to an earlier try was lost, and this one was sealed anew.
    if (!(error instanceof ApiError) || error.code !== "thread-exists") throw error;
  }
  return { kind: "accepted" };
}

/** What the server demands of a new epoch. */
export function rekeyOf(error: ApiError): Rekey {
  return { revoked: listOf(error.extra["revoked"]), ended: listOf(error.extra["ended"]) };
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}
