// The page's side of the work with keys that takes long.

import { runner } from "../live/worker.ts";
import type { keyTasks } from "./tasks.ts";

declare const __WORKER_RECOVERY_URL__: string;

export const run = runner<typeof keyTasks>(__WORKER_RECOVERY_URL__);
