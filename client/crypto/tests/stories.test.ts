import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { collect, openAttachment, sealAttachment, storedSize } from "../attachments.ts";
import { readBody, textBody } from "../bodies.ts";
import { makeRevocation, verifyRevocation } from "../certificates.ts";
import { makeNextEntry, verifyUserChain, walkBackSeeds } from "../directory.ts";
import { generateDeviceKey, signerOf } from "../ed25519.ts";
import { type Bytes, newId, randomBytes, sameBytes, utf8 } from "../encoding.ts";
import { makeReport, verifyReport } from "../franking.ts";
import { generateSeed, publicKeyOf } from "../hpke.ts";
import { generateIdentity } from "../hybrid.ts";
import { generateDeviceWrappingKey, openAtRest, sealAtRest, signSession, verifySession } from "../identity.ts";
import {
  openEncryptionSeed, openIdentity, openInbound, openObject, sealEncryptionSeed, sealIdentity, sealInbound, sealObject,
} from "../objects.ts";
import { type Content, Keys, ThreadReader } from "../open.ts";
import { bucket } from "../padding.ts";
import { type Reason, Refused, refused } from "../reasons.ts";
import { makeReceipt, verifyReceipt } from "../receipts.ts";
import { type MessageRecord, type RawRecord } from "../records.ts";
import {
  generateCode, generatePassphrase, generateUrk, passphraseFault, readCode, unwrapUrk, wordsNeeded, wrapByCode, wrapByPassphrase,
} from "../recovery.ts";
import { identityHeader, safetyNumber, teamHeader } from "../safety.ts";
import { sealHistory, sealRedact } from "../seal.ts";
import { type Heirs, openTeam, verifyTeamChain } from "../teams.ts";
import { ThreadState } from "../state.ts";
import { verifyTail } from "../verify.ts";
import { ENGLISH_WORDS } from "../words/english.ts";
import { KNOWN_PASSPHRASES } from "../words/known.ts";
import { SPANISH_WORDS } from "../words/spanish.ts";
import { Conversation, NOON, type Person, type World, good, lindenWorld } from "./world.ts";

let world: World;
let alice: Person;
let bob: Person;
let carol: Person;
let dave: Person;

before(async () => {
  ({ world, alice, bob, carol, dave } = await lindenWorld());
});

interface Reading {
  readonly refused: Reason | undefined;
  readonly contents: Map<number, Content>;
  readonly reader: ThreadReader;
}

async function read(thread: Conversation, keys: Keys, records: readonly RawRecord[] = thread.records): Promise<Reading> {
  const reader = new ThreadReader(new ThreadState(thread.thread), keys, world.directory);
  const contents = new Map<number, Content>();
  let reason: Reason | undefined;
  for await (const chunk of reader.read(records)) {
    for (const { record, content } of [...chunk.records, ...chunk.updates]) {
      if (content !== undefined) contents.set(record.header.seq, content);
    }
    reason = chunk.refused?.reason;
  }
  return { refused: reason, contents, reader };
}

function texts({ contents }: Reading): (string | undefined)[] {
  return [...contents].sort(([a], [b]) => a - b).map(([, content]) => (content.kind === "body" ? content.text : content.kind));
}

function teamKeys(person: Person, team: string): Keys {
  return world.keys(person).add(team, world.directory.team(team)!.newest.gen, world.teams.get(team)!.seed);
}

async function aliceAsks(): Promise<Conversation> {
  const thread = new Conversation(world);
  await thread.newEpoch(alice, [world.recipient("alice", "patient"), world.recipient("linden_pharmacists", "team")]);
  await thread.say(alice, "May I take ibuprofen with lisinopril?");
  await thread.say(bob, "Better paracetamol.");
  return thread;
}

function isRefused(value: unknown, reason: Reason): void {
  assert.ok(value instanceof Refused, `expected ${reason}`);
  assert.equal(value.reason, reason);
}

describe("a thread", () => {
  test("alice and bob read each other, carol and dave read nothing", async () => {
    const thread = await aliceAsks();
    const said = ["May I take ibuprofen with lisinopril?", "Better paracetamol."];
    assert.deepEqual(texts(await read(thread, world.keys(alice))), said);
    assert.deepEqual(texts(await read(thread, teamKeys(bob, "linden_pharmacists"))), said);
    for (const outsider of [teamKeys(carol, "rowan_pharmacists"), world.keys(dave)]) {
      const reading = await read(thread, outsider);
      assert.equal(reading.refused, undefined);
      assert.deepEqual(texts(reading), ["unreadable", "unreadable"]);
    }
  });

  test("carol cannot write into it", async () => {
    const thread = await aliceAsks();
    await thread.say(carol, "I only wanted to say hello");
    assert.equal((await read(thread, world.keys(alice))).refused, "not a member");
  });

  test("one bit changed anywhere in a record is noticed", async () => {
    const thread = await aliceAsks();
    const last = thread.records[2]!;
    for (const member of ["h", "sig", "ct", "cth"] as const) {
      const text = last[member]!;
      const at = Math.floor(text.length / 2);
      const changed = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
      const reading = await read(thread, world.keys(alice), [...thread.records.slice(0, 2), { ...last, [member]: changed }]);
      assert.notEqual(reading.refused, undefined, member);
    }
  });

  test("who renews the own key writes on, in a page that had read before", async () => {
    const { world: other, alice: her, bob: his } = await lindenWorld();
    const members = () => [other.recipient("alice", "patient"), other.recipient("linden_pharmacists", "team")];
    const thread = new Conversation(other);
    await thread.newEpoch(her, members());
    await thread.say(her, "before");
    const keys = other.keys(his).add("linden_pharmacists", 1, other.teams.get("linden_pharmacists")!.seed);
    const reader = new ThreadReader(new ThreadState(thread.thread), keys, other.directory);
    for await (const chunk of reader.read(thread.records)) assert.equal(chunk.refused, undefined);
    const next = await makeNextEntry(
      { id: "alice", role: "person", gen: 2, kem: await publicKeyOf(generateSeed()) }, her.identity, her.chain.newest, her.identity, undefined,
    );
    other.directory.addUser(good(await verifyUserChain("alice", [...her.entries, next])));
    await thread.newEpoch(his, members());
    await thread.say(her, "after");
    for await (const chunk of reader.read(thread.records.slice(2))) assert.equal(chunk.refused, undefined);
    assert.equal(reader.state.seq, 4);
  });

  test("a message taken back is shown as such, also after the fact", async () => {
    const thread = await aliceAsks();
    await thread.add(sealRedact(thread.place(alice), 1, 2, "wrong thread", alice.signer));
    const reader = new ThreadReader(new ThreadState(thread.thread), world.keys(alice), world.directory);
    const updates = [];
    for await (const chunk of reader.read(thread.records, { chunk: 1 })) updates.push(...chunk.updates);
    assert.deepEqual(updates.map(({ record, content }) => [record.header.seq, content]), [[2, { kind: "redacted" }]]);
    await thread.add(sealRedact(thread.place(alice), 1, 3, "not hers", alice.signer));
    assert.equal((await read(thread, world.keys(alice))).refused, "redact");
  });

  test("who joins later reads the past through a history record, chunk by chunk and all at once", async () => {
    const thread = new Conversation(world);
    await thread.newEpoch(bob, [world.recipient("linden_pharmacists", "team")]);
    await thread.say(bob, "A note before Alice enrolled");
    await thread.newEpoch(bob, [world.recipient("linden_pharmacists", "team"), world.recipient("alice", "patient")]);
    assert.deepEqual(texts(await read(thread, world.keys(alice))), ["unreadable"]);
    const to = { ...world.recipient("alice", "patient") };
    await thread.add(sealHistory(thread.place(bob), 2, to, [{ epoch: 1, secret: thread.secrets[0]! }], bob.signer));
    assert.deepEqual(texts(await read(thread, world.keys(alice))), ["A note before Alice enrolled"]);
    const reader = new ThreadReader(new ThreadState(thread.thread), world.keys(alice), world.directory);
    await reader.learn([0, 2, 3].map((index) => thread.records[index]!));
    for await (const chunk of reader.read(thread.records.slice(0, 2))) {
      assert.equal(chunk.records[1]!.content!.kind, "body", "the secret is there before the history record's turn");
    }
  });

  test("a device that is taken back writes no more", async () => {
    const phone = await world.person("erin");
    const thread = new Conversation(world);
    const members = [world.recipient("erin", "patient"), world.recipient("linden_pharmacists", "team")];
    await thread.newEpoch(phone, members);
    const claimed = { user: "erin", dev: phone.dev };
    await thread.newEpoch(bob, members, [phone.dev]);
    assert.equal((await read(thread, world.keys(phone))).refused, "revoked", "nobody has taken it back yet");
    const revocation = await makeRevocation(phone.identity, { ...claimed, ts: NOON });
    isRefused(await verifyRevocation(revocation, { user: "erin", dev: "another" }, phone.chain.identities()), "revocation");
    isRefused(await verifyRevocation(revocation, claimed, alice.chain.identities()), "revocation");
    world.directory.addRevocation(good(await verifyRevocation(revocation, claimed, phone.chain.identities())));
    assert.equal((await read(thread, world.keys(phone))).refused, undefined);
    await thread.say(phone, "too late");
    assert.equal((await read(thread, world.keys(phone))).refused, "revoked");
  });

  test("a report proves who wrote what", async () => {
    const thread = await aliceAsks();
    const reading = await read(thread, world.keys(alice));
    const content = reading.contents.get(3)!;
    assert.ok(content.kind === "body");
    const reader = new ThreadReader(new ThreadState(thread.thread), world.keys(alice), world.directory);
    let message: MessageRecord | undefined;
    for await (const chunk of reader.read(thread.records)) message = chunk.records[2]!.record as MessageRecord;
    const report = makeReport(message!, content.text, content.frankingKey);
    assert.equal(good(await verifyReport(report, world.directory)).header.user, "bob");
    isRefused(await verifyReport({ ...report, body: "Take ten of them" }, world.directory), "frank");
  });

  test("the newest page is shown early and withdrawn if the past does not hold", async () => {
    const thread = await aliceAsks();
    for (let index = 0; index < 10; index += 1) await thread.say(index % 2 ? bob : alice, `message ${index}`);
    const [first, ...rest] = thread.records;
    const tail = good(await verifyTail(thread.thread, [first!], rest.slice(-4), world.directory));
    assert.equal(tail.state.seq, 13);
    assert.equal(tail.state.since, 9);
    isRefused(await verifyTail(thread.thread, [first!], [...rest.slice(-4, -2), ...rest.slice(-1)], world.directory), "sequence");
    isRefused(await verifyTail(thread.thread, [], rest.slice(-4), world.directory), "epoch");
    const forged = await read(thread, world.keys(alice), [first!, rest[1]!, rest[0]!, ...rest.slice(2)]);
    assert.equal(forged.refused, "sequence");
  });
});

describe("receipts", () => {
  let thread: Conversation;
  let state: ThreadState;

  before(async () => {
    thread = await aliceAsks();
    state = (await read(thread, world.keys(alice))).reader.state;
  });

  const about = (person: Person, seq: number, head: Bytes = state.heads.get(seq) ?? randomBytes(32)) =>
    makeReceipt({ thread: thread.thread, seq, head, kind: "read", dev: person.dev, ts: NOON }, person.signer);

  test("alice's and bob's receipts hold, dave's does not", async () => {
    assert.equal(good(await verifyReceipt(await about(alice, 3), "alice", state, world.directory)).seq, 3);
    assert.equal(good(await verifyReceipt(await about(bob, 2), "bob", state, world.directory)).kind, "read");
    isRefused(await verifyReceipt(await about(dave, 3), "dave", state, world.directory), "not a member");
  });

  test("another head, a place beyond the end, another's device and another's signature are refused", async () => {
    isRefused(await verifyReceipt(await about(alice, 3, randomBytes(32)), "alice", state, world.directory), "fork");
    isRefused(await verifyReceipt(await about(alice, 4), "alice", state, world.directory), "sequence");
    isRefused(await verifyReceipt(await about(bob, 3), "alice", state, world.directory), "certificate");
    const forged = { ...(await about(alice, 3)), sig: (await about(bob, 3)).sig };
    isRefused(await verifyReceipt(forged, "alice", state, world.directory), "signature");
  });
});

describe("key chains", () => {
  test("a new generation hands the old seed on, and pins hold", async () => {
    const seed = generateSeed();
    const first = alice.chain.newest;
    const next = await makeNextEntry(
      { id: "alice", role: "person", gen: 2, kem: await publicKeyOf(seed) }, alice.identity, first, alice.identity,
      { before: alice.seed, now: seed },
    );
    const chain = good(await verifyUserChain("alice", [...alice.entries, next], alice.chain.pin()));
    assert.equal(chain.resetSince(alice.chain.pin()), undefined);
    const seeds = good(await walkBackSeeds(chain, seed));
    assert.deepEqual(seeds.get(1), alice.seed);
    isRefused(await walkBackSeeds(chain, generateSeed()), "wrap");
    isRefused(await verifyUserChain("alice", alice.entries, chain.pin()), "rollback");
    isRefused(await verifyUserChain("dave", [...alice.entries, next]), "chain");
    isRefused(await verifyUserChain("alice", [{ ...next, prevsig: next.sig.slice(0, -2) }]), "sequence");
    const other = await makeNextEntry(
      { id: "alice", role: "person", gen: 2, kem: await publicKeyOf(generateSeed()) }, alice.identity, first, alice.identity, undefined,
    );
    isRefused(await verifyUserChain("alice", [...alice.entries, other], chain.pin()), "fork");
    assert.deepEqual(identityHeader(chain), first.h, "the safety number survives a new encryption key");
  });

  test("a server that puts its own identity in is noticed, a reset is held for a person to confirm", async () => {
    const mallory = generateIdentity();
    const facts = { id: "alice", role: "person" as const, gen: 2, kem: await publicKeyOf(generateSeed()) };
    const forged = await makeNextEntry(facts, mallory, alice.chain.newest, mallory, undefined);
    isRefused(await verifyUserChain("alice", [...alice.entries, forged]), "certificate");
    const reset = await makeNextEntry(facts, mallory, alice.chain.newest, undefined, undefined);
    const chain = good(await verifyUserChain("alice", [...alice.entries, reset], alice.chain.pin()));
    assert.equal(chain.resetSince(alice.chain.pin())?.n, 2);
    assert.notDeepEqual(safetyNumber([identityHeader(chain)]), safetyNumber([identityHeader(alice.chain)]));
  });
});

describe("a team", () => {
  test("who joins reads back, who left reads nothing newer, outsiders cannot sign", async () => {
    const fern = await world.person("fern");
    await world.team("oak_pharmacists", [bob], bob);
    const firstSeed = world.teams.get("oak_pharmacists")!.seed;
    await world.team("oak_pharmacists", [bob, fern], bob);
    const chain = world.directory.team("oak_pharmacists")!;
    const seeds = good(await openTeam(chain, "fern", 1, world.keys(fern)))!;
    assert.deepEqual(seeds.get(1), firstSeed);
    assert.equal(seeds.size, 2);
    assert.equal(await openTeam(chain, "dave", 1, world.keys(dave)), undefined);
    await world.team("oak_pharmacists", [fern], fern);
    const third = world.directory.team("oak_pharmacists")!;
    assert.equal(await openTeam(third, "bob", 1, world.keys(bob)), undefined, "Bob has left");
    const texts = world.teams.get("oak_pharmacists")!.texts;
    const heirs: Heirs = (user, who) => world.directory.heirs(user, who);
    isRefused(await verifyTeamChain("oak_pharmacists", [texts[0]!, { ...texts[1]!, by: "carol" }], heirs), "creator");
    isRefused(await verifyTeamChain("oak_pharmacists", texts.slice(0, 2), heirs, third.pin()), "rollback");
    isRefused(await verifyTeamChain("oak_pharmacists", [texts[0]!, { ...texts[1]!, w: texts[0]!.w }], heirs), "wrap list");
    assert.deepEqual(teamHeader(third), chain.records[0]!.h);
  });
});

describe("sealed objects", () => {
  const facts = { owner: "alice", kind: "draft", id: "d1", rev: 3, gen: 1, dev: "alice_phone", ts: NOON };
  const wanted = { owner: "alice", kind: "draft", id: "d1", seenRev: 3 };

  test("alice's draft opens for alice only, in its own place and not older than seen", async () => {
    const object = await sealObject(facts, alice.seed, utf8("half a sentence"), alice.signer);
    const open = (where = wanted, seed: Bytes = alice.seed) => openObject(object, where, world.directory, () => seed);
    assert.deepEqual(good(await open()).content, utf8("half a sentence"));
    isRefused(await open(wanted, dave.seed), "aead");
    isRefused(await open({ ...wanted, id: "d2" }), "object");
    isRefused(await open({ ...wanted, seenRev: 4 }), "rollback");
    const byDave = await sealObject({ ...facts, dev: "dave_phone" }, alice.seed, utf8("x"), dave.signer);
    isRefused(await openObject(byDave, wanted, world.directory, () => alice.seed), "not a member");
    isRefused(await openObject({ ...object, sig: byDave.sig }, wanted, world.directory, () => alice.seed), "signature");
  });

  test("mail that came in opens for the team", async () => {
    const entry = world.directory.user("linden_pharmacists")!;
    const id = newId();
    const inbound = await sealInbound({ team: entry.id, gen: entry.gen, id, ts: NOON, via: "mail" }, entry.kem, utf8("Dear all"));
    const seed = world.teams.get("linden_pharmacists")!.seed;
    const opened = good(await openInbound(inbound, { team: entry.id, id }, world.directory, () => seed));
    assert.deepEqual(opened.content, utf8("Dear all"));
    isRefused(await openInbound(inbound, { team: entry.id, id: newId() }, world.directory, () => seed), "object");
    isRefused(await openInbound(inbound, { team: entry.id, id }, world.directory, () => dave.seed), "wrap");
  });
});

describe("recovery", () => {
  test("the root key opens by passphrase and by code, and gives back all seeds", async () => {
    const urk = generateUrk();
    const passphrase = generatePassphrase(ENGLISH_WORDS);
    const code = generateCode();
    const byPassphrase = await wrapByPassphrase("alice", urk, passphrase);
    const byCode = good(await wrapByCode("alice", urk, code));
    assert.deepEqual(good(await unwrapUrk(byPassphrase, "alice", `  ${passphrase.replaceAll(" ", "\n ")}`)), urk);
    assert.deepEqual(good(await unwrapUrk(byCode, "alice", code.toLowerCase().replaceAll("-", " "))), urk);
    isRefused(await unwrapUrk(byCode, "alice", generateCode()), "aead");
    isRefused(await unwrapUrk(byPassphrase, "dave", passphrase), "object");
    isRefused(await unwrapUrk({ ...byPassphrase, params: "argon2id,v=19,m=8,t=1,p=1" }, "alice", passphrase), "parameters");
    isRefused(await unwrapUrk({ ...byPassphrase, params: "argon2id,v=19,m=99999999,t=3,p=1" }, "alice", passphrase), "parameters");
    const uik = await sealIdentity(urk, "alice", 1, alice.identity, NOON);
    const puk = await sealEncryptionSeed(urk, "alice", 1, alice.seed, NOON);
    assert.deepEqual(good(await openIdentity(uik, urk, alice.chain, 1)), alice.identity);
    assert.deepEqual(good(await openEncryptionSeed(puk, urk, alice.chain, 1)), alice.seed);
    isRefused(await openEncryptionSeed(puk, generateUrk(), alice.chain, 1), "aead");
    isRefused(await openEncryptionSeed(puk, urk, alice.chain, 2), "object");
    isRefused(await openEncryptionSeed(await sealEncryptionSeed(urk, "alice", 1, dave.seed, NOON), urk, alice.chain, 1), "member key");
  });

  test("a mistyped code is noticed before anything is tried", () => {
    const code = generateCode();
    assert.match(code, /^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{2}[0-9A-Z*~$=]$/);
    assert.equal(readCode(code.replaceAll("0", "o").replaceAll("1", "l")), readCode(code));
    const symbols = code.replaceAll("-", "");
    for (let at = 0; at < 26; at += 1) {
      const other = symbols[at] === "7" ? "8" : "7";
      assert.throws(() => readCode(symbols.slice(0, at) + other + symbols.slice(at + 1)), Refused, `symbol ${at}`);
    }
    assert.throws(() => readCode(symbols.slice(1)), Refused);
  });

  test("generated passphrases have 64 bit in both languages, known ones are not taken", () => {
    for (const words of [ENGLISH_WORDS, SPANISH_WORDS]) {
      assert.equal(new Set(words).size, words.length);
      assert.ok(words.every((word) => /^[a-z-]+$/.test(word)));
      assert.ok(wordsNeeded(words) * Math.log2(words.length) >= 64);
      assert.equal(generatePassphrase(words).split(" ").length, wordsNeeded(words));
    }
    assert.equal(wordsNeeded(ENGLISH_WORDS), 5);
    assert.equal(passphraseFault("nineteen characters", KNOWN_PASSPHRASES), "too short");
    assert.equal(passphraseFault("Correct-Horse-Battery-Staple!", KNOWN_PASSPHRASES), "known");
    assert.equal(passphraseFault("ababababababababababababab", KNOWN_PASSPHRASES), "known");
    assert.equal(passphraseFault("my aunt keeps bees in Bristol", KNOWN_PASSPHRASES), undefined);
  });
});

describe("a device", () => {
  test("seeds at rest open with this device, this share, in this place", async () => {
    const dek = await generateDeviceWrappingKey();
    const share = randomBytes(32);
    const place = { user: "alice", dev: "alice_phone", what: "puk", owner: "alice", gen: 1 } as const;
    const kept = await sealAtRest(dek, share, place, alice.seed);
    assert.deepEqual(await openAtRest(dek, share, place, kept), alice.seed);
    assert.equal(await openAtRest(dek, randomBytes(32), place, kept), undefined);
    assert.equal(await openAtRest(await generateDeviceWrappingKey(), share, place, kept), undefined);
    assert.equal(await openAtRest(dek, share, { ...place, gen: 2 }, kept), undefined);
  });

  test("its key signs the session and cannot be exported", async () => {
    const { publicKey, kept } = await generateDeviceKey();
    assert.ok(kept.kind === "handle");
    await assert.rejects(crypto.subtle.exportKey("pkcs8", kept.handle));
    const signature = await signSession(await signerOf(kept, publicKey), "alice_phone", utf8("sixteen bytes at least"));
    assert.equal(await verifySession(publicKey, "alice_phone", utf8("sixteen bytes at least"), signature), undefined);
    isRefused(await verifySession(publicKey, "bob_phone", utf8("sixteen bytes at least"), signature), "signature");
    isRefused(await verifySession(publicKey, "alice_phone", utf8("too short"), signature), "form");
  });
});

describe("attachments", () => {
  async function seal(size: number): Promise<{ file: Bytes; parts: Bytes[]; made: Awaited<ReturnType<typeof sealOf>> }> {
    const file = new Uint8Array(size).map((_, index) => index % 251);
    const parts: Bytes[] = [];
    return { file, parts, made: await sealOf(file, parts) };
  }
  async function sealOf(file: Bytes, parts: Bytes[]) {
    const sealing = sealAttachment("0".repeat(32), "a1", [file], file.length);
    for (;;) {
      const step = await sealing.next();
      if (step.done) return step.value;
      parts.push(step.value);
    }
  }

  for (const size of [0, 1, 256, 16_384, 1_000_000, 3_000_000]) {
    test(`${size} bytes go and come in parts of at most 1 MiB`, async () => {
      const { file, parts, made } = await seal(size);
      assert.ok(parts.every((part) => part.length <= 1024 * 1024));
      assert.equal(parts.reduce((sum, part) => sum + part.length, 0), storedSize(size));
      assert.equal(made.stored, storedSize(size));
      const facts = { thread: "0".repeat(32), id: "a1", key: made.key, size, cth: made.cth, hash: made.hash };
      assert.ok(sameBytes(await collect(openAttachment(facts, parts)), file));
      await assert.rejects(collect(openAttachment({ ...facts, id: "a2" }, parts)), Refused);
      await assert.rejects(collect(openAttachment({ ...facts, size: bucket(size) + 1 }, parts)), Refused);
      await assert.rejects(collect(openAttachment({ ...facts, cth: randomBytes(32) }, parts)), Refused);
      await assert.rejects(collect(openAttachment({ ...facts, hash: randomBytes(32) }, parts)), Refused);
    });
  }
});

describe("bodies", () => {
  test("what this version writes it reads, what it does not know it names", () => {
    const id = newId();
    const file = { id: "a1", key: "k", name: "scan.png", type: "image/png", size: 3, hash: "h" };
    const body = readBody(textBody({ id, text: "Hello", subject: "Refill", files: [file] }));
    assert.deepEqual(body, { kind: "text", id, subject: "Refill", text: "Hello", inReplyTo: undefined, fhir: [], files: [file] });
    assert.deepEqual(readBody(JSON.stringify({ id, type: "poll" })), { kind: "newer", id, type: "poll" });
    assert.equal(readBody("not JSON").kind, "newer");
    assert.equal(readBody(`{"id":"${id}","type":"text","text":"a","text":"b"}`).kind, "newer", "a name twice");
  });
});

test("safety numbers are twelve groups of five and do not depend on the order", () => {
  const [one, other] = [identityHeader(alice.chain), identityHeader(bob.chain)];
  const number = safetyNumber([one, other]);
  assert.deepEqual(number, safetyNumber([other, one]));
  assert.equal(number.groups.length, 12);
  assert.ok(number.groups.every((group) => /^[0-9]{5}$/.test(group)));
  assert.match(number.qr, /^rxe2ee:1:[A-Za-z0-9_-]{40}$/);
});

test("refusals are values", () => {
  assert.ok(refused(new Refused("form")));
  assert.equal(new Refused("form", "why").at(3).seq, 3);
});
