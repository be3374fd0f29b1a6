// "Compare the pharmacy's keys": with the picture on a poster or receipt, which a phone's camera opens, or number by number. This
// browser verifies the keys itself; what stands in the picture reaches no server.

import { useEffect, useState } from "preact/hooks";

import { teamNumber } from "../crypto/safety.ts";
import type { TeamChain } from "../crypto/teams.ts";
import { type Picture, forgetPicture, judge, keptPicture, readPicture } from "../keys/comparing.ts";
import { type Compared, type Way, isWay } from "../keys/directory.ts";
import type { Ready } from "../keys/unlock.ts";
import { Loading, type Page, type PharmacyItem, startKeyPage, troubleWords } from "../frame/page.tsx";
import { Banner, Button, LinkButton, Tag } from "../views/components/basics.tsx";
import { SafetyGroups } from "../views/components/safety.tsx";
import { moment, phoneUri } from "../views/format.ts";
import { t } from "../views/i18n.ts";

// What the picture says must be out of the address, and kept over a sign-in, before anything else happens.
readPicture();
// A picture read while this very page is open loads nothing by itself.
addEventListener("hashchange", () => location.reload());

/** The teams that patients write to. */
const KINDS = ["pharmacists", "desk", "privacy"] as const;

const BY_NUMBER = "by-number";

interface Team {
  readonly id: string;
  readonly name: string;
  readonly pharmacy: PharmacyItem;
  /** Undefined where the keys that the server shows do not verify. */
  readonly chain: TeamChain | undefined;
}

/** Another chain than on the picture, or one that ends before what was printed. */
type Differing = "other" | "behind";

type Outcome =
  | { readonly kind: "same"; readonly team: Team }
  /** The same, and not kept yet: anybody can send a link, so the person says first where the picture was. */
  | { readonly kind: "fits"; readonly team: Team; /** How often the key was renewed since it was printed. */ readonly newer: number }
  /** Not the same, and not kept yet either: a link that somebody made must hold nobody's messages. */
  | { readonly kind: "differs"; readonly team: Team; readonly verdict: Differing }
  /** What was sent in a link and was read nowhere in the pharmacy, as the person said. */
  | { readonly kind: "aside" }
  /** Another chain, one that ends before what was printed, or none that verifies: nothing is sent. */
  | { readonly kind: Differing | "broken"; readonly team: Team }
  /** Printed before what this browser has seen, where the server shows other keys by now: it settles nothing. */
  | { readonly kind: "old"; readonly team: Team }
  /** Of a pharmacy where this person is not in care, or no picture of this portal's. */
  | { readonly kind: "elsewhere" | "unreadable" };

function Compare({ page }: { readonly page: Page<Ready> }) {
  const [teams, setTeams] = useState<readonly Team[] | undefined>(undefined);
  const [outcome, setOutcome] = useState<Outcome | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const { person: ready } = page;
  const { directory } = ready;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    setProblem(undefined);
    try {
      await work();
    } catch (error) {
      setProblem(troubleWords(error));
    }
  };
  const look = async (): Promise<void> => {
    const found = await teamsNear(page);
    const picture = keptPicture();
    if (picture !== undefined) {
      const came = picture === "unreadable" ? { kind: picture } as const : outcomeOf(ready, picture, found);
      forgetPicture();
      setOutcome(came);
    }
    setTeams(await teamsNear(page));
  };
  useEffect(() => { void attempt(look); }, []);
  const say = (team: Team, same: boolean, how: Way, then?: Outcome): Promise<void> => attempt(async () => {
    if (team.chain === undefined) return;
    await directory.keepCompared(team.chain, same, how);
    setOutcome(then);
    setTeams(await teamsNear(page));
  });
  return (
    <div class="narrow stack-wide">
      <div class="stack">
        <h1>{t("compare.title")}</h1>
        <p class="lead">{t("compare.lead")}</p>
      </div>
      {problem === undefined ? null : (
        <Banner tone="warn" announce title={t("common.error.title")}>
          <p>{problem}</p>
          <div class="button-row"><Button look="quiet" onClick={() => void attempt(look)}>{t("common.try-again")}</Button></div>
        </Banner>
      )}
      {outcome === undefined ? null : (
        <Result outcome={outcome} pharmacy={page.pharmacy} onAside={() => setOutcome({ kind: "aside" })}
          onSay={(team, then) => say(team, then.kind === "same", "picture", then)} />
      )}
      {teams === undefined ? (problem === undefined ? <Loading words={t("compare.looking")} /> : null) : (
        <section class="stack" aria-labelledby={BY_NUMBER}>
          <h2 id={BY_NUMBER} tabIndex={-1}>{t("compare.numbers")}</h2>
          {teams.length === 0 ? <p>{t("compare.none")}</p> : <p>{t("compare.numbers-body")}</p>}
          {teams.map((team) => (
            <TeamNumber key={team.id} ready={ready} team={team} onSay={(same, how) => say(team, same, how)} />
          ))}
        </section>
      )}
      <div class="button-row">
        <LinkButton look="quiet" href="/messages">{t("common.nav.messages")}</LinkButton>
        <LinkButton look="quiet" href="/devices">{t("keys.devices.title")}</LinkButton>
      </div>
    </div>
  );
}

/** The teams of the pharmacies that have this person in care, with the keys that the server shows for them now. */
async function teamsNear(page: Page<Ready>): Promise<readonly Team[]> {
  const { directory, session, account } = page.person;
  const mine = new Set(session.patients.map((one) => one.patient));
  const near = page.pharmacies.filter((one) => one.id === account.pharmacy || one.in_care.some((patient) => mine.has(patient)));
  const wanted = near.flatMap((pharmacy) => KINDS.flatMap((kind) => {
    const id = pharmacy.teams[kind];
    return id == null ? [] : [{ id, pharmacy, name: t(`threads.team.${kind}`, { pharmacy: pharmacy.name }) }];
  }));
  await directory.load(wanted.map((one) => one.id), { fresh: true });
  return Promise.all(wanted.map(async (one) => ({ ...one, chain: await directory.shownChain(one.id) })));
}

/** What a picture and the keys of its team are to each other. Nothing of it is kept before the person has said where it was read. */
function outcomeOf({ directory }: Ready, picture: Picture, teams: readonly Team[]): Outcome {
  const team = teams.find((one) => one.id === picture.team);
  if (team === undefined) return { kind: "elsewhere" };
  if (team.chain === undefined) return { kind: "broken", team };
  const verdict = judge(picture, team.chain);
  const seen = directory.faults.has(team.id) ? directory.currentPins().get(team.id)?.n ?? 0 : 0;
  if (verdict.kind === "same" && picture.pin.n < seen) return { kind: "old", team };
  if (verdict.kind === "same") return { kind: "fits", team, newer: verdict.newer };
  return { kind: "differs", team, verdict: verdict.kind };
}

function Result({ outcome, pharmacy, onSay, onAside }: {
  readonly outcome: Outcome; readonly pharmacy: PharmacyItem | null;
  /** The person has said that the picture is the pharmacy's: what is kept and shown by it. */
  readonly onSay: (team: Team, then: Outcome) => Promise<void>; readonly onAside: () => void;
}) {
  if (outcome.kind === "same") {
    return (
      <section data-outcome="same">
        <Banner tone="ok" announce title={t("compare.same")}>
          <p>{t("compare.same-body", { name: outcome.team.name })}</p>
        </Banner>
      </section>
    );
  }
  if (outcome.kind === "fits") {
    const { team } = outcome;
    return (
      <section data-outcome="fits">
        <Banner announce title={t("compare.fits")}>
          <p>{t("compare.fits-body", { name: team.name })}</p>
          {outcome.newer === 0 ? null : <p>{t("compare.newer", { count: outcome.newer })}</p>}
          <div class="button-row">
            <Button onClick={() => void onSay(team, { kind: "same", team })}>{t("compare.fits.yes")}</Button>
            <LinkButton look="quiet" icon="phone" href={phoneUri(team.pharmacy.phone)}>{t("common.call", { phone: team.pharmacy.phone })}</LinkButton>
          </div>
        </Banner>
      </section>
    );
  }
  if (outcome.kind === "differs") {
    const { team, verdict } = outcome;
    return (
      <section data-outcome="differs">
        <Banner tone="warn" announce title={t("compare.differs")}>
          <p>{t(`compare.${verdict}-body`, { name: team.name })}</p>
          <p>{t("compare.differs-body")}</p>
          <div class="button-row">
            <Button onClick={() => void onSay(team, { kind: verdict, team })}>{t("compare.differs.yes")}</Button>
            <Button look="quiet" onClick={onAside}>{t("compare.differs.no")}</Button>
            <LinkButton look="quiet" icon="phone" href={phoneUri(team.pharmacy.phone)}>{t("common.call", { phone: team.pharmacy.phone })}</LinkButton>
          </div>
        </Banner>
      </section>
    );
  }
  const about = "team" in outcome ? outcome.team : undefined;
  const phone = (about?.pharmacy ?? pharmacy)?.phone;
  const held = outcome.kind === "other" || outcome.kind === "behind" || outcome.kind === "broken";
  return (
    <section data-outcome={outcome.kind}>
      <Banner tone={held ? "urgent" : "warn"} announce title={t(held ? "compare.other" : `compare.${outcome.kind}`)}>
        <p>{t(`compare.${outcome.kind}-body`, { name: about?.name ?? "" })}</p>
        {held ? <p>{t("compare.held")}</p> : null}
        <div class="button-row">
          {outcome.kind === "other" || outcome.kind === "behind" ? (
            <Button look="quiet" onClick={() => document.getElementById(BY_NUMBER)?.focus()}>{t("compare.again")}</Button>
          ) : null}
          {phone === undefined ? <LinkButton look="quiet" href="/contact">{t("common.nav.contact")}</LinkButton> : (
            <LinkButton look="quiet" icon="phone" href={phoneUri(phone)}>{t("common.call", { phone })}</LinkButton>
          )}
          <LinkButton look="quiet" icon="stop" href="/something-wrong">{t("wrong.link")}</LinkButton>
        </div>
      </Banner>
    </section>
  );
}

function keptWords({ same, how }: Compared): string {
  if (!same) return "compare.kept.other";
  return isWay(how) ? `compare.kept.${how}` : "compare.kept.same";
}

/** A team's number, what was found before, and the person's word on it. */
function TeamNumber({ ready: { directory }, team, onSay }: {
  readonly ready: Ready; readonly team: Team; readonly onSay: (same: boolean, how: Way) => Promise<void>;
}) {
  const [busy, setBusy] = useState(false);
  const compared = directory.compared(team.id);
  const say = (same: boolean, how: Way): void => {
    setBusy(true);
    void onSay(same, how).finally(() => setBusy(false));
  };
  // Where the server shows another chain than before, the number that never changes tells nothing of it.
  const settles = !directory.faults.has(team.id);
  return (
    <article class="card stack" aria-labelledby={team.id} data-team={team.id}
      data-compared={compared === undefined ? "never" : compared.same ? "same" : "other"}>
      <div class="row row-apart">
        <h3 id={team.id} class="begins">{team.name}</h3>
        {directory.notVerified(team.id) ? <Tag tone="warn" icon="stop">{t("compare.state.held")}</Tag>
          : compared === undefined ? <Tag>{t("compare.state.never")}</Tag> : <Tag tone="ok" icon="check">{t("compare.state.same")}</Tag>}
      </div>
      {compared === undefined ? null : (
        <p class="soft">{t(keptWords(compared), { time: moment(compared.at) })}</p>
      )}
      {team.chain === undefined ? <p>{t("compare.broken-body", { name: team.name })}</p> : (
        <>
          <SafetyGroups groups={teamNumber(team.chain).groups} />
          {!settles ? <p>{t("compare.picture-only")}</p> : (
            <div class="button-row">
              <Button look="quiet" busy={busy} onClick={() => say(true, "paper")} label={t("compare.do.paper-label", { name: team.name })}>
                {t("compare.do.paper")}
              </Button>
              <Button look="quiet" busy={busy} onClick={() => say(true, "phone")} label={t("compare.do.phone-label", { name: team.name })}>
                {t("compare.do.phone")}
              </Button>
              <Button look="quiet" busy={busy} onClick={() => say(false, "paper")} label={t("compare.do.other-label", { name: team.name })}>
                {t("compare.do.other")}
              </Button>
            </div>
          )}
        </>
      )}
    </article>
  );
}

await startKeyPage({ path: "/account", title: "compare.title", view: (page) => <Compare page={page} /> });
