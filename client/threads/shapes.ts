// What goes between the crypto worker and the page about threads: plain values that can be cloned, nothing verified twice.

import type { FileNote } from "../crypto/bodies.ts";
import type { ReaderReason, Reason } from "../crypto/reasons.ts";
import type { ReceiptKind } from "../crypto/receipts.ts";
import type { Role } from "../crypto/records.ts";
import type { RecordText } from "../crypto/seal.ts";

/** JSON as the server gives it. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [name: string]: Plain };

/** The sequence number and hash that the next record must name; `head` in base64url. */
export interface HeadText {
  readonly seq: number;
  readonly head: string;
}

export interface QuoteView {
  readonly structureDefinition: string;
  readonly fhirVersion: string;
  readonly text: string;
  readonly resource: { readonly [name: string]: Plain };
}

/** What is inside a message that was opened. */
export type BodyView =
  | {
    readonly kind: "text"; readonly id: string; readonly subject: string | undefined; readonly text: string;
    readonly inReplyTo: string | undefined; readonly fhir: readonly QuoteView[]; readonly files: readonly FileNote[];
  }
  | { readonly kind: "correct"; readonly id: string; readonly replaces: string; readonly text: string }
  | { readonly kind: "system"; readonly id: string }
  | { readonly kind: "newer"; readonly id: string | undefined };

/** What there is to show of a message. `kept`: taken back, but staff may still open it. */
export type ContentView =
  | { readonly kind: "body"; readonly body: BodyView }
  | { readonly kind: "unreadable"; readonly fault: ReaderReason | undefined }
  | { readonly kind: "withheld" }
  | { readonly kind: "redacted"; readonly kept: string | null };

export interface MemberView {
  readonly id: string;
  readonly role: Role;
  readonly gen: number;
}

interface CommonView {
  readonly seq: number;
  readonly epoch: number;
  readonly user: string;
  readonly dev: string;
  readonly ts: number;
}

/** A verified record as the page gets it. */
export type RecordView =
  | (CommonView & { readonly t: "epoch"; readonly members: readonly MemberView[]; readonly revoked: number })
  | (CommonView & { readonly t: "history"; readonly to: string })
  | (CommonView & { readonly t: "redact"; readonly target: number })
  | (CommonView & {
    readonly t: "msg"; readonly content: ContentView;
    readonly att: readonly { readonly id: string; readonly size: number; readonly cth: string }[];
  });

/** What one step of reading brought. */
export interface ReadPart {
  readonly records: readonly RecordView[];
  readonly updates: readonly RecordView[];
}

/** Where a thread stands after reading. */
export interface ReadResult {
  readonly seq: number;
  readonly head: string;
  readonly refused: { readonly reason: Reason; readonly seq: number | undefined } | null;
  readonly epoch: number;
  readonly members: readonly MemberView[];
  /** The secret of the current epoch is known: messages can be written. */
  readonly canWrite: boolean;
  /** Epoch and history records that this reader cannot use. */
  readonly faults: readonly { readonly seq: number; readonly reason: ReaderReason }[];
}

/** A receipt that holds. */
export interface ReceiptView {
  readonly user: string;
  readonly kind: ReceiptKind;
  readonly seq: number;
  readonly ts: number;
}

/** A line of the inbox as the server gives it. */
export interface HeadItem {
  readonly thread: string;
  readonly pharmacy: string;
  readonly patient: string;
  readonly patient_name: string | null;
  readonly topic: string;
  readonly urgent: boolean;
  readonly created_at: string;
  readonly last_at: string;
  readonly seq: number;
  readonly epoch: number;
  readonly awaiting: boolean;
  readonly unread: number;
  readonly waits_for_keys: boolean;
  readonly reader: string;
  readonly first: readonly RecordText[];
  readonly last: RecordText | null;
  readonly epochs: readonly RecordText[];
  /** Staff: somebody has keys by now and may be let in. */
  readonly joinable: boolean;
}

/** What could be opened of a line of the inbox. */
export interface Preview {
  readonly thread: string;
  readonly subject: string | null;
  /** Who began the conversation. */
  readonly begunBy: string | null;
  /** The newest words; empty where the subject says them already. */
  readonly last: string | null;
  /** Medicines and orders of the newest message by name, and its files. */
  readonly chips: readonly string[];
  readonly files: readonly FileNote[];
  /** Who wrote the newest message shown, and the place a receipt for it must name; null where it did not verify. */
  readonly lastBy: string | null;
  readonly at: HeadText | null;
}

/** Records that are ready to be posted. */
export interface Sealed {
  readonly records: readonly RecordText[];
}
