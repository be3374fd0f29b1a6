import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { type Urgency, urgencyOf } from "../urgency.ts";

const URGENT: readonly (readonly [string, Urgency])[] = [
  ["I have chest pain since this morning", "emergency"],
  ["There is a pressure on my chest", "emergency"],
  ["I can't breathe well", "emergency"],
  ["I can’t breathe", "emergency"],
  ["My face is swelling after the new tablets", "emergency"],
  ["swelling of my face and lips", "emergency"],
  ["my tongue feels swollen", "emergency"],
  ["He passed out in the kitchen", "emergency"],
  ["I am vomiting blood", "emergency"],
  ["I have trouble breathing at night", "emergency"],
  ["I took 20 pills", "poison"],
  ["She swallowed twenty of the small tablets", "poison"],
  ["I took too many of them", "poison"],
  ["I think it is an overdose", "poison"],
  ["My toddler swallowed a tablet", "poison"],
  ["I want to kill myself", "crisis"],
  ["I feel suicidal", "crisis"],
  ["I don't want to live any more", "crisis"],
  ["No fever, but chest pain", "emergency"],
  ["I have no fever and chest pain", "emergency"],
  ["Tengo dolor en el pecho", "emergency"],
  ["Me duele el pecho", "emergency"],
  ["No puedo respirar", "emergency"],
  ["Se me hincha la cara", "emergency"],
  ["Tengo la lengua hinchada", "emergency"],
  ["Me desmayé ayer", "emergency"],
  ["Tomé 20 pastillas", "poison"],
  ["Creo que es una sobredosis", "poison"],
  ["Mi hijo se tragó una pastilla", "poison"],
  ["Quiero morirme", "crisis"],
  ["No quiero vivir", "crisis"],
  ["No tengo fiebre, pero me falta el aire", "emergency"],
];

const CALM: readonly string[] = [
  "May I take ibuprofen with lisinopril?",
  "I have no chest pain",
  "No chest pain and no trouble breathing",
  "I don't have any chest pain",
  "She never had chest pain",
  "no fever or chest pain",
  "without swelling of the face",
  "I did not take an overdose",
  "I am not suicidal",
  "I took 2 pills this morning",
  "I took 500 mg in 2 tablets",
  "My chest of drawers hurts my back",
  "It is hard to swallow the price",
  "No tengo dolor en el pecho",
  "Sin dolor de pecho ni falta de aire",
  "Tomé 2 pastillas hoy",
  "No tengo la cara hinchada",
  "¿Cuándo llega mi pedido?",
  "",
];

describe("urgency", () => {
  for (const [text, kind] of URGENT) test(`raises the card: ${text}`, () => assert.equal(urgencyOf(text), kind));
  for (const text of CALM) test(`stays calm: ${text}`, () => assert.equal(urgencyOf(text), null));
});
