"""Invitations: a code handed over by the pharmacy that binds an account to a patient, once, with the birth date.

Codes are known here only as hashes. Guessing is closed after five tries for a code or an address, for fifteen
minutes; a session that is signed in goes on working all the same. A code that is unknown, used, ended or belongs to
somebody else gets one answer, after the same steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from portal.accounts import patients, policy, relations
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Invitation, PatientRecord, RedeemFailure
from portal.audit import Action, Agent, Entity, Outcome, Purpose, record
from portal.core import clock, ids
from portal.core.database import Database, InEachDialect, table_of
from portal.core.errors import Conflict, Forbidden, NotFound, PortalError, TooMany, Unprocessable

CODE_BITS = 80
LIVES = timedelta(days=7)
TRIES = 5
CLOSED = timedelta(minutes=15)

_FAILURES = table_of(RedeemFailure)
_FIRST = InEachDialect(lambda insert: insert(_FAILURES).on_conflict_do_nothing())

# (connection id, FHIR id) → the patient's birth date in the EHR; None when it has none. Raises Unavailable.
BirthDateOf = Callable[[str, str], date | None]


@dataclass(frozen=True)
class Redeemed:
    """What an invitation led to."""

    patient_id: str
    pharmacy_id: str
    connection_id: str


def invite(session: Session, *, actor: Actor, pharmacy_id: str, connection_id: str, fhir_id: str) -> tuple[str, str]:
    """A member of staff invites a patient of the own pharmacy: (invitation id, code to hand over)."""
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    return create(session, agent=actor.agent, pharmacy_id=pharmacy_id, connection_id=connection_id, fhir_id=fhir_id)


def create(session: Session, *, agent: Agent, pharmacy_id: str, connection_id: str, fhir_id: str) -> tuple[str, str]:
    """Make an invitation (also from the command line): (invitation id, code). The code is shown this once only."""
    code = ids.hand_code(CODE_BITS)
    invitation = Invitation(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        code_hash=_code_hash(code),
        connection_id=connection_id,
        fhir_id=fhir_id,
        created_by=agent.account_id,
        created_at=clock.now(),
        expires_at=clock.now() + LIVES,
    )
    session.add(invitation)
    known = patients.known_as(session, connection_id=connection_id, fhir_id=fhir_id)
    record(
        session,
        Action.INVITATION_CREATED,
        agent=agent,
        patient_id=known.id if known is not None else None,
        pharmacy_id=pharmacy_id,
        entity=Entity("Invitation", invitation.id),
    )
    return invitation.id, code


def revoke(session: Session, *, actor: Actor, invitation_id: str) -> None:
    """Take an invitation back before it is used. Raises NotFound for a foreign or unknown one."""
    invitation = session.get(Invitation, invitation_id)
    if invitation is None:
        raise NotFound()
    policy.allow_invite(actor, pharmacy_id=invitation.pharmacy_id)
    if invitation.used_at is not None or invitation.revoked_at is not None:
        raise NotFound()
    invitation.revoked_at = clock.now()
    record(
        session,
        Action.INVITATION_REVOKED,
        agent=actor.agent,
        pharmacy_id=invitation.pharmacy_id,
        entity=Entity("Invitation", invitation.id),
    )


def redeem(
    database: Database,
    *,
    actor: Actor,
    code: str,
    birth_date: date,
    birth_date_from_ehr: BirthDateOf,
    kind: Kind = Kind.SELF,
    also: Callable[[Session, Redeemed], None],
) -> Redeemed:
    """Bind the actor's account to the invited patient; `also` runs in the same transaction (begins the care).

    Opens its own transactions, because the EHR is asked between them. Raises Unprocessable `invitation-refused` for
    any wrong code or birth date, TooMany after five of them, Conflict when the account already is somebody else at
    that pharmacy, and whatever `birth_date_from_ehr` raises when the EHR is down (that try does not count).
    """
    if actor.role is not Role.PATIENT:
        raise Forbidden("invitation-for-patients")
    keys = _failure_keys(code, actor.agent.address)
    with database.transaction() as session:
        target, valid = _begin_try(session, code, keys)
    try:
        in_ehr = birth_date_from_ehr(*target) if target is not None else None
    except PortalError:
        with database.transaction() as session:
            _take_back(session, keys)
        raise
    if not valid or in_ehr is None or in_ehr != birth_date:
        with database.transaction() as session:
            _refused(session, actor)
        raise Unprocessable("invitation-refused")
    with database.transaction() as session:
        redeemed = _accept(session, actor=actor, code=code, kind=kind)
        _take_back(session, keys)
        also(session, redeemed)
    return redeemed


def _begin_try(session: Session, code: str, keys: tuple[str, ...]) -> tuple[tuple[str, str] | None, bool]:
    """Count the try before its outcome is known, so that many at once do not slip through; where to look in the EHR."""
    moment = clock.now()
    for key in keys:
        # The first of two tries at once makes the row, the second waits for it: neither is left uncounted.
        session.execute(_FIRST.of(session), {"key": key, "failures": 0, "since": moment})
        failure = session.get_one(RedeemFailure, key, with_for_update=True)
        if failure.since + CLOSED <= moment:
            failure.failures = 0
        elif failure.failures >= TRIES:
            left = failure.since + CLOSED - moment
            raise TooMany("redeem-later", retry_after=int(left.total_seconds()) + 1)
        failure.failures, failure.since = failure.failures + 1, moment
    # Rows that another try holds are left to it: waiting for them could be waiting in a circle.
    old = select(RedeemFailure.key).where(RedeemFailure.since < moment - CLOSED).with_for_update(skip_locked=True)
    session.execute(
        delete(RedeemFailure).where(RedeemFailure.key.in_(old)), execution_options={"synchronize_session": False}
    )
    invitation = session.scalar(_coded(code))
    valid = invitation is not None and _usable(invitation)
    # A code that leads nowhere asks the EHR too, for the newest invited patient, so that time tells nothing.
    decoy = session.scalar(select(Invitation).order_by(Invitation.created_at.desc()).limit(1))
    target = invitation if invitation is not None else decoy
    return ((target.connection_id, target.fhir_id) if target is not None else None), valid


def _accept(session: Session, *, actor: Actor, code: str, kind: Kind) -> Redeemed:
    invitation = session.scalar(_coded(code).with_for_update())
    if invitation is None or not _usable(invitation):
        raise Unprocessable("invitation-refused")
    one_at_a_time(session, actor.account_id)
    patient_id = _patient_for(session, actor, invitation, kind)
    invitation.used_at, invitation.used_by = clock.now(), actor.account_id
    relations.bind(
        session,
        agent=actor.agent,
        account_id=actor.account_id,
        patient_id=patient_id,
        kind=kind,
        pharmacy_id=invitation.pharmacy_id,
    )
    record(
        session,
        Action.INVITATION_REDEEMED,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=invitation.pharmacy_id,
        entity=Entity("Invitation", invitation.id),
        purpose=Purpose.PATRQT,
    )
    return Redeemed(patient_id, invitation.pharmacy_id, invitation.connection_id)


def _patient_for(session: Session, actor: Actor, invitation: Invitation, kind: Kind) -> str:
    where = {"connection_id": invitation.connection_id, "fhir_id": invitation.fhir_id}
    if kind is not Kind.SELF:
        return patients.ensure(session, **where).id
    # Asked anew: the actor was loaded before another code may have been redeemed.
    live = relations.live(session, account_id=actor.account_id)
    own = [relation.patient_id for relation in live if relation.kind == Kind.SELF]
    known = patients.known_as(session, **where)
    if known is not None and known.id in own:
        return known.id
    taken = session.scalar(
        select(func.count())
        .select_from(PatientRecord)
        .where(PatientRecord.patient_id.in_(own), PatientRecord.connection_id == invitation.connection_id)
    )
    if taken:
        raise Conflict("self-already-bound")
    if known is None and own:
        patients.add_record(session, patient_id=own[0], **where)
        return own[0]
    return patients.ensure(session, **where).id


def _coded(code: str) -> Select[Invitation]:
    return select(Invitation).where(Invitation.code_hash == _code_hash(code))


def _usable(invitation: Invitation) -> bool:
    return invitation.used_at is None and invitation.revoked_at is None and invitation.expires_at > clock.now()


def _refused(session: Session, actor: Actor) -> None:
    record(
        session,
        Action.INVITATION_REFUSED,
        agent=actor.agent,
        outcome=Outcome.SERIOUS,
        reason="invitation-refused",
        purpose=Purpose.PATRQT,
    )


def _take_back(session: Session, keys: tuple[str, ...]) -> None:
    for key in keys:
        failure = session.get(RedeemFailure, key, with_for_update=True)
        if failure is not None:
            failure.failures = max(0, failure.failures - 1)


def _failure_keys(code: str, address: str | None) -> tuple[str, ...]:
    return (ids.digest(f"code:{ids.normal_hand_code(code)}"), ids.digest(f"address:{address or ''}"))


def _code_hash(code: str) -> str:
    return ids.digest(ids.normal_hand_code(code))
