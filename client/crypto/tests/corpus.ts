// Runs the shared corpus: threads, franking reports, attachments. The same code runs in Node and in Chromium.

import { collect, openChunks } from "../attachments.ts";
import { type CertificateText } from "../certificates.ts";
import { type Entry, type KnownIdentity } from "../directory.ts";
import { b64, sha256, unb64 } from "../encoding.ts";
import { type Report, verifyReport } from "../franking.ts";
import { Keys, OPEN_STEPS, type OpenStep, ThreadReader } from "../open.ts";
import { type Reason, type ReaderReason, attemptAsync, refused } from "../reasons.ts";
import { type RawRecord, isMessage, keyId } from "../records.ts";
import { type Json, type JsonObject, readText } from "../strictjson.ts";
import { type DirectoryView, type Head, type Maker, ThreadState } from "../state.ts";
import { STEPS, type StepTables } from "../steps.ts";
import { verifyThread } from "../verify.ts";

export interface Corpus {
  readonly thread: string;
  readonly me: JsonObject;
  readonly cases: readonly JsonObject[];
  readonly whole: JsonObject;
}

export function readCorpus(text: string): Corpus {
  const whole = object(readText(text, { depth: 32, numbers: "any" }));
  return { thread: whole.get("thread") as string, me: object(whole.get("me")), cases: objects(whole.get("corpus")), whole };
}

export function object(value: Json | undefined): JsonObject {
  if (!(value instanceof Map)) throw new TypeError("an object was expected");
  return value;
}

export function objects(value: Json | undefined): JsonObject[] {
  return ((value ?? []) as Json[]).map(object);
}

/** The directory of one case: entries stand for what is verified, certificates are to be verified. */
export function directoryOf(one: JsonObject, certs: JsonObject = object(one.get("certs") ?? new Map())): DirectoryView {
  const entries = object(one.get("directory") ?? new Map());
  const speaksFor = (user: string, team: string, gen: number): boolean => {
    const raw = entries.get(user);
    if (!(raw instanceof Map) || raw.get("team") !== team) return false;
    const generations = raw.get("team_gens") as number[] | undefined;
    return generations === undefined || generations.includes(gen);
  };
  const owner = (dev: string): string | undefined => {
    const certificate = certs.get(dev);
    if (!(certificate instanceof Map)) return undefined;
    return object(readText(new TextDecoder().decode(unb64(certificate.get("h"))))).get("user") as string;
  };
  const identities = (user: string): KnownIdentity[] =>
    [...entries].flatMap(([name, raw]) => {
      if ((name !== user && !name.startsWith(`${user}/`)) || !(raw instanceof Map) || !raw.has("ed")) return [];
      return [{ keys: { ed: unb64(raw.get("ed")), ml: unb64(raw.get("ml")) }, gen: raw.get("gen") as number }];
    });
  return {
    user(id, gen) {
      const raw = gen === undefined ? entries.get(id) : (entries.get(`${id}/${gen}`) ?? entries.get(id));
      if (!(raw instanceof Map) || (gen !== undefined && raw.get("gen") !== gen)) return undefined;
      const kem = unb64(raw.get("kem"));
      return { id, role: raw.get("role") as Entry["role"], gen: raw.get("gen") as number, kem, kid: keyId(kem) };
    },
    identities,
    device(dev) {
      const raw = certs.get(dev);
      if (!(raw instanceof Map)) return undefined;
      return { h: raw.get("h"), sig: raw.get("sig"), pop: raw.get("pop") } as CertificateText;
    },
    speaksFor,
    // Nobody in the corpus has started again.
    signers: identities,
    vouches: speaksFor,
    startedAgain: () => false,
    revocation: (dev, maker: Maker) => owner(dev) === maker.user || maker.patient || maker.team,
  };
}

export function keysOf(me: JsonObject): Keys {
  const keys = new Keys().add(me.get("id") as string, me.get("gen") as number, unb64(me.get("seed")));
  for (const [gen, seed] of (me.get("older") ?? new Map()) as JsonObject) {
    keys.add(me.get("id") as string, Number(gen), unb64(seed));
  }
  return keys;
}

/** What a run of a case came to. */
export interface Seen {
  readonly refused: Reason | undefined;
  readonly plain: (string | null)[];
  readonly unreadable: number[];
  readonly withheld: number[];
  readonly redacted: number[];
  readonly faults: Map<number, ReaderReason>;
  readonly state: ThreadState;
}

export interface RunOptions {
  readonly steps?: StepTables;
  readonly openSteps?: readonly OpenStep[];
  readonly chunk?: number;
  /** Learn the secrets from all epoch and history records first, as a client does. */
  readonly ahead?: boolean;
}

export function runCase(corpus: Corpus, one: JsonObject, options: RunOptions = {}): Promise<Seen> {
  const minHead = one.get("min_head") as [number, string] | null | undefined;
  const least: Head | undefined = minHead ? { seq: minHead[0], head: unb64(minHead[1]) } : undefined;
  const keyring = keysOf(object(one.get("me") ?? corpus.me));
  return runThread(corpus.thread, objects(one.get("records")), directoryOf(one), keyring, least, options);
}

/** Verifies and reads a thread, and notes all there is to compare. */
export async function runThread(
  thread: string, records: readonly RawRecord[], directory: DirectoryView, keyring: Keys, least: Head | undefined,
  options: RunOptions = {},
): Promise<Seen> {
  const state = new ThreadState(thread);
  const reader = new ThreadReader(state, keyring, directory, options.openSteps ?? OPEN_STEPS);
  if (options.ahead) await reader.learn(records);
  let reason: Reason | undefined;
  const shown = new Map<number, string | null>();
  const unreadable = new Set<number>();
  const faults = new Map<number, ReaderReason>();
  const verifying = verifyThread(state, records, directory, {
    least, steps: options.steps ?? STEPS, ...(options.chunk ? { chunk: options.chunk } : {}),
  });
  for await (const verified of verifying) {
    const chunk = await reader.take(verified);
    for (const { record, content } of [...chunk.records, ...chunk.updates]) {
      if (!isMessage(record)) continue;
      const { seq } = record.header;
      shown.set(seq, content?.kind === "body" ? content.text : null);
      unreadable.delete(seq);
      faults.delete(seq);
      if (content?.kind === "unreadable") {
        unreadable.add(seq);
        if (content.fault !== undefined) faults.set(seq, content.fault);
      }
    }
    reason = verified.refused?.reason ?? reason;
  }
  for (const [seq, fault] of reader.faults) faults.set(seq, fault);
  return {
    refused: reason, plain: [...shown].sort(([a], [b]) => a - b).map(([, text]) => text),
    unreadable: [...unreadable].sort((a, b) => a - b), withheld: state.withheld(),
    redacted: [...state.redacted].sort((a, b) => a - b), faults, state,
  };
}

/** Undefined if the run is what the case expects, otherwise what is wrong with it. */
export function disagreement(one: JsonObject, seen: Seen): string | undefined {
  if (one.get("expect") === "reject") {
    const allowed = (one.get("why_any") ?? [one.get("why")]) as string[];
    return seen.refused !== undefined && allowed.includes(seen.refused)
      ? undefined : `expected refusal ${allowed.join("|")}, got ${seen.refused ?? "none"}`;
  }
  if (seen.refused !== undefined) return `refused: ${seen.refused}`;
  const plain = one.get("plain");
  if (plain !== undefined && JSON.stringify(plain) !== JSON.stringify(seen.plain)) {
    return `plain ${JSON.stringify(seen.plain)}`;
  }
  for (const name of ["unreadable", "withheld", "redacted"] as const) {
    if (JSON.stringify(one.get(name) ?? []) !== JSON.stringify(seen[name])) return `${name} ${JSON.stringify(seen[name])}`;
  }
  const expected = object(one.get("faults") ?? new Map());
  const agree = expected.size === seen.faults.size && [...expected].every(([seq, reason]) =>
    (Array.isArray(reason) ? reason : [reason]).includes(seen.faults.get(Number(seq)) ?? null));
  return agree ? undefined : `faults ${JSON.stringify([...seen.faults])}`;
}

/** Undefined if a franking report comes out as expected. */
export async function reportDisagreement(corpus: Corpus, one: JsonObject): Promise<string | undefined> {
  const base = corpus.cases.find((known) => (known.get("name") as string).split(" ")[0] === corpus.whole.get("report_case"))!;
  const certs = one.get("certs");
  const directory = directoryOf(base, certs instanceof Map ? certs : object(base.get("certs")));
  const result = await verifyReport(object(one.get("report")) as unknown as Report, directory);
  const outcome = refused(result) ? "reject" : "ok";
  return outcome === one.get("expect") ? undefined : `${outcome} ${refused(result) ? result.message : ""}`;
}

/** Undefined if an attachment comes out as expected, whole and in small pieces. */
export async function attachmentDisagreement(one: JsonObject): Promise<string | undefined> {
  for (const size of [1 << 20, 1000]) {
    const opened = await attemptAsync(async () =>
      collect(openChunks(unb64(one.get("key")), unb64(one.get("ctx")), cut(unb64(one.get("blob")), size))));
    if (refused(opened)) {
      if (one.get("expect") !== "reject") return `refused ${opened.message}`;
      continue;
    }
    if (one.get("expect") !== "ok") return "opened";
    if (opened.length !== one.get("size") || b64(sha256(opened)) !== one.get("sha")) return "another content";
  }
  return undefined;
}

/** Cuts bytes into parts, as a network does. */
export function* cut(whole: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}
