"""Telling the members of a thread that something changed: inbox rows in the transaction, the bus after it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from portal.core import faults
from portal.core.bus import Bus
from portal.core.database import InEachDialect, table_of
from portal.core.together import Writing, at_once
from portal.threads.tables import InboxCounter, InboxRow

_ROWS = table_of(InboxRow)
_COUNTERS = table_of(InboxCounter)


class _Statements:
    """The two changes of every send, in the words of one database; each takes all readers' rows at once."""

    def __init__(self, insert: Callable[[Table], Any]) -> None:
        count = insert(_COUNTERS)
        self.count = count.on_conflict_do_update(
            index_elements=["pharmacy_id", "reader_id"], set_={"change_no": _COUNTERS.c.change_no + 1}
        ).returning(_COUNTERS.c.reader_id, _COUNTERS.c.change_no)
        row = insert(_ROWS)
        key = ["pharmacy_id", "reader_id", "thread_id"]
        kept = {name: row.excluded[name] for name in ("last_seq", "change_no")}
        moved = kept | {name: row.excluded[name] for name in ("last_at", "awaiting", "urgent")}
        self.keep_place = row.on_conflict_do_update(index_elements=key, set_=kept)
        self.move_up = row.on_conflict_do_update(index_elements=key, set_=moved)


_STATEMENTS = InEachDialect(_Statements)


@dataclass(frozen=True)
class Told:
    """What happened in a thread, for the bus: who is to hear of it under which change number."""

    thread_id: str
    sequence: int
    # reader id -> change number of that reader's inbox
    changes: dict[str, int]

    def publish(self, bus: Bus) -> None:
        """Tell open streams; call it after the commit."""
        what = {"kind": "thread", "thread": self.thread_id, "sequence": self.sequence}
        bus.publish_each(
            [(f"reader:{reader}", {**what, "reader": reader, "no": change}) for reader, change in self.changes.items()]
        )


@dataclass(frozen=True)
class Line:
    """The state of one reader's inbox row after an append."""

    reader_id: str
    awaiting: bool


def write_inbox(
    session: Session,
    later: Writing,
    *,
    pharmacy_id: str,
    thread_id: str,
    sequence: int,
    at: datetime,
    urgent: bool,
    lines: Iterable[Line],
    keep_place: bool = False,
) -> Told:
    """Count the change for each reader now; the rows of their inboxes are written with what else `later` holds.

    With `keep_place` (no new message: a re-key, a retraction) known rows keep their place and what they await.

    Counted last in a transaction and in the order of reader ids: the counter's row lock is what makes change numbers
    visible in order, and it is held only until the commit.
    """
    ordered = sorted(lines, key=lambda line: line.reader_id)
    if not ordered:
        return Told(thread_id, sequence, {})
    statements = _STATEMENTS.of(session)
    first = [{"pharmacy_id": pharmacy_id, "reader_id": line.reader_id, "change_no": 1} for line in ordered]
    changes: dict[str, int] = dict(at_once(session, statements.count, first))
    faults.point("send.counted")
    later.execute(
        statements.keep_place if keep_place else statements.move_up,
        [
            {
                "pharmacy_id": pharmacy_id,
                "reader_id": line.reader_id,
                "thread_id": thread_id,
                "last_at": at,
                "last_seq": sequence,
                "awaiting": line.awaiting,
                "urgent": urgent,
                "change_no": changes[line.reader_id],
            }
            for line in ordered
        ],
    )
    return Told(thread_id, sequence, changes)


def touch(session: Session, *, pharmacy_id: str, thread_id: str) -> Told:
    """Count a change that brings no new record (a receipt, a retraction's effect) for all readers of the thread."""
    changes: dict[str, int] = {}
    sequence = 0
    rows = session.execute(
        select(_ROWS.c.reader_id, _ROWS.c.last_seq).where(_ROWS.c.thread_id == thread_id).order_by(_ROWS.c.reader_id)
    ).all()
    for reader_id, last_seq in rows:
        change = session.execute(
            update(_COUNTERS)
            .where(_COUNTERS.c.pharmacy_id == pharmacy_id, _COUNTERS.c.reader_id == reader_id)
            .values(change_no=_COUNTERS.c.change_no + 1)
            .returning(_COUNTERS.c.change_no)
        ).scalar_one()
        session.execute(
            update(_ROWS)
            .where(_ROWS.c.pharmacy_id == pharmacy_id, _ROWS.c.reader_id == reader_id, _ROWS.c.thread_id == thread_id)
            .values(change_no=change)
        )
        changes[reader_id] = change
        sequence = last_seq
    return Told(thread_id, sequence, changes)
