"""Sessions in the database: a browser's cookie is a random value that is known here only as its hash.

A session is active, then locked after idle time or by its person, then active again after a fresh login of the same
person or, on a shared device, once its keys were opened there (each gives the cookie a new value), and ends once:
`LIFE`. Whoever reads a session computes its state from the row and the account, so nothing waits for a sweep. Times:
ASVS 5.0 V7.3; streams and polling never move `active_at`.
"""

from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    String,
    bindparam,
    column,
    delete,
    event,
    func,
    select,
    table,
    update,
)
from sqlalchemy.orm import Session

from portal.audit import Action, Agent, Entity, record
from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.database import Database, Moment, table_of
from portal.core.lives import Life, Step
from portal.core.together import Answers, Questions, among
from portal.identity.errors import LoginExpired
from portal.identity.tables import LoginSession

PATIENT = "patient"
IDLE = {"patient": timedelta(minutes=30), "staff": timedelta(minutes=15)}
ABSOLUTE = {"patient": timedelta(hours=24), "staff": timedelta(hours=12)}
WARN_BEFORE = timedelta(minutes=2)
# `active_at` is written at most this often, so that a person at work does not cost a write a click.
TOUCH_EVERY = timedelta(minutes=1)
# On a device that others use too: locked, then signed out, after so long without an act.
SHARED_IDLE = timedelta(minutes=3)
SHARED_END = timedelta(minutes=15)
SHARED_WARN_BEFORE = timedelta(seconds=30)
SHARED_TOUCH_EVERY = timedelta(seconds=15)
# How long an ended session stays in the list and in the table.
KEEP_ENDED = timedelta(days=30)

# Accounts live one layer above; a session needs only to see whether its account may still be signed in.
_account = table(
    "account",
    column("id", String),
    column("role", String),
    column("pharmacy_id", String),
    column("language", String),
    column("time_zone", String),
    column("large_text", Boolean),
    column("disabled_at", Moment),
    column("ends_at", Moment),
)
_TABLE = table_of(LoginSession)
# Rows with what their accounts say now; made once, since every request asks.
_ROWS = select(
    *_TABLE.c,
    _account.c.id.label("account_found"),
    *(part.label(f"account_{part.name}") for part in _account.c if part.name != "id"),
).select_from(_TABLE.outerjoin(_account, _account.c.id == _TABLE.c.account_id))
_BY_COOKIE = _ROWS.where(_TABLE.c.id_hash == bindparam("id_hash"))
_Kept: Any = namedtuple("_Kept", [column.key for column in _ROWS.selected_columns])  # type: ignore[misc]
_BY_REF = _ROWS.where(_TABLE.c.ref == bindparam("ref"))
# Only what `_state` looks at: asked every few seconds for all open streams.
_STATES = (
    select(
        *(_TABLE.c[name] for name in ("ref", "data", "active_at", "ends_at", "locked_at", "ended_at", "ended_by")),
        _TABLE.c.shared,
        _account.c.id.label("account_found"),
        _account.c.role.label("account_role"),
        _account.c.disabled_at.label("account_disabled_at"),
        _account.c.ends_at.label("account_ends_at"),
    )
    .select_from(_TABLE.outerjoin(_account, _account.c.id == _TABLE.c.account_id))
    .where(among(_TABLE.c.ref, "refs"))
)


class State(StrEnum):
    """What a session allows now."""

    ACTIVE = "active"
    LOCKED = "locked"
    ENDED = "ended"


class Happening(StrEnum):
    """What happens to a session."""

    SIGNED_IN = "signed in"
    CONFIRMED = "signed in again"
    OPENED = "opened on its shared device"
    IDLE = "no act for a while"
    LEFT = "locked by the person"
    ENDED = "ended"


LIFE: Life[State, Happening] = Life(
    "session",
    (
        Step(None, Happening.SIGNED_IN, State.ACTIVE),
        Step(State.ACTIVE, Happening.CONFIRMED, State.ACTIVE),
        Step(State.ACTIVE, Happening.IDLE, State.LOCKED),
        Step(State.ACTIVE, Happening.LEFT, State.LOCKED),
        Step(State.LOCKED, Happening.CONFIRMED, State.ACTIVE),
        Step(State.LOCKED, Happening.OPENED, State.ACTIVE),
        Step(State.ACTIVE, Happening.ENDED, State.ENDED),
        Step(State.LOCKED, Happening.ENDED, State.ENDED),
    ),
)


class EndedBy(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    PERSON = "person"
    PROVIDER = "provider"
    OPERATOR = "operator"
    OTHER_ACCOUNT = "other-account"
    DISABLED = "disabled"
    ROLE = "role"
    EXPIRED = "expired"
    LAST_DAY = "last-day"
    UNBOUND = "unbound"
    IDLE = "idle"


_ACTIONS = {
    EndedBy.LOGOUT: Action.SESSION_ENDED,
    EndedBy.EXPIRED: Action.SESSION_EXPIRED,
    EndedBy.IDLE: Action.SESSION_EXPIRED,
}


@dataclass(frozen=True)
class CurrentSession:
    """A session as one request sees it. `state` is computed, never stale."""

    ref: str
    state: State
    ended_by: EndedBy | None
    # Whether the row already says what `state` says; if not, `settle` writes it.
    settled: bool
    account_id: str
    role: str
    pharmacy_id: str | None
    language: str | None
    time_zone: str | None
    large_text: bool
    device_id: str | None
    # Bound to a device that others use too; `stay` is the sealed share that opens it while this session is active.
    shared: bool
    stay: bytes | None
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    idp_sid: str | None
    id_token: bytes | None
    created_at: datetime
    active_at: datetime
    lock_at: datetime
    # When it ends if nothing is done, and when it ends at the latest.
    ends_at: datetime
    life_ends_at: datetime
    address: str | None
    user_agent: str | None
    # What Flask keeps in its session, and the challenge a device answers to be bound (docs/protocol.md section 2).
    web: dict[str, Any]
    device_challenge: str | None

    @property
    def signed_in(self) -> bool:
        """Whether it has not ended."""
        return self.state is not State.ENDED

    def agent(self, *, address: str | None = None, request_id: str | None = None) -> Agent:
        """Who acts, for the audit record."""
        return Agent(
            account_id=self.account_id,
            role=self.role,
            session_ref=self.ref,
            address=address or self.address,
            request_id=request_id,
        )


@dataclass(frozen=True)
class Proof:
    """What a login proved, as far as the session keeps it."""

    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    idp_sid: str | None
    id_token: bytes | None


def idle_limit(role: str, *, shared: bool = False) -> timedelta:
    """How long a session of this role stays open without an act."""
    return SHARED_IDLE if shared else IDLE["patient" if role == PATIENT else "staff"]


def touch_every(current: CurrentSession) -> timedelta:
    """How often an act is written down at most."""
    return SHARED_TOUCH_EVERY if current.shared else TOUCH_EVERY


def warn_before(current: CurrentSession) -> timedelta:
    """How long before the lock the person is warned."""
    return SHARED_WARN_BEFORE if current.shared else WARN_BEFORE


def absolute_limit(role: str) -> timedelta:
    """How long a session of this role lasts at most."""
    return ABSOLUTE["patient" if role == PATIENT else "staff"]


class Finding:
    """Finds the session behind a cookie, and in the same trip what else is asked of whom it belongs to.

    `beside`: questions by name, with the parameters `id_hash` (of the session) and `moment`.
    """

    def __init__(self, beside: Mapping[str, Select[Any]]) -> None:
        self._questions = Questions(session=_BY_COOKIE, **beside)

    def find(self, database: Database, cookie: str) -> tuple[CurrentSession | None, Answers]:
        """The session, also one that has ended (None for a value never given out), and the answers."""
        asked = {"id_hash": ids.digest(cookie), "moment": clock.now()}
        answers = self._questions.sorted(database.ask(self._questions.prepared, asked))
        found = [_read(_Kept(*row)) for row in answers["session"]]
        return (found[0] if found else None), answers


def by_ref(session: Session, ref: str) -> CurrentSession | None:
    """The session with this public reference."""
    row = session.execute(_BY_REF, {"ref": ref}).one_or_none()
    return None if row is None else _read(row)


def state(session: Session, ref: str) -> State:
    """What a session allows now; an unknown one has ended. For open streams, which look again every few seconds."""
    found = by_ref(session, ref)
    return State.ENDED if found is None else found.state


def states(session: Session, refs: Collection[str]) -> dict[str, State]:
    """As `state`, for each of many sessions. One query, for all streams of a process."""
    if not refs:
        return {}
    found = {row.ref: _state(row, _lock_at(row))[0] for row in session.execute(_STATES, {"refs": list(refs)})}
    return {ref: found.get(ref, State.ENDED) for ref in refs}


def browser_of(session: Session, ref: str | None) -> str | None:
    """What the browser of a session calls itself; None for a session that is forgotten, or none."""
    return session.scalar(select(LoginSession.user_agent).where(LoginSession.ref == ref))


def own(session: Session, account_id: str) -> list[CurrentSession]:
    """The sessions of an account that have not ended, the one used last first."""
    rows = session.execute(
        _ROWS.where(LoginSession.account_id == account_id, LoginSession.ended_at.is_(None)).order_by(
            LoginSession.active_at.desc(), LoginSession.ref
        )
    )
    return [found for row in rows if (found := _read(row)).state is not State.ENDED]


def begin(
    session: Session,
    *,
    account_id: str,
    role: str,
    proof: Proof,
    shared: bool = False,
    address: str | None = None,
    user_agent: str | None = None,
    request_id: str | None = None,
) -> tuple[str, CurrentSession]:
    """A new session for an account that has just signed in. Returns the cookie value, given out only here, and it.

    At a browser that is `shared` the shorter limits hold from the first moment on, before any keys are opened there.
    """
    cookie, ref, now = ids.token(32), ids.random_id(), clock.now()
    session.add(
        LoginSession(
            id_hash=ids.digest(cookie),
            ref=ref,
            account_id=account_id,
            data=_data(role, {}),
            created_at=now,
            active_at=now,
            ends_at=now + absolute_limit(role),
            auth_time=proof.auth_time,
            acr=proof.acr,
            amr=list(proof.amr),
            idp_sid=proof.idp_sid,
            id_token=proof.id_token,
            shared=shared,
            address=address,
            user_agent=user_agent[:200] if user_agent else None,
        )
    )
    session.flush()
    current = _known(session, ref)
    record(
        session,
        Action.LOGIN_SUCCEEDED,
        agent=current.agent(request_id=request_id),
        pharmacy_id=current.pharmacy_id,
        entity=Entity("Session", current.ref),
    )
    return cookie, current


def confirm(
    session: Session,
    bus: Bus,
    current: CurrentSession,
    *,
    proof: Proof,
    unlocked: bool,
    request_id: str | None = None,
) -> tuple[str, CurrentSession]:
    """The same person has just signed in again: unlocks, or steps up. Returns the new cookie value; the old is dead.

    Raises LoginExpired when the session was ended in the meantime.
    """
    cookie, now = ids.token(32), clock.now()
    data = _data(current.role, current.web)
    # Who is back at a shared device by a login has not opened it: it binds the session again when its keys are opened.
    taken_off = {"device_id": None, "stay": None} if unlocked and current.shared else {}
    kept = session.execute(
        update(LoginSession)
        .where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None))
        .values(
            id_hash=ids.digest(cookie),
            locked_at=None,
            active_at=now,
            auth_time=proof.auth_time,
            acr=proof.acr,
            amr=list(proof.amr),
            idp_sid=proof.idp_sid,
            id_token=proof.id_token,
            data=data,
            **taken_off,
        )
        .returning(LoginSession.ref)
    ).one_or_none()
    if kept is None:
        raise LoginExpired()
    record(
        session,
        Action.SESSION_UNLOCKED if unlocked else Action.LOGIN_STEPPED_UP,
        agent=current.agent(request_id=request_id),
        pharmacy_id=current.pharmacy_id,
        entity=Entity("Session", current.ref),
    )
    _announce(session, bus, current.ref, State.ACTIVE)
    return cookie, _known(session, current.ref)


def keep_web(session: Session, current: CurrentSession, web: dict[str, Any]) -> None:
    """Write what Flask keeps in its session; an ended session keeps nothing more.

    The challenge stays the one that the row has now: a request that began before a lock must not bring back the one
    from before it, to which a signature may have been made.
    """
    challenge = challenge_now(session, current)
    if challenge is not None:
        session.execute(
            update(LoginSession).where(LoginSession.ref == current.ref).values(data=_data(current.role, web, challenge))
        )


def challenge_now(session: Session, current: CurrentSession) -> str | None:
    """The challenge of a session as its row has it now, held until the commit; None when the session has ended."""
    kept = select(LoginSession.data).where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None))
    data = session.scalar(kept.with_for_update())
    return None if data is None else str(data["device_challenge"])


def touch(session: Session, current: CurrentSession) -> tuple[datetime, datetime]:
    """The person did something: moves the moment of locking. Returns that moment, and when the session ends."""
    now, seldom = clock.now(), touch_every(current)
    session.execute(
        update(LoginSession)
        .where(
            LoginSession.ref == current.ref,
            LoginSession.ended_at.is_(None),
            LoginSession.locked_at.is_(None),
            LoginSession.active_at <= now - seldom,
        )
        .values(active_at=now)
    )
    # Within that time nothing is written, and the lock comes a little early rather than late.
    moved = now if current.active_at <= now - seldom else current.active_at
    ends_at = min(moved + SHARED_END, current.life_ends_at) if current.shared else current.ends_at
    return min(moved + idle_limit(current.role, shared=current.shared), ends_at), ends_at


def bind_device(session: Session, ref: str, device_id: str, *, stay: bytes | None = None) -> None:
    """The session's browser proved to hold the keys of a certified device. The caller checks the proof and records.

    `stay` is given for a shared device: what opens it while this session is active, sealed.
    """
    session.execute(
        update(LoginSession)
        .where(LoginSession.ref == ref, LoginSession.ended_at.is_(None))
        .values(device_id=device_id, shared=stay is not None, stay=stay)
    )


def unlock_on_device(
    session: Session, bus: Bus, current: CurrentSession, *, stay: bytes, request_id: str | None = None
) -> tuple[str, CurrentSession]:
    """The person is back at a locked session's own shared device, and its keys were opened: active again.

    Not a login: what asks for a fresh one still does. Returns the new cookie value; the old is dead. The caller checks
    the proof. Raises LoginExpired when the session was ended in the meantime.
    """
    cookie, now = ids.token(32), clock.now()
    kept = session.execute(
        update(LoginSession)
        .where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None), LoginSession.locked_at.is_not(None))
        .values(
            id_hash=ids.digest(cookie),
            locked_at=None,
            active_at=now,
            stay=stay,
            data=_data(current.role, current.web),
        )
        .returning(LoginSession.ref)
    ).one_or_none()
    if kept is None:
        raise LoginExpired()
    record(
        session,
        Action.SESSION_UNLOCKED,
        agent=current.agent(request_id=request_id),
        pharmacy_id=current.pharmacy_id,
        entity=Entity("Session", current.ref),
        reason="guard",
    )
    _announce(session, bus, current.ref, State.ACTIVE)
    return cookie, _known(session, current.ref)


def unbind_device(session: Session, ref: str) -> None:
    """Take a session off its device; at a shared browser the shorter limits go on."""
    session.execute(update(LoginSession).where(LoginSession.ref == ref).values(device_id=None, stay=None))


def unbind_devices(session: Session, account_id: str) -> None:
    """Take all sessions of an account off their devices; each may be bound again by a fresh proof."""
    session.execute(
        update(LoginSession)
        .where(LoginSession.account_id == account_id, LoginSession.ended_at.is_(None))
        .values(device_id=None, stay=None)
    )


def take_up(session: Session, bus: Bus, current: CurrentSession) -> tuple[str, CurrentSession]:
    """A browser goes on as this session, which is locked. Returns the new cookie value; the old is dead.

    Raises LoginExpired when the session was ended in the meantime.
    """
    lock(session, bus, current)
    cookie = ids.token(32)
    kept = session.execute(
        update(LoginSession)
        .where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None))
        .values(id_hash=ids.digest(cookie))
        .returning(LoginSession.ref)
    ).one_or_none()
    if kept is None:
        raise LoginExpired()
    return cookie, _known(session, current.ref)


def lock(session: Session, bus: Bus, current: CurrentSession, *, request_id: str | None = None) -> None:
    """Lock: the session answers nothing but login, logout and its own state until a fresh login or, on a shared device,
    a proof that its person opened the keys there."""
    changed = session.execute(
        update(LoginSession)
        .where(
            LoginSession.ref == current.ref,
            LoginSession.locked_at.is_(None),
            LoginSession.ended_at.is_(None),
        )
        # Another challenge: no signature made before the lock opens it.
        .values(locked_at=clock.now(), stay=None, data=_data(current.role, current.web))
        .returning(LoginSession.ref)
    ).one_or_none()
    if changed is None:
        return
    record(
        session,
        Action.SESSION_LOCKED,
        agent=current.agent(request_id=request_id),
        pharmacy_id=current.pharmacy_id,
        entity=Entity("Session", current.ref),
    )
    _announce(session, bus, current.ref, State.LOCKED)


def end(
    session: Session,
    bus: Bus,
    current: CurrentSession,
    by: EndedBy,
    *,
    agent: Agent | None = None,
) -> bool:
    """End one session; its cookie is dead from the commit on. False when it had ended before.

    `agent` is who ended it, where that is not the session's own person.
    """
    changed = session.execute(
        update(LoginSession)
        .where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None))
        .values(ended_at=clock.now(), ended_by=by.value, id_token=None, stay=None, data=_data(current.role, {}))
        .returning(LoginSession.ref)
    ).one_or_none()
    if changed is None:
        return False
    record(
        session,
        _ACTIONS.get(by, Action.SESSION_REVOKED),
        agent=agent or current.agent(),
        pharmacy_id=current.pharmacy_id,
        entity=Entity("Session", current.ref),
        reason=by.value,
    )
    _announce(session, bus, current.ref, State.ENDED)
    return True


def end_others(session: Session, bus: Bus, current: CurrentSession, *, agent: Agent) -> int:
    """End all sessions of the person but this one. Returns how many."""
    others = own(session, current.account_id)
    return sum(end(session, bus, one, EndedBy.PERSON, agent=agent) for one in others if one.ref != current.ref)


def end_all(session: Session, bus: Bus, account_id: str, by: EndedBy, *, agent: Agent) -> int:
    """End all sessions of an account: disabled, role changed, or on an operator's word. Returns how many."""
    count = sum(end(session, bus, one, by, agent=agent) for one in _unended(session, account_id))
    _after_commit(session, bus, f"account:{account_id}", {"kind": "session", "state": State.ENDED.value})
    return count


def end_by_provider(session: Session, bus: Bus, *, account_id: str | None, sid: str | None, agent: Agent) -> int:
    """End what the provider ended: one of its sessions (`sid`), else all of the account. Returns how many."""
    if sid is not None:
        condition: ColumnElement[bool] = LoginSession.idp_sid == sid
        if account_id is not None:
            condition = condition & (LoginSession.account_id == account_id)
    elif account_id is not None:
        condition = LoginSession.account_id == account_id
    else:
        return 0
    rows = session.execute(_ROWS.where(condition, LoginSession.ended_at.is_(None)))
    return sum(end(session, bus, _read(row), EndedBy.PROVIDER, agent=agent) for row in rows.all())


def settle(session: Session, bus: Bus, current: CurrentSession, *, request_id: str | None = None) -> None:
    """Write down what time or the account has already done to a session: locked, or ended."""
    if current.state is State.LOCKED:
        lock(session, bus, current, request_id=request_id)
    elif current.state is State.ENDED and current.ended_by is not None:
        end(session, bus, current, current.ended_by)


def _due(now: datetime) -> Select[Any]:
    # Rows of sessions that should be locked or ended by now and do not say so yet.
    staff = func.coalesce(_account.c.role, "") != PATIENT
    idle = (staff & (LoginSession.active_at <= now - IDLE["staff"])) | (LoginSession.active_at <= now - IDLE["patient"])
    idle = idle | (LoginSession.shared & (LoginSession.active_at <= now - SHARED_IDLE))
    return _ROWS.where(
        LoginSession.ended_at.is_(None),
        (LoginSession.ends_at <= now)
        | (LoginSession.shared & (LoginSession.active_at <= now - SHARED_END))
        | (_account.c.ends_at <= now)
        | _account.c.disabled_at.is_not(None)
        | (LoginSession.locked_at.is_(None) & idle),
    )


def sweep(database: Database, bus: Bus, *, limit: int = 200) -> int:
    """Settle sessions that nobody asks for, so that their streams close, and forget old ones. Returns how many.

    The worker calls it every few seconds; it writes only when there is something to write.
    """
    now = clock.now()
    with database.reading() as session:
        rows = session.execute(_due(now).limit(limit)).all()
        old = session.execute(
            select(LoginSession.ref).where(LoginSession.ends_at < now - KEEP_ENDED).limit(1)
        ).one_or_none()
    settling = [found for row in rows if (found := _read(row)).state in (State.LOCKED, State.ENDED)]
    if settling or old:
        with database.transaction() as session:
            for current in settling:
                settle(session, bus, current)
            session.execute(delete(LoginSession).where(LoginSession.ends_at < now - KEEP_ENDED))
    return len(settling)


def _known(session: Session, ref: str) -> CurrentSession:
    return _read(session.execute(_BY_REF, {"ref": ref}).one())


def _unended(session: Session, account_id: str) -> Sequence[CurrentSession]:
    rows = session.execute(_ROWS.where(LoginSession.account_id == account_id, LoginSession.ended_at.is_(None))).all()
    return [_read(row) for row in rows]


def _read(kept: Any) -> CurrentSession:
    # A row outlives its account only as an ended one; the role at login then stands in.
    role = kept.account_role or kept.data["role"]
    lock_at = _lock_at(kept)
    found, ended_by = _state(kept, lock_at)
    return CurrentSession(
        ref=kept.ref,
        state=found,
        ended_by=ended_by,
        settled=(found is not State.ENDED or kept.ended_at is not None)
        and (found is not State.LOCKED or kept.locked_at is not None),
        account_id=kept.account_id or "",
        role=role,
        pharmacy_id=kept.account_pharmacy_id,
        language=kept.account_language,
        time_zone=kept.account_time_zone,
        large_text=bool(kept.account_large_text),
        device_id=kept.device_id,
        shared=kept.shared,
        stay=kept.stay,
        auth_time=kept.auth_time,
        acr=kept.acr,
        amr=tuple(kept.amr or ()),
        idp_sid=kept.idp_sid,
        id_token=kept.id_token,
        created_at=kept.created_at,
        active_at=kept.active_at,
        lock_at=lock_at,
        ends_at=_ends_at(kept),
        life_ends_at=_life_ends_at(kept),
        address=kept.address,
        user_agent=kept.user_agent,
        web=dict(kept.data.get("web", {})),
        device_challenge=kept.data.get("device_challenge"),
    )


def _lock_at(kept: Any) -> datetime:
    idle = idle_limit(kept.account_role or kept.data["role"], shared=kept.shared)
    locks: datetime = min(kept.active_at + idle, _ends_at(kept))
    return locks


def _ends_at(kept: Any) -> datetime:
    return min(_life_ends_at(kept), kept.active_at + SHARED_END) if kept.shared else _life_ends_at(kept)


def _life_ends_at(kept: Any) -> datetime:
    # No session outlives the last day of work, also one that began before the day was set.
    ends: datetime = kept.ends_at if kept.account_ends_at is None else min(kept.ends_at, kept.account_ends_at)
    return ends


def _state(kept: Any, lock_at: datetime) -> tuple[State, EndedBy | None]:
    now = clock.now()
    if kept.ended_at is not None:
        return State.ENDED, EndedBy(kept.ended_by) if kept.ended_by else None
    if now >= kept.ends_at:
        return State.ENDED, EndedBy.EXPIRED
    if kept.account_ends_at is not None and now >= kept.account_ends_at:
        return State.ENDED, EndedBy.LAST_DAY
    if kept.shared and now >= kept.active_at + SHARED_END:
        return State.ENDED, EndedBy.IDLE
    if kept.account_found is None or kept.account_disabled_at is not None:
        return State.ENDED, EndedBy.DISABLED
    if kept.account_role != kept.data.get("role"):
        return State.ENDED, EndedBy.ROLE
    if kept.locked_at is not None or now >= lock_at:
        return State.LOCKED, None
    return State.ACTIVE, None


def _data(role: str, web: dict[str, Any], challenge: str | None = None) -> dict[str, Any]:
    # The role at login is kept beside Flask's part, so that a change of the account's role ends the session.
    return {"role": role, "web": web, "device_challenge": challenge or ids.token(32)}


def _announce(session: Session, bus: Bus, ref: str, became: State) -> None:
    _after_commit(session, bus, f"session:{ref}", {"kind": "session", "session": ref, "state": became.value})


def _after_commit(session: Session, bus: Bus, topic: str, said: dict[str, str]) -> None:
    # Streams must not hear of what may still be rolled back.
    @event.listens_for(session, "after_commit", once=True)
    def publish(_: Session) -> None:
        bus.publish(topic, said)
