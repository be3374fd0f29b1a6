"""Several questions, or several changes, in one trip to the database.

On PostgreSQL most of what a small statement costs, to both sides, is the trip. So questions that do not wait for one
another are one UNION ALL, and changes that follow from one act are one statement with a WITH part for each. On SQLite,
where there is no trip, changes are made one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Insert,
    Integer,
    Select,
    SQLColumnExpression,
    String,
    Update,
    bindparam,
    cast,
    literal,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import cloned_traverse
from sqlalchemy.types import JSON, Boolean, TypeDecorator, TypeEngine

from portal.core.prepared import Prepared, Row

Change = Insert | Update
# The rows that answer each question, by its name.
Answers = dict[str, list[Row]]


class Writing(Protocol):
    """What takes changes: a session makes them at once, `Together` with others."""

    def execute(self, statement: Any, params: Any = None, /) -> Any:
        """Make a change: for an INSERT one row or several, for an UPDATE the values it names."""

    def get_bind(self) -> Any:
        """The engine, for its dialect."""


class _Texts(TypeDecorator[Any]):
    """Some texts as one parameter: an array, or for SQLite JSON."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(String()) if dialect.name == "postgresql" else JSON())


class among(FunctionElement[bool]):
    """Whether a column is among the texts of one parameter. Unlike IN the statement is the same for any number."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: SQLColumnExpression[Any], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Texts))


@compiles(among)
def _in_json(element: among, compiler: SQLCompiler, **how: Any) -> str:
    column, texts = element.clauses
    return f"{compiler.process(column, **how)} IN (SELECT value FROM json_each({compiler.process(texts, **how)}))"  # noqa: S608


@compiles(among, "postgresql")
def _in_array(element: among, compiler: SQLCompiler, **how: Any) -> str:
    column, texts = element.clauses
    return f"{compiler.process(column, **how)} = ANY ({compiler.process(texts, **how)})"


class Questions:
    """Questions by name, made once; each is a SELECT whose parameters have names of their own or shared ones.

    All answers come from one snapshot. No question may have ORDER BY: a UNION ALL keeps none.
    """

    def __init__(self, **asked: Select[Any]) -> None:
        layout: list[TypeEngine[Any]] = []
        self._readers: list[tuple[str, Callable[[Any], Row]]] = []
        places: list[list[int]] = []
        for name, question in asked.items():
            taken: list[int] = []
            for column in question.selected_columns:
                taken.append(_place(layout, column.type, taken))
            places.append(taken)
            self._readers.append((name, _reader([place + 1 for place in taken])))
        parts = [_laid_out(number, question, places[number], layout) for number, question in enumerate(asked.values())]
        self.prepared = Prepared(union_all(*parts) if len(parts) > 1 else parts[0])

    def ask(self, session: Session, params: Mapping[str, Any]) -> Answers:
        """The rows of each question, as tuples of its columns."""
        return self.sorted(self.prepared.rows(session, params))

    def sorted(self, rows: Sequence[Row]) -> Answers:
        """What `prepared` gave, to each question its own."""
        answers: Answers = {name: [] for name, _ in self._readers}
        for row in rows:
            name, read = self._readers[row[0]]
            answers[name].append(read(row))
        return answers


def _reader(places: Sequence[int]) -> Callable[[Any], Row]:
    if len(places) == 1:
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


def _place(layout: list[TypeEngine[Any]], wanted: TypeEngine[Any], taken: Sequence[int]) -> int:
    """A column of the union for values of this type which the question has not used yet."""
    for place, there in enumerate(layout):
        # Texts of any length go together.
        if place not in taken and type(there) is type(wanted):
            return place
    layout.append(wanted)
    return len(layout) - 1


def _laid_out(
    number: int, question: Select[Any], places: Sequence[int], layout: Sequence[TypeEngine[Any]]
) -> Select[Any]:
    columns = dict(zip(places, question.selected_columns, strict=True))
    shown: list[ColumnElement[Any]] = [literal_column(str(number), Integer)]
    for place, kind in enumerate(layout):
        if number == 0:
            # The first question gives the union its names and types.
            shown.append((columns[place] if place in columns else cast(null(), kind)).label(f"a{place}"))
        else:
            shown.append(columns.get(place, literal_column("NULL", kind)))
    return question.with_only_columns(*shown, maintain_column_froms=True)


class Together:
    """Gathers the changes of one act and writes them in one trip. Nothing is written before `write`.

    Each change sees the rows as they were before all of them, so none may build on another. Changes of one table go
    one after the other, in their order.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._changes: list[tuple[Change, Sequence[Mapping[str, Any]]]] = []

    def get_bind(self) -> Any:
        """The engine, for its dialect."""
        return self._session.get_bind()

    def execute(self, statement: Change, params: Any = None, /) -> None:
        """Keep a change for later: for an INSERT one row or several of the same columns."""
        rows = [params] if isinstance(params, Mapping) else list(params)
        if rows:
            self._changes.append((statement, rows))

    def write(self) -> None:
        """Make all changes, in the transaction of the session."""
        changes, self._changes = self._changes, []
        if self._session.get_bind().dialect.name != "postgresql":
            for statement, rows in changes:
                self._session.execute(statement, rows)
            return
        shapes: list[_Shape] = []
        params: dict[str, Any] = {}
        for statement, rows in changes:
            if any(shape.statement.table is statement.table for shape in shapes):
                # PostgreSQL promises no order within a statement, and rows are numbered as they come.
                _combined(tuple(shapes)).rows(self._session, params)
                shapes, params = [], {}
            shape = _shape(statement, rows)
            params |= _named(len(shapes), shape, rows)
            shapes.append(shape)
        if shapes:
            _combined(tuple(shapes)).rows(self._session, params)


def at_once(session: Session, statement: Change, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """Make one change now, for all its rows in one statement, and give what it returns.

    The ORM's own way of many rows with RETURNING puts its statement together anew each time.
    """
    if session.get_bind().dialect.name != "postgresql":
        return session.execute(statement, rows).all()
    shape = _shape(statement, rows)
    return _alone(shape).rows(session, _named(0, shape, rows))


class _Shape(NamedTuple):
    """What a change looks like without its values: those with one shape are one statement."""

    statement: Change
    rows: int
    # What all rows have in common is one parameter, the rest one in each row.
    common: tuple[str, ...]
    own: tuple[str, ...]


def _shape(statement: Change, rows: Sequence[Mapping[str, Any]]) -> _Shape:
    first = rows[0]
    if len(rows) == 1:
        return _Shape(statement, 1, tuple(first), ())
    differing = {name for row in rows[1:] for name, value in row.items() if first[name] != value}
    own = tuple([name for name in first if name in differing])
    return _Shape(statement, len(rows), tuple([name for name in first if name not in differing]), own)


def _named(number: int, shape: _Shape, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    named = {f"c{number}_{name}": rows[0][name] for name in shape.common}
    if shape.own:
        named |= {f"c{number}_{at}_{name}": row[name] for at, row in enumerate(rows) for name in shape.own}
    return named


@lru_cache(maxsize=256)
def _alone(shape: _Shape) -> Prepared:
    return Prepared(_one(0, shape))


@lru_cache(maxsize=512)
def _combined(shapes: tuple[_Shape, ...]) -> Prepared:
    return Prepared(
        select(literal(1)).add_cte(
            *(_one(number, shape).cte(f"change_{number}") for number, shape in enumerate(shapes))
        )
    )


def _one(number: int, shape: _Shape) -> Change:
    """A change with parameters of its own names, so that it can stand beside others."""
    statement, count = shape.statement, shape.rows
    if isinstance(statement, Insert):
        columns = [statement.table.columns[name] for name in (*shape.common, *shape.own)]
        rows = [
            select(
                *(
                    bindparam(f"c{number}_{name}" if name in shape.common else f"c{number}_{at}_{name}", type_=kind)
                    for name, kind in ((column.name, column.type) for column in columns)
                )
            )
            for at in range(count)
        ]
        # Not VALUES with several rows: SQLAlchemy would put such a statement together anew each time.
        return statement.from_select(columns, union_all(*rows) if count > 1 else rows[0])
    if count != 1:
        raise ValueError("an UPDATE is made once")

    def rename(parameter: Any) -> None:
        if parameter.key in shape.common:
            parameter.key = f"c{number}_{parameter.key}"

    return cloned_traverse(statement, {}, {"bindparam": rename})
