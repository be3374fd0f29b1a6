// The page's side of the work with threads, which is done in the crypto worker.

import { runner } from "../live/worker.ts";
import type { threadTasks } from "./tasks.ts";

declare const __WORKER_CRYPTO_URL__: string;

export const run = runner<typeof threadTasks>(__WORKER_CRYPTO_URL__);
