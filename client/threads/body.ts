// What people write and attach, as the body of a message (docs/protocol.md section 4), and back.

import { type FileNote, type PlainJson, textBody } from "../crypto/bodies.ts";
import type { ChipView } from "../views/types.ts";
import type { Plain, QuoteView } from "./shapes.ts";

const RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm";
const MEDICINES = new Set(["MedicationRequest", "MedicationDispense", "MedicationStatement", "Medication"]);

/** A message before it is sealed. */
export interface Written {
  readonly id: string;
  readonly subject?: string;
  readonly text: string;
  readonly inReplyTo?: string;
  readonly chips: readonly ChipView[];
  readonly files: readonly FileNote[];
}

/** The text of the body. Members that say nothing are left out. */
export function bodyOf({ id, subject, text, inReplyTo, chips, files }: Written): string {
  return textBody({
    id, text,
    ...(subject === undefined || subject.trim() === "" ? {} : { subject: subject.trim() }),
    ...(inReplyTo === undefined ? {} : { inReplyTo }),
    ...(chips.length === 0 ? {} : { fhir: chips.map((chip) => chip.fhir as { readonly [name: string]: PlainJson }) }),
    ...(files.length === 0 ? {} : { files }),
  });
}

/** A quoted resource as a chip. Everything shown comes out of the message itself: no EHR is asked. */
export function chipOf(quote: QuoteView, index: number): ChipView {
  const { resource, text } = quote;
  const medicine = typeof resource["resourceType"] === "string" && MEDICINES.has(resource["resourceType"]);
  // "Name. Directions" and "Order 12: item" (portal/ehr/panel.py); other makers may write as they like.
  const cut = text.indexOf(medicine ? ". " : ": ");
  return {
    id: `${index}-${String(resource["id"] ?? "")}`, kind: medicine ? "medicine" : "order",
    name: cut < 0 ? text : text.slice(0, cut), detail: cut < 0 ? "" : text.slice(cut + 2).trim(),
    code: medicine ? rxnormOf(resource) : "", fhir: { ...quote },
  };
}

/** The RxNorm code of a medication resource; empty where it has none. */
function rxnormOf(resource: { readonly [name: string]: Plain }): string {
  const concepts = [resource["medicationCodeableConcept"], resource["code"]];
  for (const held of listOf(resource["contained"])) if (isObject(held)) concepts.push(held["code"]);
  for (const concept of concepts) {
    if (!isObject(concept)) continue;
    for (const coding of listOf(concept["coding"])) {
      if (isObject(coding) && coding["system"] === RXNORM && typeof coding["code"] === "string") return coding["code"];
    }
  }
  return "";
}

/** The resource inside a chip; empty where there is none. */
export function resourceOf(chip: ChipView): { readonly [name: string]: Plain } {
  const resource = chip.fhir["resource"] as Plain | undefined;
  return isObject(resource) ? resource : {};
}

/** What a resource says, as pairs of a path and a value, for the one who wants to see the details without the EHR. */
export function detailsOf(resource: { readonly [name: string]: Plain }, limit = 60): readonly (readonly [string, string])[] {
  const found: [string, string][] = [];
  const walk = (value: Plain | undefined, path: readonly string[]): void => {
    if (found.length >= limit || value === undefined || value === null) return;
    if (isObject(value)) for (const [name, one] of Object.entries(value)) walk(one, [...path, name]);
    else if (Array.isArray(value)) value.forEach((one: Plain, index) => walk(one, value.length === 1 ? path : [...path, String(index + 1)]));
    else found.push([path.join(" · "), String(value)]);
  };
  walk(resource, []);
  return found;
}

function isObject(value: Plain | undefined): value is { readonly [name: string]: Plain } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: Plain | undefined): readonly Plain[] {
  return Array.isArray(value) ? value : [];
}

const SHORT = 60;

/** The subject of a message, or its first words where nobody thought of one. */
export function subjectOrWords({ subject, text }: { readonly subject: string | undefined; readonly text: string }): string {
  if (subject !== undefined && subject.trim() !== "") return subject;
  const letters = [...(text.trim().split("\n", 1)[0] ?? "")];
  return letters.length <= SHORT ? letters.join("") : `${letters.slice(0, SHORT - 1).join("")}…`;
}
