"""Who may own the tables; what PostgreSQL then refuses is in tests/services/test_database_roles.py."""

from dataclasses import replace

import pytest

from portal.core import granting, migrating
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings

PORTAL = "postgresql+psycopg://portal:secret@db/portal"


@pytest.mark.parametrize(
    ("portal", "owner", "word"),
    [
        ("sqlite:///x.sqlite3", PORTAL, "PostgreSQL only"),
        (PORTAL, "sqlite:///x.sqlite3", "PostgreSQL only"),
        (PORTAL, PORTAL, "another role"),
        ("postgresql+psycopg://db/portal", PORTAL, "another role"),
        (PORTAL, "postgresql+psycopg://owner:secret@db/other", "same database"),
    ],
)
def test_an_owner_that_changes_nothing_is_refused(settings: Settings, portal: str, owner: str, word: str) -> None:
    with pytest.raises(UnsafeSettings, match=word) as problem:
        granting.migrate(replace(settings, database_url=portal, database_owner_url=owner))
    assert "secret" not in str(problem.value)


def test_without_an_owner_the_portal_makes_its_own_schema(settings: Settings, database: Database) -> None:
    migrating.downgrade(database, "base")
    granting.migrate(settings)
    assert migrating.current(database) == migrating.newest()


def test_the_three_tables_of_the_record_are_append_only() -> None:
    kept = {table.name for table in migrating.metadata().sorted_tables if table.info.get("append_only")}
    assert kept == {"audit_event", "audit_leaf", "audit_checkpoint"}
