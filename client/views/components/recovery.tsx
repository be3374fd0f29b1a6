// The recovery code: on the screen in groups of four, as a picture to scan, and as a sheet of paper.

import { day, stamp } from "../format.ts";
import { t } from "../i18n.ts";
import { QrCode } from "./qr.tsx";
import { SafetyGroups } from "./safety.tsx";

/** A code in groups as it is written down; each group has its number, so that reading aloud does not lose the place. */
export function CodeGroups({ code }: { readonly code: string }) {
  const groups = code.replace(/[\s-]/g, "").match(/.{1,4}/g) ?? [];
  return (
    <ol class="code-groups" aria-label={t("views.recovery.groups")} translate={false}>
      {groups.map((letters, index) => (
        <li key={index} data-n={index + 1}>
          <span aria-hidden="true">{letters}</span>
          <span class="sr-only">{t("views.recovery.group", { number: index + 1, letters: [...letters].join(" ") })}</span>
        </li>
      ))}
    </ol>
  );
}

/** A sheet to print: what it is, whose, the code twice, and what to do with it. */
function CodeSheet({ title, about, body, code, how, signInAt }: {
  readonly title: string; readonly about: string; readonly body: string; readonly code: string; readonly how: string;
  /** The address of the portal, for the person who finds this sheet in a drawer. */
  readonly signInAt: string;
}) {
  return (
    <section class="card recovery-sheet stack" aria-label={title}>
      <h2>{title}</h2>
      <p>{about}</p>
      <p>{body}</p>
      <div class="recovery-sheet__code">
        <CodeGroups code={code} />
        <QrCode text={code} label={t("views.recovery.qr")} />
      </div>
      <p>{how}</p>
      <p class="figures">{signInAt}</p>
    </section>
  );
}

/** The sheet of a recovery code: whose, since when. */
export function RecoverySheet({ name, code, madeOn, signInAt }: {
  readonly name: string;
  readonly code: string;
  /** YYYY-MM-DD. */
  readonly madeOn: string;
  readonly signInAt: string;
}) {
  return (
    <CodeSheet title={t("views.recovery.sheet")} body={t("views.recovery.sheet-body")} code={code} how={t("views.recovery.how")} signInAt={signInAt}
      about={`${t("views.recovery.for", { name })} · ${t("views.recovery.made", { date: day(madeOn) })}`} />
  );
}

/** The sheet that a member of a team gives to a colleague who has not signed in yet: whose, which teams, until when. */
export function AheadSheet({ name, teams, code, until, signInAt }: {
  readonly name: string;
  readonly teams: readonly string[];
  readonly code: string;
  readonly until: number;
  readonly signInAt: string;
}) {
  return (
    <CodeSheet title={t("views.ahead.sheet")} body={t("views.ahead.body")} code={code} how={t("views.ahead.how")} signInAt={signInAt}
      about={[t("views.recovery.for", { name }), ...teams, t("views.ahead.until", { time: stamp(until) })].join(" · ")} />
  );
}

/** One of the three sheets of an organisation's recovery key: whose, which, who holds it, the number to compare, how it is used. */
export function OrgSheet({ pharmacy, number, holder, lines, safety, madeOn, signInAt }: {
  readonly pharmacy: string;
  readonly number: number;
  readonly holder: string;
  readonly lines: readonly string[];
  readonly safety: readonly string[];
  /** YYYY-MM-DD. */
  readonly madeOn: string;
  readonly signInAt: string;
}) {
  const title = t("views.sheets.title", { number, pharmacy });
  return (
    <section class="card recovery-sheet recovery-sheet--page stack" aria-label={title} data-sheet={number}>
      <h2>{title}</h2>
      <p>{t("views.sheets.about", { holder, date: day(madeOn) })}</p>
      <p>{t("views.sheets.body")}</p>
      <div class="recovery-sheet__code">
        <ol class="sheet-lines figures" translate={false}>{lines.map((line) => <li key={line}>{line}</li>)}</ol>
        <QrCode text={lines.join("\n")} label={t("views.recovery.qr")} />
      </div>
      <p>{t("views.sheets.how")}</p>
      <p>{t("views.sheets.number")}</p>
      <SafetyGroups groups={safety} />
      <p class="figures">{signInAt}</p>
    </section>
  );
}
