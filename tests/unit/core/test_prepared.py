"""Statements that are put into words once: the same rows as by the session, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from portal.core import clock
from portal.core.database import Database
from portal.core.errors import Unavailable
from portal.core.prepared import Prepared
from portal.core.together import at_once
from portal.outbox.tables import OutboxJob

JOBS = OutboxJob.__table__
OF_KIND = Prepared(
    select(JOBS.c.id, JOBS.c.payload, JOBS.c.due_at, JOBS.c.attempts + 1)
    .where(JOBS.c.kind == bindparam("kind"), JOBS.c.due_at <= bindparam("moment"))
    .order_by(JOBS.c.id)
)


def job(id: str, kind: str = "test") -> dict[str, object]:
    now = clock.now()
    return {"id": id, "kind": kind, "payload": {"n": [1, None]}, "created_at": now, "due_at": now, "attempts": 0}


def test_a_session_and_the_database_alone_give_the_same_rows_in_the_columns_types(database: Database) -> None:
    first, second = job("1"), job("2")
    asked = {"kind": "test", "moment": clock.now() + timedelta(seconds=1)}
    with database.transaction() as session:
        session.execute(insert(JOBS), [first, second, job("3", "other")])
        within = [tuple(row) for row in OF_KIND.rows(session, asked)]
    assert within == [("1", first["payload"], first["due_at"], 1), ("2", second["payload"], second["due_at"], 1)]
    # Often enough that the driver has prepared it, and again after another statement.
    for _ in range(8):
        assert [tuple(row) for row in database.ask(OF_KIND, asked)] == within
    assert database.ask(OF_KIND, asked | {"kind": "none"}) == []
    with database.reading() as session:
        assert [tuple(row) for row in OF_KIND.rows(session, asked)] == within


def test_it_sees_and_leaves_the_transaction_of_its_session(database: Database) -> None:
    add = insert(JOBS).returning(JOBS.c.id)
    asked = {"kind": "test", "moment": clock.now() + timedelta(seconds=1)}
    with database.transaction() as session:
        assert [tuple(row) for row in at_once(session, add, [job("1")])] == [("1",)]
        assert len(OF_KIND.rows(session, asked)) == 1
        session.rollback()
    assert database.ask(OF_KIND, asked) == []


def test_what_the_database_refuses_is_told_as_by_a_session_and_without_the_words(database: Database) -> None:
    add = insert(JOBS).returning(JOBS.c.id)
    with pytest.raises(IntegrityError) as refused, database.transaction() as session:
        at_once(session, add, [job("1"), job("1") | {"attempts": 1}])
    assert database.sqlite or "INSERT" not in str(refused.value)
    assert database.ask(OF_KIND, {"kind": "test", "moment": clock.now() + timedelta(seconds=1)}) == []


def test_a_cut_line_is_unavailable_once_and_there_again_at_the_next_question(database: Database) -> None:
    if database.sqlite:
        return
    [(own,)] = database.ask(Prepared(select(func.pg_backend_pid())), {})
    other = Database(database.engine.url.render_as_string(hide_password=False), pool_size=1)
    with other.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
    other.close()
    one = Prepared(select(func.length("four")))
    with pytest.raises(Unavailable):
        database.ask(one, {})
    assert [tuple(row) for row in database.ask(one, {})] == [(4,)]
    with database.transaction() as session:
        assert [tuple(row) for row in one.rows(session, {})] == [(4,)]


def test_a_line_cut_within_a_transaction_is_unavailable(database: Database) -> None:
    if database.sqlite:
        return
    one = Prepared(select(func.pg_backend_pid()))
    other = Database(database.engine.url.render_as_string(hide_password=False), pool_size=1)

    def cut_off() -> None:
        with database.transaction() as session:
            [(own,)] = one.rows(session, {})
            with other.transaction() as outside:
                outside.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
            one.rows(session, {})

    with pytest.raises(Unavailable):
        cut_off()
    other.close()
    assert len(database.ask(one, {})) == 1
