// For whom something is written. Whoever acts for others reads it on every page, so that two people never mix.

import type { ActingFor } from "../live/api.ts";
import { Icon } from "../views/components/basics.tsx";
import { t } from "../views/i18n.ts";
import type { ContextModel } from "./context.ts";
import type { Desk } from "./desk.ts";

/** A patient by name; who has no account of their own by the record, or by how the two are related. */
export function patientName(one: ActingFor, context?: ContextModel): string {
  const panel = context === undefined || context.state.state === "loading" || context.patient !== one.patient ? null : context.state.panel;
  return one.name ?? panel?.patient.name ?? t(`threads.whose.${one.kind}`);
}

/** The line that says for whom; nothing where there is only oneself. */
export function ForWhom({
  desk,
  patient,
  context,
}: {
  readonly desk: Desk;
  readonly patient: string | undefined;
  readonly context?: ContextModel | undefined;
}) {
  const one = desk.patients.find((other) => other.patient === patient);
  if (one === undefined || (desk.patients.length === 1 && one.kind === "self")) return null;
  return (
    <p class="for-whom">
      <Icon name="person" />{" "}
      {one.kind === "self" ? t("threads.whose.for-me") : <span translate={false}>{t("threads.whose.for", { name: patientName(one, context) })}</span>}
    </p>
  );
}
