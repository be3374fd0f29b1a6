"""A patient's medicines and orders, read for somebody who may: ask policy, fetch, put it on record, answer.

No transaction is open while the EHR is asked (architecture rule 3), and nothing is answered before the row is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from portal.accounts import patients, policy
from portal.accounts.actor import Actor
from portal.accounts.policy import Sight
from portal.accounts.tables import Patient as PatientTable
from portal.accounts.tables import PatientRecord
from portal.audit import Action, Entity, record, record_refusal
from portal.care.readers import Address, EhrReaders
from portal.core import clock, ids
from portal.core.database import Database, table_of
from portal.core.errors import Forbidden, NotFound, PortalError
from portal.ehr.context import FRESH_SECONDS
from portal.ehr.model import AllergyState, PatientContext
from portal.ehr.panel import context_to_json
from portal.pharmacies import care
from portal.pharmacies.tables import CareRelation, EhrConnection, Pharmacy

# What shows orders, and nothing of a medicine.
_NO_MEDICINES = frozenset({Sight.DESK, Sight.ORDERS})
_PATIENTS = table_of(PatientTable)
_RECORDS = table_of(PatientRecord)
_CARE = table_of(CareRelation)
_CONNECTIONS = table_of(EhrConnection)
_PHARMACIES = table_of(Pharmacy)
# The pharmacy's first EHR, and what the portal knows of the patient there: a panel is looked at far more often than it
# is fetched, and then this is most of the work.
_PLACE: Select[Any] = (
    select(
        *(_CONNECTIONS.c[name] for name in ("id", "base_url", "auth", "client_id")),
        _PHARMACIES.c.name,
        _RECORDS.c.fhir_id,
        _PATIENTS.c.status,
        _CARE.c.starts_at.is_not(None).label("in_care"),
    )
    .select_from(
        _CONNECTIONS.join(_PHARMACIES, _PHARMACIES.c.id == _CONNECTIONS.c.pharmacy_id)
        .outerjoin(
            _RECORDS,
            (_RECORDS.c.connection_id == _CONNECTIONS.c.id) & (_RECORDS.c.patient_id == bindparam("patient_id")),
        )
        .outerjoin(_PATIENTS, _PATIENTS.c.id == bindparam("patient_id"))
        .outerjoin(
            _CARE,
            (_CARE.c.pharmacy_id == _CONNECTIONS.c.pharmacy_id)
            & (_CARE.c.patient_id == bindparam("patient_id"))
            & _CARE.c.ends_at.is_(None),
        )
    )
    .where(_CONNECTIONS.c.pharmacy_id == bindparam("pharmacy_id"))
    .order_by(_CONNECTIONS.c.created_at, _CONNECTIONS.c.id)
    .limit(1)
)


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
            if self.sight in _NO_MEDICINES:
                # A reason is free words, which name medicines as they like.
                order.update(chip=bare, item="", quantity="", state_reason="")
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
            place = session.execute(_PLACE, {"patient_id": patient_id, "pharmacy_id": pharmacy_id}).first()
            in_care = (
                place.in_care
                if place is not None
                else care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id)
            )
        sight = policy.allow_context(actor, patient_id=patient_id, pharmacy_id=pharmacy_id, in_care=in_care)
        if place is None:
            raise NotFound("no-ehr-connection")
        if place.fhir_id is None:
            raise NotFound("no-ehr-record")
        address = Address(place.id, place.base_url, place.auth, place.client_id, place.name)
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
    found = readers.reader(address).read(place.fhir_id, max_age=max_age)
    known = patients.status_in(found.patient)
    with database.transaction() as session:
        _note(session, actor, patient_id, pharmacy_id, found, address if found.as_of >= asked else None)
        if known.value != place.status:
            patients.learn_status(session, patient_id=patient_id, status=known)
    return ContextRead(_CUT[sight](found), sight, found)


def note_print(session: Session, *, actor: Actor, patient_id: str, pharmacy_id: str) -> None:
    """Put on record that a patient's medicines and orders are printed. Raises as reading them does.

    Who sees orders alone prints no medicines: the patient's page would name somebody for what that person cannot do.
    """
    sight = policy.allow_context(
        actor,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        in_care=care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id),
    )
    if sight in _NO_MEDICINES:
        raise Forbidden("context-not-for-role")
    record(
        session,
        Action.PRINTED,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        on_behalf=actor.on_behalf(patient_id),
        entity=Entity("Patient", patient_id),
        purpose=actor.purpose,
        detail={"what": "medicines"},
    )


def for_desk(context: PatientContext) -> PatientContext:
    """The context without anything that names a medicine or a finding: who it is, allergies, orders."""
    return replace(_without_findings(context), medication_requests=(), other_dispenses=())


def for_refills(context: PatientContext) -> PatientContext:
    """Who it is, medicines and orders: nothing of what else was found or is insured."""
    return replace(_without_findings(context), allergies=(), allergy_state=AllergyState.UNAVAILABLE, coverages=())


def for_orders(context: PatientContext) -> PatientContext:
    """Who it is, and orders: nothing that names a medicine or a finding."""
    return replace(for_refills(context), medication_requests=(), other_dispenses=())


def _without_findings(context: PatientContext) -> PatientContext:
    return replace(context, conditions=(), labs=(), vitals=())


_CUT: Mapping[Sight, Callable[[PatientContext], PatientContext]] = {
    Sight.WHOLE: lambda context: context,
    Sight.DESK: for_desk,
    Sight.REFILLS: for_refills,
    Sight.ORDERS: for_orders,
}


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
        purpose=actor.purpose,
    )
    if fetched is not None:
        detail = {"connection": fetched.id, "query": "context"}
        note(Action.EHR_FETCHED, detail=detail)
        for entry in found.dropped_foreign:
            entity = Entity(entry.resource_type, entry.id) if entry.id else None
            note(Action.EHR_ENTRY_DROPPED, entity=entity, reason="foreign", detail=detail)
    note(Action.CONTEXT_READ, entity=Entity("Patient", patient_id))
