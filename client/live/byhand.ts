// Where a page or worker has computed what its browser lacks: in a worker of its own, which only such a browser ever loads.

import { type HandTasks, useByHand } from "../crypto/platform.ts";
import { runner } from "./worker.ts";

declare const __WORKER_BYHAND_URL__: string;

useByHand(runner<HandTasks>(__WORKER_BYHAND_URL__));
