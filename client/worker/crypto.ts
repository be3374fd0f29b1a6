// The crypto worker. Each task is an async function of one input that can be cloned; what it returns, or refuses, goes back to
// client/live/worker.ts. An area adds its tasks to the one table below, and has its own side of the page in its work.ts.

import { Refused } from "../crypto/reasons.ts";
import { keyTasks } from "../keys/tasks.ts";
import type { WorkerAnswer } from "../live/worker.ts";
import { threadTasks } from "../threads/tasks.ts";

/** What a task may say before it ends. */
type Emit = (part: unknown) => void;
type Task = (input: never, emit: Emit) => Promise<unknown>;

const tasks = { ...keyTasks, ...threadTasks };

function say(answer: WorkerAnswer): void {
  postMessage(answer);
}

async function perform(no: number, name: string, input: never): Promise<void> {
  const task: Task | undefined = Object.hasOwn(tasks, name) ? tasks[name as keyof typeof tasks] as Task : undefined;
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

onmessage = (event: MessageEvent<{ no: number; name: string; input: never }>) => {
  void perform(event.data.no, event.data.name, event.data.input);
};
