// How a pharmacist made sure who somebody is that started again: chosen before anything old opens, and put on record by the server.

import { useEffect, useState } from "preact/hooks";

import { SignInAgain } from "../frame/again.tsx";
import { troubleWords } from "../frame/page.tsx";
import { isCode } from "../live/api.ts";
import { Banner, Button } from "../views/components/basics.tsx";
import { TileChoice } from "../views/components/forms.tsx";
import { moment } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import type { Desk, How, IdentityCheck } from "./desk.ts";

const WAYS: readonly How[] = ["in-person", "call-back", "waited"];

/** The choice, and what became of it. `onSure` lets the person in: it runs once the server knows how it was made sure. */
export function MadeSure({ desk, account, name, onSure }: {
  readonly desk: Desk; readonly account: string; readonly name: string; readonly onSure: () => Promise<void>;
}) {
  const [check, setCheck] = useState<IdentityCheck | undefined>(undefined);
  const [how, setHow] = useState<How | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [stale, setStale] = useState(false);
  useEffect(() => {
    desk.identityCheck(account).then(setCheck, (error: unknown) => setProblem(troubleWords(error)));
  }, [account]);
  const choose = (chosen: How): void => {
    setHow(chosen);
    setProblem(null);
  };
  const go = async (): Promise<void> => {
    const passed = check?.state === "passed";
    if (!passed && how === null) return setProblem(t("check.choose"));
    setBusy(true);
    setProblem(null);
    setStale(false);
    try {
      const now = passed ? check : await desk.madeSure(account, how!);
      setCheck(now);
      if (now.state === "passed") await onSure();
    } catch (error) {
      if (isCode(error, "step-up")) setStale(true);
      else setProblem(troubleWords(error));
    } finally {
      setBusy(false);
    }
  };
  if (check === undefined && problem === null) return null;
  const ways = check?.state === "waiting" || check?.state === "objected" ? WAYS.filter((one) => one !== "waited") : WAYS;
  const over = check?.state === "passed";
  return (
    <div class="stack-tight" data-check={check?.state}>
      {check?.state === "waiting" && check.until !== null ? (
        <Banner slim icon="clock" title={t("check.waiting", { time: moment(Date.parse(check.until)) })}><p>{t("check.waiting-body")}</p></Banner>
      ) : check?.state === "objected" ? (
        <Banner slim tone="warn" icon="stop" title={t("check.objected")}><p>{t("check.objected-body")}</p></Banner>
      ) : over ? <p>{t(check.how === "waited" ? "check.over" : "check.passed")}</p> : null}
      {over ? null : (
        <TileChoice legend={t("check.how")} value={how} onChange={choose} options={ways.map((one) => ({ value: one, label: t(`check.${one}`) }))} />
      )}
      {problem === null ? null : <p class="field__error" role="alert">{problem}</p>}
      {stale ? <SignInAgain /> : null}
      <Button busy={busy} onClick={() => void go()}>
        {t(over ? "check.over-do" : how === "waited" ? "check.begin" : "threads.held.confirm", { name })}
      </Button>
    </div>
  );
}
