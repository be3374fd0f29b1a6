"""The wrong person was joined to a patient's record: staff undo it at once (docs/decisions/0018).

From that moment the account sees nothing of the patient: its relation, its helpers' and its sessions end, its
conversations leave its inbox and are shut to it, and the next epoch gives it no key. The pharmacy's conversations say
so, the record names who undid it and why, and the privacy officers of every pharmacy that cares for the patient are
told. What the person has read stays known to the person: no software takes that back. The way back is an invitation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import carers, names, policy, relations
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind
from portal.accounts.tables import Invitation, PatientRecord
from portal.audit import Action, Entity, Purpose, record
from portal.core.bus import Bus
from portal.core.errors import NotFound
from portal.identity import sessions
from portal.identity.sessions import EndedBy
from portal.notify.words import Template
from portal.pharmacies import care
from portal.privacy.stopping import tell_officers
from portal.threads import notices, tell
from portal.threads.tables import Thread
from portal.threads.tell import Told


class Why(StrEnum):
    """Why an account is parted from a patient."""

    SOMEBODY_ELSE = "somebody-else"
    WRONG_RECORD = "wrong-record"
    ASKED = "asked"


@dataclass(frozen=True)
class Joined:
    """An account that acts as the patient herself."""

    account_id: str
    name: str
    since: datetime


def joined(session: Session, *, actor: Actor, pharmacy_id: str, patient_id: str) -> list[Joined]:
    """The accounts that are joined to a patient as herself. Raises NotFound for a patient not in care, Forbidden."""
    caring = care.in_care(session, patient_id=patient_id, pharmacy_id=pharmacy_id)
    policy.allow_unbind(actor, pharmacy_id=pharmacy_id, in_care=caring)
    live = [one for one in relations.live(session, patient_id=patient_id) if one.kind == Kind.SELF]
    known = names.names_of(session, [one.account_id for one in live])
    return [Joined(one.account_id, known[one.account_id].name, one.starts_at) for one in live]


def undo(
    session: Session, *, actor: Actor, bus: Bus, pharmacy_id: str, patient_id: str, account_id: str, why: Why
) -> list[Told]:
    """Part an account from a patient at once. The caller publishes what comes back, after the commit.

    Raises NotFound for a patient not in care or an account that is not joined, Forbidden.
    """
    if account_id not in {
        one.account_id for one in joined(session, actor=actor, pharmacy_id=pharmacy_id, patient_id=patient_id)
    }:
        raise NotFound()
    cared_by = set(care.pharmacies_of(session, [patient_id])[patient_id])
    record(
        session,
        Action.RELATION_UNDONE,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.HOPERAT,
        detail={"why": why.value},
    )
    added = _added_here(session, pharmacy_id, patient_id, account_id)
    if added is not None:
        # The person's own record at another pharmacy got this pharmacy's patient beside it: only that is taken away.
        session.execute(
            delete(PatientRecord).where(
                PatientRecord.patient_id == patient_id, PatientRecord.connection_id == added.connection_id
            )
        )
        care.finish(session, actor=actor, patient_id=patient_id, pharmacy_id=pharmacy_id)
    else:
        for one in relations.live(session, account_id=account_id, patient_id=patient_id):
            relations.end(session, agent=actor.agent, relation_id=one.id, pharmacy_id=pharmacy_id)
        _end_helpers(session, actor, pharmacy_id, patient_id, account_id)
    told = _shut(session, _threads(session, patient_id, pharmacy_id if added is not None else None), account_id)
    sessions.end_all(session, bus, account_id, EndedBy.UNBOUND, agent=actor.agent)
    tell_officers(session, cared_by | {pharmacy_id}, Template.SOMEBODY_UNBOUND)
    return told


def _added_here(session: Session, pharmacy_id: str, patient_id: str, account_id: str) -> Invitation | None:
    """The invitation of this pharmacy by which the account's own patient got one more record, if it was that way."""
    return session.scalar(
        select(Invitation)
        .join(
            PatientRecord,
            (PatientRecord.connection_id == Invitation.connection_id) & (PatientRecord.fhir_id == Invitation.fhir_id),
        )
        .where(
            Invitation.pharmacy_id == pharmacy_id,
            Invitation.used_by == account_id,
            Invitation.added.is_(True),
            PatientRecord.patient_id == patient_id,
        )
        .limit(1)
    )


def _end_helpers(session: Session, actor: Actor, pharmacy_id: str, patient_id: str, account_id: str) -> None:
    """Whom the wrong person has let act for the patient goes too, and whoever was only invited does not come."""
    for helper in carers.undo_all_of(session, agent=actor.agent, account_id=account_id, patient_id=patient_id):
        for one in relations.live(session, account_id=helper, patient_id=patient_id):
            if one.kind != Kind.SELF:
                relations.end(session, agent=actor.agent, relation_id=one.id, pharmacy_id=pharmacy_id)


def _threads(session: Session, patient_id: str, pharmacy_id: str | None) -> Sequence[Thread]:
    wanted = select(Thread).where(Thread.patient_id == patient_id).order_by(Thread.id).with_for_update()
    if pharmacy_id is not None:
        wanted = wanted.where(Thread.pharmacy_id == pharmacy_id)
    return session.scalars(wanted).all()


def _shut(session: Session, threads: Sequence[Thread], account_id: str) -> list[Told]:
    """Take the conversations out of the account's inbox, mark it in them, and let the others' browsers hear of it."""
    told = []
    for thread in threads:
        if all(member["id"] != account_id for member in thread.members):
            continue
        thread.members = [_marked(member, account_id) for member in thread.members]
        notices.leave(session, thread=thread, reader_id=account_id)
        told.append(tell.touch(session, pharmacy_id=thread.pharmacy_id, thread_id=thread.id))
    return told


def _marked(member: dict[str, Any], account_id: str) -> dict[str, Any]:
    return {**member, "undone": True} if member["id"] == account_id else member
