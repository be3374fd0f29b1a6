// How a way back to one's messages stands: set when, tried when.

import type { RecoveryWay } from "../../keys/shapes.ts";
import { Tag } from "../../views/components/basics.tsx";
import { moment } from "../../views/format.ts";
import { t } from "../../views/i18n.ts";

/** Whether a way was ever tried. */
export function Tried({ way }: { readonly way: RecoveryWay }) {
  return way.tried_at === null ? <Tag tone="warn" icon="warn">{t("keys.way.untried")}</Tag> : <Tag tone="ok" icon="check">{t("keys.way.works")}</Tag>;
}

/** When it was set and last tried. */
export function WayDates({ way }: { readonly way: RecoveryWay }) {
  return (
    <p class="soft">
      {t("keys.way.set", { time: moment(Date.parse(way.set_at)) })}
      {way.tried_at === null ? null : <> · {t("keys.way.tried", { time: moment(Date.parse(way.tried_at)) })}</>}
    </p>
  );
}
