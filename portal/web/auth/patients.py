"""A claim that says which patient a person is (PORTAL_OIDC_PATIENT_CLAIM; design decision 14)."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from portal.accounts import patients, relations
from portal.accounts.roles import Kind, Role
from portal.accounts.signing_in import SignIn
from portal.accounts.tables import Relation
from portal.audit import Agent
from portal.pharmacies.tables import EhrConnection


def bind_claimed_patient(session: Session, came: SignIn, claimed: str | None, *, agent: Agent) -> None:
    """Bind a patient's account to the record the claim names at the first EHR, once.

    A relation that was ever there, also an ended one, is not made again: ending it was somebody's decision.
    """
    if claimed is None or came.role is not Role.PATIENT:
        return
    connection_id = session.scalar(select(EhrConnection.id).order_by(EhrConnection.created_at, EhrConnection.id))
    if connection_id is None or session.scalar(select(exists().where(Relation.account_id == came.account_id))):
        return
    patient = patients.ensure(session, connection_id=connection_id, fhir_id=claimed.removeprefix("Patient/"))
    relations.bind(
        session,
        agent=Agent(came.account_id, came.role.value, address=agent.address, request_id=agent.request_id),
        account_id=came.account_id,
        patient_id=patient.id,
        kind=Kind.SELF,
    )
