"""The wrong person was joined to a patient's record: staff undo it at once (docs/decisions/0018).

From that moment the account sees nothing of the patient: its relation, its helpers' and its sessions end, its
conversations leave its inbox and are shut to it, and the next epoch gives it no key. The pharmacy's conversations say
so, the record names who undid it and why, and the privacy officers of every pharmacy that cares for the patient are
told. What the person has read stays known to the person: no software takes that back. The way back is an invitation.

Where two people's records lie in one patient, they are taken apart: what this pharmacy has, or what the account's own
cards of other pharmacies brought, gets a patient of its own, with that pharmacy's care and conversations.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import carer_invitations, consents, names, patients, policy, relations
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.roles import Kind
from portal.accounts.tables import Invitation, Patient, PatientRecord
from portal.audit import Action, Entity, Purpose, record
from portal.core.bus import Bus
from portal.core.errors import NotFound
from portal.e2ee.records import Role
from portal.identity import sessions
from portal.identity.session_life import EndedBy
from portal.notify.words import Template
from portal.pharmacies import care
from portal.pharmacies.tables import CareRelation, EhrConnection
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
    # Before anything is looked at: of two who press at the same moment the second sees what the first has done, else it
    # would take the person's own record away. Neither another card nor a new message of this account comes between:
    # conversations first, as senders lock them.
    one_at_a_time(session, account_id)
    if account_id not in {
        one.account_id for one in joined(session, actor=actor, pharmacy_id=pharmacy_id, patient_id=patient_id)
    }:
        raise NotFound()
    threads = _threads(session, patient_id)
    session.get_one(Patient, patient_id, with_for_update={"key_share": True})
    cared_by = set(care.pharmacies_of(session, [patient_id])[patient_id])
    _note(session, actor, pharmacy_id, patient_id, account_id, why)
    added = _added(session, patient_id, account_id)
    if any(one.pharmacy_id == pharmacy_id for one in added):
        # The person's own record at another pharmacy got this pharmacy's patient beside it: all that is of this
        # pharmacy goes to a patient of its own, whom neither the person nor the person's helpers act for.
        people = set(relations.ever(session, patient_id))
        fresh = _move_apart(session, actor, patient_id, {pharmacy_id}, added, threads)
        _note(session, actor, pharmacy_id, fresh, account_id, why)
        here = [one for one in threads if one.pharmacy_id == pharmacy_id]
    else:
        since = min(one.starts_at for one in relations.live(session, account_id=account_id, patient_id=patient_id))
        for one in relations.live(session, account_id=account_id, patient_id=patient_id):
            relations.end(session, agent=actor.agent, relation_id=one.id, pharmacy_id=pharmacy_id)
        helpers = _end_helpers(session, actor, pharmacy_id, patient_id, account_id)
        people = {account_id, *helpers}
        # What the person's own cards of other pharmacies have added is the person's, and goes along. So does what the
        # person began without a card, unless somebody is left who may have begun it.
        others = {one.pharmacy_id for one in added}
        if not relations.live(session, patient_id=patient_id):
            others |= _chosen(session, patient_id, since) - {pharmacy_id}
        if others:
            own = _move_apart(session, actor, patient_id, others, added, threads)
            relations.bind(session, agent=actor.agent, account_id=account_id, patient_id=own, kind=Kind.SELF)
        here = [one for one in threads if one.pharmacy_id not in others]
    _put_aside(session, actor, here, people)
    told = _shut(session, here, people)
    told += [tell.touch(session, pharmacy_id=one.pharmacy_id, thread_id=one.id) for one in threads if one not in here]
    sessions.end_all(session, bus, account_id, EndedBy.UNBOUND, agent=actor.agent)
    tell_officers(session, cared_by | {pharmacy_id}, Template.SOMEBODY_UNBOUND)
    return told


def _note(session: Session, actor: Actor, pharmacy_id: str, patient_id: str, account_id: str, why: Why) -> None:
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


def _added(session: Session, patient_id: str, account_id: str) -> Sequence[Invitation]:
    """The account's invitations by which this patient, its own already, got one more pharmacy's record."""
    return session.scalars(
        select(Invitation)
        .join(
            PatientRecord,
            (PatientRecord.connection_id == Invitation.connection_id) & (PatientRecord.fhir_id == Invitation.fhir_id),
        )
        .where(Invitation.used_by == account_id, Invitation.added.is_(True), PatientRecord.patient_id == patient_id)
        .order_by(Invitation.id)
    ).all()


def _chosen(session: Session, patient_id: str, since: datetime) -> set[str]:
    """The pharmacies without a record of this patient that the patient's side alone has chosen, none before `since`."""
    known = set(
        session.scalars(
            select(EhrConnection.pharmacy_id)
            .join(PatientRecord, PatientRecord.connection_id == EhrConnection.id)
            .where(PatientRecord.patient_id == patient_id)
        )
    )
    rows = session.execute(
        select(CareRelation.pharmacy_id, CareRelation.source, CareRelation.starts_at).where(
            CareRelation.patient_id == patient_id
        )
    ).all()
    otherwise = {pharmacy for pharmacy, source, at in rows if source != care.Source.PATIENT or at < since}
    return {pharmacy for pharmacy, _, _ in rows} - otherwise - known


def _move_apart(
    session: Session,
    actor: Actor,
    patient_id: str,
    pharmacies: Collection[str],
    added: Sequence[Invitation],
    threads: Sequence[Thread],
) -> str:
    """A new patient with the records, the care and the conversations of these pharmacies; gives the new id."""
    theirs = [one for one in added if one.pharmacy_id in pharmacies]
    fresh = patients.split(session, patient_id=patient_id, connection_ids={one.connection_id for one in theirs})
    for one in theirs:
        # From here on that record lies alone: parting somebody from it once more ends the relation.
        one.added = False
    consents.end_of_care(session, agent=actor.agent, patient_id=patient_id, pharmacy_ids=pharmacies)
    for pharmacy_id in sorted(pharmacies):
        care.move(session, agent=actor.agent, pharmacy_id=pharmacy_id, patient_id=patient_id, to=fresh)
    moved = [one for one in threads if one.pharmacy_id in pharmacies]
    _keep_past(session, moved, fresh)
    for thread in moved:
        thread.patient_id = fresh
    session.flush()
    return fresh


def _keep_past(session: Session, threads: Sequence[Thread], to: str) -> None:
    """Who was in these conversations in person has a past with the patient to whom they go."""
    for patient_id in sorted({one.patient_id for one in threads}):
        known = {id for one in threads if one.patient_id == patient_id for id in one.state.get("known", ())}
        relations.keep_past(session, patient_id=patient_id, to=to, account_ids=known)


def _end_helpers(session: Session, actor: Actor, pharmacy_id: str, patient_id: str, account_id: str) -> list[str]:
    """Whom the wrong person has let act for the patient goes too, and whoever was only invited does not come."""
    helpers = carer_invitations.undo_all_of(session, agent=actor.agent, account_id=account_id, patient_id=patient_id)
    for helper in helpers:
        for one in relations.live(session, account_id=helper, patient_id=patient_id):
            if one.kind != Kind.SELF:
                relations.end(session, agent=actor.agent, relation_id=one.id, pharmacy_id=pharmacy_id)
    return helpers


def _threads(session: Session, patient_id: str) -> Sequence[Thread]:
    return session.scalars(
        select(Thread).where(Thread.patient_id == patient_id).order_by(Thread.id).with_for_update()
    ).all()


def _put_aside(session: Session, actor: Actor, threads: Sequence[Thread], people: Collection[str]) -> None:
    """Conversations that a helper of the wrong person began before that person had keys go to a patient without record.

    The right patient would be let into them otherwise: nobody is a member there in person whom no epoch leaves out.
    """
    aside: dict[tuple[str, str], str] = {}
    for thread in threads:
        listed = any(member["role"] == Role.PATIENT.value for member in thread.members)
        if listed or not set(people).intersection(thread.state.get("known", ())):
            continue
        where = (thread.patient_id, thread.pharmacy_id)
        if where not in aside:
            aside[where] = patients.split(session, patient_id=thread.patient_id)
            if care.in_care(session, patient_id=thread.patient_id, pharmacy_id=thread.pharmacy_id):
                care.start(
                    session,
                    agent=actor.agent,
                    patient_id=aside[where],
                    pharmacy_id=thread.pharmacy_id,
                    source=care.Source.PATIENT,
                )
        _keep_past(session, [thread], aside[where])
        thread.patient_id = aside[where]
    session.flush()


def _shut(session: Session, threads: Sequence[Thread], people: Collection[str]) -> list[Told]:
    """Take the conversations out of these people's inboxes, mark them, and let the others' browsers hear of it."""
    told = []
    for thread in threads:
        thread.members = [{**member, "undone": True} if member["id"] in people else member for member in thread.members]
        # Also where it waits for somebody's keys: who has none has the line in the inbox, and is no member.
        for one in sorted(people):
            notices.leave(session, thread=thread, reader_id=one)
        told.append(tell.touch(session, pharmacy_id=thread.pharmacy_id, thread_id=thread.id))
    return told
