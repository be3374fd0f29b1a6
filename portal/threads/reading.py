"""Reading a thread: what a browser needs to verify and open it, page by page. Every reading is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.audit import Action, Entity
from portal.core.database import table_of
from portal.core.errors import BadInput, NotFound
from portal.core.together import Writing
from portal.threads import joining, on_record
from portal.threads.access import Access, open_thread
from portal.threads.inbox import carries_keys, transported
from portal.threads.tables import ReadPosition, Receipt, Record, ThreadRow

_POSITIONS = table_of(ReadPosition)
_FIRST_POSITION = insert(_POSITIONS)
_MOVED_BY_WRITING = (
    update(_POSITIONS)
    .where(
        _POSITIONS.c.pharmacy_id == bindparam("pharmacy"),
        _POSITIONS.c.account_id == bindparam("reader"),
        _POSITIONS.c.thread_id == bindparam("thread"),
        _POSITIONS.c.read_messages == bindparam("count_before"),
    )
    .values(delivered_seq=bindparam("sequence"), read_seq=bindparam("sequence"), read_messages=bindparam("count"))
)
PAGE = 50
MOST = 200


@dataclass(frozen=True)
class Opened:
    """A thread as its reader gets it first: all epoch and history records, and the signed receipts.

    `joinable` names those for whom it waits and who have keys by now, each with the role it would have in an epoch; who
    was put out is none of them. `carers`: whom the reader, the patient in person, may let in.
    """

    thread: ThreadRow
    voices: frozenset[str]
    patient_active: bool
    epochs: tuple[tuple[int, Mapping[str, Any]], ...]
    receipts: tuple[Receipt, ...]
    joinable: tuple[tuple[str, str], ...]
    carers: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A record in its place. `read_before` names the staff who had read a message before it was retracted."""

    seq: int
    received_at: datetime
    urgent: bool
    retracted_by: int | None
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of records in ascending order; `next` is the sequence to go on from, None at the end."""

    items: tuple[Entry, ...]
    next: int | None


def open_for_reading(session: Session, *, actor: Actor, thread_id: str) -> Opened:
    """The thread without its messages. Raises NotFound like `access.open_thread`."""
    access = open_thread(session, actor=actor, thread_id=thread_id)
    epochs = session.scalars(select(Record).where(Record.thread_id == thread_id, carries_keys()).order_by(Record.seq))
    receipts = session.scalars(select(Receipt).where(Receipt.thread_id == thread_id))
    _record_reading(session, actor, access, Action.THREAD_READ, thread_id)
    return Opened(
        thread=access.thread,
        voices=access.voices,
        patient_active=access.patient_active,
        epochs=tuple((record.seq, transported(record)) for record in epochs),
        receipts=tuple(receipts),
        joinable=joining.joinable(session, [access.thread]).get(thread_id, ()),
        carers=joining.carers(session, actor, access.thread),
    )


def page(
    session: Session, *, actor: Actor, thread_id: str, before: int | None, after: int | None, limit: int = PAGE
) -> Page:
    """Records before a sequence (default: the newest) or after one, ascending. One audit row for the page.

    The text of a retracted message goes to staff only, and only where it was kept.
    """
    if before is not None and after is not None:
        raise BadInput("bad-field", extra={"field": "before"})
    access = open_thread(session, actor=actor, thread_id=thread_id)
    limit = min(limit, MOST)
    query = select(Record).where(Record.thread_id == thread_id).limit(limit + 1)
    if after is not None:
        found = list(session.scalars(query.where(Record.seq > after).order_by(Record.seq)))
        following = found[limit - 1].seq if len(found) > limit else None
        found = found[:limit]
    else:
        if before is not None:
            query = query.where(Record.seq < before)
        found = list(session.scalars(query.order_by(Record.seq.desc())))
        following = found[limit - 1].seq if len(found) > limit else None
        found = found[:limit][::-1]
    entity = f"{thread_id}.{found[0].seq}-{found[-1].seq}" if found else thread_id
    _record_reading(session, actor, access, Action.MESSAGE_READ, entity)
    return Page(tuple(_entry(record, actor) for record in found), following)


def note_print(session: Session, *, actor: Actor, thread_id: str, sequence: int | None = None) -> None:
    """Put on record that a thread, or one message of it, is printed. Raises NotFound as reading does."""
    access = open_thread(session, actor=actor, thread_id=thread_id)
    if sequence is not None and not 1 <= sequence <= access.thread.head_seq:
        raise NotFound()
    entity = thread_id if sequence is None else f"{thread_id}.{sequence}"
    _record_reading(session, actor, access, Action.PRINTED, entity)


def _entry(record: Record, actor: Actor) -> Entry:
    with_text = record.retracted_by is None or actor.staff
    return Entry(
        seq=record.seq,
        received_at=record.received_at,
        urgent=record.urgent,
        retracted_by=record.retracted_by,
        record=transported(record, with_text=with_text),
    )


def _record_reading(session: Session, actor: Actor, access: Access, action: Action, entity: str) -> None:
    thread = access.thread
    on_record.note(session, actor=actor, thread=thread, action=action, entity=Entity("Communication", entity))


def wrote(session: Writing, *, account_id: str, thread: ThreadRow) -> None:
    """Whoever had read everything before the own newest message has read that too; nobody else has."""
    seq, count = thread.last_message_seq, thread.messages
    if count == 1:
        whose = {"pharmacy_id": thread.pharmacy_id, "account_id": account_id, "thread_id": thread.id}
        session.execute(_FIRST_POSITION, {**whose, "delivered_seq": seq, "read_seq": seq, "read_messages": count})
        return
    session.execute(
        _MOVED_BY_WRITING,
        {
            "pharmacy": thread.pharmacy_id,
            "reader": account_id,
            "thread": thread.id,
            "sequence": seq,
            "count": count,
            "count_before": count - 1,
        },
    )
