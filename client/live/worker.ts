// The page's side of its workers: long work (opening whole threads, Argon2) runs beside the page, which stays awake.

import { Refused, type Reason } from "../crypto/reasons.ts";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly part: ((part: unknown) => void) | undefined;
}

/** What the worker says back. */
export type WorkerAnswer =
  | { readonly no: number; readonly part: unknown }
  | { readonly no: number; readonly value: unknown }
  | { readonly no: number; readonly refused: { readonly reason: Reason; readonly message: string; readonly seq: number | undefined } }
  | { readonly no: number; readonly failed: string };

/** Workers by their address, each begun when it is first asked. */
const lines = new Map<string, Line>();

type Task = (input: never, emit: never) => Promise<unknown>;

/** `onPart` hears what a task emits before it ends. `transfer`: buffers that are handed over instead of copied. */
interface RunOptions {
  readonly onPart?: (part: never) => void;
  readonly transfer?: readonly Transferable[];
}

/** Runs a task of a table in the worker. A `Refused` that the task throws is thrown here too. */
export type Run<Table extends Readonly<Record<keyof Table, Task>>> = <Name extends keyof Table>(
  name: Name, input: Parameters<Table[Name]>[0], options?: RunOptions,
) => Promise<Awaited<ReturnType<Table[Name]>>>;

/** The page's side of the table of tasks in the worker at `url`: only its type is named here, its code stays in the worker. */
export function runner<Table extends Readonly<Record<keyof Table, Task>>>(url: string): Run<Table> {
  return (name, input, options = {}) => new Promise((resolve, reject) => {
    const asked = { resolve: resolve as (value: unknown) => void, reject, part: options.onPart as ((part: unknown) => void) | undefined };
    let line = lines.get(url);
    if (line === undefined) lines.set(url, line = new Line(url));
    line.ask(asked, String(name), input, options.transfer ?? []);
  });
}

/** Ends the workers with everything they hold: the screen is locked. What still waits is rejected. */
export function endWorkers(): void {
  for (const line of lines.values()) line.end(new WorkerEnded());
}

// What goes by this name between a worker and the page; classes are renamed when a bundle is made.
const ENDED = "WorkerEnded";

/** The screen was locked while a worker was still at it, or was asked of one begun since: nobody waits for the answer any more. */
export class WorkerEnded extends Error {
  constructor() {
    super("the worker was ended");
    this.name = ENDED;
  }
}

/** One worker and what it was asked. */
class Line {
  private readonly waiting = new Map<number, Waiting>();
  private readonly worker: Worker;
  private count = 0;

  constructor(private readonly url: string) {
    this.worker = new Worker(trustedUrl(url) as string, { type: "module" });
    this.worker.onmessage = (event: MessageEvent<WorkerAnswer>) => this.hear(event.data);
    this.worker.onerror = () => this.end(new Error("the worker failed"));
  }

  ask(asked: Waiting, name: string, input: unknown, transfer: readonly Transferable[]): void {
    const no = (this.count += 1);
    this.waiting.set(no, asked);
    this.worker.postMessage({ no, name, input }, [...transfer]);
  }

  end(why: Error): void {
    this.worker.terminate();
    lines.delete(this.url);
    for (const one of this.waiting.values()) one.reject(why);
    this.waiting.clear();
  }

  private hear(answer: WorkerAnswer): void {
    const asked = this.waiting.get(answer.no);
    if (asked === undefined) return;
    if ("part" in answer) {
      asked.part?.(answer.part);
      return;
    }
    this.waiting.delete(answer.no);
    if ("value" in answer) asked.resolve(answer.value);
    else if ("refused" in answer) asked.reject(new Refused(answer.refused.reason, answer.refused.message, answer.refused.seq));
    else asked.reject(answer.failed === ENDED ? new WorkerEnded() : new Error(answer.failed));
  }
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL(url: string): unknown };
}

let policy: { createScriptURL(url: string): unknown } | undefined;

/** Our one policy: it passes the constant addresses of our own workers and nothing else. */
export function trustedUrl(url: string): unknown {
  const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
  if (types === undefined) return url;
  policy ??= types.createPolicy("portal-worker", {
    createScriptURL: (wanted) => {
      if (!/^\/static\/worker-[a-z]+-[0-9a-f]{12}\.js$/.test(wanted)) throw new TypeError("not a worker of ours");
      return wanted;
    },
  });
  return policy.createScriptURL(url);
}
