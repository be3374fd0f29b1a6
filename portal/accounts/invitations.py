"""Invitations: a code handed over by the pharmacy that binds an account to a patient, once, with the birth date.

Codes are known here only as hashes. Guessing is closed after five tries: for a code for a day, so that who finds a card
does not go through the birth dates of the person it names; for an address for fifteen minutes. A session that is signed
in goes on working all the same. A code that is unknown, used, ended, belongs to somebody else, or whose patient has an
account by now, gets one answer, after the same steps.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, delete, func, select, tuple_
from sqlalchemy.orm import Session

from portal.accounts import patients, policy, relations, stops
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Invitation, PatientRecord, RedeemFailure
from portal.audit import Action, Agent, Entity, Outcome, Purpose, record
from portal.core import clock, ids
from portal.core.database import Database, InEachDialect, table_of
from portal.core.errors import Conflict, Forbidden, NotFound, PortalError, TooMany, Unprocessable
from portal.core.lives import Life, Step
from portal.core.texts import DEFAULT_LANGUAGE

CODE_BITS = 80
LIVES = timedelta(days=7)
# Of one pharmacy: far more than a desk hands out, and few enough that nobody papers a town with codes.
MOST_OPEN = 1000
MOST_A_DAY = 300
PAGE = 25
TRIES = 5
CODE_CLOSED = timedelta(days=1)
ADDRESS_CLOSED = timedelta(minutes=15)
# The refusal by whom the tries are counted for.
_LATER = {CODE_CLOSED: "redeem-tomorrow", ADDRESS_CLOSED: "redeem-later"}
# The patient is somebody's already, or became it at the same moment.
_TAKEN = frozenset({"patient-has-account", "patient-record"})

_FAILURES = table_of(RedeemFailure)
_FIRST = InEachDialect(lambda insert: insert(_FAILURES).on_conflict_do_nothing())


class State(StrEnum):
    """Where an invitation stands."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    REPLACED = "replaced"
    EXPIRED = "expired"


class Event(StrEnum):
    """What moves an invitation."""

    INVITE = "a patient is invited"
    USE = "its code joins an account"
    REVOKE = "taken back"
    RENEW = "a new code is made"
    RUN_OUT = "its time is over"


LIFE: Life[State, Event] = Life(
    "patient's invitation",
    (
        Step(None, Event.INVITE, State.OPEN),
        Step(State.OPEN, Event.USE, State.USED),
        Step(State.OPEN, Event.REVOKE, State.REVOKED),
        Step(State.OPEN, Event.RENEW, State.REPLACED),
        Step(State.OPEN, Event.RUN_OUT, State.EXPIRED),
    ),
)

# (connection id, FHIR id) → the patient's birth date in the EHR; None when it has none. Raises Unavailable.
BirthDateOf = Callable[[str, str], date | None]


@dataclass(frozen=True)
class Redeemed:
    """What an invitation led to."""

    patient_id: str
    pharmacy_id: str
    connection_id: str


def state_of(row: Invitation) -> State:
    """Where an invitation stands now; nothing waits for a timer."""
    if row.used_at is not None:
        return State.USED
    if row.revoked_at is not None:
        return State.REVOKED if row.replaced_by is None else State.REPLACED
    return State.OPEN if row.expires_at > clock.now() else State.EXPIRED


def invite(
    session: Session,
    *,
    actor: Actor,
    pharmacy_id: str,
    connection_id: str,
    fhir_id: str,
    language: str = DEFAULT_LANGUAGE,
) -> tuple[str, str]:
    """A member of staff invites a patient of the own pharmacy: (invitation id, code to hand over).

    A code for the same patient that is open ends. Raises NotFound, Forbidden, also `keys-stopped`; TooMany beyond the
    pharmacy's bounds.
    """
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    stops.hold(session, actor.account_id)
    made = select(func.count()).select_from(Invitation).where(Invitation.pharmacy_id == pharmacy_id)
    waiting = session.scalar(made.where(_IS[State.OPEN]())) or 0
    of_today = session.scalar(made.where(Invitation.created_at > clock.now() - timedelta(days=1))) or 0
    if waiting >= MOST_OPEN or of_today >= MOST_A_DAY:
        raise TooMany("too-many-invitations")
    where = {"pharmacy_id": pharmacy_id, "connection_id": connection_id, "fhir_id": fhir_id}
    return create(session, agent=actor.agent, language=language, **where)


def create(
    session: Session,
    *,
    agent: Agent,
    pharmacy_id: str,
    connection_id: str,
    fhir_id: str,
    language: str = DEFAULT_LANGUAGE,
) -> tuple[str, str]:
    """Make an invitation (also from the command line): (invitation id, code). The code is shown this once only."""
    code = ids.hand_code(CODE_BITS)
    invitation = Invitation(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        code_hash=ids.hand_code_digest(code),
        connection_id=connection_id,
        fhir_id=fhir_id,
        language=language,
        created_by=agent.account_id,
        created_at=clock.now(),
        expires_at=clock.now() + LIVES,
    )
    for earlier in session.scalars(
        select(Invitation)
        .where(
            Invitation.pharmacy_id == pharmacy_id,
            Invitation.connection_id == connection_id,
            Invitation.fhir_id == fhir_id,
            _IS[State.OPEN](),
        )
        .order_by(Invitation.id)
        .with_for_update()
    ).all():
        earlier.revoked_at, earlier.revoked_by, earlier.replaced_by = clock.now(), agent.account_id, invitation.id
        _note(session, Action.INVITATION_REVOKED, agent, earlier)
    session.add(invitation)
    _note(session, Action.INVITATION_CREATED, agent, invitation)
    return invitation.id, code


def revoke(session: Session, *, actor: Actor, pharmacy_id: str, invitation_id: str) -> None:
    """Take an invitation back before it is used. Raises NotFound for a foreign or unknown one, Conflict."""
    invitation = get(session, actor=actor, pharmacy_id=pharmacy_id, invitation_id=invitation_id)
    if LIFE.after(state_of(invitation), Event.REVOKE) is None:
        raise Conflict("invitation-over")
    invitation.revoked_at, invitation.revoked_by = clock.now(), actor.account_id
    _note(session, Action.INVITATION_REVOKED, actor.agent, invitation)


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop: the codes that the account has made open nothing any more, as somebody else may hold them."""
    rows = session.scalars(
        select(Invitation)
        .where(Invitation.created_by == actor.account_id, _IS[State.OPEN]())
        .order_by(Invitation.id)
        .with_for_update()
    ).all()
    for row in rows:
        row.revoked_at, row.revoked_by = clock.now(), actor.account_id
        _note(session, Action.INVITATION_REVOKED, actor.agent, row)


def get(session: Session, *, actor: Actor, pharmacy_id: str, invitation_id: str) -> Invitation:
    """An invitation of the own pharmacy, locked. Raises NotFound, Forbidden."""
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    row = session.get(Invitation, invitation_id, with_for_update=True)
    if row is None or row.pharmacy_id != pharmacy_id:
        raise NotFound()
    return row


def listed(
    session: Session,
    *,
    actor: Actor,
    pharmacy_id: str,
    state: State | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> tuple[list[Invitation], str | None]:
    """A pharmacy's invitations, the newest first, and where the next page begins. `after`: the last one seen.

    Raises NotFound, Forbidden.
    """
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    wanted = select(Invitation).where(Invitation.pharmacy_id == pharmacy_id)
    if state is not None:
        wanted = wanted.where(_IS[state]())
    if after is not None:
        seen = session.get(Invitation, after)
        if seen is None or seen.pharmacy_id != pharmacy_id:
            raise NotFound()
        wanted = wanted.where(tuple_(Invitation.created_at, Invitation.id) < (seen.created_at, seen.id))
    rows = list(session.scalars(wanted.order_by(Invitation.created_at.desc(), Invitation.id.desc()).limit(limit + 1)))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def open_until(session: Session, *, pharmacy_id: str, connection_id: str, fhir_ids: list[str]) -> dict[str, datetime]:
    """Those of several people who have a code of a pharmacy that works now, by FHIR id, and until when."""
    rows = session.execute(
        select(Invitation.fhir_id, Invitation.expires_at).where(
            Invitation.pharmacy_id == pharmacy_id,
            Invitation.connection_id == connection_id,
            Invitation.fhir_id.in_(fhir_ids),
            _IS[State.OPEN](),
        )
    )
    return dict(rows.all())


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

    Opens its own transactions, because the EHR is asked between them. Raises Forbidden `keys-stopped`, Unprocessable
    `invitation-refused` for any wrong code or birth date and for a patient who has an account by now, TooMany after
    five of them, Conflict when the account already is somebody else at that pharmacy, and whatever
    `birth_date_from_ehr` raises when the EHR is down (that try does not count).
    """
    if actor.role is not Role.PATIENT:
        raise Forbidden("invitation-for-patients")
    keys = _failure_keys(code, actor.agent.address)
    with database.transaction() as session:
        stops.hold(session, actor.account_id)
        target, valid, pharmacy_id = _begin_try(session, code, keys)
    try:
        in_ehr = birth_date_from_ehr(*target) if target is not None else None
    except PortalError:
        with database.transaction() as session:
            _take_back(session, keys)
        raise
    if not valid or in_ehr is None or in_ehr != birth_date:
        with database.transaction() as session:
            _refused(session, actor, pharmacy_id)
        raise Unprocessable("invitation-refused")
    try:
        with database.transaction() as session:
            redeemed = _accept(session, actor=actor, code=code, kind=kind)
            _take_back(session, keys)
            also(session, redeemed)
    except Conflict as problem:
        if problem.code not in _TAKEN:
            raise
        # Who has an account is not told to whoever holds a code; the try stays counted.
        with database.transaction() as session:
            _refused(session, actor, pharmacy_id)
        raise Unprocessable("invitation-refused") from problem
    return redeemed


def _begin_try(
    session: Session, code: str, keys: dict[str, timedelta]
) -> tuple[tuple[str, str] | None, bool, str | None]:
    """Count the try before its outcome is known, so that many at once do not slip through.

    Where to look in the EHR, whether the code may work, and whose code it is.
    """
    moment = clock.now()
    for key, closed in keys.items():
        # The first of two tries at once makes the row, the second waits for it: neither is left uncounted.
        session.execute(_FIRST.of(session), {"key": key, "failures": 0, "since": moment})
        failure = session.get_one(RedeemFailure, key, with_for_update=True)
        if failure.since + closed <= moment:
            failure.failures = 0
        elif failure.failures >= TRIES:
            left = failure.since + closed - moment
            raise TooMany(_LATER[closed], retry_after=int(left.total_seconds()) + 1)
        failure.failures, failure.since = failure.failures + 1, moment
    # Rows that another try holds are left to it: waiting for them could be waiting in a circle.
    old = select(RedeemFailure.key).where(RedeemFailure.since < moment - CODE_CLOSED).with_for_update(skip_locked=True)
    session.execute(
        delete(RedeemFailure).where(RedeemFailure.key.in_(old)), execution_options={"synchronize_session": False}
    )
    invitation = session.scalar(_coded(code))
    valid = invitation is not None and _usable(invitation)
    # A code that leads nowhere asks the EHR too, for the newest invited patient, so that time tells nothing.
    decoy = session.scalar(select(Invitation).order_by(Invitation.created_at.desc()).limit(1))
    target = invitation if invitation is not None else decoy
    where = (target.connection_id, target.fhir_id) if target is not None else None
    return where, valid, invitation.pharmacy_id if invitation is not None else None


def join(
    session: Session, *, agent: Agent, account_id: str, pharmacy_id: str, connection_id: str, fhir_id: str
) -> Redeemed:
    """Join an account that staff have compared with a record: an invitation that is used at once, its code unknown.

    An open code for the same patient ends. Raises Conflict `self-already-bound`, `patient-has-account`.
    """
    invitation_id, _ = create(
        session, agent=agent, pharmacy_id=pharmacy_id, connection_id=connection_id, fhir_id=fhir_id
    )
    invitation = session.get_one(Invitation, invitation_id)
    return _use(session, invitation, agent=agent, account_id=account_id, kind=Kind.SELF)


def _accept(session: Session, *, actor: Actor, code: str, kind: Kind) -> Redeemed:
    invitation = session.scalar(_coded(code).with_for_update())
    if invitation is None or not _usable(invitation):
        raise Unprocessable("invitation-refused")
    return _use(session, invitation, agent=actor.agent, account_id=actor.account_id, kind=kind)


def _use(session: Session, invitation: Invitation, *, agent: Agent, account_id: str, kind: Kind) -> Redeemed:
    stops.hold(session, account_id)
    patient_id = _patient_for(session, account_id, invitation, kind)
    # Asked when inviting too; since then a code of another pharmacy, or a request, may have been quicker.
    if kind is Kind.SELF and relations.is_somebody_else(session, patient_id=patient_id, account_id=account_id):
        raise Conflict("patient-has-account")
    # The lock may have waited for a parting, which moves a record that was another person's to a patient of its own.
    now = patients.known_as(session, connection_id=invitation.connection_id, fhir_id=invitation.fhir_id)
    if now is None or now.id != patient_id:
        raise Conflict("patient-record")
    invitation.used_at, invitation.used_by = clock.now(), account_id
    relations.bind(
        session,
        agent=agent,
        account_id=account_id,
        patient_id=patient_id,
        kind=kind,
        pharmacy_id=invitation.pharmacy_id,
    )
    record(
        session,
        Action.INVITATION_REDEEMED,
        agent=agent,
        patient_id=patient_id,
        pharmacy_id=invitation.pharmacy_id,
        entity=Entity("Invitation", invitation.id),
        purpose=Purpose.PATRQT,
    )
    return Redeemed(patient_id, invitation.pharmacy_id, invitation.connection_id)


def _patient_for(session: Session, account_id: str, invitation: Invitation, kind: Kind) -> str:
    where = {"connection_id": invitation.connection_id, "fhir_id": invitation.fhir_id}
    if kind is not Kind.SELF:
        return patients.ensure(session, **where).id
    # Asked anew: the actor was loaded before another code may have been redeemed.
    live = relations.live(session, account_id=account_id)
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
        invitation.added = True
        return own[0]
    return patients.ensure(session, **where).id


def _coded(code: str) -> Select[Invitation]:
    return select(Invitation).where(Invitation.code_hash == ids.hand_code_digest(code))


def _usable(invitation: Invitation) -> bool:
    return LIFE.after(state_of(invitation), Event.USE) is not None


# `state_of` for the database, which reads the same columns.
_IS: dict[State, Callable[[], ColumnElement[bool]]] = {
    State.OPEN: lambda: and_(
        Invitation.used_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > clock.now()
    ),
    State.USED: lambda: Invitation.used_at.is_not(None),
    State.REVOKED: lambda: and_(
        Invitation.used_at.is_(None), Invitation.revoked_at.is_not(None), Invitation.replaced_by.is_(None)
    ),
    State.REPLACED: lambda: and_(Invitation.used_at.is_(None), Invitation.replaced_by.is_not(None)),
    State.EXPIRED: lambda: and_(
        Invitation.used_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at <= clock.now()
    ),
}


def _note(session: Session, action: Action, agent: Agent, invitation: Invitation) -> None:
    known = patients.known_as(session, connection_id=invitation.connection_id, fhir_id=invitation.fhir_id)
    record(
        session,
        action,
        agent=agent,
        patient_id=known.id if known is not None else None,
        pharmacy_id=invitation.pharmacy_id,
        entity=Entity("Invitation", invitation.id),
    )


def _refused(session: Session, actor: Actor, pharmacy_id: str | None) -> None:
    # With the pharmacy whose code was tried, so that its privacy officer finds the row.
    record(
        session,
        Action.INVITATION_REFUSED,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        outcome=Outcome.SERIOUS,
        reason="invitation-refused",
        purpose=Purpose.PATRQT,
    )


def _take_back(session: Session, keys: Iterable[str]) -> None:
    for key in keys:
        failure = session.get(RedeemFailure, key, with_for_update=True)
        if failure is not None:
            failure.failures = max(0, failure.failures - 1)


def _failure_keys(code: str, address: str | None) -> dict[str, timedelta]:
    """What the tries are counted for, and how long five of them close it."""
    return {
        ids.digest(f"code:{ids.normal_hand_code(code)}"): CODE_CLOSED,
        ids.digest(f"address:{address or ''}"): ADDRESS_CLOSED,
    }
