"""Stories of the database: looking changes nothing, and a connection that died is replaced."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, text

from portal.accounts.tables import Patient
from portal.core import clock
from portal.core.database import Database


def test_looking_changes_nothing(database: Database) -> None:
    ann = {"id": "ann", "status": "active", "created_at": clock.now()}
    with database.reading() as session, pytest.raises(TypeError, match="transaction"):
        session.execute(insert(Patient), ann)
    with database.reading() as session, pytest.raises(TypeError, match="transaction"):
        session.execute(delete(Patient))
    with database.reading() as session:
        session.add(Patient(**ann))
        with pytest.raises(TypeError, match="transaction"):
            session.flush()
    with database.reading() as session:
        assert session.scalars(select(Patient)).all() == []


def test_what_was_committed_is_seen_by_the_next_look(database: Database) -> None:
    with database.transaction() as session:
        session.execute(insert(Patient), {"id": "ann", "status": "active", "created_at": clock.now()})
    with database.reading() as session:
        assert session.scalar(select(Patient.id)) == "ann"


def test_an_idle_connection_that_died_is_replaced(database: Database) -> None:
    if database.sqlite:
        database.ping()
        return
    with database.reading() as session:
        gone = session.scalar(text("SELECT pg_backend_pid()"))
    other = Database(database.engine.url.render_as_string(hide_password=False), pool_size=1)
    with other.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": gone})
    other.close()
    clock.shift(timedelta(minutes=1))
    database.ping()
