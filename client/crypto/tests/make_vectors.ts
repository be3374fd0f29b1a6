// Makes the vectors of this language for the other one: node client/test.mjs --make-vectors
// Every run makes fresh keys; what is committed is one run, and every file is run here too before anybody else reads it.

import { writeFileSync } from "node:fs";
import path from "node:path";

import { attachmentContext, collect, sealAttachment, sealChunks } from "../attachments.ts";
import { makeCertificate, makeRevocation } from "../certificates.ts";
import { type EntryText, makeEntryAhead, makeFirstEntry, makeNextEntry, verifyUserChain } from "../directory.ts";
import { signerFromSeed } from "../ed25519.ts";
import { type Bytes, aesSeal, b64, concat, hkdf, newId, pae, randomBytes, sha256, unb64, utf8 } from "../encoding.ts";
import { makeReport } from "../franking.ts";
import { passkeyFactor, pinFactor, sealGuard } from "../guard.ts";
import { acceptableEnc, generateSeed, publicKeyOf, seal } from "../hpke.ts";
import { generateIdentity, identityKeys, sign } from "../hybrid.ts";
import { signSession } from "../identity.ts";
import { sealEncryptionSeed, sealIdentity, sealInbound, sealObject } from "../objects.ts";
import { ThreadReader } from "../open.ts";
import { makeReceipt } from "../receipts.ts";
import { type MessageRecord } from "../records.ts";
import { generateCode, generateUrk, offerName, prfInput, readCode, wrapByCode, wrapByDevice, wrapByPasskey, wrapByPassphrase } from "../recovery.ts";
import { identityHeader, safetyNumber, teamHeader } from "../safety.ts";
import { type Place, sealEpoch, sealHistory, sealRedact } from "../seal.ts";
import { generateOrk, recoveryKeys, splitOrk, writeSheet } from "../sheets.ts";
import { makeTeamRecord } from "../teams.ts";
import { ThreadState } from "../state.ts";
import { verifyThread } from "../verify.ts";
import { runVectorFile } from "./vectors.ts";
import { Conversation, NOON, type Person, World, good, lindenWorld } from "./world.ts";

type Case = Readonly<Record<string, unknown>> & { readonly name: string };
const files = new Map<string, Case[]>();

function ok(file: string, one: Case): void {
  add(file, { ...one, expect: "ok" });
}

function reject(file: string, why: string | readonly string[], one: Case): void {
  add(file, { ...one, expect: "reject", ...(typeof why === "string" ? { why } : { why_any: why }) });
}

function add(file: string, one: Case): void {
  files.set(file, [...(files.get(file) ?? []), one]);
}

/** A text with one b64 character changed in the middle. */
function bent(text: string): string {
  const at = Math.floor(text.length / 2);
  return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
}

/** Changes members of a signed header without signing again. */
function rewritten(h: string, change: Readonly<Record<string, unknown>>): Bytes {
  const members = JSON.parse(new TextDecoder().decode(unb64(h))) as Record<string, unknown>;
  return utf8(JSON.stringify({ ...members, ...change }));
}

interface Text {
  readonly users: Record<string, readonly EntryText[]>;
  readonly teams: Record<string, readonly unknown[]>;
  readonly devices: Record<string, unknown>;
  readonly revocations: unknown[];
}

function worldText(world: World, people: readonly Person[], teams: readonly string[]): Text {
  return {
    users: Object.fromEntries(people.map((person) => [person.id, person.entries])),
    teams: Object.fromEntries(teams.map((team) => [team, world.teams.get(team)!.texts])),
    devices: Object.fromEntries(people.map((person) => [person.dev, world.directory.device(person.dev)])),
    revocations: [],
  };
}

function keyText(id: string, gen: number, seed: Bytes): unknown {
  return { id, gen, seed: b64(seed) };
}

async function hybrid(): Promise<void> {
  const seeds = generateIdentity();
  const other = generateIdentity();
  const { ed, ml } = await identityKeys(seeds);
  const message = utf8("signed twice");
  const sig = await sign(seeds, message);
  const foreign = await sign(other, message);
  const [edHalf, mlHalf] = sig.split(".");
  const one = { ed: b64(ed), ml: b64(ml), message: b64(message) };
  ok("hybrid", { name: "both halves", ...one, sig });
  reject("hybrid", "certificate", { name: "only the Ed25519 half", ...one, sig: `${edHalf}.${foreign.split(".")[1]}` });
  reject("hybrid", "certificate", { name: "only the ML-DSA half", ...one, sig: `${foreign.split(".")[0]}.${mlHalf}` });
  reject("hybrid", "certificate", { name: "another message", ...one, message: b64(utf8("signed once")), sig });
  reject("hybrid", "certificate", { name: "one half alone", ...one, sig: edHalf });
  reject("hybrid", "certificate", { name: "three parts", ...one, sig: `${sig}.` });
  reject("hybrid", "certificate", { name: "halves exchanged", ...one, sig: `${mlHalf}.${edHalf}` });
}

async function hpke(): Promise<void> {
  const seed = generateSeed();
  const publicKey = await publicKeyOf(seed);
  const info = pae("wrap", utf8("{}"), "alice", 1);
  const content = randomBytes(32);
  const sealed = await seal(publicKey, info, content);
  const one = { seed: b64(seed), public: b64(publicKey), info: b64(info), sealed: b64(sealed), plain: b64(content) };
  ok("hpke", { name: "32 bytes", ...one });
  ok("hpke", { name: "nothing", ...one, sealed: b64(await seal(publicKey, info, new Uint8Array(0))), plain: "" });
  const long = new Uint8Array(30_000).fill(7);
  ok("hpke", { name: "a long info", ...one, info: b64(long), sealed: b64(await seal(publicKey, long, content)) });
  reject("hpke", "wrap", { name: "another info", ...one, info: b64(pae("wrap", utf8("{}"), "alice", 2)) });
  reject("hpke", "wrap", { name: "another key", ...one, seed: b64(generateSeed()) });
  reject("hpke", "wrap", { name: "one bit", ...one, sealed: bent(one.sealed) });
  reject("hpke", "wrap", { name: "too short", ...one, sealed: b64(sealed.slice(0, 1135)) });
  for (const [index, u] of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(30), 0x80)].entries()) {
    const enc = sealed.slice();
    enc.set(u, 1088);
    if (acceptableEnc(enc.slice(0, 1120))) throw new Error("a small u value was meant");
    reject("hpke", "wrap", { name: `X25519 part of small order ${index}`, ...one, sealed: b64(enc) });
  }
}

async function chains(): Promise<void> {
  const identity = generateIdentity();
  const [first, second] = [generateSeed(), generateSeed()];
  const facts = async (gen: number, seed: Bytes) => ({ id: "alice", role: "person" as const, gen, kem: await publicKeyOf(seed) });
  const one = await makeFirstEntry(await facts(1, first), identity);
  const chain = good(await verifyUserChain("alice", [one]));
  const two = await makeNextEntry(await facts(2, second), identity, chain.newest, identity, { before: first, now: second });
  const grown = good(await verifyUserChain("alice", [one, two]));
  const renewed = generateIdentity();
  const three = await makeNextEntry(await facts(2, second), renewed, grown.newest, identity, undefined);
  const four = await makeNextEntry(await facts(3, generateSeed()), generateIdentity(), grown.newest, undefined, undefined);
  const pin = (of: typeof chain) => ({ n: of.newest.n, hash: b64(of.newest.hash) });
  const base = { id: "alice", pin: null };
  ok("directory", { name: "one entry", ...base, entries: [one], n: 1, gen: 1, resets: [] });
  ok("directory", { name: "a new generation", ...base, entries: [one, two], pin: pin(chain), n: 2, gen: 2, resets: [] });
  ok("directory", { name: "a new identity, signed by the one before", ...base, entries: [one, two, three], n: 3, gen: 2, resets: [] });
  ok("directory", { name: "a reset above the pin", ...base, entries: [one, two, four], pin: pin(grown), n: 3, gen: 3, resets: [3] });
  reject("directory", "rollback", { name: "ends before the pin", ...base, entries: [one], pin: pin(grown) });
  const otherTwo = await makeNextEntry(await facts(2, generateSeed()), identity, chain.newest, identity, undefined);
  reject("directory", "fork", { name: "another entry at the pin", ...base, entries: [one, otherTwo], pin: pin(grown) });
  const mallory = generateIdentity();
  const forged = await makeNextEntry(await facts(2, second), mallory, chain.newest, mallory, undefined);
  reject("directory", "certificate", { name: "the server's own identity", ...base, entries: [one, forged] });
  reject("directory", "form", { name: "neither prevsig nor reset", ...base, entries: [one, { h: two.h, sig: two.sig }] });
  reject("directory", "form", { name: "both prevsig and reset", ...base, entries: [one, two, { ...four, prevsig: three.prevsig }] });
  reject("directory", "sequence", { name: "an entry left out", ...base, entries: [one, three] });
  reject("directory", "chain", { name: "prev of another entry", ...base, entries: [one, otherTwo, three] });
  reject("directory", "certificate", { name: "own signature bent", ...base, entries: [{ ...one, sig: bent(one.sig) }] });
  const sameKey = await makeNextEntry(await facts(2, first), identity, chain.newest, identity, undefined);
  reject("directory", "member key", { name: "a new generation with the old key", ...base, entries: [one, sameKey] });
  const leap = await makeNextEntry(await facts(3, second), identity, chain.newest, identity, undefined);
  reject("directory", "member key", { name: "a generation left out", ...base, entries: [one, leap] });
  const softReset = await makeNextEntry(await facts(1, first), generateIdentity(), chain.newest, undefined, undefined);
  reject("directory", "member key", { name: "a reset without new generation", ...base, entries: [one, softReset] });
  const dave = await makeNextEntry({ ...await facts(2, second), id: "dave" }, identity, chain.newest, identity, undefined);
  reject("directory", "chain", { name: "an entry of somebody else", ...base, entries: [one, dave] });
  const service = await makeNextEntry({ ...await facts(2, second), role: "service" }, identity, chain.newest, identity, undefined);
  reject("directory", "chain", { name: "another role", ...base, entries: [one, service] });

  const ahead = await makeEntryAhead(await facts(1, first), identity);
  const begun = good(await verifyUserChain("alice", [ahead])).newest;
  const taken = await makeNextEntry(await facts(2, second), renewed, begun, identity, { before: first, now: second });
  ok("directory", { name: "made ahead by a colleague", ...base, entries: [ahead], n: 1, gen: 1, resets: [] });
  ok("directory", { name: "made ahead, and taken over", ...base, entries: [ahead, taken], n: 2, gen: 2, resets: [] });
  const onlyAKey = await makeNextEntry(await facts(2, second), identity, begun, identity, undefined);
  reject("directory", "member key", { name: "the identity made ahead stays", ...base, entries: [ahead, onlyAKey] });
  const onlyAnIdentity = await makeNextEntry(await facts(1, first), renewed, begun, identity, undefined);
  reject("directory", "member key", { name: "the encryption key made ahead stays", ...base, entries: [ahead, onlyAnIdentity] });
  const serviceAhead = await makeEntryAhead({ ...await facts(1, first), role: "service" }, identity);
  reject("directory", "form", { name: "a service made ahead", ...base, entries: [serviceAhead] });

  const seeds = { 1: b64(first), 2: b64(second) };
  ok("prevseeds", { name: "back to the key made ahead", id: "alice", entries: [ahead, taken], seed: b64(second), seeds });
  ok("prevseeds", { name: "one step back", id: "alice", entries: [one, two], seed: b64(second), seeds });
  reject("prevseeds", "wrap", { name: "another seed", id: "alice", entries: [one, two], seed: b64(generateSeed()) });
  const wrong = await makeNextEntry(await facts(2, second), identity, chain.newest, identity, { before: generateSeed(), now: second });
  reject("prevseeds", "wrap", { name: "hides another seed", id: "alice", entries: [one, wrong], seed: b64(second) });

  const device = await signerFromSeed(randomBytes(32));
  const other = await signerFromSeed(randomBytes(32));
  const claimed = { user: "alice", dev: "phone" };
  const certificate = await makeCertificate(identity, device, { ...claimed, ts: NOON });
  const certified = { entries: [one], ...claimed };
  ok("certificates", { name: "by the identity", ...certified, certificate });
  ok("certificates", { name: "by an earlier identity", ...certified, entries: [one, two, three], certificate });
  const byRenewed = await makeCertificate(renewed, device, { ...claimed, ts: NOON });
  ok("certificates", { name: "by a later identity", ...certified, entries: [one, two, three], certificate: byRenewed });
  reject("certificates", "certificate", { name: "by an identity not in the chain", ...certified, certificate: byRenewed });
  ok("certificates", { name: "by one's own identity, after one made ahead", ...certified, entries: [ahead, taken], certificate: byRenewed });
  for (const entries of [[ahead], [ahead, taken]]) {
    reject("certificates", "certificate", { name: `by an identity made ahead, ${entries.length} entries`, ...certified, entries, certificate });
  }
  reject("certificates", "certificate", { name: "of another device", ...certified, dev: "tablet", certificate });
  const named = await makeCertificate(identity, device, { user: "dave", dev: "phone", ts: NOON });
  reject("certificates", "certificate", { name: "names somebody else", ...certified, certificate: named });
  reject("certificates", "certificate", { name: "pop bent", ...certified, certificate: { ...certificate, pop: bent(certificate.pop) } });
  const foreignPop = (await makeCertificate(identity, other, { ...claimed, ts: NOON })).pop;
  reject("certificates", "certificate", { name: "pop by another key", ...certified, certificate: { ...certificate, pop: foreignPop } });
  const revocation = await makeRevocation(identity, { ...claimed, ts: NOON });
  ok("revocations", { name: "by the identity", ...certified, revocation });
  reject("revocations", "revocation", { name: "of another device", ...certified, dev: "tablet", revocation });
  reject("revocations", "revocation", {
    name: "of another user",
    ...certified,
    revocation: await makeRevocation(identity, { user: "dave", dev: "phone", ts: NOON }),
  });
  reject("revocations", "revocation", { name: "by somebody else", ...certified, revocation: await makeRevocation(mallory, { ...claimed, ts: NOON }) });
  const certAsRevocation = { h: certificate.h, sig: certificate.sig };
  reject("revocations", "revocation", { name: "a certificate served as a revocation", ...certified, revocation: certAsRevocation });

  const urk = generateUrk();
  const uik = await sealIdentity(urk, "alice", 1, identity, NOON);
  const puk = await sealEncryptionSeed(urk, "alice", 1, first, NOON);
  const root = { id: "alice", entries: [one], urk: b64(urk) };
  ok("roots", { name: "identity", ...root, kind: "uik", n: 1, box: uik, seeds: b64(concat(identity.ed, identity.ml)) });
  ok("roots", { name: "encryption key", ...root, kind: "puk", n: 1, box: puk, seeds: b64(first) });
  ok("roots", { name: "an identity made ahead", ...root, entries: [ahead], kind: "uik", n: 1, box: uik, seeds: b64(concat(identity.ed, identity.ml)) });
  reject("roots", "aead", { name: "another root key", ...root, urk: b64(generateUrk()), kind: "puk", n: 1, box: puk });
  reject("roots", "object", { name: "another kind", ...root, kind: "uik", n: 1, box: puk });
  reject("roots", "object", { name: "another number", ...root, kind: "puk", n: 2, box: puk });
  reject("roots", "object", { name: "another person", ...root, kind: "puk", n: 1, box: await sealEncryptionSeed(urk, "dave", 1, first, NOON) });
  reject("roots", "member key", { name: "another seed", ...root, kind: "puk", n: 1, box: await sealEncryptionSeed(urk, "alice", 1, second, NOON) });

  const session = { ed: b64(device.publicKey), dev: "phone", challenge: b64(randomBytes(32)) };
  const sig = b64(await signSession(device, "phone", unb64(session.challenge)));
  ok("sessions", { name: "by the device", ...session, sig });
  reject("sessions", "signature", { name: "of another device", ...session, dev: "tablet", sig });
  reject("sessions", "signature", { name: "another challenge", ...session, challenge: b64(randomBytes(32)), sig });

  const headers = [identityHeader(grown), identityHeader(good(await verifyUserChain("alice", [one, two, three])))];
  const number = safetyNumber(headers);
  ok("safety", { name: "two headers", headers: headers.map(b64), digits: number.groups.join(" "), qr: number.qr });
  ok("safety", { name: "in the other order", headers: headers.toReversed().map(b64), digits: number.groups.join(" "), qr: number.qr });
}

async function teams(): Promise<void> {
  const world = new World();
  const [bob, fern, dave] = await Promise.all(["bob", "fern", "dave"].map((id) => world.person(id)));
  await world.team("linden_pharmacists", [bob!], bob!);
  const first = world.teams.get("linden_pharmacists")!.seed;
  await world.team("linden_pharmacists", [bob!, fern!], bob!);
  const { texts, seed: second } = world.teams.get("linden_pharmacists")!;
  const base = { world: worldText(world, [bob!, fern!, dave!], []), id: "linden_pharmacists", pin: null };
  const seeds = { 1: b64(first), 2: b64(second) };
  ok("teams", { name: "who joined second reads back", ...base, records: texts, member: "fern", keys: [keyText("fern", 1, fern!.seed)], seeds });
  ok("teams", { name: "who was there first", ...base, records: texts, member: "bob", keys: [keyText("bob", 1, bob!.seed)], seeds });
  ok("teams", { name: "nobody's keys", ...base, records: texts });
  reject("teams", "wrap", { name: "another key than the member's", ...base, records: texts, member: "fern", keys: [keyText("fern", 1, dave!.seed)] });
  const seat = (person: Person) => ({ id: person.id, role: "pharmacist" as const, who: person.chain.who, kem: person.chain.newest.kem });
  const before = { entry: world.directory.team("linden_pharmacists")!.records[0]!, seed: first };
  const signer = { user: "bob", identity: bob!.identity };
  const next = async (seats: readonly Person[], by = signer, from: typeof before | undefined = before) =>
    (await makeTeamRecord("linden_pharmacists", seats.map(seat), by, from)).text;
  const refusedCase = (why: string, name: string, records: readonly unknown[]) => reject("teams", why, { name, ...base, records });
  refusedCase("creator", "signed by somebody who was not there before", [texts[0], await next([bob!, fern!], { user: "fern", identity: fern!.identity })]);
  refusedCase("certificate", "signed by another in his name", [texts[0], await next([bob!, fern!], { user: "bob", identity: dave!.identity })]);
  refusedCase("duplicate", "a member twice", [texts[0], await next([bob!, bob!])]);
  refusedCase("sequence", "a generation left out", [texts[1]]);
  refusedCase("wrap list", "wraps of the generation before", [texts[0], { ...texts[1], w: texts[0]!.w }]);
  refusedCase("certificate", "a wrap of another record", [
    texts[0],
    { ...texts[1], w: { ...texts[1]!.w, fern: bent((texts[1]!.w as Record<string, string>)["fern"]!) } },
  ]);
  refusedCase("certificate", "prev bent", [texts[0], { ...texts[1], prev: bent(texts[1]!.prev) }]);
  refusedCase("form", "prev of another length", [texts[0], { ...texts[1], prev: "" }]);
  refusedCase("form", "no members", [await next([], signer, undefined)]);
  const asPatient = { id: "bob", role: "patient", who: b64(bob!.chain.who) };
  refusedCase("form", "a team of patients", [{ ...texts[0], h: b64(rewritten(texts[0]!.h, { members: [asPatient] })) }]);
  refusedCase("unknown user", "by somebody the directory does not know", [
    (await makeTeamRecord("linden_pharmacists", [{ ...seat(bob!), id: "nobody" }], { user: "nobody", identity: bob!.identity })).text,
  ]);
  const other = (await makeTeamRecord("rowan_pharmacists", [seat(bob!)], signer, before)).text;
  refusedCase("chain", "a record of another team", [texts[0], other]);
  const strange = (await makeTeamRecord("linden_pharmacists", [seat(bob!)], signer)).text;
  refusedCase("chain", "follows another first record", [strange, texts[1]]);
  const pin = (gen: number) => ({ n: gen, hash: b64(world.directory.team("linden_pharmacists")!.records[gen - 1]!.hash) });
  reject("teams", "rollback", { name: "ends before the pin", ...base, records: texts.slice(0, 1), pin: pin(2) });
  reject("teams", "fork", { name: "another record at the pin", ...base, records: [texts[0], await next([bob!])], pin: pin(2) });
  const reused = await withOldKey(world, bob!, first);
  refusedCase("member key", "the key of an earlier generation again", [texts[0], reused]);
  const wrongPrev = (await makeTeamRecord("linden_pharmacists", [bob!, fern!].map(seat), signer, { entry: before.entry, seed: generateSeed() })).text;
  reject("teams", "wrap", { name: "hides another seed", ...base, records: [texts[0], wrongPrev], member: "fern", keys: [keyText("fern", 1, fern!.seed)] });
  const service = await world.person("linden_recovery", "service");
  const withIt = { ...base, world: worldText(world, [bob!, fern!, dave!, service], []) };
  const serviceSeat = { id: service.id, role: "service" as const, who: service.chain.who, kem: service.chain.newest.kem };
  const listed = (await makeTeamRecord("linden_pharmacists", [seat(bob!), serviceSeat], signer, before)).text;
  const opened = { ...withIt, member: service.id, keys: [keyText(service.id, 1, service.seed)] };
  ok("teams", { name: "the recovery of the organisation opens it", ...opened, records: [texts[0], listed] });
  const posing = { ...serviceSeat, role: "staff" as const };
  const asStaff = (await makeTeamRecord("linden_pharmacists", [seat(bob!), posing], signer, before)).text;
  reject("teams", "membership", { name: "the recovery as staff", ...withIt, records: [texts[0], asStaff] });
  const bySheets = { user: service.id, identity: service.identity };
  const founded = (await makeTeamRecord("linden_pharmacists", [seat(bob!), serviceSeat], bySheets)).text;
  reject("teams", "creator", { name: "founded by the recovery", ...withIt, records: [founded] });
  const nobody = (await makeTeamRecord("linden_pharmacists", [serviceSeat], signer, before)).text;
  reject("teams", "form", { name: "the recovery alone", ...withIt, records: [texts[0], nobody] });
  const number = safetyNumber([teamHeader(world.directory.team("linden_pharmacists")!)]);
  ok("safety", { name: "a team's own number", headers: [b64(unb64(texts[0]!.h))], digits: number.groups.join(" "), qr: number.qr });
}

/** A second generation that keeps the key of the first. */
async function withOldKey(world: World, bob: Person, seed: Bytes): Promise<unknown> {
  const first = world.directory.team("linden_pharmacists")!.records[0]!;
  const h = utf8(JSON.stringify({
    v: 1, t: "team", id: first.id, gen: 2, kem: b64(first.kem), members: [{ id: "bob", role: "pharmacist", who: b64(bob.chain.who) }],
    prevrec: b64(first.hash),
  }));
  const wrap = await seal(bob.chain.newest.kem, pae("team-wrap", h, "bob", 2), seed);
  const out = hkdf(seed, new Uint8Array(0), pae("team-prev", h), 44);
  const prev = await aesSeal(out.slice(0, 32), out.slice(32), h, seed);
  const hash = sha256(utf8(JSON.stringify([["bob", b64(wrap)]])));
  return { h: b64(h), w: { bob: b64(wrap) }, prev: b64(prev), sig: await sign(bob.identity, pae("team", h, hash, prev)), by: "bob" };
}

async function threads(): Promise<void> {
  const { world, alice, bob, carol, dave } = await lindenWorld();
  const people = [alice, bob, carol, dave];
  const text = worldText(world, people, ["linden_pharmacists", "rowan_pharmacists"]);
  const members = [world.recipient("alice", "patient"), world.recipient("linden_pharmacists", "team")];
  const aliceKeys = [keyText("alice", 1, alice.seed)];
  const thread = new Conversation(world);
  await thread.newEpoch(alice, members);
  await thread.say(alice, "May I take ibuprofen with lisinopril? \u{1F48A} ünïcode \u0000 end");
  await thread.say(bob, "Better paracetamol.");
  await thread.newEpoch(bob, members);
  await thread.say(alice, "");
  const said = ["May I take ibuprofen with lisinopril? \u{1F48A} ünïcode \u0000 end", "Better paracetamol.", ""];
  const one = { world: text, thread: thread.thread, min_head: null, keys: aliceKeys };
  ok("threads", { name: "two epochs", ...one, records: thread.records, plain: said });
  const team = keyText("linden_pharmacists", 1, world.teams.get("linden_pharmacists")!.seed);
  ok("threads", { name: "read by the team", ...one, keys: [team], records: thread.records, plain: said });
  ok("threads", {
    name: "read by carol",
    ...one,
    keys: [keyText("carol", 1, carol.seed)],
    records: thread.records,
    plain: [null, null, null],
    unreadable: [2, 3, 5],
  });
  const min = (seq: number, head: Bytes) => ({ ...one, records: thread.records, min_head: [seq, b64(head)] });
  ok("threads", { name: "the head seen before", ...min(5, thread.head!.head), plain: said });
  reject("threads", "fork", { name: "another head was seen before", ...min(5, randomBytes(32)) });
  reject("threads", "rollback", { name: "more was seen before", ...min(6, randomBytes(32)) });

  const after = async (name: string, why: string | undefined, more: (talk: Conversation) => Promise<void>, expected: object = {}) => {
    const talk = new Conversation(world);
    Object.assign(talk, { thread: thread.thread, head: thread.head });
    talk.records.push(...thread.records);
    talk.secrets.push(...thread.secrets);
    await more(talk);
    const full = { name, ...one, records: talk.records };
    if (why === undefined) ok("threads", { ...full, plain: said, ...expected });
    else reject("threads", why, full);
  };
  await after("taken back", undefined, (talk) => talk.add(sealRedact(talk.place(alice), 2, 5, "a slip", alice.signer)), {
    plain: [...said.slice(0, 2), null],
    redacted: [5],
  });
  await after("redact: under an epoch that is over", "epoch", (talk) => talk.add(sealRedact(talk.place(alice), 1, 5, "", alice.signer)));
  await after("redact: of a message by its author who is no member any more", "not a member", async (talk) => {
    const withDave = [...members, world.recipient("dave", "proxy")];
    await talk.newEpoch(bob, withDave);
    await talk.say(dave, "hello");
    await talk.newEpoch(bob, members);
    await talk.add(sealRedact(talk.place(dave), talk.epoch, 7, "", dave.signer));
  });
  await after("redact: somebody else's message", "redact", (talk) => talk.add(sealRedact(talk.place(bob), 2, 5, "", bob.signer)));
  await after("not a member: dave writes", "not a member", (talk) => talk.say(dave, "let me in"));
  await after("creator: carol makes an epoch", "creator", (talk) => talk.newEpoch(carol, members));
  await after("membership: the patient adds a pharmacist of another pharmacy", "membership", (talk) =>
    talk.newEpoch(alice, [...members, world.recipient("rowan_pharmacists", "team")]));
  await after("revoked: nobody has taken that device back", "revoked", (talk) => talk.newEpoch(bob, members, [alice.dev]));
  await after("member key: a person as a service", "member key", (talk) => talk.newEpoch(bob, [...members, world.recipient("dave", "service")]));
  await after("history: to a new member", undefined, async (talk) => {
    await talk.newEpoch(bob, [...members, world.recipient("dave", "proxy")]);
    const secrets = thread.secrets.map((secret, index) => ({ epoch: index + 1, secret }));
    await talk.add(sealHistory(talk.place(bob), 3, world.recipient("dave", "proxy"), secrets, bob.signer));
  }, { keys: [keyText("dave", 1, dave.seed)] });

  await certificates(world, alice, bob, text, members);
  await revocations(text, thread, alice, bob, members);
  await beside(world, text, thread, alice, bob, dave);
}

/** Certificates whose user or identity does not fit, though every signature holds. */
async function certificates(world: World, alice: Person, bob: Person, text: Text, members: Parameters<Conversation["newEpoch"]>[1]): Promise<void> {
  const thread = new Conversation(world);
  await thread.newEpoch(alice, members);
  const signer = await signerFromSeed(randomBytes(32));
  const named = await makeCertificate(bob.identity, signer, { user: "alice", dev: "odd", ts: NOON });
  const odd: Person = { ...bob, dev: "odd", signer };
  await thread.say(odd, "signed by bob's identity for a device of alice");
  reject("threads", "certificate", {
    name: "certificate: bob's identity certifies a device that it says is alice's", thread: thread.thread, min_head: null,
    world: { ...text, devices: { ...text.devices, odd: named } }, records: thread.records, keys: [keyText("alice", 1, alice.seed)],
  });

  // Alice starts again: identity 2 with generation 2. Her old phone was certified by identity 1 only.
  const identity = generateIdentity();
  const seed = generateSeed();
  const reset = await makeNextEntry({ id: "alice", role: "person", gen: 2, kem: await publicKeyOf(seed) }, identity, alice.chain.newest, undefined, undefined);
  const entries = [...alice.entries, reset];
  const chain = good(await verifyUserChain("alice", entries));
  const renewed = [{ id: "alice", role: "patient" as const, gen: 2, kem: chain.newest.kem }, members[1]!];
  const laptop: Person = { ...alice, dev: "laptop", signer: await signerFromSeed(randomBytes(32)), identity, seed };
  const certified = await makeCertificate(identity, laptop.signer, { user: "alice", dev: "laptop", ts: NOON });
  const again = { ...text, users: { ...text.users, alice: entries }, devices: { ...text.devices, laptop: certified } };
  const talk = new Conversation(world);
  await talk.newEpoch(alice, members);
  await talk.say(alice, "before");
  await talk.newEpoch(bob, renewed);
  const upTo = talk.records.length;
  const head = talk.head;
  await talk.say(laptop, "with the new identity");
  const base = { world: again, thread: talk.thread, min_head: null, keys: [keyText("alice", 2, seed), keyText("alice", 1, alice.seed)] };
  ok("threads", {
    name: "certificate: a device of the new identity after a reset, one of the old before",
    ...base,
    records: [...talk.records],
    plain: ["before", "with the new identity"],
  });
  talk.records.length = upTo;
  talk.head = head;
  await talk.say(alice, "with the old identity");
  reject("threads", "certificate", {
    name: "certificate: a device of the old identity under an epoch of the new generation",
    ...base,
    records: [...talk.records],
  });
  talk.records.length = upTo - 1;
  const place: Place = { ...talk.place(alice), head: await stateOf(world, talk) };
  const made = await sealEpoch(place, { number: 2, members: renewed }, alice.signer);
  reject("threads", "certificate", {
    name: "certificate: a device of the old identity makes the epoch that names the new generation",
    ...base,
    records: [...talk.records, made.record],
  });
  const byHerself = await sealEpoch({ ...talk.place(laptop), head: place.head }, { number: 2, members: renewed }, laptop.signer);
  reject("threads", "membership", { name: "membership: who started again lets herself in", ...base, records: [...talk.records, byHerself.record] });

  // Her access has ended: she stays listed, and noise lies where her seal would be.
  const gone = new Conversation(world);
  await gone.newEpoch(alice, members);
  await gone.say(alice, "before");
  await gone.newEpoch(bob, members.map((one) => ({ ...one, shut: one.id === "alice" })));
  await gone.say(bob, "while she is away");
  const away = { world: text, thread: gone.thread, min_head: null, records: gone.records };
  const team = keyText("linden_pharmacists", 1, world.teams.get("linden_pharmacists")!.seed);
  ok("threads", { name: "noise in place of a seal, read by the team", ...away, keys: [team], plain: ["before", "while she is away"] });
  ok("threads", {
    name: "noise in place of a seal, read by the one it is for", ...away, keys: [keyText("alice", 1, alice.seed)],
    plain: ["before", null], unreadable: [4], faults: { 3: "wrap" },
  });
}

/** The state of a conversation that must hold. */
async function stateOf(world: World, talk: Conversation): Promise<ThreadState> {
  const state = new ThreadState(talk.thread);
  for await (const chunk of verifyThread(state, talk.records, world.directory)) if (chunk.refused) throw chunk.refused;
  return state;
}

async function revocations(text: Text, thread: Conversation, alice: Person, bob: Person, members: Parameters<Conversation["newEpoch"]>[1]): Promise<void> {
  const revocation = await makeRevocation(alice.identity, { user: "alice", dev: alice.dev, ts: NOON });
  const world = { ...text, revocations: [{ user: "alice", dev: alice.dev, revocation }] };
  const talk = new Conversation(thread.world);
  Object.assign(talk, { thread: thread.thread, head: thread.head });
  talk.records.push(...thread.records);
  talk.secrets.push(...thread.secrets);
  await talk.newEpoch(bob, members, [alice.dev]);
  const base = { world, thread: thread.thread, min_head: null, keys: [keyText("alice", 1, alice.seed)] };
  ok("threads", { name: "revoked: a device that its user took back", ...base, records: [...talk.records] });
  await talk.say(alice, "too late");
  reject("threads", "revoked", { name: "revoked: writes on", ...base, records: [...talk.records] });
  const upTo = { world, thread: thread.thread, records: talk.records.slice(0, -1), user: "alice" };
  const state = await stateOf(thread.world, { ...talk, records: talk.records.slice(0, 5) } as Conversation);
  const facts = { thread: thread.thread, seq: 5, head: state.head, kind: "delivered" as const, dev: alice.dev, ts: NOON };
  reject("receipts", "revoked", { name: "by a device that was taken back", ...upTo, receipt: await makeReceipt(facts, alice.signer) });
}

/** Receipts, reports, objects and inbound mail. */
async function beside(world: World, text: Text, thread: Conversation, alice: Person, bob: Person, dave: Person): Promise<void> {
  const state = new ThreadState(thread.thread);
  const reader = new ThreadReader(state, world.keys(alice), world.directory);
  let message: MessageRecord | undefined;
  let report: ReturnType<typeof makeReport> | undefined;
  for await (const chunk of reader.read(thread.records)) {
    const found = chunk.records[2]!;
    message = found.record as MessageRecord;
    if (found.content?.kind === "body") report = makeReport(message, found.content.text, found.content.frankingKey);
  }
  ok("reports", { name: "what bob wrote", world: text, report, user: "bob", body: "Better paracetamol." });
  reject("reports", "frank", { name: "another text", world: text, report: { ...report!, body: "Take ten." } });
  reject("reports", "form", { name: "a key of another length", world: text, report: { ...report!, fk: b64(randomBytes(33)) } });
  reject("reports", "signature", { name: "another ciphertext", world: text, report: { ...report!, cth: b64(randomBytes(32)) } });
  reject("reports", "type", { name: "an epoch record", world: text, report: { ...report!, h: thread.records[0]!.h } });

  const receipt = (person: Person, seq: number, head: Bytes = state.heads.get(seq) ?? randomBytes(32), of = thread.thread) =>
    makeReceipt({ thread: of, seq, head, kind: "read", dev: person.dev, ts: NOON }, person.signer);
  const base = { world: text, thread: thread.thread, records: thread.records };
  ok("receipts", { name: "by alice", ...base, user: "alice", receipt: await receipt(alice, 5) });
  ok("receipts", { name: "by bob, who speaks for the team", ...base, user: "bob", receipt: await receipt(bob, 2) });
  reject("receipts", "not a member", { name: "by dave", ...base, user: "dave", receipt: await receipt(dave, 5) });
  reject("receipts", "fork", { name: "another head", ...base, user: "alice", receipt: await receipt(alice, 5, randomBytes(32)) });
  reject("receipts", "sequence", { name: "beyond the thread", ...base, user: "alice", receipt: await receipt(alice, 6) });
  reject("receipts", "form", { name: "of nothing", ...base, user: "alice", receipt: await receipt(alice, 0, state.heads.get(0)) });
  reject("receipts", "thread", { name: "of another thread", ...base, user: "alice", receipt: await receipt(alice, 5, undefined, newId()) });
  reject("receipts", "certificate", { name: "by another's device", ...base, user: "alice", receipt: await receipt(bob, 5) });
  reject("receipts", "unknown device", { name: "by a device nobody knows", ...base, user: "alice", receipt: await receipt({ ...alice, dev: "nobody" }, 5) });
  reject("receipts", "unknown user", { name: "by somebody nobody knows", ...base, user: "nobody", receipt: await receipt(alice, 5) });
  reject("receipts", "signature", {
    name: "signed by another",
    ...base,
    user: "alice",
    receipt: { ...(await receipt(alice, 5)), sig: (await receipt(bob, 5)).sig },
  });

  const wanted = { owner: "alice", kind: "draft", id: "d1", rev: 2 };
  const facts = { ...wanted, gen: 1, dev: alice.dev, ts: NOON };
  const content = utf8("half a sentence");
  const object = await sealObject(facts, alice.seed, content, alice.signer);
  const stored = { world: text, wanted, object, seed: b64(alice.seed) };
  ok("objects", { name: "alice's draft", ...stored, content: b64(content) });
  reject("objects", "object", { name: "another owner", ...stored, wanted: { ...wanted, owner: "dave" } });
  reject("objects", "object", { name: "another kind", ...stored, wanted: { ...wanted, kind: "pins" } });
  reject("objects", "object", { name: "another id", ...stored, wanted: { ...wanted, id: "d2" } });
  reject("objects", "rollback", { name: "an older revision", ...stored, wanted: { ...wanted, rev: 3 } });
  reject("objects", "aead", { name: "another seed", ...stored, seed: b64(dave.seed) });
  reject("objects", "signature", { name: "content bent", ...stored, object: { ...object, ct: bent(object.ct) } });
  reject("objects", "not a member", {
    name: "written by dave",
    ...stored,
    object: await sealObject({ ...facts, dev: dave.dev }, alice.seed, content, dave.signer),
  });
  reject("objects", "unknown device", {
    name: "written by a device nobody knows",
    ...stored,
    object: await sealObject({ ...facts, dev: "nobody" }, alice.seed, content, alice.signer),
  });
  const ghost = await makeCertificate(alice.identity, alice.signer, { user: "nobody", dev: "ghost", ts: NOON });
  reject("objects", "unknown user", {
    name: "written by somebody nobody knows", ...stored, world: { ...text, devices: { ...text.devices, ghost } },
    object: await sealObject({ ...facts, dev: "ghost" }, alice.seed, content, alice.signer),
  });
  const team = world.directory.user("linden_pharmacists")!;
  const teamSeed = world.teams.get("linden_pharmacists")!.seed;
  const pins = { owner: team.id, kind: "pins", id: "p1", rev: 1, gen: 1, dev: bob.dev, ts: NOON };
  ok("objects", {
    name: "the team's pins, written by bob",
    world: text,
    wanted: { owner: team.id, kind: "pins", id: "p1", rev: 0 },
    object: await sealObject(pins, teamSeed, content, bob.signer),
    seed: b64(teamSeed),
    content: b64(content),
  });

  const id = newId();
  const item = await sealInbound({ team: team.id, gen: 1, id, ts: NOON, via: "mail" }, team.kem, content);
  const arrived = { world: text, team: team.id, id, item, seed: b64(teamSeed) };
  ok("inbound", { name: "a mail", ...arrived, content: b64(content) });
  reject("inbound", "object", { name: "another item", ...arrived, id: newId() });
  reject("inbound", "object", { name: "another team", ...arrived, team: "rowan_pharmacists" });
  reject("inbound", "wrap", { name: "another seed", ...arrived, seed: b64(dave.seed) });
  reject("inbound", "wrap", { name: "header exchanged", ...arrived, item: { ...item, h: b64(rewritten(item.h, { via: "form" })) } });
  const strange = await sealInbound({ team: team.id, gen: 1, id, ts: NOON, via: "mail" }, await publicKeyOf(generateSeed()), content);
  reject("inbound", "member key", { name: "to a key that is not the team's", ...arrived, item: strange });
}

async function guards(): Promise<void> {
  const [lockKey, share, prf] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  const place = { user: "bob", dev: "counter" };
  const asked: Bytes[] = [];
  const factor = passkeyFactor((input) => {
    asked.push(input);
    return Promise.resolve(prf);
  });
  const { guard: byPasskey, auth: shown } = await sealGuard(place, lockKey, factor, share);
  const { guard: byPin, auth: shownByPin } = await sealGuard(place, lockKey, pinFactor("402715"), share);
  const base = { ...place, share: b64(share), guard: byPasskey, prf: b64(prf) };
  const ofPin = { ...place, share: b64(share), guard: byPin, pin: "402715" };
  ok("guards", { name: "by passkey", ...base, lock: b64(lockKey), auth: b64(shown), input: b64(asked[0]!) });
  ok("guards", { name: "by PIN", ...ofPin, lock: b64(lockKey), auth: b64(shownByPin) });
  reject("guards", "aead", { name: "what the server is shown, in the place of the factor", ...base, prf: b64(shown) });
  reject("guards", "aead", { name: "another PIN", ...ofPin, pin: "402751" });
  reject("guards", "aead", { name: "another share", ...base, share: b64(randomBytes(32)) });
  reject("guards", "aead", { name: "another passkey", ...base, prf: b64(randomBytes(32)) });
  reject("guards", "aead", { name: "bent", ...base, guard: { ...byPasskey, ct: bent(byPasskey.ct) } });
  reject("guards", "aead", { name: "of another device, renamed", ...base, dev: "back_room", guard: { ...byPasskey, dev: "back_room" } });
  reject("guards", "object", { name: "of another device", ...base, dev: "back_room" });
  reject("guards", "object", { name: "of somebody else", ...base, user: "grace" });
  for (const pin of ["40271", "4027150", "40271x", ""]) reject("guards", "code", { name: `the PIN "${pin}"`, ...ofPin, pin });
  const weak = { ...byPin, params: "argon2id,v=19,m=8,t=3,p=1" };
  reject("guards", "parameters", { name: "a weaker PIN", ...ofPin, guard: weak });
  reject("guards", "parameters", { name: "a passkey with Argon2 parameters", ...base, guard: { ...byPasskey, params: byPin.params } });
  reject("guards", "version", { name: "version 2", ...base, guard: { ...byPasskey, v: 2 } });
  reject("guards", "type", { name: "another type", ...base, guard: { ...byPasskey, t: "urk" } });
  reject("guards", "form", { name: "a further member", ...base, guard: { ...byPasskey, more: 1 } });
  reject("guards", "form", { name: "another method", ...base, guard: { ...byPasskey, method: "face" } });
}

async function recovery(): Promise<void> {
  const urk = generateUrk();
  const code = generateCode();
  const passphrase = "correct  Horse\n ﬁne ªñd long enough";
  const byPassphrase = await wrapByPassphrase("alice", urk, passphrase);
  const byCode = good(await wrapByCode("alice", urk, code));
  const base = { user: "alice", wrap: byPassphrase, secret: passphrase };
  ok("recovery", { name: "by passphrase", ...base, urk: b64(urk) });
  ok("recovery", {
    name: "by passphrase, typed with other spaces and letters of other form",
    ...base,
    secret: " correct Horse fine añd long enough ",
    urk: b64(urk),
  });
  ok("recovery", { name: "by code", ...base, wrap: byCode, secret: code, urk: b64(urk) });
  ok("recovery", { name: "by code in small letters with spaces", ...base, wrap: byCode, secret: code.toLowerCase().replaceAll("-", " "), urk: b64(urk) });
  reject("recovery", "aead", { name: "another passphrase", ...base, secret: "correct horse fine añd long enough" });
  reject("recovery", "aead", { name: "another code", ...base, wrap: byCode, secret: generateCode() });
  reject("recovery", "code", { name: "a code with a typing error", ...base, wrap: byCode, secret: (code[0] === "7" ? "8" : "7") + code.slice(1) });
  const withParams = (params: string) => ({ ...base, wrap: { ...byPassphrase, params } });
  for (const params of [
    "argon2id,v=19,m=65535,t=3,p=1", "argon2id,v=19,m=1048577,t=3,p=1", "argon2id,v=19,m=65536,t=2,p=1", "argon2id,v=19,m=65536,t=17,p=1",
    "argon2id,v=19,m=65536,t=3,p=5", "argon2id,v=16,m=65536,t=3,p=1", "argon2i,v=19,m=65536,t=3,p=1", "argon2id,v=19,m=065536,t=3,p=1",
    "argon2id,v=19,m=65536,t=3,p=0", "", "hkdf",
  ]) reject("recovery", "parameters", { name: `parameters ${params}`, ...withParams(params) });
  reject("recovery", "aead", { name: "parameters exchanged within the bounds", ...withParams("argon2id,v=19,m=65536,t=4,p=1") });
  reject("recovery", "parameters", { name: "a code with Argon2 parameters", ...base, wrap: { ...byCode, params: byPassphrase.params }, secret: code });
  reject("recovery", "version", { name: "version 2", ...base, wrap: { ...byCode, v: 2 }, secret: code });
  reject("recovery", "type", { name: "another type", ...base, wrap: { ...byCode, t: "url" }, secret: code });
  reject("recovery", "form", { name: "a further member", ...base, wrap: { ...byCode, more: 1 }, secret: code });
  reject("recovery", "form", { name: "a salt of another length", ...base, wrap: { ...byCode, salt: b64(randomBytes(17)) }, secret: code });
  const [credential, given, shown] = [randomBytes(20), randomBytes(32), generateCode()];
  const byPasskey = good(await wrapByPasskey("alice", urk, credential, given));
  const byDevice = good(await wrapByDevice("alice", urk, shown));
  const passkey = { ...base, wrap: byPasskey, secret: b64(given) };
  ok("recovery", { name: "by passkey", ...passkey, urk: b64(urk), first: b64(prfInput("alice")) });
  ok("recovery", {
    name: "by the code of another device", ...base, wrap: byDevice, secret: shown.toLowerCase(), urk: b64(urk), offer: offerName("alice", shown),
  });
  reject("recovery", "aead", { name: "what another passkey gives", ...passkey, secret: b64(randomBytes(32)) });
  reject("recovery", "form", { name: "31 bytes for a passkey", ...passkey, secret: b64(given.slice(1)) });
  const short = b64(credential.slice(0, 15));
  for (const params of ["prf", "prf,cred=", `prf,cred=${short}`, `prf,cred=${b64(credential)}=`, `prf,cred=${b64(credential)},`, "hkdf"]) {
    reject("recovery", "parameters", { name: `a passkey with the parameters ${params}`, ...passkey, wrap: { ...byPasskey, params } });
  }
  reject("recovery", "aead", { name: "the code of another device as recovery code", ...base, wrap: { ...byDevice, method: "code" }, secret: shown });
  ok("codes", { name: "as printed", typed: code, symbols: readCode(code) });
  ok("codes", { name: "letters that look alike", typed: code.replaceAll("0", "o").replaceAll("1", "I"), symbols: readCode(code) });
  reject("codes", "code", { name: "too short", typed: code.slice(0, -1) });
  reject("codes", "code", { name: "too long", typed: `${code}0` });
  reject("codes", "code", { name: "a symbol that is none", typed: `U${code.slice(1)}` });
}

async function sheets(): Promise<void> {
  const id = "linden_recovery";
  const [ork, other] = [generateOrk(), generateOrk()];
  const [keys, newer] = [recoveryKeys(ork, id), recoveryKeys(other, id)];
  const facts = async (gen: number, seed: Bytes) => ({ id, role: "service" as const, gen, kem: await publicKeyOf(seed) });
  const first = await makeFirstEntry(await facts(1, keys.seed), keys.identity);
  const { newest } = good(await verifyUserChain(id, [first]));
  const second = await makeNextEntry(await facts(2, newer.seed), newer.identity, newest, keys.identity, { before: keys.seed, now: newer.seed });
  const write = (key: Bytes) => splitOrk(key).map((sheet) => writeSheet(sheet).join("\n"));
  const [[one, two, three], [newOne, newTwo], [, strange]] = [write(ork), write(other), write(ork)];
  const base = { id, entries: [first] };
  for (const [name, typed] of Object.entries({ "1 and 2": [one, two], "2 and 3": [two, three], "3 and 1": [three, one] })) {
    ok("sheets", { name, ...base, typed, ork: b64(ork) });
  }
  ok("sheets", { name: "of newer keys, which the older ones sign", ...base, entries: [first, second], typed: [newOne, newTwo], ork: b64(other) });
  const [set, slope] = [randomBytes(6), randomBytes(32)];
  ok("sheets", { name: "split", whole: b64(ork), set: b64(set), slope: b64(slope), codes: splitOrk(ork, set, slope).map((sheet) => [...writeSheet(sheet)]) });
  reject("sheets", "duplicate", { name: "one sheet twice", ...base, typed: [two, two] });
  reject("sheets", "object", { name: "sheets of two sets", ...base, typed: [one, strange] });
  reject("sheets", "member key", { name: "sheets of the key before", ...base, entries: [first, second], typed: [one, two] });
  reject("sheets", "code", { name: "a typing error", ...base, typed: [bent(one!.replaceAll("-", "")), two] });
}

async function attachments(): Promise<void> {
  const [thread, id] = [newId(), "a1"];
  for (const size of [0, 1, 257, 16_384, 40_000]) {
    const file = new Uint8Array(size).map((_, index) => (index * 7) % 251);
    const sealing = sealAttachment(thread, id, [file], size);
    const parts: Bytes[] = [];
    let step = await sealing.next();
    for (; !step.done; step = await sealing.next()) parts.push(step.value);
    const made = step.value;
    const stored = concat(...parts);
    const one = { thread, id, key: b64(made.key), size, cth: b64(made.cth), hash: b64(made.hash), stored: b64(stored) };
    ok("attachments", { name: `${size} bytes`, ...one });
    if (size !== 257) continue;
    const rehashed = (bytes: Bytes) => ({ stored: b64(bytes), cth: b64(sha256(bytes)) });
    reject("attachments", "attachment", { name: "one byte less", ...one, ...rehashed(stored.slice(0, -1)) });
    reject("attachments", "attachment", { name: "of another thread", ...one, thread: newId() });
    reject("attachments", "attachment", { name: "another true size", ...one, size: 300 });
    reject("attachments", "attachment", { name: "another content hash", ...one, hash: b64(randomBytes(32)) });
    const loud = new Uint8Array(272).fill(1);
    const filled = await collect(sealChunks(made.key, attachmentContext(thread, id), [loud]));
    reject("attachments", "attachment", { name: "filled with something else than zeros", ...one, ...rehashed(filled), hash: b64(sha256(loud.slice(0, 257))) });
  }
}

/** Moves what most cases have alike into `common`; a case that gives its own keeps it. */
function shared(cases: readonly Case[]): { common: Record<string, unknown>; cases: Record<string, unknown>[] } {
  const common: Record<string, unknown> = {};
  for (const member of Object.keys(cases[0]!)) {
    if (["name", "expect", "why"].includes(member) || !cases.every((one) => Object.hasOwn(one, member))) continue;
    const counts = new Map<string, number>();
    for (const one of cases) {
      const value = JSON.stringify(one[member]);
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const [value, count] = [...counts].reduce((most, other) => (other[1] > most[1] ? other : most));
    if (count > 1) common[member] = JSON.parse(value);
  }
  const alike = (member: string, value: unknown): boolean =>
    Object.hasOwn(common, member) && JSON.stringify(common[member]) === JSON.stringify(value);
  return { common, cases: cases.map((one) => Object.fromEntries(Object.entries(one).filter(([name, value]) => !alike(name, value)))) };
}

await hybrid();
await hpke();
await chains();
await teams();
await threads();
await recovery();
await sheets();
await guards();
await attachments();
const folder = path.join(process.env["PORTAL_ROOT"]!, "tests/vectors/rxe2ee-ts");
for (const [file, cases] of files) {
  const text = `${JSON.stringify(shared(cases), null, 1)}\n`;
  for (const { name, run } of runVectorFile(file, text)) {
    const wrong = await run();
    if (wrong !== undefined) throw new Error(`${file}, ${name}: ${wrong}`);
  }
  writeFileSync(path.join(folder, `${file}.json`), text);
  console.log(`${file}: ${cases.length} cases`);
}
