"""The database itself refuses to change the record, whoever asks and however."""

from collections.abc import Callable

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from portal.audit.sealer import Sealer
from portal.core import migrating
from portal.core.database import Database

TABLES = ("audit_event", "audit_leaf", "audit_checkpoint")
ATTEMPTS = [
    "UPDATE audit_event SET account_id = 'carol' WHERE seq = 1",
    "UPDATE audit_event SET reason = reason",
    "DELETE FROM audit_event WHERE seq = 1",
    "DELETE FROM audit_event",
    "UPDATE audit_leaf SET leaf_index = 7",
    "DELETE FROM audit_leaf",
    "UPDATE audit_checkpoint SET note = ''",
    "DELETE FROM audit_checkpoint",
]
SQLITE_ATTEMPTS = [
    "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event WHERE seq = 1",
    "INSERT OR REPLACE INTO audit_leaf SELECT * FROM audit_leaf",
    "REPLACE INTO audit_checkpoint SELECT * FROM audit_checkpoint",
    "INSERT INTO audit_event SELECT * FROM audit_event WHERE seq = 1 "
    "ON CONFLICT (seq) DO UPDATE SET account_id = 'carol'",
]
POSTGRESQL_ATTEMPTS = [
    "TRUNCATE audit_event CASCADE",
    "TRUNCATE audit_leaf",
    "TRUNCATE audit_checkpoint",
    "INSERT INTO audit_event SELECT * FROM audit_event WHERE seq = 1 "
    "ON CONFLICT (seq) DO UPDATE SET account_id = 'carol'",
]


def test_rows_of_the_record_cannot_be_changed(
    database: Database, sealer: Sealer, bob_reads: Callable[[int], None]
) -> None:
    bob_reads(3)
    sealer.seal()
    for attempt in [*ATTEMPTS, *(SQLITE_ATTEMPTS if database.sqlite else POSTGRESQL_ATTEMPTS)]:
        with pytest.raises(DBAPIError, match="append-only"), database.transaction() as session:
            session.execute(text(attempt))
    bob_reads(1)
    assert sealer.seal() == 1


def test_the_triggers_go_down_and_up_again_with_rows_in_place(
    database: Database, sealer: Sealer, bob_reads: Callable[[int], None]
) -> None:
    bob_reads(3)
    sealer.seal()
    migrating.downgrade(database, "0001")
    with database.transaction() as session:
        session.execute(text("UPDATE audit_event SET reason = reason"))
    migrating.upgrade(database)
    with pytest.raises(DBAPIError, match="append-only"), database.transaction() as session:
        session.execute(text("UPDATE audit_event SET reason = reason"))
    assert set(TABLES) <= set(inspect(database.engine).get_table_names())


def test_everything_can_be_taken_down_and_built_again(database: Database) -> None:
    migrating.downgrade(database, "base")
    assert set(inspect(database.engine).get_table_names()) == {"alembic_version"}
    migrating.upgrade(database)
    assert migrating.current(database) == migrating.newest()
