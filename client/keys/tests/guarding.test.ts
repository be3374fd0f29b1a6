// A device that others use too: which PINs are taken, and what its keys come to without the lock key.

import assert from "node:assert/strict";
import { test } from "node:test";

import { verify } from "../../crypto/ed25519.ts";
import { b64, pae, randomBytes, sameBytes } from "../../crypto/encoding.ts";
import { authOf, guardSecret, openGuard, pinFactor, sealGuard } from "../../crypto/guard.ts";
import { refused } from "../../crypto/reasons.ts";
import { pinProblem } from "../guarding.ts";
import { type Guarding, deviceSigner, makeDevice, signingKey } from "../local.ts";

test("a PIN is six digits that nobody guesses first", () => {
  for (const pin of ["", "12345", "1234567", "12345a", "12345 ", "４０２７１５"]) assert.equal(pinProblem(pin), "keys.pin.form", pin);
  for (const pin of ["000000", "123456", "654321", "890123", "024680", "121212", "123123", "112211", "159753", "112233"])
    assert.equal(pinProblem(pin), "keys.pin.easy", pin);
  for (const pin of ["402715", "918273", "730284"]) assert.equal(pinProblem(pin), undefined, pin);
});

test("the keys of a shared device open with its lock key alone, and the server's share is not kept", async () => {
  const shares: Uint8Array[] = [];
  const shown: Uint8Array[] = [];
  const guarding: Guarding = {
    method: "pin",
    seal: async (place, lock, share) => {
      shares.push(share);
      const sealed = await sealGuard(place, lock, pinFactor("402715"), share);
      shown.push(sealed.auth);
      return sealed;
    },
  };
  const made = await makeDevice("bob", guarding);
  assert.equal(made.device.signing.kind, "guarded");
  assert.equal(made.device.wrapping.extractable, false);
  const opened = { account: "bob", lock: made.lock! };
  const signature = await (await deviceSigner(made.device, opened)).sign(pae("x"));
  assert.ok(await verify(made.device.publicKey, signature, pae("x")));
  const key = await signingKey(made.device, opened);
  assert.ok(key.kind === "seed" || !key.handle.extractable);
  await assert.rejects(deviceSigner(made.device));
  await assert.rejects(deviceSigner(made.device, { account: "bob", lock: randomBytes(32) }));
  await assert.rejects(deviceSigner(made.device, { account: "erin", lock: made.lock! }));

  const guard = made.guard!;
  assert.equal(made.request.guard?.method, "pin");
  const place = { user: "bob", dev: made.device.id };
  assert.equal(made.request.guard?.auth, b64(shown[0]!));
  assert.deepEqual(authOf(guard, place, await guardSecret(guard, place, pinFactor("402715"))), shown[0]);
  assert.notDeepEqual(authOf(guard, place, await guardSecret(guard, place, pinFactor("402716"))), shown[0]);
  const lock = await openGuard(guard, place, pinFactor("402715"), shares[0]!.slice());
  assert.ok(!refused(lock) && sameBytes(lock, made.lock!));
  assert.ok(refused(await openGuard(guard, place, pinFactor("402715"), randomBytes(32))));
});
