// The pages about threads: the inbox, a conversation, and a new one. One bundle, so that staff move between them without loading anew.

import { useEffect, useMemo, useState } from "preact/hooks";

import { type Ready, ownKeys } from "../keys/unlock.ts";
import { isOfTheLine } from "../live/api.ts";
import { type Page, Trouble, startKeyPage } from "../frame/page.tsx";
import { Banner, Button, EmptyState, LinkButton, Spinner } from "../views/components/basics.tsx";
import { ContextPanel } from "../views/components/context.tsx";
import { InboxList, topicName, useQueueKeys } from "../views/components/inbox.tsx";
import { PatientHeader } from "../views/components/patient.tsx";
import { type Pane, ThreePane } from "../views/components/three-pane.tsx";
import { closedWords } from "../views/closed.ts";
import { list } from "../views/format.ts";
import { has, t } from "../views/i18n.ts";
import type { InboxRow } from "../views/types.ts";
import { Composing, begunHere } from "./compose.ts";
import { ContextModel, mayCarryMedicines } from "./context.ts";
import { Desk } from "./desk.ts";
import { useChanges } from "./hooks.ts";
import { InboxModel } from "./inbox.ts";
import { NewQuestion } from "./new.tsx";
import { ThreadPane } from "./pane.tsx";
import { memberName } from "./readers.ts";
import type { ThreadModel } from "./thread.ts";
import { birthOf, subjectOf } from "./unsent.ts";
import { ForWhom } from "./whose.tsx";

const LOOK_MS = 60_000;
const THREAD = /^\/thread\/([0-9a-f]{32})$/;

/** Starts the page that the address names. */
export function startThreads(): Promise<void> {
  const path = location.pathname;
  const asking = path === "/new";
  const menu = path.startsWith("/inbox") ? "/inbox" : "/messages";
  return startKeyPage({
    path: menu, title: asking ? "threads.title.new" : THREAD.test(path) ? "threads.title.thread" : "threads.title.inbox",
    // Patients read their list on a page that scrolls as any other; panes fill the window.
    full: !asking && (path === "/inbox" || THREAD.test(path)), view: (page) => <Threads page={page} />,
  });
}

function Threads({ page }: { readonly page: Page<Ready> }) {
  const [desk, setDesk] = useState<Desk | undefined>(undefined);
  const [trouble, setTrouble] = useState<unknown>(undefined);
  useEffect(() => { Desk.open(page).then(setDesk, setTrouble); }, []);
  if (trouble !== undefined) return <Trouble error={trouble} />;
  if (desk === undefined) return <Spinner>{t("threads.opening")}</Spinner>;
  const thread = THREAD.exec(location.pathname)?.[1];
  if (location.pathname === "/new") return <NewQuestion desk={desk} />;
  if (desk.staff) return <Workbench desk={desk} first={thread ?? null} />;
  // A patient's list has its own address, whatever a link says.
  if (thread === undefined && location.pathname !== "/messages") history.replaceState(null, "", "/messages");
  return thread === undefined ? <PatientInbox desk={desk} /> : <PatientThread desk={desk} id={thread} />;
}

/** Everything about one thread that is kept while one moves between threads. */
function useThread(desk: Desk, id: string | null): { thread: ThreadModel; composing: Composing; context: ContextModel | undefined } | undefined {
  const cache = useMemo(() => new Map<string, Composing>(), [desk]);
  const contexts = useMemo(() => new Map<string, ContextModel>(), [desk]);
  const thread = id === null ? undefined : desk.thread(id);
  useChanges(thread);
  const info = thread?.info;
  const birth = id === null ? undefined : birthOf(desk, id);
  const patient = info?.patient ?? birth?.patient;
  const pharmacy = info?.pharmacy ?? birth?.pharmacy;
  const context =
    patient === undefined || pharmacy === undefined ? undefined : (contexts.get(`${pharmacy} ${patient}`) ?? new ContextModel(desk.ready, patient, pharmacy));
  if (context !== undefined) contexts.set(`${context.pharmacy} ${context.patient}`, context);
  useEffect(() => {
    if (context === undefined) return;
    void context.load().then(() => (desk.staff ? context.loadLookAlikes() : undefined));
  }, [context]);
  if (thread === undefined || id === null) return undefined;
  const composing = cache.get(id) ?? new Composing(desk, id, { thread: id, get pharmacy() { return thread.info?.pharmacy ?? ""; } });
  cache.set(id, composing);
  return { thread, composing, context };
}

function PatientThread({ desk, id }: { readonly desk: Desk; readonly id: string }) {
  const found = useThread(desk, id);
  if (found === undefined) return null;
  return (
    <ThreadPane desk={desk} {...found} back="/messages" title={<Title desk={desk} thread={found.thread} context={found.context} />}
      above={<Line desk={desk} />} />
  );
}

function Title({ desk, thread, context }: { readonly desk: Desk; readonly thread: ThreadModel; readonly context?: ContextModel | undefined }) {
  const birth = birthOf(desk, thread.id);
  const topic = thread.info?.topic ?? birth?.topic;
  const subject = subjectOf(thread, desk);
  return <><h1 translate={false}>{subject !== undefined && subject !== "" ? subject : (topic === undefined ? t("threads.title.thread") : topicName(topic))}</h1>
    <ForWhom desk={desk} patient={thread.info?.patient ?? birth?.patient} context={context} /></>;
}

function Line({ desk }: { readonly desk: Desk }) {
  const [line, setLine] = useState(desk.stream.line);
  const [late, setLate] = useState(false);
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    // A stream whose line was cut notices only when nothing has come for long; the browser knows at once.
    const look = (): void => setOnline(navigator.onLine);
    for (const event of ["online", "offline"]) addEventListener(event, look);
    // The line may have gone between the first drawing and this moment.
    look();
    return () => { for (const event of ["online", "offline"]) removeEventListener(event, look); };
  }, []);
  useEffect(() => {
    // As above: it may have come since the first drawing, and then says no more.
    setLine(desk.stream.line);
    return desk.stream.listen((news) => { if (news.kind !== "thread") setLine(desk.stream.line); });
  }, [desk]);
  useEffect(() => {
    setLate(false);
    if (line !== "down") return undefined;
    // A line that comes at once need not be spoken of.
    const timer = setTimeout(() => setLate(true), 4_000);
    return () => clearTimeout(timer);
  }, [line]);
  return (
    <>
      <KeyNews desk={desk} />
      {late || !online ? <Banner tone="warn" icon="offline" slim announce><p>{t(online ? "views.net.lost" : "views.net.offline")}</p></Banner> : null}
    </>
  );
}

/** A line that breaks is told elsewhere; anything else is our fault. */
function passing(error: unknown): void {
  if (!isOfTheLine(error)) throw error;
}

/** What has been done to the person's keys since this page was loaded, as far as their list shows it. */
async function keysSince({ own }: Desk["ready"]): Promise<string | undefined> {
  const now = await ownKeys();
  const [devices, ways] = [new Set(own.devices.map((one) => one.id)), new Map(own.recovery.map((one) => [one.id, one.set_at]))];
  if (now.devices.some((one) => one.state === "active" && !devices.has(one.id))) return "device-added";
  return now.recovery.some((one) => ways.get(one.id) !== one.set_at) ? "recovery-set" : undefined;
}

/** What was done to one's keys while this page was open: maybe by oneself on another device, maybe not. */
function KeyNews({ desk }: { readonly desk: Desk }) {
  const [what, setWhat] = useState<string | undefined>(undefined);
  useEffect(() => {
    // What was done while there was no line is not told again: it is seen.
    const look = (): void => void keysSince(desk.ready).then((seen) => { if (seen !== undefined) setWhat(seen); }, passing);
    // The line may have come before this was drawn.
    if (desk.stream.line !== "down") look();
    return desk.stream.listen((news) => {
      if (news.kind === "account" && has(`threads.keys.${news.keys}`)) setWhat(news.keys);
      else if (news.kind === "ready") look();
    });
  }, [desk]);
  if (what === undefined) return null;
  return (
    <Banner tone="warn" icon="key" slim announce>
      <p>{t(`threads.keys.${what}`)} <a href="/devices">{t("keys.devices.title")}</a> · <a href="/something-wrong">{t("wrong.link")}</a></p>
      <div class="button-row"><Button look="quiet" onClick={() => setWhat(undefined)}>{t("threads.keys.mine")}</Button></div>
    </Banner>
  );
}

function useInbox(desk: Desk): InboxModel {
  const inbox = useMemo(() => new InboxModel(desk), [desk]);
  useChanges(inbox);
  useEffect(() => { void inbox.load(); }, [inbox]);
  return inbox;
}

function PatientInbox({ desk }: { readonly desk: Desk }) {
  const inbox = useInbox(desk);
  useChanges(desk.outbox);
  const rows = inbox.rows("all");
  const [begun, setBegun] = useState<readonly string[]>([]);
  useEffect(() => { void begunHere(desk.ready).then(setBegun); }, [desk]);
  const waiting = desk.outbox.list().filter((one) => birthOf(desk, one.thread) !== undefined);
  return (
    <div class="stack">
      <div class="row row-apart">
        <h1>{t("threads.title.inbox")}</h1>
        <LinkButton href="/new" icon="message">
          {t("views.inbox.new")}
        </LinkButton>
      </div>
      <Line desk={desk} />
      {begun.map((draft) => (
        <Banner key={draft} slim icon="edit">
          <p>
            <a href={`/new?for=${draft === "new" ? "me" : draft.slice("new_".length)}`}>{t("threads.new.continue")}</a>
          </p>
        </Banner>
      ))}
      {waiting.map((one) => (
        <Banner key={one.id} slim icon="clock">
          <p>
            <a href={`/thread/${one.thread}`}>{t("threads.waiting-question")}</a>
          </p>
        </Banner>
      ))}
      {inbox.state === "loading" && rows.length === 0 ? <Spinner>{t("threads.opening")}</Spinner> : null}
      {inbox.state === "offline" ? <Trying onTry={() => void inbox.load()} /> : null}
      {inbox.state === "ready" && rows.length === 0 ? (
        <EmptyState
          icon="message"
          title={t("views.inbox.empty")}
          action={
            <LinkButton big href="/new">
              {t("views.inbox.new")}
            </LinkButton>
          }
        >
          {t("views.inbox.empty-patient")}
        </EmptyState>
      ) : rows.length === 0 ? null : (
        grouped(desk, rows).map(([patient, own]) => (
          <section key={patient} class="stack-tight">
            {desk.patients.length < 2 ? null : (
              <h2>
                <ForWhom desk={desk} patient={patient} />
              </h2>
            )}
            <div class="inbox">
              <InboxList rows={own} current={null} href={(id) => `/thread/${id}`} onOpen={(id) => location.assign(`/thread/${id}`)} />
            </div>
          </section>
        ))
      )}
      {inbox.hasMore ? (
        <Button look="quiet" onClick={() => void inbox.more()}>
          {t("common.more")}
        </Button>
      ) : null}
    </div>
  );
}

/** The lines of each patient for whom the person acts, one's own first. */
function grouped(desk: Desk, rows: readonly InboxRow[]): readonly (readonly [string, readonly InboxRow[]])[] {
  if (desk.patients.length < 2) return [["", rows]];
  const lines = desk.patients.map(({ patient }) => [patient, rows.filter((row) => row.patient === patient)] as const);
  return lines.filter(([, own]) => own.length > 0);
}

function Trying({ onTry }: { readonly onTry: () => void }) {
  return (
    <EmptyState
      icon="offline"
      title={t("threads.offline.title")}
      action={
        <div class="button-row">
          <Button onClick={onTry}>{t("common.try-again")}</Button>
          <LinkButton look="quiet" href="/contact">
            {t("common.nav.contact")}
          </LinkButton>
        </div>
      }
    >
      {t("threads.offline.body")}
    </EmptyState>
  );
}

/** Staff: queue, conversation and context beside each other. */
function Workbench({ desk, first }: { readonly desk: Desk; readonly first: string | null }) {
  const inbox = useInbox(desk);
  useChanges(desk.outbox);
  const [filter, setFilter] = useState<"all" | "awaiting">("all");
  const [current, setCurrent] = useState(first);
  const [show, setShow] = useState<Pane>(first === null ? "queue" : "thread");
  const found = useThread(desk, current);
  useChanges(found?.context);
  // What is on the screen and told as read counts no longer, before the server says so too.
  const rows = inbox
    .rows(filter)
    .map((row) =>
      row.thread === current && row.unread > 0 && (found?.thread.readTo ?? 0) >= (inbox.head(row.thread)?.seq ?? 0) ? { ...row, unread: 0 } : row,
    );
  const open = (id: string): void => {
    if (id !== current) history.pushState(null, "", `/thread/${id}`);
    setCurrent(id);
    setShow("thread");
  };
  useEffect(() => {
    void inbox.look();
    const timer = setInterval(() => { if (inbox.closed.length > 0 && document.visibilityState === "visible") void inbox.look(); }, LOOK_MS);
    desk.page.live.onWipe(() => clearInterval(timer));
    return () => clearInterval(timer);
  }, [inbox]);
  useEffect(() => {
    const back = (): void => {
      const id = THREAD.exec(location.pathname)?.[1] ?? null;
      setCurrent(id);
      if (id === null) setShow("queue");
    };
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, []);
  useQueueKeys({
    rows, current, onOpen: open, onContext: () => setShow(show === "context" ? "thread" : "context"),
    onWrite: () => document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus(),
  });
  const context = found?.context;
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  const name = (current === null ? null : inbox.head(current)?.patient_name) ?? "";
  const teams = found?.thread.members.filter((one) => one.role === "team") ?? [];
  const withMedicines = mayCarryMedicines(teams);
  return (
    <ThreePane
      show={show}
      onShow={(pane) => {
        setShow(pane);
        if (pane === "queue" && current !== null) history.pushState(null, "", "/inbox");
      }}
      queue={
        <>
          <div class="queue__head">
            <h1>{t("views.inbox.title")}</h1>
            <LinkButton look="quiet" icon="edit" href="/new">
              {t("threads.new.staff")}
            </LinkButton>
            <div class="segments" role="group" aria-label={t("threads.filter")}>
              <button type="button" aria-pressed={filter === "all"} onClick={() => setFilter("all")}>
                {t("threads.filter.all")}
              </button>
              <button type="button" aria-pressed={filter === "awaiting"} onClick={() => setFilter("awaiting")}>
                {t("views.inbox.needs-answer")}
                {inbox.awaiting === 0 ? null : <span class="count">{inbox.awaiting > 99 ? "99+" : inbox.awaiting}</span>}
              </button>
            </div>
          </div>
          <Line desk={desk} />
          {inbox.left.length === 0 ? null : (
            <Banner tone="warn" icon="key" slim announce>
              <p>
                {t("threads.taken-out", { teams: list(inbox.left.map((team) => memberName(desk, team))) })} <a href="/team">{t("threads.no-team.do")}</a>
              </p>
            </Banner>
          )}
          {inbox.closed.map((one) => one.waiting === 0 ? null : (
            <Banner key={one.team} tone="warn" icon="key" slim>
              <p>{closedWords(one)} <a href="/team">{t("threads.no-team.do")}</a></p>
            </Banner>
          ))}
          {inbox.state === "loading" && rows.length === 0 ? <Spinner>{t("threads.opening")}</Spinner> : null}
          {inbox.state === "offline" ? <Trying onTry={() => void inbox.load()} /> : null}
          {inbox.state === "ready" && rows.length === 0 ? <NothingWaits desk={desk} filter={filter} onAll={() => setFilter("all")} /> : null}
          {rows.length === 0 ? null : <InboxList rows={rows} current={current} href={(id) => `/thread/${id}`} onOpen={open} />}
          {inbox.hasMore ? (
            <Button look="quiet" onClick={() => void inbox.more()}>
              {t("common.more")}
            </Button>
          ) : null}
        </>
      }
      thread={
        found === undefined ? (
          <EmptyState icon="message" title={t("threads.pick-one")}>
            {t("threads.keys")}
          </EmptyState>
        ) : (
          <ThreadPane
            key={found.thread.id}
            desk={desk}
            {...found}
            awaiting={inbox.head(found.thread.id)?.awaiting}
            title={<Title desk={desk} thread={found.thread} />}
            above={
              <PatientHeader
                name={name}
                patient={panel?.patient ?? null}
                allergies={panel}
                lookAlikes={context?.lookAlikes ?? []}
                waitsForKeys={found.thread.info?.waits_for_keys === true}
              />
            }
          />
        )
      }
      context={
        context === undefined || found === undefined || found.thread.opening.kind === "missing" ? (
          <div class="context">
            <p class="nothing">{t("threads.context.none")}</p>
          </div>
        ) : context.hidden ? (
          <div class="context">
            <p class="nothing">{t("views.context.hidden")}</p>
          </div>
        ) : (
          <ContextPanel
            context={context.state}
            onRefresh={() => void context.load(true)}
            medicines={withMedicines}
            onAttach={(chip) => found.composing.addChip(context.chipFor(chip, withMedicines))}
          />
        )
      }
    />
  );
}

function NothingWaits({ desk, filter, onAll }: { readonly desk: Desk; readonly filter: "all" | "awaiting"; readonly onAll: () => void }) {
  if (desk.ready.keyring.teams.length === 0) {
    return (
      <EmptyState icon="key" title={t("threads.no-team.title")} action={<LinkButton href="/team">{t("threads.no-team.do")}</LinkButton>}>
        {t("threads.no-team.body")}
      </EmptyState>
    );
  }
  if (filter === "awaiting")
    return (
      <EmptyState
        icon="check"
        title={t("threads.all-answered")}
        action={
          <Button look="quiet" onClick={onAll}>
            {t("threads.filter.all")}
          </Button>
        }
      />
    );
  return <EmptyState icon="message" title={t("views.inbox.empty")}>{t("views.inbox.empty-staff")}</EmptyState>;
}
