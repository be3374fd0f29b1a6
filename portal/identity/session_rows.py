"""Sessions found in the database, by their cookie's hash, by their public reference, or by whose they are.

Whoever reads a session computes its state from the row and the account, so nothing waits for a sweep.
"""

from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, String, bindparam, column, func, select, table
from sqlalchemy.orm import Session

from portal.core import clock, ids
from portal.core.database import Database, Moment, table_of
from portal.core.together import Answers, Questions, among
from portal.identity.session_life import (
    IDLE,
    PATIENT,
    SHARED_END,
    SHARED_IDLE,
    CurrentSession,
    EndedBy,
    State,
    idle_limit,
)
from portal.identity.tables import LoginSession

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
        found = [read(_Kept(*row)) for row in answers["session"]]
        return (found[0] if found else None), answers


def by_ref(session: Session, ref: str) -> CurrentSession | None:
    """The session with this public reference."""
    row = session.execute(_BY_REF, {"ref": ref}).one_or_none()
    return None if row is None else read(row)


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
    return [found for row in rows if (found := read(row)).state is not State.ENDED]


def due(now: datetime) -> Select[Any]:
    """Asks for the rows of sessions that should be locked or ended by now and do not say so yet; `read` takes them."""
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


def known(session: Session, ref: str) -> CurrentSession:
    """The session with this public reference, which is there."""
    return read(session.execute(_BY_REF, {"ref": ref}).one())


def unended(session: Session, condition: ColumnElement[bool]) -> Sequence[CurrentSession]:
    """The sessions of which this holds and whose rows do not say yet that they have ended."""
    return [read(row) for row in session.execute(_ROWS.where(condition, LoginSession.ended_at.is_(None))).all()]


def read(kept: Any) -> CurrentSession:
    """A session from its row and its account's, as it stands at this moment."""
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
