// Opening and wrapping the root key by passphrase or code: Argon2, which only the pages of recovery need.

import { keyTasks } from "../keys/tasks.ts";
import { serve } from "../live/serve.ts";

serve(keyTasks);
