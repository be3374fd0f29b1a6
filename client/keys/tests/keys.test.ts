// What the browser does with keys, without a browser: keyrings, the vault, what is refused of the directory.

import assert from "node:assert/strict";
import { test } from "node:test";

import { makeRevocation } from "../../crypto/certificates.ts";
import { type EntryText, type Pin, type UserChain, makeNextEntry, verifyUserChain } from "../../crypto/directory.ts";
import { pae, randomBytes } from "../../crypto/encoding.ts";
import { generateSeed, publicKeyOf } from "../../crypto/hpke.ts";
import { type IdentitySeeds, generateIdentity } from "../../crypto/hybrid.ts";
import { KnownDirectory } from "../../crypto/known.ts";
import { Refused } from "../../crypto/reasons.ts";
import { generateUrk } from "../../crypto/recovery.ts";
import { type TeamSeat, makeTeamRecord } from "../../crypto/teams.ts";
import { type Person, World, good } from "../../crypto/tests/world.ts";
import { signerFromSeed, verify } from "../../crypto/ed25519.ts";
import { Directory, verifyItems } from "../directory.ts";
import { Keyring } from "../keyring.ts";
import { deviceName } from "../binding.ts";
import { SeatRefused, seatsFor } from "../seats.ts";
import type { DirectoryItem, PersonItem, TeamItem } from "../shapes.ts";
import { addRecovery, admit } from "../teams.ts";
import type { Ready } from "../unlock.ts";
import { identityIn, makeVault, newestSeedIn, vaultWithSeed } from "../vault.ts";

async function keyringOf(person: Person): Promise<Keyring> {
  const seed = randomBytes(32);
  return Keyring.from({
    account: person.id, device: person.dev, publicKey: person.signer.publicKey,
    signing: { kind: "seed", seed }, seeds: [{ id: person.id, gen: 1, seed: person.seed }],
  });
}

function item(world: World, person: Person, more: Partial<PersonItem> = {}): PersonItem {
  return {
    id: person.id, role: "patient", pharmacy: null, name: person.id, disabled: false, entries: person.entries,
    devices: [{ id: person.dev, certificate: world.directory.device(person.dev)!, revocation: null }], ...more,
  };
}

test("a keyring goes to a worker and back with all it holds, and nothing is left after locking", async () => {
  const world = new World();
  const alice = await world.person("alice");
  const keyring = await keyringOf(alice);
  keyring.add({ id: "riverside_pharmacists", gen: 2, seed: randomBytes(32) });
  keyring.add({ id: "riverside_pharmacists", gen: 1, seed: randomBytes(32) });
  const copy = await Keyring.from(structuredClone(keyring.material()));
  assert.deepEqual(copy.generations("riverside_pharmacists"), [2, 1]);
  assert.deepEqual(copy.seed("alice", 1), alice.seed);
  assert.deepEqual(copy.teams, ["riverside_pharmacists"]);
  const held = keyring.seed("alice", 1)!;
  keyring.wipe();
  assert.ok(held.every((byte) => byte === 0));
  assert.equal(keyring.seed("alice", 1), undefined);
  assert.throws(() => keyring.sign(pae("x")));
  assert.deepEqual(copy.seed("alice", 1), alice.seed);
});

test("a keyring signs as its device", async () => {
  const world = new World();
  const seed = randomBytes(32);
  const { publicKey } = await signerFromSeed(seed);
  const alice = await world.person("alice");
  const keyring = await Keyring.from({ account: alice.id, device: alice.dev, publicKey, signing: { kind: "seed", seed }, seeds: [] });
  assert.ok(await verify(publicKey, await keyring.sign(pae("x")), pae("x")));
});

test("the vault gives identity and newest seed to the root key alone, also after a new generation", async () => {
  const world = new World();
  const alice = await world.person("alice");
  const root = generateUrk();
  const vault = await makeVault("alice", root, { rev: 1, n: 1, gen: 1 }, alice.identity, alice.seed);
  assert.deepEqual(await identityIn(vault, root, alice.chain), alice.identity);
  assert.deepEqual(await newestSeedIn(vault, root, alice.chain), alice.seed);
  await assert.rejects(identityIn(vault, generateUrk(), alice.chain), (error: Refused) => error.reason === "aead");

  const seed = generateSeed();
  const entry = await makeNextEntry({ id: "alice", role: "person", gen: 2, kem: await publicKeyOf(seed) }, alice.identity, alice.chain.newest, alice.identity, {
    before: alice.seed,
    now: seed,
  });
  const chain = good(await verifyUserChain("alice", [...alice.entries, entry]));
  const second = await vaultWithSeed(vault, root, "alice", 2, seed);
  assert.equal(second.rev, 2);
  assert.deepEqual(await newestSeedIn(second, root, chain), seed);
  assert.deepEqual(await identityIn(second, root, chain), alice.identity);
});

test("the directory refuses Dave's chain under Alice's name, a shorter one and another one than before", async () => {
  const world = new World();
  const [alice, dave] = [await world.person("alice"), await world.person("dave")];
  const known = new KnownDirectory();
  const swapped = await verifyItems(known, [item(world, alice, { entries: dave.entries })], new Map());
  assert.equal(swapped.get("alice")?.reason, "chain");
  assert.equal(known.chain("alice"), undefined);

  const pins = new Map<string, Pin>([["alice", { n: 2, hash: randomBytes(32) }]]);
  assert.equal((await verifyItems(known, [item(world, alice)], pins)).get("alice")?.reason, "rollback");
  const other = new Map<string, Pin>([["alice", { n: 1, hash: randomBytes(32) }]]);
  assert.equal((await verifyItems(known, [item(world, alice)], other)).get("alice")?.reason, "fork");
  assert.equal((await verifyItems(known, [item(world, alice)], new Map([["alice", alice.chain.pin()]]))).size, 0);
});

test("teams are verified whatever the order of the answer, and a revocation of Alice's device by Dave counts for nothing", async () => {
  const world = new World();
  const [alice, bob, dave] = [await world.person("alice"), await world.person("bob"), await world.person("dave")];
  const team = await world.team("riverside_pharmacists", [bob], bob);
  const forged = await makeRevocation(dave.identity, { user: "alice", dev: alice.dev, ts: 1 });
  const devices = [{ id: alice.dev, certificate: world.directory.device(alice.dev)!, revocation: forged }];
  const known = new KnownDirectory();
  const records = { id: team.id, pharmacy: "riverside", kind: "pharmacists", records: team.texts };
  const faults = await verifyItems(known, [records, item(world, alice, { devices }), item(world, bob)], new Map());
  assert.equal(faults.size, 0);
  assert.ok(known.speaksFor("bob", team.id, 1));
  assert.equal(known.revocation(alice.dev), false);
  const own = await makeRevocation(alice.identity, { user: "alice", dev: alice.dev, ts: 1 });
  await verifyItems(known, [item(world, alice, { devices: [{ ...devices[0]!, revocation: own }] })], new Map());
  assert.ok(known.revocation(alice.dev));
});

test("who starts again is seen as such above a pin, and not below it", async () => {
  const world = new World();
  const alice = await world.person("alice");
  const seed = generateSeed();
  const reset = await makeNextEntry(
    { id: "alice", role: "person", gen: 2, kem: await publicKeyOf(seed) },
    generateIdentity(),
    alice.chain.newest,
    undefined,
    undefined,
  );
  const chain = good(await verifyUserChain("alice", [...alice.entries, reset], alice.chain.pin()));
  assert.equal(chain.resetSince(alice.chain.pin())?.n, 2);
  assert.equal(chain.resetSince(chain.pin()), undefined);
});

async function startedAgain(person: Person): Promise<UserChain> {
  const facts = { id: person.id, role: "person" as const, gen: 2, kem: await publicKeyOf(generateSeed()) };
  return good(await verifyUserChain(person.id, [...person.entries, await makeNextEntry(facts, generateIdentity(), person.chain.newest, undefined, undefined)]));
}

const seatOf = (one: Person, role: TeamSeat["role"] = "pharmacist"): TeamSeat => ({ id: one.id, role, who: one.chain.who, kem: one.chain.newest.kem });

const refusedFor = (fault: string) => (error: unknown): boolean => error instanceof SeatRefused && error.account === "carol" && error.fault === fault;

test("a team's key goes to nobody whom only the server names as a member, and who stays keeps the role of the record", async () => {
  const world = new World();
  const [bob, carol, dave] = [await world.person("bob"), await world.person("carol"), await world.person("dave")];
  const known = { chain: (id: string) => world.people.get(id)?.chain, held: () => false };
  const listed = [seatOf(bob), seatOf(carol, "staff")];
  const wanted = [bob, carol, dave].map((one) => ({ account: one.id, role: "pharmacist" }));
  const seats = seatsFor(wanted, known, listed, new Map());
  assert.deepEqual(seats, [
    seatOf(bob), seatOf(carol, "staff"),
  ]);
  const joined = seatsFor(wanted, known, listed, new Map([["dave", dave.chain.introduced.hash]]));
  assert.deepEqual(joined[2], seatOf(dave));
  assert.deepEqual(seatsFor([{ account: "bob", role: "technician" }], known, [], new Map([["bob", bob.chain.introduced.hash]])), [
    seatOf(bob, "staff"),
  ]);
});

test("a team's key is not sealed to keys that were begun anew, nor to others than those compared or made here", async () => {
  const world = new World();
  const carol = await world.person("carol");
  const listed = [seatOf(carol)];
  const wanted = [{ account: "carol", role: "pharmacist" }];
  const other = await startedAgain(carol);
  const anew = { chain: () => other, held: () => true };
  assert.throws(() => seatsFor(wanted, anew, listed, new Map()), refusedFor("anew"));
  // Without the old pin the keys look like any; what the record lists, was compared, or made here, does not.
  const unseen = { chain: () => other, held: () => false };
  assert.throws(() => seatsFor(wanted, unseen, listed, new Map()), refusedFor("anew"));
  const shown = carol.chain.introduced.hash;
  assert.throws(() => seatsFor(wanted, unseen, [], new Map([["carol", shown]])), refusedFor("keys"));
  assert.throws(() => seatsFor(wanted, unseen, [], new Map([["carol", undefined]])), refusedFor("keys"));
  assert.throws(() => seatsFor(wanted, { ...unseen, chain: () => undefined }, listed, new Map()), refusedFor("keys"));
  assert.deepEqual(seatsFor(wanted, { ...unseen, chain: () => carol.chain }, [], new Map([["carol", shown]])).length, 1);
});

/** Bob's directory, and a server that answers every look-up with what it is told to say. */
function directoryOf(bob: Person): { readonly directory: Directory; readonly says: (...items: readonly DirectoryItem[]) => void } {
  let items: readonly DirectoryItem[] = [];
  globalThis.fetch = (address) => Promise.resolve(Response.json(String(address) === "/api/session" ? { csrf: "x" } : { items }));
  const account = { id: bob.id, role: "pharmacist", name: "Bob", language: "en", time_zone: null, large_text: false, pharmacy: "riverside" } as const;
  const own = { devices: [] } as unknown as ConstructorParameters<typeof Directory>[1];
  return { directory: new Directory(bob.chain, own, account), says: (...said) => { items = said; } };
}

/** A chain that was begun anew without its old keys, and the identity that it has now. */
async function pretended(person: Person): Promise<{ readonly entries: readonly EntryText[]; readonly identity: IdentitySeeds }> {
  const role = person.chain.newest.role === "service" ? "service" : "person";
  const facts = { id: person.id, role, gen: 2, kem: await publicKeyOf(generateSeed()) } as const;
  const identity = generateIdentity();
  return { entries: [...person.entries, await makeNextEntry(facts, identity, person.chain.newest, undefined, undefined)], identity };
}

test("an answer about somebody who was not asked about changes nothing that is known of them", async () => {
  const world = new World();
  const [bob, carol, dave] = [await world.person("bob"), await world.person("carol"), await world.person("dave")];
  const { directory, says } = directoryOf(bob);
  says(item(world, carol));
  await directory.load(["carol"]);
  says(item(world, dave), item(world, carol, { entries: (await pretended(carol)).entries, name: "Somebody" }));
  await directory.load(["dave"], { fresh: true });
  assert.equal(directory.known.chain("carol")?.newest.n, 1);
  assert.equal(directory.name("carol"), "carol");
  assert.equal(directory.known.chain("dave")?.newest.n, 1);
});

test("a team's record signed by keys begun anew is refused, by who has seen the team before and by who has not", async () => {
  const world = new World();
  const [bob, carol, frank] = [await world.person("bob"), await world.person("carol"), await world.person("frank")];
  const team = await world.team("riverside_pharmacists", [carol, frank], carol);
  const carols = await pretended(carol);
  const before = { entry: world.directory.team(team.id)!.newest, seed: team.seed };
  const forged = await makeTeamRecord(team.id, [seatOf(carol)], { user: "carol", identity: carols.identity }, before);
  const records = { id: team.id, pharmacy: "riverside", kind: "pharmacists", records: [...team.texts, forged.text] };
  const seen = new Map<string, Pin>([["carol", carol.chain.pin()], [team.id, world.directory.team(team.id)!.pin()]]);
  for (const pins of [seen, new Map<string, Pin>()]) {
    const { directory, says } = directoryOf(bob);
    directory.keepPinsIn({ of: () => Promise.resolve(pins), move: () => Promise.resolve(), replace: () => Promise.resolve(), now: () => pins });
    says(records, item(world, carol, { entries: carols.entries }), item(world, frank));
    await directory.load([team.id, "carol", "frank"]);
    assert.equal(directory.faults.get(team.id)?.reason, "certificate");
    assert.equal(directory.known.team(team.id), undefined);
  }
});

test("a new member of a team, and a new key of a member who follows the old one, hold nothing", async () => {
  const world = new World();
  const [bob, carol, frank] = [await world.person("bob"), await world.person("carol"), await world.person("frank")];
  const team = await world.team("riverside_pharmacists", [carol], carol);
  const pins = new Map<string, Pin>([["carol", carol.chain.pin()], [team.id, world.directory.team(team.id)!.pin()]]);
  const identity = generateIdentity();
  const facts = { id: "carol", role: "person", gen: 2, kem: await publicKeyOf(generateSeed()) } as const;
  carol.entries.push(await makeNextEntry(facts, identity, carol.chain.newest, carol.identity, { before: carol.seed, now: generateSeed() }));
  carol.chain = good(await verifyUserChain("carol", carol.entries));
  world.directory.addUser(carol.chain);
  await world.team(team.id, [carol, frank], { ...carol, identity });
  const { texts } = world.teams.get(team.id)!;
  const { directory, says } = directoryOf(bob);
  const moved: string[] = [];
  directory.keepPinsIn({
    of: () => Promise.resolve(pins), move: (_, now) => { moved.push(...now.keys()); return Promise.resolve(); },
    replace: () => Promise.resolve(), now: () => pins,
  });
  says({ id: team.id, pharmacy: "riverside", kind: "pharmacists", records: texts }, item(world, carol), item(world, frank));
  await directory.load([team.id, "carol", "frank"]);
  assert.deepEqual([directory.faults.size, directory.sendingHeld(team.id), directory.known.team(team.id)?.newest.gen], [0, false, 2]);
  assert.ok(moved.includes(team.id));
});

test("a page that knew a colleague's older keys looks again before it says that a team does not verify", async () => {
  const world = new World();
  const [bob, carol, frank] = [await world.person("bob"), await world.person("carol"), await world.person("frank")];
  const { directory, says } = directoryOf(bob);
  const team = await world.team("riverside_pharmacists", [carol, frank], carol);
  const shown = (): DirectoryItem => ({ id: team.id, pharmacy: "riverside", kind: "pharmacists", records: world.teams.get(team.id)!.texts });
  says(shown(), item(world, carol), item(world, frank));
  await directory.load([team.id, "carol", "frank"]);
  // Frank starts again, Carol lets him in, and he signs.
  const anew = await pretended(frank);
  frank.entries.push(anew.entries.at(-1)!);
  frank.chain = good(await verifyUserChain("frank", frank.entries));
  world.directory.addUser(frank.chain);
  await world.team(team.id, [carol, frank], carol);
  await world.team(team.id, [carol, frank], { ...frank, identity: anew.identity });
  says(shown(), item(world, carol), item(world, frank));
  await directory.load([team.id], { fresh: true });
  assert.deepEqual([directory.faults.size, directory.known.team(team.id)?.newest.gen], [0, 3]);
});

test("who is let in, and the sheets that are added, have the keys whose number was drawn, or nothing is confirmed and sealed", async () => {
  const world = new World();
  const [bob, carol] = [await world.person("bob"), await world.person("carol")];
  const recovery = await world.person("riverside_recovery", "service");
  for (const one of [carol, recovery]) {
    const { directory, says } = directoryOf(bob);
    says(item(world, one));
    await directory.load([one.id]);
    const drawn = directory.known.chain(one.id)!.introduced.hash;
    // Between the drawing and the press the server has other keys for the same name.
    says(item(world, one, { entries: (await pretended(one)).entries }));
    await directory.load([one.id], { fresh: true });
    let confirmed = 0;
    directory.confirm = () => { confirmed += 1; return Promise.resolve(); };
    const ready = { directory, account: { id: "bob" } } as unknown as Ready;
    const team = { team: "riverside_pharmacists", seats: [] } as unknown as TeamItem;
    const press = (compared: Uint8Array<ArrayBuffer> | undefined): Promise<unknown> => one === carol
      ? admit(ready, generateUrk(), team, carol.id, { compared }) : addRecovery(ready, generateUrk(), team, { compared });
    for (const compared of [drawn, undefined]) {
      await assert.rejects(press(compared), (error) => error instanceof SeatRefused && error.account === one.id && error.fault === "anew");
    }
    assert.equal(confirmed, 0);
    await directory.confirmCompared(one.id, directory.known.chain(one.id)!.introduced.hash);
    assert.equal(confirmed, 1);
  }
});

test("the recovery of a pharmacy is listed where the record has it, or where its number was compared, and never on the server's word", async () => {
  const world = new World();
  const recovery = await world.person("riverside_recovery", "service");
  const wanted = [{ account: recovery.id, role: "service" }];
  const listed = [seatOf(recovery, "service")];
  const known = { chain: () => recovery.chain, held: () => false };
  const seat = seatOf(recovery, "service");
  assert.deepEqual(seatsFor(wanted, known, listed, new Map()), [seat]);
  assert.deepEqual(seatsFor(wanted, known, [], new Map()), []);
  const compared = new Map([[recovery.id, recovery.chain.introduced.hash]]);
  assert.deepEqual(seatsFor(wanted, known, [], compared), [seat]);
  // New sheets that nobody has compared hold up nobody; the team goes on without them.
  assert.deepEqual(seatsFor(wanted, { ...known, held: () => true }, listed, new Map()), []);
  assert.deepEqual(seatsFor(wanted, { ...known, chain: () => undefined }, listed, new Map()), []);
  assert.throws(() => seatsFor(wanted, known, listed, new Map([[recovery.id, randomBytes(32)]])), SeatRefused);
  const posing = await world.person("harbor_recovery").catch(() => undefined);
  assert.equal(posing, undefined);
});

test("a device has a name that a person knows again", () => {
  assert.equal(deviceName("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"), "Safari, iPhone");
  assert.equal(deviceName("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0"), "Edge, Windows");
  assert.equal(deviceName("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"), "Firefox, Linux");
  assert.equal(deviceName("something else"), "Browser");
});
