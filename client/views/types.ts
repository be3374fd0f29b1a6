// What the components show: plain values, already opened and checked by whoever holds the keys. Times are Unix milliseconds.

export type Topic = "medicine" | "side_effect" | "refill" | "other" | "order" | "billing" | "account" | "privacy";

/** How to reach a pharmacy (GET /api/pharmacies). */
export interface Pharmacy {
  readonly id: string;
  readonly name: string;
  readonly phone: string;
  readonly onCallPhone: string | null;
  readonly country: string;
  readonly openNow: boolean | null;
  readonly nextOpen: number | null;
  /** When it closes; absent or null: not known, or never. */
  readonly openUntil?: number | null;
  /** The numbers of its country. */
  readonly emergency?: { readonly emergency: string; readonly poison: string | null } | null;
}

/** A medicine or an order as people read it, and the FHIR resource that travels with it. */
export interface ChipView {
  readonly id: string;
  readonly kind: "medicine" | "order";
  readonly name: string;
  /** The dose, or the state of the order. */
  readonly detail: string;
  /** RxNorm code of a medicine; empty otherwise. */
  readonly code: string;
  /** The element of the message body's `fhir` list (docs/protocol.md section 4). */
  readonly fhir: Readonly<Record<string, unknown>>;
}

export interface FileView {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  /** A blob: address of a re-encoded image, made by our own worker; null for anything else. */
  readonly image: string | null;
  /** Share sent, 0 to 1; null once it is there. */
  readonly progress: number | null;
  readonly failed: boolean;
  /** Says it is a picture, and this browser cannot draw it: it goes as it is. */
  readonly broken?: boolean;
}

/** `received` is what others wrote; the rest is one's own. */
export type MessageState = "waiting" | "sending" | "failed" | "sent" | "delivered" | "read" | "received";

export interface Reader {
  readonly name: string;
  readonly at: number;
}

interface Common {
  /** Stays the same for the life of the message in this view. */
  readonly key: string;
  readonly at: number;
}

interface Written extends Common {
  readonly who: string;
  readonly role: string;
  readonly mine: boolean;
}

export interface TextMessage extends Written {
  readonly kind: "text";
  readonly text: string;
  readonly urgent: boolean;
  readonly state: MessageState;
  /** Of what was not sent: why, or what it waits for. */
  readonly why?: string;
  readonly readBy: readonly Reader[];
  readonly corrected: number | null;
  /** Somebody other than the author tried to correct it. */
  readonly foreignCorrection: boolean;
  readonly replyTo: { readonly key: string; readonly who: string; readonly text: string } | null;
  readonly chips: readonly ChipView[];
  readonly files: readonly FileView[];
  readonly can: { readonly reply: boolean; readonly correct: boolean; readonly retract: boolean; readonly print: boolean };
}

/** Taken back by its author. `kept` is what staff may still open; null where the server deleted it. */
export interface RetractedMessage extends Written {
  readonly kind: "retracted";
  readonly retractedAt: number;
  readonly readBefore: readonly string[];
  readonly kept: string | null;
}

/** Cannot be opened, made by a newer version, or not handed out. `no-key`: before this device could; `not-yet`: before its person was let in. */
export interface OddMessage extends Written {
  readonly kind: "unreadable" | "no-key" | "not-yet" | "newer" | "withheld";
  readonly number: number;
  readonly total: number;
  readonly reason: string;
}

/** A line of its own: someone joined, new keys, the conversation moved. */
export interface SystemLine extends Common {
  readonly kind: "system";
  readonly text: string;
  /** A number to call, offered at its end. */
  readonly phone?: string;
  readonly warn: boolean;
}

export type MessageView = TextMessage | RetractedMessage | OddMessage | SystemLine;

/**
 * `needs-answer` is the pharmacy's word alone. A patient's side reads that the pharmacy `wrote` first, has `answered`, or is
 * waited for (`waits`).
 */
export type Turn = "needs-answer" | "wrote" | "answered" | "waits";

/** One row of an inbox, opened as far as possible. */
export interface InboxRow {
  readonly thread: string;
  readonly patient: string;
  readonly who: string;
  readonly topic: string;
  /** null: cannot be read here. */
  readonly subject: string | null;
  readonly last: string | null;
  readonly lastAt: number;
  readonly unread: number;
  /** Whose turn it is, in the reader's words; null: nobody's. */
  readonly turn: Turn | null;
  readonly urgent: boolean;
  readonly waitsForKeys: boolean;
}

export type SectionState = "ok" | "partial" | "unavailable" | "not_offered";

export interface PanelMedicine {
  readonly id: string;
  readonly name: string;
  /** The RxNorm name, shown on asking; empty where there is none. */
  readonly rxnormName: string;
  readonly rxnorm: string;
  /** One sentence; `doseOwn`: the prescriber's words instead of ours. Empty: none recorded. */
  readonly dose: string;
  readonly doseOwn: boolean;
  readonly status: string;
  readonly current: boolean;
  readonly filledOn: string | null;
  readonly daysLeft: number | null;
  readonly repeatsLeft: number | null;
  readonly prescriber: string;
  readonly reason: string;
  readonly chip: Readonly<Record<string, unknown>>;
}

export interface PanelOrder {
  readonly id: string;
  readonly title: string;
  readonly item: string;
  /** The state as a code (shipped, on_hold, …) and in words. */
  readonly state: string;
  readonly stateWords: string;
  readonly stateReason: string;
  readonly orderedOn: string | null;
  readonly chip: Readonly<Record<string, unknown>>;
}

export interface PanelReading {
  readonly id: string;
  readonly name: string;
  readonly value: string;
  /** In words; empty when nothing is flagged. */
  readonly flag: string;
  readonly range: string;
  readonly takenOn: string;
  readonly preliminary: boolean;
}

/** What the EHR knows of a patient, in the reader's words (made by panel.ts). Days are YYYY-MM-DD. */
export interface Panel {
  readonly patient: {
    readonly name: string;
    readonly birthDate: string;
    readonly age: number | null;
    /** One more identifier; empty where there is none. */
    readonly number: string;
    readonly silent: "" | "deceased" | "inactive";
  };
  /** `desk`: medicines, tests and conditions are not shown to this role. */
  readonly sight: "whole" | "desk" | "refills" | "orders";
  readonly allergyState: "recorded" | "none_known" | "nothing_recorded" | "unavailable";
  readonly allergies: readonly { readonly id: string; readonly name: string; readonly reactions: string; readonly severe: boolean }[];
  readonly medicines: readonly PanelMedicine[];
  readonly dispenses: readonly { readonly id: string; readonly name: string; readonly detail: string }[];
  readonly conditions: readonly { readonly id: string; readonly name: string; readonly active: boolean; readonly since: string }[];
  readonly orders: readonly PanelOrder[];
  readonly labs: readonly PanelReading[];
  readonly vitals: readonly PanelReading[];
  readonly sections: Readonly<Record<string, SectionState>>;
  readonly source: string;
  readonly asOf: number;
  readonly stale: boolean;
}
