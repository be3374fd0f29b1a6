// Who a message is about: two identifiers and the allergies stay above staff's composer, whatever else folds.

import { day, list } from "../format.ts";
import { t } from "../i18n.ts";
import type { Panel } from "../types.ts";
import { Icon, Tag } from "./basics.tsx";

type AllergyPart = Pick<Panel, "allergyState" | "allergies">;

/** The four answers to "any allergies?", which never look the same: marked, calm, dashed, or unknown for now. */
export function AllergyStrip({ panel }: { readonly panel: AllergyPart | null }) {
  const state = panel?.allergyState ?? "unavailable";
  if (state === "recorded" && panel !== null) {
    return (
      <div class="allergies allergies--some" role="group" aria-label={t("views.context.allergies")}>
        <Icon name="warn" /><span>{t("views.context.allergies")}:</span>
        <span translate={false} class="row">
          {panel.allergies.map((one) => <Tag key={one.id} tone="urgent">{one.name}{one.reactions === "" ? "" : ` (${one.reactions})`}</Tag>)}
        </span>
      </div>
    );
  }
  const [look, icon, key] = state === "none_known"
    ? ["none", "check", "none-known"] as const
    : state === "nothing_recorded" ? ["unknown", "help", "nothing"] as const : ["unknown", "offline", "unavailable"] as const;
  return (
    <div class={`allergies allergies--${look}`} role="group" aria-label={t("views.context.allergies")}>
      <Tag {...(look === "none" ? { tone: "ok" as const } : {})} icon={icon}>{t(`views.context.allergies.${key}`)}</Tag>
    </div>
  );
}

/** Full name, birth date with age, one more identifier, allergies, and who is easily mistaken for this person. */
export function PatientHeader({ name, patient, allergies, lookAlikes, waitsForKeys = false }: {
  /** Used until the record is there. */
  readonly name: string;
  readonly patient: Panel["patient"] | null;
  readonly allergies: AllergyPart | null;
  readonly lookAlikes: readonly LookAlike[];
  readonly waitsForKeys?: boolean;
}) {
  return (
    <div class="patient" role="region" aria-label={patient?.name ?? name}>
      <p class="patient__row">
        <span class="patient__name" translate={false}>
          {patient?.name ?? name}
        </span>
        {patient === null ? null : (
          <>
            <span>
              {t("views.patient.born", { date: day(patient.birthDate) })}
              {patient.age === null ? "" : ` · ${t("views.patient.age", { count: patient.age })}`}
            </span>
            {patient.number === "" ? null : <span class="figures soft">{t("views.patient.number", { number: patient.number })}</span>}
          </>
        )}
        {waitsForKeys ? (
          <Tag icon="key" tone="info">
            {t("views.patient.waits")}
          </Tag>
        ) : null}
      </p>
      <AllergyStrip panel={allergies} />
      {lookAlikes.length === 0 ? null : (
        <p class="lookalike">
          <Icon name="people" />
          <span>{lookAlikeWords(lookAlikes)}</span>
        </p>
      )}
      {patient === null || patient.silent === "" ? null : (
        <p class="lookalike">
          <Icon name="stop" />
          <span>{t(`views.patient.${patient.silent}`)}</span>
        </p>
      )}
    </div>
  );
}

/** Somebody who is easily mistaken for another, told apart by the number where name and birth date are the same. */
export interface LookAlike {
  readonly name: string;
  readonly birthDate: string;
  /** The record's number with its label; empty where there is none. */
  readonly number: string;
}

/** Who is meant not to be, one after the other. */
export function lookAlikeWords(others: readonly LookAlike[]): string {
  return t("views.patient.lookalike", {
    names: list(others.map(({ name, birthDate, number }) => `${name} (${[day(birthDate), number].filter((one) => one !== "").join(", ")})`)),
  });
}
