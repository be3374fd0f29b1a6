// The algorithms that this browser lacks.

import { handTasks } from "../crypto/byhand.ts";
import { serve } from "../live/serve.ts";

serve(handTasks);
