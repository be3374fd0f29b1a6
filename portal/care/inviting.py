"""Inviting a patient from the screen: found in the EHR while somebody looks, told apart, handed a code or a card.

Nothing of what the EHR says about people is kept: a list asks it again for the names it shows. Everyone who is shown
is a row of the record, also those whom the portal does not know yet; those are named by their id in that EHR.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from portal.accounts import invitations, names, patients, policy
from portal.accounts.actor import Actor
from portal.accounts.tables import Invitation
from portal.audit import Action, Entity, record
from portal.care.matching import open_record
from portal.care.readers import Address, EhrReaders, address_of, answering
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, NotFound, Unavailable
from portal.core.texts import DEFAULT_LANGUAGE, LANGUAGES
from portal.ehr.context import ContextReader
from portal.ehr.model import Patient
from portal.ehr.reading import is_fhir_id
from portal.pharmacies import care, connections
from portal.pharmacies.lookalikes import Somebody, look_alikes
from portal.pharmacies.patients import PatientsOf
from portal.pharmacies.tables import EhrConnection

# More people than this are not picked from, the search has to say more.
MOST_SHOWN = 10
LONGEST = 120


class How(StrEnum):
    """How a code reaches the patient: on paper, which is recorded as a print, or read out."""

    CARD = "card"
    LETTER = "letter"
    SHOWN = "shown"


@dataclass(frozen=True)
class Candidate:
    """Somebody whom the EHR knows. `closed`: why nobody can be invited, "" when one can.

    `account`: an account is joined to this patient; `until`: there is a code that works, and how long.
    """

    fhir_id: str
    name: str
    birth_date: str
    number: str
    language: str
    closed: str
    in_care: bool
    account: bool
    until: datetime | None
    look_alike: bool
    # The portal's id, where the portal knows the person.
    patient: str | None


@dataclass(frozen=True)
class Found:
    """Whom a search found; `more`: too many fit, none of them is shown."""

    items: tuple[Candidate, ...]
    more: bool = False


@dataclass(frozen=True)
class Card:
    """A code just made, and whom it is for. It is shown this once only."""

    invitation_id: str
    code: str
    name: str
    language: str
    until: datetime


@dataclass(frozen=True)
class Listed:
    """An invitation in the list. `who` None: the EHR does not tell now."""

    row: Invitation
    state: str
    who: Patient | None
    by: str | None
    # Whom an account was joined to by it.
    patient: str | None


@dataclass(frozen=True)
class Page:
    """A page of the list. `stale`: the EHR did not answer, so that no names are shown."""

    items: tuple[Listed, ...]
    next: str | None
    stale: bool


def find(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    pharmacy_id: str,
    name: str = "",
    born: date | None = None,
    phone: str = "",
) -> Found:
    """The people of the pharmacy's EHR with that name and birth date, or that phone number.

    Raises NotFound, Forbidden, BadInput `patient-search` for less than that, Unavailable when the EHR is down.
    """
    with database.reading() as session:
        policy.allow_invite(actor, pharmacy_id=pharmacy_id)
        address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    query, ask = _question(name.strip(), born, phone.strip())
    with answering():
        known = ask(readers.reader(address))
    few = known if len(known) <= MOST_SHOWN else ()
    found = shown(database, actor, pharmacy_id, address, few, query)
    return Found(tuple(found), more=bool(known) and not few)


def shown(
    database: Database, actor: Actor, pharmacy_id: str, address: Address, people: Sequence[Patient], query: str
) -> list[Candidate]:
    """People of the EHR with what the portal knows of them; each one is put on record as shown to the actor."""
    with database.transaction() as session:
        found = _candidates(session, pharmacy_id, address, people)
        note_shown(session, actor, pharmacy_id, address.id, [one.id for one in people], query)
    return found


def invite(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    pharmacy_id: str,
    fhir_id: str,
    how: How,
    language: str = DEFAULT_LANGUAGE,
) -> Card:
    """Make a code for somebody whom `find` has shown; an open one of theirs ends.

    Raises what `matching.open_record` raises, Conflict `patient-has-account`, TooMany beyond the pharmacy's bounds.
    """
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    if language not in LANGUAGES:
        raise BadInput("bad-field", extra={"field": "language"})
    if not is_fhir_id(fhir_id):
        raise NotFound("patient-unknown")
    with database.reading() as session:
        address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    # On record before anything is known: a refusal says something of the person too.
    with database.transaction() as session:
        note_shown(session, actor, pharmacy_id, address.id, [fhir_id], "id")
    address, found = open_record(database, readers, pharmacy_id=pharmacy_id, fhir_id=fhir_id)
    with database.transaction() as session:
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        if known is not None and known.id in names.selves(session, [known.id]):
            raise Conflict("patient-has-account")
        invitation_id, code = invitations.invite(
            session,
            actor=actor,
            pharmacy_id=pharmacy_id,
            connection_id=address.id,
            fhir_id=fhir_id,
            language=language,
        )
        if how is not How.SHOWN:
            record(
                session,
                Action.PRINTED,
                agent=actor.agent,
                patient_id=known.id if known is not None else None,
                pharmacy_id=pharmacy_id,
                entity=Entity("Invitation", invitation_id),
                detail={"what": how.value},
            )
        row = session.get_one(Invitation, invitation_id)
        return Card(invitation_id, code, found.full_name, language, row.expires_at)


def renew(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    pharmacy_id: str,
    invitation_id: str,
    how: How,
) -> Card:
    """A new code for whom an invitation was for; the old one ends. Raises what `invite` raises."""
    with database.transaction() as session:
        row = invitations.get(session, actor=actor, pharmacy_id=pharmacy_id, invitation_id=invitation_id)
        fhir_id, language = row.fhir_id, row.language
    return invite(database, readers, actor=actor, pharmacy_id=pharmacy_id, fhir_id=fhir_id, how=how, language=language)


def listed(
    database: Database,
    *,
    actor: Actor,
    pharmacy_id: str,
    patients_of: PatientsOf,
    state: invitations.State | None = None,
    after: str | None = None,
) -> Page:
    """A page of the pharmacy's invitations, newest first. Raises NotFound, Forbidden."""
    with database.reading() as session:
        rows, following = invitations.listed(session, actor=actor, pharmacy_id=pharmacy_id, state=state, after=after)
        makers = names.names_of(session, [row.created_by for row in rows if row.created_by is not None])
        joined = {row.id: _known(session, row) for row in rows if row.used_at is not None}
    people, stale = _people(patients_of, rows)
    with database.transaction() as session:
        for connection_id in sorted({row.connection_id for row in rows}):
            shown = sorted({row.fhir_id for row in rows if row.connection_id == connection_id and row.id in people})
            note_shown(session, actor, pharmacy_id, connection_id, shown, "invitations")
    return Page(
        tuple(
            Listed(
                row,
                invitations.state_of(row).value,
                people.get(row.id),
                makers[row.created_by].name if row.created_by in makers else None,
                joined.get(row.id),
            )
            for row in rows
        ),
        following,
        stale,
    )


def who(
    database: Database, *, actor: Actor, pharmacy_id: str, patient_id: str, patients_of: PatientsOf
) -> Patient | None:
    """Who a patient in care is, for somebody who may know; None when the EHR does not say now.

    That it was asked is on record in any case: the page names who is joined to the patient all the same.
    """
    with database.reading() as session:
        connection = connections.of_pharmacy(session, pharmacy_id)
        known = (
            patients.record_ids(session, patient_ids=[patient_id], connection_id=connection.id) if connection else {}
        )
    found = None
    if connection is not None and patient_id in known:
        try:
            with answering():
                found = patients_of(connection.id, [known[patient_id]]).get(known[patient_id])
        except Unavailable as down:
            if down.of_database:
                raise
    with database.transaction() as session:
        record(
            session,
            Action.PATIENT_LOOKED_UP,
            agent=actor.agent,
            patient_id=patient_id,
            pharmacy_id=pharmacy_id,
            entity=Entity("Patient", patient_id),
            detail={"connection": connection.id if connection is not None else None, "query": "id"},
        )
    return found


def _known(session: Session, row: Invitation) -> str | None:
    known = patients.known_as(session, connection_id=row.connection_id, fhir_id=row.fhir_id)
    return known.id if known is not None else None


def _question(name: str, born: date | None, phone: str) -> tuple[str, Callable[[ContextReader], tuple[Patient, ...]]]:
    """What to record a search as, and how to make it. A name alone would show half a town."""
    if name and born is not None and len(name) <= LONGEST:
        return "name-birth-date", lambda reader: reader.find_by_name(name, born)
    if phone and not name and len(phone) <= LONGEST:
        return "phone", lambda reader: reader.find_by_phone(phone)
    raise BadInput("patient-search")


def _candidates(session: Session, pharmacy_id: str, address: Address, people: Sequence[Patient]) -> list[Candidate]:
    known = {
        one.id: found.id
        for one in people
        if (found := patients.known_as(session, connection_id=address.id, fhir_id=one.id)) is not None
    }
    joined = names.selves(session, known.values())
    caring = care.in_care_of(session, pharmacy_id=pharmacy_id, patient_ids=list(known.values()))
    until = invitations.open_until(
        session, pharmacy_id=pharmacy_id, connection_id=address.id, fhir_ids=[one.id for one in people]
    )
    alike = look_alikes([Somebody(one.id, one.family, one.birth_date) for one in people])
    return [
        Candidate(
            fhir_id=one.id,
            name=one.full_name,
            birth_date=one.birth_date,
            number=one.number_line,
            language=_spoken_by(one),
            closed=_closed(one),
            in_care=known.get(one.id) in caring,
            account=known.get(one.id) in joined,
            until=until.get(one.id),
            look_alike=bool(alike[one.id]),
            patient=known.get(one.id),
        )
        for one in people
    ]


def _spoken_by(one: Patient) -> str:
    """The language of ours that the EHR says a person speaks, else "" (its codes are BCP 47: es, es-MX)."""
    code = one.language.partition("-")[0].lower()
    return code if code in LANGUAGES else ""


def _closed(one: Patient) -> str:
    if one.deceased:
        return "deceased"
    if one.replaced_by:
        return "merged"
    if not one.active:
        return "inactive"
    try:
        date.fromisoformat(one.birth_date)
    except ValueError:
        return "no-birth-date"
    return ""


def _people(ask: PatientsOf, rows: Iterable[Invitation]) -> tuple[Mapping[str, Patient], bool]:
    """Who the invited are, by invitation; and whether an EHR did not say."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        wanted.setdefault(row.connection_id, set()).add(row.fhir_id)
    known: dict[tuple[str, str], Patient] = {}
    stale = False
    for connection_id, fhir_ids in sorted(wanted.items()):
        try:
            with answering():
                answer = ask(connection_id, sorted(fhir_ids))
        except Unavailable as down:
            # Without the database there is no list either.
            if down.of_database:
                raise
            stale = True
        else:
            known |= {(connection_id, fhir_id): who for fhir_id, who in answer.items()}
    return {
        row.id: known[row.connection_id, row.fhir_id] for row in rows if (row.connection_id, row.fhir_id) in known
    }, stale


def note_shown(
    session: Session, actor: Actor, pharmacy_id: str, connection_id: str, fhir_ids: Sequence[str], query: str
) -> None:
    """One row for each person shown; one for a search that showed nobody."""
    asked = {"connection": connection_id, "query": query}
    for fhir_id in fhir_ids:
        known = patients.known_as(session, connection_id=connection_id, fhir_id=fhir_id)
        record(
            session,
            Action.PATIENT_LOOKED_UP,
            agent=actor.agent,
            patient_id=known.id if known is not None else None,
            pharmacy_id=pharmacy_id,
            entity=Entity("Patient", known.id if known is not None else fhir_id),
            detail=asked,
        )
    if not fhir_ids and query != "invitations":
        record(
            session,
            Action.PATIENT_LOOKED_UP,
            agent=actor.agent,
            pharmacy_id=pharmacy_id,
            entity=Entity("Organization", pharmacy_id),
            detail={**asked, "found": 0},
        )
