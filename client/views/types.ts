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

/** Cannot be opened, made by a newer version, or not handed out. `noKey`: written before this reader came. */
export interface OddMessage extends Written {
  readonly kind: "unreadable" | "no-key" | "newer" | "withheld";
  readonly number: number;
  readonly total: number;
  readonly reason: string;
}

/** A line of its own: someone joined, new keys, the conversation moved. */
export interface SystemLine extends Common {
  readonly kind: "system";
  readonly text: string;
  readonly warn: boolean;
}

export type MessageView = TextMessage | RetractedMessage | OddMessage | SystemLine;

/** One row of an inbox, opened as far as possible. */
export interface InboxRow {
  readonly thread: string;
  readonly who: string;
  readonly topic: string;
  /** null: cannot be read here. */
  readonly subject: string | null;
  readonly last: string | null;
  readonly lastAt: number;
  readonly unread: number;
  readonly awaiting: boolean;
  readonly urgent: boolean;
  readonly waitsForKeys: boolean;
}

export type SectionState = "ok" | "partial" | "unavailable" | "not_offered";

export interface PanelMedicine {
  readonly id: string;
  readonly name: string;
  /** The EHR's own name, shown on asking. */
  readonly own_name: string;
  readonly rxnorm: string;
  /** One sentence; `dose_own`: the prescriber's words instead of ours. Empty: none recorded. */
  readonly dose: string;
  readonly dose_own: boolean;
  readonly status: string;
  readonly current: boolean;
  readonly ordered_on: string | null;
  readonly filled_on: string | null;
  readonly days_supply: number | null;
  readonly days_left: number | null;
  readonly repeats_left: number | null;
  readonly prescriber: string;
  readonly reason: string;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface PanelOrder {
  readonly id: string;
  readonly kind: "supply" | "service";
  readonly number: string;
  readonly item: string;
  /** A word of the fixed list (text orders.state.…), or empty: then `state_words` says it. */
  readonly state: string;
  readonly state_words: string;
  readonly state_reason: string;
  readonly done: boolean;
  readonly ordered_on: string | null;
  readonly changed_at: string | null;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface PanelReading {
  readonly id: string;
  readonly name: string;
  readonly value: string;
  readonly flag: "" | "high" | "low" | "critical";
  readonly range: string;
  readonly taken_on: string;
  readonly preliminary: boolean;
}

/** The answer of GET /api/patients/<id>/context. Sentences are in the reader's language, days are YYYY-MM-DD. */
export interface Panel {
  readonly patient: {
    readonly name: string;
    readonly birth_date: string;
    readonly age: number | null;
    readonly number: string;
    readonly sex: string;
    readonly silent: "" | "deceased" | "inactive";
  };
  readonly sight: "whole" | "desk";
  readonly allergy_state: "recorded" | "none_known" | "nothing_recorded" | "unavailable";
  readonly allergies: readonly { readonly id: string; readonly name: string; readonly reactions: string; readonly severe: boolean }[];
  readonly medicines: readonly PanelMedicine[];
  readonly dispenses: readonly { readonly id: string; readonly name: string; readonly handed_over_on: string | null; readonly quantity: string }[];
  readonly conditions: readonly { readonly id: string; readonly name: string; readonly active: boolean; readonly since: string }[];
  readonly orders: readonly PanelOrder[];
  readonly labs: readonly PanelReading[];
  readonly vitals: readonly PanelReading[];
  readonly weight: PanelReading | null;
  readonly sections: Readonly<Record<string, SectionState>>;
  readonly source: string;
  /** ISO 8601 in UTC. */
  readonly as_of: string;
  readonly stale: boolean;
}
