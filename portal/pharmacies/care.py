"""Care relations: the one thing that gives a pharmacy sight of a patient (design decision 14).

It begins when the patient picks or writes to the pharmacy, takes its invitation, or the EHR names it as dispenser;
either side ends it, both see it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from portal.accounts import consents, policy
from portal.accounts.actor import Actor
from portal.accounts.tables import Patient
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import NotFound
from portal.pharmacies.tables import CareRelation, Pharmacy


class Source(StrEnum):
    """What began a care relation."""

    PATIENT = "patient"
    INVITATION = "invitation"
    MATCHED = "matched"
    DISPENSER = "dispenser"


def start(
    session: Session,
    *,
    agent: Agent,
    patient_id: str,
    pharmacy_id: str,
    source: Source,
    on_behalf: str | None = None,
) -> None:
    """Put a patient into the care of a pharmacy from now on; one that is in care stays so.

    Raises NotFound for an unknown patient or pharmacy.
    """
    # Locked, so that the care that two begin at the same moment is one.
    patient = session.get(Patient, patient_id, with_for_update={"key_share": True})
    if patient is None or session.get(Pharmacy, pharmacy_id) is None:
        raise NotFound()
    if in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id):
        return
    session.add(
        CareRelation(pharmacy_id=pharmacy_id, patient_id=patient_id, starts_at=clock.now(), source=source.value)
    )
    session.flush()
    record(
        session,
        Action.CARE_STARTED,
        agent=agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        on_behalf=on_behalf,
        entity=Entity("Patient", patient_id),
        detail={"source": source.value},
    )


def choose(session: Session, *, actor: Actor, patient_id: str, pharmacy_id: str) -> None:
    """The patient's side picks a pharmacy. Raises NotFound for a foreign patient or an unknown pharmacy."""
    policy.allow_start_care(actor, patient_id=patient_id)
    start(
        session,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        source=Source.PATIENT,
        on_behalf=actor.on_behalf(patient_id),
    )


def end(session: Session, *, actor: Actor, patient_id: str, pharmacy_id: str) -> None:
    """End the care relation, from either side. Raises NotFound when there is none, or none of the actor's business."""
    caring = in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id)
    policy.allow_end_care(actor, patient_id=patient_id, pharmacy_id=pharmacy_id, in_care=caring)
    finish(session, actor=actor, patient_id=patient_id, pharmacy_id=pharmacy_id)


def finish(session: Session, *, actor: Actor, patient_id: str, pharmacy_id: str) -> None:
    """End a care relation for a caller that has asked policy: `end`, and undoing a wrong joining."""
    consents.end_of_care(session, agent=actor.agent, patient_id=patient_id, pharmacy_ids=[pharmacy_id])
    session.execute(
        update(CareRelation)
        .where(_now(), CareRelation.pharmacy_id == pharmacy_id, CareRelation.patient_id == patient_id)
        .values(ends_at=clock.now(), ended_by="pharmacy" if actor.staff else "patient")
    )
    record(
        session,
        Action.CARE_ENDED,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        on_behalf=actor.on_behalf(patient_id),
        entity=Entity("Patient", patient_id),
        purpose=Purpose.HOPERAT if actor.staff else Purpose.PATRQT,
    )


def move(session: Session, *, agent: Agent, pharmacy_id: str, patient_id: str, to: str) -> None:
    """A pharmacy's care, with its past, was that of another patient: it goes over, and both patients' records say so.

    For a caller that has asked policy. What the pharmacy did meanwhile stays on record where it was written.
    """
    live = session.scalar(
        select(CareRelation.source).where(
            _now(), CareRelation.pharmacy_id == pharmacy_id, CareRelation.patient_id == patient_id
        )
    )
    session.execute(
        update(CareRelation)
        .where(CareRelation.pharmacy_id == pharmacy_id, CareRelation.patient_id == patient_id)
        .values(patient_id=to),
        execution_options={"synchronize_session": False},
    )
    if live is None:
        return
    for action, whose, detail in (
        (Action.CARE_ENDED, patient_id, {}),
        (Action.CARE_STARTED, to, {"source": live}),
    ):
        record(
            session,
            action,
            agent=agent,
            patient_id=whose,
            pharmacy_id=pharmacy_id,
            entity=Entity("Patient", whose),
            purpose=Purpose.HOPERAT,
            detail=detail,
        )


def in_care(session: Session, *, patient_id: str, pharmacy_id: str) -> bool:
    """Whether the pharmacy has the patient in its care now."""
    found = session.scalar(
        select(CareRelation.pharmacy_id).where(
            _now(), CareRelation.pharmacy_id == pharmacy_id, CareRelation.patient_id == patient_id
        )
    )
    return found is not None


def in_care_of(session: Session, *, pharmacy_id: str, patient_ids: list[str]) -> frozenset[str]:
    """Those of many patients that a pharmacy has in its care now. One query."""
    return frozenset(
        session.scalars(
            select(CareRelation.patient_id).where(
                _now(), CareRelation.pharmacy_id == pharmacy_id, CareRelation.patient_id.in_(patient_ids)
            )
        )
    )


def pharmacies_of(session: Session, patient_ids: list[str]) -> dict[str, list[str]]:
    """For each patient the pharmacies that care for them now, the longest first. One query."""
    rows = session.execute(
        select(CareRelation.patient_id, CareRelation.pharmacy_id)
        .where(_now(), CareRelation.patient_id.in_(patient_ids))
        .order_by(CareRelation.starts_at, CareRelation.pharmacy_id)
    )
    found: dict[str, list[str]] = {patient_id: [] for patient_id in patient_ids}
    for patient_id, pharmacy_id in rows:
        found[patient_id].append(pharmacy_id)
    return found


@dataclass(frozen=True)
class Care:
    """A pharmacy's care for a patient as the patient reads it: the newest of a pharmacy; `ended_by` a side."""

    pharmacy_id: str
    source: str
    starts_at: datetime
    ends_at: datetime | None
    ended_by: str | None


def history(session: Session, patient_ids: list[str]) -> dict[str, list[Care]]:
    """For each patient the pharmacies that care or have cared, those that care now first. One query."""
    rows = session.execute(
        select(
            CareRelation.patient_id,
            CareRelation.pharmacy_id,
            CareRelation.source,
            CareRelation.starts_at,
            CareRelation.ends_at,
            CareRelation.ended_by,
        )
        .where(CareRelation.patient_id.in_(patient_ids))
        .order_by(CareRelation.starts_at, CareRelation.pharmacy_id)
    )
    newest: dict[str, dict[str, Care]] = {patient_id: {} for patient_id in patient_ids}
    for patient_id, pharmacy_id, source, starts_at, ends_at, ended_by in rows:
        newest[patient_id][pharmacy_id] = Care(pharmacy_id, source, starts_at, ends_at, ended_by)
    return {
        patient_id: sorted(found.values(), key=lambda one: one.ends_at is not None)
        for patient_id, found in newest.items()
    }


def ever_cared(session: Session, patient_id: str) -> frozenset[str]:
    """All pharmacies that have had the patient in care at any time."""
    return frozenset(
        session.scalars(select(CareRelation.pharmacy_id).where(CareRelation.patient_id == patient_id).distinct())
    )


def patients_in_care(
    session: Session, *, actor: Actor, pharmacy_id: str, after: str | None = None, limit: int = 100
) -> list[Patient]:
    """The pharmacy's patients in the order of their ids, `limit` at most, behind the id `after`."""
    policy.allow_patients(actor, pharmacy_id=pharmacy_id)
    wanted = (
        select(Patient)
        .join(CareRelation, and_(CareRelation.patient_id == Patient.id, _now()))
        .where(CareRelation.pharmacy_id == pharmacy_id)
        .order_by(Patient.id)
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(Patient.id > after)
    return list(session.scalars(wanted))


def _now() -> ColumnElement[bool]:
    return CareRelation.ends_at.is_(None)
