// What changes on the server, told to every tab: one event stream for each browser, held by one tab (leader.ts), passed on to the
// others. Where there is no stream to be had, that tab asks now and then.

import { type ApiError, Unreachable, get, isCode, pause, sessionEvents } from "./api.ts";
import { lead } from "./leader.ts";

/** A thread changed in one of the person's inboxes. */
export interface ThreadNews {
  readonly kind: "thread";
  readonly thread: string;
  readonly sequence: number;
  readonly reader: string;
}

export type News =
  | ThreadNews
  /** Something was done to the person's own keys, here or elsewhere: `device-added`, `recovery-read`, `reset` … */
  | { readonly kind: "account"; readonly keys: string }
  /** The line is there (again): whoever shows something looks once whether it is still so. */
  | { readonly kind: "ready" }
  /** How news come now. */
  | { readonly kind: "line"; readonly line: Line };

export type Line = "live" | "polling" | "down";

const POLL_MS = 8_000;
const STREAM_AGAIN_MS = 45_000;

interface Passed {
  readonly news: News;
  readonly cursor: string;
}

/** The news of one account in this browser. */
export class Stream {
  line: Line = "down";
  private readonly listeners = new Set<(news: News) => void>();
  private readonly channel: BroadcastChannel;
  private readonly ended = new AbortController();
  private cursor = "";

  constructor(private readonly account: string, private readonly onSession: (state: string) => void) {
    this.channel = new BroadcastChannel(`portal-live-${account}`);
    this.channel.onmessage = (event: MessageEvent<Passed>) => {
      this.cursor = event.data.cursor;
      this.hear(event.data.news);
    };
    sessionEvents.addEventListener("end", () => this.close());
    lead(`portal-live-${account}`, this.ended.signal, () => this.run());
  }

  listen(listener: (news: News) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.ended.abort();
    this.channel.close();
  }

  /** The leader's work: the stream while there is one, asking while there is none. */
  private async run(): Promise<void> {
    while (!this.ended.signal.aborted) {
      await this.streamOnce();
      const until = Date.now() + STREAM_AGAIN_MS;
      while (!this.ended.signal.aborted && Date.now() < until) {
        if (await this.poll() === "back") break;
        await pause(POLL_MS);
      }
    }
  }

  /** Ends when the browser has given the stream up. */
  private streamOnce(): Promise<void> {
    return new Promise((resolve) => {
      const source = new EventSource(`/events?${new URLSearchParams({ as: this.account, ...(this.cursor === "" ? {} : { since: this.cursor }) }).toString()}`);
      const stop = (): void => {
        source.close();
        resolve();
      };
      this.ended.signal.addEventListener("abort", stop, { once: true });
      source.addEventListener("ready", (event) => {
        this.cursor = event.lastEventId;
        this.setLine("live");
        this.pass({ kind: "ready" });
      });
      source.addEventListener("thread", (event) => {
        this.cursor = event.lastEventId;
        this.pass({ kind: "thread", ...JSON.parse(event.data as string) as Omit<ThreadNews, "kind"> });
      });
      source.addEventListener("account", (event) => {
        const { keys } = JSON.parse(event.data as string) as { keys: string | null };
        if (keys !== null) this.pass({ kind: "account", keys });
      });
      source.addEventListener("session", (event) => {
        stop();
        this.onSession((JSON.parse(event.data as string) as { state: string }).state);
      });
      source.onerror = () => {
        // While it connects again by itself (with Last-Event-ID) there is nothing to do but to say so.
        if (source.readyState === EventSource.CLOSED) stop();
        else this.setLine("down");
      };
    });
  }

  private async poll(): Promise<Line | "back"> {
    try {
      const since = this.cursor === "" ? "" : `?since=${encodeURIComponent(this.cursor)}`;
      const answer = await get<{ items: readonly { thread: string; seq: number; reader: string }[]; cursor: string; more: boolean }>(
        `/api/threads/changes${since}`,
        { signal: this.ended.signal },
      );
      this.cursor = answer.cursor;
      const wasDown = this.line === "down";
      this.setLine("polling");
      if (wasDown) this.pass({ kind: "ready" });
      for (const one of answer.items) this.pass({ kind: "thread", thread: one.thread, sequence: one.seq, reader: one.reader });
      // After a break the stream is the first thing to try.
      return wasDown ? "back" : "polling";
    } catch (error) {
      if (this.ended.signal.aborted) return "down";
      if (!(error instanceof Unreachable) && !isPassing(error)) throw error;
      this.setLine("down");
      return "down";
    }
  }

  private setLine(line: Line): void {
    if (this.line !== line) this.pass({ kind: "line", line });
  }

  private pass(news: News): void {
    if (this.ended.signal.aborted) return;
    const passed: Passed = { news, cursor: this.cursor };
    this.channel.postMessage(passed);
    this.hear(news);
  }

  private hear(news: News): void {
    if (news.kind === "line") this.line = news.line;
    if (news.kind === "ready" && this.line === "down") this.line = "live";
    for (const listener of this.listeners) listener(news);
  }
}

function isPassing(error: unknown): error is ApiError {
  return isCode(error, "locked", "session-ended", "not-signed-in", "too-many") || (error as ApiError).status >= 500;
}
