// On paper: a thread or one answer, with two identifiers of the patient on what staff print. That it was printed goes on record first.

import { teamNumber } from "../crypto/safety.ts";
import { isOfTheLine, post } from "../live/api.ts";
import { day, stamp } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import type { MessageView } from "../views/types.ts";
import { stateWords } from "../views/components/message.tsx";
import { printSheet } from "../views/components/paper.tsx";
import { SafetyGroups } from "../views/components/safety.tsx";
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
  printSheet(
    <article>
      <h1>{title ?? t(`threads.print.${what}`)}</h1>
      {panel === null ? null : (
        <p><strong>{panel.patient.name}</strong> · {t("views.patient.born", { date: day(panel.patient.birthDate) })}
          {panel.patient.number === "" ? "" : ` · ${t("views.patient.number", { number: panel.patient.number })}`}</p>
      )}
      {pharmacy === undefined ? null : <p>{pharmacy.name} · {pharmacy.phone}</p>}
      <p>{t("threads.print.made", { time: stamp(Date.now()), name: desk.ready.account.name })}</p>
      {views.map((view) => <Printed key={view.key} view={view} me={desk.ready.account.name} />)}
      {desk.staff ? <ToCompare desk={desk} thread={thread} /> : null}
    </article>,
  );
}

/** On what staff hand out: the number of the team that wrote, from the keys that this browser has verified. */
function ToCompare({ desk, thread }: { readonly desk: Desk; readonly thread: ThreadModel }) {
  const { directory } = desk.ready;
  const team = thread.readers.find((one) => one.role === "team" && desk.ready.keyring.teams.includes(one.id) && !directory.sendingHeld(one.id));
  const chain = team === undefined ? undefined : directory.known.team(team.id);
  if (chain === undefined) return null;
  return (
    <section class="stack-tight" data-receipt={chain.id}>
      <h2>{t("compare.poster.title")}</h2>
      <p>{t("compare.receipt", { address: `${location.origin}/compare` })}</p>
      <SafetyGroups groups={teamNumber(chain).groups} />
    </section>
  );
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
