"""Statements of every request, put into words once and asked below SQLAlchemy's execution.

What SQLAlchemy does around an execution (contexts, events, results with names) costs PostgreSQL's driver several times
what the trip itself does. So the words, the order of the parameters and what converts them are kept, and the driver is
asked directly, in the connection and transaction of the session. On SQLite, where there is no trip, the session is
asked as usual.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import psycopg
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection

Convert = Callable[[Any], Any]
Row = Sequence[Any]
# The words of the driver's raw cursor: parameters by number, each with its type.
_DIALECT: Dialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
# Where a connection keeps its cursor.
_CURSOR = "portal-cursor"


class _Parameter(NamedTuple):
    """`name` is None for a value that stands in the statement itself."""

    name: str | None
    convert: Convert | None
    value: Any


class _Words:
    """A statement as PostgreSQL's driver takes it."""

    def __init__(self, statement: Any) -> None:
        made = statement.compile(dialect=_DIALECT)
        self.text: bytes = made.string.encode()
        self._parameters = tuple(_parameter(made.binds[name]) for name in made.positiontup or ())
        converting = [_of_result(column.type) for column in statement.exported_columns]
        self._converting = [(place, convert) for place, convert in enumerate(converting) if convert is not None]

    def arguments(self, params: Mapping[str, Any]) -> list[Any]:
        """The parameters in their order, as the driver takes them."""
        return [
            value if name is None else params[name] if convert is None else convert(params[name])
            for name, convert, value in self._parameters
        ]

    def read(self, rows: list[tuple[Any, ...]]) -> list[Row]:
        """What the driver gave, in the types of the columns."""
        if not self._converting:
            return list(rows)
        read: list[Row] = []
        for row in rows:
            values = list(row)
            for place, convert in self._converting:
                values[place] = convert(values[place])
            read.append(values)
        return read


class Prepared:
    """A SELECT, or a change that returns rows, whose columns are its exported ones."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    @cached_property
    def _words(self) -> _Words:
        return _Words(self._statement)

    def rows(self, session: Session, params: Mapping[str, Any]) -> Sequence[Row]:
        """The rows for these parameters, in the session's transaction. Raises what `session.execute` raises."""
        connection = session.connection()
        if connection.dialect.name != "postgresql" or heard(connection):
            return session.execute(self._statement, params).all()
        return self.rows_on(connection.connection, params)

    def rows_on(self, connection: PoolProxiedConnection, params: Mapping[str, Any]) -> Sequence[Row]:
        """The rows, asked on a pool's connection to PostgreSQL."""
        words = self._words
        try:
            return words.read(_cursor(connection).execute(words.text, words.arguments(params)).fetchall())
        except psycopg.Error as problem:
            # Without the words and the parameters, which can be anybody's.
            raise DBAPIError.instance(None, None, problem, psycopg.Error, hide_parameters=True) from problem


def heard(place: Engine | Connection) -> bool:
    """Whether somebody listens to statements, a test or a trace: they then go by SQLAlchemy, which tells of them."""
    return bool(cast(Any, place).dispatch.before_cursor_execute)


def _cursor(connection: PoolProxiedConnection) -> "psycopg.RawCursor[tuple[Any, ...]]":
    # One for each connection, which one thread has at a time.
    kept: psycopg.RawCursor[tuple[Any, ...]] | None = connection.info.get(_CURSOR)
    if kept is None:
        kept = connection.info[_CURSOR] = psycopg.RawCursor(cast(Any, connection.dbapi_connection))
    return kept


def _parameter(bound: Any) -> _Parameter:
    convert = bound.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    if bound.required:
        return _Parameter(bound.key, convert, None)
    value = bound.effective_value
    return _Parameter(None, None, value if convert is None else convert(value))


def _of_result(kind: Any) -> Convert | None:
    found: Convert | None = kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
    return found
