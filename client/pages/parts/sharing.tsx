// Whose this device is: asked when its keys are made, and a PIN where others use it too.


import { byPin, pinProblem } from "../../keys/guarding.ts";
import type { Ownership } from "../../keys/local.ts";
import { isShared, markShared } from "../../store/shared.ts";
import { PinField, TileChoice } from "../../views/components/forms.tsx";
import { t } from "../../views/i18n.ts";

export type Whose = "mine" | "shared";

/** What is typed where a PIN is chosen. */
export interface PinTyped {
  readonly pin: string;
  readonly again: string;
}

/** Told as a change of what was typed last: two fields may be filled before the page is drawn again. */
export type OnPinTyped = (change: (now: PinTyped) => PinTyped) => void;

export const NO_PIN: PinTyped = { pin: "", again: "" };

/** What is wrong with a chosen PIN, and beside which field. */
export function pinTrouble({ pin, again }: PinTyped): { readonly field: string; readonly text: string } | undefined {
  const problem = pinProblem(pin);
  if (problem !== undefined) return { field: "pin-new", text: t(problem) };
  return pin === again ? undefined : { field: "pin-again", text: t("keys.pin.differ") };
}

/** Two fields for a new PIN. */
export function NewPin({ typed, onTyped, trouble }: {
  readonly typed: PinTyped; readonly onTyped: OnPinTyped; readonly trouble: ReturnType<typeof pinTrouble>;
}) {
  const error = (field: string): string | undefined => (trouble?.field === field ? trouble.text : undefined);
  return (
    <>
      <PinField id="pin-new" label={t("keys.pin.new")} hint={t("keys.pin.new-hint")} fresh value={typed.pin}
        onInput={(pin) => onTyped((now) => ({ ...now, pin }))} error={error("pin-new")} />
      <PinField id="pin-again" label={t("keys.pin.again")} fresh value={typed.again}
        onInput={(again) => onTyped((now) => ({ ...now, again }))} error={error("pin-again")} />
    </>
  );
}

/** The question whose device this is, with the PIN of a shared one. `whose` null: not answered yet. */
export function WhoseDevice({ whose, onWhose, typed, onTyped, trouble }: {
  readonly whose: Whose | null; readonly onWhose: (whose: Whose) => void;
  readonly typed: PinTyped; readonly onTyped: OnPinTyped; readonly trouble: ReturnType<typeof pinTrouble>;
}) {
  return (
    <>
      <TileChoice legend={t("keys.whose.title")} value={whose} onChange={onWhose} options={[
        { value: "mine", label: t("keys.whose.mine"), hint: t("keys.whose.mine-hint") },
        { value: "shared", label: t("keys.whose.shared"), hint: t("keys.whose.shared-hint") },
      ]} />
      {whose === "shared" ? <NewPin typed={typed} onTyped={onTyped} trouble={trouble} /> : null}
    </>
  );
}

/** The answer as what makes a device; the browser remembers that others use it. */
export function ownershipOf(whose: Whose, { pin }: PinTyped): Ownership {
  if (whose === "shared") markShared(true);
  return whose === "shared" ? byPin(pin) : "mine";
}

/** What is most likely here: shared where somebody said so before. */
export function likely(): Whose {
  return isShared() ? "shared" : "mine";
}
