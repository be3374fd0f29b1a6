// What waits for a team in which a person could sit and does not, in words.

import { list } from "./format.ts";
import { t } from "./i18n.ts";

/** GET /api/threads/closed. */
export interface ClosedQueue {
  readonly team: string;
  readonly kind: string;
  /** Counts to 100. */
  readonly waiting: number;
  /** Who can let the person in. */
  readonly holders: readonly string[];
}

/** How many questions wait, where, and who opens the door. */
export function closedWords({ kind, waiting, holders }: ClosedQueue): string {
  return t("threads.closed", {
    count: waiting, number: waiting > 99 ? "99+" : waiting, team: t(`keys.team.kind.${kind}`), names: list(holders),
  });
}
