// The people of all our tests: Alice (patient), Bob (her pharmacist), Carol (another pharmacy's pharmacist), Dave (a patient who
// must see nothing of Alice's).

import { makeCertificate } from "../certificates.ts";
import { type EntryText, type UserChain, makeFirstEntry, verifyUserChain } from "../directory.ts";
import { type Signer, signerFromSeed } from "../ed25519.ts";
import { type Bytes, newId, randomBytes } from "../encoding.ts";
import { generateSeed, publicKeyOf } from "../hpke.ts";
import { type IdentitySeeds, generateIdentity } from "../hybrid.ts";
import { KnownDirectory } from "../known.ts";
import { Keys } from "../open.ts";
import { Refused, refused } from "../reasons.ts";
import { type Role } from "../records.ts";
import { type Made, type Place, type Recipient, type RecordText, sealEpoch, sealMessage } from "../seal.ts";
import { type TeamText, makeTeamRecord, verifyTeamChain } from "../teams.ts";
import { type Head } from "../state.ts";

export const NOON = Date.UTC(2026, 10, 22, 12);

/** The value, or a failed test. */
export function good<T>(value: T | Refused): T {
  if (refused(value)) throw value;
  return value;
}

export interface Person {
  readonly id: string;
  readonly dev: string;
  readonly identity: IdentitySeeds;
  readonly seed: Bytes;
  readonly signer: Signer;
  readonly entries: EntryText[];
  chain: UserChain;
}

export interface Team {
  readonly id: string;
  readonly texts: TeamText[];
  seed: Bytes;
}

/** One pharmacy's world: a directory that holds what was verified. */
export class World {
  readonly directory = new KnownDirectory();
  readonly people = new Map<string, Person>();
  readonly teams = new Map<string, Team>();

  async person(id: string, role: "person" | "service" = "person"): Promise<Person> {
    const identity = generateIdentity();
    const seed = generateSeed();
    const dev = `${id}_phone`;
    const signer = await signerFromSeed(randomBytes(32));
    const entries = [await makeFirstEntry({ id, role, gen: 1, kem: await publicKeyOf(seed) }, identity)];
    const chain = good(await verifyUserChain(id, entries));
    const person: Person = { id, dev, identity, seed, signer, entries, chain };
    this.directory.addUser(chain);
    this.directory.addCertificate(dev, await makeCertificate(identity, signer, { user: id, dev, ts: NOON }));
    this.people.set(id, person);
    return person;
  }

  /** Makes the next generation of a team, signed by `by`. */
  async team(id: string, members: readonly Person[], by: Person): Promise<Team> {
    const known = this.teams.get(id);
    const seats = members.map((member) => ({ id: member.id, role: "pharmacist" as const, who: member.chain.who, kem: member.chain.newest.kem }));
    const before = known === undefined ? undefined : { entry: this.directory.team(id)!.newest, seed: known.seed };
    const made = await makeTeamRecord(id, seats, { user: by.id, identity: by.identity }, before);
    const team: Team = { id, texts: [...(known?.texts ?? []), made.text], seed: made.seed };
    this.directory.addTeam(good(await verifyTeamChain(id, team.texts, (user, who) => this.directory.heirs(user, who))));
    this.teams.set(id, team);
    return team;
  }

  recipient(id: string, role: Role): Recipient {
    const entry = this.directory.user(id)!;
    return { id, role, gen: entry.gen, kem: entry.kem };
  }

  keys(person: Person): Keys {
    return new Keys().add(person.id, 1, person.seed);
  }
}

/** A thread in the making. */
export class Conversation {
  readonly thread = newId();
  readonly records: RecordText[] = [];
  readonly secrets: Bytes[] = [];
  head: Head | undefined;

  constructor(readonly world: World) {}

  get epoch(): number {
    return this.secrets.length;
  }

  place(writer: Person): Place {
    return { thread: this.thread, head: this.head, user: writer.id, dev: writer.dev, ts: NOON + this.records.length };
  }

  async add(made: Promise<Made>): Promise<void> {
    const { record, head } = await made;
    this.records.push(record);
    this.head = head;
  }

  async newEpoch(maker: Person, members: readonly Recipient[], revoked: readonly string[] = []): Promise<void> {
    const made = await sealEpoch(this.place(maker), { number: this.epoch + 1, members, revoked }, maker.signer);
    this.secrets.push(made.secret);
    await this.add(Promise.resolve(made));
  }

  say(writer: Person, text: string): Promise<void> {
    return this.add(sealMessage(this.place(writer), this.epoch, this.secrets.at(-1)!, text, writer.signer));
  }
}

/** Alice asks the pharmacists of linden, where Bob works; Carol works elsewhere, Dave is another patient. */
export async function lindenWorld(): Promise<{
  readonly world: World; readonly alice: Person; readonly bob: Person; readonly carol: Person; readonly dave: Person;
}> {
  const world = new World();
  const [alice, bob, carol, dave] = await Promise.all(["alice", "bob", "carol", "dave"].map((id) => world.person(id)));
  await world.team("linden_pharmacists", [bob!], bob!);
  await world.team("rowan_pharmacists", [carol!], carol!);
  return { world, alice: alice!, bob: bob!, carol: carol!, dave: dave! };
}
