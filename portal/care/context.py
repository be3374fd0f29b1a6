"""A patient's medicines and orders, read for somebody who may: ask policy, fetch, put it on record, answer.

No transaction is open while the EHR is asked (architecture rule 3), and nothing is answered before the row is written.
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts import patients, policy
from portal.accounts.actor import Actor
from portal.accounts.patients import Status
from portal.accounts.policy import Sight
from portal.audit import Action, Entity, Purpose, record, record_refusal
from portal.care.connections import Address, EhrReaders, address_of
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import NotFound, PortalError
from portal.ehr.context import FRESH_SECONDS
from portal.ehr.model import Patient, PatientContext
from portal.ehr.panel import context_to_json
from portal.pharmacies import care
from portal.pharmacies.tables import EhrConnection


@dataclass(frozen=True)
class ContextRead:
    """What the EHR said, cut to what the reader's role sees."""

    context: PatientContext
    sight: Sight
    # The context as it is remembered, to name what is made of it; never shown itself.
    whole: PatientContext

    def to_json(self, language: str, *, today: date) -> dict[str, Any]:
        """The panel of GET /api/patients/<id>/context; the desk's chips and orders name no medicine."""
        panel = context_to_json(self.context, language, today=today)
        for order in panel["orders"]:
            bare = order.pop("chip_without_medicine")
            if self.sight is Sight.DESK:
                order.update(chip=bare, item="", quantity="")
        return {**panel, "sight": self.sight.value}


def read_context(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    patient_id: str,
    pharmacy_id: str,
    max_age: float = FRESH_SECONDS,
) -> ContextRead:
    """The medication and order context of a patient, through the pharmacy's EHR, at most `max_age` seconds old.

    Raises NotFound for foreign and unknown patients alike and where that EHR has no record (`no-ehr-record`),
    Forbidden for roles without sight, EhrUnavailable and its kin as `ContextReader.read` does.
    """
    try:
        with database.reading() as session:
            sight = policy.allow_context(
                actor,
                patient_id=patient_id,
                pharmacy_id=pharmacy_id,
                in_care=care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id),
            )
            address, fhir_id = _place(session, patient_id, pharmacy_id)
    except PortalError as refusal:
        record_refusal(
            database,
            Action.CONTEXT_READ,
            agent=actor.agent,
            patient_id=patient_id if ids.is_id(patient_id) else None,
            pharmacy_id=actor.pharmacy_id,
            reason=refusal.code,
        )
        raise
    asked = clock.now()
    found = readers.reader(address).read(fhir_id, max_age=max_age)
    with database.transaction() as session:
        _note(session, actor, patient_id, pharmacy_id, found, address if found.as_of >= asked else None)
    return ContextRead(found if sight is Sight.WHOLE else for_desk(found), sight, found)


def note_print(session: Session, *, actor: Actor, patient_id: str, pharmacy_id: str) -> None:
    """Put on record that a patient's medicines and orders are printed. Raises as reading them does."""
    policy.allow_context(
        actor,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        in_care=care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id),
    )
    record(
        session,
        Action.PRINTED,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        on_behalf=actor.on_behalf(patient_id),
        entity=Entity("Patient", patient_id),
        purpose=Purpose.TREAT if actor.relation(patient_id) is None else Purpose.PATRQT,
        detail={"what": "medicines"},
    )


def for_desk(context: PatientContext) -> PatientContext:
    """The context without anything that names a medicine or a finding: who it is, allergies, orders."""
    return replace(
        context,
        medication_requests=(),
        other_dispenses=(),
        conditions=(),
        labs=(),
        vitals=(),
    )


def status_of(patient: Patient) -> Status:
    """Whether the person's record is still open, as the EHR tells it."""
    if patient.deceased:
        return Status.DECEASED
    if patient.replaced_by:
        return Status.MERGED
    return Status.ACTIVE if patient.active else Status.INACTIVE


def _place(session: Session, patient_id: str, pharmacy_id: str) -> tuple[Address, str]:
    address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    fhir_id = patients.record_id(session, patient_id=patient_id, connection_id=address.id)
    if fhir_id is None:
        raise NotFound("no-ehr-record")
    return address, fhir_id


def _note(
    session: Session, actor: Actor, patient_id: str, pharmacy_id: str, found: PatientContext, fetched: Address | None
) -> None:
    """One row for the look; more where the EHR (`fetched`) was asked for it rather than our memory."""
    note = partial(
        record,
        session,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        on_behalf=actor.on_behalf(patient_id),
        purpose=Purpose.TREAT if actor.relation(patient_id) is None else Purpose.PATRQT,
    )
    if fetched is not None:
        detail = {"connection": fetched.id, "query": "context"}
        note(Action.EHR_FETCHED, detail=detail)
        for entry in found.dropped_foreign:
            entity = Entity(entry.resource_type, entry.id) if entry.id else None
            note(Action.EHR_ENTRY_DROPPED, entity=entity, reason="foreign", detail=detail)
    note(Action.CONTEXT_READ, entity=Entity("Patient", patient_id))
    known = status_of(found.patient)
    if patients.status_of(session, patient_id) is not known:
        patients.learn_status(session, patient_id=patient_id, status=known)
