// The directory of people and services: chains of signed entries, each next one signed by the identity before it, and the pins
// by which a client notices that the server shows another chain (docs/protocol.md section 3).

import { type Bytes, aesOpen, aesSeal, b64, hkdf, pae, sameBytes, sha256, unb64, utf8 } from "./encoding.ts";
import { bytes, bytesOrNone, headerObject, id, oneOf, onlyMembers, positive, versionAndType } from "./form.ts";
import { PUBLIC_KEY_BYTES, SEED_BYTES, TAG_BYTES, publicKeyOf } from "./hpke.ts";
import { type IdentityKeys, type IdentitySeeds, ML_DSA_PUBLIC, identityKeys, sign, verify as verifyHybrid } from "./hybrid.ts";
import { type Reason, Refused, attemptAsync } from "./reasons.ts";
import { keyId } from "./records.ts";

/** What a thread needs to know of an id in one generation. */
export interface Entry {
  readonly id: string;
  readonly role: "person" | "team" | "service";
  readonly gen: number;
  readonly kem: Bytes;
  /** First 16 bytes of the hash of `kem`. */
  readonly kid: Bytes;
}

/** An identity of a chain, and the newest generation of the entries that have it. */
export interface KnownIdentity {
  readonly keys: IdentityKeys;
  readonly gen: number;
}

/** A verified entry of a person or service. */
export interface UserEntry extends Entry {
  readonly keys: IdentityKeys;
  readonly n: number;
  readonly reset: boolean;
  /** Made by somebody else for this person: `keys` sign the next entry and nothing else. */
  readonly ahead: boolean;
  readonly h: Bytes;
  readonly hash: Bytes;
  readonly text: EntryText;
}

/** An entry as it travels. */
export interface EntryText {
  readonly h: string;
  /** By its own identity. */
  readonly sig: string;
  /** By the identity of the entry before; absent in the first and in a reset. */
  readonly prevsig?: string | null;
  /** The seed of the generation before, under the new one. */
  readonly prevseed?: string | null;
}

/** What a client remembers of a chain. */
export interface Pin {
  readonly n: number;
  /** Hash of that entry's header. */
  readonly hash: Bytes;
}

/** A chain whose entries all hold. */
export class UserChain {
  constructor(readonly entries: readonly UserEntry[]) {}

  get newest(): UserEntry {
    return this.entries.at(-1)!;
  }

  get id(): string {
    return this.newest.id;
  }

  /** The entry that introduced the present identity. */
  get introduced(): UserEntry {
    const { ed, ml } = this.newest.keys;
    const before = this.entries.findLast(({ keys }) => !sameBytes(keys.ed, ed) || !sameBytes(keys.ml, ml));
    return this.entries.find(({ n }) => n > (before?.n ?? 0))!;
  }

  /** The newest entry of a generation; without generation the newest of all. */
  entry(gen?: number): UserEntry | undefined {
    return gen === undefined ? this.newest : this.entries.findLast((known) => known.gen === gen);
  }

  /** All identities, the newest first: a certificate may stand under any of them. One that was made ahead is none of them. */
  identities(): KnownIdentity[] {
    return this.entries.filter((one) => !one.ahead).toReversed().map(({ keys, gen }) => ({ keys, gen }));
  }

  /** How a team's record names this person beside the id: the hash of the identity entry. */
  get who(): Bytes {
    return this.introduced.hash;
  }

  /**
   * The identities that sign where the entry with the hash `who` is listed: its own, and those it has signed on to. Whoever started
   * again is not among them, nor is a chain that does not have that entry: none, then.
   */
  heirs(who: Bytes): KnownIdentity[] {
    const first = this.entries.findIndex(({ hash }) => sameBytes(hash, who));
    if (first < 0) return [];
    const reset = this.entries.findIndex((one, place) => place > first && one.reset);
    const own = this.entries.slice(first, reset < 0 ? undefined : reset);
    return own.filter((one) => !one.ahead).map(({ keys, gen }) => ({ keys, gen }));
  }

  /** The pin that remembers this chain. */
  pin(): Pin {
    return { n: this.newest.n, hash: this.newest.hash };
  }

  /** The newest reset after a pin: sending is held until a person confirms it. Undefined if there is none. */
  resetSince(pin: Pin | undefined): UserEntry | undefined {
    return this.entries.findLast((known) => known.reset && known.n > (pin?.n ?? 0));
  }
}

/** How the id of an organisation's recovery ends: `<pharmacy id>_recovery`. */
export const RECOVERY = "_recovery";

interface ChainStepFacts {
  readonly entry: UserEntry;
  readonly before: UserEntry | undefined;
  readonly prev: Bytes | undefined;
  readonly id: string;
}

/** One check of an entry by name, with the reason of refusal. */
export interface ChainStep {
  readonly name: string;
  readonly reason: Reason;
  readonly holds: (facts: ChainStepFacts) => boolean | Promise<boolean>;
}

/** The checks of each entry of a chain, in their order. */
export const ENTRY_STEPS: readonly ChainStep[] = [
  { name: "entry number", reason: "sequence", holds: ({ entry, before }) => entry.n === (before?.n ?? 0) + 1 },
  {
    name: "entry prev", reason: "chain",
    holds: ({ prev, before }) =>
      before === undefined ? prev === undefined : prev !== undefined && sameBytes(prev, before.hash),
  },
  { name: "entry id", reason: "chain", holds: ({ entry, id: wanted }) => entry.id === wanted },
  {
    name: "entry role", reason: "chain",
    holds: ({ entry, before }) => before === undefined || entry.role === before.role,
  },
  {
    name: "a recovery is a service", reason: "chain",
    holds: ({ entry }) => entry.role === "service" || !entry.id.endsWith(RECOVERY),
  },
  { name: "entry generation", reason: "member key", holds: generationFits },
  { name: "entry of one's own after one made ahead", reason: "member key", holds: ownAfterAhead },
  {
    name: "entry signature", reason: "certificate",
    holds: ({ entry }) => verifyHybrid(entry.keys, entry.text.sig, pae("user", entry.h)),
  },
  {
    name: "entry signed by the one before", reason: "certificate",
    holds: async ({ entry, before }) =>
      before === undefined || entry.reset ||
      (typeof entry.text.prevsig === "string" && (await verifyHybrid(before.keys, entry.text.prevsig, pae("user", entry.h)))),
  },
];

/** The same generation with the same key, or the next one with another; after a reset always the latter. */
function generationFits({ entry, before }: ChainStepFacts): boolean {
  if (before === undefined) return entry.gen === 1;
  const sameKey = sameBytes(entry.kem, before.kem);
  if (entry.gen === before.gen) return sameKey && !entry.reset;
  return entry.gen === before.gen + 1 && !sameKey;
}

/** After keys that somebody else made, everything is new. */
function ownAfterAhead({ entry, before }: ChainStepFacts): boolean {
  if (before?.ahead !== true) return true;
  return entry.gen !== before.gen && !sameBytes(entry.keys.ed, before.keys.ed) && !sameBytes(entry.keys.ml, before.keys.ml);
}

/**
 * Verifies the whole chain of an id and compares it with what was seen before: `rollback` for a chain that ends before the pin,
 * `fork` for another entry at its place.
 */
export function verifyUserChain(
  wanted: string, texts: readonly EntryText[], pin?: Pin, steps: readonly ChainStep[] = ENTRY_STEPS,
): Promise<UserChain | Refused> {
  return attemptAsync(async () => {
    const entries: UserEntry[] = [];
    for (const one of texts) {
      const { entry, prev } = readEntry(one);
      const facts = { entry, before: entries.at(-1), prev, id: wanted };
      for (const step of steps) {
        if (!(await step.holds(facts))) throw new Refused(step.reason, step.name, entry.n);
      }
      entries.push(entry);
    }
    if (entries.length === 0) throw new Refused(pin === undefined ? "unknown user" : "rollback", "no entries");
    checkPin(pin, (n) => entries[n - 1]?.hash);
    return new UserChain(entries);
  });
}

/** Compares a verified chain with its pin. Throws `Refused`. */
export function checkPin(pin: Pin | undefined, hashAt: (n: number) => Bytes | undefined): void {
  if (pin === undefined) return;
  const hash = hashAt(pin.n);
  if (hash === undefined) throw new Refused("rollback", "a shorter chain than before");
  if (!sameBytes(hash, pin.hash)) throw new Refused("fork", "another chain than before");
}

function readEntry(one: EntryText): { entry: UserEntry; prev: Bytes | undefined } {
  const h = unb64(one.h);
  const members = headerObject(h);
  versionAndType(members, ["user"]);
  onlyMembers(members, ["v", "t", "id", "role", "ed", "ml", "gen", "kem", "n", "prev", "reset", "ahead"]);
  const flag = (name: "reset" | "ahead"): boolean => {
    if (members.has(name) && members.get(name) !== true) throw new Refused("form", `${name} is true or absent`);
    return members.has(name);
  };
  const [reset, ahead] = [flag("reset"), flag("ahead")];
  const n = positive(members.get("n"));
  const kem = bytes(PUBLIC_KEY_BYTES)(members.get("kem"));
  const entry: UserEntry = {
    id: id(members.get("id")),
    role: oneOf("person", "service")(members.get("role")),
    keys: { ed: bytes(32)(members.get("ed")), ml: bytes(ML_DSA_PUBLIC)(members.get("ml")) },
    gen: positive(members.get("gen")),
    n, kem, kid: keyId(kem), reset, ahead, h, hash: sha256(h), text: one,
  };
  const prev = bytesOrNone(32)(members.get("prev"));
  if (typeof one.sig !== "string" || typeof (one.prevsig ?? "") !== "string") throw new Refused("form", "no signature");
  if ((one.prevseed ?? undefined) !== undefined) unb64(one.prevseed, SEED_BYTES + TAG_BYTES);
  const bySuccession = (one.prevsig ?? undefined) !== undefined;
  if (n === 1 ? reset || bySuccession : reset === bySuccession) {
    throw new Refused("form", "a later entry has either a signature by the one before or a reset");
  }
  if (ahead && (n !== 1 || entry.role !== "person")) throw new Refused("form", "only a person's first entry is made ahead");
  return { entry, prev };
}

/** What a new entry says. */
export interface NewEntry {
  readonly id: string;
  readonly role: "person" | "service";
  readonly gen: number;
  /** Public encryption key of the generation. */
  readonly kem: Bytes;
}

/** Makes the first entry of an id. */
export function makeFirstEntry(facts: NewEntry, identity: IdentitySeeds): Promise<EntryText> {
  return makeEntry(facts, identity, undefined, {});
}

/** Makes the first entry for somebody else, who replaces all that is in it with the second. */
export function makeEntryAhead(facts: NewEntry, identity: IdentitySeeds): Promise<EntryText> {
  return makeEntry(facts, identity, undefined, { ahead: true });
}

/**
 * Makes the next entry. `previous` are the seeds of the identity before (the same ones for a new generation alone); undefined
 * makes a reset. `prevSeed` is the seed of the generation before, where it is known.
 */
export async function makeNextEntry(
  facts: NewEntry, identity: IdentitySeeds, before: UserEntry, previous: IdentitySeeds | undefined,
  seeds: { readonly before: Bytes; readonly now: Bytes } | undefined,
): Promise<EntryText> {
  const entry = await makeEntry(facts, identity, before, previous === undefined ? { reset: true } : {});
  const h = unb64(entry.h);
  return {
    ...entry,
    ...(previous === undefined ? {} : { prevsig: await sign(previous, pae("user", h)) }),
    ...(seeds === undefined ? {} : { prevseed: b64(await sealPrevSeed("user-prev", h, seeds.now, seeds.before)) }),
  };
}

async function makeEntry(
  facts: NewEntry, identity: IdentitySeeds, before: UserEntry | undefined, extra: { readonly reset?: true; readonly ahead?: true },
): Promise<EntryText> {
  const { id: name, role, gen, kem } = facts;
  const keys = await identityKeys(identity);
  const h = utf8(JSON.stringify({
    v: 1, t: "user", id: name, role, ed: b64(keys.ed), ml: b64(keys.ml), gen, kem: b64(kem),
    n: (before?.n ?? 0) + 1, prev: before === undefined ? "" : b64(before.hash), ...extra,
  }));
  return { h: b64(h), sig: await sign(identity, pae("user", h)) };
}

function prevSeedKey(label: string, h: Bytes, newSeed: Bytes): { key: Bytes; nonce: Bytes } {
  const out = hkdf(newSeed, new Uint8Array(0), pae(label, h), 44);
  return { key: out.slice(0, 32), nonce: out.slice(32, 44) };
}

/** The seed of the generation before, under the seed of the new one; bound to the new header. */
export function sealPrevSeed(label: "user-prev" | "team-prev", h: Bytes, newSeed: Bytes, seed: Bytes): Promise<Bytes> {
  const { key, nonce } = prevSeedKey(label, h, newSeed);
  return aesSeal(key, nonce, h, seed);
}

/** Opens the seed of the generation before; undefined if it does not open. */
export async function openPrevSeed(
  label: "user-prev" | "team-prev", h: Bytes, newSeed: Bytes, sealed: Bytes,
): Promise<Bytes | undefined> {
  const { key, nonce } = prevSeedKey(label, h, newSeed);
  const seed = await aesOpen(key, nonce, h, sealed);
  return seed?.length === SEED_BYTES ? seed : undefined;
}

/** Walks a person's own chain back from the newest seed: seeds by generation, as far as `prevseed` reaches. */
export function walkBackSeeds(chain: UserChain, newest: Bytes): Promise<ReadonlyMap<number, Bytes> | Refused> {
  return attemptAsync(async () => {
    const seeds = new Map([[chain.newest.gen, newest]]);
    let seed = newest;
    for (let index = chain.entries.length - 1; index > 0; index -= 1) {
      const entry = chain.entries[index]!;
      if (entry.gen === chain.entries[index - 1]!.gen) continue;
      if (typeof entry.text.prevseed !== "string") break;
      const before = await openPrevSeed("user-prev", entry.h, seed, unb64(entry.text.prevseed));
      if (before === undefined || !sameBytes(await publicKeyOf(before), chain.entries[index - 1]!.kem)) {
        throw new Refused("wrap", `generation ${entry.gen}`);
      }
      seeds.set(entry.gen - 1, before);
      seed = before;
    }
    return seeds;
  });
}
