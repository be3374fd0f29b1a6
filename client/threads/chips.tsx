// Medicines and orders that go with a message: picked, shown as they stand, and opened.

import { Icon } from "../views/components/basics.tsx";
import { orderWords } from "../views/components/context.tsx";
import { Dialog } from "../views/components/dialog.tsx";
import { day } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import type { ChipView, Panel } from "../views/types.ts";
import { detailsOf, resourceOf } from "./body.ts";

/** Chips to pick from, as large rows. */
export function ChipPicker({ chips, onPick }: { readonly chips: readonly ChipView[]; readonly onPick: (chip: ChipView) => void }) {
  return (
    <ul class="stack-tight">
      {chips.map((one) => (
        <li key={one.id}>
          <button type="button" class="tile" onClick={() => onPick(one)} translate={false}>
            <Icon name={one.kind === "medicine" ? "pill" : "box"} />
            <strong>{one.name}</strong>
            {one.detail === "" ? null : <span class="tile__hint">{one.detail}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** A medicine or an order of a message in words. What the record says today stands beside it; the data themselves are for staff. */
export function ChipDetails({ chip, staff, panel, pharmacy, onClose }: {
  readonly chip: ChipView; readonly staff: boolean; readonly panel: Panel | null; readonly pharmacy: string; readonly onClose: () => void;
}) {
  const resource = resourceOf(chip);
  const ordered = resource["authoredOn"];
  const medicine = chip.kind === "medicine" ? panel?.medicines.find((one) => one.id === resource["id"]) : undefined;
  const order = chip.kind === "order" ? panel?.orders.find((one) => one.id === resource["id"]) : undefined;
  const now = [
    medicine?.status ?? order?.stateWords ?? "",
    medicine === undefined || medicine.dose === chip.detail ? (order?.stateReason ?? "") : medicine.dose,
  ]
    .filter((one) => one !== "")
    .join(" · ");
  const facts: readonly (readonly [string, string])[] = [
    [chip.kind === "medicine" ? "how" : "item", order?.item ?? chip.detail],
    [chip.kind === "medicine" ? "prescribed" : "ordered", typeof ordered === "string" ? day(ordered) : ""],
    ["by", medicine?.prescriber ?? ""],
    ["now", now],
    ["source", t("views.chip.source-of", { name: panel?.source ?? pharmacy })],
    ["rxnorm", staff ? chip.code : ""],
  ];
  return (
    <Dialog title={chip.name} onClose={onClose}>
      <dl class="facts" translate={false}>
        {facts.filter(([, words]) => words !== "").map(([name, words]) => <div key={name}><dt>{t(`views.chip.${name}`)}</dt><dd>{words}</dd></div>)}
      </dl>
      <p class="small soft">{t("threads.chip.from-message")}</p>
      {staff ? (
        <details class="small"><summary>{t("views.chip.raw")}</summary>
          <dl class="facts" translate={false}>{detailsOf(resource).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
        </details>
      ) : null}
    </Dialog>
  );
}

/** An order in a message, with what is in it and how it stands now: the message itself holds no more than its number and day. */
export function asItStands(chip: ChipView, panel: Panel | null): ChipView {
  if (chip.kind !== "order") return chip;
  const resource = resourceOf(chip);
  const order = panel?.orders.find((one) => one.id === resource["id"]);
  if (order !== undefined) return { ...chip, detail: orderWords(order) };
  const ordered = resource["authoredOn"];
  return typeof ordered === "string"
    ? { ...chip, detail: [chip.detail, t("views.context.ordered", { date: day(ordered) })].filter((one) => one !== "").join(" · ") }
    : chip;
}
