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
  readonly lookAlikes: readonly { readonly name: string; readonly birthDate: string }[];
  readonly waitsForKeys?: boolean;
}) {
  return (
    <div class="patient" role="region" aria-label={patient?.name ?? name}>
      <div class="patient__row">
        <span class="patient__name" translate={false}>{patient?.name ?? name}</span>
        {patient === null ? null : (
          <>
            <span>{t("views.patient.born", { date: day(patient.birthDate) })}{patient.age === null ? "" : ` · ${t("views.patient.age", { count: patient.age })}`}</span>
            {patient.number === "" ? null : <span class="figures soft">{t("views.patient.number", { number: patient.number })}</span>}
          </>
        )}
        {waitsForKeys ? <Tag icon="key" tone="info">{t("views.patient.waits")}</Tag> : null}
      </div>
      <AllergyStrip panel={allergies} />
      {lookAlikes.length === 0 ? null : (
        <p class="lookalike"><Icon name="people" />{t("views.patient.lookalike", { names: list(lookAlikes.map((one) => `${one.name} (${day(one.birthDate)})`)) })}</p>
      )}
      {patient === null || patient.silent === "" ? null : <p class="lookalike"><Icon name="stop" />{t(`views.patient.${patient.silent}`)}</p>}
    </div>
  );
}
