"""Which notices have been sent, so that each thing is told once."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment


class NoticeSent(Base):
    """A person was told that something waits (`about`, e.g. a thread); cleared when it has been read."""

    __tablename__ = "notice_sent"

    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    about: Mapped[str] = mapped_column(String(80), primary_key=True)
    sent_at: Mapped[datetime] = mapped_column(Moment)
