"""Writing the audit record: one row for each act and patient, in the transaction of the act.

A row holds ids and short codes only. The checks below refuse blanks in every field, so that a name, a
sentence or a result cannot slip in: without a row there is no act (design: no audit row, no data).
"""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Required, TypedDict, Unpack
from weakref import WeakKeyDictionary

from sqlalchemy import String, insert

from portal.audit.tables import AuditEvent
from portal.audit.vocabulary import Action, Outcome, Purpose
from portal.core import clock, ids
from portal.core.database import Database, table_of
from portal.core.together import Writing

# Refusals of one account (or address) written one by one within a minute; more are counted in one row.
REFUSALS_A_MINUTE = 10
WINDOW_SECONDS = 60.0
# Accounts and addresses whose refusals are counted at the same time; more are written out early.
MOST_WINDOWS = 10_000

_CODE = re.compile(r"[\x21-\x7e]{1,1000}")
_TABLE = table_of(AuditEvent)
_INSERT = insert(_TABLE).inline()
_WIDTHS = {
    column.name: column.type.length
    for column in _TABLE.columns
    if isinstance(column.type, String) and column.type.length is not None
}


@dataclass(frozen=True)
class Agent:
    """Who acted, from where: ids and references, never a name, a session id or a token itself.

    `token_ref` is `jti:<id>` of a token that names itself, otherwise the last 32 characters of it (IHE BALP).
    """

    account_id: str | None
    role: str | None
    session_ref: str | None = None
    token_ref: str | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Entity:
    """What it was done to: a FHIR type and id, or one of the portal's own kinds (`Thread`, `Device`, …)."""

    kind: str
    id: str


class Circumstances(TypedDict, total=False):
    """How an act was done, the same for every patient it touched. `purpose` is treatment unless it says otherwise.

    The values of `detail` are codes, ids, numbers or lists of them; `ehr.fetched` says there which `connection` was
    asked which `query`, and no act ever says what came back.
    """

    agent: Required[Agent]
    pharmacy_id: str | None
    on_behalf: str | None
    entity: Entity | None
    purpose: Purpose
    detail: Mapping[str, Any] | None


@dataclass(frozen=True)
class Act:
    """What one row says: an act, and at most one patient. `reason` is a code."""

    action: Action
    agent: Agent
    patient_id: str | None = None
    pharmacy_id: str | None = None
    on_behalf: str | None = None
    entity: Entity | None = None
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    purpose: Purpose = Purpose.TREAT
    detail: Mapping[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """The row, of this moment and with a salt of its own.

        Raises ValueError for anything with blanks or beyond the column's width: that is a fault in the caller, and the
        act must not go through.
        """
        row: dict[str, Any] = {
            "id": ids.random_id(),
            "pharmacy_id": self.pharmacy_id,
            "recorded": clock.now(),
            "action": self.action.value,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "account_id": self.agent.account_id,
            "role": self.agent.role,
            "patient_id": self.patient_id,
            "on_behalf": self.on_behalf,
            "purpose": self.purpose.value,
            "entity_kind": self.entity.kind if self.entity else None,
            "entity_id": self.entity.id if self.entity else None,
            "session_ref": self.agent.session_ref,
            "token_ref": self.agent.token_ref,
            "address": self.agent.address,
            "request_id": self.agent.request_id,
        }
        for name, width in _WIDTHS.items():
            value = row[name]
            if value is not None and (len(value) > width or not _CODE.fullmatch(value)):
                raise ValueError(f"{name} of an audit row must be a code of at most {width} characters")
        if self.detail:
            row["detail"] = {name: _plain(name, value) for name, value in self.detail.items()}
        row["salt"] = ids.random_bytes(16)
        return row


def record(
    session: Writing,
    action: Action,
    *,
    patient_id: str | None = None,
    outcome: Outcome = Outcome.SUCCESS,
    reason: str | None = None,
    **how: Unpack[Circumstances],
) -> None:
    """Write one row into the caller's transaction. Who touches several patients records each (`record_each`).

    Raises ValueError as `Act.row` does.
    """
    session.execute(_INSERT, Act(action, patient_id=patient_id, outcome=outcome, reason=reason, **how).row())


def record_each(session: Writing, action: Action, *, patient_ids: Iterable[str], **how: Unpack[Circumstances]) -> None:
    """Write one row for each patient that one act touched, e.g. everyone a search found (IHE BALP)."""
    rows = [Act(action, patient_id=patient_id, **how).row() for patient_id in patient_ids]
    if rows:
        session.execute(_INSERT, rows)


def record_refusal(
    database: Database,
    action: Action,
    *,
    reason: str,
    patient_id: str | None = None,
    **how: Unpack[Circumstances],
) -> None:
    """Write that something was refused, in a transaction of its own.

    Foreign and unknown things take the same statements, so that time does not tell them apart. Beyond ten a minute
    for one account (without one: for one address) refusals are counted; each doubling of the count, and the end of
    the minute, writes one row with `detail.count`. Raises Unavailable when the row cannot be written.
    """
    refused = Act(action, patient_id=patient_id, outcome=Outcome.SERIOUS, reason=reason, **how)
    due = _folding(database).admit(refused.agent.account_id or refused.agent.address or "", refused.row())
    if due:
        _write(database, due)


def flush_refusals(database: Database, *, stopping: bool = False) -> None:
    """Write the counts whose minute is over; called every minute, and for all counts when the process stops."""
    due = _folding(database).over(clock.monotonic(), everything=stopping)
    if due:
        _write(database, due)


def _write(database: Database, rows: list[dict[str, Any]]) -> None:
    with database.transaction() as session:
        for row in rows:
            session.execute(_INSERT, row)


def _plain(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str) and _CODE.fullmatch(value):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    raise ValueError(f"detail {name!r} of an audit row must be a code, a number or a list of them")


@dataclass
class _Window:
    """The refusals of one account or address within a minute."""

    since: float
    written: int = 0
    pending: int = 0
    next_at: int = REFUSALS_A_MINUTE
    last: dict[str, Any] = field(default_factory=dict)


class _Folding:
    """Counts refusals of one database's process. Rows never change, so a count is only ever written anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def admit(self, key: str, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows that are to be written now that `row` came."""
        now = clock.monotonic()
        with self._lock:
            due = self._take_over(now, everything=key not in self._windows and len(self._windows) >= MOST_WINDOWS)
            window = self._windows.setdefault(key, _Window(now))
            if window.written < REFUSALS_A_MINUTE:
                window.written += 1
                return [*due, row]
            window.pending += 1
            window.last = row
            if window.pending >= window.next_at:
                due.append(_folded(window))
                window.pending, window.next_at = 0, window.next_at * 2
            return due

    def over(self, now: float, *, everything: bool = False) -> list[dict[str, Any]]:
        """The counts of windows that ended before `now`, or of all."""
        with self._lock:
            return self._take_over(now, everything=everything)

    def _take_over(self, now: float, *, everything: bool = False) -> list[dict[str, Any]]:
        # Windows lie in the order in which they began, so the first young one ends the search.
        ended = []
        for key, window in self._windows.items():
            if not everything and now - window.since < WINDOW_SECONDS:
                break
            ended.append(key)
        return [_folded(window) for key in ended if (window := self._windows.pop(key)).pending]


def _folded(window: _Window) -> dict[str, Any]:
    # Several things and people may hide behind one count, so it names none of them.
    return window.last | {
        "id": ids.random_id(),
        "salt": ids.random_bytes(16),
        "recorded": clock.now(),
        "patient_id": None,
        "entity_kind": None,
        "entity_id": None,
        "reason": "folded",
        "detail": {"count": window.pending},
    }


_by_database: WeakKeyDictionary[Database, _Folding] = WeakKeyDictionary()
_by_database_lock = threading.Lock()


def _folding(database: Database) -> _Folding:
    with _by_database_lock:
        return _by_database.setdefault(database, _Folding())
