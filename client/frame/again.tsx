// Asking for a fresh sign-in without leaving what somebody has typed.

import { Banner, LinkButton } from "../views/components/basics.tsx";
import { t } from "../views/i18n.ts";

/**
 * The last sign-in has grown too old while somebody typed. Leaving would lose the words, and nothing secret is ever put down: the
 * sign-in happens in a tab of its own, and this page goes on after it.
 */
export function SignInAgain() {
  return (
    <Banner tone="warn" announce title={t("keys.fresh.title")}>
      <p>{t("keys.fresh.body")}</p>
      <p><LinkButton look="quiet" apart href="/step-up?next=/signed-in-again">{t("keys.fresh.do")}</LinkButton></p>
    </Banner>
  );
}
