// Letting a colleague in who starts alone: which teams the code opens is said and chosen before it is made, and what it opens in
// the end is what the sheet says.

import { useState } from "preact/hooks";

import type { Bytes } from "../../crypto/encoding.ts";
import { type HandedOver, makeAhead } from "../../keys/ahead.ts";
import type { SeatItem, TeamItem } from "../../keys/shapes.ts";
import { admit } from "../../keys/teams.ts";
import type { Ready } from "../../keys/unlock.ts";
import { Said } from "../../frame/page.tsx";
import { Banner, Button } from "../../views/components/basics.tsx";
import { Checkbox } from "../../views/components/forms.tsx";
import { AheadSheet } from "../../views/components/recovery.tsx";
import { list } from "../../views/format.ts";
import { t } from "../../views/i18n.ts";
import { holders, rolesOf, seatWords, teamName } from "./seats.ts";

/** The teams that somebody could sit in: those this person can open with a code, and those only others can let in to. */
export interface Reach {
  readonly open: readonly TeamItem[];
  readonly closed: readonly TeamItem[];
}

/** What a code for `seat` can open, made by the account `me`. Teams that nobody has set up have nothing to read. */
export function reachOf(teams: readonly TeamItem[], me: string, seat: SeatItem): Reach {
  const fitting = teams.filter((team) => team.gen > 0 && rolesOf(team.kind).includes(seat.role));
  const mine = (team: TeamItem): boolean => holders(team).some((one) => one.account === me);
  return { open: fitting.filter(mine), closed: fitting.filter((team) => !mine(team)) };
}

/** The teams that the code opens, all of them chosen to begin with; tells each choice by their ids. */
export function WhichTeams({ name, reach: { open, closed }, onChosen }: {
  readonly name: string; readonly reach: Reach; readonly onChosen: (teams: readonly string[]) => void;
}) {
  const [chosen, setChosen] = useState<readonly string[]>(open.map((one) => one.team));
  const choose = (team: string, yes: boolean): void => {
    const now = open.map((one) => one.team).filter((one) => (one === team ? yes : chosen.includes(one)));
    setChosen(now);
    onChosen(now);
  };
  return (
    <div class="stack-tight" data-opens={chosen.length}>
      {open.length < 2 ? <p>{t("keys.team.code.opens-one", { team: list(open.map(teamName)) })}</p> : (
        <fieldset class="field">
          <legend>{t("keys.team.code.opens")}</legend>
          {open.map((one) => (
            <Checkbox key={one.team} id={`opens-${one.kind}`} label={teamName(one)} hint={t(`keys.team.kind.${one.kind}-body`)}
              checked={chosen.includes(one.team)} onChange={(yes) => choose(one.team, yes)} />
          ))}
        </fieldset>
      )}
      {closed.map((one) => (
        <p key={one.team}>{t("keys.team.code.closed", { team: teamName(one), name, names: list(holders(one).map((seat) => seat.name)) })}</p>
      ))}
    </div>
  );
}

/** A code that was made, for whom, and what came of each team it was made for. */
export interface Handed {
  readonly name: string;
  readonly code: HandedOver;
  /** The teams that it opens. */
  readonly opened: readonly string[];
  /** Those whose key could not be sealed to it, and why. */
  readonly failed: readonly { readonly team: string; readonly why: string }[];
}

/**
 * Makes the keys, and the next generation of each of the `chosen` teams; `look` gives the teams as they are by then. Throws Said where
 * none is chosen, ApiError while nothing is made; what goes wrong later is in what it gives, since the code exists there only.
 */
export async function letInAhead(
  ready: Ready, root: Bytes, chosen: readonly TeamItem[], seat: SeatItem, look: () => Promise<readonly TeamItem[]>,
): Promise<Handed> {
  const [first, ...also] = chosen.map((one) => one.team);
  if (first === undefined) throw new Said(t("keys.team.code.none"));
  const code = await makeAhead([first, ...also], seat.account);
  const [opened, failed]: [string[], { team: string; why: string }[]] = [[], []];
  for (const team of chosen) {
    try {
      const now = (await look()).find((one) => one.team === team.team) ?? team;
      await admit(ready, root, now, seat.account, { made: code.entry });
      opened.push(teamName(team));
    } catch (error) {
      failed.push({ team: teamName(team), why: seatWords(error, chosen) });
    }
  }
  return { name: seat.name, code, opened, failed };
}

/** The sheet for a colleague who starts alone: shown once, until it was handed over. */
export function HandOver({ handed: { name, code, opened, failed }, onDone }: { readonly handed: Handed; readonly onDone: () => void }) {
  return (
    <div class="narrow stack-wide" data-handed>
      <div class="stack no-print">
        <h1>{t("keys.ahead.once")}</h1>
        <p class="lead">{t("keys.ahead.once-body", { name })}</p>
        {failed.map(({ team, why }) => (
          <Banner key={team} tone="warn" announce title={t("keys.ahead.not-listed", { name, team })}>
            <p>{why}</p><p>{t("keys.ahead.not-listed-body", { name })}</p>
          </Banner>
        ))}
      </div>
      <AheadSheet name={name} teams={opened} code={code.code} until={Date.parse(code.until)} signInAt={location.origin} />
      <div class="button-row no-print">
        <Button icon="print" onClick={() => print()}>{t("common.print")}</Button>
        <Button look="quiet" onClick={onDone}>{t("keys.ahead.handed")}</Button>
      </div>
    </div>
  );
}
