// The recovery sheets of a pharmacy: made and printed, tried out, and typed in when nobody of a team can open it any more. What they
// hold is on this page and on paper, nowhere else.

import { useEffect, useState } from "preact/hooks";

import type { Bytes } from "../crypto/encoding.ts";
import { Refused } from "../crypto/reasons.ts";
import { mistypedLines } from "../crypto/sheets.ts";
import { SeatRefused } from "../keys/seats.ts";
import {
  type MadeSheets, type RecoveryAct, type Standing, type Two, checkSheets, keepSheets, makeSheets, notePrint, standingOf, trySheets, useSheets,
} from "../keys/sheets.ts";
import { addRecovery, refreshTeams, teamsOf } from "../keys/teams.ts";
import { type Ready, leaveFor } from "../keys/unlock.ts";
import { SignInAgain } from "../frame/again.tsx";
import { Loading, type Page, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Spinner } from "../views/components/basics.tsx";
import { ErrorSummary, PrivateArea, TextField } from "../views/components/forms.tsx";
import { OrgSheet } from "../views/components/recovery.tsx";
import { SafetyGroups } from "../views/components/safety.tsx";
import { dayOf, moment } from "../views/format.ts";
import { t } from "../views/i18n.ts";
import { useAttempt } from "./parts/attempt.ts";
import { type Asking, RootDialog, prepare } from "./parts/root.tsx";

type Step =
  | { readonly kind: "begin" }
  | { readonly kind: "holders"; readonly root: Bytes }
  | { readonly kind: "print"; readonly root: Bytes; readonly made: MadeSheets; readonly holders: readonly string[] }
  | { readonly kind: "check"; readonly root: Bytes; readonly made: MadeSheets; readonly holders: readonly string[] }
  | { readonly kind: "try" }
  | { readonly kind: "use"; readonly act: RecoveryAct }
  | { readonly kind: "done"; readonly what: "made" | "tried" | "used"; readonly left: readonly string[] };

/** Why two typed sheets are not taken, in words. */
function sheetWords(error: unknown): string {
  if (error instanceof SeatRefused) return t(error.fault === "anew" ? "sheets.wrong.anew" : "sheets.wrong.keys");
  if (!(error instanceof Refused)) return troubleWords(error);
  const known = { code: "typo", object: "sets", duplicate: "twice", "member key": "other" } as const;
  const found = Object.entries(known).find(([reason]) => reason === error.reason);
  return found === undefined ? troubleWords(error) : t(`sheets.wrong.${found[1]}`);
}

function Sheets({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const pharmacy = page.pharmacies.find((one) => one.id === ready.account.pharmacy);
  const [standing, setStanding] = useState<Standing | undefined>(undefined);
  const [step, setStep] = useState<Step>({ kind: "begin" });
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    setProblem(undefined);
    setBusy(true);
    try {
      await work();
    } catch (error) {
      setProblem(sheetWords(error));
    } finally {
      setBusy(false);
    }
  };
  const begin = (): Promise<void> => attempt(async () => {
    if (ready.own.recovery.length === 0) await leaveFor("/recovery", { next: "/sheets" });
    const run = (root: Bytes): Promise<void> => Promise.resolve(setStep({ kind: "holders", root }));
    setAsking(await prepare(ready, {
      title: t("sheets.make"), body: t("sheets.make.root"), confirm: t("common.continue"), query: { do: "make" }, run,
    }));
  });
  useEffect(() => {
    if (pharmacy === undefined) return;
    void attempt(async () => {
      const now = await standingOf(pharmacy.id);
      setStanding(now);
      const wanted = new URLSearchParams(location.search).get("do");
      history.replaceState(null, "", location.pathname);
      if (wanted === "make" && now.act === null) await begin();
      else if (wanted === "try" && now.sheets !== null) setStep({ kind: "try" });
      else if (wanted === "use" && now.act?.state === "confirmed" && now.act.asked_by === ready.account.id) setStep({ kind: "use", act: now.act });
    });
  }, []);
  const shown = step.kind === "print" || step.kind === "check";
  useEffect(() => {
    if (!shown) return undefined;
    // The sheets are shown this once, and count only after the check: the browser asks before they are gone.
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [shown]);

  const finish = async (root: Bytes, made: MadeSheets, holders: readonly string[]): Promise<void> => {
    await keepSheets(ready, made, holders);
    const left: string[] = [];
    for (const team of (await teamsOf(made.pharmacy)).filter((one) => one.gen > 0)) {
      const mine = team.seats.some((seat) => seat.account === ready.account.id && seat.state === "member");
      const added = mine && await addRecovery(ready, root, team, { made: made.newest.hash }).then(() => true, () => false);
      if (!added) left.push(t(`keys.team.kind.${team.kind}`));
    }
    setStep({ kind: "done", what: "made", left });
  };

  if (pharmacy === undefined) return <div class="narrow stack-wide"><h1>{t("sheets.title")}</h1><p>{t("keys.team.not-staff-body")}</p></div>;
  return (
    <div class="narrow stack-wide" data-step={step.kind}>
      {problem === undefined ? null : <Banner tone="warn" announce title={t("common.error.title")}><p>{problem}</p></Banner>}
      {asking === undefined ? null
        : <RootDialog ready={ready} asking={asking} onDone={() => setAsking(undefined)} onClose={() => setAsking(undefined)} />}
      {standing === undefined ? (problem === undefined ? <Loading words={t("keys.team.loading")} /> : null)
        : step.kind === "holders" ? (
          <Holders again={standing.sheets !== null} busy={busy}
            onMake={(holders, old) => void attempt(async () => {
              const made = await makeSheets(ready, pharmacy.id, standing.id, old);
              setStep({ kind: "print", root: step.root, made, holders });
            })} />
        ) : step.kind === "print" ? (
          <>
            <div class="stack no-print">
              <h1>{t("sheets.print.title")}</h1>
              <p class="lead">{t("sheets.print.body")}</p>
              <div class="button-row">
                <Button icon="print" onClick={() => void attempt(async () => { await notePrint(pharmacy.id); print(); })}>{t("common.print")}</Button>
                <Button look="quiet" onClick={() => setStep({ ...step, kind: "check" })}>{t("sheets.print.next")}</Button>
              </div>
            </div>
            {step.made.codes.map((lines, index) => (
              <OrgSheet key={index} pharmacy={pharmacy.name} number={index + 1} holder={step.holders[index] ?? ""} lines={lines}
                safety={step.made.safety} madeOn={dayOf(Date.now())} signInAt={location.origin} />
            ))}
          </>
        ) : step.kind === "check" ? (
          <TwoSheets title={t("sheets.check.title")} body={t("sheets.check.body")} label={t("sheets.check.do")}
            onBack={() => setStep({ ...step, kind: "print" })}
            onTyped={async (typed) => {
              await checkSheets(step.made, typed);
              await finish(step.root, step.made, step.holders);
            }} />
        ) : step.kind === "try" ? (
          <TwoSheets title={t("sheets.try")} body={t("sheets.try.body")} label={t("sheets.check.do")}
            onTyped={async (typed) => {
              await trySheets(ready, pharmacy.id, standing.id, typed);
              setStep({ kind: "done", what: "tried", left: [] });
            }} />
        ) : step.kind === "use" ? (
          <Using ready={ready} act={step.act}
            onTyped={async (typed, compared) => {
              await useSheets(ready, pharmacy.id, standing.id, step.act, typed, compared);
              if (step.act.account === ready.account.id) await refreshTeams(ready);
              setStep({ kind: "done", what: "used", left: [] });
            }} />
        ) : step.kind === "done" ? (
          <div class="stack">
            <h1>{t("sheets.title")}</h1>
            <Banner tone="ok" announce title={t(`sheets.finished.${step.what}`)}><p>{t(`sheets.finished.${step.what}-body`)}</p></Banner>
            {step.left.length === 0 ? null : (
              <Banner tone="warn" title={t("sheets.left", { teams: step.left.join(", ") })}><p>{t("sheets.cover-how")}</p></Banner>
            )}
            <div class="button-row">
              <LinkButton href={step.what === "used" ? "/inbox" : "/recovery-sheets"}>{t("common.continue")}</LinkButton>
              {step.what === "used" ? <LinkButton look="quiet" href="/sheets">{t("sheets.anew")}</LinkButton> : null}
            </div>
          </div>
        ) : (
          <div class="stack">
            <h1>{t("sheets.title")}</h1>
            <p class="lead">{t("sheets.lead")}</p>
            <p>{t("sheets.make.body")}</p>
            {standing.sheets === null ? null : <p>{t("sheets.make.again", { time: moment(Date.parse(standing.sheets.made_at)) })}</p>}
            {standing.act === null ? null : <Banner tone="warn"><p>{t("errors.recovery-act-first")}</p></Banner>}
            {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
            <div class="button-row">
              {standing.act !== null ? null
                : <Button icon="print" onClick={() => void begin()}>{t("sheets.make.begin")}</Button>}
              <LinkButton look="quiet" href="/recovery-sheets">{t("common.cancel")}</LinkButton>
            </div>
          </div>
        )}
    </div>
  );
}

/** Who holds which sheet; and two of the old ones, where they are at hand. */
function Holders({ again, busy, onMake }: {
  readonly again: boolean; readonly busy: boolean; readonly onMake: (holders: readonly string[], old: Two | undefined) => void;
}) {
  const [names, setNames] = useState<readonly string[]>(["", "", ""]);
  const [old, setOld] = useState<Two>(["", ""]);
  const [problems, setProblems] = useState<readonly { readonly field: string; readonly text: string }[]>([]);
  const submit = (event: Event): void => {
    event.preventDefault();
    const missing = names.flatMap((name, index) =>
      name.trim() === "" ? [{ field: `holder-${index + 1}`, text: t("sheets.holder.missing", { number: index + 1 }) }] : [],
    );
    setProblems(missing);
    if (missing.length === 0 && !busy) onMake(names.map((name) => name.trim()), old.some((one) => one.trim() !== "") ? old : undefined);
  };
  return (
    <form class="stack" onSubmit={submit} noValidate>
      <h1>{t("sheets.holders.title")}</h1>
      <p class="lead">{t("sheets.holders.body")}</p>
      <ErrorSummary problems={problems} />
      {names.map((name, index) => (
        <TextField key={index} id={`holder-${index + 1}`} label={t("sheets.holder", { number: index + 1 })} value={name} autoComplete="off"
          onInput={(value) => setNames(names.map((one, at) => (at === index ? value : one)))}
          error={problems.find((one) => one.field === `holder-${index + 1}`)?.text} />
      ))}
      {!again ? null : (
        <details>
          <summary>{t("sheets.old")}</summary>
          <p>{t("sheets.old.body")}</p>
          <SheetField id="old-1" label={t("sheets.old.label", { number: 1 })} value={old[0]} onInput={(value) => setOld([value, old[1]])} />
          <SheetField id="old-2" label={t("sheets.old.label", { number: 2 })} value={old[1]} onInput={(value) => setOld([old[0], value])} />
        </details>
      )}
      {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
      <div class="button-row">
        <Button type="submit" busy={busy}>{t("sheets.make.now")}</Button>
        <LinkButton look="quiet" href="/recovery-sheets">{t("common.cancel")}</LinkButton>
      </div>
    </form>
  );
}

/** Four lines of a sheet; says which line is mistyped as soon as it is whole. */
function SheetField({ id, label, value, onInput }: {
  readonly id: string; readonly label: string; readonly value: string; readonly onInput: (value: string) => void;
}) {
  const wrong = mistypedLines(value);
  return (
    <PrivateArea id={id} label={label} hint={t("sheets.typed-hint")} value={value} onInput={onInput}
      error={wrong.length === 0 ? undefined : t("sheets.wrong.line", { lines: wrong.join(", ") })} />
  );
}

/** Two sheets are typed in, whichever. */
function TwoSheets({ title, body, label, onTyped, onBack }: {
  readonly title: string; readonly body: string; readonly label: string; readonly onTyped: (typed: Two) => Promise<void>; readonly onBack?: () => void;
}) {
  const [typed, setTyped] = useState<Two>(["", ""]);
  const { busy, problem, stale, run } = useAttempt(sheetWords);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    await run(() => onTyped(typed));
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)} noValidate>
      <h1>{title}</h1>
      <p class="lead">{body}</p>
      <ErrorSummary problems={problem === undefined ? [] : [{ field: "sheet-1", text: problem }]} />
      {stale ? <SignInAgain /> : null}
      <SheetField id="sheet-1" label={t("sheets.typed", { number: 1 })} value={typed[0]} onInput={(value) => setTyped(([, other]) => [value, other])} />
      <SheetField id="sheet-2" label={t("sheets.typed", { number: 2 })} value={typed[1]} onInput={(value) => setTyped(([other]) => [other, value])} />
      {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
      <div class="button-row">
        <Button type="submit" busy={busy}>{label}</Button>
        {onBack === undefined ? <LinkButton look="quiet" href="/recovery-sheets">{t("common.cancel")}</LinkButton>
          : <Button look="quiet" onClick={onBack}>{t("sheets.check.back")}</Button>}
      </div>
    </form>
  );
}

/** The second person has said yes: who is let in, the number of their keys, and the two sheets. */
function Using({ ready, act, onTyped }: {
  readonly ready: Ready; readonly act: RecoveryAct; readonly onTyped: (typed: Two, compared: Bytes) => Promise<void>;
}) {
  const own = act.account === ready.account.id;
  const [known, setKnown] = useState(own);
  useEffect(() => {
    if (!own) void ready.directory.load([act.account], { fresh: true }).then(() => setKnown(true), () => setKnown(true));
  }, []);
  const compared = own ? ready.chain.introduced.hash : ready.directory.known.chain(act.account)?.introduced.hash;
  const safety = own || !known ? undefined : ready.directory.safety(act.account)?.groups;
  const teams = act.teams.map((team) => t(`keys.team.kind.${team.slice(team.lastIndexOf("_") + 1)}`)).join(", ");
  if (!known) return <Loading words={t("keys.team.loading")} />;
  if (compared === undefined) {
    return <Banner tone="warn" announce title={t("sheets.wrong.keys")}><p><a href="/recovery-sheets">{t("sheets.title")}</a></p></Banner>;
  }
  return (
    <div class="stack">
      {safety === undefined ? null : (
        <Banner tone="warn" title={t("sheets.compare", { name: act.name })}><p>{t("sheets.compare-body")}</p><SafetyGroups groups={safety} /></Banner>
      )}
      <TwoSheets title={t("sheets.use.title", { name: act.name, teams })} body={t("sheets.use.body", { time: moment(Date.parse(act.until)) })}
        label={t("sheets.use.do")} onTyped={(typed) => onTyped(typed, compared)} />
    </div>
  );
}

await startKeyPage({ path: "/team", title: "sheets.title", view: (page) => <Sheets page={page} /> });
