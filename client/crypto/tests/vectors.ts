// Runs our own vector files, those of the other language and of this one. Shapes: tests/vectors/README.md.

import { collect, openAttachment } from "../attachments.ts";
import { type CertificateText, type RevocationText, verifyCertificate, verifyRevocation } from "../certificates.ts";
import { type ChainStep, type EntryText, type Pin, verifyUserChain, walkBackSeeds } from "../directory.ts";
import { type Bytes, b64, concat, sha256, unb64 } from "../encoding.ts";
import { type Report, verifyReport } from "../franking.ts";
import { type GuardText, authOf, guardSecret, openGuard, passkeyFactor, pinFactor } from "../guard.ts";
import { open, publicKeyOf } from "../hpke.ts";
import { verify as verifyHybrid } from "../hybrid.ts";
import { verifySession } from "../identity.ts";
import { KnownDirectory } from "../known.ts";
import {
  type InboundText, type ObjectStep, type ObjectText, type RootBoxText, openEncryptionSeed, openIdentity, openInbound, openObject,
} from "../objects.ts";
import { Keys, type OpenStep } from "../open.ts";
import { Refused, attemptAsync, refused } from "../reasons.ts";
import { type ReceiptStep, type ReceiptText, verifyReceipt } from "../receipts.ts";
import { type UrkWrap, offerName, prfInput, readCode, unwrapUrk } from "../recovery.ts";
import { safetyNumber } from "../safety.ts";
import { openSheets, splitOrk, writeSheet } from "../sheets.ts";
import { type Json, type JsonObject } from "../strictjson.ts";
import { type TeamStep, type TeamText, openTeam, verifyTeamChain } from "../teams.ts";
import { type Head, ThreadState } from "../state.ts";
import { type StepTables } from "../steps.ts";
import { verifyThread } from "../verify.ts";
import { disagreement, object, objects, runThread } from "./corpus.ts";

export interface VectorRun {
  readonly name: string;
  /** Undefined if the case comes out as expected, otherwise what is wrong. */
  readonly run: () => Promise<string | undefined>;
}

/** Tables with a step less, for the test that every check counts. */
export interface Tables {
  readonly steps?: StepTables;
  readonly openSteps?: readonly OpenStep[];
  readonly entry?: readonly ChainStep[];
  readonly team?: readonly TeamStep[];
  readonly object?: readonly ObjectStep[];
  readonly receipt?: readonly ReceiptStep[];
}

/** What a case comes to: the outputs that its file names, or a refusal. */
type Outputs = Readonly<Record<string, Json>>;
type Runner = (one: JsonObject, tables: Tables) => Promise<Outputs>;

/** The value, or the refusal thrown. */
function must<T>(value: T | Refused): T {
  if (refused(value)) throw value;
  return value;
}

/** Objects as the product gets them from JSON.parse, but without prototype. */
function plain<T>(value: Json | undefined): T {
  if (Array.isArray(value)) return value.map((entry) => plain(entry)) as T;
  if (!(value instanceof Map)) return value as T;
  const out = Object.create(null) as Record<string, unknown>;
  for (const [name, member] of value) out[name] = plain(member);
  return out as T;
}

/** What JSON.parse gives, with Maps for objects. */
function mapped(value: unknown): Json {
  if (Array.isArray(value)) return value.map(mapped);
  if (typeof value !== "object" || value === null) return value as Json;
  return new Map(Object.entries(value).map(([name, member]) => [name, mapped(member)]));
}

function bytesOf(one: JsonObject, name: string): ReturnType<typeof unb64> {
  return unb64(one.get(name));
}

function pinOf(one: JsonObject): Pin | undefined {
  const pin = one.get("pin");
  return pin instanceof Map ? { n: pin.get("n") as number, hash: bytesOf(pin, "hash") } : undefined;
}

function keysOf(one: JsonObject): Keys {
  const keys = new Keys();
  for (const key of objects(one.get("keys"))) keys.add(key.get("id") as string, key.get("gen") as number, bytesOf(key, "seed"));
  return keys;
}

/** A verified directory; a world that does not verify is a broken vector. */
export async function worldOf(one: JsonObject): Promise<KnownDirectory> {
  const world = object(one.get("world"));
  const directory = new KnownDirectory();
  for (const [id, entries] of object(world.get("users") ?? new Map())) {
    directory.addUser(must(await verifyUserChain(id, plain<EntryText[]>(entries))));
  }
  for (const [id, records] of object(world.get("teams") ?? new Map())) {
    directory.addTeam(must(await verifyTeamChain(id, plain<TeamText[]>(records), (user, who) => directory.heirs(user, who))));
  }
  for (const [dev, certificate] of object(world.get("devices") ?? new Map())) {
    directory.addCertificate(dev, plain<CertificateText>(certificate));
  }
  for (const taken of objects(world.get("revocations"))) {
    const claimed = { user: taken.get("user") as string, dev: taken.get("dev") as string };
    const text = plain<RevocationText>(taken.get("revocation"));
    directory.addRevocation(must(await verifyRevocation(text, claimed, directory.identities(claimed.user))));
  }
  return directory;
}

async function chainOf(one: JsonObject, { entry }: Tables = {}) {
  return must(await verifyUserChain(one.get("id") as string, plain<EntryText[]>(one.get("entries")), pinOf(one), entry));
}

function seedsText(seeds: ReadonlyMap<number, Uint8Array>): JsonObject {
  return new Map([...seeds].sort(([a], [b]) => a - b).map(([gen, seed]) => [String(gen), b64(seed)]));
}

const RUNNERS: ReadonlyMap<string, Runner> = new Map<string, Runner>([
  ["hybrid", async (one) => {
    const keys = { ed: bytesOf(one, "ed"), ml: bytesOf(one, "ml") };
    if (!(await verifyHybrid(keys, one.get("sig") as string, bytesOf(one, "message")))) throw new Refused("certificate");
    return {};
  }],
  ["hpke", async (one) => {
    const seed = bytesOf(one, "seed");
    const opened = await open(seed, bytesOf(one, "info"), bytesOf(one, "sealed"));
    if (opened === undefined) throw new Refused("wrap");
    return { public: b64(await publicKeyOf(seed)), plain: b64(opened) };
  }],
  ["directory", async (one, tables) => {
    const chain = await chainOf(one, tables);
    const above = pinOf(one)?.n ?? 0;
    const resets = chain.entries.filter((entry) => entry.reset && entry.n > above).map((entry) => entry.n);
    return { n: chain.newest.n, gen: chain.newest.gen, resets };
  }],
  ["prevseeds", async (one) => ({ seeds: seedsText(must(await walkBackSeeds(await chainOf(one), bytesOf(one, "seed")))) })],
  ["certificates", async (one) => {
    const user = one.get("user") as string;
    const chain = must(await verifyUserChain(user, plain<EntryText[]>(one.get("entries"))));
    const claimed = { user, dev: one.get("dev") as string };
    must(await verifyCertificate(plain<CertificateText>(one.get("certificate")), claimed, chain.identities()));
    return {};
  }],
  ["revocations", async (one) => {
    const user = one.get("user") as string;
    const chain = must(await verifyUserChain(user, plain<EntryText[]>(one.get("entries"))));
    const claimed = { user, dev: one.get("dev") as string };
    must(await verifyRevocation(plain<RevocationText>(one.get("revocation")), claimed, chain.identities()));
    return {};
  }],
  ["teams", async (one, { team }) => {
    const directory = await worldOf(one);
    const records = plain<TeamText[]>(one.get("records"));
    const chain = must(await verifyTeamChain(one.get("id") as string, records, (user, who) => directory.heirs(user, who), pinOf(one), team));
    const member = one.get("member");
    if (typeof member !== "string") return {};
    const newest = Math.max(0, ...objects(one.get("keys")).map((key) => key.get("gen") as number));
    return { seeds: seedsText(must(await openTeam(chain, member, newest, keysOf(one))) ?? new Map()) };
  }],
  ["receipts", async (one, { receipt }) => {
    const directory = await worldOf(one);
    const state = new ThreadState(one.get("thread") as string);
    for await (const chunk of verifyThread(state, objects(one.get("records")), directory)) must(chunk.refused);
    must(await verifyReceipt(plain<ReceiptText>(one.get("receipt")), one.get("user") as string, state, directory, receipt));
    return {};
  }],
  ["reports", async (one) => {
    const proven = must(await verifyReport(plain<Report>(one.get("report")), await worldOf(one)));
    return { user: proven.header.user, body: proven.body };
  }],
  ["objects", async (one, tables) => {
    const wanted = object(one.get("wanted"));
    const { owner, kind, id, rev } = plain<{ owner: string; kind: string; id: string; rev: number }>(wanted);
    const opened = await openObject(
      plain<ObjectText>(one.get("object")), { owner, kind, id, seenRev: rev }, await worldOf(one), () => bytesOf(one, "seed"),
      tables.object,
    );
    return { content: b64(must(opened).content) };
  }],
  ["roots", async (one) => {
    const chain = await chainOf(one);
    const box = plain<RootBoxText>(one.get("box"));
    const n = one.get("n") as number;
    if (one.get("kind") === "puk") return { seeds: b64(must(await openEncryptionSeed(box, bytesOf(one, "urk"), chain, n))) };
    const identity = must(await openIdentity(box, bytesOf(one, "urk"), chain, n));
    return { seeds: b64(concat(identity.ed, identity.ml)) };
  }],
  ["inbound", async (one) => {
    const wanted = { team: one.get("team") as string, id: one.get("id") as string };
    const item = plain<InboundText>(one.get("item"));
    return { content: b64(must(await openInbound(item, wanted, await worldOf(one), () => bytesOf(one, "seed"))).content) };
  }],
  ["recovery", async (one) => {
    const wrap = plain<UrkWrap>(one.get("wrap"));
    const user = one.get("user") as string;
    const secret = one.get("secret") as string;
    const urk = b64(must(await unwrapUrk(wrap, user, secret)));
    return { urk, first: b64(prfInput(user)), ...(wrap.method === "device" ? { offer: offerName(user, secret) } : {}) };
  }],
  ["guards", async (one) => {
    const pin = one.get("pin");
    let asked: Bytes | undefined;
    const factor = typeof pin === "string" ? pinFactor(pin) : passkeyFactor((input) => {
      asked = input;
      return Promise.resolve(bytesOf(one, "prf"));
    });
    const place = { user: one.get("user") as string, dev: one.get("dev") as string };
    const guard = plain<GuardText>(one.get("guard"));
    const lock = must(await openGuard(guard, place, factor, bytesOf(one, "share")));
    const auth = b64(authOf(guard, place, await guardSecret(guard, place, factor)));
    return { lock: b64(lock), auth, ...(asked === undefined ? {} : { input: b64(asked) }) };
  }],
  ["codes", (one) => Promise.resolve({ symbols: readCode(one.get("typed") as string) })],
  ["attachments", async (one) => {
    const facts = {
      thread: one.get("thread") as string, id: one.get("id") as string, key: bytesOf(one, "key"), size: one.get("size") as number,
      cth: bytesOf(one, "cth"), hash: bytesOf(one, "hash"),
    };
    return { hash: b64(sha256(await collect(openAttachment(facts, [bytesOf(one, "stored")])))) };
  }],
  ["safety", (one) => {
    const { groups, qr } = safetyNumber((one.get("headers") as string[]).map((header) => unb64(header)));
    return Promise.resolve({ digits: groups.join(" "), qr });
  }],
  ["sheets", async (one) => {
    if (one.has("whole")) {
      const made = splitOrk(bytesOf(one, "whole"), bytesOf(one, "set"), bytesOf(one, "slope"));
      return { codes: made.map((sheet) => [...writeSheet(sheet)]) };
    }
    return { ork: b64(await openSheets(one.get("typed") as [string, string], (await chainOf(one)).newest)) };
  }],
  ["sessions", async (one) => {
    const signature = bytesOf(one, "sig");
    must(await verifySession(bytesOf(one, "ed"), one.get("dev") as string, bytesOf(one, "challenge"), signature));
    return {};
  }],
]);

/** The cases of one file; `file` is its name, with or without folders before it. */
export function runVectorFile(file: string, text: string, tables: Tables = {}): VectorRun[] {
  const kind = file.replace(/^.*\//, "").replace(/\.json$/, "");
  // Some cases hold what the strict reader refuses, half a surrogate pair for one; the file itself is read leniently.
  const whole = object(mapped(JSON.parse(text)));
  const common = object(whole.get("common") ?? new Map());
  const cases = objects(whole.get("cases")).map((one): JsonObject => new Map([...common, ...one]));
  if (kind === "threads") return cases.map((one) => ({ name: one.get("name") as string, run: () => threadOutcome(one, tables) }));
  const runner = RUNNERS.get(kind);
  if (runner === undefined) throw new RangeError(`nobody knows how to run ${file}`);
  return cases.map((one) => ({ name: one.get("name") as string, run: () => outcome(one, (it) => runner(it, tables)) }));
}

async function outcome(one: JsonObject, runner: (one: JsonObject) => Promise<Outputs>): Promise<string | undefined> {
  const result = await attemptAsync(() => runner(one));
  if (one.get("expect") === "reject") {
    const allowed = (one.get("why_any") ?? [one.get("why")]) as string[];
    if (!refused(result)) return `expected refusal ${allowed.join("|")}, got none`;
    return allowed.includes(result.reason) ? undefined : `expected refusal ${allowed.join("|")}, got ${result.message}`;
  }
  if (refused(result)) return `refused: ${result.message}`;
  for (const [name, value] of Object.entries(result)) {
    const expected = one.get(name);
    if (expected !== undefined && canonical(expected) !== canonical(value)) return `${name}: ${canonical(value)}`;
  }
  return undefined;
}

function canonical(value: Json): string {
  return JSON.stringify(value instanceof Map ? [...value].sort(([a], [b]) => (a < b ? -1 : 1)) : value);
}

async function threadOutcome(one: JsonObject, tables: Tables): Promise<string | undefined> {
  const minHead = one.get("min_head") as [number, string] | null | undefined;
  const least: Head | undefined = minHead ? { seq: minHead[0], head: unb64(minHead[1]) } : undefined;
  const directory = await worldOf(one);
  return disagreement(one, await runThread(one.get("thread") as string, objects(one.get("records")), directory, keysOf(one), least, tables));
}

