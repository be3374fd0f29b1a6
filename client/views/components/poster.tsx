// The poster of a team: its safety number, and the picture that a phone reads.

import type { Translated } from "../i18n.ts";
import { QrCode } from "./qr.tsx";
import { SafetyGroups } from "./safety.tsx";

/** What stands on paper for patients to compare: the picture, the number, and what to do, in each language of the pharmacy. */
export function Poster({ pharmacy, phone, team, groups, address, languages }: {
  readonly pharmacy: string;
  readonly phone: string;
  /** The kind of team, as in the catalogue. */
  readonly team: string;
  readonly groups: readonly string[];
  /** What the picture holds. */
  readonly address: string;
  readonly languages: readonly Translated[];
}) {
  return (
    <article class="card handout poster" data-poster={team}>
      <p class="handout__from"><strong>{pharmacy}</strong><br />{phone}</p>
      <QrCode text={address} label={languages.map(({ t }) => t("compare.poster.picture")).join(" · ")} />
      <SafetyGroups groups={groups} />
      {languages.map(({ language, t }) => (
        <section key={language} lang={language} class="stack-tight">
          <h2>{t("compare.poster.title")}</h2>
          <p>{t("compare.poster.whose", { team: t(`threads.team.${team}`, { pharmacy }) })}</p>
          <p>{t("compare.poster.how")}</p>
          <p>{t("compare.poster.wrong", { phone })}</p>
        </section>
      ))}
    </article>
  );
}
