// The vector runner for a browser: a page loads it and a test asks for the outcome.

import { forgetCertificates } from "../certificates.ts";
import { forgetPlatform } from "../ed25519.ts";
import { randomBytes } from "../encoding.ts";
import { ThreadReader } from "../open.ts";
import { allowNative } from "../platform.ts";
import { ThreadState } from "../state.ts";
import { attachmentDisagreement, disagreement, objects, readCorpus, reportDisagreement, runCase } from "./corpus.ts";
import { runVectorFile } from "./vectors.ts";
import { Conversation, lindenWorld } from "./world.ts";

interface Outcome {
  readonly passed: number;
  readonly failures: string[];
}

/** Counts how often the platform's own X-Wing was used, so that "native on" cannot silently mean noble. */
let nativeUses = 0;

function countNativeUses(): void {
  const subtle = crypto.subtle as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ["encapsulateBits", "decapsulateBits"]) {
    const own = subtle[name];
    if (own === undefined) continue;
    Object.defineProperty(subtle, name, {
      configurable: true,
      value: (...args: unknown[]) => {
        nativeUses += 1;
        return own.apply(crypto.subtle, args);
      },
    });
  }
}

async function outcome(jobs: readonly (readonly [string, () => Promise<string | undefined>])[]): Promise<Outcome> {
  const failures: string[] = [];
  for (const [name, run] of jobs) {
    const wrong = await run().catch((error: unknown) => `crash: ${String(error)}`);
    if (wrong !== undefined) failures.push(`${name}: ${wrong}`);
  }
  return { passed: jobs.length - failures.length, failures };
}

/** Runs the shared corpus. */
async function runCorpus(text: string): Promise<Outcome> {
  const corpus = readCorpus(text);
  const name = (one: Map<string, unknown>): string => one.get("name") as string;
  return outcome([
    ...corpus.cases.map((one) => [name(one), async () => disagreement(one, await runCase(corpus, one))] as const),
    ...objects(corpus.whole.get("reports")).map((one) => [name(one), () => reportDisagreement(corpus, one)] as const),
    ...objects(corpus.whole.get("atts")).map((one) => [name(one), () => attachmentDisagreement(one)] as const),
  ]);
}

/** Runs one file of our own vectors. */
async function runVectors(file: string, text: string): Promise<Outcome> {
  return outcome(runVectorFile(file, text).map(({ name, run }) => [name, run] as const));
}

/** Milliseconds to verify and open a thread of `count` messages, and the longest time without a breath. */
async function measure(count: number): Promise<{ readonly all: number; readonly longest: number; readonly opened: number }> {
  const { world, alice, bob } = await lindenWorld();
  const thread = new Conversation(world);
  await thread.newEpoch(alice, [world.recipient("alice", "patient"), world.recipient("linden_pharmacists", "team")]);
  for (let index = 0; index < count; index += 1) await thread.say(index % 2 ? bob : alice, `message ${index} ${"x".repeat(100)}`);
  const reader = new ThreadReader(new ThreadState(thread.thread), world.keys(alice), world.directory);
  let longest = 0;
  let opened = 0;
  const start = performance.now();
  let last = start;
  for await (const chunk of reader.read(thread.records)) {
    opened += chunk.records.filter(({ content }) => content?.kind === "body").length;
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  return { all: performance.now() - start, longest, opened };
}

Object.assign(globalThis, {
  vectors: {
    runCorpus, runVectors, measure, randomBytes, nativeUses: () => nativeUses,
    native: (on: boolean) => {
      allowNative(on);
      forgetPlatform();
      forgetCertificates();
      nativeUses = 0;
    },
  },
});
countNativeUses();
