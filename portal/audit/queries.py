"""Looking into the record: a patient's "who looked", and the privacy officer's search within the own pharmacy.

Newest first, by keyset: `next` of a page is the `before` of the following one. Who calls these records the look.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from portal.audit.tables import AuditCheckpoint, AuditEvent, AuditLeaf
from portal.audit.vocabulary import Action, Outcome
from portal.core.database import table_of

LARGEST_PAGE = 200

_EVENT = table_of(AuditEvent)
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
# What concerns a patient's data and is worth a line on the page; receipts and mails would drown the rest.
_NOT_SHOWN_TO_PATIENTS = (Action.RECEIPT_SENT, Action.NOTICE_SENT)
# An inbox is looked at all day long: its rows are shown as one line for each day and person.
_LISTED = and_(_EVENT.c.action == Action.THREAD_LISTED.value, _EVENT.c.outcome == Outcome.SUCCESS)
_PERSON = ("outcome", "account_id", "role", "patient_id", "on_behalf", "pharmacy_id", "purpose")


@dataclass(frozen=True)
class Seen:
    """One row as a reader of the record sees it; names and words for it are found by the caller.

    Where `since` is set it stands for `count` rows of one day, from then until `recorded`; `seq` is that of the last.
    """

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
    since: datetime | None = None
    count: int = 1


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


def who_looked(
    session: Session,
    patient_id: str,
    *,
    zone: tzinfo = UTC,
    but: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Page:
    """Everything that happened to one patient's data, at every pharmacy, by staff, by others and by the person.

    Looks at lists of conversations are taken together by person and by day of `zone`, at the place of the day's last
    one: on one page only, with the count of the whole day. `but` leaves out what one account did.
    """
    whose = _EVENT.c.patient_id == patient_id
    if but is not None:
        whose = and_(whose, _EVENT.c.account_id.is_distinct_from(but))
    chosen = select(*_columns()).where(
        whose,
        _EVENT.c.action.not_in([action.value for action in _NOT_SHOWN_TO_PATIENTS]),
        not_(_LISTED),
    )
    page = _page(session, chosen, before, limit)
    limit = max(1, min(limit, LARGEST_PAGE))
    lists = _lists(session, whose, zone, before, page.next, limit)
    items = sorted([*page.items, *lists], key=lambda row: row.seq, reverse=True)
    more = page.next is not None or len(items) > limit
    return Page(items[:limit], items[:limit][-1].seq if more else None)


def _lists(
    session: Session, whose: ColumnElement[bool], zone: tzinfo, before: int | None, down_to: int | None, limit: int
) -> list[Seen]:
    """The newest looks at lists before a row, day by day: more than `limit` of them, or all down to a row."""
    found: list[Seen] = []
    wanted = and_(whose, _LISTED)
    left = wanted if before is None else and_(wanted, _EVENT.c.seq < before)
    while len(found) <= limit:
        newest = session.execute(
            select(_EVENT.c.seq, _EVENT.c.recorded).where(left).order_by(_EVENT.c.seq.desc()).limit(1)
        ).one_or_none()
        if newest is None or (down_to is not None and newest.seq < down_to):
            break
        day = newest.recorded.astimezone(zone).date()
        begins, ends = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        of_day = and_(_EVENT.c.recorded >= begins, _EVENT.c.recorded < ends)
        person = [_EVENT.c[name] for name in _PERSON]
        groups = session.execute(
            select(
                *person,
                func.max(_EVENT.c.seq).label("seq"),
                func.min(_EVENT.c.recorded).label("since"),
                func.max(_EVENT.c.recorded).label("recorded"),
                func.count().label("count"),
            )
            .where(wanted, of_day)
            .group_by(*person)
        )
        found += [_folded(row._mapping) for row in groups if before is None or row.seq < before]
        # By the day and not by the number alone: a clock that was moved must not take a day apart.
        left = and_(left, _EVENT.c.seq < newest.seq, or_(_EVENT.c.recorded < begins, _EVENT.c.recorded >= ends))
    return found


def _folded(row: RowMapping) -> Seen:
    nothing: dict[str, Any] = dict.fromkeys(("reason", "entity_kind", "entity_id", "address", "detail"))
    return Seen(**nothing, **row, action=Action.THREAD_LISTED.value)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


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
        chosen = chosen.where(_EVENT.c.outcome != Outcome.SUCCESS)
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


@dataclass(frozen=True)
class Standing:
    """How far the record is sealed: lines and time of the last checkpoint, and since when a line waits for its seal."""

    size: int
    signed_at: datetime | None
    waits_since: datetime | None


def standing(session: Session) -> Standing:
    """How far the record is sealed, for the operator; nothing of what is in it. Three queries."""
    newest = select(AuditCheckpoint).order_by(AuditCheckpoint.size.desc()).limit(1)
    checkpoint = session.scalar(newest)
    sealed = session.scalar(select(AuditLeaf.event_seq).order_by(AuditLeaf.index.desc()).limit(1))
    waiting = select(AuditEvent.recorded).where(AuditEvent.seq > (sealed or 0)).order_by(AuditEvent.seq).limit(1)
    return Standing(
        size=checkpoint.size if checkpoint is not None else 0,
        signed_at=checkpoint.signed_at if checkpoint is not None else None,
        waits_since=session.scalar(waiting),
    )
