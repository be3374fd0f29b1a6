// A medicine or an order inside a message: the words a person reads. The FHIR resource behind it travels with the message.

import { t } from "../i18n.ts";
import type { ChipView } from "../types.ts";
import { Icon } from "./basics.tsx";

/** `onOpen` shows it beside the thread; `onRemove` takes it out of a message not yet sent. */
export function Chip({ chip, onOpen, onRemove }: {
  readonly chip: ChipView;
  readonly onOpen?: ((chip: ChipView) => void) | undefined;
  readonly onRemove?: ((chip: ChipView) => void) | undefined;
}) {
  const words = (
    <span>
      <span class="sr-only">{t(chip.kind === "medicine" ? "views.chip.medicine" : "views.chip.order")}: </span>
      <span class="chip__name">{chip.name}</span>
      {chip.detail === "" ? null : <span class="chip__meta">{chip.detail}</span>}
      {chip.code === "" || onRemove !== undefined ? null : (
        <details class="chip__meta">
          <summary>{t("views.chip.rxnorm")}</summary>
          {t("views.chip.code", { code: chip.code })}
        </details>
      )}
    </span>
  );
  return (
    <div class="chip" translate={false}>
      <Icon name={chip.kind === "medicine" ? "pill" : "box"} />
      {words}
      {onRemove !== undefined
        ? <button type="button" aria-label={t("views.chip.remove", { name: chip.name })} onClick={() => onRemove(chip)}><Icon name="close" /></button>
        : onOpen !== undefined
          ? <button type="button" aria-label={chip.name} onClick={() => onOpen(chip)}><Icon name="next" /></button>
          : <span />}
    </div>
  );
}

/** All chips of a message. */
export function ChipRow({ chips, onOpen, onRemove }: {
  readonly chips: readonly ChipView[];
  readonly onOpen?: ((chip: ChipView) => void) | undefined;
  readonly onRemove?: ((chip: ChipView) => void) | undefined;
}) {
  if (chips.length === 0) return null;
  return <div class="chip-row">{chips.map((chip) => <Chip key={chip.id} chip={chip} onOpen={onOpen} onRemove={onRemove} />)}</div>;
}
