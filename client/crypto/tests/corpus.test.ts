import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { attachmentDisagreement, disagreement, objects, readCorpus, reportDisagreement, runCase } from "./corpus.ts";

const corpus = readCorpus(readFileSync(path.join(process.env["PORTAL_ROOT"]!, "tests/vectors/corpus.json"), "utf8"));

describe("the shared corpus of threads", () => {
  for (const one of corpus.cases) {
    test(one.get("name") as string, async () => {
      assert.equal(disagreement(one, await runCase(corpus, one)), undefined);
      assert.equal(disagreement(one, await runCase(corpus, one, { chunk: 1 })), undefined, "one record at a time");
      assert.equal(disagreement(one, await runCase(corpus, one, { ahead: true })), undefined, "secrets first");
    });
  }
});

describe("the shared corpus of franking reports", () => {
  for (const one of objects(corpus.whole.get("reports"))) {
    test(one.get("name") as string, async () => assert.equal(await reportDisagreement(corpus, one), undefined));
  }
});

describe("the shared corpus of attachments", () => {
  for (const one of objects(corpus.whole.get("atts"))) {
    test(one.get("name") as string, async () => assert.equal(await attachmentDisagreement(one), undefined));
  }
});
