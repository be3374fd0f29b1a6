"""Who owns the tables: on PostgreSQL a role of its own, so that the portal cannot rewrite its own record.

With PORTAL_DATABASE_OWNER_URL the schema is made by that role, and the portal's role gets only what it needs.
The triggers of migration 0002 refuse changes to the record for everyone; an owner could drop them, the portal cannot.
"""

from sqlalchemy import text
from sqlalchemy.engine import Connection, make_url

from portal.core import migrating
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings


def migrate(settings: Settings) -> None:
    """Bring the schema up to date as its owner, and give the portal's role its rights.

    Raises UnsafeSettings when owner and portal are one role, or speak of two databases.
    """
    if not settings.database_owner_url:
        _upgrade(settings.database_url)
        return
    owner, portal = make_url(settings.database_owner_url), make_url(settings.database_url)
    if owner.get_backend_name() != "postgresql" or portal.get_backend_name() != "postgresql":
        raise UnsafeSettings(["PORTAL_DATABASE_OWNER_URL is for PostgreSQL only"])
    if not portal.username or owner.username == portal.username:
        raise UnsafeSettings(["PORTAL_DATABASE_OWNER_URL must name another role than PORTAL_DATABASE_URL"])
    if owner.database != portal.database:
        raise UnsafeSettings(["PORTAL_DATABASE_OWNER_URL must name the same database as PORTAL_DATABASE_URL"])
    _upgrade(settings.database_owner_url)
    database = Database(settings.database_owner_url, pool_size=1)
    try:
        with database.engine.begin() as connection:
            grant(connection, portal.username)
    finally:
        database.close()


def grant(connection: Connection, role: str) -> None:
    """Give `role` what the portal needs: all rows of its tables, but only reading and adding in the record."""
    quote = connection.dialect.identifier_preparer.quote
    name = quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {name}"))
    connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {name}"))
    connection.execute(text(f"GRANT SELECT ON alembic_version TO {name}"))
    for table in migrating.metadata().sorted_tables:
        rights = "SELECT, INSERT" if table.info.get("append_only") else "SELECT, INSERT, UPDATE, DELETE"
        connection.execute(text(f"GRANT {rights} ON {quote(table.name)} TO {name}"))
    connection.execute(text(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}"))


def rewritable(database: Database) -> list[str]:
    """Append-only tables that the portal's own role could change, for the doctor; SQLite has no roles: none."""
    if database.sqlite:
        return []
    tables = [table.name for table in migrating.metadata().sorted_tables if table.info.get("append_only")]
    question = text(
        "SELECT pg_has_role(current_user, c.relowner, 'USAGE') "
        "OR has_table_privilege(current_user, c.oid, 'UPDATE, DELETE, TRUNCATE') "
        "FROM pg_class c WHERE c.oid = to_regclass(:name)"
    )
    with database.reading() as session:
        return [name for name in tables if session.execute(question, {"name": name}).scalar()]


def _upgrade(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        migrating.upgrade(database)
    finally:
        database.close()
