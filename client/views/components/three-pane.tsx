// Queue, thread, context side by side; on tablets the context is a drawer, on phones one pane shows at a time.

import type { ComponentChildren } from "preact";

import { t } from "../i18n.ts";
import { Button } from "./basics.tsx";

export type Pane = "queue" | "thread" | "context";

/** `show` matters only where not all panes fit. The strip with name and allergies belongs into `thread`, so it never folds. */
export function ThreePane({ show, onShow, queue, thread, context }: {
  readonly show: Pane;
  readonly onShow: (pane: Pane) => void;
  readonly queue: ComponentChildren;
  readonly thread: ComponentChildren;
  readonly context: ComponentChildren;
}) {
  return (
    <div class="three" data-show={show}>
      <section class="pane pane--queue" aria-label={t("views.three.queue")}>
        {queue}
      </section>
      <section class="pane pane--thread" aria-label={t("views.three.thread")}>
        <div class="three__switch no-print">
          <span class="three__back">
            <Button look="plain" icon="back" onClick={() => onShow("queue")}>
              {t("views.three.back-queue")}
            </Button>
          </span>
          <span class="three__toggle">
            <Button look="quiet" icon="pill" expanded={show === "context"} shortcut="i" onClick={() => onShow("context")}>
              {t("views.three.show-context")}
            </Button>
          </span>
        </div>
        {thread}
      </section>
      <aside class="pane pane--context" aria-label={t("views.three.context")}>
        <div class="three__toggle three__switch no-print">
          <Button look="quiet" icon="close" onClick={() => onShow("thread")}>
            {t("views.three.hide-context")}
          </Button>
        </div>
        {context}
      </aside>
    </div>
  );
}
