// The directory in the browser: what the server says of people and teams, verified, held against what was seen before, and
// remembered (docs/protocol.md section 3). First contact is trust on first use; the safety number makes it more.

import { verifyRevocation } from "../crypto/certificates.ts";
import { type Pin, type UserChain, verifyUserChain } from "../crypto/directory.ts";
import { type Bytes, fromUtf8, sameBytes, unb64 } from "../crypto/encoding.ts";
import { KnownDirectory } from "../crypto/known.ts";
import { Refused, attempt, refused } from "../crypto/reasons.ts";
import { type SafetyNumber, identityHeader, safetyNumber, teamHeader, teamNumber } from "../crypto/safety.ts";
import { type Heirs, type TeamChain, verifyTeamChain } from "../crypto/teams.ts";
import { type Account, post } from "../live/api.ts";
import { SeatRefused } from "./seats.ts";
import { type DirectoryItem, type OwnKeys, type PersonItem, isTeamItem } from "./shapes.ts";

const MOST_IDS = 100;

/** Asks the server for the keys of persons and teams. Unknown and foreign ids are left out, and so is what nobody asked for. */
export async function lookUp(ids: readonly string[]): Promise<readonly DirectoryItem[]> {
  const found: DirectoryItem[] = [];
  for (let at = 0; at < ids.length; at += MOST_IDS) {
    const asked = ids.slice(at, at + MOST_IDS);
    const answer = await post<{ items: readonly DirectoryItem[] }>("/api/directory/lookup", { ids: asked });
    // Else an answer about one person could change what a person is comparing of another one.
    found.push(...answer.items.filter((item) => asked.includes(item.id)));
  }
  return found;
}

/** What does not verify, by id, with the reason. */
export type Faults = ReadonlyMap<string, Refused>;

/**
 * Verifies what the server said into `known`, persons first: a team's records are signed by persons. Pure but for its
 * arguments, so that a worker can do it with the same items and pins. Gives what was refused.
 */
export async function verifyItems(
  known: KnownDirectory, items: readonly DirectoryItem[], pins: ReadonlyMap<string, Pin>,
): Promise<Map<string, Refused>> {
  const faults = new Map<string, Refused>();
  for (const item of items) {
    if (isTeamItem(item) || item.entries.length === 0) continue;
    const chain = await verifyUserChain(item.id, item.entries, pins.get(item.id));
    if (refused(chain)) faults.set(item.id, chain);
    else await addPerson(known, item, chain);
  }
  const heirs: Heirs = (user, who) => known.heirs(user, who);
  for (const item of items) {
    if (!isTeamItem(item)) continue;
    const chain = await verifyTeamChain(item.id, item.records, heirs, pins.get(item.id));
    if (refused(chain)) faults.set(item.id, chain);
    else known.addTeam(chain);
  }
  return faults;
}

async function addPerson(known: KnownDirectory, item: PersonItem, chain: UserChain): Promise<void> {
  known.addUser(chain);
  for (const device of item.devices) {
    known.addCertificate(device.id, device.certificate);
    if (device.revocation === null) continue;
    const revocation = await verifyRevocation(device.revocation, { user: item.id, dev: device.id }, chain.identities());
    if (!refused(revocation)) known.addRevocation(revocation);
  }
}

/** Persons who signed records of teams: needed before the teams can be verified. */
function signersOf(items: readonly DirectoryItem[]): string[] {
  return items.flatMap((item) => (isTeamItem(item) ? item.records.map((record) => record.by) : []));
}

/** Where pins are kept (pins.ts). */
export interface PinStore {
  /** Those of some people and teams. */
  of(items: readonly DirectoryItem[]): Promise<ReadonlyMap<string, Pin>>;
  /** Moves pins forward to what was seen, never back. */
  move(items: readonly DirectoryItem[], seen: ReadonlyMap<string, Pin>): Promise<void>;
  /** Sets a pin to what a person has compared, wherever it was. */
  replace(item: DirectoryItem, pin: Pin): Promise<void>;
  /** All that were read so far. */
  now(): ReadonlyMap<string, Pin>;
}

/** How a person compared. */
const WAYS = ["picture", "paper", "phone"] as const;
export type Way = (typeof WAYS)[number];

/** Whether this version knows a way that was kept. */
export function isWay(how: string): how is Way {
  return WAYS.some((way) => way === how);
}

/** What came of it, as it is kept. */
export interface Compared {
  readonly same: boolean;
  /** A `Way`, or what a later version of the page has written there. */
  readonly how: string;
  /** Unix milliseconds. */
  readonly at: number;
  /** The newest generation there was, and its hash. */
  readonly pin: Pin;
  /** The number that was compared, of 30 bytes. */
  readonly number: Bytes;
}

/** Where it is kept what a person found on comparing (comparing.ts). */
export interface ComparisonStore {
  /** Reads it, once for a page. */
  load(): Promise<void>;
  /** By team; empty before `load`. */
  now(): ReadonlyMap<string, Compared>;
  keep(team: string, compared: Compared): Promise<void>;
}

/** The time in a certificate's header; it was verified with the header, and is a claim all the same. */
function claimedTime(h: string): number | undefined {
  const header = attempt(() => JSON.parse(fromUtf8(unb64(h))) as { readonly ts?: unknown });
  return !refused(header) && typeof header.ts === "number" ? header.ts : undefined;
}

/** The directory of this page. */
export class Directory {
  readonly known = new KnownDirectory();
  /** The raw answers, by id: a worker verifies them again for itself. */
  readonly items = new Map<string, DirectoryItem>();
  /** What did not verify: nothing is sent to it or read from it. */
  readonly faults = new Map<string, Refused>();
  private readonly held = new Set<string>();
  private pins: PinStore | undefined;
  private comparisons: ComparisonStore | undefined;

  private readonly ownDevices: OwnKeys["devices"];

  constructor(own: UserChain, keys: OwnKeys, private readonly account: Account) {
    this.ownDevices = keys.devices;
    this.known.addUser(own);
    for (const device of keys.devices) this.known.addCertificate(device.id, device.certificate);
  }

  /** Where pins are kept: set once, as the sealed objects they lie in are verified with this directory. */
  keepPinsIn(pins: PinStore): void {
    this.pins = pins;
  }

  /** The same for what the person found on comparing teams. */
  keepComparisonsIn(comparisons: ComparisonStore): void {
    this.comparisons = comparisons;
  }

  /** Fetches and verifies ids that are not known yet (`fresh`: known ones too), and whoever signed for teams among them. */
  async load(ids: readonly string[], options: { readonly fresh?: boolean } = {}): Promise<void> {
    const wanted = [...new Set(ids)].filter((id) => id !== this.account.id && (options.fresh === true || !this.items.has(id)));
    if (wanted.length === 0) return;
    const items = [...(await lookUp(wanted))];
    const add = async (signers: readonly string[]): Promise<boolean> => {
      const missing = [...new Set(signers)].filter((id) => id !== this.account.id && !items.some((item) => item.id === id));
      if (missing.length > 0) items.push(...(await lookUp(missing)));
      return missing.length > 0;
    };
    await add(signersOf(items).filter((id) => !this.items.has(id)));
    if (items.some(isTeamItem)) await this.comparisons?.load();
    const pinned = async (): Promise<Map<string, Pin>> => this.withCompared((await this.pins?.of(items)) ?? new Map<string, Pin>());
    let pins = await pinned();
    let faults = await verifyItems(this.known, items, pins);
    // Who signed may have other keys than those this page has seen: of somebody who came in to keys made ahead, or was let in anew.
    if (await add(signersOf(items.filter((item) => faults.has(item.id))))) {
      pins = await pinned();
      faults = await verifyItems(this.known, items, pins);
    }
    for (const item of items) {
      this.items.set(item.id, item);
      this.faults.delete(item.id);
      const chain = this.known.chain(item.id);
      // Without a pin this is the first contact, and a reset in its past was seen by nobody here.
      if (chain?.resetSince(pins.get(item.id)) !== undefined && pins.has(item.id)) this.held.add(item.id);
    }
    for (const [id, fault] of faults) this.faults.set(id, fault);
    await this.remember(items);
  }

  private async remember(items: readonly DirectoryItem[]): Promise<void> {
    const seen = new Map<string, Pin>();
    for (const { id } of items) {
      const pin = this.sendingHeld(id) ? undefined : (this.known.chain(id) ?? this.known.team(id))?.pin();
      if (pin !== undefined) seen.set(id, pin);
    }
    await this.pins?.move(items.filter((item) => seen.has(item.id)), seen);
  }

  /** The pins as they are now, for a worker that verifies with them. */
  currentPins(): ReadonlyMap<string, Pin> {
    return this.withCompared(this.pins?.now() ?? new Map<string, Pin>());
  }

  /** What was compared holds also where a pin was lost, or an older one came back. */
  private withCompared(pins: ReadonlyMap<string, Pin>): Map<string, Pin> {
    const both = new Map(pins);
    for (const [team, { same, pin }] of this.comparisons?.now() ?? []) if (same && (both.get(team)?.n ?? 0) < pin.n) both.set(team, pin);
    return both;
  }

  /** What the person found on comparing a team the last time; undefined for who never did. */
  compared(team: string): Compared | undefined {
    return this.comparisons?.now().get(team);
  }

  /**
   * The chain of a team as the server shows it, to be compared: also where it goes another way than the one seen before (`fork`).
   * Undefined where nothing verifies.
   */
  async shownChain(team: string): Promise<TeamChain | undefined> {
    const [item, fault] = [this.items.get(team), this.faults.get(team)];
    if (fault === undefined) return this.known.team(team);
    if (item === undefined || !isTeamItem(item) || fault.reason !== "fork") return undefined;
    const chain = await verifyTeamChain(team, item.records, (user, who) => this.known.heirs(user, who));
    return refused(chain) ? undefined : chain;
  }

  /**
   * A person has compared the chain of a team: kept for all of the person's devices. Nothing is sent to it any more where it is not the
   * same; where it is, it counts in place of another one that was seen before: only by a picture, for both ways of a fork have the same
   * number (docs/protocol.md, section 9). Throws ApiError, and Error for a number there.
   */
  async keepCompared(chain: TeamChain, same: boolean, how: Way): Promise<void> {
    if (same && how !== "picture" && this.faults.has(chain.id)) throw new Error("a number settles no fork");
    const [item, pin] = [this.items.get(chain.id), chain.pin()];
    await this.comparisons?.keep(chain.id, { same, how, at: Date.now(), pin, number: teamNumber(chain).bytes });
    if (!same || item === undefined || !this.faults.has(chain.id)) return;
    await this.pins?.replace(item, pin);
    this.faults.delete(chain.id);
    this.known.addTeam(chain);
  }

  /** Whether somebody started again after a generation of their keys. */
  startedAgain(id: string, gen: number): boolean {
    return this.known.chain(id)?.entries.some((entry) => entry.reset && entry.gen > gen) ?? false;
  }

  /**
   * When somebody started again the last time, as the first device of the new keys claims (Unix milliseconds). Undefined for
   * who never did, and where the claim cannot be read.
   */
  newKeysSince(id: string): number | undefined {
    const reset = this.known.chain(id)?.resetSince(undefined);
    if (reset === undefined) return undefined;
    const devices = id === this.account.id ? this.ownDevices.filter((one) => one.state === "active")
      : this.person(id)?.devices.filter((one) => (one.signed_by ?? 0) >= reset.n) ?? [];
    const claims = devices.map((one) => claimedTime(one.certificate.h));
    return claims.filter((one) => one !== undefined).toSorted((left, right) => left - right)[0];
  }

  /**
   * Whether nothing is sent to a person or team: the person started again and nobody has confirmed who it is; the keys that the
   * server shows do not verify or are others than those seen before; or this person has found that they are not the same.
   */
  sendingHeld(id: string): boolean {
    return this.held.has(id) || this.notVerified(id);
  }

  /** Whether the keys themselves are in doubt, and not only whose they are. */
  notVerified(id: string): boolean {
    return this.faults.has(id) || this.compared(id)?.same === false;
  }

  /** A person has confirmed (in person, by phone, by the safety number) that the new keys are the right one's. */
  async confirm(id: string): Promise<void> {
    this.held.delete(id);
    const item = this.items.get(id);
    if (item !== undefined) await this.remember([item]);
  }

  /**
   * A person has compared the number of the identity entry whose hash is `compared`: confirmed, where it still stands. Gives it.
   * Throws SeatRefused, `anew` where the keys are others by now.
   */
  async confirmCompared(id: string, compared: Bytes | undefined): Promise<Bytes> {
    const chain = this.faults.has(id) ? undefined : this.known.chain(id);
    if (chain === undefined) throw new SeatRefused(id);
    if (compared === undefined || !sameBytes(compared, chain.introduced.hash)) throw new SeatRefused(id, "anew");
    await this.confirm(id);
    return compared;
  }

  /** The name of a person, as the server says; undefined for who is not known here. */
  name(id: string): string | undefined {
    if (id === this.account.id) return this.account.name;
    const item = this.items.get(id);
    return item !== undefined && !isTeamItem(item) && item.name !== "" ? item.name : undefined;
  }

  person(id: string): PersonItem | undefined {
    const item = this.items.get(id);
    return item !== undefined && !isTeamItem(item) ? item : undefined;
  }

  /** The number that two sides compare; undefined while one of them is not known. A team alone: the number of its poster. */
  safety(...ids: readonly string[]): SafetyNumber | undefined {
    const headers = ids.map((id) => {
      const [chain, team]: [UserChain | undefined, TeamChain | undefined] = [this.known.chain(id), this.known.team(id)];
      return chain === undefined ? (team === undefined ? undefined : teamHeader(team)) : identityHeader(chain);
    });
    return headers.some((header) => header === undefined) ? undefined : safetyNumber(headers.filter((header) => header !== undefined));
  }
}
