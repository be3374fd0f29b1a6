"""Patients: one row for each person who is cared for, and the person's id in each EHR. Nothing else is kept here."""

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.accounts.forms import first_wins
from portal.accounts.tables import Patient, PatientRecord
from portal.core import clock, ids
from portal.core.errors import Conflict, NotFound
from portal.ehr.model import Patient as EhrPatient


class Status(StrEnum):
    """Whether a patient can be written to. Learned from the EHR; nothing is ever sent unless `active`."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DECEASED = "deceased"
    MERGED = "merged"


def status_in(record: EhrPatient) -> Status:
    """Whether the person's record is still open, as the EHR tells it."""
    if record.deceased:
        return Status.DECEASED
    if record.replaced_by:
        return Status.MERGED
    return Status.ACTIVE if record.active else Status.INACTIVE


def known_as(session: Session, *, connection_id: str, fhir_id: str) -> Patient | None:
    """The patient an EHR knows by `fhir_id`; None when the portal does not know that record yet."""
    return session.scalar(
        select(Patient)
        .join(PatientRecord, PatientRecord.patient_id == Patient.id)
        .where(PatientRecord.connection_id == connection_id, PatientRecord.fhir_id == fhir_id)
    )


def ensure(session: Session, *, connection_id: str, fhir_id: str) -> Patient:
    """The patient an EHR knows by `fhir_id`, made now when new."""
    known = known_as(session, connection_id=connection_id, fhir_id=fhir_id)
    if known is not None:
        return known
    patient = Patient(id=ids.random_id(), status=Status.ACTIVE.value, created_at=clock.now())
    session.add(patient)
    session.flush()
    add_record(session, patient_id=patient.id, connection_id=connection_id, fhir_id=fhir_id)
    return patient


def add_record(session: Session, *, patient_id: str, connection_id: str, fhir_id: str) -> None:
    """Note the id under which one more EHR knows a patient.

    Raises Conflict when that EHR knows the patient by another id, or the id belongs to another patient.
    """
    owner = known_as(session, connection_id=connection_id, fhir_id=fhir_id)
    here = session.get(PatientRecord, (patient_id, connection_id))
    if owner is not None and owner.id == patient_id:
        return
    if owner is not None or here is not None:
        raise Conflict("patient-record")
    with first_wins(session, "patient-record"):
        session.add(PatientRecord(patient_id=patient_id, connection_id=connection_id, fhir_id=fhir_id))


def split(session: Session, *, patient_id: str, connection_ids: Collection[str] = ()) -> str:
    """A new patient that takes over what these EHRs know of another one, which was two people; gives the new id.

    The status goes with it until an EHR says otherwise: nothing is sent in the meantime that was not sent before.
    """
    mixed = session.get_one(Patient, patient_id)
    fresh = Patient(id=ids.random_id(), status=mixed.status, merged_into=mixed.merged_into, created_at=clock.now())
    session.add(fresh)
    session.flush()
    session.execute(
        update(PatientRecord)
        .where(PatientRecord.patient_id == patient_id, PatientRecord.connection_id.in_(connection_ids))
        .values(patient_id=fresh.id),
        execution_options={"synchronize_session": False},
    )
    return fresh.id


def record_ids(session: Session, *, patient_ids: list[str], connection_id: str) -> dict[str, str]:
    """Many patients' FHIR ids at one connection; those it does not know are left out."""
    rows = session.execute(
        select(PatientRecord.patient_id, PatientRecord.fhir_id).where(
            PatientRecord.connection_id == connection_id, PatientRecord.patient_id.in_(patient_ids)
        )
    )
    return dict(rows.all())


def learn_status(session: Session, *, patient_id: str, status: Status, merged_into: str | None = None) -> None:
    """Keep what the EHR says about a patient's record. `merged_into`: the portal's id of the patient that stays.

    Raises NotFound for an unknown patient.
    """
    patient = session.get(Patient, patient_id)
    if patient is None:
        raise NotFound()
    patient.status = status.value
    patient.merged_into = merged_into if status is Status.MERGED else None


def is_active(session: Session, patient_id: str) -> bool:
    """Whether anything may be sent to the patient. An unknown patient is not active."""
    patient = session.get(Patient, patient_id)
    return patient is not None and patient.status == Status.ACTIVE
