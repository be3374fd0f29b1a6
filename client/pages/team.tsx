// The teams of a pharmacy: who holds their keys, who waits to be let in, and the signed records that change it.

import { useEffect, useState } from "preact/hooks";

import type { Bytes } from "../crypto/encoding.ts";
import { type TeamChain, recoveryOf } from "../crypto/teams.ts";
import { identityHeader, safetyNumber, teamNumber } from "../crypto/safety.ts";
import { pictureAddress } from "../keys/comparing.ts";
import { SeatRefused } from "../keys/seats.ts";
import { type Standing, standingOf } from "../keys/sheets.ts";
import type { SeatItem, TeamItem } from "../keys/shapes.ts";
import {
  addRecovery, admit, approveAhead, ask, decline, expel, found, heldGenerations, leave, refreshTeams, renew, teamsOf,
} from "../keys/teams.ts";
import { type Ready, leaveFor } from "../keys/unlock.ts";
import { get } from "../live/api.ts";
import { Loading, type Page, type PharmacyItem, Said, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, EmptyState, LinkButton, Spinner, Tag } from "../views/components/basics.tsx";
import { printSheet } from "../views/components/paper.tsx";
import { Poster } from "../views/components/poster.tsx";
import { QrCode } from "../views/components/qr.tsx";
import { SafetyGroups } from "../views/components/safety.tsx";
import { type ClosedQueue, closedWords } from "../views/closed.ts";
import { moment } from "../views/format.ts";
import { type Translated, t, translations } from "../views/i18n.ts";
import { type Handed, HandOver, WhichTeams, letInAhead, reachOf } from "./parts/ahead.tsx";
import { type Asking, type RootAct, RootDialog, prepare } from "./parts/root.tsx";
import { rolesOf, seatWords, teamName } from "./parts/seats.ts";

const LOOK_AGAIN_MS = 5_000;

type Act = "found" | "admit" | "expel" | "renew" | "ahead" | "code" | "sheets";

function Teams({ page }: { readonly page: Page<Ready> }) {
  const ready = page.person;
  const { account } = ready;
  const pharmacy = account.pharmacy;
  const [teams, setTeams] = useState<readonly TeamItem[] | undefined>(undefined);
  const [sheets, setSheets] = useState<Standing | undefined>(undefined);
  const [asking, setAsking] = useState<Asking | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [said, setSaid] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const [closed, setClosed] = useState<readonly ClosedQueue[]>([]);
  const [handed, setHanded] = useState<Handed | undefined>(undefined);

  const reload = async (): Promise<readonly TeamItem[]> => {
    if (pharmacy === null) return [];
    const [now, standing] = await Promise.all([teamsOf(pharmacy), standingOf(pharmacy)]);
    setSheets(standing);
    const behind = now.some((team) => {
      const mine = team.seats.find((seat) => seat.account === account.id);
      return mine?.state === "member" && ready.keyring.newest(team.team) !== team.gen;
    });
    if (behind) await refreshTeams(ready);
    setTeams(now);
    return now;
  };
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    setProblem(undefined);
    setBusy(true);
    try {
      await work();
    } catch (error) {
      setProblem(seatWords(error, teams ?? []));
    } finally {
      setBusy(false);
    }
  };
  const begin = (act: Act, team: TeamItem, seat?: SeatItem): Promise<void> => attempt(async () => {
    setSaid(undefined);
    if (ready.own.recovery.length === 0) {
      // A team's key that one lost device could lose needs a way back first.
      await leaveFor("/recovery", { next: "/team" });
    }
    if (seat?.has_keys === true) await ready.directory.load([seat.account], { fresh: true });
    if (act === "sheets") await ready.directory.load([recoveryOf(team.team)], { fresh: true });
    const about = act === "admit" ? seat!.account : act === "sheets" ? recoveryOf(team.team) : undefined;
    // The keys whose number is drawn: what is loaded before the press is held against these.
    const compared = about === undefined ? undefined : ready.directory.known.chain(about)?.introduced.hash;
    const safety = about === undefined ? undefined : ready.directory.safety(about)?.groups;
    const teamsNow = (): Promise<readonly TeamItem[]> => teamsOf(pharmacy ?? "");
    const reach = act === "code" ? reachOf(await teamsNow(), account.id, seat!) : { open: [], closed: [] };
    let chosen = reach.open.map((one) => one.team);
    const more = act !== "code" ? {}
      : { more: <WhichTeams name={seat!.name} reach={reach} onChosen={(now) => { chosen = [...now]; }} /> };
    const run = async (root: Bytes): Promise<void> => {
      const newest = (await reload()).find((one) => one.team === team.team) ?? team;
      try {
        if (act === "found") await found(ready, root, newest);
        else if (act === "admit") await admit(ready, root, newest, seat!.account, { compared });
        else if (act === "expel") await expel(ready, root, newest, seat!.account);
        else if (act === "code") {
          setHanded(await letInAhead(ready, root, reach.open.filter((one) => chosen.includes(one.team)), seat!, teamsNow));
          await reload();
          return;
        }
        else if (act === "sheets") await addRecovery(ready, root, newest, { compared });
        else await renew(ready, root, newest);
      } catch (error) {
        if (error instanceof SeatRefused) throw new Said(seatWords(error, teams ?? []));
        throw error;
      }
      await reload();
      setSaid(act === "sheets" ? t("sheets.added", { team: teamName(team) }) : t(`keys.team.done.${act}`, { name: seat?.name ?? "", team: teamName(team) }));
    };
    if (act === "ahead") {
      await prepare(ready, { ...plan(act, team, seat), run });
      await approveAhead(team.team, seat!.account);
      await reload();
      return setSaid(t("keys.team.done.ahead", { name: seat!.name, team: teamName(team) }));
    }
    setAsking(await prepare(ready, { ...plan(act, team, seat), ...more, run, ...(safety === undefined ? {} : { safety }) }));
  });
  useEffect(() => {
    void attempt(async () => {
      const now = await reload();
      const query = new URLSearchParams(location.search);
      // Begun once: a reload, or the address given to somebody, begins nothing.
      history.replaceState(null, "", location.pathname);
      const team = now.find((one) => one.team === query.get("team"));
      const act = (["found", "admit", "expel", "renew", "ahead", "code", "sheets"] as const).find((one) => one === query.get("do"));
      const seat = team === undefined ? undefined : [...team.seats, ...expectedSeats(team)].find((one) => one.account === query.get("who"));
      const ofNobody = act === "found" || act === "renew" || act === "sheets";
      if (team !== undefined && act !== undefined && (seat !== undefined || ofNobody)) await begin(act, team, seat);
      // Last: what a fresh sign-in came back for does not wait for it.
      setClosed((await get<{ items: readonly ClosedQueue[] }>("/api/threads/closed")).items);
    });
    // Somebody asks, or lets this person in: shown without loading the page again, and at once when the page is looked at again.
    const look = (): void => {
      if (document.visibilityState === "visible") reload().catch((error: unknown) => setProblem(troubleWords(error)));
    };
    const timer = setInterval(look, LOOK_AGAIN_MS);
    document.addEventListener("visibilitychange", look);
    const stop = (): void => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
    page.live.onWipe(stop);
    return stop;
  }, []);

  if (pharmacy === null) {
    const ways = (
      <div class="button-row">
        <LinkButton href="/">{t("common.nav.home")}</LinkButton>
        <LinkButton look="quiet" href="/contact">
          {t("common.nav.contact")}
        </LinkButton>
      </div>
    );
    return (
      <div class="narrow stack">
        <h1>{t("keys.team.title")}</h1>
        <EmptyState icon="people" title={t("keys.team.not-staff")} action={ways}>{t("keys.team.not-staff-body")}</EmptyState>
      </div>
    );
  }
  if (handed !== undefined) return <HandOver handed={handed} onDone={() => setHanded(undefined)} />;
  return (
    <div class="narrow stack-wide">
      <div class="stack">
        <h1>{t("keys.team.title")}</h1>
        <p class="lead">{t("keys.team.body")}</p>
        <p class="row">
          <a href="/staff">{t("staff.title")}</a>
          {["pharmacist", "supervisor"].includes(account.role) ? <a href={`/pharmacies/${pharmacy}`}>{t("setup.checklist")}</a> : null}
        </p>
      </div>
      {ready.own.recovery.length > 0 ? null : (
        <Banner tone="warn" title={t("keys.team.recovery-first")}>
          <p>{t("keys.team.recovery-first-body")}</p>
          <LinkButton icon="key" href="/recovery?next=/team">{t("keys.team.recovery-first.do")}</LinkButton>
        </Banner>
      )}
      {problem === undefined ? null : <Banner tone="warn" announce title={t("common.error.title")}><p>{problem}</p></Banner>}
      {sheets?.act === null || sheets === undefined ? null : (
        <Banner tone="warn" title={t("sheets.act-now", { name: sheets.act.asked_name })}><p><a href="/recovery-sheets">{t("sheets.look")}</a></p></Banner>
      )}
      {said === undefined ? null : <Banner tone="ok" announce><p>{said}</p></Banner>}
      {busy ? <Spinner>{t("keys.secret.working")}</Spinner> : null}
      {asking === undefined ? null
        : <RootDialog ready={ready} asking={asking} onDone={() => setAsking(undefined)} onClose={() => setAsking(undefined)} />}
      {teams === undefined ? <Loading words={t("keys.team.loading")} />
        : teams.map((team) => (
          <TeamCard key={team.team} ready={ready} team={team} sheets={sheets} pharmacy={page.pharmacy}
            waits={closed.find((one) => one.team === team.team)} onAct={(act, seat) => void begin(act, team, seat)}
            onAsk={() => void attempt(async () => { await ask(team.team); await reload(); })}
            onLeave={() => void attempt(async () => { await leave(team.team); await reload(); })}
            onDecline={(seat) => void attempt(async () => { await decline(team.team, seat.account); await reload(); })} />
        ))}
      <p><a href="/recovery-sheets">{t("sheets.title")}</a> <span class="soft">{t("sheets.in-team-body")}</span></p>
    </div>
  );
}

/** Who could be let in ahead, as if they had asked. */
function expectedSeats(team: TeamItem): readonly SeatItem[] {
  return team.expected.map((one) => ({ ...one, state: "waiting", since: "", has_keys: false, flagged: false, ahead: null }));
}

function plan(act: Act, team: TeamItem, seat: SeatItem | undefined): Omit<RootAct, "run"> {
  if (act === "sheets") {
    return { title: t("sheets.add"), body: t("sheets.add.body"), confirm: t("sheets.add"), query: { do: act, team: team.team } };
  }
  const values = { name: seat?.name ?? "", team: teamName(team) };
  return {
    title: t(`keys.team.${act}.title`, values), body: t(`keys.team.${act}.body`, values), confirm: t(`keys.team.${act}.do`),
    danger: act === "expel", query: { do: act, team: team.team, ...(seat === undefined ? {} : { who: seat.account }) },
  };
}

function waitingWords(seat: SeatItem): string {
  if (seat.has_keys) return "keys.team.asked";
  return seat.state === "approved" ? "keys.team.approved-no-keys" : "keys.team.asked-no-keys";
}

function TeamCard({ ready, team, sheets, pharmacy, waits, onAct, onAsk, onLeave, onDecline }: {
  readonly ready: Ready; readonly team: TeamItem; readonly sheets: Standing | undefined; readonly pharmacy: PharmacyItem | null;
  /** What waits there, for who does not sit in it. */
  readonly waits: ClosedQueue | undefined;
  readonly onAct: (act: Act, seat?: SeatItem) => void;
  readonly onAsk: () => void; readonly onLeave: () => void; readonly onDecline: (seat: SeatItem) => void;
}) {
  const mine = team.seats.find((seat) => seat.account === ready.account.id);
  const member = mine?.state === "member";
  const fits = rolesOf(team.kind).includes(ready.account.role);
  const flagged = team.seats.filter((seat) => seat.flagged);
  const seated = team.seats.filter((seat) => seat.state === "member" || seat.state === "leaving");
  const waiting = team.seats.filter((seat) => seat.state === "waiting" || seat.state === "approved");
  const { held, all } = heldGenerations(ready, team.team);
  // The last member began anew: nobody is left to seal the team's keys to the new ones.
  const closed = member && team.sole_member && all > 0 && held === 0;
  const [newest, recovery] = [ready.directory.known.team(team.team)?.newest, recoveryOf(team.team)];
  const poster = member && !ready.directory.sendingHeld(team.team) ? ready.directory.known.team(team.team) : undefined;
  return (
    <section class="card" aria-labelledby={team.team} data-team={team.team} data-gen={team.gen}>
      <div class="row row-apart">
        <h2 id={team.team}>{teamName(team)}</h2>
        {member ? (
          <Tag tone="ok" icon="key">
            {t("keys.team.state.member")}
          </Tag>
        ) : mine === undefined ? null : (
          <Tag tone="warn">{t(`keys.team.state.${mine.state}`)}</Tag>
        )}
      </div>
      <p class="soft">{t(`keys.team.kind.${team.kind}-body`)}</p>
      {team.gen === 0 ? (
        <>
          <p>{t("keys.team.not-founded")}</p>
          {!fits ? (
            <p>{t("setup.by-role", { role: t(`common.role.${rolesOf(team.kind)[0] ?? ""}`) })} <a href="/staff">{t("staff.title")}</a></p>
          ) : ready.own.recovery.length > 0 ? (
            <Button onClick={() => onAct("found")}>{t("keys.team.found.do")}</Button>
          ) : (
            <p>
              <LinkButton look="quiet" icon="key" href="/recovery?next=/team">
                {t("keys.team.found.code-first")}
              </LinkButton>
            </p>
          )}
        </>
      ) : null}
      {member || waits === undefined || waits.waiting === 0 ? null : <p><strong>{closedWords(waits)}</strong></p>}
      {member && !closed ? (
        <p class="soft" data-held={`${held}/${all}`}>
          {t(held === all ? "keys.team.held" : "keys.team.held-part", { held, count: all })}
        </p>
      ) : null}
      {closed ? (
        <Banner tone="warn" title={t("keys.team.lost")}>
          <p>{t("keys.team.lost-body")} <a href="/recovery-sheets">{t("sheets.title")}</a></p>
          <p>{t("keys.team.lost-all")}</p>
        </Banner>
      ) : member && team.sole_member ? (
        <Banner tone="warn" title={t("keys.team.sole")}>
          <p>{t(sheets?.teams[team.kind] === true ? "keys.team.sole-sheets" : "keys.team.sole-body")}</p>
          {sheets?.teams[team.kind] === true ? null : <p>{t("sheets.sole")} <a href="/recovery-sheets">{t("sheets.title")}</a></p>}
          <p>
            <a href="/recovery?next=/team">{t("keys.recovery.title")}</a>
          </p>
        </Banner>
      ) : null}
      {member && flagged.length > 0 ? (
        <Banner tone="warn" title={t("keys.team.flagged", { names: flagged.map((seat) => seat.name).join(", ") })}>
          <p>{t("keys.team.flagged-body")}</p>
          <Button onClick={() => onAct("renew")}>{t("keys.team.renew.do")}</Button>
        </Banner>
      ) : null}
      {!member || sheets === undefined || sheets.sheets === null || sheets.teams[team.kind] !== false ? null : (
        <Banner title={t("sheets.not-in-team")}>
          <p>{t("sheets.not-in-team-body")}</p>
          <Button look="quiet" onClick={() => onAct("sheets")}>{t("sheets.add")}</Button>
        </Banner>
      )}
      {newest?.by !== recovery ? null : <p class="soft">{t("sheets.by-sheets")}</p>}
      {seated.length === 0 ? null : (
        <ul class="list" aria-label={t("keys.team.members", { team: teamName(team) })}>
          {seated.map((seat) => (
            <li key={seat.account} class="row row-apart" data-seat={seat.account}>
              <span>
                <strong translate={false}>{seat.name}</strong>{" "}
                <span class="soft">
                  {t(`common.role.${seat.role}`)} · {t("keys.team.since", { time: moment(Date.parse(seat.since)) })}
                </span>
                {seat.ahead === null ? null : (
                  <span class="soft"> · {t("keys.ahead.waits", { name: seat.ahead.name, time: moment(Date.parse(seat.ahead.until)) })}</span>
                )}
              </span>
              {member && seat.account !== ready.account.id ? (
                <Button look="quiet" onClick={() => onAct("expel", seat)} label={t("keys.team.expel.label", { name: seat.name })}>
                  {t("keys.team.expel.do")}
                </Button>
              ) : null}
            </li>
          ))}
          {newest?.members.some((one) => one.role === "service") !== true ? null : (
            <li class="row row-apart" data-seat={recovery}>
              <span><strong>{t("sheets.in-team")}</strong> <span class="soft">{t("sheets.in-team-body")}</span></span>
              <a href="/recovery-sheets">{t("sheets.look")}</a>
            </li>
          )}
        </ul>
      )}
      {waiting.length === 0 ? null : (
        <>
          <h3>{t("keys.team.waiting")}</h3>
          <ul class="list">
            {waiting.map((seat) => (
              <li key={seat.account} class="stack-tight" data-waiting={seat.account}>
                <span>
                  <strong translate={false}>{seat.name}</strong>{" "}
                  <span class="soft">
                    {t(`common.role.${seat.role}`)} ·{" "}
                    {t(waitingWords(seat), { time: moment(Date.parse(seat.since)) })}
                  </span>
                </span>
                {member ? (
                  <div class="button-row">
                    {seat.has_keys ? (
                      <Button onClick={() => onAct("admit", seat)} label={t("keys.team.admit.label", { name: seat.name })}>
                        {t("keys.team.admit.do")}
                      </Button>
                    ) : (
                      <Button onClick={() => onAct("code", seat)} label={t("keys.team.code.label", { name: seat.name })}>
                        {t("keys.team.code.do")}
                      </Button>
                    )}
                    {!seat.has_keys && seat.state === "waiting" ? (
                      <Button look="quiet" onClick={() => onAct("ahead", seat)}>
                        {t("keys.team.ahead.do")}
                      </Button>
                    ) : null}
                    <Button look="quiet" onClick={() => onDecline(seat)}>
                      {t("keys.team.decline")}
                    </Button>
                  </div>
                ) : seat.account === ready.account.id ? (
                  <>
                    <p>{t("keys.team.you-wait")}</p>
                    <p>{t("sheets.nobody-left")} <a href="/recovery-sheets">{t("sheets.title")}</a></p>
                    <p>{t("keys.team.your-number")}</p>
                    <SafetyGroups groups={safetyNumber([identityHeader(ready.chain)]).groups} />
                    <div class="button-row">
                      <Button look="quiet" onClick={() => onDecline(seat)}>
                        {t("keys.team.take-back")}
                      </Button>
                      <LinkButton look="quiet" href="/contact">
                        {t("common.nav.contact")}
                      </LinkButton>
                    </div>
                  </>
                ) : null}
              </li>
            ))}
          </ul>
        </>
      )}
      {!member || team.expected.length === 0 ? null : (
        <details>
          <summary>{t("keys.team.expected", { count: team.expected.length })}</summary>
          <p>{t("keys.team.expected-body")}</p>
          <ul class="list">
            {expectedSeats(team).map((seat) => (
              <li key={seat.account} class="row row-apart" data-expected={seat.account}>
                <span><strong translate={false}>{seat.name}</strong> <span class="soft">{t(`common.role.${seat.role}`)}</span></span>
                <Button look="quiet" onClick={() => onAct("code", seat)} label={t("keys.team.code.label", { name: seat.name })}>
                  {t("keys.team.code.do")}
                </Button>
              </li>
            ))}
          </ul>
        </details>
      )}
      <div class="button-row">
        {team.gen > 0 && mine === undefined && fits ? <Button onClick={onAsk}>{t("keys.team.ask")}</Button> : null}
        {member && !closed ? (
          <Button look="quiet" onClick={() => onAct("renew")}>
            {t("keys.team.renew.do")}
          </Button>
        ) : null}
        {member && !team.sole_member ? (
          <Button look="quiet" onClick={onLeave}>
            {t("keys.team.leave")}
          </Button>
        ) : null}
      </div>
      {poster === undefined || pharmacy === null ? null : <ToPrint chain={poster} pharmacy={pharmacy} kind={team.kind} />}
    </section>
  );
}

/** The poster of a team, from the keys that this browser has verified, in the languages of the pharmacy. */
function ToPrint({ chain, pharmacy, kind }: { readonly chain: TeamChain; readonly pharmacy: PharmacyItem; readonly kind: string }) {
  const [languages, setLanguages] = useState<readonly Translated[]>([]);
  useEffect(() => { translations(pharmacy.languages).then(setLanguages, () => setLanguages([])); }, []);
  const { groups } = teamNumber(chain);
  const onPaper = (): void => printSheet(
    <Poster pharmacy={pharmacy.name} phone={pharmacy.phone} team={kind} groups={groups} address={pictureAddress(chain, location.origin)}
      languages={languages} />,
  );
  return (
    <details data-poster-of={kind}>
      <summary>{t("keys.team.poster")}</summary>
      <div class="stack">
        <p>{t("keys.team.poster-body")}</p>
        <QrCode text={pictureAddress(chain, location.origin)} label={t("compare.poster.picture")} />
        <SafetyGroups groups={groups} />
        <div class="button-row">
          <Button look="quiet" icon="print" busy={languages.length === 0} onClick={onPaper}>{t("compare.poster.print")}</Button>
        </div>
      </div>
    </details>
  );
}

await startKeyPage({ path: "/team", title: "keys.team.title", view: (page) => <Teams page={page} /> });
