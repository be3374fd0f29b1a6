// All components in all their states on one page, for eyes and for axe-core. Served in development only (/demo/gallery).

import { type ComponentChildren, render } from "preact";
import { useState } from "preact/hooks";

import {
  Banner, Button, EmptyState, Icon, LinkButton, Progress, Spinner, Tag, Toast,
} from "../views/components/basics.tsx";
import { Composer, UrgencyCard } from "../views/components/composer.tsx";
import { ContextPanel } from "../views/components/context.tsx";
import { Dialog } from "../views/components/dialog.tsx";
import { Checkbox, ErrorSummary, PassphraseField, PrivateArea, TextField, TileChoice } from "../views/components/forms.tsx";
import { InboxList, useQueueKeys } from "../views/components/inbox.tsx";
import { Message } from "../views/components/message.tsx";
import { MessageList } from "../views/components/message-list.tsx";
import { More } from "../views/components/more.tsx";
import { AllergyStrip, PatientHeader } from "../views/components/patient.tsx";
import { RecoverySheet } from "../views/components/recovery.tsx";
import { type Pane, ThreePane } from "../views/components/three-pane.tsx";
import { moment, setZone } from "../views/format.ts";
import { speak, t } from "../views/i18n.ts";
import { AppFrame, dress, readNotice } from "../views/shell.tsx";
import type { ChipView, InboxRow, MessageView, Panel, Pharmacy, TextMessage } from "../views/types.ts";

const NOW = Date.now();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const wanted = new URLSearchParams(location.search);

const riverside: Pharmacy = {
  id: "riverside", name: "Riverside Pharmacy", phone: "+1 555 0100", onCallPhone: "+1 555 0101", country: "US",
  openNow: wanted.get("closed") === null, nextOpen: NOW + 15 * HOUR,
};
const metformin: ChipView = {
  id: "m1",
  kind: "medicine",
  name: "Metformin 500 mg, slow-release tablet",
  detail: "Take 1 tablet twice a day with food",
  code: "860975",
  fhir: {},
};
const order: ChipView = { id: "o1", kind: "order", name: "Order 1042", detail: "On the way", code: "", fhir: {} };

const written: TextMessage = {
  kind: "text", key: "1", who: "Alice Adams", role: "Patient", mine: true, at: NOW - 26 * HOUR, urgent: false, state: "read",
  text: "Since I take the new tablets my stomach hurts in the morning. Should I take them with breakfast?",
  readBy: [{ name: "Bob Baker", at: NOW - 25 * HOUR }], corrected: null, foreignCorrection: false, replyTo: null, chips: [metformin], files: [],
  can: { reply: true, correct: true, retract: true, print: false },
};
const answer: TextMessage = {
  ...written, key: "2", who: "Bob Baker", role: "Pharmacist", mine: false, at: NOW - 25 * HOUR, state: "received", readBy: [], chips: [],
  text: "Yes, please take them with breakfast and with dinner.\n\nIf the pain stays for more than three days, or if you feel sick, call us.",
  replyTo: { key: "1", who: "Alice Adams", text: written.text }, can: { reply: true, correct: false, retract: false, print: true },
};
const states: readonly MessageView[] = [
  { kind: "system", key: "s1", at: NOW - 27 * HOUR, text: "You started this conversation with the pharmacists of Riverside Pharmacy", warn: false },
  written,
  answer,
  {
    ...written,
    key: "3",
    at: NOW - 3 * HOUR,
    state: "delivered",
    text: "Thank you, that helps. I also attach my order.",
    chips: [order],
    corrected: NOW - 2 * HOUR,
  },
  {
    ...answer,
    key: "4",
    at: NOW - 2 * HOUR,
    urgent: true,
    replyTo: null,
    text: "Please stop the tablets until we have talked. Call us today.",
    files: [{ id: "f1", name: "leaflet.pdf", size: 248_000, image: null, progress: null, failed: false }],
  },
  {
    kind: "retracted",
    key: "5",
    at: NOW - 100 * MINUTE,
    who: "Bob Baker",
    role: "Pharmacist",
    mine: false,
    retractedAt: NOW - 90 * MINUTE,
    readBefore: ["Alice Adams"],
    kept: "Wrong patient, sorry.",
  },
  { kind: "unreadable", key: "6", at: NOW - 80 * MINUTE, who: "Bob Baker", role: "Pharmacist", mine: false, number: 6, total: 12, reason: "key commitment" },
  { kind: "no-key", key: "7", at: NOW - 75 * MINUTE, who: "Erin Evans", role: "Pharmacist", mine: false, number: 7, total: 12, reason: "" },
  { kind: "newer", key: "8", at: NOW - 70 * MINUTE, who: "Erin Evans", role: "Pharmacist", mine: false, number: 8, total: 12, reason: "" },
  { kind: "withheld", key: "9", at: NOW - 60 * MINUTE, who: "Erin Evans", role: "Pharmacist", mine: false, number: 9, total: 12, reason: "" },
  {
    kind: "system",
    key: "s2",
    at: NOW - 50 * MINUTE,
    text: "Rosa Ruiz has new keys since today. Old messages come back when a pharmacist has checked who she is.",
    warn: true,
  },
  { ...answer, key: "10", at: NOW - 40 * MINUTE, text: "A corrected message that someone else tried to change.", foreignCorrection: true, replyTo: null },
  {
    ...written,
    key: "11",
    at: NOW - 6 * MINUTE,
    state: "failed",
    text: "This one did not go out.",
    chips: [],
    readBy: [],
    files: [{ id: "f2", name: "box.jpg", size: 1_800_000, image: null, progress: 0.4, failed: false }],
  },
  { ...written, key: "12", at: NOW - 5 * MINUTE, state: "waiting", text: "This one waits for the line to come back.", chips: [], readBy: [] },
  { ...written, key: "13", at: NOW - 30_000, state: "sending", text: "Going out.", chips: [], readBy: [] },
  { ...written, key: "14", at: NOW - 20_000, state: "sent", text: "Sent.", chips: [], readBy: [] },
];
const thousand: readonly MessageView[] = Array.from({ length: 1000 }, (_, index) => ({
  ...(index % 2 === 0 ? written : answer),
  key: `t${index}`,
  at: NOW - (1000 - index) * HOUR,
  text: `Message ${index + 1}. ${"Some words that make it longer. ".repeat(index % 7)}`,
  chips: [],
  replyTo: null,
}));
const rows: readonly InboxRow[] = [
  {
    thread: "a",
    patient: "a",
    who: "Peggy Price",
    topic: "medicine",
    subject: "Methotrexate every day?",
    last: "I took one each day this week",
    lastAt: NOW - 4 * MINUTE,
    unread: 2,
    turn: "needs-answer",
    urgent: true,
    waitsForKeys: false,
  },
  {
    thread: "b",
    patient: "b",
    who: "Alice Adams",
    topic: "medicine",
    subject: "Metformin and my stomach",
    last: "Thank you, that helps.",
    lastAt: NOW - 3 * HOUR,
    unread: 0,
    turn: "needs-answer",
    urgent: false,
    waitsForKeys: false,
  },
  {
    thread: "c",
    patient: "c",
    who: "Rosa Ruiz",
    topic: "other",
    subject: "Su análisis de INR",
    last: "Hola Rosa, su valor es…",
    lastAt: NOW - 20 * HOUR,
    unread: 0,
    turn: null,
    urgent: false,
    waitsForKeys: true,
  },
  {
    thread: "d",
    patient: "d",
    who: "Walter Anthony Montgomery-Featherstone",
    topic: "order",
    subject: null,
    last: null,
    lastAt: NOW - 5 * 24 * HOUR,
    unread: 0,
    turn: null,
    urgent: false,
    waitsForKeys: false,
  },
];
const medicine = {
  id: "m1",
  name: metformin.name,
  rxnormName: "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet",
  rxnorm: "860975",
  dose: metformin.detail,
  doseOwn: false,
  status: "active",
  current: true,
  filledOn: "2026-11-01",
  daysLeft: 9,
  repeatsLeft: 2,
  prescriber: "Dr. Lang",
  reason: "Type 2 diabetes",
  chip: {},
} as const;
const panel: Panel = {
  patient: { name: "Alice Adams", birthDate: "1974-03-12", age: 52, number: "MRN 4471", silent: "" },
  sight: "whole",
  allergyState: "recorded",
  allergies: [{ id: "a1", name: "Penicillin", reactions: "rash", severe: false }],
  medicines: [
    medicine,
    {
      ...medicine,
      id: "m2",
      name: "Lisinopril 10 mg, tablet",
      rxnormName: "lisinopril 10 MG Oral Tablet",
      rxnorm: "314076",
      dose: "Take 1 tablet once a day",
      daysLeft: 5,
      repeatsLeft: 0,
      reason: "Blood pressure",
    },
    {
      ...medicine,
      id: "m3",
      name: "Simvastatin 20 mg, tablet",
      dose: "one at bedtime, no grapefruit",
      doseOwn: true,
      daysLeft: null,
      filledOn: null,
      repeatsLeft: null,
      reason: "",
    },
    { ...medicine, id: "m4", name: "Amoxicillin 500 mg, capsule", current: false, status: "stopped", daysLeft: null, repeatsLeft: null },
  ],
  dispenses: [],
  conditions: [{ id: "c1", name: "Type 2 diabetes", active: true, since: "2019-05" }],
  orders: [
    { id: "o1", title: "Order 1042", item: "Metformin 500 mg", state: "shipped", stateWords: "On the way", stateReason: "", orderedOn: "2026-11-20", chip: {} },
    {
      id: "o2",
      title: "Order 1051",
      item: "Lisinopril 10 mg",
      state: "waiting_prescriber",
      stateWords: "Waiting for the doctor",
      stateReason: "No refills left",
      orderedOn: "2026-11-21",
      chip: {},
    },
  ],
  labs: [
    { id: "l1", name: "HbA1c", value: "7.1 %", flag: "high", range: "4–6 %", takenOn: "2026-10-28", preliminary: false },
    { id: "l2", name: "eGFR", value: "68 mL/min", flag: "", range: "", takenOn: "2026-10-28", preliminary: false },
  ],
  vitals: [{ id: "v1", name: "Blood pressure", value: "138/84 mmHg", flag: "", range: "", takenOn: "2026-11-18", preliminary: false }],
  sections: {},
  source: "Riverside EHR",
  asOf: NOW - 3 * MINUTE,
  stale: false,
};
const team = [{ name: "the pharmacists of Riverside Pharmacy", count: 4, people: ["Bob Baker", "Erin Evans", "Grace Green", "Olivia Olsen"] }];
const numbers = { emergency: "911", poison: "1-800-222-1222", pharmacy: riverside.phone, onCall: riverside.onCallPhone };
const nothing = () => undefined;
const acts = {
  onReply: nothing,
  onCorrect: nothing,
  onRetract: nothing,
  onPrint: nothing,
  onRetry: nothing,
  onDiscard: nothing,
  onOpenChip: nothing,
  onOpenFile: nothing,
};

function Writing({
  urgent = false,
  blocked = null,
  above,
}: {
  readonly urgent?: boolean;
  readonly blocked?: string | null;
  readonly above?: ComponentChildren;
}) {
  const [text, setText] = useState("");
  return (
    <Composer
      text={text}
      onText={setText}
      onSend={nothing}
      chips={[metformin]}
      onRemoveChip={nothing}
      onRemoveFile={nothing}
      readers={team}
      draftSaved
      sending={false}
      blocked={blocked}
      files={[{ id: "f", name: "photo of the box.jpg", size: 2_400_000, image: null, progress: 0.6, failed: false }]}
      hours={{ notice: readNotice(riverside), phone: riverside.onCallPhone ?? riverside.phone }}
      onAddMedicine={nothing}
      onAddOrder={nothing}
      onAddFiles={nothing}
      above={above}
      {...(urgent ? { urgency: { numbers, onSendAnyway: nothing, onBack: nothing } } : {})}
    />
  );
}

function Workbench() {
  const [show, setShow] = useState<Pane>("thread");
  const [current, setCurrent] = useState("b");
  useQueueKeys({ rows, current, onOpen: setCurrent, onWrite: nothing, onContext: () => setShow(show === "context" ? "thread" : "context") });
  return (
    <ThreePane
      show={show}
      onShow={setShow}
      queue={
        <>
          <div class="queue__head">
            <h1>{t("views.inbox.title")}</h1>
            <div class="segments" role="group" aria-label={t("threads.filter")}>
              <button type="button" aria-pressed="true">
                {t("threads.filter.all")}
              </button>
              <button type="button" aria-pressed="false">
                {t("views.inbox.needs-answer")}
                <span class="count">2</span>
              </button>
            </div>
          </div>
          <InboxList rows={rows} current={current} href={(id) => `#${id}`} onOpen={setCurrent} />
        </>
      }
      thread={
        <>
          <MessageList messages={states} acts={acts} firstUnread="3" hasOlder={false} loadingOlder={false} onOlder={nothing} />
          <Writing
            above={
              <PatientHeader
                name="Alice Adams"
                patient={panel.patient}
                allergies={panel}
                lookAlikes={[{ name: "Alicia Adams", birthDate: "1974-03-13", number: "MRN 4477" }]}
              />
            }
          />
        </>
      }
      context={<ContextPanel context={{ state: "here", panel }} onRefresh={nothing} onAttach={nothing} />}
    />
  );
}

function Parts() {
  const [open, setOpen] = useState(wanted.get("dialog") !== null);
  const [topic, setTopic] = useState<"medicine" | "order" | null>("medicine");
  const [phrase, setPhrase] = useState("");
  const [name, setName] = useState("");
  return (
    <>
      <h1>Gallery</h1>
      <section class="stack" aria-label="Buttons">
        <div class="button-row">
          <Button big icon="message">
            Ask a question
          </Button>
          <Button look="quiet" icon="phone">
            Call
          </Button>
          <Button look="plain">Later</Button>
          <Button look="danger">End device</Button>
          <Button disabled>Off</Button>
          <Button busy>Busy</Button>
          <LinkButton href="#" look="quiet">
            Link
          </LinkButton>
        </div>
        <div class="row">
          <Tag tone="ok" icon="check">
            Delivered
          </Tag>
          <Tag tone="warn" icon="clock">
            On hold
          </Tag>
          <Tag tone="urgent" icon="warn">
            Urgent
          </Tag>
          <Tag tone="info" icon="box">
            On the way
          </Tag>
          <Tag>Plain</Tag>
          <span class="count">3</span>
        </div>
      </section>
      <section class="stack" aria-label="Banners">
        <Banner title="Good to know">
          <p>Your pharmacist answers by Tuesday 14:00.</p>
        </Banner>
        <Banner tone="ok" title="Done">
          <p>Your code works.</p>
        </Banner>
        <Banner tone="warn" title="Do not lose your messages">
          <p>If this device breaks, only a recovery code brings them back.</p>
          <Button>Get my recovery code</Button>
        </Banner>
        <Banner tone="urgent" title="Not sent">
          <p>Try again, or call.</p>
        </Banner>
        <Spinner>{t("shell.loading")}</Spinner>
        <Progress label="Opening 1,000 messages" share={0.42} />
        <EmptyState icon="message" title={t("views.inbox.empty")} action={<Button>{t("home.ask")}</Button>}>
          {t("views.inbox.empty-patient")}
        </EmptyState>
      </section>
      <form class="stack narrow" aria-label="Form" onSubmit={(event) => event.preventDefault()}>
        <ErrorSummary problems={[{ field: "subject", text: "Write what it is about" }]} />
        <TextField id="subject" label="What is it about?" hint="A few words" error="Write what it is about" value={name} onInput={setName} secret />
        <PrivateArea id="words" label="Your question" value="" onInput={nothing} />
        <TileChoice
          legend="Pick a topic"
          value={topic}
          onChange={setTopic}
          options={[
            { value: "medicine", label: t("views.topic.medicine"), hint: "Answer by Tue 14:00" },
            { value: "order", label: t("views.topic.order") },
          ]}
        />
        <PassphraseField
          id="phrase"
          label="Passphrase"
          fresh
          value={phrase}
          onInput={setPhrase}
          words={["anchor", "velvet", "puzzle", "meadow", "copper"]}
          onUseWords={nothing}
        />
        <Checkbox id="shared" label="This is a shared device" hint="Everything is deleted here when you sign out." checked={false} onChange={nothing} />
      </form>
      <section class="stack" aria-label="Allergies">
        <AllergyStrip panel={panel} />
        <AllergyStrip panel={{ allergyState: "none_known", allergies: [] }} />
        <AllergyStrip panel={{ allergyState: "nothing_recorded", allergies: [] }} />
        <AllergyStrip panel={null} />
      </section>
      <section class="card" aria-label="Context, down">
        <ContextPanel context={{ state: "down", panel }} onRefresh={nothing} />
      </section>
      <section class="card" aria-label="Context, stale">
        <ContextPanel
          context={{ state: "here", panel: { ...panel, stale: true, sight: "desk", sections: { labs: "unavailable" } } }}
          onRefresh={nothing}
          onAttach={nothing}
        />
      </section>
      <section class="card" aria-label="Context, nothing">
        <ContextPanel context={{ state: "down", panel: null }} onRefresh={nothing} />
        <ContextPanel context={{ state: "loading" }} onRefresh={nothing} />
      </section>
      <UrgencyCard numbers={numbers} onSendAnyway={nothing} onBack={nothing} />
      <RecoverySheet name="Alice Adams" code="7K4D9QWXM2RT5HBN8PVC3JZA6YFE" madeOn="2026-11-24" signInAt="https://portal.example" />
      <section class="stack-tight" aria-label="Messages">
        {states.map((message) => (
          <Message key={message.key} message={message} acts={acts} />
        ))}
      </section>
      <p>
        <Button look="quiet" onClick={() => setOpen(true)}>
          Open a dialog
        </Button>
      </p>
      {open ? (
        <Dialog
          title="End this device?"
          onClose={() => setOpen(false)}
          actions={
            <>
              <Button look="danger">End it</Button>
              <Button look="quiet" onClick={() => setOpen(false)}>
                {t("common.cancel")}
              </Button>
            </>
          }
        >
          <p>It can no longer read your messages.</p>
        </Dialog>
      ) : null}
      {wanted.get("toast") === null ? null : <Toast onClose={nothing}>{t("views.net.back")}</Toast>}
    </>
  );
}

function Thread() {
  return (
    <div class="pane">
      <div class="thread-head">
        <div class="thread-head__title">
          <h1>Metformin and my stomach</h1>
        </div>
        <More label={t("threads.more")}>
          {() => (
            <button type="button">
              <Icon name="print" />
              {t("threads.print")}
            </button>
          )}
        </More>
      </div>
      <MessageList
        messages={wanted.get("view") === "thousand" ? thousand : states}
        acts={acts}
        firstUnread={null}
        hasOlder={false}
        loadingOlder={false}
        onOlder={nothing}
      />
      <Writing urgent={wanted.get("urgent") !== null} blocked={wanted.get("blocked") === null ? null : t("views.net.offline")} />
    </div>
  );
}

function Gallery() {
  const view = wanted.get("view");
  const staff = view === "work";
  const largeText = document.documentElement.dataset["text"] === "large";
  const full = view !== null;
  return (
    <AppFrame
      account={{ role: staff ? "pharmacist" : "patient", name: "Alice Adams" }}
      pharmacy={riverside}
      path={staff ? "/inbox" : "/messages"}
      largeText={largeText}
      full={full}
      onLanguage={nothing}
      onText={nothing}
      onSignOut={nothing}
    >
      {view === null ? <Parts /> : staff ? <Workbench /> : <Thread />}
    </AppFrame>
  );
}

await speak(document.documentElement.dataset["language"] ?? "en");
setZone(null);
document.title = `Gallery ${moment(NOW)}`;
dress({ largeText: document.documentElement.dataset["text"] === "large", role: wanted.get("view") === "work" ? "pharmacist" : "patient" });
const app = document.getElementById("app");
if (app !== null) {
  app.replaceChildren();
  render(<Gallery />, app);
}
