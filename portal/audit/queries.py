"""Looking into the record: a patient's "who looked", and the privacy officer's search within the own pharmacy.

Newest first, by keyset: `next` of a page is the `before` of the following one. Who calls these records the look.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, select
from sqlalchemy.orm import Session

from portal.audit.tables import AuditEvent
from portal.audit.vocabulary import Action

LARGEST_PAGE = 200

_EVENT: Table = AuditEvent.__table__  # type: ignore[assignment]
_SEEN = (
    "seq",
    "recorded",
    "action",
    "outcome",
    "reason",
    "account_id",
    "role",
    "patient_id",
    "on_behalf",
    "pharmacy_id",
    "purpose",
    "entity_kind",
    "entity_id",
    "address",
    "detail",
)
# What concerns a patient's data and is worth a line on the page; typing, receipts and lists would drown the rest.
_NOT_SHOWN_TO_PATIENTS = (Action.RECEIPT_SENT, Action.NOTICE_SENT, Action.THREAD_LISTED)


@dataclass(frozen=True)
class Seen:
    """One row as a reader of the record sees it; names and words for it are found by the caller."""

    seq: int
    recorded: datetime
    action: str
    outcome: str
    reason: str | None
    account_id: str | None
    role: str | None
    patient_id: str | None
    on_behalf: str | None
    pharmacy_id: str | None
    purpose: str
    entity_kind: str | None
    entity_id: str | None
    address: str | None
    detail: dict[str, Any] | None


@dataclass(frozen=True)
class Page:
    """Rows, newest first, and where the next page begins (None at the end)."""

    items: list[Seen]
    next: int | None


@dataclass(frozen=True)
class Filters:
    """What a privacy officer may narrow the search by; None leaves it open. `until` is excluded."""

    patient_id: str | None = None
    account_id: str | None = None
    role: str | None = None
    actions: Collection[str] = ()
    outcome: str | None = None
    refused_only: bool = False
    since: datetime | None = None
    until: datetime | None = None


def who_looked(session: Session, patient_id: str, *, before: int | None = None, limit: int = 50) -> Page:
    """Everything that happened to one patient's data, at every pharmacy, by staff, by others and by the person."""
    chosen = select(*_columns()).where(
        _EVENT.c.patient_id == patient_id, _EVENT.c.action.not_in([action.value for action in _NOT_SHOWN_TO_PATIENTS])
    )
    return _page(session, chosen, before, limit)


def search(session: Session, pharmacy_id: str, filters: Filters, *, before: int | None = None, limit: int = 50) -> Page:
    """The rows of one pharmacy that fit all `filters`. Nothing of another pharmacy is ever among them."""
    chosen = select(*_columns()).where(_EVENT.c.pharmacy_id == pharmacy_id)
    same = {
        "patient_id": filters.patient_id,
        "account_id": filters.account_id,
        "role": filters.role,
        "outcome": filters.outcome,
    }
    for name, value in same.items():
        if value is not None:
            chosen = chosen.where(_EVENT.c[name] == value)
    if filters.actions:
        chosen = chosen.where(_EVENT.c.action.in_(list(filters.actions)))
    if filters.refused_only:
        chosen = chosen.where(_EVENT.c.outcome != "0")
    if filters.since is not None:
        chosen = chosen.where(_EVENT.c.recorded >= filters.since)
    if filters.until is not None:
        chosen = chosen.where(_EVENT.c.recorded < filters.until)
    return _page(session, chosen, before, limit)


def _page(session: Session, chosen: Select[Any], before: int | None, limit: int) -> Page:
    limit = max(1, min(limit, LARGEST_PAGE))
    if before is not None:
        chosen = chosen.where(_EVENT.c.seq < before)
    rows = session.execute(chosen.order_by(_EVENT.c.seq.desc()).limit(limit + 1)).all()
    items = [Seen(**row._mapping) for row in rows[:limit]]
    return Page(items, items[-1].seq if len(rows) > limit else None)


def _columns() -> list[Any]:
    return [_EVENT.c[name] for name in _SEEN]
