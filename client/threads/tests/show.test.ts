import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { TextMessage } from "../../views/types.ts";
import { bodyOf, chipOf, detailsOf, subjectOrWords } from "../body.ts";
import { safeName, withoutThumbs } from "../files.ts";
import type { BodyView, ReceiptView, RecordView } from "../shapes.ts";
import { type Pending, type Shown, toViews } from "../show.ts";
import { mayCarryMedicines } from "../context.ts";

const NAMES: Readonly<Record<string, string>> = { alice: "Alice", bob: "Bob", erin: "Erin", linden_pharmacists: "the pharmacists" };

function epoch(seq: number, number: number, members: readonly string[], user = "alice", revoked = 0): RecordView {
  return {
    t: "epoch",
    seq,
    epoch: number,
    user,
    dev: `${user}_phone`,
    ts: seq * 1000,
    members: members.map((id) => ({ id, role: id.includes("_") ? "team" : "patient", gen: 1 })),
    revoked,
  };
}

function message(seq: number, user: string, body: BodyView): RecordView {
  return { t: "msg", seq, epoch: 1, user, dev: `${user}_phone`, ts: seq * 1000, att: [], content: { kind: "body", body } };
}

function text(id: string, words: string, inReplyTo?: string): BodyView {
  return { kind: "text", id, subject: undefined, text: words, inReplyTo, fhir: [], files: [] };
}

function shown(records: readonly RecordView[], more: Partial<Shown> = {}): Shown {
  return {
    me: "alice",
    staff: false,
    records,
    transport: new Map(),
    receipts: [],
    pending: [],
    closed: false,
    writer: (user) => ({ name: NAMES[user] ?? user, role: "", staff: user !== "alice" }),
    member: (id) => NAMES[id] ?? id,
    picture: () => null,
    words: {
      joined: (name) => `${name} in`,
      left: (name) => `${name} out`,
      begun: (name) => `${name} began`,
      renewed: (name, by) => `${name} anew, ${by} made sure`,
      deviceEnded: () => "a device was ended",
    },
    startedAgain: () => false,
    ...more,
  };
}

function texts(one: Shown): TextMessage[] {
  return toViews(one).filter((view): view is TextMessage => view.kind === "text");
}

const BEGUN = epoch(1, 1, ["alice", "linden_pharmacists"]);

describe("what the list shows", () => {
  test("who began, who joined and who left", () => {
    const views = toViews(shown([BEGUN, epoch(2, 2, ["alice", "linden_pharmacists", "bob"]), epoch(3, 3, ["alice", "linden_pharmacists"])]));
    assert.deepEqual(views.map((one) => (one.kind === "system" ? one.text : "")), ["Alice began", "Bob in", "Bob out"]);
  });

  test("new keys of the same members are no news", () => {
    assert.equal(toViews(shown([BEGUN, epoch(2, 2, ["alice", "linden_pharmacists"], "bob")])).length, 1);
  });

  test("who started again has new keys, and a person made sure of it", () => {
    const views = toViews(shown([BEGUN, epoch(2, 2, ["alice", "linden_pharmacists"], "bob")], { startedAgain: (id) => id === "alice" }));
    assert.deepEqual(views.map((one) => (one.kind === "system" ? one.text : "")), ["Alice began", "Alice anew, Bob made sure"]);
  });

  test("a correction counts only from its author, and a foreign one is flagged", () => {
    const records = [
      BEGUN, message(2, "alice", text("a1", "5 mg")),
      message(3, "alice", { kind: "correct", id: "a2", replaces: "a1", text: "10 mg" }),
      message(4, "bob", { kind: "correct", id: "b1", replaces: "a1", text: "50 mg" }),
    ];
    const [only, ...rest] = texts(shown(records));
    assert.equal(only?.text, "10 mg");
    assert.equal(only?.corrected, 3000);
    assert.equal(only?.foreignCorrection, true);
    assert.deepEqual(rest, []);
  });

  test("the same body twice by one author is one message, by two authors two", () => {
    const same = text("a1", "hello");
    assert.equal(texts(shown([BEGUN, message(2, "alice", same), message(3, "alice", same)])).length, 1);
    assert.equal(texts(shown([BEGUN, message(2, "alice", same), message(3, "bob", same)])).length, 2);
  });

  test("ticks: sent, delivered, read by whom; one's own receipt counts for nothing", () => {
    const records = [BEGUN, message(2, "alice", text("a1", "hello"))];
    const state = (receipts: readonly ReceiptView[]): string => texts(shown(records, { receipts }))[0]!.state;
    assert.equal(state([]), "sent");
    assert.equal(state([{ user: "alice", kind: "read", seq: 2, ts: 1 }]), "sent");
    assert.equal(state([{ user: "bob", kind: "delivered", seq: 1, ts: 1 }]), "sent");
    assert.equal(state([{ user: "bob", kind: "delivered", seq: 2, ts: 1 }]), "delivered");
    assert.equal(state([{ user: "bob", kind: "unreadable", seq: 2, ts: 1 }]), "sent");
    const read = texts(shown(records, { receipts: [{ user: "bob", kind: "read", seq: 3, ts: 9 }, { user: "erin", kind: "delivered", seq: 3, ts: 8 }] }))[0]!;
    assert.equal(read.state, "read");
    assert.deepEqual(read.readBy, [{ name: "Bob", at: 9 }]);
  });

  test("what was taken back says who had read it before", () => {
    const records: RecordView[] = [
      BEGUN, { ...message(2, "alice", text("a1", "oops")), content: { kind: "redacted", kept: null } } as RecordView,
      { t: "redact", seq: 3, epoch: 1, user: "alice", dev: "alice_phone", ts: 3000, target: 2 },
    ];
    const receipts: ReceiptView[] = [{ user: "bob", kind: "read", seq: 2, ts: 2500 }, { user: "erin", kind: "read", seq: 3, ts: 3500 }];
    const view = toViews(shown(records, { receipts })).at(-1)!;
    assert.equal(view.kind, "retracted");
    assert.deepEqual(view.kind === "retracted" && view.readBefore, ["Bob"]);
    assert.equal(JSON.stringify(view).includes("oops"), false);
  });

  test("messages that cannot be read keep their place and number", () => {
    const odd = (seq: number, content: Extract<RecordView, { t: "msg" }>["content"]): RecordView =>
      ({ ...message(seq, "bob", text("x", "")), content }) as RecordView;
    const views = toViews(shown([
      BEGUN, odd(2, { kind: "withheld" }), odd(3, { kind: "unreadable", fault: "aead" }), odd(4, { kind: "unreadable", fault: undefined }),
      odd(5, { kind: "body", body: { kind: "newer", id: undefined } }),
    ])).slice(1);
    assert.deepEqual(views.map((one) => one.kind), ["withheld", "unreadable", "no-key", "newer"]);
    assert.deepEqual(views.map((one) => "number" in one && [one.number, one.total]), [[1, 4], [2, 4], [3, 4], [4, 4]]);
  });

  test("who was let in later reads that it was written before that; who was in, that this device lacks the key", () => {
    const closed = { ...message(2, "bob", text("x", "")), content: { kind: "unreadable", fault: undefined } } as RecordView;
    const kinds = (members: readonly string[], staff = false): string => {
      return toViews(shown([epoch(1, 1, members, "rosa"), closed], { staff })).at(-1)!.kind;
    };
    assert.equal(kinds(["rosa", "riverside_pharmacists"]), "not-yet");
    assert.equal(kinds(["alice", "riverside_pharmacists"]), "no-key");
    assert.equal(kinds(["rosa", "riverside_pharmacists"], true), "no-key");
  });

  test("what waits in the outbox stands last, and once only when it has arrived", () => {
    const waiting: Pending = { id: "a2", at: 9000, state: "waiting", urgent: false, body: text("a2", "soon", "a1"), target: null };
    const records = [BEGUN, message(2, "alice", text("a1", "hello"))];
    const views = texts(shown(records, { pending: [waiting] }));
    assert.deepEqual(views.map((one) => [one.key, one.state]), [["a1", "sent"], ["a2", "waiting"]]);
    assert.deepEqual(views[1]!.replyTo, { key: "a1", who: "Alice", text: "hello" });
    assert.equal(texts(shown([...records, message(3, "alice", text("a2", "soon"))], { pending: [waiting] })).length, 2);
  });

  test("nothing is offered where nothing can be written", () => {
    const [view] = texts(shown([BEGUN, message(2, "alice", text("a1", "hello"))], { closed: true }));
    assert.deepEqual(view!.can, { reply: false, correct: false, retract: false, print: false });
  });
});

describe("bodies", () => {
  test("say nothing where nothing was chosen", () => {
    assert.deepEqual(JSON.parse(bodyOf({ id: "a1", text: "hi", subject: " ", chips: [], files: [] })), { id: "a1", type: "text", text: "hi" });
  });

  test("a chip is read from the resource inside the message", () => {
    const resource = {
      resourceType: "MedicationRequest", id: "m1", status: "active",
      medicationCodeableConcept: { coding: [{ system: "http://www.nlm.nih.gov/research/umls/rxnorm", code: "860975" }] },
    };
    const chip = chipOf({ structureDefinition: "s", fhirVersion: "4.0.1", text: "Metformin 0.5 g, tablet. Take 1 tablet.", resource }, 0);
    assert.deepEqual([chip.kind, chip.name, chip.detail, chip.code], ["medicine", "Metformin 0.5 g, tablet", "Take 1 tablet.", "860975"]);
    assert.ok(detailsOf(resource).some(([path, value]) => path.endsWith("code") && value === "860975"));
    const order = chipOf({ structureDefinition: "s", fhirVersion: "4.0.1", text: "Order 1042: Metformin", resource: { resourceType: "SupplyRequest" } }, 0);
    assert.deepEqual([order.kind, order.name, order.detail, order.code], ["order", "Order 1042", "Metformin", ""]);
  });

  test("the first words stand for a subject", () => {
    assert.equal(subjectOrWords({ subject: undefined, text: "Hello\nyou" }), "Hello");
    assert.equal(subjectOrWords({ subject: "Pills", text: "Hello" }), "Pills");
    assert.equal([...subjectOrWords({ subject: undefined, text: "x".repeat(100) })].length, 60);
  });
});

test("that somebody ended a device is a line of its own, without a name", () => {
  const members = ["alice", "linden_pharmacists"];
  const views = toViews(shown([epoch(1, 1, members), epoch(2, 2, members, "alice", 1)]));
  const lines = views.flatMap((one) => (one.kind === "system" ? [one.text] : []));
  assert.ok(lines.includes("a device was ended"));
  assert.equal(lines.filter((one) => one === "a device was ended").length, 1);
});

describe("files", () => {
  test("names are made harmless", () => {
    assert.equal(safeName("../../etc/passwd"), "passwd");
    assert.equal(safeName("C:\\pills\\box.jpg"), "box.jpg");
    assert.equal(safeName("\u202Egpj.exe"), "gpj.exe");
    assert.equal(safeName("...hidden"), "hidden");
    assert.equal(safeName("a\u0000b\n.txt"), "ab.txt");
    assert.equal(safeName(""), "file");
    assert.equal(safeName(`${"x".repeat(300)}.pdf`).length, 100);
    assert.match(safeName(`${"x".repeat(300)}.pdf`), /\.pdf$/);
  });

  test("small versions belong to their pictures", () => {
    const note = (id: string, name: string) => ({ id, name, key: "", type: "image/webp", size: 1, hash: "" });
    const id = "a".repeat(32);
    const { files, thumbs } = withoutThumbs([note(id, "box.webp"), note("b".repeat(32), `${id}.thumbnail`)]);
    assert.deepEqual(files.map((one) => one.name), ["box.webp"]);
    assert.equal(thumbs.get(id)?.id, "b".repeat(32));
  });
});

test("medicines go where pharmacists read, and not where the service desk reads too", () => {
  const teams = (...kinds: string[]) => kinds.map((kind) => ({ id: `riverside_${kind}` }));
  assert.equal(mayCarryMedicines(teams("pharmacists")), true);
  assert.equal(mayCarryMedicines(teams("desk")), false);
  // Pharmacists were asked to help: the technicians are still there.
  assert.equal(mayCarryMedicines(teams("desk", "pharmacists")), false);
  assert.equal(mayCarryMedicines(teams("privacy")), false);
});
