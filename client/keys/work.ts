// The page's side of the work with keys that takes long.

import { runner } from "../live/worker.ts";
import type { keyTasks } from "./tasks.ts";

export const run = runner<typeof keyTasks>();
