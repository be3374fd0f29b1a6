// In tests what the platform lacks is computed at once; the bundler puts this into each of them (client/test.mjs).

import { handTasks } from "../byhand.ts";
import { type ByHand, useByHand } from "../platform.ts";

const here: ByHand = (name, input) => (handTasks[name] as (input: unknown) => ReturnType<typeof here<typeof name>>)(input);
useByHand(here);
