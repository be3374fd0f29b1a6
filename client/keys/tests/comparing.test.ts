import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pin } from "../../crypto/directory.ts";
import { type Bytes, b64, utf8 } from "../../crypto/encoding.ts";
import { teamNumber } from "../../crypto/safety.ts";
import { type TeamSeat, makeTeamRecord } from "../../crypto/teams.ts";
import { type Person, World } from "../../crypto/tests/world.ts";
import { judge, pictureAddress, pictureIn, readCompared, writeCompared } from "../comparing.ts";
import { type Compared, Directory, isWay } from "../directory.ts";
import type { DirectoryItem } from "../shapes.ts";

const TEAM = "riverside_pharmacists";
const PORTAL = "https://portal.example";

async function riverside(): Promise<{ readonly world: World; readonly alice: Person; readonly carol: Person; readonly erin: Person }> {
  const world = new World();
  const [alice, carol, erin] = [await world.person("alice"), await world.person("carol"), await world.person("erin")];
  await world.team(TEAM, [carol], carol);
  return { world, alice, carol, erin };
}

const pictureOf = (world: World): ReturnType<typeof pictureIn> =>
  pictureIn(new URL(pictureAddress(world.directory.team(TEAM)!, PORTAL)).hash);

test("a picture of a team is the same, also after others came and went", async () => {
  const { world, carol, erin } = await riverside();
  const picture = pictureOf(world)!;
  assert.deepEqual(judge(picture, world.directory.team(TEAM)!), { kind: "same", newer: 0 });
  await world.team(TEAM, [carol, erin], carol);
  await world.team(TEAM, [erin], erin);
  assert.deepEqual(judge(picture, world.directory.team(TEAM)!), { kind: "same", newer: 2 });
  assert.equal(picture.team, TEAM);
});

test("another team's picture, another chain and a chain that ends before what was printed are told apart", async () => {
  const { world, carol, erin } = await riverside();
  const other = await riverside();
  assert.deepEqual(judge(pictureOf(other.world)!, world.directory.team(TEAM)!), { kind: "other" });
  const before = world.directory.team(TEAM)!;
  await world.team("riverside_desk", [carol], carol);
  assert.deepEqual(judge(pictureOf(world)!, world.directory.team("riverside_desk")!), { kind: "other" });
  const seed = world.teams.get(TEAM)!.seed;
  await world.team(TEAM, [carol, erin], carol);
  const later = pictureOf(world)!;
  assert.deepEqual(judge(later, before), { kind: "behind" });
  // The same beginning, and another second generation.
  world.teams.set(TEAM, { id: TEAM, texts: world.teams.get(TEAM)!.texts.slice(0, 1), seed });
  world.directory.addTeam(before);
  await world.team(TEAM, [carol], carol);
  assert.deepEqual(judge(later, world.directory.team(TEAM)!), { kind: "other" });
});

test("what is no picture is not read", async () => {
  const { world } = await riverside();
  const { hash } = new URL(pictureAddress(world.directory.team(TEAM)!, PORTAL));
  assert.notEqual(pictureIn(hash), undefined);
  const bent = [hash.slice(0, -1), `${hash}A`, hash.replace(".1.", ".0."), hash.replace("#c", "#d"), hash.replace("riverside", "River")];
  for (const other of ["", "#", "#c=", ...bent]) {
    assert.equal(pictureIn(other), undefined, other);
  }
});

test("what is kept reads back, and what cannot be read is left out", async () => {
  const { world } = await riverside();
  const chain = world.directory.team(TEAM)!;
  const kept: Compared = { same: true, how: "phone", at: 5, pin: chain.pin(), number: teamNumber(chain).bytes };
  assert.deepEqual(readCompared(writeCompared(new Map([[TEAM, kept]]))), new Map([[TEAM, kept]]));
  const bad = { ok: { same: true, how: "smoke", at: 5, n: 1, hash: b64(chain.pin().hash), number: b64(kept.number) }, bad: { same: true } };
  const read = readCompared(new TextEncoder().encode(JSON.stringify(bad)));
  assert.deepEqual([...read.keys()], ["ok"]);
});

test("a way of comparing that a later version has kept is told as none, and stays when another team is compared", async () => {
  const { world } = await riverside();
  const chain = world.directory.team(TEAM)!;
  const text = (how: unknown): Bytes => utf8(JSON.stringify({
    [TEAM]: { same: false, how, at: 5, n: 1, hash: b64(chain.pin().hash), number: b64(teamNumber(chain).bytes) },
  }));
  const later = readCompared(text("smoke")).get(TEAM)!;
  assert.deepEqual([later.same, later.how, isWay(later.how), isWay("paper")], [false, "smoke", false, true]);
  assert.equal(readCompared(writeCompared(readCompared(text("smoke")))).get(TEAM)?.how, "smoke");
  // What holds sending is never dropped for the way.
  for (const odd of [3, null, undefined]) assert.deepEqual([readCompared(text(odd)).get(TEAM)?.same, readCompared(text(odd)).get(TEAM)?.how], [false, ""]);
});

/** Alice's directory, with what she pinned and compared; the server answers what it is told to say. */
function alices(alice: Person, pins: Map<string, Pin>, compared: Map<string, Compared>) {
  let items: readonly DirectoryItem[] = [];
  globalThis.fetch = (address) => Promise.resolve(Response.json(String(address) === "/api/session" ? { csrf: "x" } : { items }));
  const account = { id: alice.id, role: "patient", name: "Alice", language: "en", time_zone: null, large_text: false, pharmacy: null } as const;
  const directory = new Directory(alice.chain, { devices: [] } as unknown as ConstructorParameters<typeof Directory>[1], account);
  directory.keepPinsIn({
    of: () => Promise.resolve(pins), now: () => pins, move: () => Promise.resolve(),
    replace: ({ id }, pin) => { pins.set(id, pin); return Promise.resolve(); },
  });
  directory.keepComparisonsIn({
    load: () => Promise.resolve(), now: () => compared, keep: (team, one) => { compared.set(team, one); return Promise.resolve(); },
  });
  return { directory, says: (...said: readonly DirectoryItem[]) => { items = said; } };
}

const person = (one: Person): DirectoryItem =>
  ({ id: one.id, role: "pharmacist", pharmacy: "riverside", name: one.id, disabled: false, entries: one.entries, devices: [] });
const teamItem = (world: World, texts = world.teams.get(TEAM)!.texts): DirectoryItem =>
  ({ id: TEAM, pharmacy: "riverside", kind: "pharmacists", records: texts });

test("what was not the same holds sending on each device, until it is compared again and is", async () => {
  const { world, alice, carol } = await riverside();
  const compared = new Map<string, Compared>();
  const first = alices(alice, new Map(), compared);
  first.says(teamItem(world), person(carol));
  await first.directory.load([TEAM, "carol"]);
  assert.equal(first.directory.sendingHeld(TEAM), false);
  await first.directory.keepCompared((await first.directory.shownChain(TEAM))!, false, "picture");
  assert.deepEqual([first.directory.sendingHeld(TEAM), first.directory.notVerified(TEAM)], [true, true]);
  const second = alices(alice, new Map(), compared);
  second.says(teamItem(world), person(carol));
  await second.directory.load([TEAM, "carol"]);
  assert.equal(second.directory.sendingHeld(TEAM), true);
  await second.directory.keepCompared((await second.directory.shownChain(TEAM))!, true, "phone");
  assert.deepEqual([first.directory.sendingHeld(TEAM), second.directory.sendingHeld(TEAM)], [false, false]);
});

test("what was compared is a pin of its own, so that a server that loses the pins shows no other chain", async () => {
  const { world, alice, carol } = await riverside();
  const other = await riverside();
  const chain = world.directory.team(TEAM)!;
  const compared = new Map([[TEAM, { same: true, how: "picture", at: 5, pin: chain.pin(), number: teamNumber(chain).bytes } as const]]);
  const { directory, says } = alices(alice, new Map(), compared);
  says(teamItem(other.world), person(other.carol));
  await directory.load([TEAM, "carol"]);
  assert.equal(directory.faults.get(TEAM)?.reason, "fork");
  assert.deepEqual(directory.currentPins().get(TEAM), chain.pin());
  says(teamItem(world), person(carol));
  await directory.load([TEAM, "carol"], { fresh: true });
  assert.equal(directory.sendingHeld(TEAM), false);
});

test("what was compared counts where the server brings an older pin back", async () => {
  const { world, alice, carol, erin } = await riverside();
  const first = world.directory.team(TEAM)!;
  const before = { entry: first.newest, seed: world.teams.get(TEAM)!.seed };
  await world.team(TEAM, [carol, erin], carol);
  const chain = world.directory.team(TEAM)!;
  const compared = new Map([[TEAM, { same: true, how: "picture", at: 5, pin: chain.pin(), number: teamNumber(chain).bytes } as const]]);
  const { directory, says } = alices(alice, new Map([[TEAM, first.pin()]]), compared);
  const seat = { id: "carol", role: "pharmacist", who: carol.chain.who, kem: carol.chain.newest.kem } as const;
  const again = (await makeTeamRecord(TEAM, [seat], { user: "carol", identity: carol.identity }, before)).text;
  says(teamItem(world, [world.teams.get(TEAM)!.texts[0]!, again]), person(carol));
  await directory.load([TEAM, "carol"]);
  assert.equal(directory.faults.get(TEAM)?.reason, "fork");
  assert.deepEqual(directory.currentPins().get(TEAM), chain.pin());
});

test("another chain than the one seen holds sending until a person has compared it; one that does not verify always", async () => {
  const { world, alice, carol, erin } = await riverside();
  const before = { entry: world.directory.team(TEAM)!.newest, seed: world.teams.get(TEAM)!.seed };
  const seat = (one: Person): TeamSeat => ({ id: one.id, role: "pharmacist", who: one.chain.who, kem: one.chain.newest.kem });
  await world.team(TEAM, [carol, erin], carol);
  const pins = new Map([[TEAM, world.directory.team(TEAM)!.pin()]]);
  // The pharmacy's server came back from a copy, and Carol has made the second generation anew.
  const again = (await makeTeamRecord(TEAM, [seat(carol)], { user: "carol", identity: carol.identity }, before)).text;
  const texts = [world.teams.get(TEAM)!.texts[0]!, again];
  const { directory, says } = alices(alice, pins, new Map());
  says(teamItem(world, texts), person(carol));
  await directory.load([TEAM, "carol"]);
  assert.deepEqual([directory.faults.get(TEAM)?.reason, directory.sendingHeld(TEAM)], ["fork", true]);
  const shown = (await directory.shownChain(TEAM))!;
  assert.equal(shown.newest.members.length, 1);
  // Both ways of a fork have the number of the first generation.
  for (const how of ["paper", "phone"] as const) await assert.rejects(directory.keepCompared(shown, true, how), /settles no fork/);
  assert.deepEqual([directory.sendingHeld(TEAM), directory.compared(TEAM)], [true, undefined]);
  await directory.keepCompared(shown, true, "picture");
  assert.deepEqual([directory.sendingHeld(TEAM), directory.known.team(TEAM)?.newest.gen], [false, 2]);
  assert.deepEqual(pins.get(TEAM), shown.pin());

  const forged = (await makeTeamRecord(TEAM, [seat(carol)], { user: "carol", identity: erin.identity }, before)).text;
  const other = alices(alice, new Map(), new Map());
  other.says(teamItem(world, [texts[0]!, forged]), person(carol));
  await other.directory.load([TEAM, "carol"]);
  assert.equal(other.directory.sendingHeld(TEAM), true);
  assert.equal(await other.directory.shownChain(TEAM), undefined);
});
