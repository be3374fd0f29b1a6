// The life of a session as a page sees it: warned two minutes before the lock, kept open only by what a person does, covered in
// the background, wiped when it locks, and the same in every tab (design: locking is not signing out).

import { forgetCertificates } from "../crypto/certificates.ts";
import { type SessionEnd, type SessionState, isCode, isOfTheLine, post, readSession, sessionEvents } from "./api.ts";
import { WorkerEnded, endWorkers } from "./worker.ts";

/** What a page shows around its content. */
export type Screen =
  | { readonly kind: "open" }
  /** The lock comes at this moment unless the person does something. */
  | { readonly kind: "warning"; readonly lockAt: number }
  /** Nothing to see until the person asks for it; keys are still there. */
  | { readonly kind: "covered" }
  /** Keys are wiped; unlocking is a sign-in and leads back here. */
  | { readonly kind: "locked" }
  /** Signed out, ended elsewhere, or another person is signed in now. */
  | { readonly kind: "ended" };

const BACKGROUND_MS = 2 * 60_000;
const LOOK_EVERY_MS = 5_000;
const ACTS = ["pointerdown", "keydown", "wheel", "touchstart"] as const;
const CHANNEL = "portal-session";

type Word =
  | { readonly kind: "locked" | "ended"; readonly account: string }
  | { readonly kind: "active"; readonly account: string; readonly lockAt: number; readonly endsAt: number };

/** Watches one session. One for each page. */
export class LiveSession {
  private readonly account: string;
  private readonly channel = new BroadcastChannel(CHANNEL);
  private readonly wipes: (() => void)[] = [];
  private readonly listeners = new Set<(screen: Screen) => void>();
  private lockAt: number;
  private endsAt: number;
  private readonly warnBefore: number;
  private readonly tellEvery: number;
  private readonly clockAhead: number;
  private lastTold = 0;
  private hiddenSince: number | undefined;
  private screen: Screen = { kind: "open" };
  private over = false;

  constructor(session: SessionState) {
    this.account = session.account?.id ?? "";
    // The server's clock counts; this browser's may be wrong by hours.
    this.clockAhead = Date.parse(session.now) - Date.now();
    this.lockAt = Date.parse(session.lock_at ?? session.now);
    this.endsAt = Date.parse(session.ends_at ?? session.now);
    this.warnBefore = session.warn_before * 1000;
    this.tellEvery = session.tell_every * 1000;
  }

  /** Begins to watch. */
  start(): void {
    for (const kind of ACTS) addEventListener(kind, () => void this.act(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => void this.visibility());
    // What was under way when the screen was locked ends with it, and is no fault to be told.
    addEventListener("unhandledrejection", (event) => { if (event.reason instanceof WorkerEnded) event.preventDefault(); });
    // A page that comes back out of the browser's own memory may belong to a session that has ended.
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
    sessionEvents.addEventListener("end", (event) => this.finish((event as CustomEvent<SessionEnd>).detail, true));
    this.channel.onmessage = (event: MessageEvent<Word>) => this.hear(event.data);
    setInterval(() => this.look(), LOOK_EVERY_MS);
    this.look();
    // Tabs that were locked, or whose session had ended, come back with this one.
    if (!this.over) this.say({ kind: "active", account: this.account, lockAt: this.lockAt, endsAt: this.endsAt });
  }

  /** Whether the screen was locked here, or the session has ended: nothing of it may be drawn any more. */
  get left(): boolean {
    return this.over;
  }

  /** Called when keys must go from memory: keyrings, opened texts, streams. */
  onWipe(wipe: () => void): void {
    this.wipes.push(wipe);
  }

  /** Hears every change of what is to be shown, the present one first. */
  onScreen(listener: (screen: Screen) => void): () => void {
    this.listeners.add(listener);
    listener(this.screen);
    return () => this.listeners.delete(listener);
  }

  /** The person looks at the page again. */
  uncover(): void {
    if (this.screen.kind !== "covered") return;
    this.hiddenSince = undefined;
    this.show({ kind: "open" });
    void this.act();
  }

  /** A stream said that the session was locked or has ended. */
  told(state: string): void {
    this.finish(state === "locked" ? "locked" : "ended", true);
  }

  /** A person did something: told to the server now and then. Streams and polling never call this. */
  async act(): Promise<void> {
    if (this.over || this.screen.kind === "covered") return;
    const now = Date.now();
    if (now - this.lastTold < this.tellEvery && this.screen.kind !== "warning") return;
    this.lastTold = now;
    try {
      const said = await post<{ lock_at: string; ends_at: string }>("/api/session/activity");
      // Locked while the answer was on its way: other tabs must not come back by it.
      if (this.over) return;
      this.active(Date.parse(said.lock_at), Date.parse(said.ends_at));
      this.say({ kind: "active", account: this.account, lockAt: this.lockAt, endsAt: this.endsAt });
    } catch (error) {
      // Offline, or the server is busy: the next act tells it again. A 401 has been heard as an event.
      this.lastTold = 0;
      if (isCode(error, "csrf", "origin")) throw error;
    }
  }

  private active(lockAt: number, endsAt: number): void {
    this.lockAt = lockAt;
    this.endsAt = endsAt;
    if (this.screen.kind === "warning") this.show({ kind: "open" });
  }

  private async visibility(): Promise<void> {
    if (document.visibilityState === "hidden") {
      this.hiddenSince ??= Date.now();
      return;
    }
    this.look();
    if (this.screen.kind !== "covered") this.hiddenSince = undefined;
    if (this.over) return;
    try {
      const session = await readSession();
      if (session.state === "locked") this.finish("locked", true);
      else if (session.account?.id !== this.account) this.finish("ended", true);
      else this.active(Date.parse(session.lock_at ?? session.now), Date.parse(session.ends_at ?? session.now));
    } catch {
      // Offline: the times that are known still count.
      this.look();
    }
  }

  private look(): void {
    if (this.over) return;
    const now = Date.now() + this.clockAhead;
    if (now >= this.endsAt) this.finish("ended", false);
    else if (now >= this.lockAt) this.finish("locked", false);
    else if (this.hiddenSince !== undefined && Date.now() - this.hiddenSince >= BACKGROUND_MS) this.show({ kind: "covered" });
    else if (now >= this.lockAt - this.warnBefore && this.screen.kind === "open") this.show({ kind: "warning", lockAt: this.lockAt - this.clockAhead });
  }

  private finish(end: SessionEnd, tell: boolean): void {
    if (this.over) return;
    this.over = true;
    for (const wipe of this.wipes) wipe();
    endWorkers();
    forgetCertificates();
    if (tell) this.say({ kind: end, account: this.account });
    this.show({ kind: end });
  }

  /** What another tab says. */
  private hear(word: Word): void {
    if (word.account !== this.account) {
      // Another person signed in here: this page's session was ended by that.
      if (word.kind === "active") this.finish("ended", false);
      return;
    }
    if (word.kind === "active" && this.over) location.reload();
    else if (word.kind === "active") this.active(word.lockAt, word.endsAt);
    else this.finish(word.kind, false);
  }

  private say(word: Word): void {
    this.channel.postMessage(word);
  }

  /** The person leaves the screen: locked here and in every tab at once, then at the server; where that cannot be told, its time comes. */
  async lock(): Promise<void> {
    if (this.over) return;
    this.finish("locked", true);
    await post("/api/session/lock").catch((error: unknown) => {
      if (!isOfTheLine(error)) throw error;
    });
  }

  /** The person signs out: keys go from every tab before the server is told. */
  leave(): void {
    this.finish("ended", true);
  }

  private show(screen: Screen): void {
    this.screen = screen;
    for (const listener of this.listeners) listener(screen);
  }
}
