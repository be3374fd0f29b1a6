// What tells a platform's Ed25519 that multiplies by the cofactor from one that does not, and that both ways give the same keys.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ed25519 } from "@noble/curves/ed25519.js";

import { handTasks } from "../byhand.ts";
import { HOLDS, MIXED_ORDER, PROBED, publicKeyOfSeed, verify } from "../ed25519.ts";

test("one probe holds everywhere, the other only for who multiplies by the cofactor", async () => {
  assert.equal(await handTasks.edVerify({ ...HOLDS, message: PROBED }), true);
  assert.equal(await handTasks.edVerify({ ...MIXED_ORDER, message: PROBED }), false);
  assert.equal(ed25519.verify(MIXED_ORDER.signature, PROBED, MIXED_ORDER.publicKey, { zip215: true }), true);
  assert.deepEqual([await verify(HOLDS.publicKey, HOLDS.signature, PROBED), await verify(MIXED_ORDER.publicKey, MIXED_ORDER.signature, PROBED)], [true, false]);
});

test("a seed has one public key, whoever computes it", async () => {
  const seed = new Uint8Array(32).fill(7);
  assert.deepEqual(await publicKeyOfSeed(seed), HOLDS.publicKey);
  assert.deepEqual(await handTasks.edPublicKey(seed), HOLDS.publicKey);
});
