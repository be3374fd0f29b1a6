// On paper: a thread or one answer, with two identifiers of the patient on what staff print. That it was printed goes on record first.

import { teamNumber } from "../crypto/safety.ts";
import type { TeamChain } from "../crypto/teams.ts";
import type { PharmacyItem } from "../frame/page.tsx";
import { pictureAddress } from "../keys/comparing.ts";
import { isOfTheLine, post } from "../live/api.ts";
import { WorkerEnded, runner } from "../live/worker.ts";
import { day, stamp } from "../views/format.ts";
import { type Translated, language, t, translations } from "../views/i18n.ts";
import type { QrDrawing } from "../views/qr.ts";
import type { MessageView } from "../views/types.ts";
import { stateWords } from "../views/components/message.tsx";
import { printSheet } from "../views/components/paper.tsx";
import { QrPicture } from "../views/components/qr-picture.tsx";
import { SafetyGroups } from "../views/components/safety.tsx";
import type { ContextModel } from "./context.ts";
import type { Desk } from "./desk.ts";
import type { drawingTasks } from "./drawing.ts";
import { keyOf } from "./show.ts";
import type { ThreadModel } from "./thread.ts";

declare const __WORKER_DRAWING_URL__: string;

const draw = runner<typeof drawingTasks>(__WORKER_DRAWING_URL__);

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
  const chain = desk.staff ? chainToCompare(desk, thread) : undefined;
  const pharmacy = desk.pharmacy(thread.info?.pharmacy ?? "");
  const [picture, languages] = chain === undefined ? [undefined, []] : await Promise.all([pictureOf(chain), spokenAt(pharmacy)]);
  // Whoever has left the screen meanwhile leaves no sheet behind.
  if (picture === "ended" || desk.page.live.left) return;
  const panel = context === undefined || context.state.state === "loading" ? null : context.state.panel;
  printSheet(
    <article class="stack">
      <h1>{title ?? t(`threads.print.${what}`)}</h1>
      {panel === null ? null : (
        <p><strong>{panel.patient.name}</strong> · {t("views.patient.born", { date: day(panel.patient.birthDate) })}
          {panel.patient.number === "" ? "" : ` · ${t("views.patient.number", { number: panel.patient.number })}`}</p>
      )}
      {pharmacy === undefined ? null : <p>{pharmacy.name} · {pharmacy.phone}</p>}
      <p>{t("threads.print.made", { time: stamp(Date.now()), name: desk.ready.account.name })}</p>
      {views.map((view) => <Printed key={view.key} view={view} me={desk.ready.account.name} />)}
      {chain === undefined ? null : <ToCompare chain={chain} picture={picture} languages={languages} />}
    </article>,
  );
}

/** The team that wrote, where this browser is a member and has verified its keys: what staff hand out says how to compare them. */
function chainToCompare(desk: Desk, thread: ThreadModel): TeamChain | undefined {
  const { directory } = desk.ready;
  const team = thread.readers.find((one) => one.role === "team" && desk.ready.keyring.teams.includes(one.id) && !directory.sendingHeld(one.id));
  return team === undefined ? undefined : directory.known.team(team.id);
}

/** The picture of a team's keys; undefined where it cannot be drawn, `ended` where the screen was locked meanwhile. */
async function pictureOf(chain: TeamChain): Promise<QrDrawing | "ended" | undefined> {
  try {
    return await draw("qr", { text: pictureAddress(chain, location.origin) });
  } catch (error) {
    // The digits do without it, and a paper that somebody waits for does not wait for a picture.
    return error instanceof WorkerEnded ? "ended" : undefined;
  }
}

/** The languages of the pharmacy: staff may read another one than the patient; the own one where they cannot be fetched. */
function spokenAt(pharmacy: PharmacyItem | undefined): Promise<readonly Translated[]> {
  return translations(pharmacy?.languages ?? [language()]).catch(() => [{ language: language(), t }]);
}

/** The number of the team that wrote, and its picture for the patient's phone: what to do with them in each language. */
function ToCompare({ chain, picture, languages }: {
  readonly chain: TeamChain; readonly picture: QrDrawing | undefined; readonly languages: readonly Translated[];
}) {
  return (
    <section class="card stack-tight" data-receipt={chain.id}>
      {languages.map(({ language, t }) => (
        <div key={language} lang={language} class="stack-tight">
          <h2>{t("compare.poster.title")}</h2>
          {picture === undefined ? null : <p>{t("compare.receipt.picture")}</p>}
          <p>{t("compare.receipt", { address: `${location.origin}/compare` })}</p>
        </div>
      ))}
      <div class={picture === undefined ? "" : "handout__code"}>
        {picture === undefined ? null : <QrPicture drawing={picture} label={t("compare.poster.picture")} />}
        <SafetyGroups groups={teamNumber(chain).groups} />
      </div>
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
