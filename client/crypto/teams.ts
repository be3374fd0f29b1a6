// Teams with keys of their own (docs/protocol.md section 3): a chain of records, each signed by a member of the one before,
// the team's key sealed to each member, the key before under the new one. Who joins reads all history with one seal.

import { type Entry, type KnownIdentity, type Pin, RECOVERY, checkPin, openPrevSeed, sealPrevSeed } from "./directory.ts";
import { type Bytes, b64, pae, sameBytes, sha256, unb64, utf8 } from "./encoding.ts";
import { LIST_LIMIT, bytes, bytesOrNone, headerObject, id, list, object, oneOf, onlyMembers, positive, versionAndType } from "./form.ts";
import { OVERHEAD_BYTES, PUBLIC_KEY_BYTES, SEED_BYTES, TAG_BYTES, generateSeed, open, publicKeyOf, seal } from "./hpke.ts";
import { type IdentitySeeds, sign, verify as verifyHybrid } from "./hybrid.ts";
import { type Keyring } from "./open.ts";
import { type Reason, Refused, attemptAsync } from "./reasons.ts";
import { keyId, wrapsHash } from "./records.ts";
import { type Json } from "./strictjson.ts";

/** A team record as it travels. */
export interface TeamText {
  readonly h: string;
  readonly w: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  /** The seed of the generation before, under this one; empty in the first. */
  readonly prev: string;
  readonly sig: string;
  /** Who signed. */
  readonly by: string;
}

/** `service`: the recovery of the organisation, which is nobody. */
export const TEAM_ROLES = ["pharmacist", "staff", "service"] as const;

export interface TeamMember {
  readonly id: string;
  readonly role: (typeof TEAM_ROLES)[number];
  /** The hash of the identity entry: what this member signs later is signed by that identity or its heirs. */
  readonly who: Bytes;
}

/** A verified record of a team; also the team's directory entry in that generation. */
export interface TeamEntry extends Entry {
  readonly role: "team";
  readonly members: readonly TeamMember[];
  readonly by: string;
  readonly h: Bytes;
  readonly hash: Bytes;
  readonly wraps: ReadonlyMap<string, Bytes>;
  readonly prev: Bytes;
}

/** A chain whose records all hold. */
export class TeamChain {
  constructor(readonly records: readonly TeamEntry[]) {}

  get newest(): TeamEntry {
    return this.records.at(-1)!;
  }

  get id(): string {
    return this.newest.id;
  }

  /** The record of a generation; without generation the newest. */
  entry(gen?: number): TeamEntry | undefined {
    return gen === undefined ? this.newest : this.records[gen - 1];
  }

  /** Whether a user's devices speak for the team in that generation: those of its people. */
  speaks(user: string, gen: number): boolean {
    return this.entry(gen)?.members.some((member) => member.id === user && member.role !== "service") ?? false;
  }

  /** The identity entry by which a user is listed in that generation; undefined for who is not. */
  who(user: string, gen: number): Bytes | undefined {
    return this.entry(gen)?.members.find((member) => member.id === user)?.who;
  }

  /** Whether a user listed in that generation may say who a person is that started again: pharmacists, and the privacy team. */
  vouches(user: string, gen: number): boolean {
    const privacy = this.id.endsWith("_privacy");
    return this.entry(gen)?.members.some((member) => member.id === user && (member.role === "pharmacist" || (privacy && member.role === "staff"))) ?? false;
  }

  /** The pin that remembers this chain; `n` is the generation. */
  pin(): Pin {
    return { n: this.newest.gen, hash: this.newest.hash };
  }
}

/** The id of the recovery that may be in a team: that of its pharmacy. */
export function recoveryOf(team: string): string {
  return team.slice(0, Math.max(0, team.lastIndexOf("_"))) + RECOVERY;
}

interface TeamStepFacts {
  readonly entry: TeamEntry;
  readonly before: TeamEntry | undefined;
  readonly earlier: readonly TeamEntry[];
  readonly prevrec: Bytes | undefined;
  readonly id: string;
  readonly sig: string;
  readonly identities: readonly KnownIdentity[];
}

/** One check of a team record by name, with the reason of refusal. */
export interface TeamStep {
  readonly name: string;
  readonly reason: Reason;
  readonly holds: (facts: TeamStepFacts) => boolean | Promise<boolean>;
}

/** The checks of each record of a team's chain, in their order. `identities` are those that may sign for the maker as it is listed. */
export const TEAM_STEPS: readonly TeamStep[] = [
  { name: "team generation", reason: "sequence", holds: ({ entry, before }) => entry.gen === (before?.gen ?? 0) + 1 },
  {
    name: "team prevrec", reason: "chain",
    holds: ({ prevrec, before }) =>
      before === undefined ? prevrec === undefined : prevrec !== undefined && sameBytes(prevrec, before.hash),
  },
  { name: "team id", reason: "chain", holds: ({ entry, id: wanted }) => entry.id === wanted },
  {
    name: "team duplicate", reason: "duplicate",
    holds: ({ entry: { members } }) => new Set(members.map((member) => member.id)).size === members.length,
  },
  {
    name: "team recovery", reason: "membership",
    holds: ({ entry: { id: team, members } }) => members.every((member) => (member.role === "service") === (member.id === recoveryOf(team))),
  },
  {
    name: "team key is new", reason: "member key",
    holds: ({ entry, earlier }) => !earlier.some((record) => sameBytes(record.kem, entry.kem)),
  },
  {
    name: "team signer", reason: "creator",
    holds: ({ entry, before }) =>
      (before ?? entry).members.some((member) => member.id === entry.by && (before !== undefined || member.role !== "service")),
  },
  { name: "team signer is known", reason: "unknown user", holds: ({ identities }) => identities.length > 0 },
  {
    name: "team wrap list", reason: "wrap list",
    holds: ({ entry: { members, wraps } }) =>
      wraps.size === members.length && members.every((member) => wraps.has(member.id)),
  },
  { name: "team signature", reason: "certificate", holds: teamSignature },
];

/** The identities of a user that sign where a record lists the identity entry with the hash `who`. */
export type Heirs = (user: string, who: Bytes) => readonly KnownIdentity[];

async function teamSignature({ entry, sig, identities }: TeamStepFacts): Promise<boolean> {
  const message = pae("team", entry.h, wrapsHash(entry.wraps), entry.prev);
  for (const { keys } of identities) {
    if (await verifyHybrid(keys, sig, message)) return true;
  }
  return false;
}

/**
 * Verifies the whole chain of a team. `heirs` gives the identities of a person that sign where the identity entry with the hash
 * `who` is listed, none if it is not known. A chain that ends before the pin is `rollback`, another record at its place `fork`.
 */
export function verifyTeamChain(
  wanted: string, texts: readonly TeamText[], heirs: Heirs, pin?: Pin,
  steps: readonly TeamStep[] = TEAM_STEPS,
): Promise<TeamChain | Refused> {
  return attemptAsync(async () => {
    const records: TeamEntry[] = [];
    for (const one of texts) {
      const { entry, prevrec } = readTeam(one);
      const before = records.at(-1);
      const maker = (before ?? entry).members.find((member) => member.id === entry.by);
      const identities = maker === undefined ? [] : heirs(entry.by, maker.who);
      const facts: TeamStepFacts = { entry, prevrec, before, earlier: records, id: wanted, sig: one.sig, identities };
      for (const step of steps) {
        if (!(await step.holds(facts))) throw new Refused(step.reason, step.name, entry.gen);
      }
      records.push(entry);
    }
    if (records.length === 0) throw new Refused(pin === undefined ? "unknown user" : "rollback", "no records");
    checkPin(pin, (gen) => records[gen - 1]?.hash);
    return new TeamChain(records);
  });
}

function readTeam(one: TeamText): { entry: TeamEntry; prevrec: Bytes | undefined } {
  const h = unb64(one.h);
  const members = headerObject(h);
  versionAndType(members, ["team"]);
  onlyMembers(members, ["v", "t", "id", "gen", "kem", "members", "prevrec"]);
  const kem = bytes(PUBLIC_KEY_BYTES)(members.get("kem"));
  const gen = positive(members.get("gen"));
  if (typeof one.sig !== "string") throw new Refused("form", "no signature");
  const entry: TeamEntry = {
    id: id(members.get("id")), role: "team", gen, kem, kid: keyId(kem),
    members: list(readMember)(members.get("members")), by: id(one.by), h, hash: sha256(h), wraps: readWraps(one.w),
    prev: unb64(one.prev, gen === 1 ? 0 : SEED_BYTES + TAG_BYTES),
  };
  if (entry.members.every((member) => member.role === "service")) throw new Refused("form", "a team without people");
  return { entry, prevrec: bytesOrNone(32)(members.get("prevrec")) };
}

function readWraps(given: TeamText["w"]): ReadonlyMap<string, Bytes> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new Refused("form", "wraps are an object");
  const entries: Iterable<[string, string]> = given instanceof Map ? given : Object.entries(given as Record<string, string>);
  const wraps = new Map<string, Bytes>();
  for (const [name, wrap] of entries) wraps.set(id(name), unb64(wrap, OVERHEAD_BYTES + SEED_BYTES));
  if (wraps.size > LIST_LIMIT) throw new Refused("form", "too many wraps");
  return wraps;
}

function readMember(value: Json | undefined): TeamMember {
  const member = object(value);
  onlyMembers(member, ["id", "role", "who"]);
  return { id: id(member.get("id")), role: oneOf(...TEAM_ROLES)(member.get("role")), who: bytes(32)(member.get("who")) };
}

/** A member of a new record, with its newest encryption key. */
export interface TeamSeat extends TeamMember {
  readonly kem: Bytes;
}

/** Makes the next record of a team (the first without `before`), with a fresh key, and gives its seed. */
export async function makeTeamRecord(
  team: string, seats: readonly TeamSeat[], signer: { readonly user: string; readonly identity: IdentitySeeds },
  before?: { readonly entry: TeamEntry; readonly seed: Bytes },
): Promise<{ readonly text: TeamText; readonly seed: Bytes }> {
  const seed = generateSeed();
  const gen = (before?.entry.gen ?? 0) + 1;
  const h = utf8(JSON.stringify({
    v: 1, t: "team", id: team, gen, kem: b64(await publicKeyOf(seed)),
    members: seats.map(({ id: member, role, who }) => ({ id: member, role, who: b64(who) })),
    prevrec: before === undefined ? "" : b64(before.entry.hash),
  }));
  const wraps = new Map<string, Bytes>();
  for (const seat of seats) wraps.set(seat.id, await seal(seat.kem, teamWrapInfo(h, seat.id, gen), seed));
  const prev = before === undefined ? new Uint8Array(0) : await sealPrevSeed("team-prev", h, seed, before.seed);
  const w = Object.create(null) as Record<string, string>;
  for (const [member, wrap] of wraps) w[member] = b64(wrap);
  const sig = await sign(signer.identity, pae("team", h, wrapsHash(wraps), prev));
  return { text: { h: b64(h), w, prev: b64(prev), sig, by: signer.user }, seed };
}

/** `gen` is that of the team. */
function teamWrapInfo(h: Bytes, member: string, gen: number): Bytes {
  return pae("team-wrap", h, member, gen);
}

/**
 * Opens the team's seeds for one member: its wrap in the newest record, then back through every generation before. `newest` is the
 * highest generation of the member's own key. Undefined if the newest record does not list the member.
 */
export function openTeam(
  chain: TeamChain, member: string, newest: number, keyring: Keyring,
): Promise<ReadonlyMap<number, Bytes> | Refused | undefined> {
  return attemptAsync(async () => {
    const last = chain.newest;
    if (!last.wraps.has(member)) return undefined;
    const seeds = new Map<number, Bytes>();
    let seed = await ownWrap(last, member, newest, keyring);
    if (seed === undefined) throw new Refused("wrap", `team generation ${last.gen}`);
    for (let gen = last.gen; ; gen -= 1) {
      const record = chain.entry(gen)!;
      if (!sameBytes(await publicKeyOf(seed), record.kem)) throw new Refused("wrap", `team generation ${gen}`);
      seeds.set(gen, seed);
      if (gen === 1) return seeds;
      const before = await openPrevSeed("team-prev", record.h, seed, record.prev);
      if (before === undefined) throw new Refused("wrap", `team generation ${gen}`);
      seed = before;
    }
  });
}

async function ownWrap(record: TeamEntry, member: string, newest: number, keyring: Keyring): Promise<Bytes | undefined> {
  for (let gen = newest; gen >= 1; gen -= 1) {
    const own = keyring.seed(member, gen);
    if (own === undefined) continue;
    const seed = await open(own, teamWrapInfo(record.h, member, record.gen), record.wraps.get(member)!);
    if (seed?.length === SEED_BYTES) return seed;
  }
  return undefined;
}
