// A new question, in as few taps as it takes: what about, only what that needs, the words, send.

import { useEffect, useMemo, useState } from "preact/hooks";

import { newId } from "../crypto/encoding.ts";
import type { Role } from "../crypto/records.ts";
import { type ActingFor, get, isOfTheLine, post } from "../live/api.ts";
import { pharmacyView, troubleWords } from "../frame/page.tsx";
import { Banner, Button, EmptyState, Icon, LinkButton, Spinner } from "../views/components/basics.tsx";
import { Composer } from "../views/components/composer.tsx";
import { medicineChip, orderChip } from "../views/components/context.tsx";
import { TextField, TileChoice } from "../views/components/forms.tsx";
import { lookAlikeWords } from "../views/components/patient.tsx";
import { day } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import { readNotice } from "../views/shell.tsx";
import type { ChipView, Topic } from "../views/types.ts";
import { ChipPicker } from "./chips.tsx";
import { Composing, takesFiles } from "./compose.ts";
import { ContextModel, type PatientLine, lookAlikesOf } from "./context.ts";
import type { Desk } from "./desk.ts";
import { useAddress, useChanges } from "./hooks.ts";
import { problemOf } from "./pane.tsx";
import { memberName } from "./readers.ts";
import { urgencyOf } from "./urgency.ts";
import { ForWhom, Switching, patientName, sentFor, switchedFrom } from "./whose.tsx";

const TOPICS: readonly Topic[] = ["medicine", "side_effect", "refill", "order", "billing", "account", "privacy", "other"];
/** The team of each topic; the same table as portal/pharmacies/topics.py, which the server keeps to. */
const TEAM_OF: Readonly<Record<Topic, string>> = {
  medicine: "pharmacists", side_effect: "pharmacists", refill: "pharmacists", other: "pharmacists",
  order: "desk", billing: "desk", account: "desk", privacy: "privacy",
};
/** What a topic asks to be picked. */
const NEEDS: Readonly<Partial<Record<Topic, "medicine" | "order">>> = { medicine: "medicine", side_effect: "medicine", refill: "medicine", order: "order" };
interface Member {
  readonly id: string;
  readonly role: Role;
}

const ACCEPTED_WITHIN_MS = 4_000;

export function NewQuestion({ desk }: { readonly desk: Desk }) {
  return desk.staff ? <ForStaff desk={desk} /> : <ForPatient desk={desk} />;
}

function ForPatient({ desk }: { readonly desk: Desk }) {
  const patients = desk.patients;
  const [address, go] = useAddress();
  const whom = patients.length === 1 ? patients[0] : wantedPatient(patients, address.get("for"));
  const pharmacy = desk.page.pharmacy ?? desk.pharmacy(address.get("pharmacy") ?? "") ?? null;
  if (patients.length === 0 && desk.ready.session.patients.length > 0) {
    // Who helps with orders or refills alone writes nothing for anybody.
    const ways = (
      <div class="button-row">
        <LinkButton href="/home">{t("common.nav.home")}</LinkButton>
        <LinkButton look="quiet" href="/contact">
          {t("common.nav.contact")}
        </LinkButton>
      </div>
    );
    return <EmptyState icon="people" heading title={t("threads.new.helper")} action={ways}>{t("threads.new.helper-body")}</EmptyState>;
  }
  if (patients.length === 0) {
    const ways = (
      <div class="button-row">
        <LinkButton href="/invitation">{t("home.unbound.do")}</LinkButton>
        <LinkButton look="quiet" href="/contact">
          {t("common.nav.contact")}
        </LinkButton>
      </div>
    );
    return <EmptyState icon="person" heading title={t("threads.new.no-patient")} action={ways} />;
  }
  if (pharmacy === null) {
    return (
      <div class="narrow stack">
        <h1>{t("threads.new.pharmacy")}</h1>
        <ul class="stack-tight">
          {desk.page.pharmacies
            .filter((one) => one.offered || one.in_care.length > 0)
            .map((one) => (
              <li key={one.id}>
                <Button look="quiet" onClick={() => go({ pharmacy: one.id })}>
                  {one.name}
                </Button>
                <p class="small soft">{one.address}</p>
              </li>
            ))}
        </ul>
      </div>
    );
  }
  if (whom === undefined) return <Whom patients={patients} onPick={(one) => go({ for: one.kind === "self" ? "me" : one.patient })} />;
  // Whoever writes for somebody with keys of their own writes with that person, not behind their back.
  const members: readonly Member[] = whom.kind === "self" ? [{ id: desk.me, role: "patient" }]
    : [...(whom.account === null ? [] : [{ id: whom.account, role: "patient" as const }]), { id: desk.me, role: "proxy" }];
  return (
    <Asking
      key={whom.patient}
      desk={desk}
      pharmacyId={pharmacy.id}
      patient={whom.patient}
      draft={whom.kind === "self" ? "new" : `new_${whom.patient}`}
      people={members}
    />
  );
}

/** Whom the address names: `for=me`, or a patient's id. */
function wantedPatient(patients: readonly ActingFor[], wanted: string | null): ActingFor | undefined {
  return patients.find((one) => (wanted === "me" ? one.kind === "self" : one.patient === wanted));
}

/** The first question to whoever acts for others too. */
function Whom({ patients, onPick }: { readonly patients: readonly ActingFor[]; readonly onPick: (one: ActingFor) => void }) {
  return (
    <div class="narrow stack">
      <h1>{t("threads.whose.title")}</h1>
      <TileChoice legend={t("threads.new.topic")} value={null} onChange={(chosen: string) => onPick(patients.find((one) => one.patient === chosen)!)}
        options={patients.map((one) => one.kind === "self" ? { value: one.patient, label: t("threads.whose.me") }
          : { value: one.patient, label: patientName(one), ...(one.name === null ? {} : { hint: t(`threads.whose.${one.kind}`) }) })} />
    </div>
  );
}

function ForStaff({ desk }: { readonly desk: Desk }) {
  const pharmacy = desk.ready.account.pharmacy ?? "";
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<readonly PatientLine[] | undefined>(undefined);
  const [address, go] = useAddress();
  const [known, setKnown] = useState<ReadonlyMap<string, PatientLine>>(new Map());
  const picked = known.get(address.get("patient") ?? "");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => {
      const asked = new URLSearchParams({ pharmacy, q: query });
      get<{ items: readonly PatientLine[] }>(`/api/patients?${asked.toString()}`).then((answer) => {
        setFound(answer.items);
        setKnown((before) => new Map([...before, ...answer.items.map((one) => [one.patient, one] as const)]));
        setProblem(null);
      }, (error: unknown) => setProblem(troubleWords(error)));
    }, query === "" ? 0 : 300);
    return () => clearTimeout(timer);
  }, [query]);
  if (picked !== undefined) {
    const people = picked.account === null ? [] : [{ id: picked.account, role: "patient" as const }];
    return (
      <Asking key={picked.patient} desk={desk} pharmacyId={pharmacy} patient={picked.patient} draft={`new_${picked.patient}`} people={people} about={picked} />
    );
  }
  return (
    <div class="narrow stack">
      <h1>{t("threads.title.patients")}</h1>
      <TextField id="find" label={t("threads.new.find")} hint={t("threads.new.find-hint")} value={query} onInput={setQuery} type="search" secret />
      {problem === null ? null : (
        <Banner tone="warn" announce>
          <p>{problem}</p>
        </Banner>
      )}
      {found === undefined ? (
        problem === null ? (
          <Spinner>{t("threads.opening")}</Spinner>
        ) : null
      ) : found.length === 0 ? (
        <EmptyState icon="people" title={t("threads.new.none-found")} />
      ) : (
        <ul class="list">
          {[...found]
            .sort((left, right) => left.name.localeCompare(right.name))
            .map((one) => (
              <li key={one.patient} class="pick">
                {one.status === "active" ? (
                  <button type="button" class="pick__row" onClick={() => go({ patient: one.patient })}>
                    <Icon name="person" />
                    <Identity line={one} />
                    <Icon name="next" />
                  </button>
                ) : (
                  <>
                    <div class="pick__row soft">
                      <Icon name="person" />
                      <Identity line={one} />
                    </div>
                    <p class="lookalike">
                      <Icon name="stop" />
                      {t(has(`views.patient.${one.status}`) ? `views.patient.${one.status}` : "views.patient.inactive")}
                    </p>
                  </>
                )}
                {one.look_alikes.length === 0 ? null : (
                  <p class="lookalike">
                    <Icon name="people" />
                    <span>{lookAlikeWords(lookAlikesOf(one))}</span>
                  </p>
                )}
                {one.has_keys ? null : <p class="small soft">{t("views.patient.waits")}</p>}
              </li>
            ))}
        </ul>
      )}
    </div>
  );
}

/** By name, birth date and number: two of them may share the first two. */
function Identity({ line }: { readonly line: PatientLine }) {
  const parts = [t("views.patient.born", { date: day(line.birth_date) }), line.number];
  return <span translate={false}><strong>{line.name}</strong> <span class="soft">{parts.filter((part) => part !== "").join(" · ")}</span></span>;
}

/** Topic, what it needs, words. */
function Asking({ desk, pharmacyId, patient, draft, people, about }: {
  readonly desk: Desk;
  readonly pharmacyId: string;
  readonly patient: string;
  /** Names the sealed draft: what is begun for one does not show up for another. */
  readonly draft: string;
  /** Who is to read it beside the team: the patient, and whoever writes for the patient. Nobody for a patient without an account. */
  readonly people: readonly Member[];
  readonly about?: PatientLine;
}) {
  const pharmacy = desk.pharmacy(pharmacyId);
  const [wanted, go] = useAddress();
  const topic = TOPICS.find((one) => one === wanted.get("topic")) ?? null;
  const picking = wanted.get("step") !== "words";
  const toWords = (): void => go({ step: "words", medicine: null, order: null });
  const [raised, setRaised] = useState(false);
  const [sending, setSending] = useState(false);
  const [switching, setSwitching] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  // Who can read is drawn once the keys of the teams have come.
  const [, setKnown] = useState(false);
  const composing = useMemo(() => new Composing(desk, draft, { thread: newId(), pharmacy: pharmacyId }), []);
  const context = useMemo(() => new ContextModel(desk.ready, patient, pharmacyId), []);
  useChanges(composing, context);
  useEffect(() => {
    void composing.resume();
    void context.load();
    void joinCare(desk, pharmacyId, patient).then(() =>
      desk.know([...people.map((one) => one.id), ...Object.values(pharmacy?.teams ?? {}).filter((one) => one !== null)]),
    ).then(() => setKnown(true));
  }, []);
  const panel = context.state.state === "loading" ? null : context.state.panel;
  useEffect(() => {
    // "Ask about this" on the list of medicines or orders has picked already.
    const chip = panel?.medicines.filter((one) => one.id === wanted.get("medicine")).map(medicineChip)[0]
      ?? panel?.orders.filter((one) => one.id === wanted.get("order")).map(orderChip)[0];
    if (chip === undefined || topic === null) return;
    composing.addChip(context.chipFor(chip, TEAM_OF[topic] === "pharmacists"));
    toWords();
  }, [panel === null]);
  useEffect(() => { if (topic !== null) composing.choose(topic); }, [topic]);
  const begun = TOPICS.find((one) => one === composing.topic);
  if (pharmacy === undefined)
    return (
      <EmptyState icon="offline" title={t("threads.offline.title")} action={<Button onClick={() => location.reload()}>{t("common.try-again")}</Button>}>
        {t("threads.offline.body")}
      </EmptyState>
    );
  const view = pharmacyView(pharmacy);
  if (topic === null) {
    return (
      <div class="narrow stack">
        <h1>{t(desk.staff ? "threads.new.about" : "threads.new.title")}</h1>
        <ForWhom desk={desk} patient={patient} context={context} />
        {about === undefined ? (
          <p class="lead">{t("threads.new.to", { pharmacy: pharmacy.name })}</p>
        ) : (
          <p class="lead" translate={false}>
            {about.name}, {t("views.patient.born", { date: day(about.birth_date) })}
          </p>
        )}
        {begun === undefined || (composing.text === "" && composing.subject === "" && composing.chips.length === 0) ? null : (
          <Banner icon="edit" title={t("threads.new.begun", { topic: t(`views.topic.${begun}`) })}>
            <p class="clip" translate={false}>
              {composing.subject || composing.text || composing.chips[0]?.name}
            </p>
            <div class="button-row">
              <Button onClick={() => go({ topic: begun, step: "words" })}>{t("threads.new.continue")}</Button>
              <Button look="quiet" onClick={() => composing.clear()}>
                {t("threads.new.throw-away")}
              </Button>
            </div>
          </Banner>
        )}
        <TileChoice
          legend={t("threads.new.topic")}
          value={null}
          onChange={(chosen: Topic) => go({ topic: chosen, step: null })}
          options={TOPICS.filter((one) => pharmacy.topics.includes(one)).map((one) => ({
            value: one,
            label: t(`views.topic.${one}`),
            hint: t(pharmacy.teams[TEAM_OF[one]] == null ? "threads.new.hint-closed" : `threads.new.hint.${one}`),
          }))}
        />
      </div>
    );
  }
  const team = `${pharmacyId}_${TEAM_OF[topic]}`;
  const open = pharmacy.teams[TEAM_OF[topic]] !== null && pharmacy.teams[TEAM_OF[topic]] !== undefined;
  const withMedicines = TEAM_OF[topic] === "pharmacists";
  const need = NEEDS[topic];
  const offered: readonly ChipView[] =
    panel === null || need === undefined
      ? []
      : need === "medicine"
        ? panel.medicines.filter((one) => one.current).map(medicineChip)
        : panel.orders.map(orderChip);
  const numbers = {
    emergency: pharmacy.emergency?.emergency ?? null,
    poison: pharmacy.emergency?.poison ?? null,
    pharmacy: pharmacy.phone,
    onCall: pharmacy.on_call_phone,
  };
  const listed = desk.ready.directory.known.team(team)?.newest.members ?? [];
  // The pharmacy's recovery sheets are listed by name, and are nobody.
  const seated = listed.filter((one) => one.role !== "service").length;
  const reading = listed.map((one) => desk.ready.directory.name(one.id) ?? t("threads.somebody"));
  const send = (urgent: boolean, sure = false): void => {
    if (!sure && switchedFrom(desk, patient) !== undefined) {
      setSwitching(true);
      return;
    }
    sentFor(desk, patient);
    if (!urgent && !desk.staff && urgencyOf(`${composing.subject}\n${composing.text}`) !== null) {
      setRaised(true);
      return;
    }
    setRaised(false);
    setSending(true);
    const { thread } = composing.place;
    const { id, wish } = composing.wish(composing.subject.trim() === "" ? defaultSubject(topic, composing.chips) : composing.subject);
    const members = [...people, { id: team, role: "team" as const }];
    desk.begin({ thread, pharmacy: pharmacyId, patient, topic, members }, id, wish, urgent)
      .then(async () => {
        composing.clear();
        await accepted(desk, id);
        location.replace(`/thread/${thread}`);
      })
      .catch((error: unknown) => {
        setSending(false);
        setProblem(troubleWords(error));
      });
  };
  return (
    <div class="narrow stack" {...takesFiles(composing)}>
      {switching ? (
        <Switching
          desk={desk}
          patient={patient}
          context={context}
          onSend={() => {
            setSwitching(false);
            send(false, true);
          }}
          onBack={() => setSwitching(false)}
        />
      ) : null}
      <h1>{t(`views.topic.${topic}`)}</h1>
      <ForWhom desk={desk} patient={patient} context={context} />
      <p class="small">
        <Button look="plain" onClick={() => go({ topic: null, step: null })}>
          {t("threads.new.other-topic")}
        </Button>
      </p>
      {about === undefined ? null : (
        <p class="lead" translate={false}>
          {about.name}, {t("views.patient.born", { date: day(about.birth_date) })}
        </p>
      )}
      {open ? null : (
        <Banner tone="warn" icon="clock" title={t("threads.new.closed.title")}>
          <p>{t("threads.new.closed.body", { phone: pharmacy.phone })}</p>
        </Banner>
      )}
      {problem === null ? null : (
        <Banner tone="warn" announce>
          <p>{problem}</p>
        </Banner>
      )}
      {need !== undefined && picking && composing.chips.length === 0 && offered.length > 0 ? (
        <section class="stack-tight">
          <h2>{t(`threads.new.pick.${need}`)}</h2>
          <ChipPicker
            chips={offered}
            onPick={(chip) => {
              composing.addChip(context.chipFor(chip, withMedicines));
              toWords();
            }}
          />
          <Button look="plain" onClick={toWords}>
            {t("threads.new.pick.none")}
          </Button>
        </section>
      ) : (
        <>
          <TextField
            id="subject"
            label={t("threads.new.subject")}
            hint={t("threads.new.subject-hint")}
            value={composing.subject}
            onInput={(words) => composing.name(words)}
            secret
          />
          <Composer
            text={composing.text}
            onText={(words) => composing.write(words)}
            onSend={() => send(false)}
            chips={composing.chips}
            onRemoveChip={(one) => composing.removeChip(one)}
            files={composing.files.map((one) => one.view)}
            onRemoveFile={(one) => composing.removeFile(one)}
            onAddFiles={(files) => composing.addFiles(files)}
            readers={[
              { name: memberName(desk, team), count: seated === 0 ? null : seated, people: reading },
              ...people
                .filter((one) => one.id === desk.me || about !== undefined || desk.ready.directory.known.user(one.id) !== undefined)
                .map((one) => ({
                  name: one.id === desk.me ? t("views.readers.you") : (about?.name ?? desk.ready.directory.name(one.id) ?? ""),
                  count: null,
                  people: [],
                })),
            ]}
            {...(desk.staff || !open ? {} : { hours: { notice: readNotice(view), phone: view.onCallPhone ?? view.phone } })}
            {...(raised ? { urgency: { numbers, onSendAnyway: () => send(true), onBack: () => setRaised(false) } } : {})}
            {...(need !== undefined && offered.length > 0
              ? {
                  [need === "medicine" ? "onAddMedicine" : "onAddOrder"]: () => {
                    composing.chips.forEach((one) => composing.removeChip(one));
                    go({ step: null });
                  },
                }
              : {})}
            {...problemOf(composing, null, () => undefined)}
            draftSaved={composing.saved}
            sending={sending}
            blocked={
              composing.files.some((one) => one.view.failed) ? t("threads.blocked.file-failed") : composing.filesReady ? null : t("threads.blocked.files")
            }
          />
        </>
      )}
    </div>
  );
}

/** A subject out of what was picked, so that nobody has to think of one. */
function defaultSubject(topic: Topic, chips: readonly ChipView[]): string {
  const first = chips[0];
  return first === undefined ? "" : `${t(`views.topic.${topic}`)}: ${first.name}`;
}

/** A patient picks the pharmacy before its team's keys can be read. */
async function joinCare(desk: Desk, pharmacy: string, patient: string): Promise<void> {
  if (desk.staff || desk.pharmacy(pharmacy)?.in_care.includes(patient) === true) return;
  try {
    await post(`/api/pharmacies/${pharmacy}/care`, { patient });
  } catch (error) {
    // Sending tells it, and keeps the question.
    if (!isOfTheLine(error)) throw error;
  }
}

/** Waits a moment for the server; what is not accepted by then stays in the outbox and is shown as waiting. */
function accepted(desk: Desk, id: string): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      stop();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, ACCEPTED_WITHIN_MS);
    const look = (): void => {
      const entry = desk.outbox.list().find((one) => one.id === id);
      if (entry === undefined || entry.facts.state === "failed" || entry.facts.tries > 0) end();
    };
    const stop = desk.outbox.subscribe(look);
    look();
  });
}
