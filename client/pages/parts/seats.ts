// Seats of a team in words: who may sit where, what a team is called, and why somebody is not seated.

import { SeatRefused } from "../../keys/seats.ts";
import type { SeatItem, TeamItem } from "../../keys/shapes.ts";
import { isCode } from "../../live/api.ts";
import { troubleWords } from "../../frame/page.tsx";
import { t } from "../../views/i18n.ts";

/** Who may sit where; the server checks it again (portal/pharmacies/teams.py). */
const ROLES: Readonly<Record<string, readonly string[]>> = {
  pharmacists: ["pharmacist"], desk: ["pharmacist", "technician"], supervisors: ["supervisor"], privacy: ["privacy"],
};

/** The roles that a kind of team takes; the first one is who is asked to set it up, here and on the checklist. */
export function rolesOf(kind: string): readonly string[] {
  return ROLES[kind] ?? [];
}

export function teamName({ kind }: { readonly kind: string }): string {
  return t(`keys.team.kind.${kind}`);
}

/** Why nobody was let in, taken out or listed anew; `teams`: where the people's names are found. */
export function seatWords(error: unknown, teams: readonly { readonly seats: readonly SeatItem[] }[]): string {
  if (error instanceof SeatRefused) {
    if (error.fault === "moved") return t("errors.moved-generation");
    const seat = teams.flatMap((team) => team.seats).find((one) => one.account === error.account);
    return t(error.fault === "anew" ? "keys.team.seat-anew" : "keys.team.seat-refused", { name: seat?.name ?? error.account });
  }
  if (isCode(error, "member-leaves", "member-without-keys", "ahead-over")) return error.detail;
  return troubleWords(error);
}

/** The members of a team who hold its keys. */
export function holders(team: TeamItem): readonly SeatItem[] {
  return team.seats.filter((seat) => seat.state === "member" && seat.ahead === null && !seat.flagged);
}
