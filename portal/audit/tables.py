"""The audit record: append-only events, their leaves in the Merkle log, and the signed checkpoints."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import APPEND_ONLY, Base, Id, Moment

# SQLite counts up by itself only in a column of type INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")


class AuditEvent(Base):
    """One thing that happened, to at most one patient. Ids only: no names, no text, no results."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_patient", "patient_id", "seq"),
        Index("ix_audit_event_pharmacy", "pharmacy_id", "seq"),
        Index("ix_audit_event_account", "account_id", "seq"),
        {"info": APPEND_ONLY},
    )

    seq: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(Id, unique=True)
    pharmacy_id: Mapped[str | None] = mapped_column(Id)
    recorded: Mapped[datetime] = mapped_column(Moment)
    action: Mapped[str] = mapped_column(String(48))
    outcome: Mapped[str] = mapped_column(String(2))
    reason: Mapped[str | None] = mapped_column(String(64))
    account_id: Mapped[str | None] = mapped_column(Id)
    role: Mapped[str | None] = mapped_column(String(16))
    patient_id: Mapped[str | None] = mapped_column(Id)
    on_behalf: Mapped[str | None] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    entity_kind: Mapped[str | None] = mapped_column(String(32))
    entity_id: Mapped[str | None] = mapped_column(String(128))
    session_ref: Mapped[str | None] = mapped_column(String(32))
    token_ref: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))


class AuditLeaf(Base):
    """The place of an event in the Merkle log; written by the sealer, never by the transaction of the act."""

    __tablename__ = "audit_leaf"
    __table_args__ = {"info": APPEND_ONLY}  # noqa: RUF012

    index: Mapped[int] = mapped_column("leaf_index", BigInteger, primary_key=True, autoincrement=False)
    event_seq: Mapped[int] = mapped_column(ForeignKey("audit_event.seq"), unique=True)
    hash: Mapped[bytes] = mapped_column("leaf_hash", LargeBinary(32))


class AuditCheckpoint(Base):
    """A signed tree head (C2SP signed note) and the compact range that lets the sealer go on from it."""

    __tablename__ = "audit_checkpoint"
    __table_args__ = {"info": APPEND_ONLY}  # noqa: RUF012

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str] = mapped_column(Text)
    frontier: Mapped[list[str]] = mapped_column(JSON)
    signed_at: Mapped[datetime] = mapped_column(Moment)
