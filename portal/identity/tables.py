"""Server-side sessions and the one-time state of logins under way."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment

_OPEN = text("ended_at IS NULL")


class LoginSession(Base):
    """A browser's session. The cookie's value is known here only as a hash."""

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_account", "account_id", "ended_at"),
        Index("ix_login_session_idp", "idp_sid"),
        Index("ix_login_session_ends_at", "ends_at"),
        # Few have not ended, beside all of the last month: what the sweep looks at every few seconds.
        Index("ix_login_session_open", "active_at", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    # What a person sees and ends in the list of own sessions; the hash never leaves.
    ref: Mapped[str] = mapped_column(Id, unique=True)
    account_id: Mapped[str | None] = mapped_column(Id)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)
    active_at: Mapped[datetime] = mapped_column(Moment)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    locked_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[str | None] = mapped_column(String(24))
    auth_time: Mapped[datetime | None] = mapped_column(Moment)
    acr: Mapped[str | None] = mapped_column(String(120))
    amr: Mapped[list[str] | None] = mapped_column(JSON)
    idp_sid: Mapped[str | None] = mapped_column(String(255))
    # The ID token that RP-initiated logout names as a hint, under AEAD with PORTAL_SECRET_KEY.
    id_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    device_id: Mapped[str | None] = mapped_column(Id)
    # On a shared device: shorter limits, and what opens the device while this session is active (sealed); gone with it.
    shared: Mapped[bool] = mapped_column(default=False)
    stay: Mapped[bytes | None] = mapped_column(LargeBinary)
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(200))


class BrowserTile(Base):
    """A person among those who share a browser. The browser's cookie is known here only as a hash."""

    __tablename__ = "browser_tile"

    browser_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    session_ref: Mapped[str] = mapped_column(Id)
    seen_at: Mapped[datetime] = mapped_column(Moment, index=True)


class LoginAttempt(Base):
    """What was agreed before a redirect to the provider: consumed once, by the browser that began it."""

    __tablename__ = "login_attempt"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    browser_hash: Mapped[str] = mapped_column(String(64))
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128))
    purpose: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str | None] = mapped_column(Id)
    next_path: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    # Only a login made from now on answers it, none that the provider remembers.
    fresh: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)


class LogoutTokenSeen(Base):
    """The `jti` of a back-channel logout token, so that each works once."""

    __tablename__ = "logout_token_seen"

    jti_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Moment, index=True)
