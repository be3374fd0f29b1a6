// One conversation: messages, who can read them, and the box to write in. Patients see it as a page, staff between queue and context.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { newId } from "../crypto/encoding.ts";
import { pharmacyView, troubleWords } from "../frame/page.tsx";
import { Button, EmptyState, Icon, LinkButton, Spinner } from "../views/components/basics.tsx";
import { Composer, type ComposerProps, type EmergencyNumbers } from "../views/components/composer.tsx";
import { medicineChip, orderChip } from "../views/components/context.tsx";
import { Dialog } from "../views/components/dialog.tsx";
import { MessageList, type Place } from "../views/components/message-list.tsx";
import { HOURS, type MessageActs } from "../views/components/message.tsx";
import { More } from "../views/components/more.tsx";
import { moment, phoneUri } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import { readNotice } from "../views/shell.tsx";
import type { ChipView, FileView, MessageView, Panel, Pharmacy, TextMessage } from "../views/types.ts";
import { ChipDetails, ChipPicker, asItStands } from "./chips.tsx";
import { type Composing, takesFiles } from "./compose.ts";
import { type ContextModel, mayCarryMedicines } from "./context.ts";
import type { Desk } from "./desk.ts";
import { openFile, picture, save, withoutThumbs } from "./files.ts";
import { useChanges } from "./hooks.ts";
import { printed } from "./printing.tsx";
import { carersOf, changedOf, memberName, readersOf, writerOf, writesFor } from "./readers.ts";
import type { RecordView } from "./shapes.ts";
import { type Pending, keyOf, toViews } from "./show.ts";
import { Changes, Held, Missing, Standing } from "./standing.tsx";
import type { ThreadModel } from "./thread.ts";
import { birthOf, pendingOf, subjectOf } from "./unsent.ts";
import { urgencyOf } from "./urgency.ts";
import { LetIn, Switching, TakeOut, sentFor, switchedFrom } from "./whose.tsx";

const LOOK_MS = 1_000;
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

function seqOf(records: readonly RecordView[], key: string): number | undefined {
  return records.find((one) => one.t === "msg" && keyOf(one) === key)?.seq;
}
