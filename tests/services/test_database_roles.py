"""On PostgreSQL the portal's role works with the tables and cannot touch the record behind it."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from portal import audit, outbox
from portal.audit import Action, Agent, keys
from portal.audit.sealer import Sealer
from portal.audit.verify import verify_audit
from portal.core import granting, ids
from portal.core.database import Database
from portal.core.settings import Settings

pytestmark = pytest.mark.services


@pytest.fixture
def owner_url() -> Iterator[str]:
    """A database of its own that belongs to the owner's role, still empty."""
    server = os.environ["PORTAL_TEST_DATABASE_URL"]
    name = f"portal_roles_{ids.random_id()}"
    _outside(server, f'CREATE DATABASE "{name}"')
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    _outside(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def portal(settings: Settings, owner_url: str) -> Iterator[tuple[Settings, Database]]:
    """The portal, signed in as the role that owns nothing."""
    url = make_url(owner_url).set(username="portal_app", password="portal_app")
    both = replace(settings, database_url=url.render_as_string(hide_password=False), database_owner_url=owner_url)
    granting.migrate(both)
    granting.migrate(both)
    database = Database(both.database_url, pool_size=2)
    yield both, database
    database.close()


def test_the_portal_works_as_a_role_that_owns_nothing(portal: tuple[Settings, Database]) -> None:
    settings, database = portal
    ran = []
    with database.transaction() as session:
        audit.record(session, Action.LOGIN_SUCCEEDED, agent=Agent("alice", "patient"))
        outbox.enqueue(session, "mail", {})
    assert outbox.Runner(database, {"mail": ran.append}).run_due() == 1
    log = keys.load(settings)
    assert Sealer(database, log, settings.data_path / "checkpoints").seal() == 1
    assert verify_audit(database, log.verifiers).good


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE audit_event SET account_id = 'carol'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event CASCADE",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_event_no_change ON audit_event",
        "DROP TABLE audit_checkpoint",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
def test_the_portals_role_cannot_touch_the_record(portal: tuple[Settings, Database], attempt: str) -> None:
    _, database = portal
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), database.transaction() as session:
        session.execute(text(attempt))


def test_the_doctor_sees_who_could_rewrite_the_record(portal: tuple[Settings, Database], owner_url: str) -> None:
    _, database = portal
    assert granting.rewritable(database) == []
    owner = Database(owner_url, pool_size=1)
    assert granting.rewritable(owner) == ["audit_checkpoint", "audit_event", "audit_leaf"]
    owner.close()


def _outside(url: str, statement: str) -> None:
    server = Database(url, pool_size=1)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    server.close()
