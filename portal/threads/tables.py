"""Threads: their signed records, who has them in the inbox, who read how far, and their attachments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment

# Records that carry keys; the condition of a partial index, which queries repeat as it stands here.
KEY_KINDS = ("epoch", "history")
_KEYS_ONLY = text("kind IN ('epoch', 'history')")


class Thread(Base):
    """A thread about one patient with one pharmacy. `state` is what the verifier needs to accept the next record."""

    __tablename__ = "thread"
    __table_args__ = (Index("ix_thread_patient", "pharmacy_id", "patient_id", "created_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    patient_id: Mapped[str] = mapped_column(Id)
    topic: Mapped[str] = mapped_column(String(16))
    created_by: Mapped[str] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(Moment)
    urgent_at: Mapped[datetime | None] = mapped_column(Moment)
    head_seq: Mapped[int] = mapped_column(Integer)
    head: Mapped[str] = mapped_column(String(64))
    # The newest message, which the inbox shows.
    last_message_seq: Mapped[int] = mapped_column(Integer, default=0)
    # How many messages there are; records of keys and retractions do not count.
    messages: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    epoch: Mapped[int] = mapped_column(Integer)
    # The members of the current epoch: [{id, role, gen, ended?, undone?}]; `ended`: got no key of it, `undone`: was
    # parted from the patient as the wrong person (portal/privacy/unbinding.py).
    members: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    # Set while the patient has no keys yet: the team wrote, and waits for her to enrol.
    waits_for_keys: Mapped[bool] = mapped_column(default=False)


@dataclass(slots=True)
class ThreadRow:
    """A thread as it was read: the columns of `Thread` in their order, without what an object of the ORM costs."""

    id: str
    pharmacy_id: str
    patient_id: str
    topic: str
    created_by: str
    created_at: datetime
    urgent_at: datetime | None
    head_seq: int
    head: str
    last_message_seq: int
    messages: int
    epoch: int
    members: list[dict[str, Any]]
    state: dict[str, Any]
    waits_for_keys: bool


class Record(Base):
    """One signed record of a thread, as exact bytes: header and signature as sent, the body apart."""

    __tablename__ = "record"
    __table_args__ = (
        # What opens the messages is found without walking over them.
        Index("ix_record_keys", "thread_id", "seq", postgresql_where=_KEYS_ONLY, sqlite_where=_KEYS_ONLY),
    )

    pharmacy_id: Mapped[str] = mapped_column(Id)
    thread_id: Mapped[str] = mapped_column(ForeignKey("thread.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))
    h: Mapped[str] = mapped_column(Text)
    sig: Mapped[str] = mapped_column(String(128))
    # Messages: the ciphertext. Epoch and history records: their wraps. Neither for redact, nor once retracted.
    ct: Mapped[bytes | None] = mapped_column(LargeBinary)
    cth: Mapped[str | None] = mapped_column(String(64))
    w: Mapped[dict[str, str] | None] = mapped_column(JSON)
    wh: Mapped[str | None] = mapped_column(String(64))
    account_id: Mapped[str] = mapped_column(Id)
    received_at: Mapped[datetime] = mapped_column(Moment)
    urgent: Mapped[bool] = mapped_column(default=False)
    retracted_by: Mapped[int | None] = mapped_column(Integer)
    # How many messages the thread has up to here, so that a read position is also a count.
    messages: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class AcceptedKey(Base):
    """An Idempotency-Key that was accepted: the same bytes get the same answer (docs/protocol.md section 6)."""

    __tablename__ = "accepted_key"

    pharmacy_id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    thread_id: Mapped[str] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(Id, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    seq: Mapped[int] = mapped_column(Integer)
    accepted_at: Mapped[datetime] = mapped_column(Moment, index=True)


class InboxRow(Base):
    """One thread in the inbox of one reader: a person or a team, by directory id."""

    __tablename__ = "inbox_row"
    __table_args__ = (
        # By reader alone: a person's inbox may reach into several pharmacies, a team's is in one.
        Index("ix_inbox_row_newest", "reader_id", "last_at", "thread_id"),
        Index("ix_inbox_row_change", "reader_id", "change_no"),
        Index("ix_inbox_row_awaiting", "reader_id", "awaiting", "last_at", "thread_id"),
        Index("ix_inbox_row_thread", "thread_id"),
    )

    pharmacy_id: Mapped[str] = mapped_column(Id, primary_key=True)
    reader_id: Mapped[str] = mapped_column(Id, primary_key=True)
    thread_id: Mapped[str] = mapped_column(Id, primary_key=True)
    last_at: Mapped[datetime] = mapped_column(Moment)
    last_seq: Mapped[int] = mapped_column(Integer)
    # The other side wrote last: this reader is expected to answer or read.
    awaiting: Mapped[bool] = mapped_column(default=False)
    urgent: Mapped[bool] = mapped_column(default=False)
    change_no: Mapped[int] = mapped_column(Integer)


class InboxCounter(Base):
    """Counts the changes of a reader's inbox. Taken under its row lock, so numbers become visible in order."""

    __tablename__ = "inbox_counter"
    __table_args__ = (Index("ix_inbox_counter_reader", "reader_id", "change_no"),)

    pharmacy_id: Mapped[str] = mapped_column(Id, primary_key=True)
    reader_id: Mapped[str] = mapped_column(Id, primary_key=True)
    change_no: Mapped[int] = mapped_column(Integer, default=0)


class ReadPosition(Base):
    """How far a person has got in a thread."""

    __tablename__ = "read_position"

    pharmacy_id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    thread_id: Mapped[str] = mapped_column(Id, primary_key=True)
    delivered_seq: Mapped[int] = mapped_column(Integer, default=0)
    read_seq: Mapped[int] = mapped_column(Integer, default=0)
    read_messages: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    read_at: Mapped[datetime | None] = mapped_column(Moment)


class Receipt(Base):
    """The latest signed receipt of a person and kind (docs/protocol.md section 4)."""

    __tablename__ = "receipt"

    thread_id: Mapped[str] = mapped_column(ForeignKey("thread.id"), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    seq: Mapped[int] = mapped_column(Integer)
    epoch: Mapped[int] = mapped_column(Integer)
    h: Mapped[str] = mapped_column(Text)
    sig: Mapped[str] = mapped_column(String(128))
    received_at: Mapped[datetime] = mapped_column(Moment)


class Attachment(Base):
    """An encrypted file. Belongs to the uploader until a message names it; removed after 24 hours without one."""

    __tablename__ = "attachment"
    __table_args__ = (
        Index("ix_attachment_orphan", "seq", "created_at"),
        Index("ix_attachment_account", "account_id", "created_at"),
        Index("ix_attachment_thread", "thread_id", "seq"),
        # What the parts of a file refer to.
        UniqueConstraint("pharmacy_id", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    thread_id: Mapped[str] = mapped_column(Id)
    account_id: Mapped[str] = mapped_column(Id)
    size: Mapped[int] = mapped_column(Integer)
    received: Mapped[int] = mapped_column(Integer, default=0)
    cth: Mapped[str] = mapped_column(String(64))
    complete_at: Mapped[datetime | None] = mapped_column(Moment)
    seq: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment)


class AttachmentPart(Base):
    """At most 1 MiB of an attachment's ciphertext."""

    __tablename__ = "attachment_part"
    __table_args__ = (
        # A file that was announced for another pharmacy than its message then names goes over with its parts.
        ForeignKeyConstraint(
            ["pharmacy_id", "attachment_id"],
            ["attachment.pharmacy_id", "attachment.id"],
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
    )

    pharmacy_id: Mapped[str] = mapped_column(Id, primary_key=True)
    attachment_id: Mapped[str] = mapped_column(Id, primary_key=True)
    start: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
