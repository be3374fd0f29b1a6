"""The sweep of sessions looks at those that are open, however many have ended."""

from sqlalchemy import text

from portal.core import clock
from portal.core.database import Database
from portal.identity import session_rows


def test_the_sweep_walks_over_open_sessions_only(database: Database) -> None:
    asked = session_rows.due(clock.now()).limit(200)
    words = str(asked.compile(database.engine, compile_kwargs={"literal_binds": True}))
    with database.engine.connect() as connection:
        if not database.sqlite:
            # An empty table is walked over as a whole unless that is forbidden.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if database.sqlite else "EXPLAIN "
        plan = " ".join(str(row) for row in connection.exec_driver_sql(explain + words))
    assert "ix_login_session_open" in plan
