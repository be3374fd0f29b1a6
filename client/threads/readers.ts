// Who writes and who can read a conversation, in words.

import type { ReaderLine } from "../views/components/composer.tsx";
import { list, moment } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import type { ContextModel } from "./context.ts";
import type { Desk } from "./desk.ts";
import type { RecordView } from "./shapes.ts";
import type { Writer } from "./show.ts";
import type { ThreadModel } from "./thread.ts";
import { patientName } from "./whose.tsx";

const RECENT_MS = 7 * 24 * 3_600_000;

/** Somebody by name and role, as the directory says. */
export function writerOf(desk: Desk, thread: ThreadModel, user: string, forWhom: string): Writer {
  const role = user === desk.me ? desk.ready.account.role : desk.ready.directory.person(user)?.role ?? "";
  const words = thread.isProxy(user) ? forWhom : has(`common.role.${role}`) ? t(`common.role.${role}`) : "";
  return { name: desk.ready.directory.name(user) ?? t("threads.somebody"), role: words, staff: desk.isStaff(user) };
}

/** Beside the name of whoever writes for the patient: for whom. */
export function writesFor(desk: Desk, thread: ThreadModel, context: ContextModel | undefined): string {
  const one = desk.patients.find((other) => other.patient === thread.info?.patient);
  if (one?.kind === "self") return t("threads.whose.writes-for-you");
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  const name = one === undefined ? panel?.patient.name : patientName(one, context);
  return name === undefined ? t("threads.whose.writes-for-patient") : t("threads.whose.writes-for", { name });
}

/** A member in words: a team with its pharmacy, a person by name. */
export function memberName(desk: Desk, id: string): string {
  const cut = id.lastIndexOf("_");
  const [pharmacy, kind] = [id.slice(0, Math.max(0, cut)), id.slice(cut + 1)];
  if (cut > 0 && has(`threads.team.${kind}`)) return t(`threads.team.${kind}`, { pharmacy: desk.pharmacy(pharmacy)?.name ?? pharmacy });
  return desk.ready.directory.name(id) ?? t("threads.somebody");
}

/** Who can read, for the line above the composer. */
export function readersOf(desk: Desk, members: readonly { readonly id: string; readonly role?: string }[], forWhom?: string): readonly ReaderLine[] {
  return members.map(({ id, role }) => {
    const team = desk.ready.directory.known.team(id);
    if (team === undefined) {
      const name = id === desk.me ? t("views.readers.you") : memberName(desk, id);
      const helps = role === "proxy" && id !== desk.me && forWhom !== undefined;
      return { name: helps ? t("threads.carer.reader", { name, what: forWhom }) : name, count: null, people: [] };
    }
    const people = team.newest.members.map((one) => memberName(desk, one.id));
    return { name: memberName(desk, id), count: team.newest.members.filter((one) => one.role !== "service").length, people, ...comparedOf(desk, id) };
  });
}

/** Whether the patient has compared the keys of a team. */
function comparedOf(desk: Desk, team: string): Pick<ReaderLine, "compared"> {
  if (desk.staff) return {};
  const compared = desk.ready.directory.compared(team);
  const name = memberName(desk, team);
  return {
    compared: compared === undefined ? t("compare.reader.never", { name })
      : t(compared.same ? "compare.reader.same" : "compare.reader.other", { name, time: moment(compared.at) }),
  };
}

/** To the patient: who acts for her and may be let in here, and whom she may take out. */
export function carersOf(desk: Desk, thread: ThreadModel): readonly { readonly id: string; readonly into: boolean }[] {
  if (thread.opening.kind !== "ready" || !thread.canWrite) return [];
  const mine = thread.members.some((one) => one.id === desk.me && one.role === "patient");
  if (!mine) return [];
  const out = thread.readers.filter((one) => one.role === "proxy").map((one) => ({ id: one.id, into: false }));
  return [...(thread.info?.carers ?? []).map((id) => ({ id, into: true })), ...out];
}

/** Who can read since lately: the newest change of members within a week. */
export function changedOf(desk: Desk, records: readonly RecordView[]): { readersChanged?: string } {
  const epochs = records.filter((one) => one.t === "epoch");
  const last = epochs.findLast((one, index) =>
    one.members.some((member) => index > 0 && !epochs[index - 1]!.members.some((before) => before.id === member.id)),
  );
  if (last === undefined || last === epochs[0] || Date.now() - last.ts > RECENT_MS) return {};
  const before = epochs[epochs.indexOf(last) - 1]!;
  const now = epochs.at(-1)!.members;
  // Who was taken out since reads no more.
  const fresh = last.members.filter((one) => now.some((other) => other.id === one.id) && !before.members.some((other) => other.id === one.id));
  if (fresh.length === 0) return {};
  const names = fresh.map((one) => (one.id === desk.me ? t("views.readers.you") : memberName(desk, one.id)));
  return { readersChanged: t("views.readers.changed", { time: moment(last.ts), name: list(names) }) };
}
