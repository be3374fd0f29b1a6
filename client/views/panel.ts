// The answer of GET /api/patients/<id>/context, made by portal/ehr/panel.py, as what the panel shows: keys become words.

import { day } from "./format.ts";
import { has, t } from "./i18n.ts";
import type { Panel, PanelMedicine, PanelOrder, PanelReading, SectionState } from "./types.ts";

interface Word {
  readonly key: string | null;
  readonly text: string;
}

interface Fill {
  readonly id: string;
  readonly name: string;
  readonly handed_over_on: string | null;
  readonly quantity: string;
}

interface Measure {
  readonly shown: string;
  readonly absent_key: string | null;
}

interface Reading extends Measure {
  readonly id: string;
  readonly name_key: string;
  readonly text: string;
  readonly taken_on: string | null;
  readonly taken_at: string | null;
  readonly components: readonly (Measure & { readonly name_key: string })[];
  readonly flag: Word | null;
  readonly reference_range: string;
  readonly preliminary: boolean;
}

interface MedicineJson {
  readonly id: string;
  readonly name: string;
  readonly rxnorm: { readonly code: string; readonly name: string } | null;
  readonly current: boolean;
  readonly status_word: Word;
  readonly dosage: string;
  readonly dosage_from: string;
  readonly last_fill: Fill | null;
  readonly days_left: number | null;
  readonly repeats_left: number | null;
  readonly prescriber: string;
  readonly reason: string;
  readonly chip: Readonly<Record<string, unknown>>;
}

interface OrderJson {
  readonly id: string;
  readonly title: string;
  readonly item: string;
  readonly state: string;
  readonly state_word: Word;
  readonly state_reason: string;
  readonly ordered_on: string | null;
  readonly chip: Readonly<Record<string, unknown>>;
}

/** The JSON as the server sends it. `sight` is "desk" where a role sees no medicines. */
/** So many days of supply or fewer: a refill is due. templates/parts/care.html has the same bound. */
export const RUNNING_LOW_DAYS = 10;

export interface ContextJson {
  readonly source: string;
  readonly as_of: string;
  readonly stale: boolean;
  readonly sight: "whole" | "desk" | "refills" | "orders";
  readonly sections: Readonly<Record<string, SectionState>>;
  readonly patient: {
    readonly full_name: string;
    readonly birth_date: string;
    readonly age: number | null;
    readonly record_number: { readonly value: string; readonly label: string } | null;
    readonly deceased: boolean;
    readonly silent: boolean;
  };
  readonly medications: { readonly current: readonly MedicineJson[]; readonly past: readonly MedicineJson[] };
  readonly other_dispenses: readonly Fill[];
  readonly allergies: {
    readonly state: Panel["allergyState"];
    readonly items: readonly {
      readonly id: string;
      readonly text: string;
      readonly none_known_key: string | null;
      readonly reactions: readonly string[];
      readonly high_risk: boolean;
      readonly active: boolean;
    }[];
  };
  readonly conditions: readonly {
    readonly id: string;
    readonly text: string;
    readonly active: boolean;
    readonly onset: string | null;
    readonly recorded_on: string | null;
  }[];
  readonly orders: readonly OrderJson[];
  readonly labs: readonly Reading[];
  readonly vitals: readonly Reading[];
}

/** The panel of an answer, in the language spoken now. */
export function toPanel(json: ContextJson): Panel {
  const { patient } = json;
  return {
    patient: {
      name: patient.full_name,
      birthDate: patient.birth_date,
      age: patient.age,
      number: patient.record_number === null ? "" : `${patient.record_number.label} ${patient.record_number.value}`.trim(),
      silent: patient.silent ? (patient.deceased ? "deceased" : "inactive") : "",
    },
    sight: json.sight,
    allergyState: json.allergies.state,
    allergies: json.allergies.items.filter((one) => one.active && one.none_known_key === null)
      .map((one) => ({ id: one.id, name: one.text, reactions: one.reactions.join(", "), severe: one.high_risk })),
    medicines: [...json.medications.current, ...json.medications.past].map(medicine),
    dispenses: json.other_dispenses.map((one) => ({
      id: one.id, name: one.name, detail: [one.quantity, one.handed_over_on === null ? "" : day(one.handed_over_on)].filter(Boolean).join(" · "),
    })),
    conditions: json.conditions.map((one) => ({ id: one.id, name: one.text, active: one.active, since: one.onset ?? one.recorded_on ?? "" })),
    orders: json.orders.map(order),
    labs: json.labs.map(reading),
    vitals: newestOfEach(json.vitals).map(reading),
    sections: json.sections,
    source: json.source,
    asOf: Date.parse(json.as_of),
    stale: json.stale,
  };
}

function medicine(one: MedicineJson): PanelMedicine {
  return {
    id: one.id, name: one.name, rxnorm: one.rxnorm?.code ?? "", rxnormName: one.rxnorm?.name ?? "",
    dose: one.dosage, doseOwn: one.dosage_from === "prescriber", status: words(one.status_word), current: one.current,
    filledOn: one.last_fill?.handed_over_on ?? null, daysLeft: one.days_left, repeatsLeft: one.repeats_left,
    prescriber: one.prescriber, reason: one.reason, chip: one.chip,
  };
}

function order(one: OrderJson): PanelOrder {
  return {
    id: one.id, title: one.title, item: one.item, state: one.state, stateWords: words(one.state_word),
    stateReason: one.state_reason, orderedOn: one.ordered_on, chip: one.chip,
  };
}

function reading(one: Reading): PanelReading {
  const parts = one.components.map((part) => `${named(part.name_key, "")} ${measured(part)}`.trim());
  return {
    id: one.id, name: named(one.name_key, one.text), value: parts.length > 0 && one.shown === "" ? parts.join(", ") : measured(one),
    flag: one.flag === null ? "" : words(one.flag), range: one.reference_range, takenOn: one.taken_on ?? one.taken_at?.slice(0, 10) ?? "",
    preliminary: one.preliminary,
  };
}

/** Vital signs come as a history, newest first; beside the thread stands the latest of each kind. */
function newestOfEach(readings: readonly Reading[]): readonly Reading[] {
  return readings.filter((one, index) => readings.findIndex((other) => other.name_key === one.name_key) === index);
}

function measured(measure: Measure): string {
  return measure.shown !== "" || measure.absent_key === null ? measure.shown : named(measure.absent_key, "");
}

function words(word: Word): string {
  return word.key === null ? word.text : named(word.key, word.text);
}

function named(key: string, otherwise: string): string {
  return has(key) ? t(key) : otherwise;
}
