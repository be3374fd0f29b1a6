// The inbox, a conversation, a new question: /inbox, /messages, /thread/<id>, /new.

import { startThreads } from "../threads/app.tsx";

await startThreads();
