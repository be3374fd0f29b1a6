"""The audit record can only grow: triggers refuse to change, delete or empty it

Revision: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Table → the columns that must not come twice: SQLite's INSERT OR REPLACE deletes without asking delete triggers.
TABLES = {
    "audit_event": ("seq", "id"),
    "audit_leaf": ("leaf_index", "event_seq"),
    "audit_checkpoint": ("size",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            for act in ("change", "truncate"):
                op.execute(f"DROP TRIGGER {table}_no_{act} ON {table}")
        op.execute("DROP FUNCTION audit_append_only()")
    else:
        for table in TABLES:
            for act in ("update", "delete", "replace"):
                op.execute(f"DROP TRIGGER {table}_no_{act}")


def _postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
        )
        for act in ("change", "truncate"):
            # ALWAYS: also for a session that calls itself a replica.
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_{act}")


def _sqlite() -> None:
    for table, keys in TABLES.items():
        refuse = f"SELECT RAISE(ABORT, '{table} is append-only')"
        for act in ("update", "delete"):
            op.execute(f"CREATE TRIGGER {table}_no_{act} BEFORE {act.upper()} ON {table} BEGIN {refuse}; END")
        twice = " OR ".join(f"{key} = NEW.{key}" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {twice}) BEGIN {refuse}; END"
        )
