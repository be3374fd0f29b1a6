"""One database behind one small surface: SQLite (WAL, one write lock in one process) or PostgreSQL.

All writing happens inside `Database.transaction()`. On SQLite it takes the process's write lock and begins
IMMEDIATE, because a deferred transaction that wants to write later fails at once when another one writes.
Reading outside of it uses `Database.reading()`, which never blocks.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

import psycopg
from sqlalchemy import DateTime, LargeBinary, MetaData, String, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.types import TypeDecorator

from portal.core import clock
from portal.core.errors import Unavailable
from portal.core.prepared import Prepared, Row, heard
from portal.core.together import Writing

# How long one writer waits for another before the caller is told to try again.
WRITE_WAIT_SECONDS = 10
# A connection of PostgreSQL that lay idle this long is asked whether it still lives before it is used again.
IDLE_SECONDS = 5.0


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite has no zones, so there it is stored bare and given back as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Id = String(64)
Bytes = LargeBinary

# `info` of a table whose rows are only ever added (`__table_args__ = {"info": APPEND_ONLY}`): triggers of migration
# 0002 refuse everything else, and `portal.core.granting` gives the portal's role no right to it.
APPEND_ONLY: Final = {"append_only": True}


class Base(DeclarativeBase):
    """Parent of all tables; each subject declares its own in its `tables.py`."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


Made = TypeVar("Made")


class InEachDialect(Generic[Made]):
    """What is built around an `insert … on conflict …`, in the words of each database; built once.

    `build` is given the database's own `insert(table)`, whose result knows `on_conflict_do_nothing` and `_do_update`.
    """

    def __init__(self, build: Callable[[Callable[[Table], Any]], Made]) -> None:
        self._made = {"postgresql": build(postgresql.insert), "sqlite": build(sqlite.insert)}

    def of(self, session: Writing) -> Made:
        """The one for the database that is written to."""
        return self._made[session.get_bind().dialect.name]


def table_of(model: type[Base]) -> Table:
    """The table of a class, for statements that are asked so often that objects would cost more than the question."""
    return cast(Table, model.__table__)


class Database:
    """An engine and the two ways to use it."""

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        self.sqlite = url.startswith("sqlite")
        self._write_lock = threading.Lock()
        if self.sqlite:
            path = url.removeprefix("sqlite:///")
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                # For the portal's user alone; SQLite gives the files beside it the same mode.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self.engine = create_engine(
                url,
                connect_args={"check_same_thread": False, "timeout": WRITE_WAIT_SECONDS},
                pool_size=pool_size,
                max_overflow=512,
            )
            _tune_sqlite(self.engine)
        else:
            # Whatever came back last goes out first: what it has prepared, and its server's memory, are warm.
            self.engine = create_engine(
                url, pool_size=pool_size, max_overflow=16, pool_timeout=WRITE_WAIT_SECONDS, pool_use_lifo=True
            )
            _ask_idle_connections(self.engine)
        # PostgreSQL gives each statement a snapshot of its own anyway, so beginning and ending a transaction around a
        # look would only be two more trips.
        self._looking = self.engine if self.sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session in one write transaction: committed at the end, rolled back on any error.

        Raises Unavailable when the database cannot be written now (locked, down, read-only, full).
        """
        if self.sqlite and not self._write_lock.acquire(timeout=WRITE_WAIT_SECONDS):
            raise Unavailable("database-busy", retry_after=2)
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                if self.sqlite:
                    session.connection(execution_options={"portal_write": True})
                yield session
        except OperationalError as problem:
            raise Unavailable("database-down", retry_after=2) from problem
        finally:
            if self.sqlite:
                self._write_lock.release()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for looking: SQLite shows one snapshot, PostgreSQL what is committed at each statement.

        Whoever tries to change something through it gets a TypeError.
        """
        try:
            with _Looking(self._looking, expire_on_commit=False, autoflush=False) as session:
                yield session
        except OperationalError as problem:
            raise Unavailable("database-down", retry_after=2) from problem

    def ask(self, prepared: Prepared, params: Mapping[str, Any]) -> Sequence[Row]:
        """One look by one statement, without a session around it. Raises Unavailable."""
        if self.sqlite or heard(self.engine):
            with self.reading() as session:
                return prepared.rows(session, params)
        try:
            connection = self.engine.raw_connection()
        except psycopg.OperationalError as problem:
            raise Unavailable("database-down", retry_after=2) from problem
        driver = cast("psycopg.Connection[Any]", connection.driver_connection)
        try:
            driver.autocommit = True
            rows = prepared.rows_on(connection, params)
            driver.autocommit = False
        except BaseException as problem:
            connection.invalidate(problem)
            if isinstance(problem, OperationalError | psycopg.OperationalError):
                # The others were cut as well, most likely.
                self.engine.dispose()
                raise Unavailable("database-down", retry_after=2) from problem
            raise
        connection.close()
        return rows

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class _Looking(Session):
    """A session that refuses to write."""


@event.listens_for(_Looking, "do_orm_execute")
def _refuse_statements(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise TypeError("database.reading() is for looking; use database.transaction()")


@event.listens_for(_Looking, "before_flush")
def _refuse_objects(*_: object) -> None:
    raise TypeError("database.reading() is for looking; use database.transaction()")


def _ask_idle_connections(engine: Engine) -> None:
    """Replace connections that died while nobody used them (a restart, a cut line), without a question each time."""

    @event.listens_for(engine, "checkin")
    def back(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["back"] = clock.monotonic()

    @event.listens_for(engine, "checkout")
    def out(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        if clock.monotonic() - record.info.get("back", clock.monotonic()) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as problem:
            raise DisconnectionError() from problem


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        # The driver must not begin transactions by itself: BEGIN below decides between deferred and immediate.
        cast(Any, connection).isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={WRITE_WAIT_SECONDS * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("portal_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
