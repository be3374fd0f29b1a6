"""The demo world up to its keys: pharmacies, accounts, patients of the EHR, who cares for whom."""

import logging
from collections.abc import Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import patients, relations
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Account
from portal.audit import Agent
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.demo.bundles import LoadedPatient
from portal.demo.chapter import LOGIN_SYSTEM
from portal.demo.people import CARE, PEOPLE, DemoPerson, pharmacies
from portal.ehr.client import EhrClient
from portal.ehr.context import ContextReader
from portal.pharmacies import care, profiles
from portal.pharmacies.tables import EhrConnection, Pharmacy

log = logging.getLogger(__name__)
BUILDER = Agent(account_id=None, role="operator")


def connection_id(pharmacy_id: str) -> str:
    """The id of a demo pharmacy's EHR connection."""
    return f"{pharmacy_id}-ehr"


def built(database: Database) -> bool:
    """Whether the world stands already."""
    with database.reading() as session:
        return session.scalar(select(Pharmacy.id).limit(1)) is not None


def build(
    database: Database,
    *,
    issuer: str,
    ehr_base_url: str,
    client: EhrClient,
    today: date,
) -> dict[str, str]:
    """Make pharmacies, accounts, patients and care relations; the patients are found in the EHR by their demo login.

    Returns the patients' ids by login.
    """
    found = {login: known for login in CARE if (known := fhir_id(client, login))}
    with database.transaction() as session:
        for profile in pharmacies(today):
            profiles.create(session, agent=BUILDER, profile=profile)
            session.add(
                EhrConnection(
                    id=connection_id(profile.id),
                    pharmacy_id=profile.id,
                    base_url=ehr_base_url,
                    auth="none",
                    created_at=clock.now(),
                )
            )
        session.flush()
        patient_ids = {login: _patient(session, login, fhir_id, CARE[login]) for login, fhir_id in found.items()}
        for person in PEOPLE:
            _account(session, person, issuer, patient_ids)
    return patient_ids


def welcome(database: Database, *, issuer: str, client: EhrClient, loaded: Sequence[LoadedPatient]) -> None:
    """Give each patient from a bundle a login, in Riverside's care; whoever has one already is left alone."""
    for one in loaded:
        known = fhir_id(client, one.login)
        person = DemoPerson(one.login, one.full_name, Role.PATIENT, patients={one.login: Kind.SELF})
        with database.transaction() as session:
            if session.scalar(select(Account.id).where(Account.subject == one.login)) is None:
                patient_ids = {one.login: _patient(session, one.login, known, ("riverside",))} if known else {}
                _account(session, person, issuer, patient_ids)


def account_id(session: Session, login: str) -> str:
    """The account of a demo login."""
    return session.scalars(select(Account.id).where(Account.subject == login)).one()


def fhir_id(client: EhrClient, login: str) -> str | None:
    """The FHIR id of a demo patient by login; None where the EHR does not know one or does not answer."""
    try:
        matches = ContextReader(client).find_patients(LOGIN_SYSTEM, login)
    except PortalError:
        log.warning("the EHR does not know a demo patient", extra={"login": login})
        return None
    return matches[0].id if len(matches) == 1 else None


def _patient(session: Session, login: str, fhir_id: str, homes: tuple[str, ...]) -> str:
    patient = patients.ensure(session, connection_id=connection_id(homes[0]), fhir_id=fhir_id)
    for pharmacy_id in ("riverside", "harbor"):
        if pharmacy_id != homes[0]:
            patients.add_record(
                session, patient_id=patient.id, connection_id=connection_id(pharmacy_id), fhir_id=fhir_id
            )
    if login in ("merged", "deceased"):
        patients.learn_status(session, patient_id=patient.id, status=patients.Status(login))
    for pharmacy_id in homes:
        care.start(
            session,
            agent=BUILDER,
            patient_id=patient.id,
            pharmacy_id=pharmacy_id,
            source=care.Source.DISPENSER,
        )
    return patient.id


def _account(session: Session, person: DemoPerson, issuer: str, patient_ids: dict[str, str]) -> None:
    account = Account(
        id=ids.random_id(),
        issuer=issuer,
        subject=person.login,
        role=person.role.value,
        pharmacy_id=person.pharmacy,
        display_name=person.name,
        email=f"{person.login}@demo.example",
        email_verified=True,
        language=person.language,
        large_text=person.large_text,
        created_at=clock.now(),
    )
    session.add(account)
    session.flush()
    for login, kind in person.patients.items():
        if login in patient_ids:
            relations.bind(session, agent=BUILDER, account_id=account.id, patient_id=patient_ids[login], kind=kind)
