// One conversation: messages, who can read them, and the box to write in. Patients see it as a page, staff between queue and context.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { newId } from "../crypto/encoding.ts";
import { pharmacyView, troubleWords } from "../frame/page.tsx";
import { isOfTheLine } from "../live/api.ts";
import { Banner, Button, EmptyState, Icon, LinkButton, Spinner } from "../views/components/basics.tsx";
import { Composer, type ComposerProps, type EmergencyNumbers, type ReaderLine } from "../views/components/composer.tsx";
import { medicineChip, orderChip, orderWords } from "../views/components/context.tsx";
import { Dialog } from "../views/components/dialog.tsx";
import { MessageList, type Place } from "../views/components/message-list.tsx";
import { HOURS, type MessageActs, ReasonCode } from "../views/components/message.tsx";
import { More } from "../views/components/more.tsx";
import { day, list, moment, phoneUri } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import { reasonWords } from "../views/reasons.ts";
import { readNotice } from "../views/shell.tsx";
import type { ChipView, FileView, MessageView, Panel, Pharmacy, TextMessage } from "../views/types.ts";
import { detailsOf, resourceOf, subjectOrWords } from "./body.ts";
import { type Composing, takesFiles } from "./compose.ts";
import { type ContextModel, mayCarryMedicines } from "./context.ts";
import type { Desk } from "./desk.ts";
import { openFile, picture, save, withoutThumbs } from "./files.ts";
import { useChanges } from "./hooks.ts";
import { printed } from "./printing.tsx";
import type { Parcel } from "./send.ts";
import type { BodyView, RecordView } from "./shapes.ts";
import { type Pending, type Writer, keyOf, toViews } from "./show.ts";
import { MadeSure } from "./sure.tsx";
import type { ThreadModel } from "./thread.ts";
import { urgencyOf } from "./urgency.ts";
import { LetIn, Switching, TakeOut, patientName, sentFor, switchedFrom } from "./whose.tsx";

const LOOK_MS = 1_000;
const RECENT_MS = 7 * 24 * 3_600_000;
/** Pictures of so many newest messages are fetched by themselves. */
const PICTURES_OF = 50;

/** Older messages come by themselves, as they are checked. */
const nothing = (): void => undefined;

export interface PaneProps {
  readonly desk: Desk;
  readonly thread: ThreadModel;
  readonly composing: Composing;
  readonly context: ContextModel | undefined;
  readonly title: ComponentChildren;
  /** Patients: where the list of conversations is. */
  readonly back?: string;
  /** Staff: whether the conversation waits for an answer; undefined for patients, and as long as the queue has not come. */
  readonly awaiting?: boolean | undefined;
  /** Staff: stands directly above the composer. */
  readonly above?: ComponentChildren;
}

/** A conversation of any length. */
export function ThreadPane({ desk, thread, composing, context, title, back, awaiting, above }: PaneProps) {
  useChanges(thread, composing, desk.outbox, context);
  const [pictures] = useState(() => new Map<string, string>());
  const [, again] = useState(0);
  const [raised, setRaised] = useState(false);
  const [picking, setPicking] = useState<"medicine" | "order" | null>(null);
  const [chip, setChip] = useState<ChipView | null>(null);
  const [retracting, setRetracting] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [switching, setSwitching] = useState(false);
  const [carer, setCarer] = useState<{ readonly id: string; readonly into: boolean } | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const steady = useRef(new Map<string, { text: string; view: MessageView }>());
  const place = useMemo(() => comeBack(desk, thread.id), [thread.id]);
  const unread = useRef<{ readonly thread: string; readonly key: string | null }>(undefined);

  useEffect(() => {
    // What is not born yet the server knows nothing of: sending it looks for it.
    if (birthOf(desk, thread.id) === undefined) void thread.sync();
    void composing.resume();
    return () => { for (const address of pictures.values()) URL.revokeObjectURL(address); };
  }, [thread.id]);
  useReadReceipts(thread, list);
  usePictures(desk, thread, pictures, () => again((count) => count + 1));
  useEffect(() => { if (thread.opening.kind === "ready") void desk.letIn(thread); }, [thread.opening.kind, thread.info]);

  const pending = pendingOf(desk, thread);
  const info = thread.info;
  const birth = birthOf(desk, thread.id);
  const pharmacy = desk.pharmacy(info?.pharmacy ?? birth?.pharmacy ?? "");
  const shownPharmacy = pharmacy === undefined ? null : pharmacyView(pharmacy);
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  const closed = thread.opening.kind === "refused" || info?.patient_active === false;
  const views = useViews(desk, thread, pending, closed, pictures, steady.current, hoursOf(desk, shownPharmacy), writesFor(desk, thread, context), panel);
  if (unread.current?.thread !== thread.id && thread.opening.kind === "ready") {
    const seq = thread.firstUnread();
    const record = thread.records.find((one) => one.seq === seq);
    unread.current = { thread: thread.id, key: record === undefined ? null : keyOf(record) };
  }

  const now = useRef({ views, context });
  now.current = { views, context };
  const acts = useMemo((): MessageActs => ({
    onReply: (key) => composing.reply(key),
    onCorrect: (key) => composing.correct(key, now.current.views.flatMap((one) => (one.kind === "text" && one.key === key ? [one.text] : []))[0]),
    onRetract: setRetracting,
    onRetry: (key) => void desk.outbox.retry(key),
    onDiscard: (key) => void desk.outbox.remove(key),
    onPrint: (key) => void printed(desk, thread, now.current.context, now.current.views.filter((one) => one.key === key), "answer", subjectOf(thread, desk)),
    onOpenChip: (one) => setChip(one),
    onOpenFile: (_, file) => void download(desk, thread, file).then(setProblem, (error: unknown) => setProblem(troubleWords(error))),
    onGoTo: (key) => document.getElementById(`message-${key}`)?.focus(),
  }), [desk, thread, composing]);

  if (thread.opening.kind === "loading" && views.length === 0) return <div class="pane">{title}<Spinner>{t("threads.opening")}</Spinner></div>;
  if (thread.opening.kind === "missing" && birth === undefined) return <Missing desk={desk} lost={thread.lost} unsent={pending} />;
  if (thread.opening.kind === "offline" && views.length === 0) {
    return (
      <div class="pane">
        {title}
        <EmptyState
          icon="offline"
          title={t("threads.offline.title")}
          action={
            <div class="button-row">
              <Button onClick={() => void thread.sync()}>{t("common.try-again")}</Button>
              <LinkButton look="quiet" href="/contact">
                {t("common.nav.contact")}
              </LinkButton>
            </div>
          }
        >
          {t("threads.offline.body")}
        </EmptyState>
      </div>
    );
  }

  // The pharmacy wrote before this person had keys: one plain word, and nothing to write with yet.
  if (!desk.staff && info?.waits_for_keys === true && thread.opening.kind === "ready" && !thread.canWrite) {
    return (
      <div class="pane">
        <div class="thread-head">
          {backLink(back)}
          <div class="thread-head__title">{title}</div>
        </div>
        <EmptyState
          icon="lock"
          title={t("threads.waits.title")}
          action={
            pharmacy === undefined ? undefined : (
              <LinkButton look="quiet" icon="phone" href={phoneUri(pharmacy.phone)}>
                {t("common.call", { phone: pharmacy.phone })}
              </LinkButton>
            )
          }
        >
          {t("threads.waits.body")}
        </EmptyState>
      </div>
    );
  }
  const text = (key: string): TextMessage | undefined => views.find((one): one is TextMessage => one.kind === "text" && one.key === key);
  const send = (urgent: boolean, sure = false): void => {
    if (!sure && switchedFrom(desk, info?.patient) !== undefined) {
      setSwitching(true);
      return;
    }
    sentFor(desk, info?.patient);
    if (!urgent && !desk.staff && urgencyOf(composing.text) !== null) {
      setRaised(true);
      return;
    }
    setRaised(false);
    const { id, wish } = composing.wish();
    void desk.append(thread.id, id, wish, urgent).then(() => composing.clear(), (error: unknown) => setProblem(troubleWords(error)));
  };
  const mark = (answered: boolean): void => void desk.answered(thread, answered).catch((error: unknown) => setProblem(troubleWords(error)));
  const teams = thread.members.filter((one) => one.role === "team");
  const withMedicines = mayCarryMedicines(teams);
  const replied = composing.replyTo === null ? undefined : text(composing.replyTo);
  const corrected = composing.correcting === null ? undefined : text(composing.correcting);
  const numbers: EmergencyNumbers | null = pharmacy === undefined ? null : {
    emergency: pharmacy.emergency?.emergency ?? null, poison: pharmacy.emergency?.poison ?? null, pharmacy: pharmacy.phone, onCall: pharmacy.on_call_phone,
  };
  const blocked = blockedWords(thread, composing);
  return (
    <div class="pane" ref={list} {...takesFiles(composing)}>
      <div class="thread-head">
        {backLink(back)}
        <div class="thread-head__title">{title}</div>
        {awaiting === true ? (
          <Button look="quiet" icon="check" onClick={() => mark(true)}>
            {t("threads.answered.do")}
          </Button>
        ) : null}
        <More label={t("threads.more")}>
          {() => (
            <>
              {awaiting === false ? (
                <button type="button" onClick={() => mark(false)}>
                  <Icon name="undo" />
                  {t("threads.answered.undo")}
                </button>
              ) : null}
              {carersOf(desk, thread).map(({ id, into }) => (
                <button key={id} type="button" onClick={() => setCarer({ id, into })}>
                  <Icon name="people" />
                  {t(into ? "threads.carer.in.do" : "threads.carer.out.do-name", { name: desk.ready.directory.name(id) ?? t("threads.somebody") })}
                </button>
              ))}
              <button type="button" onClick={() => void printed(desk, thread, context, views, "thread", subjectOf(thread, desk))}>
                <Icon name="print" />
                {t("threads.print")}
              </button>
            </>
          )}
        </More>
      </div>
      <Standing thread={thread} phone={pharmacy?.phone ?? null} staff={desk.staff} />
      <Changes desk={desk} thread={thread} />
      <MessageList
        key={thread.id}
        messages={views}
        acts={acts}
        firstUnread={unread.current?.key ?? null}
        hasOlder={thread.opening.kind === "checking"}
        loadingOlder={thread.opening.kind === "checking"}
        onOlder={nothing}
        at={place.at}
        onPlace={place.onPlace}
      />
      <Held desk={desk} thread={thread} />
      <Composer
        text={composing.text}
        onText={(words) => composing.write(words)}
        onSend={() => send(false)}
        chips={composing.chips}
        onRemoveChip={(one) => composing.removeChip(one)}
        files={composing.files.map((one) => one.view)}
        onRemoveFile={(one) => composing.removeFile(one)}
        readers={readersOf(desk, thread.readers.length === 0 && birth !== undefined ? birth.members : thread.readers, writesFor(desk, thread, context))}
        {...changedOf(desk, thread.records)}
        {...(desk.staff || shownPharmacy === null
          ? {}
          : { hours: { notice: readNotice(shownPharmacy), phone: shownPharmacy.onCallPhone ?? shownPharmacy.phone, said: views.at(-1)?.key === HOURS } })}
        {...(raised && numbers !== null ? { urgency: { numbers, onSendAnyway: () => send(true), onBack: () => setRaised(false) } } : {})}
        {...(withMedicines && panel !== null && panel.medicines.length > 0 ? { onAddMedicine: () => setPicking("medicine") } : {})}
        {...(panel !== null && panel.orders.length > 0 ? { onAddOrder: () => setPicking("order") } : {})}
        onAddFiles={(files) => composing.addFiles(files)}
        {...(replied === undefined
          ? {}
          : { replyTo: { who: replied.mine ? t("views.message.you") : replied.who, text: replied.text, onCancel: () => composing.reply(null) } })}
        {...(corrected === undefined ? {} : { correcting: { time: moment(corrected.at), onCancel: () => composing.correct(null) } })}
        {...problemOf(composing, problem, () => setProblem(null))}
        draftSaved={composing.saved}
        sending={false}
        blocked={blocked}
        above={above}
      />
      {picking === null || panel === null ? null : (
        <Dialog title={t(picking === "medicine" ? "threads.pick.medicine" : "threads.pick.order")} onClose={() => setPicking(null)}>
          <ChipPicker
            chips={picking === "medicine" ? panel.medicines.filter((one) => one.current).map(medicineChip) : panel.orders.map(orderChip)}
            onPick={(one) => {
              composing.addChip(context?.chipFor(one, withMedicines) ?? one);
              setPicking(null);
            }}
          />
        </Dialog>
      )}
      {chip === null ? null : <ChipDetails chip={chip} staff={desk.staff} panel={panel} pharmacy={pharmacy?.name ?? ""} onClose={() => setChip(null)} />}
      {switching && info !== undefined ? (
        <Switching
          desk={desk}
          patient={info.patient}
          context={context}
          onSend={() => {
            setSwitching(false);
            send(false, true);
          }}
          onBack={() => setSwitching(false)}
        />
      ) : null}
      {carer === null ? null : carer.into ? (
        <LetIn desk={desk} thread={thread} id={carer.id} onClose={() => setCarer(null)} />
      ) : (
        <TakeOut desk={desk} thread={thread} id={carer.id} onClose={() => setCarer(null)} />
      )}
      {retracting === null ? null : (
        <Dialog
          title={t("threads.retract.title")}
          onClose={() => setRetracting(null)}
          actions={
            <>
              <Button
                look="danger"
                onClick={() => {
                  const seq = seqOf(thread.records, retracting);
                  setRetracting(null);
                  if (seq !== undefined) void desk.append(thread.id, newId(), { kind: "redact", target: seq });
                }}
              >
                {t("views.message.retract")}
              </Button>
              <Button look="quiet" onClick={() => setRetracting(null)}>
                {t("common.cancel")}
              </Button>
            </>
          }
        >
          <p>{t("threads.retract.body")}</p>
        </Dialog>
      )}
    </div>
  );
}

function backLink(href: string | undefined): ComponentChildren {
  return href === undefined ? null : <a class="thread-head__back" href={href} aria-label={t("threads.back")} title={t("threads.back")}><Icon name="back" /></a>;
}

/**
 * The place in a conversation survives the lock of the screen: where the reader stood is kept for this tab, as the id of a message
 * and nothing else, and taken up once.
 */
function comeBack(desk: Desk, thread: string): { readonly at: Place | null; readonly onPlace: (where: () => Place | null) => void } {
  const name = `portal-place-${thread}`;
  const kept = sessionStorage.getItem(name);
  sessionStorage.removeItem(name);
  return {
    at: kept === null ? null : JSON.parse(kept) as Place,
    onPlace: (where) => desk.page.live.onWipe(() => {
      const now = where();
      if (now !== null) sessionStorage.setItem(name, JSON.stringify(now));
    }),
  };
}

/** What stands below a patient's newest message while nobody is at the pharmacy and nobody has read it; null otherwise. */
function hoursOf(desk: Desk, pharmacy: Pharmacy | null): { readonly text: string; readonly phone: string } | null {
  const text = desk.staff || pharmacy === null ? null : readNotice(pharmacy);
  return text === null || pharmacy === null ? null : { text, phone: pharmacy.onCallPhone ?? pharmacy.phone };
}

/** What went wrong just now, for the box it belongs to. */
export function problemOf(composing: Composing, problem: string | null, onClose: () => void): Pick<ComposerProps, "problem"> {
  const { notTaken } = composing;
  if (notTaken !== null) return { problem: { words: t(`threads.file.${notTaken.why}`, { name: notTaken.name }), onClose: () => composing.understood() } };
  return problem === null ? {} : { problem: { words: problem, onClose } };
}

/** Chips to pick from, as large rows. */
export function ChipPicker({ chips, onPick }: { readonly chips: readonly ChipView[]; readonly onPick: (chip: ChipView) => void }) {
  return (
    <ul class="stack-tight">
      {chips.map((one) => (
        <li key={one.id}>
          <button type="button" class="tile" onClick={() => onPick(one)} translate={false}>
            <Icon name={one.kind === "medicine" ? "pill" : "box"} />
            <strong>{one.name}</strong>
            {one.detail === "" ? null : <span class="tile__hint">{one.detail}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** A medicine or an order of a message in words. What the record says today stands beside it; the data themselves are for staff. */
function ChipDetails({ chip, staff, panel, pharmacy, onClose }: {
  readonly chip: ChipView; readonly staff: boolean; readonly panel: Panel | null; readonly pharmacy: string; readonly onClose: () => void;
}) {
  const resource = resourceOf(chip);
  const ordered = resource["authoredOn"];
  const medicine = chip.kind === "medicine" ? panel?.medicines.find((one) => one.id === resource["id"]) : undefined;
  const order = chip.kind === "order" ? panel?.orders.find((one) => one.id === resource["id"]) : undefined;
  const now = [
    medicine?.status ?? order?.stateWords ?? "",
    medicine === undefined || medicine.dose === chip.detail ? (order?.stateReason ?? "") : medicine.dose,
  ]
    .filter((one) => one !== "")
    .join(" · ");
  const facts: readonly (readonly [string, string])[] = [
    [chip.kind === "medicine" ? "how" : "item", order?.item ?? chip.detail],
    [chip.kind === "medicine" ? "prescribed" : "ordered", typeof ordered === "string" ? day(ordered) : ""],
    ["by", medicine?.prescriber ?? ""],
    ["now", now],
    ["source", t("views.chip.source-of", { name: panel?.source ?? pharmacy })],
    ["rxnorm", staff ? chip.code : ""],
  ];
  return (
    <Dialog title={chip.name} onClose={onClose}>
      <dl class="facts" translate={false}>
        {facts.filter(([, words]) => words !== "").map(([name, words]) => <div key={name}><dt>{t(`views.chip.${name}`)}</dt><dd>{words}</dd></div>)}
      </dl>
      <p class="small soft">{t("threads.chip.from-message")}</p>
      {staff ? (
        <details class="small"><summary>{t("views.chip.raw")}</summary>
          <dl class="facts" translate={false}>{detailsOf(resource).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
        </details>
      ) : null}
    </Dialog>
  );
}

/** An order in a message, with what is in it and how it stands now: the message itself holds no more than its number and day. */
function asItStands(chip: ChipView, panel: Panel | null): ChipView {
  if (chip.kind !== "order") return chip;
  const resource = resourceOf(chip);
  const order = panel?.orders.find((one) => one.id === resource["id"]);
  if (order !== undefined) return { ...chip, detail: orderWords(order) };
  const ordered = resource["authoredOn"];
  return typeof ordered === "string"
    ? { ...chip, detail: [chip.detail, t("views.context.ordered", { date: day(ordered) })].filter((one) => one !== "").join(" · ") }
    : chip;
}

/** How sure the page is of what it shows. */
function Standing({ thread, phone, staff }: { readonly thread: ThreadModel; readonly phone: string | null; readonly staff: boolean }) {
  const { opening } = thread;
  if (opening.kind === "checking") return <Banner slim icon="lock"><p>{t("threads.checking", { percent: Math.floor(opening.share * 100) })}</p></Banner>;
  if (opening.kind === "refused") {
    const key = `threads.refused.${opening.reason}`;
    return (
      <Banner tone="urgent" title={t("threads.refused.title")} announce>
        <p>{t(has(key) ? key : "threads.refused.other", { why: reasonWords(opening.reason) })}</p>
        <ReasonCode reason={opening.reason} />
        <div class="button-row">
          <Button look="quiet" onClick={() => location.reload()}>
            {t("common.try-again")}
          </Button>
          {phone === null ? (
            <LinkButton look="quiet" href="/contact">
              {t("common.nav.contact")}
            </LinkButton>
          ) : (
            <LinkButton look="quiet" icon="phone" href={phoneUri(phone)}>
              {t("common.call", { phone })}
            </LinkButton>
          )}
        </div>
      </Banner>
    );
  }
  if (staff && thread.info?.members.some((one) => one.undone === true) === true) {
    return <Banner tone="warn" icon="stop" title={t("threads.undone.title")}><p>{t("threads.undone.body")}</p></Banner>;
  }
  if (staff && thread.info?.waits_for_keys === true) return <Banner slim icon="key"><p>{t("threads.waits-for-keys")}</p></Banner>;
  return null;
}

/** Somebody started again: nothing is sent before a person has made sure who it is. */
function Held({ desk, thread }: { readonly desk: Desk; readonly thread: ThreadModel }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const { directory } = desk.ready;
  const birth = birthOf(desk, thread.id);
  const [, setKnown] = useState(false);
  useEffect(() => {
    if (birth === undefined) return;
    // A new question may have been held on the page before: whose keys they are is not known on this one yet.
    desk.know(birth.members.map((one) => one.id)).then(() => setKnown(true), (error: unknown) => { if (!isOfTheLine(error)) throw error; });
  }, [thread.id, birth === undefined]);
  const member = thread.unconfirmed() ?? birth?.members.find((one) => directory.sendingHeld(one.id));
  // Where the keys do not verify the conversation may not open at all, and whom it lists is the server's word.
  const doubtful = [...(member === undefined ? [] : [member]), ...(thread.info?.members ?? [])].find((one) => directory.notVerified(one.id));
  if (doubtful !== undefined) return <NotVerified desk={desk} id={doubtful.id} />;
  if (member === undefined) return null;
  const held = member;
  const since = directory.newKeysSince(held.id);
  const name = held.id === desk.me ? t("views.message.you") : directory.name(held.id) ?? t("threads.somebody");
  const title = since === undefined ? t("threads.held.title", { name }) : t("threads.held.since", { name, time: moment(since) });
  const sure = (): Promise<void> => desk.confirm(held, thread.info?.patient ?? birth?.patient ?? "");
  // Under an old epoch every reader asks for a pharmacist's word; in a new conversation whoever writes to the new keys may make sure.
  if (thread.startedAgain() !== undefined ? !thread.mayVouch() : !desk.staff && held.id === desk.me) {
    return (
      <Banner tone="warn" icon="key" announce title={held.id === desk.me ? t("threads.held.own") : title}>
        <p>{t(held.id === desk.me ? "threads.held.own-body" : "threads.held.patient")}</p>
        <div class="button-row"><LinkButton look="quiet" href="/new">{t("views.inbox.new")}</LinkButton></div>
      </Banner>
    );
  }
  return (
    <Banner tone="warn" icon="key" announce title={title}>
      <p>{t(desk.staff ? "threads.held.body" : "threads.held.body-other", { name })}</p>
      {problem === null ? null : <p class="field__error" role="alert">{problem}</p>}
      {desk.saysWho ? <MadeSure desk={desk} account={held.id} name={name} onSure={sure} /> : (
        <Button busy={busy} onClick={() => {
          setBusy(true);
          setProblem(null);
          sure().catch((error: unknown) => setProblem(troubleWords(error))).finally(() => setBusy(false));
        }}>{t("threads.held.confirm", { name })}</Button>
      )}
    </Banner>
  );
}

/**
 * The keys that the server shows do not verify, or are others than before, or this person has compared them and they were not the
 * same: nothing is sent to them before they are compared and are.
 */
function NotVerified({ desk, id }: { readonly desk: Desk; readonly id: string }) {
  const name = memberName(desk, id);
  const compared = desk.ready.directory.compared(id)?.same === false;
  const phone = desk.pharmacy(id.slice(0, Math.max(0, id.lastIndexOf("_"))))?.phone;
  return (
    <Banner tone="warn" icon="key" announce title={t(compared ? "compare.held-title" : "threads.fault.title", { name })}>
      <p>{t(compared ? "compare.held-body" : "threads.fault.body")}</p>
      <div class="button-row">
        {desk.staff ? null : <LinkButton look="quiet" href="/compare">{t("compare.link")}</LinkButton>}
        {phone === undefined ? <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton> : (
          <LinkButton look="quiet" icon="phone" href={phoneUri(phone)}>{t("common.call", { phone })}</LinkButton>
        )}
        <LinkButton look="quiet" icon="stop" href="/something-wrong">{t("wrong.link")}</LinkButton>
      </div>
    </Banner>
  );
}

/** Corrections and retractions that are not sent yet: they have no place of their own in the list. */
function Changes({ desk, thread }: { readonly desk: Desk; readonly thread: ThreadModel }) {
  const waiting = desk.outbox.list(thread.id).filter((one) => bodyOfParcel(one.parcel as Parcel)?.kind !== "text");
  if (waiting.length === 0) return null;
  const failed = waiting.filter((one) => one.facts.state === "failed");
  return (
    <Banner slim tone={failed.length > 0 ? "warn" : "info"} announce>
      <p>{t(failed.length > 0 ? "threads.change.failed" : "threads.change.waiting")}</p>
      {failed.length === 0 ? null : (
        <div class="button-row">
          <Button look="quiet" onClick={() => { for (const one of failed) void desk.outbox.retry(one.id); }}>{t("views.message.retry")}</Button>
          <Button look="plain" onClick={() => { for (const one of failed) void desk.outbox.remove(one.id); }}>{t("views.message.discard")}</Button>
        </div>
      )}
    </Banner>
  );
}

function Missing({ desk, lost, unsent }: { readonly desk: Desk; readonly lost: boolean; readonly unsent: readonly Pending[] }) {
  return (
    <div class="pane">
      {unsent.length === 0 ? null : (
        <Banner tone="warn" announce title={t("threads.missing.unsent")}>
          <div class="button-row">
            <Button
              look="quiet"
              onClick={() => {
                for (const one of unsent) void desk.outbox.remove(one.id);
              }}
            >
              {t("views.message.discard")}
            </Button>
          </div>
        </Banner>
      )}
      <EmptyState
        icon={lost ? "key" : "message"}
        heading
        title={t(lost ? "threads.lost.title" : "threads.missing.title")}
        action={
          <div class="button-row">
            <LinkButton href={desk.staff ? "/inbox" : "/messages"}>{t("threads.missing.back")}</LinkButton>
            <LinkButton look="quiet" href="/contact">
              {t("common.nav.contact")}
            </LinkButton>
          </div>
        }
      >
        {t(lost ? "threads.lost.body" : "threads.missing.body")}
      </EmptyState>
    </div>
  );
}

function blockedWords(thread: ThreadModel, composing: Composing): string | null {
  if (thread.opening.kind === "refused") return t("threads.blocked.refused");
  if (thread.info?.patient_active === false) return t("threads.blocked.inactive");
  // Said above the box already, with what to do about it.
  if (thread.unconfirmed() !== undefined) return null;
  if (thread.opening.kind === "ready" && thread.info !== undefined && !thread.canWrite) return t("threads.blocked.no-key");
  if (composing.files.some((one) => one.view.failed)) return t("threads.blocked.file-failed");
  if (!composing.filesReady) return t("threads.blocked.files");
  return null;
}

/** Somebody by name and role, as the directory says. */
export function writerOf(desk: Desk, thread: ThreadModel, user: string, forWhom: string): Writer {
  const role = user === desk.me ? desk.ready.account.role : desk.ready.directory.person(user)?.role ?? "";
  const words = thread.isProxy(user) ? forWhom : has(`common.role.${role}`) ? t(`common.role.${role}`) : "";
  return { name: desk.ready.directory.name(user) ?? t("threads.somebody"), role: words, staff: desk.isStaff(user) };
}

/** Beside the name of whoever writes for the patient: for whom. */
function writesFor(desk: Desk, thread: ThreadModel, context: ContextModel | undefined): string {
  const one = desk.patients.find((other) => other.patient === thread.info?.patient);
  if (one?.kind === "self") return t("threads.whose.writes-for-you");
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  const name = one === undefined ? panel?.patient.name : patientName(one, context);
  return name === undefined ? t("threads.whose.writes-for-patient") : t("threads.whose.writes-for", { name });
}

/** A member in words: a team with its pharmacy, a person by name. */
export function memberName(desk: Desk, id: string): string {
  const cut = id.lastIndexOf("_");
  const [pharmacy, kind] = [id.slice(0, Math.max(0, cut)), id.slice(cut + 1)];
  if (cut > 0 && has(`threads.team.${kind}`)) return t(`threads.team.${kind}`, { pharmacy: desk.pharmacy(pharmacy)?.name ?? pharmacy });
  return desk.ready.directory.name(id) ?? t("threads.somebody");
}

/** Who can read, for the line above the composer. */
export function readersOf(desk: Desk, members: readonly { readonly id: string; readonly role?: string }[], forWhom?: string): readonly ReaderLine[] {
  return members.map(({ id, role }) => {
    const team = desk.ready.directory.known.team(id);
    if (team === undefined) {
      const name = id === desk.me ? t("views.readers.you") : memberName(desk, id);
      const helps = role === "proxy" && id !== desk.me && forWhom !== undefined;
      return { name: helps ? t("threads.carer.reader", { name, what: forWhom }) : name, count: null, people: [] };
    }
    const people = team.newest.members.map((one) => memberName(desk, one.id));
    return { name: memberName(desk, id), count: team.newest.members.filter((one) => one.role !== "service").length, people, ...comparedOf(desk, id) };
  });
}

/** Whether the patient has compared the keys of a team. */
function comparedOf(desk: Desk, team: string): Pick<ReaderLine, "compared"> {
  if (desk.staff) return {};
  const compared = desk.ready.directory.compared(team);
  const name = memberName(desk, team);
  return {
    compared: compared === undefined ? t("compare.reader.never", { name })
      : t(compared.same ? "compare.reader.same" : "compare.reader.other", { name, time: moment(compared.at) }),
  };
}

/** To the patient: who acts for her and may be let in here, and whom she may take out. */
function carersOf(desk: Desk, thread: ThreadModel): readonly { readonly id: string; readonly into: boolean }[] {
  if (thread.opening.kind !== "ready" || !thread.canWrite) return [];
  const mine = thread.members.some((one) => one.id === desk.me && one.role === "patient");
  if (!mine) return [];
  const out = thread.readers.filter((one) => one.role === "proxy").map((one) => ({ id: one.id, into: false }));
  return [...(thread.info?.carers ?? []).map((id) => ({ id, into: true })), ...out];
}

/** Who can read since lately: the newest change of members within a week. */
function changedOf(desk: Desk, records: readonly RecordView[]): { readersChanged?: string } {
  const epochs = records.filter((one) => one.t === "epoch");
  const last = epochs.findLast((one, index) =>
    one.members.some((member) => index > 0 && !epochs[index - 1]!.members.some((before) => before.id === member.id)),
  );
  if (last === undefined || last === epochs[0] || Date.now() - last.ts > RECENT_MS) return {};
  const before = epochs[epochs.indexOf(last) - 1]!;
  const now = epochs.at(-1)!.members;
  // Who was taken out since reads no more.
  const fresh = last.members.filter((one) => now.some((other) => other.id === one.id) && !before.members.some((other) => other.id === one.id));
  if (fresh.length === 0) return {};
  const names = fresh.map((one) => (one.id === desk.me ? t("views.readers.you") : memberName(desk, one.id)));
  return { readersChanged: t("views.readers.changed", { time: moment(last.ts), name: list(names) }) };
}

function useViews(
  desk: Desk, thread: ThreadModel, pending: readonly Pending[], closed: boolean, pictures: ReadonlyMap<string, string>,
  steady: Map<string, { text: string; view: MessageView }>, notice: { readonly text: string; readonly phone: string } | null, forWhom: string,
  panel: Panel | null,
): readonly MessageView[] {
  return useMemo(() => {
    const views = toViews({
      me: desk.me,
      staff: desk.staff,
      records: thread.records,
      transport: thread.transport,
      receipts: thread.receipts,
      pending,
      closed,
      writer: (user) => writerOf(desk, thread, user, forWhom),
      member: (id) => memberName(desk, id),
      picture: (file) => pictures.get(file) ?? null,
      words: {
        joined: (name) => t("threads.line.joined", { name }),
        left: (name) => t("threads.line.left", { name }),
        begun: (name) => t("threads.line.begun", { name }),
        renewed: (name, by) => t("threads.line.renewed", { name, by }),
        deviceEnded: () => t("threads.line.device-ended"),
      },
      startedAgain: (id, before, now) => desk.ready.directory.startedAgain(id, before) && !desk.ready.directory.startedAgain(id, now),
    });
    for (const [index, one] of views.entries())
      if (one.kind === "text" && one.chips.length > 0) views[index] = { ...one, chips: one.chips.map((chip) => asItStands(chip, panel)) };
    const last = views.findLast((one) => one.kind !== "system");
    if (notice !== null && last?.kind === "text" && last.mine && last.state !== "read")
      views.push({ kind: "system", key: HOURS, at: last.at, ...notice, warn: true });
    // The same value stays the same object, so that only what has changed is drawn again.
    return views.map((view) => {
      const text = JSON.stringify(view);
      const before = steady.get(view.key);
      if (before?.text === text) return before.view;
      steady.set(view.key, { text, view });
      return view;
    });
  }, [thread, thread.version, desk.outbox.version, pictures.size, closed, notice?.text, forWhom, panel]);
}

/** Read is what stood on a visible screen, with its end in view, for a second. */
function useReadReceipts(thread: ThreadModel, pane: { readonly current: HTMLElement | null }): void {
  useEffect(() => {
    let seen = -1;
    const timer = setInterval(() => {
      const list = pane.current?.querySelector(".messages");
      const visible = document.visibilityState === "visible" && list instanceof HTMLElement && list.clientHeight > 0 &&
        list.scrollHeight - list.scrollTop - list.clientHeight < 80;
      if (!visible) seen = -1;
      else if (seen === thread.seq) void thread.tell("read");
      else seen = thread.seq;
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [thread.id]);
}

/** Small pictures of the newest messages are opened and drawn anew, one after the other. */
function usePictures(desk: Desk, thread: ThreadModel, pictures: Map<string, string>, changed: () => void): void {
  const busy = useRef(false);
  const failed = useMemo(() => new Set<string>(), [thread.id]);
  useEffect(() => {
    if (busy.current || thread.opening.kind === "loading") return;
    const work = async (): Promise<void> => {
      busy.current = true;
      for (const record of thread.records.slice(-PICTURES_OF)) {
        if (record.t !== "msg" || record.content.kind !== "body" || record.content.body.kind !== "text") continue;
        for (const [of, note] of withoutThumbs(record.content.body.files).thumbs) {
          if (pictures.has(of) || failed.has(of)) continue;
          try {
            const drawn = await picture(await openFile(thread.id, note, record), note.type);
            if (drawn === undefined) failed.add(of);
            else pictures.set(of, URL.createObjectURL(drawn));
            changed();
          } catch {
            // The file itself can still be saved; that says what is wrong with it.
            failed.add(of);
          }
        }
      }
      busy.current = false;
    };
    void work();
  }, [thread.seq, thread.opening.kind, desk]);
}

async function download(desk: Desk, thread: ThreadModel, file: FileView): Promise<string | null> {
  for (const record of thread.records) {
    if (record.t !== "msg" || record.content.kind !== "body" || record.content.body.kind !== "text") continue;
    const note = record.content.body.files.find((one) => one.id === file.id);
    if (note === undefined) continue;
    save(await openFile(thread.id, note, record), note.name);
    return null;
  }
  return desk.outbox.list(thread.id).length > 0 ? t("threads.file.not-sent") : t("threads.file.gone");
}

function bodyOfParcel(parcel: Parcel): BodyView | undefined {
  if (parcel.wish.kind === "redact") return undefined;
  const body = JSON.parse(parcel.wish.body) as {
    id: string;
    type: string;
    subject?: string;
    text: string;
    inReplyTo?: string;
    replaces?: string;
    fhir?: [];
    files?: [];
  };
  if (body.type === "correct") return { kind: "correct", id: body.id, replaces: body.replaces ?? "", text: body.text };
  return { kind: "text", id: body.id, subject: body.subject, text: body.text, inReplyTo: body.inReplyTo, fhir: body.fhir ?? [], files: body.files ?? [] };
}

function pendingOf(desk: Desk, thread: ThreadModel): readonly Pending[] {
  return desk.outbox.list(thread.id).map((one) => {
    const parcel = one.parcel as Parcel;
    return {
      id: one.id,
      at: one.at,
      urgent: one.urgent,
      body: bodyOfParcel(parcel),
      target: parcel.wish.kind === "redact" ? parcel.wish.target : null,
      state: one.facts.state === "held" ? "waiting" : one.facts.state,
      why: parcel.kind === "birth" && notOpen(desk, parcel) ? t("threads.waiting.not-open") : one.facts.state === "failed" ? whyNot(one.facts.reason) : "",
    };
  });
}

/** Nobody sits in the team of a new question yet: it waits here until the pharmacy opens for messages. */
function notOpen(desk: Desk, { pharmacy, members }: Extract<Parcel, { kind: "birth" }>): boolean {
  const teams = desk.pharmacy(pharmacy)?.teams ?? {};
  return members.some((one) => one.role === "team" && teams[one.id.slice(one.id.lastIndexOf("_") + 1)] === null);
}

/** Why the server or the protocol did not take a message, in words; empty where there is nothing to say about it. */
function whyNot(reason: string | null): string {
  if (reason === null) return "";
  for (const key of [`threads.failed.${reason}`, `errors.${reason}`, `keys.refused.${reason}`]) if (has(key)) return t(key);
  return t("threads.failed.other", { reason });
}

/** What a thread that is not born yet is about, from the outbox. */
export function birthOf(desk: Desk, thread: string): Extract<Parcel, { kind: "birth" }> | undefined {
  return desk.outbox.list(thread).map((one) => one.parcel as Parcel).find((one): one is Extract<Parcel, { kind: "birth" }> => one.kind === "birth");
}

function seqOf(records: readonly RecordView[], key: string): number | undefined {
  return records.find((one) => one.t === "msg" && keyOf(one) === key)?.seq;
}

/** The subject of a thread, once its first message is open. */
export function subjectOf(thread: ThreadModel, desk: Desk): string | undefined {
  for (const record of thread.records) {
    if (record.t === "msg" && record.content.kind === "body" && record.content.body.kind === "text") return subjectOrWords(record.content.body);
  }
  const birth = birthOf(desk, thread.id);
  const body = birth === undefined ? undefined : bodyOfParcel(birth);
  return body?.kind === "text" ? subjectOrWords(body) : undefined;
}

