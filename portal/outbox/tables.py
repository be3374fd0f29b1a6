"""Jobs that follow from a transaction and run after it: mail, EHR writes, push."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment


class OutboxJob(Base):
    """One job. Open until `done_at` or, after the last attempt, `dead_at` is set."""

    __tablename__ = "outbox_job"
    __table_args__ = (Index("ix_outbox_job_due", "done_at", "dead_at", "due_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str | None] = mapped_column(Id)
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    dedupe: Mapped[str | None] = mapped_column(String(120), unique=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    done_at: Mapped[datetime | None] = mapped_column(Moment)
    dead_at: Mapped[datetime | None] = mapped_column(Moment)
    last_error: Mapped[str | None] = mapped_column(String(200))
