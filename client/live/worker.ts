// The page's side of the crypto worker: long work (Argon2, opening whole threads) runs beside the page, which stays awake.

import { Refused, type Reason } from "../crypto/reasons.ts";

declare const __WORKER_CRYPTO_URL__: string;

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

const waiting = new Map<number, Waiting>();
let worker: Worker | undefined;
let count = 0;

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

/** The page's side of one table of client/worker/crypto.ts: only its type is named here, its code stays in the worker. */
export function runner<Table extends Readonly<Record<keyof Table, Task>>>(): Run<Table> {
  return (name, input, options = {}) => {
    const no = (count += 1);
    return new Promise((resolve, reject) => {
      waiting.set(no, {
        resolve: resolve as (value: unknown) => void, reject, part: options.onPart as ((part: unknown) => void) | undefined,
      });
      started().postMessage({ no, name, input }, [...(options.transfer ?? [])]);
    });
  };
}

/** Ends the worker with everything it holds: the screen is locked. What still waits is rejected. */
export function endWorker(): void {
  worker?.terminate();
  worker = undefined;
  for (const one of waiting.values()) one.reject(new Error("the worker was ended"));
  waiting.clear();
}

function started(): Worker {
  if (worker !== undefined) return worker;
  worker = new Worker(trustedUrl(__WORKER_CRYPTO_URL__) as string, { type: "module" });
  worker.onmessage = (event: MessageEvent<WorkerAnswer>) => hear(event.data);
  worker.onerror = () => endWorker();
  return worker;
}

function hear(answer: WorkerAnswer): void {
  const asked = waiting.get(answer.no);
  if (asked === undefined) return;
  if ("part" in answer) {
    asked.part?.(answer.part);
    return;
  }
  waiting.delete(answer.no);
  if ("value" in answer) asked.resolve(answer.value);
  else if ("refused" in answer) asked.reject(new Refused(answer.refused.reason, answer.refused.message, answer.refused.seq));
  else asked.reject(new Error(answer.failed));
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
