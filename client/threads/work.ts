// The page's side of the work with threads, which is done in the crypto worker.

import { runner } from "../live/worker.ts";
import type { threadTasks } from "./tasks.ts";

export const run = runner<typeof threadTasks>();
