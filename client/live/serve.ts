// A worker's side of its tasks. Each is an async function of one input that can be cloned; what it returns, or refuses, goes back to
// worker.ts.

import { Refused } from "../crypto/reasons.ts";
import type { WorkerAnswer } from "./worker.ts";

/** What a task may say before it ends. */
type Emit = (part: unknown) => void;
type Task = (input: never, emit: Emit) => Promise<unknown>;

function say(answer: WorkerAnswer): void {
  postMessage(answer);
}

/** Answers what is asked of this worker, by the names of one table. */
export function serve<Table extends Readonly<Record<keyof Table, Task>>>(tasks: Table): void {
  onmessage = (event: MessageEvent<{ no: number; name: string; input: never }>) => {
    void perform(tasks, event.data.no, event.data.name, event.data.input);
  };
}

async function perform(tasks: object, no: number, name: string, input: never): Promise<void> {
  const task = Object.hasOwn(tasks, name) ? tasks[name as keyof typeof tasks] as Task : undefined;
  if (task === undefined) {
    say({ no, failed: "no such task" });
    return;
  }
  try {
    say({ no, value: await task(input, (part) => say({ no, part })) });
  } catch (error) {
    if (error instanceof Refused) say({ no, refused: { reason: error.reason, message: error.message.slice(error.reason.length + 2), seq: error.seq } });
    else say({ no, failed: error instanceof Error ? error.name : "unknown" });
  }
}
