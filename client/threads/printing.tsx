// On paper: a thread or one answer, with two identifiers of the patient on what staff print. That it was printed goes on record first.

import { render } from "preact";

import { isOfTheLine, post } from "../live/api.ts";
import { day, stamp } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import type { MessageView } from "../views/types.ts";
import { stateWords } from "../views/components/message.tsx";
import type { ContextModel } from "./context.ts";
import type { Desk } from "./desk.ts";
import { keyOf } from "./show.ts";
import type { ThreadModel } from "./thread.ts";

/** Notes the print with the server, then opens the browser's print dialog with a sheet made for it. */
export async function printed(
  desk: Desk, thread: ThreadModel, context: ContextModel | undefined, views: readonly MessageView[], what: "thread" | "answer",
  title?: string,
): Promise<void> {
  try {
    const sequence = what === "answer" ? thread.records.find((one) => keyOf(one) === views[0]?.key)?.seq : undefined;
    await post("/api/prints", { what: "thread", thread: thread.id, ...(sequence === undefined ? {} : { sequence }) });
  } catch (error) {
    // No record, no paper: a print that nobody knows of is what the record is there against.
    if (isOfTheLine(error)) return;
    throw error;
  }
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  const pharmacy = desk.pharmacy(thread.info?.pharmacy ?? "");
  const sheet = document.createElement("div");
  sheet.className = "print-only";
  const app = document.getElementById("app");
  document.body.append(sheet);
  render(
    <article>
      <h1>{title ?? t(`threads.print.${what}`)}</h1>
      {panel === null ? null : (
        <p><strong>{panel.patient.name}</strong> · {t("views.patient.born", { date: day(panel.patient.birthDate) })}
          {panel.patient.number === "" ? "" : ` · ${t("views.patient.number", { number: panel.patient.number })}`}</p>
      )}
      {pharmacy === undefined ? null : <p>{pharmacy.name} · {pharmacy.phone}</p>}
      <p>{t("threads.print.made", { time: stamp(Date.now()), name: desk.ready.account.name })}</p>
      {views.map((view) => <Printed key={view.key} view={view} me={desk.ready.account.name} />)}
    </article>,
    sheet,
  );
  app?.classList.add("no-print");
  const clean = (): void => {
    app?.classList.remove("no-print");
    render(null, sheet);
    sheet.remove();
  };
  addEventListener("afterprint", clean, { once: true });
  print();
}

function Printed({ view, me }: { readonly view: MessageView; readonly me: string }) {
  if (view.kind === "system") return <p><em>{view.text}</em></p>;
  return (
    <section class="bubble">
      <p><strong>{view.mine ? me : view.who}</strong>{view.role === "" ? "" : `, ${view.role}`} · {stamp(view.at)}</p>
      {view.kind === "text" ? (
        <>
          <p class="bubble__text">{view.text}</p>
          {view.chips.map((chip) => <p key={chip.id}>{chip.name}{chip.detail === "" ? "" : ` · ${chip.detail}`}</p>)}
          {view.files.map((file) => <p key={file.id}>{file.name}</p>)}
        </>
      ) : <p><em>{stateWords(view)}</em></p>}
    </section>
  );
}
