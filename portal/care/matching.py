"""Joining an account to a patient's record: by the pharmacy's code and the birth date, or by a claim of the login."""

from datetime import date

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from portal.accounts import invitations, patients, relations, stops
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.invitations import BirthDateOf, Redeemed
from portal.accounts.roles import Kind, Role
from portal.accounts.signing_in import SignIn
from portal.accounts.tables import Relation
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.care.readers import Address, EhrReaders, address_of, answering
from portal.core.database import Database
from portal.core.errors import Conflict, NotFound, Unprocessable
from portal.ehr.errors import EhrNotFound
from portal.ehr.model import Patient as EhrPatient
from portal.pharmacies import care
from portal.pharmacies.tables import EhrConnection, Pharmacy

_WHOLE_DATE = len("2000-01-01")


def match(database: Database, readers: EhrReaders, *, actor: Actor, code: str, birth_date: date) -> Redeemed:
    """Join an account to the patient of an invitation, and begin the pharmacy's care.

    Raises what `invitations.redeem` raises: one answer for every code that leads nowhere.
    """

    def also(session: Session, redeemed: Redeemed) -> None:
        record(
            session,
            Action.EHR_FETCHED,
            agent=actor.agent,
            patient_id=redeemed.patient_id,
            pharmacy_id=redeemed.pharmacy_id,
            entity=Entity("Patient", redeemed.patient_id),
            purpose=Purpose.PATRQT,
            detail={"connection": redeemed.connection_id, "query": "birth-date"},
        )
        care.start(
            session,
            agent=actor.agent,
            patient_id=redeemed.patient_id,
            pharmacy_id=redeemed.pharmacy_id,
            source=care.Source.INVITATION,
        )

    return invitations.redeem(
        database,
        actor=actor,
        code=code,
        birth_date=birth_date,
        birth_date_from_ehr=birth_date_of(database, readers),
        also=also,
    )


def check_invited(database: Database, readers: EhrReaders, *, pharmacy_id: str, fhir_id: str) -> bool:
    """Ask the EHR whether a patient can be invited; whether an account is joined to that patient already.

    Raises what `open_record` raises.
    """
    address, _ = open_record(database, readers, pharmacy_id=pharmacy_id, fhir_id=fhir_id)
    with database.reading() as session:
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        return known is not None and bool(relations.live(session, patient_id=known.id))


def open_record(
    database: Database, readers: EhrReaders, *, pharmacy_id: str, fhir_id: str
) -> tuple[Address, EhrPatient]:
    """The pharmacy's EHR, and there the record of somebody who can be invited.

    Raises NotFound (`unknown-pharmacy`, `no-ehr-connection`, `patient-unknown`), Unprocessable (`patient-closed`,
    `patient-no-birth-date`) and EhrUnavailable.
    """
    with database.reading() as session:
        if session.get(Pharmacy, pharmacy_id) is None:
            raise NotFound("unknown-pharmacy")
        address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    named = {"fhir_id": fhir_id}
    try:
        with answering():
            found = readers.reader(address).patient(fhir_id)
    except EhrNotFound as problem:
        raise NotFound("patient-unknown", extra=named) from problem
    if found.silent:
        raise Unprocessable("patient-closed", extra=named)
    if len(found.birth_date) != _WHOLE_DATE:
        raise Unprocessable("patient-no-birth-date", extra=named)
    return address, found


def birth_date_of(database: Database, readers: EhrReaders) -> BirthDateOf:
    """Asks the EHR for the full birth date of an open record; None for any other.

    The function raises EhrUnavailable also when the answer cannot be used, NotFound for an unknown connection.
    """

    def ask(connection_id: str, fhir_id: str) -> date | None:
        with database.reading() as session:
            address = address_of(session, EhrConnection.id == connection_id)
        try:
            with answering():
                found = readers.reader(address).patient(fhir_id)
        except EhrNotFound:
            return None
        if found.silent or len(found.birth_date) != _WHOLE_DATE:
            return None
        return date.fromisoformat(found.birth_date)

    return ask


def match_claimed(session: Session, came: SignIn, claimed: str | None, *, agent: Agent) -> None:
    """Join a patient's account to the record that a login's claim names at the first EHR, once (design decision 14).

    A relation that was ever there, also an ended one, is not made again: ending it was somebody's decision. Nobody is
    joined to a patient who has another account: only staff can tell which of the two is right. A login of somebody
    whose account is stopped joins nothing.
    """
    if claimed is None or came.role is not Role.PATIENT:
        return
    # Two logins of one person at once make one relation.
    one_at_a_time(session, came.account_id)
    if stops.standing(session, came.account_id) is not None:
        return
    connection_id = session.scalar(select(EhrConnection.id).order_by(EhrConnection.created_at, EhrConnection.id))
    if connection_id is None or session.scalar(select(exists().where(Relation.account_id == came.account_id))):
        return
    where = {"connection_id": connection_id, "fhir_id": claimed.removeprefix("Patient/")}
    try:
        with session.begin_nested():
            patient = patients.ensure(session, **where)
    except Conflict:
        # Somebody's login with the same claim has made the patient at this moment.
        there = patients.known_as(session, **where)
        if there is None:
            raise
        patient = there
    if relations.is_somebody_else(session, patient_id=patient.id, account_id=came.account_id):
        return
    relations.bind(
        session,
        agent=Agent(came.account_id, came.role.value, address=agent.address, request_id=agent.request_id),
        account_id=came.account_id,
        patient_id=patient.id,
        kind=Kind.SELF,
    )
