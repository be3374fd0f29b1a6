// The crypto worker: keys, the verified directory and open threads.

import "../live/byhand.ts";
import { serve } from "../live/serve.ts";
import { threadTasks } from "../threads/tasks.ts";

serve(threadTasks);
