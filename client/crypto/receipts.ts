// Receipts: delivered, read, unreadable. Signed, outside the chain, latest per person and kind (docs/protocol.md section 4).

import { type VerifiedDevice, verifyCertificate } from "./certificates.ts";
import { type Signer, verify as verifyEd25519 } from "./ed25519.ts";
import { type Bytes, b64, pae, sameBytes, unb64, utf8 } from "./encoding.ts";
import { bytes, headerObject, id, integer, longId, oneOf, onlyMembers, positive, versionAndType } from "./form.ts";
import { type EndingReason, Refused, attemptAsync, refused } from "./reasons.ts";
import { type DirectoryView, type ThreadState } from "./state.ts";
import { isCurrent, voicesOf } from "./steps.ts";

export const RECEIPT_KINDS = ["delivered", "read", "unreadable"] as const;
export type ReceiptKind = (typeof RECEIPT_KINDS)[number];

export interface ReceiptText {
  readonly h: string;
  readonly sig: string;
}

export interface Receipt {
  readonly thread: string;
  readonly seq: number;
  readonly head: Bytes;
  readonly kind: ReceiptKind;
  readonly dev: string;
  readonly ts: number;
}

/** A receipt that holds, and whose it is. */
export interface VerifiedReceipt extends Receipt {
  readonly user: string;
}

/** Makes a receipt for the thread up to `seq`, whose head is `head`. */
export async function makeReceipt(receipt: Receipt, signer: Signer): Promise<ReceiptText> {
  const { thread, seq, head, kind, dev, ts } = receipt;
  const h = utf8(JSON.stringify({ v: 1, t: "receipt", thread, seq, head: b64(head), kind, dev, ts }));
  return { h: b64(h), sig: b64(await signer.sign(pae("receipt", h))) };
}

interface ReceiptFacts {
  readonly receipt: Receipt;
  readonly h: Bytes;
  readonly sig: Bytes;
  readonly state: ThreadState;
  readonly directory: DirectoryView;
  readonly user: string;
  /** Set by the step that verifies it. */
  device: VerifiedDevice | undefined;
}

/** One check of a receipt by name. */
export interface ReceiptStep {
  readonly name: string;
  readonly check: (facts: ReceiptFacts) => EndingReason | undefined | Promise<EndingReason | undefined>;
}

/** The checks of a receipt after its form, in their order. */
export const RECEIPT_STEPS: readonly ReceiptStep[] = [
  { name: "receipt thread", check: ({ receipt, state }) => (receipt.thread === state.thread ? undefined : "thread") },
  { name: "receipt sequence", check: ({ receipt, state }) => (receipt.seq <= state.seq ? undefined : "sequence") },
  {
    name: "receipt head",
    check: ({ receipt, state }) => {
      const head = state.heads.get(receipt.seq);
      return head !== undefined && sameBytes(head, receipt.head) ? undefined : "fork";
    },
  },
  {
    name: "receipt device",
    check: ({ receipt, directory }) => (directory.device(receipt.dev) ? undefined : "unknown device"),
  },
  { name: "receipt user", check: ({ directory, user }) => (directory.user(user) ? undefined : "unknown user") },
  {
    name: "receipt certificate",
    check: async (facts) => {
      const { directory, user, receipt: { dev, seq }, state } = facts;
      const verified = await verifyCertificate(directory.device(dev)!, { user, dev }, directory.identities(user));
      if (refused(verified) || !isCurrent(verified, state.epochAt(seq)?.members.values() ?? [], directory)) return "certificate";
      facts.device = verified;
      return undefined;
    },
  },
  { name: "receipt revoked", check: ({ receipt, state }) => (state.revoked.has(receipt.dev) ? "revoked" : undefined) },
  {
    name: "receipt member",
    check: ({ receipt, state, directory, user, device }) => {
      const members = state.epochAt(receipt.seq)?.members.values() ?? [];
      return voicesOf({ user, signer: device?.signer }, members, directory).size > 0 ? undefined : "not a member";
    },
  },
  {
    name: "receipt signature",
    check: async ({ h, sig, device }) =>
      device !== undefined && (await verifyEd25519(device.ed, sig, pae("receipt", h))) ? undefined : "signature",
  },
];

/** Reads and verifies a receipt of `user` against a verified thread. */
export function verifyReceipt(
  text: ReceiptText, user: string, state: ThreadState, directory: DirectoryView, steps: readonly ReceiptStep[] = RECEIPT_STEPS,
): Promise<VerifiedReceipt | Refused> {
  return attemptAsync(async () => {
    const h = unb64(text.h);
    const sig = unb64(text.sig);
    const receipt = readReceipt(h);
    if (sig.length !== 64) throw new Refused("form", "a signature has 64 bytes");
    const facts: ReceiptFacts = { receipt, h, sig, state, directory, user, device: undefined };
    for (const step of steps) {
      const reason = await step.check(facts);
      if (reason !== undefined) throw new Refused(reason, step.name);
    }
    return { ...receipt, user };
  });
}

function readReceipt(h: Bytes): Receipt {
  const members = headerObject(h);
  versionAndType(members, ["receipt"]);
  onlyMembers(members, ["v", "t", "thread", "seq", "head", "kind", "dev", "ts"]);
  return {
    thread: longId(members.get("thread")),
    seq: positive(members.get("seq")),
    head: bytes(32)(members.get("head")),
    kind: oneOf(...RECEIPT_KINDS)(members.get("kind")),
    dev: id(members.get("dev")),
    ts: integer(members.get("ts")),
  };
}
