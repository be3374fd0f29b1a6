// What the EHR knows, beside the thread: each part with its state, the whole with source and "as of".

import type { ComponentChildren } from "preact";

import { day, list, moment } from "../format.ts";
import { has, t } from "../i18n.ts";
import { RUNNING_LOW_DAYS } from "../panel.ts";
import type { ChipView, Panel, PanelMedicine, PanelOrder, PanelReading, SectionState } from "../types.ts";
import { Banner, Button, Icon, Spinner, Tag } from "./basics.tsx";

/** `down`: the EHR cannot be reached; `panel` is then the last view kept sealed in this browser, or null. */
export type ContextState =
  | { readonly state: "loading" }
  | { readonly state: "here"; readonly panel: Panel }
  | { readonly state: "down"; readonly panel: Panel | null };

export interface ContextPanelProps {
  readonly context: ContextState;
  readonly onRefresh: () => void;
  /** Puts a medicine or an order into the message being written. */
  readonly onAttach?: (chip: ChipView) => void;
  /** Whether medicines may go into the message: not where the service desk reads it. */
  readonly medicines?: boolean;
}

export function ContextPanel({ context, onRefresh, onAttach, medicines = true }: ContextPanelProps) {
  if (context.state === "loading") return <div class="context"><Spinner>{t("views.context.loading")}</Spinner></div>;
  const { panel } = context;
  if (panel === null) {
    return (
      <div class="context">
        <Banner tone="warn" icon="offline">
          <p>{t("views.context.down-empty")}</p>
          <Button look="quiet" icon="refresh" onClick={onRefresh}>
            {t("common.try-again")}
          </Button>
        </Banner>
      </div>
    );
  }
  const asOf = moment(panel.asOf);
  const down = context.state === "down";
  return (
    <div class={down ? "context context--down" : "context"}>
      <div class="context__head">
        <p class="asof">{t("views.context.asof", { source: panel.source, time: asOf })}</p>
        <Button look="plain" icon="refresh" onClick={onRefresh}>{t("views.context.refresh")}</Button>
      </div>
      {down ? <Banner tone="warn" icon="offline" slim announce><p>{t("views.context.down", { time: asOf })}</p></Banner> : null}
      {!down && panel.stale ? <Banner tone="warn" icon="clock" slim announce><p>{t("views.context.stale", { time: asOf })}</p></Banner> : null}
      <Missing sections={panel.sections} />
      <Parts panel={panel} onAttach={onAttach} medicines={medicines} />
    </div>
  );
}

function Missing({ sections }: { readonly sections: Panel["sections"] }) {
  const names = Object.entries(sections).filter(([, state]) => state === "partial" || state === "unavailable").map(([name]) => sectionName(name));
  return names.length === 0 ? null : <Banner tone="warn" slim><p>{t("views.context.partial", { names: list(names) })}</p></Banner>;
}

function Parts({
  panel,
  onAttach,
  medicines,
}: {
  readonly panel: Panel;
  readonly onAttach: ((chip: ChipView) => void) | undefined;
  readonly medicines: boolean;
}) {
  const onMedicine = medicines ? onAttach : undefined;
  const active = panel.medicines.filter((one) => one.current);
  const past = panel.medicines.filter((one) => !one.current);
  const { sections } = panel;
  return (
    <>
      {panel.sight === "desk" ? (
        <p class="nothing">
          <Icon name="lock" /> {t("views.context.hidden")}
        </p>
      ) : (
        <section>
          <h2>
            {t("views.context.active")}
            <span>{active.length}</span>
          </h2>
          {active.length === 0 ? (
            <Nothing state={sections["medications"]}>{t("views.context.none-active")}</Nothing>
          ) : (
            <ul class="context__list">
              {active.map((one) => (
                <Medicine key={one.id} medicine={one} onAttach={onMedicine} />
              ))}
            </ul>
          )}
          {past.length === 0 ? null : (
            <details>
              <summary>{t("views.context.past-show", { count: past.length })}</summary>
              <ul class="context__list">
                {past.map((one) => (
                  <Medicine key={one.id} medicine={one} onAttach={onMedicine} />
                ))}
              </ul>
            </details>
          )}
        </section>
      )}
      {panel.dispenses.length === 0 ? null : (
        <section>
          <h2>{t("views.context.dispenses")}</h2>
          <ul class="context__list">
            {panel.dispenses.map((one) => (
              <li key={one.id}>
                <span class="name" translate={false}>
                  {one.name}
                </span>
                <span class="meta">{one.detail}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <section>
        <h2>
          {t("views.context.orders")}
          <span>{panel.orders.length}</span>
        </h2>
        {panel.orders.length === 0 ? (
          <Nothing state={sections["orders"]} />
        ) : (
          <ul class="context__list">
            {panel.orders.map((one) => (
              <OrderRow key={one.id} order={one} onAttach={onAttach} />
            ))}
          </ul>
        )}
      </section>
      {panel.sight === "desk" ? null : (
        <>
          <Readings title={t("views.context.labs")} readings={panel.labs} state={sections["labs"]} />
          <Readings title={t("views.context.vitals")} readings={panel.vitals} state={sections["vitals"]} />
          <section>
            <h2>{t("views.context.conditions")}</h2>
            {panel.conditions.length === 0 ? (
              <Nothing state={sections["conditions"]} />
            ) : (
              <ul class="context__list">
                {panel.conditions.map((one) => (
                  <li key={one.id}>
                    <span class={one.active ? "name" : "soft"} translate={false}>
                      {one.name}
                    </span>
                    {one.since === "" ? null : <span class="meta">{day(one.since)}</span>}
                  </li>
                ))}
              </ul>
            )}
          </section>
        </>
      )}
    </>
  );
}

function Medicine({ medicine, onAttach }: { readonly medicine: PanelMedicine; readonly onAttach: ((chip: ChipView) => void) | undefined }) {
  const facts = [
    medicine.filledOn === null ? "" : t("views.context.filled", { date: day(medicine.filledOn) }),
    medicine.repeatsLeft === null
      ? ""
      : medicine.repeatsLeft === 0
        ? t("views.context.no-repeats")
        : t("views.context.repeats", { count: medicine.repeatsLeft }),
    medicine.reason,
  ].filter(Boolean);
  return (
    <li>
      <span class="name" translate={false}>
        {medicine.name}
      </span>
      {medicine.dose === "" ? null : (
        <span class="meta" translate={false}>
          {medicine.doseOwn ? `“${medicine.dose}”` : medicine.dose}
        </span>
      )}
      {facts.length === 0 ? null : <span class="meta">{facts.join(" · ")}</span>}
      {medicine.rxnormName === "" ? null : (
        <details class="meta">
          <summary>RxNorm {medicine.rxnorm}</summary>
          <span translate={false}>{medicine.rxnormName}</span>
        </details>
      )}
      <span class="end">
        {medicine.daysLeft === null ? null : (
          <Tag tone={medicine.daysLeft <= RUNNING_LOW_DAYS ? "warn" : "ok"} icon={medicine.daysLeft <= RUNNING_LOW_DAYS ? "clock" : "check"}>
            {t("views.context.left", { count: medicine.daysLeft })}
          </Tag>
        )}
        <Attach chip={medicineChip(medicine)} onAttach={onAttach} />
      </span>
    </li>
  );
}

function OrderRow({ order, onAttach }: { readonly order: PanelOrder; readonly onAttach: ((chip: ChipView) => void) | undefined }) {
  return (
    <li>
      <span class="name" translate={false}>{order.title}</span>
      <span class="meta">{[order.item, order.orderedOn === null ? "" : day(order.orderedOn), order.stateReason].filter(Boolean).join(" · ")}</span>
      <span class="end">
        <Tag {...orderTone(order)}>{order.stateWords}</Tag>
        <Attach chip={orderChip(order)} onAttach={onAttach} />
      </span>
    </li>
  );
}

function Readings({
  title,
  readings,
  state,
}: {
  readonly title: string;
  readonly readings: readonly PanelReading[];
  readonly state: SectionState | undefined;
}) {
  return (
    <section>
      <h2>{title}</h2>
      {readings.length === 0 ? (
        <Nothing state={state} />
      ) : (
        <ul class="context__list">
          {readings.map((one) => (
            <li key={one.id}>
              <span class="name">{one.name}</span>
              <span class="meta">{[day(one.takenOn), one.range, one.preliminary ? t("views.context.preliminary") : ""].filter(Boolean).join(" · ")}</span>
              <span class="end">
                <strong>{one.value}</strong>
                {one.flag === "" ? null : (
                  <>
                    {" "}
                    <Tag tone="warn" icon="warn">
                      {one.flag}
                    </Tag>
                  </>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Attach({ chip, onAttach }: { readonly chip: ChipView; readonly onAttach: ((chip: ChipView) => void) | undefined }) {
  if (onAttach === undefined) return null;
  return <Button look="plain" icon="clip" label={t("views.context.attach", { name: chip.name })} onClick={() => onAttach(chip)}><span /></Button>;
}

function Nothing({ state, children }: { readonly state: SectionState | undefined; readonly children?: ComponentChildren }) {
  return <p class="nothing">{state === "unavailable" ? t("views.context.unavailable") : children ?? t("views.context.nothing")}</p>;
}

/** The chip of a medicine, as the composer takes it. */
export function medicineChip(medicine: PanelMedicine): ChipView {
  return { id: `medicine-${medicine.id}`, kind: "medicine", name: medicine.name, detail: medicine.dose, code: medicine.rxnorm, fhir: medicine.chip };
}

/** The chip of an order. */
export function orderChip(order: PanelOrder): ChipView {
  return { id: `order-${order.id}`, kind: "order", name: order.title, detail: orderWords(order), code: "", fhir: order.chip };
}

/** What is in an order, how it stands, and since when: a number alone tells nobody which one it is. */
export function orderWords(order: PanelOrder): string {
  return [order.item, order.stateWords, order.orderedOn === null ? "" : t("views.context.ordered", { date: day(order.orderedOn) })]
    .filter((one) => one !== "")
    .join(" · ");
}

function orderTone(order: PanelOrder): { tone?: "ok" | "warn" | "urgent" | "info"; icon: "check" | "clock" | "warn" | "box" } {
  if (order.state === "delivered" || order.state === "pickup") return { tone: "ok", icon: "check" };
  if (order.state === "damaged") return { tone: "urgent", icon: "warn" };
  if (order.state === "on_hold" || order.state === "waiting_prescriber") return { tone: "warn", icon: "clock" };
  return { tone: "info", icon: "box" };
}

function sectionName(section: string): string {
  const key = `views.context.section.${section}`;
  return has(key) ? t(key) : section;
}
