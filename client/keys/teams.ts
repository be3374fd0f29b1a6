// Teams with keys of their own: founding, letting somebody in with all history, taking somebody out. Each is a signed record
// with a new key, made here; the server checks it and can neither make nor open one (docs/protocol.md section 3).

import { type Bytes } from "../crypto/encoding.ts";
import { refused } from "../crypto/reasons.ts";
import { makeTeamRecord, openTeam, recoveryOf } from "../crypto/teams.ts";
import { get, isCode, post } from "../live/api.ts";
import { type Joining, SeatRefused, seatsFor } from "./seats.ts";
import { type SeatItem, type TeamItem } from "./shapes.ts";
import { type Ready, openTeams, ownKeys, ownKeysWithVault } from "./unlock.ts";
import { identityIn } from "./vault.ts";

/** What a new generation stands for, as the server tells it. */
export interface Appended {
  readonly team: string;
  readonly gen: number;
  readonly members: readonly string[];
  readonly joined: readonly string[];
  readonly left: readonly string[];
  readonly sole_member: boolean;
}

/** The teams of the own pharmacy with everyone in them. */
export async function teamsOf(pharmacy: string): Promise<readonly TeamItem[]> {
  return (await get<{ items: readonly TeamItem[] }>(`/api/pharmacies/${pharmacy}/teams`)).items;
}

const TRIES = 3;
const NOBODY: Joining = new Map();

/** Who is to be listed, of a team as it stands; undefined where the act no longer means anything. */
type Wanted = (team: TeamItem) => readonly { readonly account: string; readonly role: string }[] | undefined;

/**
 * Makes the next generation of a team with exactly the people that `wantedOf` names, of whom those in `joining` are new. `root`:
 * the person's root key, by a way back. If a colleague was faster, again from the newest record and from the seats as
 * they are by then, as far as the act still means something. Throws ApiError (`step-up`, `recovery-first`, `member-leaves` …),
 * SeatRefused.
 */
async function makeGeneration(ready: Ready, root: Bytes, before: TeamItem, wantedOf: Wanted, joining: Joining): Promise<Appended> {
  const { account, directory, keyring, chain } = ready;
  const own = await ownKeysWithVault();
  const identity = await identityIn(own.vault.vault, root, chain);
  let team = before;
  for (let tried = 1; ; tried += 1) {
    const wanted = wantedOf(team);
    if (wanted === undefined) throw new SeatRefused(account.id, "moved");
    const recovery = recoveryOf(team.team);
    await directory.load([team.team, recovery, ...wanted.map((one) => one.account)], { fresh: true });
    const newest = directory.known.team(team.team)?.newest;
    const seats = seatsFor([...wanted, { account: recovery, role: "service" }], {
      chain: (id) => (id === account.id ? chain : directory.faults.has(id) ? undefined : directory.known.chain(id)),
      held: (id) => directory.sendingHeld(id),
    }, newest?.members ?? [], joining);
    const seed = newest === undefined ? undefined : await seedOf(ready, team.team, newest.gen);
    if (newest !== undefined && seed === undefined) throw new SeatRefused(account.id);
    const last = newest === undefined || seed === undefined ? undefined : { entry: newest, seed };
    const made = await makeTeamRecord(team.team, seats, { user: account.id, identity }, last);
    try {
      const { h, w, prev, sig } = made.text;
      const appended = await post<Appended>(`/api/teams/${team.team}/records`, { h, w, prev, sig });
      keyring.add({ id: team.team, gen: appended.gen, seed: made.seed });
      await ready.resting.keep("team", team.team, appended.gen, made.seed);
      await directory.load([team.team], { fresh: true });
      return appended;
    } catch (error) {
      if (!isCode(error, "moved-generation") || tried >= TRIES) throw error;
      team = (await teamsOf(account.pharmacy ?? "")).find((one) => one.team === before.team) ?? team;
    }
  }
}

/** The team's seed of a generation, opened from its wrap where it is not held yet. */
async function seedOf(ready: Ready, team: string, gen: number): Promise<Bytes | undefined> {
  const held = ready.keyring.seed(team, gen);
  if (held !== undefined) return held;
  const chain = ready.directory.known.team(team);
  if (chain === undefined) return undefined;
  const seeds = await openTeam(chain, ready.account.id, ready.chain.newest.gen, ready.keyring);
  if (seeds === undefined || refused(seeds)) return undefined;
  for (const [one, seed] of seeds) ready.keyring.add({ id: team, gen: one, seed });
  return seeds.get(gen);
}

/** Who is to stay in the next generation: members, without those who are leaving. */
function staying(team: TeamItem): readonly SeatItem[] {
  return team.seats.filter((seat) => seat.state === "member" && !seat.flagged);
}

/** The first generation, with oneself in it; not when a colleague has founded the team meanwhile. */
export function found(ready: Ready, root: Bytes, team: TeamItem): Promise<Appended> {
  const { account, chain } = ready;
  const wanted: Wanted = (now) => (now.gen === 0 ? [{ account: account.id, role: account.role }] : undefined);
  return makeGeneration(ready, root, team, wanted, new Map([[account.id, chain.introduced.hash]]));
}

/**
 * Lets somebody in who asked: one seal gives all of the team's history. `keys` is the hash of the identity entry whose number was
 * shown and compared, or of the one that was made here; no other keys are taken. Throws also SeatRefused `anew`.
 */
export async function admit(
  ready: Ready, root: Bytes, team: TeamItem, account: string, keys: { readonly compared: Bytes | undefined } | { readonly made: Bytes },
): Promise<Appended> {
  const compared = "made" in keys ? keys.made : await ready.directory.confirmCompared(account, keys.compared);
  const wanted: Wanted = (now) => {
    const others = staying(now).filter((seat) => seat.account !== account);
    const joining = now.seats.filter((seat) => seat.account === account && seat.has_keys && seat.state !== "leaving");
    return joining.length === 0 ? undefined : [...others, ...joining];
  };
  return makeGeneration(ready, root, team, wanted, new Map([[account, compared]]));
}

/**
 * Takes somebody out: a new key that they do not get. What they read before they may have kept. Newcomers whose keys they made go
 * too, until these have come: such keys are open to who made them.
 */
export function expel(ready: Ready, root: Bytes, team: TeamItem, account: string): Promise<Appended> {
  const wanted: Wanted = (now) => staying(now).filter((seat) => seat.account !== account && seat.ahead?.by !== account);
  return makeGeneration(ready, root, team, wanted, NOBODY);
}

/** A new key for the same people: after a member lost a device, or to leave out those who are gone. */
export function renew(ready: Ready, root: Bytes, team: TeamItem): Promise<Appended> {
  return makeGeneration(ready, root, team, staying, NOBODY);
}

/**
 * Adds the organisation's recovery as it is now: the person has compared its number with a sheet, or it was made here (`keys` as
 * for `admit`).
 */
export async function addRecovery(
  ready: Ready, root: Bytes, team: TeamItem, keys: { readonly compared: Bytes | undefined } | { readonly made: Bytes },
): Promise<Appended> {
  const recovery = recoveryOf(team.team);
  const compared = "made" in keys ? keys.made : await ready.directory.confirmCompared(recovery, keys.compared);
  return makeGeneration(ready, root, team, staying, new Map([[recovery, compared]]));
}

export async function ask(team: string): Promise<void> {
  await post(`/api/teams/${team}/ask`);
}

export async function leave(team: string): Promise<void> {
  await post(`/api/teams/${team}/leave`);
}

/** A yes to somebody who has no keys yet. */
export async function approveAhead(team: string, account: string): Promise<void> {
  await post(`/api/teams/${team}/approve`, { account });
}

/** A no to somebody who asked, or one's own ask taken back. */
export async function decline(team: string, account: string): Promise<void> {
  await post(`/api/teams/${team}/decline`, { account });
}

/** Opens the teams anew: a colleague let this person in, or made a new key. */
export async function refreshTeams(ready: Ready): Promise<void> {
  const own = await ownKeys();
  const teams = own.teams.filter((seat) => seat.state === "member").map((seat) => seat.team);
  await ready.directory.load(teams, { fresh: true });
  await openTeams(ready.keyring, ready.directory, ready.resting, own);
}

/** How many generations of a team's history this person can open, of how many. */
export function heldGenerations(ready: Ready, team: string): { readonly held: number; readonly all: number } {
  const chain = ready.directory.known.team(team);
  return { held: ready.keyring.generations(team).length, all: chain?.newest.gen ?? 0 };
}
