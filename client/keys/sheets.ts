// The recovery sheets of an organisation: made here and printed, tried out, and used when nobody of a team can open it any more.
// What two sheets give is held in this page's memory alone, and never sent or kept (docs/protocol.md section 3).

import { type EntryText, type UserEntry, makeFirstEntry, makeNextEntry, verifyUserChain, walkBackSeeds } from "../crypto/directory.ts";
import { type Bytes, sameBytes } from "../crypto/encoding.ts";
import { Keys } from "../crypto/open.ts";
import { publicKeyOf } from "../crypto/hpke.ts";
import { refused } from "../crypto/reasons.ts";
import { safetyNumber } from "../crypto/safety.ts";
import { generateOrk, openSheets, recoveryKeys, splitOrk, writeSheet } from "../crypto/sheets.ts";
import { type TeamText, makeTeamRecord, openTeam } from "../crypto/teams.ts";
import { get, post } from "../live/api.ts";
import { SeatRefused, roleInRecords } from "./seats.ts";
import { type Ready } from "./unlock.ts";

/** Two sheets as typed. */
export type Two = readonly [string, string];

/** Letting somebody in with the sheets, as two people have begun it. */
export interface RecoveryAct {
  readonly id: string;
  readonly state: "asked" | "confirmed";
  /** Who is let in. */
  readonly account: string;
  readonly name: string;
  /** Directory ids of the teams. */
  readonly teams: readonly string[];
  readonly asked_by: string;
  readonly asked_name: string;
  readonly until: string;
}

/** GET /api/pharmacies/<id>/recovery-key. */
export interface Standing {
  /** The recovery in the directory. */
  readonly id: string;
  readonly sheets: {
    readonly n: number; readonly holders: readonly string[]; readonly made_at: string; readonly tried_at: string; readonly used: boolean;
  } | null;
  /** For each founded kind of team whether the sheets open it, as the server says. */
  readonly teams: Readonly<Record<string, boolean>>;
  readonly act: RecoveryAct | null;
}

/** How the sheets of a pharmacy stand. */
export function standingOf(pharmacy: string): Promise<Standing> {
  return get<Standing>(`/api/pharmacies/${pharmacy}/recovery-key`);
}

/** New sheets that nobody but this page knows. */
export interface MadeSheets {
  readonly pharmacy: string;
  readonly id: string;
  readonly entry: EntryText;
  /** The entry as it will stand in the chain. */
  readonly newest: UserEntry;
  /** The lines of each of the three sheets. */
  readonly codes: readonly (readonly string[])[];
  readonly safety: readonly string[];
}

/** The verified newest entry of a recovery; undefined when there is none. Throws SeatRefused when the server shows a false one. */
async function newestOf(ready: Ready, id: string): Promise<UserEntry | undefined> {
  await ready.directory.load([id], { fresh: true });
  if (ready.directory.faults.has(id)) throw new SeatRefused(id);
  return ready.directory.known.chain(id)?.newest;
}

/**
 * Makes the next recovery key and splits it. With two `old` sheets the old key signs the new one, otherwise colleagues have to compare
 * the number. Nothing is sent. Throws Refused for the old sheets, SeatRefused.
 */
export async function makeSheets(ready: Ready, pharmacy: string, id: string, old?: Two): Promise<MadeSheets> {
  const before = await newestOf(ready, id);
  const ork = generateOrk();
  const { identity, seed } = recoveryKeys(ork, id);
  const facts = { id, role: "service" as const, gen: (before?.gen ?? 0) + 1, kem: await publicKeyOf(seed) };
  const given = before === undefined || old === undefined ? undefined : recoveryKeys(await openSheets(old, before), id);
  const entry = before === undefined ? await makeFirstEntry(facts, identity)
    : await makeNextEntry(facts, identity, before, given?.identity, given === undefined ? undefined : { before: given.seed, now: seed });
  const chain = await verifyUserChain(id, [...(ready.directory.known.chain(id)?.entries ?? []).map((one) => one.text), entry]);
  if (refused(chain)) throw chain;
  const codes = splitOrk(ork).map(writeSheet);
  ork.fill(0);
  return { pharmacy, id, entry, newest: chain.newest, codes, safety: safetyNumber([chain.newest.h]).groups };
}

/** Whether two typed sheets give the key that was just made. Throws Refused as `openSheets`. */
export async function checkSheets(made: MadeSheets, typed: Two): Promise<void> {
  (await openSheets(typed, made.newest)).fill(0);
}

/** Hands the public half in and says who holds the sheets; from then on they count. Throws ApiError (`step-up`, `moved-chain` …). */
export async function keepSheets(ready: Ready, made: MadeSheets, holders: readonly string[]): Promise<void> {
  await post(`/api/pharmacies/${made.pharmacy}/recovery-key`, { entry: made.entry, holders });
  await ready.directory.load([made.id], { fresh: true });
  await ready.directory.confirm(made.id);
}

/** Notes that sheets are printed, before they are. */
export function notePrint(pharmacy: string): Promise<void> {
  return post<void>("/api/prints", { what: "sheets", pharmacy });
}

/** Tries two sheets out as they would be used. Throws Refused as `openSheets`; ApiError. */
export async function trySheets(ready: Ready, pharmacy: string, id: string, typed: Two): Promise<void> {
  const newest = await newestOf(ready, id);
  if (newest === undefined) throw new SeatRefused(id);
  (await openSheets(typed, newest)).fill(0);
  // Who holds two sheets that give it has more than compared its number.
  await ready.directory.confirm(id);
  await post(`/api/pharmacies/${pharmacy}/recovery-key/tried`, { n: newest.n });
}

/**
 * Lets the person of the act into its teams with two sheets: the next generation of each, signed by the recovery, lists the recovery
 * and that person alone. `compared`: the hash of the identity entry that the page showed. Throws Refused, SeatRefused, ApiError.
 */
export async function useSheets(ready: Ready, pharmacy: string, id: string, act: RecoveryAct, typed: Two, compared: Bytes): Promise<void> {
  const { directory, account } = ready;
  await directory.load([id, ...act.teams, act.account], { fresh: true });
  const [chain, person] = [directory.known.chain(id), act.account === account.id ? ready.chain : directory.known.chain(act.account)];
  if (chain === undefined || directory.faults.has(id)) throw new SeatRefused(id);
  if (person === undefined || directory.faults.has(act.account) || !sameBytes(person.introduced.hash, compared)) throw new SeatRefused(act.account);
  const { identity, seed } = recoveryKeys(await openSheets(typed, chain.newest), id);
  const seeds = await walkBackSeeds(chain, seed);
  if (refused(seeds)) throw seeds;
  const keys = new Keys();
  for (const [gen, one] of seeds) keys.add(id, gen, one);
  const role = roleInRecords((act.account === account.id ? account.role : directory.person(act.account)?.role) ?? "");
  const seats = [{ id: act.account, role, who: person.who, kem: person.newest.kem }, { id, role: "service" as const, who: chain.who, kem: chain.newest.kem }];
  const records: Record<string, Pick<TeamText, "h" | "w" | "prev" | "sig">> = {};
  for (const team of act.teams) {
    const known = directory.known.team(team);
    const opened = known === undefined || directory.faults.has(team) ? undefined : await openTeam(known, id, chain.newest.gen, keys);
    if (known === undefined || opened === undefined) throw new SeatRefused(id);
    if (refused(opened)) throw opened;
    const before = { entry: known.newest, seed: opened.get(known.newest.gen)! };
    const { text: { h, w, prev, sig } } = await makeTeamRecord(team, seats, { user: id, identity }, before);
    records[team] = { h, w, prev, sig };
  }
  await post(`/api/pharmacies/${pharmacy}/recovery-key/acts/${act.id}/use`, { records });
  keys.wipe();
  await directory.confirm(id);
  await directory.confirm(act.account);
}
