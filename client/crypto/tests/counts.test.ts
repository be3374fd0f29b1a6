// Every check counts: without it, some vector is judged otherwise. A check that no vector needs is either missing a vector or
// not a check.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { ENTRY_STEPS } from "../directory.ts";
import { OBJECT_STEPS } from "../objects.ts";
import { OPEN_STEPS, openStepsWithout } from "../open.ts";
import { RECEIPT_STEPS } from "../receipts.ts";
import { TEAM_STEPS } from "../teams.ts";
import { STEPS, stepsWithout } from "../steps.ts";
import { type RunOptions, disagreement, readCorpus, runCase } from "./corpus.ts";
import { type Tables, runVectorFile } from "./vectors.ts";

const folder = path.join(process.env["PORTAL_ROOT"]!, "tests/vectors");
const corpus = readCorpus(readFileSync(path.join(folder, "corpus.json"), "utf8"));

const threads = readFileSync(path.join(folder, "rxe2ee-ts/threads.json"), "utf8");

/** Whether any vector comes out otherwise. A crash is no answer: the check before it counts all the same. */
async function counts(options: RunOptions): Promise<boolean> {
  const own = runVectorFile("threads.json", threads, options).map(({ run }) => run);
  const shared = corpus.cases.map((one) => async () => disagreement(one, await runCase(corpus, one, options)));
  for (const run of [...shared, ...own]) {
    if ((await run().catch(() => "crash")) !== undefined) return true;
  }
  return false;
}

describe("every check of a thread counts", () => {
  const names = Object.values(STEPS).flatMap((table: readonly { readonly name: string }[]) => table.map((step) => step.name));
  test("no name twice", () => assert.equal(new Set(names).size, names.length));
  for (const name of names) {
    test(name, async () => assert.ok(await counts({ steps: stepsWithout([name]) })));
  }
});

describe("every check of opening a message counts", () => {
  for (const { name } of OPEN_STEPS) {
    test(name, async () => assert.ok(await counts({ openSteps: openStepsWithout([name]) })));
  }
});

/** Whether a case of a file, of either language, comes out otherwise. */
async function fileCounts(file: string, tables: Tables): Promise<boolean> {
  for (const made of ["rxe2ee-ts", "rxe2ee"]) {
    const whole = path.join(folder, made, file);
    if (!existsSync(whole)) continue;
    for (const { run } of runVectorFile(file, readFileSync(whole, "utf8"), tables)) {
      if ((await run().catch(() => "crash")) !== undefined) return true;
    }
  }
  return false;
}

function everyStepCounts<S extends { readonly name: string }>(file: string, steps: readonly S[], tables: (left: S[]) => Tables): void {
  describe(`every check of ${file} counts`, () => {
    for (const { name } of steps) {
      test(name, async () => assert.ok(await fileCounts(file, tables(steps.filter((step) => step.name !== name)))));
    }
  });
}

everyStepCounts("directory.json", ENTRY_STEPS, (entry) => ({ entry }));
everyStepCounts("teams.json", TEAM_STEPS, (team) => ({ team }));
everyStepCounts("objects.json", OBJECT_STEPS, (object) => ({ object }));
everyStepCounts("receipts.json", RECEIPT_STEPS, (receipt) => ({ receipt }));
