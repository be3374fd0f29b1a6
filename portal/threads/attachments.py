"""Encrypted files: uploaded in parts, claimed by the message that names them, removed after a day without one."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.forms import first_wins, text_of_bytes
from portal.audit import Action, Entity
from portal.core import clock, ids
from portal.core.errors import BadInput, Conflict, NotFound, TooLarge, Unprocessable
from portal.core.lives import Life, Step
from portal.e2ee.encoding import b64
from portal.e2ee.records import AttachmentName
from portal.pharmacies.tables import Pharmacy
from portal.threads import on_record
from portal.threads.access import open_thread
from portal.threads.tables import Attachment, AttachmentPart, Record, ThreadRow

# 25 MiB of content, and what padding and chunking add to it.
LARGEST = 27 * 1024 * 1024
LARGEST_PART = 1024 * 1024
# All but the last: a file is a few hundred rows at the most, whatever a browser sends.
SMALLEST_PART = 64 * 1024
# Uploads that one account begins within `ORPHAN_AGE`.
MOST_A_DAY = 400
ORPHAN_AGE = timedelta(hours=24)


class State(StrEnum):
    """How far an encrypted file has got."""

    ARRIVING = "arriving"
    COMPLETE = "complete"
    NAMED = "named"
    GONE = "gone"


class Event(StrEnum):
    """What happens to an encrypted file."""

    ANNOUNCED = "announced"
    WHOLE = "whole, with its hash"
    OTHER_HASH = "whole, with another hash"
    SENT = "named by a message"
    FORGOTTEN = "a day without a message"
    RETRACTED = "its message retracted unread"


LIFE: Life[State, Event] = Life(
    "encrypted file",
    (
        Step(None, Event.ANNOUNCED, State.ARRIVING),
        Step(State.ARRIVING, Event.OTHER_HASH, State.ARRIVING),
        Step(State.ARRIVING, Event.WHOLE, State.COMPLETE),
        Step(State.COMPLETE, Event.SENT, State.NAMED),
        Step(State.ARRIVING, Event.FORGOTTEN, State.GONE),
        Step(State.COMPLETE, Event.FORGOTTEN, State.GONE),
        Step(State.NAMED, Event.RETRACTED, State.GONE),
    ),
)


def begin(
    session: Session,
    *,
    actor: Actor,
    attachment_id: str,
    thread_id: str,
    pharmacy_id: str,
    size: int,
    cth: str,
    quota: int,
) -> Attachment:
    """Announce an upload; the same announcement again answers with how much has arrived, so that it can go on.

    The thread may not exist yet (its first message will name the file). Raises TooLarge beyond the size or the
    account's quota in bytes, Conflict when the id is taken by other content.
    """
    if not ids.is_id(attachment_id) or not ids.is_id(thread_id):
        raise BadInput("bad-field", extra={"field": "id"})
    if not 0 < size <= LARGEST:
        raise TooLarge("attachment-too-large")
    text_of_bytes(cth, "cth", length=32)
    if not (actor.staff or actor.acting):
        raise NotFound()
    one_at_a_time(session, actor.account_id)
    known = session.get(Attachment, attachment_id)
    if known is not None:
        if (known.account_id, known.thread_id, known.size, known.cth) != (actor.account_id, thread_id, size, cth):
            raise Conflict("attachment-exists")
        return known
    pharmacy_id = _pharmacy_of(session, actor, thread_id, pharmacy_id)
    used, begun = session.execute(
        select(func.coalesce(func.sum(Attachment.size), 0), func.count()).where(
            Attachment.account_id == actor.account_id, Attachment.created_at > clock.now() - ORPHAN_AGE
        )
    ).one()
    if used + size > quota or begun >= MOST_A_DAY:
        raise TooLarge("attachment-quota")
    made = Attachment(
        id=attachment_id,
        pharmacy_id=pharmacy_id,
        thread_id=thread_id,
        account_id=actor.account_id,
        size=size,
        received=0,
        cth=cth,
        created_at=clock.now(),
    )
    with first_wins(session, "attachment-exists"):
        session.add(made)
    return made


def put_part(session: Session, *, actor: Actor, attachment_id: str, start: int, data: bytes) -> int:
    """Store the next part; returns how many bytes have arrived. A part that came before is answered, not doubled.

    Raises TooLarge above 1 MiB or beyond the file, BadInput `part-too-small` below 64 KiB but for the last, Conflict
    `part-out-of-order` with how much has arrived.
    """
    upload = _own_upload(session, actor, attachment_id)
    if not 0 < len(data) <= LARGEST_PART:
        raise TooLarge("part-too-large")
    if start < upload.received:
        return upload.received
    if start > upload.received:
        raise Conflict("part-out-of-order", extra={"received": upload.received})
    if start + len(data) > upload.size:
        raise TooLarge("part-too-large")
    if len(data) < SMALLEST_PART and start + len(data) < upload.size:
        raise BadInput("part-too-small", extra={"least": SMALLEST_PART})
    session.add(AttachmentPart(pharmacy_id=upload.pharmacy_id, attachment_id=upload.id, start=start, data=data))
    upload.received = start + len(data)
    return upload.received


def complete(session: Session, *, actor: Actor, attachment_id: str) -> bool:
    """All parts are there: whether they have the hash the sender announced; if not, they are forgotten.

    Raises Conflict `part-missing` with how much has arrived. To be committed either way.
    """
    upload = _own_upload(session, actor, attachment_id)
    if state_of(upload) is State.COMPLETE:
        return True
    if upload.received != upload.size:
        raise Conflict("part-missing", extra={"received": upload.received})
    hashed = hashlib.sha256()
    for start in _starts(session, upload):
        hashed.update(session.get_one(AttachmentPart, (upload.pharmacy_id, upload.id, start)).data)
    if b64(hashed.digest()) != upload.cth:
        session.execute(delete(AttachmentPart).where(*_parts_of(upload)))
        upload.received = 0
        return False
    upload.complete_at = clock.now()
    return True


def claim(session: Session, *, actor: Actor, thread: ThreadRow, seq: int, named: Iterable[AttachmentName]) -> None:
    """A message names its files: they must be the sender's own complete uploads for this thread, unclaimed."""
    for name in named:
        upload = session.get(Attachment, name.id)
        if (
            upload is None
            or upload.account_id != actor.account_id
            or upload.thread_id != thread.id
            or LIFE.after(state_of(upload), Event.SENT) is None
            or (upload.size, upload.cth) != (name.size, b64(name.cth))
        ):
            raise Unprocessable("attachment", extra={"attachment": name.id[:64]})
        upload.seq = seq
        upload.pharmacy_id = thread.pharmacy_id
        on_record.note(
            session, actor=actor, thread=thread, action=Action.ATTACHMENT_STORED, entity=Entity("Media", name.id)
        )


@dataclass(frozen=True)
class Readable:
    """A stored file for somebody who may read its thread."""

    id: str
    pharmacy_id: str
    size: int
    cth: str
    starts: tuple[int, ...]


def open_for_reading(session: Session, *, actor: Actor, attachment_id: str) -> Readable:
    """The file, if the actor may read the thread that names it; every range that is fetched is recorded.

    The file of a retracted message goes to staff only, like its text.
    """
    upload = session.get(Attachment, attachment_id)
    if upload is None or upload.seq is None:
        # Nobody's thread: refused by the same statements as a foreign one.
        open_thread(session, actor=actor, thread_id="")
        raise NotFound()
    thread = open_thread(session, actor=actor, thread_id=upload.thread_id).thread
    if session.get_one(Record, (thread.id, upload.seq)).retracted_by is not None and not actor.staff:
        raise NotFound()
    on_record.note(
        session, actor=actor, thread=thread, action=Action.ATTACHMENT_READ, entity=Entity("Media", attachment_id)
    )
    return Readable(upload.id, upload.pharmacy_id, upload.size, upload.cth, tuple(_starts(session, upload)))


def read_range(session: Session, readable: Readable, start: int, end: int) -> bytes:
    """Bytes start..end (exclusive) of a stored file, reading only the parts they lie in."""
    out = bytearray()
    for index, offset in enumerate(readable.starts):
        after = readable.starts[index + 1] if index + 1 < len(readable.starts) else readable.size
        if after <= start or offset >= end:
            continue
        data = session.get_one(AttachmentPart, (readable.pharmacy_id, readable.id, offset)).data
        out += data[max(0, start - offset) : end - offset]
    return bytes(out)


def state_of(upload: Attachment) -> State:
    """How far a file that is there has got."""
    if upload.seq is not None:
        return State.NAMED
    return State.ARRIVING if upload.complete_at is None else State.COMPLETE


def remove_of_message(session: Session, *, thread_id: str, seq: int) -> None:
    """Delete the files of a message whose ciphertext goes too."""
    _remove(session, select(Attachment.id).where(Attachment.thread_id == thread_id, Attachment.seq == seq))


def remove_orphans(session: Session) -> int:
    """Delete uploads no message named within a day; returns how many. Run by the worker."""
    orphans = select(Attachment.id).where(Attachment.seq.is_(None), Attachment.created_at < clock.now() - ORPHAN_AGE)
    return _remove(session, orphans.limit(200))


def _remove(session: Session, query: Select[str]) -> int:
    found = list(session.scalars(query))
    if found:
        # The parts go with them.
        session.execute(delete(Attachment).where(Attachment.id.in_(found)))
    return len(found)


def _pharmacy_of(session: Session, actor: Actor, thread_id: str, named: str) -> str:
    """The thread's pharmacy; the one named for a thread that does not exist yet, or is none of the actor's.

    The two look the same to whoever asks: a file for a foreign thread can never be named there, and is removed.
    """
    try:
        thread = open_thread(session, actor=actor, thread_id=thread_id, to_write=True).thread
    except NotFound:
        if session.get(Pharmacy, named) is None:
            raise BadInput("bad-field", extra={"field": "pharmacy"}) from None
        return named
    return thread.pharmacy_id


def _own_upload(session: Session, actor: Actor, attachment_id: str) -> Attachment:
    upload = session.get(Attachment, attachment_id, with_for_update=True)
    if upload is None or upload.account_id != actor.account_id or state_of(upload) is State.NAMED:
        raise NotFound()
    return upload


def _starts(session: Session, upload: Attachment) -> list[int]:
    query = select(AttachmentPart.start).where(*_parts_of(upload))
    return list(session.scalars(query.order_by(AttachmentPart.start)))


def _parts_of(upload: Attachment) -> tuple[ColumnElement[bool], ...]:
    return AttachmentPart.pharmacy_id == upload.pharmacy_id, AttachmentPart.attachment_id == upload.id
