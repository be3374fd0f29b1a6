// Our HPKE against another one's: the same suite from a published package, both ways.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AEAD_AES_256_GCM, KDF_SHAKE256, KEM_MLKEM768_X25519 } from "@panva/hpke-noble";
import { CipherSuite } from "hpke";

import { type Bytes, concat, randomBytes, utf8 } from "../encoding.ts";
import { ENC_BYTES, generateSeed, open, publicKeyOf, seal } from "../hpke.ts";

const suite = new CipherSuite(KEM_MLKEM768_X25519, KDF_SHAKE256, AEAD_AES_256_GCM);

for (const info of [utf8(""), utf8("context"), randomBytes(2000)]) {
  test(`what one seals the other opens, ${info.length} bytes of info`, async () => {
    const seed = generateSeed();
    const content = randomBytes(32);
    const theirs = await suite.DeserializePrivateKey(seed, true);
    const ours = await seal(await publicKeyOf(seed), info, content);
    const opened = await suite.Open(theirs, ours.slice(0, ENC_BYTES), ours.slice(ENC_BYTES), { info });
    assert.deepEqual(new Uint8Array(opened), content);
    const made = await suite.Seal(await suite.DeserializePublicKey(await publicKeyOf(seed)), content, { info });
    assert.deepEqual(await open(seed, info, concat(made.encapsulatedSecret, made.ciphertext) as Bytes), content);
  });
}
