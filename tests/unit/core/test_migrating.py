"""The migrations make exactly the tables that the code declares."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from portal.core import migrating
from portal.core.database import Database


def test_the_migrations_and_the_tables_say_the_same(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, migrating.metadata())
    assert differences == [], "run migrations/redraft.py"
