import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Refused } from "../../crypto/reasons.ts";
import { ApiError, Unreachable } from "../../live/api.ts";
import { type OutboxFacts, afterTry, nextDue } from "../outbox.ts";
import { outcomeOf } from "../send.ts";

const FRESH: OutboxFacts = { id: "a1", state: "waiting", tries: 0, due: 0, reason: null };

function entry(id: string, thread: string, at: number, facts: Partial<OutboxFacts> = {}) {
  return { facts: { ...FRESH, id, ...facts }, thread, at };
}

describe("the outbox", () => {
  test("what was accepted goes", () => assert.equal(afterTry(FRESH, { kind: "accepted" }, 0), undefined));

  test("what nobody took is tried again, each time later, at most a minute apart", () => {
    let facts: OutboxFacts = FRESH;
    const pauses: number[] = [];
    for (let tried = 0; tried < 8; tried += 1) {
      facts = afterTry(facts, { kind: "later", after: null }, 1000)!;
      pauses.push(facts.due - 1000);
    }
    assert.deepEqual(pauses, [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    assert.equal(facts.state, "waiting");
  });

  test("the server's own wish to wait counts", () => assert.equal(afterTry(FRESH, { kind: "later", after: 10 }, 0)!.due, 10_000));

  test("what is refused stays with its reason until the person decides", () => {
    const failed = afterTry(FRESH, { kind: "refused", reason: "signature" }, 0)!;
    assert.deepEqual([failed.state, failed.reason], ["failed", "signature"]);
    assert.equal(nextDue([entry("a1", "t", 1, failed)], Number.MAX_SAFE_INTEGER - 1), undefined);
  });

  test("one thread keeps the order in which it was written; others need not wait for it", () => {
    const waiting = entry("a1", "t", 1, { due: 5000 });
    const next = entry("a2", "t", 2);
    const other = entry("b1", "u", 3);
    assert.equal(nextDue([next, waiting, other], 1000), other);
    assert.equal(nextDue([next, waiting], 1000), undefined);
    assert.equal(nextDue([next, waiting], 6000), waiting);
    assert.equal(nextDue([next, entry("a1", "t", 1, { state: "failed", due: Number.MAX_SAFE_INTEGER })], 1000), next);
  });
});

describe("what an answer of the server means", () => {
  const refusal = (status: number, code: string): ApiError => new ApiError(status, code, "", {}, status === 503 ? 7 : null);

  test("an answer that was lost is no loss", () => assert.deepEqual(outcomeOf(refusal(409, "already-accepted")), { kind: "accepted" }));
  test("a reset holds", () => assert.deepEqual(outcomeOf(refusal(409, "reset")), { kind: "held" }));
  test("a locked screen, a busy server, a line that is down: later", () => {
    assert.deepEqual(outcomeOf(new Unreachable()), { kind: "later", after: null });
    assert.deepEqual(outcomeOf(refusal(401, "locked")), { kind: "later", after: null });
    assert.deepEqual(outcomeOf(refusal(503, "busy")), { kind: "later", after: 7 });
  });
  test("a pharmacy without keys: the question waits", () => assert.equal(outcomeOf(refusal(422, "pharmacy-not-open")).kind, "later"));
  test("anything else is told", () => {
    assert.deepEqual(outcomeOf(refusal(422, "membership-policy")), { kind: "refused", reason: "membership-policy" });
    assert.deepEqual(outcomeOf(new Refused("not a member")), { kind: "refused", reason: "not a member" });
  });
  test("a fault of ours is not hidden", () => assert.throws(() => outcomeOf(new TypeError("ours")), TypeError));
});
