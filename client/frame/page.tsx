// What every page of the client has in common: texts, frame, session, and the screens that cover it.

import type { ComponentChildren } from "preact";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Refused } from "../crypto/reasons.ts";
import { hasGuard } from "../keys/guarded.ts";
import { dropStay, keepPlace } from "../keys/local.ts";
import { type Ready, type SignedIn, ensureReady, here, signedIn } from "../keys/unlock.ts";
import { StoreFailed, forgetAccount } from "../store/db.ts";
import { isLockKey, isShared, unsentHere } from "../store/shared.ts";
import { Banner, Button, LinkButton, Spinner } from "../views/components/basics.tsx";
import { clock, moment, phoneUri, setZone } from "../views/format.ts";
import { has, language, speak, t } from "../views/i18n.ts";
import { reasonWords } from "../views/reasons.ts";
import { AppFrame, dress } from "../views/shell.tsx";
import type { Pharmacy } from "../views/types.ts";
import { type Account, ApiError, type SessionState, Unreachable, get, isOfTheLine, post, readSession } from "../live/api.ts";
import { dropHelp, keepHelp } from "../live/help.ts";
import { LiveSession, type Screen } from "../live/session.ts";
import "../live/byhand.ts";

/** What a page's view gets. */
export interface Page<Person extends SignedIn> {
  readonly person: Person;
  readonly live: LiveSession;
  readonly pharmacies: readonly PharmacyItem[];
  /** The pharmacy in the header: of staff their own, of others one that cares for them. */
  readonly pharmacy: PharmacyItem | null;
}

/** GET /api/pharmacies. */
export interface PharmacyItem {
  readonly id: string;
  readonly name: string;
  readonly phone: string;
  readonly on_call_phone: string | null;
  readonly address: string;
  readonly country: string;
  readonly time_zone: string;
  readonly languages: readonly string[];
  readonly open_now: boolean | null;
  readonly open_until: string | null;
  readonly next_open: string | null;
  readonly nobody_reads_before: string | null;
  readonly emergency: { readonly emergency: string; readonly poison: string | null } | null;
  /** Patients may be offered it: hours, phone and a team's key are there. */
  readonly offered: boolean;
  /** What patients may write to it about. */
  readonly topics: readonly string[];
  readonly teams: Readonly<Record<string, string | null>>;
  readonly in_care: readonly string[];
}

/** A pharmacy as the views show it. */
export function pharmacyView(item: PharmacyItem): Pharmacy {
  return {
    id: item.id, name: item.name, phone: item.phone, onCallPhone: item.on_call_phone, country: item.country,
    openNow: item.open_now, nextOpen: item.next_open === null ? null : Date.parse(item.next_open),
    openUntil: item.open_until === null ? null : Date.parse(item.open_until), emergency: item.emergency,
  };
}

interface Plan<Person extends SignedIn> {
  /** The menu's place, such as "/messages". */
  readonly path: string;
  /** Key of the title in the catalogue. */
  readonly title: string;
  readonly full?: boolean;
  readonly view: (page: Page<Person>) => ComponentChildren;
}

/** Starts a page that needs keys: whoever has none here is led to the page that makes or restores them, and back. */
export function startKeyPage(plan: Plan<Ready>): Promise<void> {
  return start(plan, async () => {
    const ready = await ensureReady();
    return {
      person: ready,
      wipe: () => {
        ready.keyring.wipe();
        // Worth nothing once the session is locked; gone all the same.
        dropStay(ready.store).catch(() => undefined);
      },
    };
  });
}

/** Starts a page that needs a person but no keys. */
export function startPage(plan: Plan<SignedIn>): Promise<void> {
  return start(plan, async () => ({ person: await signedIn(), wipe: () => undefined }));
}

async function start<Person extends SignedIn>(
  plan: Plan<Person>, begin: () => Promise<{ person: Person; wipe: () => void }>,
): Promise<void> {
  const root = document.documentElement;
  await speak(root.dataset["language"] ?? "en");
  document.title = `${t(plan.title)} · ${t("common.product")}`;
  const app = document.getElementById("app");
  if (app === null) return;
  const draw = (content: ComponentChildren): void => {
    app.replaceChildren();
    render(null, app);
    render(content, app);
  };
  // Whoever steps away while the page still opens is heard, too, and then sees none of it.
  let page: Page<Person> | undefined;
  let leaving = false;
  addEventListener("keydown", (event) => {
    if (!isLockKey(event) || !(page?.person.session.shared ?? isShared())) return;
    event.preventDefault();
    leaving = true;
    if (page !== undefined) void lockNow(page);
  });
  try {
    const { person, wipe } = await begin();
    const { account, session } = person;
    // The account's own language counts more than the browser's.
    if (account.language !== language() && language() !== "qps") await speak(account.language);
    document.title = `${t(plan.title)} · ${t("common.product")}`;
    dress({ largeText: account.large_text || root.dataset["text"] === "large", role: account.role });
    const pharmacies = await loadPharmacies();
    // Whoever has chosen no zone reads times as on the pharmacy's door.
    setZone(account.time_zone ?? inView(account, session, pharmacies)?.time_zone ?? null);
    const live = new LiveSession(session);
    live.onWipe(wipe);
    // On a shared device the person comes back by the lock page, maybe after others.
    if (session.shared) {
      const keep = (): void => void keepPlace(person.store, here()).catch(() => undefined);
      live.onWipe(keep);
      // What is written while the page goes may come too late.
      keep();
    }
    live.start();
    page = { person, live, pharmacies, pharmacy: inView(account, session, pharmacies) };
    if (leaving && session.shared) return await lockNow(page);
    draw(<Shell plan={plan} page={page} />);
    // A private window, or a line that breaks just now: the page goes on without.
    if (!isShared()) keepHelp().catch(() => undefined);
  } catch (error) {
    draw(<Trouble error={error} />);
    if (!(isOfTheLine(error) || error instanceof Refused || error instanceof StoreFailed)) throw error;
  }
}

/** Starts a page that stands before any person: of its session nothing but a name is shown, and it may be locked. */
export async function startBarePage(plan: { readonly title: string; readonly view: (session: SessionState) => ComponentChildren }): Promise<void> {
  const root = document.documentElement;
  await speak(root.dataset["language"] ?? "en");
  const app = document.getElementById("app");
  if (app === null) return;
  let content: ComponentChildren;
  let session: SessionState | undefined;
  try {
    session = await readSession();
    const spoken = session.account?.language ?? language();
    if (spoken !== language() && language() !== "qps") await speak(spoken);
    content = plan.view(session);
  } catch (error) {
    content = <Trouble error={error} />;
    if (!isOfTheLine(error)) throw error;
  }
  document.title = `${t(plan.title)} · ${t("common.product")}`;
  dress({ largeText: session?.account?.large_text === true || root.dataset["text"] === "large", role: session?.account?.role ?? null });
  const csrf = session?.csrf ?? "";
  app.replaceChildren();
  render(
    <AppFrame account={null} pharmacy={null} path="" largeText={root.dataset["text"] === "large"} signIn={false}
      onLanguage={(chosen) => sendForm("/preferences", { language: chosen, next: here(), csrf_token: csrf })}
      onText={(size) => sendForm("/preferences", { text: size, next: here(), csrf_token: csrf })}
      onSignOut={() => sendForm("/logout", { csrf_token: csrf })}>
      {content}
    </AppFrame>,
    app,
  );
}

async function loadPharmacies(): Promise<readonly PharmacyItem[]> {
  try {
    return (await get<{ items: readonly PharmacyItem[] }>("/api/pharmacies")).items;
  } catch (error) {
    // Phone and hours are one tap away under "Phone and hours" too; the page itself must not fail for them.
    if (isOfTheLine(error)) return [];
    throw error;
  }
}

function inView(account: Account, session: SessionState, items: readonly PharmacyItem[]): PharmacyItem | null {
  if (account.pharmacy !== null) return items.find((one) => one.id === account.pharmacy) ?? null;
  const mine = new Set(session.patients.map((one) => one.patient));
  return items.find((one) => one.in_care.some((patient) => mine.has(patient))) ?? (items.length === 1 ? items[0]! : null);
}

function Shell<Person extends SignedIn>({ plan, page }: { readonly plan: Plan<Person>; readonly page: Page<Person> }) {
  const { account, session } = page.person;
  const [screen, setScreen] = useState<Screen>({ kind: "open" });
  useEffect(() => { page.live.onScreen(setScreen); }, []);
  const over = screen.kind === "locked" || screen.kind === "ended";
  const hidden = over || screen.kind === "covered";
  return (
    <AppFrame
      account={over ? null : { role: account.role, name: account.name }}
      pharmacy={page.pharmacy === null ? null : pharmacyView(page.pharmacy)}
      path={plan.path}
      shared={isShared() || session.shared}
      largeText={document.documentElement.dataset["text"] === "large"}
      full={plan.full === true && !hidden}
      wide={plan.full === true}
      onLanguage={(chosen) => sendForm("/preferences", { language: chosen, next: here(), csrf_token: session.csrf })}
      onText={(size) => sendForm("/preferences", { text: size, next: here(), csrf_token: session.csrf })}
      onSignOut={() => void signOut(page)}
      {...(session.shared && !over ? { onLock: () => void lockNow(page) } : {})}
    >
      {screen.kind === "warning" ? <LockWarning screen={screen} live={page.live} /> : null}
      {hidden || session.wrong_pins === null ? null : <WrongPins tried={session.wrong_pins} />}
      {over ? <Over kind={screen.kind} page={page} /> : screen.kind === "covered" ? <Cover live={page.live} /> : null}
      {/* What is covered stays where it is, with its place and its words; what is locked is taken off the page. */}
      {over ? null : (
        <div class={plan.full === true ? "pane" : "stack"} hidden={hidden}>
          {plan.view(page)}
        </div>
      )}
    </AppFrame>
  );
}

function LockWarning({ screen, live }: { readonly screen: { readonly lockAt: number }; readonly live: LiveSession }) {
  return (
    <Banner tone="warn" announce title={t("views.session.warning", { time: clock(screen.lockAt) })}>
      <Button look="quiet" onClick={() => void live.act()}>{t("views.session.stay")}</Button>
    </Banner>
  );
}

/** Somebody tried to open this device since its person last looked; it stays until the person says that it was seen. */
function WrongPins({ tried }: { readonly tried: NonNullable<SessionState["wrong_pins"]> }) {
  const [seen, setSeen] = useState(false);
  if (seen) return null;
  const say = async (): Promise<void> => {
    setSeen(true);
    await post("/api/keys/guards/seen", { count: tried.count }).catch((error: unknown) => {
      // It is told again with the next page.
      if (!isOfTheLine(error)) throw error;
    });
  };
  return (
    <Banner tone="warn" announce title={t("keys.pin.tried", { count: tried.count, time: moment(Date.parse(tried.last_at)) })}>
      <p>{t("keys.pin.tried-body")}</p>
      <div class="button-row">
        <Button look="quiet" onClick={() => void say()}>{t("keys.pin.tried-do")}</Button>
        {location.pathname === "/devices" ? null : <LinkButton look="quiet" href="/devices">{t("keys.pin.change")}</LinkButton>}
      </div>
    </Banner>
  );
}

function Cover({ live }: { readonly live: LiveSession }) {
  return (
    <div class="narrow stack">
      <h1>{t("views.locked.cover")}</h1>
      <p>{t("views.locked.cover-body")}</p>
      <div class="button-row"><Button big onClick={() => live.uncover()}>{t("views.locked.show")}</Button></div>
    </div>
  );
}

/** Locked, or over: sign in again and be back here, call, or leave. */
function Over<Person extends SignedIn>({ kind, page }: { readonly kind: "locked" | "ended"; readonly page: Page<Person> }) {
  const back = new URLSearchParams({ next: here() }).toString();
  // On a shared device also what has ended may be another person's turn.
  const shared = page.person.session.shared;
  const said = shared ? "locked" : kind;
  const way = shared ? "/lock" : kind === "locked" ? "/unlock" : "/login";
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = (): void => setOnline(navigator.onLine);
    for (const event of ["online", "offline"]) addEventListener(event, look);
    return () => { for (const event of ["online", "offline"]) removeEventListener(event, look); };
  }, []);
  return (
    <div class="narrow stack" role="alert">
      <h1>{t(`keys.over.${said}`)}</h1>
      <p>{t(shared ? "keys.over.shared-body" : `keys.over.${kind}-body`)}</p>
      {online ? null : <Banner tone="warn" icon="offline" slim><p>{t("keys.over.offline")}</p></Banner>}
      <div class="button-row">
        <LinkButton big href={`${way}?${back}`}>{t(`keys.over.${said}-do`)}</LinkButton>
        {page.pharmacy === null ? <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton>
          : <LinkButton look="quiet" icon="phone" href={phoneUri(page.pharmacy.phone)}>{t("common.call", { phone: page.pharmacy.phone })}</LinkButton>}
        {kind === "locked" ? <Button look="quiet" onClick={() => void signOut(page)}>{t("common.nav.signout")}</Button> : null}
      </div>
    </div>
  );
}

/** A page that could not start: what happened, and at least two ways on. */
export function Trouble({ error }: { readonly error: unknown }) {
  return (
    <div class="page"><main class="main" id="main"><div class="wrap"><TroubleInside error={error} /></div></main></div>
  );
}

/** The same within a page that stands. */
export function TroubleInside({ error }: { readonly error: unknown }) {
  return (
    <div class="narrow stack" role="alert">
      <h1>{t("keys.trouble.title")}</h1>
      <p>{troubleWords(error)}</p>
      <div class="button-row">
        <Button onClick={() => location.reload()}>{t("common.try-again")}</Button>
        <LinkButton look="quiet" href="/">{t("common.nav.home")}</LinkButton>
        <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton>
        <LinkButton look="quiet" icon="stop" href="/something-wrong">{t("wrong.link")}</LinkButton>
      </div>
    </div>
  );
}

/** An error whose sentence was already chosen by whoever knew more. */
export class Said extends Error {}

/** An error as a sentence for a person. */
export function troubleWords(error: unknown): string {
  if (error instanceof Said) return error.message;
  if (error instanceof Unreachable) return t("keys.trouble.offline");
  if (error instanceof StoreFailed) return t("keys.trouble.store");
  if (error instanceof Refused)
    return t(has(`keys.refused.${error.reason}`) ? `keys.refused.${error.reason}` : "keys.refused.other", {
      reason: error.reason,
      why: reasonWords(error.reason),
    });
  if (error instanceof ApiError && error.detail !== "") return error.detail;
  return t("keys.trouble.other");
}

export function Loading({ words }: { readonly words: string }) {
  return <Spinner>{words}</Spinner>;
}

/** Sends a form as a page of the server would: language, text size, signing out. */
export function sendForm(action: string, fields: Readonly<Record<string, string>>): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = action;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}

/** The person leaves the screen of a shared device: keys are wiped first, then it says so. */
async function lockNow<Person extends SignedIn>({ live }: Page<Person>): Promise<void> {
  await live.lock();
  location.replace(`/lock?${new URLSearchParams({ next: here() }).toString()}`);
}

/**
 * Signs out here and at the provider. What a PIN guards stays; on a shared computer everything else of the person goes, once
 * nothing waits to be sent.
 */
async function signOut<Person extends SignedIn>({ person, live }: Page<Person>): Promise<void> {
  const shared = isShared() && !(await hasGuard(person.store));
  if (shared && (await unsentHere(person.account.id)) && !confirm(t("keys.shared.unsent"))) return;
  const session = await readSession().catch(() => person.session);
  // Another person's turn at this browser: that one is not signed out by a page of this one.
  if (session.account !== null && session.account.id !== person.account.id) return location.replace("/lock");
  live.leave();
  if (shared) {
    person.store.close();
    await forgetAccount(person.account.id);
    // The page of help names nobody; a computer of many keeps nothing all the same.
    await dropHelp().catch(() => undefined);
  }
  sendForm("/logout", { csrf_token: session.csrf });
}
