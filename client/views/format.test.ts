// Words for times, days and sizes, in two languages; plural forms; and the panel made from the server's JSON.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { beforeEach, test } from "node:test";

import { clock, day, dayLine, dayOf, list, moment, number, phoneUri, setZone, size } from "./format.ts";
import { has, t, useTexts } from "./i18n.ts";
import { type ContextJson, toPanel } from "./panel.ts";
import { hoursLine, readNotice } from "./shell.tsx";

const NOW = Date.UTC(2026, 10, 24, 15, 5);
const HOUR = 3_600_000;

function speakFromFiles(language: "en" | "es"): void {
  const folder = path.join(process.env["PORTAL_ROOT"] ?? "", "portal/core/texts", language);
  useTexts(language, Object.assign({}, ...readdirSync(folder).map((name) => JSON.parse(readFileSync(path.join(folder, name), "utf8")))));
}

beforeEach(() => {
  speakFromFiles("en");
  setZone("America/Chicago", "America/Chicago");
});

test("a moment is told in the person's zone, near ones by name", () => {
  assert.equal(moment(NOW - 20_000, NOW), "just now");
  assert.equal(moment(NOW - HOUR, NOW).replace("\u202f", " "), "today 8:05 AM");
  assert.equal(moment(NOW - 12 * HOUR, NOW).replace("\u202f", " "), "yesterday 9:05 PM");
  assert.equal(moment(NOW + 24 * HOUR, NOW).replace("\u202f", " "), "tomorrow 9:05 AM");
  assert.equal(moment(NOW + 72 * HOUR, NOW).replace("\u202f", " "), "Fri 9:05 AM");
});

test("the same moment is another day elsewhere", () => {
  const late = Date.UTC(2026, 10, 25, 3, 0);
  assert.equal(dayOf(late), "2026-11-24");
  assert.equal(dayLine(late, NOW), "Today");
  setZone("Europe/Madrid", "Europe/Madrid");
  assert.notEqual(dayLine(late, NOW), "Today");
});

test("a zone this browser does not know is not an error", () => {
  setZone("Mars/Olympus");
  assert.ok(clock(NOW).length > 0);
});

test("a calendar day never shifts, and an unfinished date stays unfinished", () => {
  assert.equal(day("2026-11-01"), "Nov 1, 2026");
  assert.equal(day("2019-05"), "May 2019");
  assert.equal(day("1974"), "1974");
  assert.equal(day("sometime"), "sometime");
});

test("Spanish has its own words and plural forms", () => {
  speakFromFiles("es");
  assert.equal(moment(NOW - HOUR, NOW), "hoy 8:05");
  assert.equal(t("views.messages.jump", { count: 1 }), "1 mensaje nuevo");
  assert.equal(t("views.messages.jump", { count: 2_000_000 }), "2000000 mensajes nuevos");
  assert.equal(list(["Ana", "Bob"]), "Ana y Bob");
});

test("a missing text or value is a fault, not a hole", () => {
  assert.throws(() => t("no.such.text"));
  assert.throws(() => t("common.call"));
  assert.equal(has("no.such.text"), false);
});

test("sizes, numbers and phones", () => {
  assert.equal(size(2_400_000), "2.4 MB");
  assert.equal(size(12), "1 kB");
  assert.equal(number(0.075), "0.075");
  assert.equal(phoneUri("+1 (555) 0100"), "tel:+15550100");
});

test("out of hours it is said when a message is read", () => {
  const pharmacy = {
    id: "riverside",
    name: "Riverside Pharmacy",
    phone: "+1 555 0100",
    onCallPhone: null,
    country: "US",
    openNow: false,
    nextOpen: NOW + 23 * HOUR,
  };
  assert.equal(hoursLine(pharmacy, NOW).replace("\u202f", " "), "Closed. Opens tomorrow at 8:05 AM");
  assert.equal(readNotice(pharmacy, NOW)?.replace("\u202f", " "), "Nobody reads this before tomorrow 8:05 AM. Is it urgent?");
  assert.equal(readNotice({ ...pharmacy, openNow: true }, NOW), null);
  assert.match(readNotice({ ...pharmacy, openNow: null, nextOpen: null }, NOW) ?? "", /do not know/);
});

test("the server's context becomes the panel's words", () => {
  const json: ContextJson = {
    source: "Riverside Pharmacy",
    as_of: "2026-11-24T15:00:00+00:00",
    stale: false,
    sight: "whole",
    sections: { labs: "unavailable" },
    patient: { full_name: "Alice Ward", birth_date: "1974-03-12", age: 52, record_number: { value: "4471", label: "MR" }, deceased: false, silent: false },
    medications: { current: [], past: [] },
    other_dispenses: [],
    allergies: {
      state: "recorded",
      items: [
        { id: "a", text: "Penicillin", none_known_key: null, reactions: ["rash"], high_risk: false, active: true },
        { id: "b", text: "Old one", none_known_key: null, reactions: [], high_risk: false, active: false },
      ],
    },
    conditions: [],
    labs: [],
    orders: [
      {
        id: "o",
        title: "Order 1042",
        item: "Metformin",
        state: "shipped",
        state_word: { key: "ehr.order.state.shipped", text: "" },
        state_reason: "",
        ordered_on: null,
        chip: {},
      },
    ],
    vitals: [
      {
        id: "v2",
        name_key: "ehr.observation.name.blood_pressure",
        text: "",
        taken_on: "2026-11-20",
        taken_at: null,
        shown: "",
        absent_key: null,
        flag: null,
        reference_range: "",
        preliminary: false,
        components: [{ name_key: "ehr.observation.name.systolic", shown: "138 mmHg", absent_key: null }],
      },
      {
        id: "v1",
        name_key: "ehr.observation.name.blood_pressure",
        text: "",
        taken_on: "2026-11-01",
        taken_at: null,
        shown: "",
        absent_key: null,
        flag: null,
        reference_range: "",
        preliminary: false,
        components: [],
      },
    ],
  };
  const panel = toPanel(json);
  assert.deepEqual(panel.allergies, [{ id: "a", name: "Penicillin", reactions: "rash", severe: false }]);
  assert.equal(panel.orders[0]?.stateWords, "On its way");
  assert.equal(panel.patient.number, "MR 4471");
  assert.deepEqual(panel.vitals.map((one) => one.id), ["v2"]);
  assert.match(panel.vitals[0]?.value ?? "", /138 mmHg/);
});

test("a time of another zone than the browser's says so; the same time under another name does not", () => {
  const at = Date.parse("2026-11-22T09:30:00Z");
  setZone("America/Chicago", "Europe/Madrid");
  assert.equal(clock(at).replace("\u202f", " "), "3:30 AM CST");
  setZone("America/Chicago", "America/Winnipeg");
  assert.equal(clock(at).replace("\u202f", " "), "3:30 AM");
  setZone(null, "America/Chicago");
});
