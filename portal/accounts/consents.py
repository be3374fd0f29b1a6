"""What a pharmacy lets a carer act on: a Consent that its EHR holds, or a paper that staff have seen.

Nobody gets more, or for longer, than it says. When it does not stand any more, what hangs on it ends at once:
relations, so that the next message is sealed without the carer, and open invitations (docs/decisions/0023).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from portal.accounts import carers, names, policy, relations
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.carers import What
from portal.accounts.roles import Kind, Scope
from portal.accounts.tables import CarerConsent, CarerInvitation, Relation
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.errors import NotFound

# A paper cannot be asked whether it still holds, so that somebody looks at it anew.
LONGEST_ON_PAPER = timedelta(days=366)
# Where a day begins first.
_FIRST_ZONE = timezone(timedelta(hours=14))


class Paper(StrEnum):
    """What staff have seen, where the EHR holds no Consent."""

    SIGNED = "signed-consent"
    POWER = "power-of-attorney"
    GUARDIANSHIP = "guardianship"
    BIRTH = "birth-record"


class Ended(StrEnum):
    """Why a consent stands no more."""

    # Not active any more, over, or no longer about this person.
    WITHDRAWN = "withdrawn"
    NARROWER = "narrower"
    # The EHR has not said for a week that it stands.
    UNCONFIRMED = "unconfirmed"
    PHARMACY = "pharmacy"
    PATIENT = "patient"
    CARE = "care-ended"


@dataclass(frozen=True)
class Basis:
    """What is kept: `reference` is the Consent (connection, FHIR id, version, person), `paper` its kind, `dated` when
    either was said."""

    pharmacy_id: str
    kind: Kind
    scope: Scope
    ends_at: datetime | None
    reference: tuple[str, str, str, str] | None = None
    paper: Paper | None = None
    dated: date | None = None


def keep(session: Session, *, actor: Actor, patient_id: str, basis: Basis) -> CarerConsent:
    """Keep what somebody is invited on, for a caller that has asked policy."""
    connection_id, fhir_id, version, person = basis.reference or (None,) * 4
    now = clock.now()
    row = CarerConsent(
        id=ids.random_id(),
        patient_id=patient_id,
        pharmacy_id=basis.pharmacy_id,
        connection_id=connection_id,
        fhir_id=fhir_id,
        version=version,
        person=person,
        paper=basis.paper,
        dated=basis.dated,
        kind=basis.kind.value,
        scope=basis.scope.value,
        ends_at=basis.ends_at,
        seen_by=actor.account_id,
        seen_at=now,
        confirmed_at=now,
        asked_at=now,
    )
    session.add(row)
    session.flush()
    return row


def stands(row: CarerConsent) -> bool:
    """Whether somebody may be let in on it now."""
    return row.ended_at is None and (row.ends_at is None or row.ends_at > clock.now())


def named(row: CarerConsent) -> dict[str, str]:
    """What the audit record says of it: ids and codes."""
    if row.fhir_id is not None:
        return {
            "consent": f"Consent/{row.fhir_id}",
            "version": row.version or "0",
            "connection": str(row.connection_id),
        }
    return {"consent": f"paper/{row.paper}", "dated": str(row.dated), "seen": row.seen_by}


def of_patient(session: Session, *, patient_id: str, pharmacy_id: str) -> list[CarerConsent]:
    """What a pharmacy has let people act for a patient on, and stands or has led to somebody; the newest first."""
    return list(
        session.scalars(
            select(CarerConsent)
            .where(CarerConsent.patient_id == patient_id, CarerConsent.pharmacy_id == pharmacy_id, _in_use())
            .order_by(CarerConsent.seen_at.desc(), CarerConsent.id)
        )
    )


def to_ask(session: Session, *, before: datetime) -> Sequence[CarerConsent]:
    """The Consents in use that no EHR was asked about since `before`, the longest ago first."""
    return session.scalars(
        select(CarerConsent)
        .where(_in_use(), CarerConsent.fhir_id.is_not(None), CarerConsent.asked_at < before)
        .order_by(CarerConsent.asked_at, CarerConsent.id)
    ).all()


def end(session: Session, *, agent: Agent, row: CarerConsent, why: Ended) -> None:
    """It stands no more: what hangs on it ends, and all concerned are told. Ended twice, or by two at once, it ends
    once."""
    # Not FOR UPDATE: whoever accepts a code holds the invitation and shares the key of this row with their relation.
    session.refresh(row, with_for_update={"key_share": True})
    if row.ended_at is not None:
        return
    now = clock.now()
    row.ended_at, row.why_ended = now, why.value
    record(
        session,
        Action.CARER_CONSENT_ENDED,
        agent=agent,
        patient_id=row.patient_id,
        pharmacy_id=row.pharmacy_id,
        entity=Entity("Patient", row.patient_id),
        purpose=Purpose.FAMRQT,
        detail={**named(row), "why": why.value},
    )
    # Invitations first: whoever accepts one at this moment is waited for, and is seen below.
    for invitation in session.scalars(
        select(CarerInvitation)
        .where(CarerInvitation.consent_id == row.id, *is_open(now))
        .order_by(CarerInvitation.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all():
        invitation.revoked_at = now
        note_invitation(session, agent, Action.CARER_UNINVITED, invitation, {})
    told = set(names.own_accounts(session, row.patient_id))
    for one in relations.live(session, patient_id=row.patient_id):
        if one.consent_id == row.id:
            relations.end(session, agent=agent, relation_id=one.id, pharmacy_id=row.pharmacy_id)
            told.add(one.account_id)
    if why is not Ended.PATIENT:
        carers.tell(session, told, What.CHANGED, now)


def lock(session: Session, consent_id: str) -> CarerConsent:
    """A consent that is kept, for who may end it: before the invitations and relations that hang on it."""
    return session.get_one(CarerConsent, consent_id, with_for_update={"key_share": True}, populate_existing=True)


def end_of_patient(session: Session, *, actor: Actor, relation_id: str) -> None:
    """The patient ends what somebody may do. Where a pharmacy let that one in, what it rests on ends as well, and so do
    all codes of pharmacies that nobody has used: one of them may be the same person's. Raises NotFound."""
    seen = session.get(Relation, relation_id)
    if seen is None:
        raise NotFound()
    policy.allow_carers(actor, patient_id=seen.patient_id)
    one_at_a_time(session, actor.account_id, seen.account_id)
    held = locked(session, seen.patient_id)
    on = carers.end(session, actor=actor, relation_id=relation_id)
    acts = {one.consent_id for one in relations.live(session, patient_id=seen.patient_id)}
    for one in held:
        if one.id == on or one.id not in acts:
            end(session, agent=actor.agent, row=one, why=Ended.PATIENT)


def locked(session: Session, patient_id: str) -> Sequence[CarerConsent]:
    """What is in use for a patient at any pharmacy, locked in one order for who may end several of them.

    Who locks several things here takes accounts by id, then the patient, then consents by id, then invitations, then
    relations.
    """
    return session.scalars(
        select(CarerConsent)
        .where(CarerConsent.patient_id == patient_id, _in_use())
        .order_by(CarerConsent.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()


def refused_at(session: Session, *, patient_id: str, connection_id: str, person: str) -> datetime | None:
    """When the patient last ended what this person of an EHR did, or was to do; None: never."""
    return session.scalar(
        select(func.max(CarerConsent.ended_at)).where(
            CarerConsent.patient_id == patient_id,
            CarerConsent.connection_id == connection_id,
            CarerConsent.person == person,
            CarerConsent.why_ended == Ended.PATIENT.value,
        )
    )


def is_later(said: date | None, refused: datetime) -> bool:
    """Whether something was said on a later day than the patient's no, in any zone, and not on one that is to come."""
    today = clock.now().astimezone(_FIRST_ZONE).date()
    return said is not None and refused.astimezone(_FIRST_ZONE).date() < said <= today


def note_invitation(
    session: Session, agent: Agent, action: Action, row: CarerInvitation, detail: dict[str, str]
) -> None:
    """Put on record what became of an invitation; with a consent also that one, and the pharmacy whose it is."""
    consent = session.get_one(CarerConsent, row.consent_id) if row.consent_id is not None else None
    record(
        session,
        action,
        agent=agent,
        patient_id=row.patient_id,
        pharmacy_id=consent.pharmacy_id if consent is not None else None,
        entity=Entity("Invitation", row.id),
        purpose=Purpose.PATRQT if consent is None else Purpose.FAMRQT,
        detail=detail if consent is None else {**detail, **named(consent)},
    )


def end_of_care(session: Session, *, agent: Agent, patient_id: str, pharmacy_ids: Collection[str]) -> None:
    """These pharmacies care for the patient no longer: nobody could say whether what they hold still stands."""
    for row in session.scalars(
        select(CarerConsent)
        .where(
            CarerConsent.patient_id == patient_id,
            CarerConsent.pharmacy_id.in_(pharmacy_ids),
            CarerConsent.ended_at.is_(None),
        )
        .order_by(CarerConsent.id)
        .with_for_update(key_share=True)
    ).all():
        end(session, agent=agent, row=row, why=Ended.CARE)


def _in_use() -> ColumnElement[bool]:
    """Not ended, and somebody acts on it or is asked to."""
    now = clock.now()
    acts = exists().where(
        Relation.consent_id == CarerConsent.id, or_(Relation.ends_at.is_(None), Relation.ends_at > now)
    )
    asked = exists().where(CarerInvitation.consent_id == CarerConsent.id, *is_open(now))
    return CarerConsent.ended_at.is_(None) & or_(acts, asked)


def is_open(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The invitations that may still be taken up (`carer_invitations.State.OPEN`)."""
    return (
        CarerInvitation.used_at.is_(None),
        CarerInvitation.declined_at.is_(None),
        CarerInvitation.revoked_at.is_(None),
        CarerInvitation.expires_at > now,
    )
