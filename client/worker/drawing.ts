// Drawing a QR code for a print.

import { serve } from "../live/serve.ts";
import { drawingTasks } from "../threads/drawing.ts";

serve(drawingTasks);
