"""What follows when somebody presses "Something is wrong", and how staff end it (portal/accounts/stops.py).

All sessions of the person end; what was offered or asked for in the person's name and nobody has taken up yet is over,
as a thief's hand may have made it: devices let in, invitations, keys made ahead, requests, acts with the recovery
sheets, waiting for new keys. What a person has made is made anew in a minute.

The privacy officers of every pharmacy that has to do with the person are told, on a page and by mail; where a pharmacy
has none, its supervisors, or else its pharmacists, as long as they are not stopped themselves. Who presses it where
there is nobody to be told reads that, and whom to call. Staff who made sure
who it is end the stop at once: a pharmacist, a supervisor or the privacy officer, of a pharmacy that works with the
person, and never the person.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import (
    ahead,
    carer_invitations,
    invitations,
    names,
    notices,
    offers,
    policy,
    relations,
    stops,
)
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind, Role
from portal.accounts.stops import Check, Stop
from portal.accounts.tables import Account
from portal.audit import Action, Entity, Purpose, record
from portal.care import asking
from portal.core import clock
from portal.core.bus import Bus
from portal.core.errors import Forbidden, NotFound
from portal.identity import session_rows, sessions
from portal.identity.session_life import EndedBy
from portal.notify.words import Template, moment
from portal.outbox import Job, enqueue
from portal.pharmacies import care, identity_checks, recovery_acts, staff_invitations, teams

# The job that tells a privacy officer; payload {account: the officer's, at, what}. Whom it is about stands on a page.
OFFICE_JOB = "notice.stopped"
# What a privacy officer is told, and where the rest stands.
PAGES = {
    Template.SOMEBODY_STOPPED: "/stops",
    Template.SOMEBODY_UNBOUND: f"/privacy-office?action={Action.RELATION_UNDONE.value}",
}

# Who is told, by template: the first of these roles that somebody of the pharmacy has. Only a privacy officer may
# search the record (PAGES), so of an undone invitation nobody else is told.
TOLD = {
    Template.SOMEBODY_STOPPED: (Role.PRIVACY, Role.SUPERVISOR, Role.PHARMACIST),
    Template.SOMEBODY_UNBOUND: (Role.PRIVACY,),
}

# What ends with a stop, and does not come back with its end.
TAKEN_BACK = (
    offers.take_back,
    ahead.take_back,
    carer_invitations.take_back,
    invitations.take_back,
    asking.take_back,
    identity_checks.take_back,
    recovery_acts.take_back,
)


@dataclass(frozen=True)
class Waiting:
    """An emergency stop as staff see it: who, since when, and when it ends by itself."""

    stop: Stop
    name: str
    role: str


def press(session: Session, *, actor: Actor, bus: Bus) -> tuple[dict[str, frozenset[str]], bool]:
    """Stop the actor's account: keys stay as they are, all sessions end, the privacy officers hear of it.

    What the account has offered is over for good. Returns the members of the teams that need a new generation by it,
    for `teams.tell` after the commit, and whether there was anybody to be told.
    """
    stops.press(session, actor=actor)
    for take_back in TAKEN_BACK:
        take_back(session, actor=actor)
    left = staff_invitations.revoke_all_of(session, actor.account_id, agent=actor.agent)
    for one in session_rows.own(session, actor.account_id):
        sessions.end(session, bus, one, EndedBy.PERSON, agent=actor.agent)
    heard = tell_officers(session, _pharmacies(session, actor), Template.SOMEBODY_STOPPED, but=actor.account_id)
    session.flush()
    return {team: teams.members(session, team) for team in dict.fromkeys(left)}, heard


def tell_officers(session: Session, pharmacies: set[str], what: Template, *, but: str | None = None) -> bool:
    """Tell the privacy officers of some pharmacies, or who stands in for them, by mail once the caller has committed.

    `but`: the account of who did it, and is not told of it here. Whom it is about stands on the page. Returns whether
    there was anybody.
    """
    at = clock.now().isoformat(timespec="seconds")
    # Who is stopped may end nothing, and whoever pressed it may have somebody else's hand in the mailbox.
    out = {one.account_id for one in stops.all_standing(session)} | {but or ""}
    told = [account for place in sorted(pharmacies) for account in _told(session, place, TOLD[what], out)]
    for account in told:
        enqueue(session, OFFICE_JOB, {"account": account, "at": at, "what": what.value})
    return bool(told)


def waiting(session: Session, *, actor: Actor) -> list[Waiting]:
    """The stops that the actor may end, the newest first. Raises Forbidden for whom none are for."""
    policy.allow_end_stops(actor)
    standing = stops.all_standing(session)
    ids = [one.account_id for one in standing]
    known = names.names_of(session, ids)
    patients = relations.patients_of(session, ids)
    everybody = sorted({patient for acting in patients.values() for patient in acting})
    caring = care.in_care_of(session, pharmacy_id=str(actor.pharmacy_id), patient_ids=everybody)
    return [
        Waiting(one, who.name, who.role)
        for one in standing
        if one.account_id != actor.account_id
        and (who := known.get(one.account_id)) is not None
        and (who.pharmacy_id == actor.pharmacy_id or caring & patients.get(one.account_id, set()))
    ]


def show(session: Session, *, actor: Actor) -> list[Waiting]:
    """As `waiting`, for a page; each one shown is on record, with the patient where the account is a patient's own."""
    shown = waiting(session, actor=actor)
    patients = relations.patients_of(session, [one.stop.account_id for one in shown], kind=Kind.SELF)
    for one in shown:
        record(
            session,
            Action.PATIENT_LOOKED_UP,
            agent=actor.agent,
            patient_id=next(iter(patients.get(one.stop.account_id, ())), None),
            pharmacy_id=actor.pharmacy_id,
            entity=Entity("Account", one.stop.account_id),
            detail={"query": "stops"},
        )
    return shown


def end(session: Session, *, actor: Actor, account_id: str, check: Check) -> None:
    """End somebody's stop: the actor has made sure who it is, by `check`. Asks for a fresh login.

    Raises Forbidden, also for somebody whom that person brought in; `keys-stopped` for who is stopped; StepUpNeeded;
    NotFound for whoever is not stopped or none of the actor's business.
    """
    policy.allow_end_stops(actor)
    policy.needs_step_up(actor)
    found = next((one for one in waiting(session, actor=actor) if one.stop.account_id == account_id), None)
    if found is None:
        raise NotFound()
    stops.hold(session, actor.account_id)
    if staff_invitations.brought_in_by(session, account_id=actor.account_id, inviter=account_id):
        # Else a thief could invite somebody first, who then ends the stop.
        raise Forbidden("stops-not-for-role")
    stops.end(session, stop=found.stop, by=actor.account_id, check=check)
    # On the person's own page "who looked", too.
    mine = [one.patient_id for one in relations.live(session, account_id=account_id) if one.kind == Kind.SELF]
    patients: list[str | None] = [*mine]
    for patient_id in patients or [None]:
        record(
            session,
            Action.KEY_STOP_ENDED,
            agent=actor.agent,
            patient_id=patient_id,
            pharmacy_id=actor.pharmacy_id,
            entity=Entity("Account", account_id),
            purpose=Purpose.HSYSADMIN,
            detail={"check": check.value},
        )


class OfficeNotice(notices.AccountMail):
    """The handler of `OFFICE_JOB`. The mail says what happened and when; who it is stands on the page."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            account = session.get(Account, str(job.payload["account"]))
        what = Template(job.payload["what"])
        self.tell(
            job,
            account,
            what,
            next=PAGES[what],
            pharmacy_id=account.pharmacy_id if account is not None else None,
            when=moment(datetime.fromisoformat(job.payload["at"]), notices.zone_of(account)),
        )


def _pharmacies(session: Session, actor: Actor) -> set[str]:
    """The pharmacies that have to do with a person: the own one, or those that care for whom the person acts for."""
    if actor.pharmacy_id is not None:
        return {actor.pharmacy_id}
    caring = care.pharmacies_of(session, [one.patient_id for one in actor.acting])
    return {pharmacy for some in caring.values() for pharmacy in some}


def _told(session: Session, pharmacy: str, roles: tuple[Role, ...], out: Collection[str]) -> list[str]:
    """The working accounts, those of `out` left out, of the first of `roles` that somebody of the pharmacy has."""
    for role in roles:
        wanted = select(Account.id).where(
            Account.role == role,
            Account.pharmacy_id == pharmacy,
            Account.disabled_at.is_(None),
            Account.id.not_in(out),
        )
        if found := list(session.scalars(wanted.order_by(Account.id))):
            return found
    return []
