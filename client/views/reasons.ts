// Why something is refused, as a person reads it. The codes are those of docs/protocol.md and stand beside it in small type, for
// whoever helps by telephone.

import { t } from "./i18n.ts";

/** What all those faults come to for a reader. */
type Meaning = "form" | "order" | "writer" | "may-not" | "changed" | "lock" | "inside" | "older" | "file" | "typing";

/** All codes of crypto/reasons.ts, which the test holds it to. */
const MEANING: Readonly<Record<string, Meaning>> = {
  form: "form", version: "form", type: "form", suite: "form", object: "form", parameters: "form",
  thread: "order", sequence: "order", chain: "order", "epoch number": "order", epoch: "order", duplicate: "order",
  "unknown device": "writer", "unknown user": "writer", certificate: "writer", revoked: "writer", signature: "writer", revocation: "writer",
  creator: "may-not", membership: "may-not", "not a member": "may-not", history: "may-not", redact: "may-not",
  "ciphertext hash": "changed", "wrap list": "changed", "wrap hash": "changed", "commitment reused": "changed",
  "member key": "lock", wrap: "lock", "epoch commitment": "lock", "key commitment": "lock", aead: "lock",
  padding: "inside", frank: "inside", body: "inside",
  rollback: "older", fork: "older", attachment: "file", code: "typing",
};

/** One sentence in the reader's language; a reason that is not known here did not pass a check, and that is all that can be said. */
export function reasonWords(reason: string): string {
  return t(`views.reason.${Object.hasOwn(MEANING, reason) ? MEANING[reason] : "other"}`);
}
