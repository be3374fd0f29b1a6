"""What happens to sessions in the database: they begin, are locked, taken up again and ended (`session_life`).

A browser's cookie is a random value that is known here only as its hash.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, event, select, update
from sqlalchemy.orm import Session

from portal.audit import Action, Agent, Entity, record
from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.database import Database
from portal.identity.errors import LoginExpired
from portal.identity.session_life import (
    SHARED_END,
    CurrentSession,
    EndedBy,
    Proof,
    State,
    absolute_limit,
    idle_limit,
    touch_every,
)
from portal.identity.session_rows import due, known, own, read, unended
from portal.identity.tables import LoginSession

# How long an ended session stays in the list and in the table.
KEEP_ENDED = timedelta(days=30)
_ACTIONS = {
    EndedBy.LOGOUT: Action.SESSION_ENDED,
    EndedBy.EXPIRED: Action.SESSION_EXPIRED,
    EndedBy.IDLE: Action.SESSION_EXPIRED,
}


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
    current = known(session, ref)
    _on_record(session, Action.LOGIN_SUCCEEDED, current, current.agent(request_id=request_id))
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
    # Who is back at a shared device by a login has not opened it: it binds the session again when its keys are opened.
    taken_off = {"device_id": None, "stay": None} if unlocked and current.shared else {}
    cookie = _new_cookie(
        session,
        current,
        locked_at=None,
        active_at=clock.now(),
        auth_time=proof.auth_time,
        acr=proof.acr,
        amr=list(proof.amr),
        idp_sid=proof.idp_sid,
        id_token=proof.id_token,
        data=_data(current.role, current.web),
        **taken_off,
    )
    action = Action.SESSION_UNLOCKED if unlocked else Action.LOGIN_STEPPED_UP
    _on_record(session, action, current, current.agent(request_id=request_id))
    _announce(session, bus, current.ref, State.ACTIVE)
    return cookie, known(session, current.ref)


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
    cookie = _new_cookie(
        session,
        current,
        LoginSession.locked_at.is_not(None),
        locked_at=None,
        active_at=clock.now(),
        stay=stay,
        data=_data(current.role, current.web),
    )
    _on_record(session, Action.SESSION_UNLOCKED, current, current.agent(request_id=request_id), reason="guard")
    _announce(session, bus, current.ref, State.ACTIVE)
    return cookie, known(session, current.ref)


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
    return _new_cookie(session, current), known(session, current.ref)


def hold(session: Session, ref: str) -> None:
    """Nobody else changes this session before the caller has committed."""
    session.execute(select(LoginSession.ref).where(LoginSession.ref == ref).with_for_update())


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
    _on_record(session, Action.SESSION_LOCKED, current, current.agent(request_id=request_id))
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
    action = _ACTIONS.get(by, Action.SESSION_REVOKED)
    _on_record(session, action, current, agent or current.agent(), reason=by.value)
    _announce(session, bus, current.ref, State.ENDED)
    return True


def end_others(session: Session, bus: Bus, current: CurrentSession, *, agent: Agent) -> int:
    """End all sessions of the person but this one. Returns how many."""
    others = own(session, current.account_id)
    return sum(end(session, bus, one, EndedBy.PERSON, agent=agent) for one in others if one.ref != current.ref)


def end_all(session: Session, bus: Bus, account_id: str, by: EndedBy, *, agent: Agent) -> int:
    """End all sessions of an account: disabled, role changed, or on an operator's word. Returns how many."""
    count = sum(
        end(session, bus, one, by, agent=agent) for one in unended(session, LoginSession.account_id == account_id)
    )
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
    return sum(end(session, bus, one, EndedBy.PROVIDER, agent=agent) for one in unended(session, condition))


def settle(session: Session, bus: Bus, current: CurrentSession, *, request_id: str | None = None) -> None:
    """Write down what time or the account has already done to a session: locked, or ended."""
    if current.state is State.LOCKED:
        lock(session, bus, current, request_id=request_id)
    elif current.state is State.ENDED and current.ended_by is not None:
        end(session, bus, current, current.ended_by)


def sweep(database: Database, bus: Bus, *, limit: int = 200) -> int:
    """Settle sessions that nobody asks for, so that their streams close, and forget old ones. Returns how many.

    The worker calls it every few seconds; it writes only when there is something to write.
    """
    now = clock.now()
    with database.reading() as session:
        rows = session.execute(due(now).limit(limit)).all()
        old = session.execute(
            select(LoginSession.ref).where(LoginSession.ends_at < now - KEEP_ENDED).limit(1)
        ).one_or_none()
    settling = [found for row in rows if (found := read(row)).state in (State.LOCKED, State.ENDED)]
    if settling or old:
        with database.transaction() as session:
            for current in settling:
                settle(session, bus, current)
            session.execute(delete(LoginSession).where(LoginSession.ends_at < now - KEEP_ENDED))
    return len(settling)


def _new_cookie(session: Session, current: CurrentSession, *only: ColumnElement[bool], **values: Any) -> str:
    # The old value is dead with it. Raises LoginExpired when the session was ended in the meantime, or is not `only`.
    cookie = ids.token(32)
    kept = session.execute(
        update(LoginSession)
        .where(LoginSession.ref == current.ref, LoginSession.ended_at.is_(None), *only)
        .values(id_hash=ids.digest(cookie), **values)
        .returning(LoginSession.ref)
    ).one_or_none()
    if kept is None:
        raise LoginExpired()
    return cookie


def _on_record(
    session: Session, action: Action, current: CurrentSession, agent: Agent, *, reason: str | None = None
) -> None:
    entity = Entity("Session", current.ref)
    record(session, action, agent=agent, pharmacy_id=current.pharmacy_id, entity=entity, reason=reason)


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
