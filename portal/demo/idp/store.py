"""What the provider keeps in its own SQLite file: keys, codes, tokens, sessions, wrong tries. Secrets as hashes."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from portal.core.database import Database, Moment


class Base(DeclarativeBase):
    """Apart from the portal's tables: the two share nothing but HTTP."""


class SigningKey(Base):
    """A key for ID and logout tokens; a retired one is still published for a while."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    jwk: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)
    retired_at: Mapped[datetime | None] = mapped_column(Moment)


class Code(Base):
    """An authorization code: used once, within a minute."""

    __tablename__ = "code"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(120))
    redirect_uri: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    challenge: Mapped[str] = mapped_column(String(128))
    login: Mapped[str] = mapped_column(String(64))
    sid: Mapped[str] = mapped_column(String(64))
    auth_time: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class AccessToken(Base):
    """Good for userinfo only; revoked when its code comes a second time."""

    __tablename__ = "access_token"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), index=True)
    login: Mapped[str] = mapped_column(String(64))
    sid: Mapped[str] = mapped_column(String(64))
    auth_time: Mapped[int] = mapped_column(Integer)
    scope: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class ProviderSession(Base):
    """A browser that is signed in at the provider."""

    __tablename__ = "provider_session"

    cookie_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    sid: Mapped[str] = mapped_column(String(64), index=True)
    login: Mapped[str] = mapped_column(String(64))
    auth_time: Mapped[int] = mapped_column(Integer)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class WrongTries(Base):
    """Wrong passwords in a row: for a login at a browser, at an address, anywhere; for an address."""

    __tablename__ = "wrong_tries"

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime] = mapped_column(Moment)


class KnownBrowser(Base):
    """A browser in which a login has succeeded: strangers' wrong tries do not slow it down."""

    __tablename__ = "known_browser"

    browser_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    login: Mapped[str] = mapped_column(String(64), primary_key=True)


def open_store(path: str) -> Database:
    """The provider's database, made when it is not there yet."""
    database = Database(f"sqlite:///{path}", pool_size=4)
    Base.metadata.create_all(database.engine)
    return database
