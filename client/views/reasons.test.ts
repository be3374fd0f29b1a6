// Every reason of the protocol has its sentence in both languages, and none of them is the code itself.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { ENDING_REASONS, OTHER_REASONS, READER_REASONS } from "../crypto/reasons.ts";
import { useTexts } from "./i18n.ts";
import { reasonWords } from "./reasons.ts";

const ALL = [...ENDING_REASONS, ...READER_REASONS, ...OTHER_REASONS];

function speak(language: "en" | "es"): void {
  const folder = path.join(process.env["PORTAL_ROOT"] ?? "", "portal/core/texts", language);
  useTexts(language, Object.assign({}, ...readdirSync(folder).map((name) => JSON.parse(readFileSync(path.join(folder, name), "utf8")))));
}

for (const language of ["en", "es"] as const) {
  test(`each reason is a sentence a person can read: ${language}`, () => {
    speak(language);
    for (const reason of ALL) {
      const words = reasonWords(reason);
      assert.match(words, /^\p{Lu}.*\.$/u, reason);
      assert.ok(!words.includes("views.reason"), reason);
    }
  });
}

test("what kind of fault it is can be told apart", () => {
  speak("en");
  assert.notEqual(reasonWords("signature"), reasonWords("key commitment"));
  assert.notEqual(reasonWords("ciphertext hash"), reasonWords("chain"));
});

test("an unknown reason says that a check did not pass", () => {
  speak("en");
  assert.equal(reasonWords("something else"), "A safety check did not pass.");
  assert.equal(reasonWords("constructor"), "A safety check did not pass.");
});
