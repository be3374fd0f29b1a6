"""A pharmacy lets somebody act for a patient on a Consent: read in its EHR, or a paper that staff have seen.

The EHR is asked on each look, nothing of what it says about people is kept, and what does not stand any more ends what
hangs on it (portal/accounts/consents.py). Each look is a row of the patient's record.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import carer_invitations, carers, consents, names, patients, policy, relations, stops
from portal.accounts.actor import Actor
from portal.accounts.carer_invitations import Newcomer
from portal.accounts.carers import Circumstances
from portal.accounts.consents import Basis, Ended, Paper
from portal.accounts.roles import INVITED_TO, Kind, Scope
from portal.accounts.tables import CarerConsent, CarerInvitation
from portal.accounts.tables import Patient as PatientRow
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.care.inviting import note_shown
from portal.care.matching import open_record
from portal.care.readers import Address, EhrReaders, address_of, answering
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput, NotFound, PortalError, Unavailable, Unprocessable
from portal.ehr.consents import Grant, WhyNot
from portal.ehr.errors import DownReason, EhrUnavailable
from portal.ehr.model import Patient
from portal.ehr.reading import is_fhir_id, whole_day
from portal.pharmacies import ages, care, last_days, profiles
from portal.pharmacies.tables import EhrConnection

# How often an EHR is asked whether a Consent still stands, and how long one stands that it says nothing about.
ASK_EVERY = timedelta(hours=6)
UNHEARD = timedelta(days=7)
_OLDEST_PAPER = date(1900, 1, 1)


@dataclass(frozen=True)
class Held:
    """What this pharmacy lets somebody act on now. `names`: who does; `waits`: until when there may still be a yes;
    `stands`: False where the EHR says now that it does not, and it ends with the next question (`settle`)."""

    row: CarerConsent
    names: tuple[str, ...]
    scope: str
    ends_at: datetime | None
    waits: datetime | None
    stands: bool


@dataclass(frozen=True)
class Look:
    """What staff see of a patient: who it is, what the EHR holds, and who acts on what. `grants` None: the EHR holds no
    Consents, or is `down`: it does not answer now, and then `who` may be None too."""

    who: Patient | None
    account: bool
    grants: tuple[Grant, ...] | None
    down: bool
    held: tuple[Held, ...]


@dataclass(frozen=True)
class SeenPaper:
    """A paper that the actor has seen: the kind, and the day that stands on it."""

    paper: str
    dated: date | None


def record_of(session: Session, *, actor: Actor, pharmacy_id: str, patient_id: str) -> str:
    """The FHIR id of a patient in the pharmacy's care. Raises NotFound, Forbidden."""
    caring = care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id)
    if not caring:
        raise NotFound()
    policy.allow_invite_on_consent(actor, pharmacy_id=pharmacy_id)
    address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    known = patients.record_ids(session, patient_ids=[patient_id], connection_id=address.id)
    if patient_id not in known:
        raise NotFound("no-ehr-record")
    return known[patient_id]


def look(database: Database, readers: EhrReaders, *, actor: Actor, pharmacy_id: str, fhir_id: str) -> Look:
    """What can be invited on, and whether what is in use stands; nothing changes but the record of who looked.

    Raises NotFound, Forbidden, and what `matching.open_record` raises.
    """
    address, who, grants, down = _asked(database, readers, actor, pharmacy_id, fhir_id)
    with database.reading() as session:
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        if known is None:
            return Look(who, False, grants, down, ())
        account = bool(names.own_accounts(session, known.id))
        return Look(who, account, grants, down, _held(session, known.id, pharmacy_id, address.id, grants))


def settle(database: Database, readers: EhrReaders, *, actor: Actor, pharmacy_id: str, fhir_id: str) -> None:
    """Ask the EHR, and end what does not stand any more. Raises what `look` raises."""
    address, _, grants, _ = _asked(database, readers, actor, pharmacy_id, fhir_id)
    if grants is None:
        return
    with database.transaction() as session:
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        # Each of them, since the patient ends several at once in this order.
        rows = consents.locked(session, known.id) if known is not None else []
        for row in rows:
            if row.pharmacy_id == pharmacy_id and row.connection_id == address.id:
                _judge(session, row, grants, agent=actor.agent)


def invite(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    pharmacy_id: str,
    fhir_id: str,
    newcomer: Newcomer,
    chosen: str,
    seen: SeenPaper,
    otherwise_of_age: int,
) -> tuple[str, str | None]:
    """Ask somebody to act for a patient: (invitation id, code to hand over). Asks for a fresh login.

    `chosen` is "<Consent id> <person>" of a grant that was shown, whose name and kind count and not those typed; or ""
    for the paper of `seen`, which needs a last day within a year. Raises NotFound, Forbidden, StepUpNeeded, BadInput
    `carer-invitation` naming the field (also `consent`, `paper`, `dated`), Unprocessable `consent-stands-not`, and what
    `carer_invitations.make` and `matching.open_record` raise.
    """
    policy.allow_invite_on_consent(actor, pharmacy_id=pharmacy_id)
    policy.needs_step_up(actor)
    address, who, grants, down = _asked(database, readers, actor, pharmacy_id, fhir_id)
    if who is None or (down and chosen):
        raise EhrUnavailable(DownReason.CONNECTION)
    grant: Grant | None = None
    with database.transaction() as session:
        profile = profiles.get(session, pharmacy_id)
        if chosen:
            grant = next((one for one in grants or () if key_of(one) == chosen), None)
            if grant is None or grant.why_not is not WhyNot.NO:
                raise Unprocessable("consent-stands-not")
            newcomer = replace(newcomer, name=grant.name[: carer_invitations.LONGEST_NAME], kind=grant.kind)
            basis = _on_consent(pharmacy_id, address, grant, profile.time_zone)
        else:
            basis = _on_paper(pharmacy_id, newcomer, seen, profile.time_zone)
        patient = patients.ensure(session, connection_id=address.id, fhir_id=fhir_id)
        in_care = care.in_care(session, patient_id=patient.id, pharmacy_id=pharmacy_id)
        if not in_care and names.own_accounts(session, patient.id):
            # Who speaks for herself brings a pharmacy into her care by herself, also one that she has left.
            raise Unprocessable("consent-not-in-care")
        if grant is not None and _was_refused(session, patient.id, address, grant):
            raise Unprocessable("consent-stands-not")
        of_age = min(
            ages.of_pharmacy(profile.country, profile.parents_until_age, otherwise_of_age),
            ages.of_patient(session, patient.id, otherwise_of_age),
        )
        where = Circumstances(zone=profile.time_zone, of_age=of_age, born=whole_day(who.birth_date))
        if _of_childhood(basis, basis.dated, where):
            raise Unprocessable("consent-stands-not")
        # Who keeps locks what the row refers to: in the order in which `make` does.
        stops.hold(session, actor.account_id)
        session.get_one(PatientRow, patient.id, with_for_update=True)
        row = consents.keep(session, actor=actor, patient_id=patient.id, basis=_until_grown(basis, where))
        return carer_invitations.make(
            session, actor=actor, patient_id=patient.id, newcomer=newcomer, where=where, consent=row
        )


def end(session: Session, *, actor: Actor, pharmacy_id: str, consent_id: str) -> str | None:
    """End what somebody may do on a consent of the own pharmacy, at once: the patient, where in its care.

    Raises NotFound, Forbidden.
    """
    seen = session.get(CarerConsent, consent_id)
    if seen is None or seen.pharmacy_id != pharmacy_id:
        raise NotFound()
    policy.allow_invite_on_consent(actor, pharmacy_id=pharmacy_id)
    row = consents.lock(session, consent_id)
    if row.ended_at is not None:
        raise NotFound()
    consents.end(session, agent=actor.agent, row=row, why=Ended.PHARMACY)
    return row.patient_id if care.in_care(session, patient_id=row.patient_id, pharmacy_id=pharmacy_id) else None


def begin_care(session: Session, *, actor: Actor, invitation_id: str) -> None:
    """Who has said yes on a pharmacy's consent brings the patient into its care, as a code of the patient's does.

    Raises Unprocessable `carer-code` where the patient has an account by now and speaks for herself.
    """
    invitation = session.get_one(CarerInvitation, invitation_id)
    if invitation.consent_id is None:
        return
    row = session.get_one(CarerConsent, invitation.consent_id)
    in_care = care.in_care(session, patient_id=row.patient_id, pharmacy_id=row.pharmacy_id)
    if not in_care and names.own_accounts(session, row.patient_id):
        raise Unprocessable("carer-code")
    care.start(
        session,
        agent=actor.agent,
        patient_id=row.patient_id,
        pharmacy_id=row.pharmacy_id,
        source=care.Source.INVITATION,
    )


def key_of(grant: Grant) -> str:
    """What a form calls a person in a Consent by."""
    return f"{grant.consent_id} {grant.person}"


def ask_again(database: Database, readers: EhrReaders) -> int:
    """The worker's look: ends what does not stand any more; how many were asked about."""
    now = clock.now()
    with database.reading() as session:
        rows = consents.to_ask(session, before=now - ASK_EVERY)
        places = {
            row.id: (row.connection_id, fhir_id)
            for row in rows
            if (
                fhir_id := patients.record_ids(
                    session, patient_ids=[row.patient_id], connection_id=str(row.connection_id)
                ).get(row.patient_id)
            )
        }
    for row in rows:
        connection_id, fhir_id = places.get(row.id, (None, None))
        # Trouble of our own database is no silence of the EHR: it ends the round, and the next one asks again.
        today = _today(database, row.pharmacy_id)
        address = _address(database, connection_id)
        grants = None
        if fhir_id is not None and address is not None:
            # Down, gone or talking nonsense: it is asked again, and a week of that is an answer too. Whatever one EHR
            # says, the others behind it in the queue are asked as well.
            with suppress(PortalError, ArithmeticError, ValueError):
                grants = _grants(readers, address, fhir_id, today)
        with database.transaction() as session:
            found = consents.lock(session, row.id)
            found.asked_at = clock.now()
            heard = False
            if grants is not None:
                _note_fetched(session, Agent(None, None), found.patient_id, found.pharmacy_id, str(connection_id))
                heard = _judge(session, found, grants, agent=Agent(None, None))
            if not heard and found.silent_at is None:
                found.silent_at = clock.now()
            if found.silent_at is not None and found.silent_at <= clock.now() - UNHEARD:
                consents.end(session, agent=Agent(None, None), row=found, why=Ended.UNCONFIRMED)
    return len(rows)


def _address(database: Database, connection_id: str | None) -> Address | None:
    with database.reading() as session:
        try:
            return address_of(session, EhrConnection.id == connection_id)
        except NotFound:
            return None


def _asked(
    database: Database, readers: EhrReaders, actor: Actor, pharmacy_id: str, fhir_id: str
) -> tuple[Address, Patient | None, tuple[Grant, ...] | None, bool]:
    policy.allow_invite_on_consent(actor, pharmacy_id=pharmacy_id)
    if not is_fhir_id(fhir_id):
        raise NotFound("patient-unknown")
    with database.transaction() as session:
        address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
        # On record before anything is known: a refusal says something of the person too.
        note_shown(session, actor, pharmacy_id, address.id, [fhir_id], "id")
    who: Patient | None = None
    try:
        address, who = open_record(database, readers, pharmacy_id=pharmacy_id, fhir_id=fhir_id)
        grants, down = _grants(readers, address, fhir_id, _today(database, pharmacy_id)), False
    except Unavailable as problem:
        if problem.of_database:
            raise
        return address, who, None, True
    with database.transaction() as session:
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        _note_fetched(session, actor.agent, known.id if known is not None else None, pharmacy_id, address.id)
    return address, who, grants, down


def _grants(readers: EhrReaders, address: Address, fhir_id: str, today: date) -> tuple[Grant, ...] | None:
    with answering():
        return readers.reader(address).consents(fhir_id, today=today)


def _today(database: Database, pharmacy_id: str) -> date:
    with database.reading() as session:
        return clock.now().astimezone(ZoneInfo(profiles.get(session, pharmacy_id).time_zone)).date()


def _note_fetched(session: Session, agent: Agent, patient_id: str | None, pharmacy_id: str, connection_id: str) -> None:
    record(
        session,
        Action.EHR_FETCHED,
        agent=agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        entity=Entity("Patient", patient_id) if patient_id is not None else None,
        purpose=Purpose.FAMRQT,
        detail={"connection": connection_id, "query": "consents"},
    )


def _judge(session: Session, row: CarerConsent, grants: Sequence[Grant], *, agent: Agent) -> bool:
    """What is kept ends where it does not stand any more by what the EHR says now; whether it said anything: where it
    does not show the person, it is silent about that one."""
    why = _stands_not(session, row, grants)
    if why is not None:
        consents.end(session, agent=agent, row=row, why=why)
        return True
    found = _grant_of(row, grants)
    if found is not None and found.why_not is WhyNot.UNSHOWN:
        return False
    if row.fhir_id is not None:
        row.confirmed_at = row.asked_at = clock.now()
        row.silent_at = None
    return True


def _grant_of(row: CarerConsent, grants: Sequence[Grant]) -> Grant | None:
    return next((one for one in grants if one.consent_id == row.fhir_id and one.person == row.person), None)


def _stands_not(session: Session, row: CarerConsent, grants: Sequence[Grant]) -> Ended | None:
    """Why what is kept does not stand any more by what the EHR says now; None: it does, or is a paper, or somebody acts
    on it whom the EHR does not show."""
    if row.fhir_id is None:
        return None
    found = _grant_of(row, grants)
    # Who is not shown, or may be whom another Consent forbids, is not let in anew, by no code that is out either. It
    # parts nobody who acts already.
    unclear = found is not None and found.why_not in (WhyNot.UNSHOWN, WhyNot.UNSURE) and _acts(session, row)
    if found is None or (found.why_not is not WhyNot.NO and not unclear):
        return Ended.WITHDRAWN
    if found.why_not is WhyNot.UNSHOWN:
        return None
    ends_at = _end_of(found.last_day, profiles.get(session, row.pharmacy_id).time_zone)
    shorter = ends_at is not None and (row.ends_at is None or ends_at < row.ends_at)
    reaches = found.kind == row.kind and Scope(found.step).reaches(Scope(row.scope))
    return None if reaches and not shorter else Ended.NARROWER


def _acts(session: Session, row: CarerConsent) -> bool:
    return any(one.consent_id == row.id for one in relations.live(session, patient_id=row.patient_id))


def _was_refused(session: Session, patient_id: str, address: Address, grant: Grant) -> bool:
    """Whether the patient has ended what this person did, and the Consent was not said on a later day, in any zone: a
    new version, or another Consent of old, is no new word of hers."""
    refused = consents.refused_at(session, patient_id=patient_id, connection_id=address.id, person=grant.person)
    return refused is not None and not consents.is_later(whole_day(grant.said_on), refused)


def _on_consent(pharmacy_id: str, address: Address, grant: Grant, zone: str) -> Basis:
    return Basis(
        pharmacy_id=pharmacy_id,
        kind=Kind(grant.kind),
        scope=Scope(grant.step),
        ends_at=_end_of(grant.last_day, zone),
        reference=(address.id, grant.consent_id, grant.version, grant.person),
        dated=whole_day(grant.said_on),
    )


def _on_paper(pharmacy_id: str, newcomer: Newcomer, seen: SeenPaper, zone: str) -> Basis:
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    paper = next((one for one in Paper if one.value == seen.paper), None)
    kind = next((one for one in carers.KINDS if one.value == newcomer.kind), None)
    right = {
        "paper": paper is not None,
        "dated": seen.dated is not None and _OLDEST_PAPER <= seen.dated <= today,
        "kind": kind is not None,
        "last_day": newcomer.last_day is not None and newcomer.last_day <= today + consents.LONGEST_ON_PAPER,
    }
    wrong = [field for field, fine in right.items() if not fine]
    if wrong or paper is None or kind is None or seen.dated is None:
        raise BadInput("carer-invitation", extra={"field": wrong[0]})
    return Basis(
        pharmacy_id=pharmacy_id,
        kind=kind,
        scope=INVITED_TO[-1],
        ends_at=_end_of(newcomer.last_day, zone),
        paper=paper,
        dated=seen.dated,
    )


def _of_childhood(basis: Basis, said: date | None, where: Circumstances) -> bool:
    """Whether it was said for a child, and the child is of age, whoever was let in by it: only who says it after that
    day, and not by having been born, lets them in again (docs/decisions/0019)."""
    if where.born is None:
        return False
    grown = carers.comes_of_age(where.born, where.of_age, where.zone)
    of_birth = basis.paper is Paper.BIRTH
    return grown <= clock.now() and (of_birth or said is None or said < grown.date())


def _until_grown(basis: Basis, where: Circumstances) -> Basis:
    """What is said for a child lasts until it is of age at the longest, whoever is let in by it."""
    if where.born is None:
        return basis
    grown = carers.comes_of_age(where.born, where.of_age, where.zone)
    lasts = grown <= clock.now() or (basis.ends_at is not None and basis.ends_at <= grown)
    return basis if lasts else replace(basis, ends_at=grown)


def _end_of(last_day: date | None, zone: str) -> datetime | None:
    return None if last_day is None else last_days.end_of_day(last_day, zone)


def _held(
    session: Session, patient_id: str, pharmacy_id: str, connection_id: str, grants: Sequence[Grant] | None
) -> tuple[Held, ...]:
    rows = consents.of_patient(session, patient_id=patient_id, pharmacy_id=pharmacy_id)
    acting = [one for one in relations.live(session, patient_id=patient_id) if one.consent_id is not None]
    known = names.names_of(session, [one.account_id for one in acting])
    asked = {
        one.consent_id: one
        for one in session.scalars(
            select(CarerInvitation).where(
                CarerInvitation.consent_id.in_([row.id for row in rows]), CarerInvitation.used_at.is_(None)
            )
        )
    }
    found = []
    for row in rows:
        here = [one for one in acting if one.consent_id == row.id]
        invitation = asked.get(row.id)
        shown = here[0] if here else invitation
        found.append(
            Held(
                row=row,
                names=tuple(known[one.account_id].name for one in here)
                or ((invitation.name,) if invitation is not None else ()),
                scope=shown.scope if shown is not None else row.scope,
                ends_at=shown.ends_at if shown is not None else row.ends_at,
                waits=invitation.expires_at if invitation is not None and not here else None,
                stands=grants is None
                or row.connection_id != connection_id
                or _stands_not(session, row, grants) is None,
            )
        )
    return tuple(found)
