"""Fixtures for all tests: a migrated database of its own for each test, a still clock where wanted, the app."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.engine import make_url

from portal.core import clock, ids, migrating
from portal.core.database import Database
from portal.core.settings import Settings

POSTGRESQL = os.environ.get("PORTAL_TEST_DATABASE_URL", "")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database at the newest revision, copied for each test."""
    path = tmp_path_factory.mktemp("template") / "portal.sqlite3"
    database = Database(f"sqlite:///{path}")
    migrating.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL database at the newest revision that serves as template for each test's own."""
    name = f"portal_template_{os.getpid()}"
    _execute(POSTGRESQL, f'CREATE DATABASE "{name}"')
    url = make_url(POSTGRESQL).set(database=name)
    database = Database(url.render_as_string(hide_password=False))
    migrating.upgrade(database)
    database.close()
    yield name
    _execute(POSTGRESQL, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, migrated database: SQLite, or PostgreSQL when PORTAL_TEST_DATABASE_URL names a server."""
    if not POSTGRESQL:
        copy = tmp_path / "portal.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        yield f"sqlite:///{copy}"
        return
    name = f"portal_test_{ids.random_id()}"
    _execute(POSTGRESQL, f'CREATE DATABASE "{name}" TEMPLATE "{request.getfixturevalue("migrated_postgresql")}"')
    yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
    _execute(POSTGRESQL, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database of this test."""
    opened = Database(database_url, pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a portal under test: development on loopback, everything of its own."""
    return Settings(
        database_url=database_url,
        secret_key="test-secret-key-of-at-least-32-characters",
        base_url="http://localhost",
        oidc_issuer="http://idp.test",
        oidc_client_secret="test",
        data_dir=str(tmp_path / "data"),
    )


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    """The whole portal as a Flask app."""
    from portal.app import create_app  # only tests of the web layer pay for importing it

    made = create_app(settings, database=database)
    made.testing = True
    return made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a session."""
    return app.test_client()


@pytest.fixture
def tuesday() -> Iterator[datetime]:
    """Hold the clock on an ordinary Tuesday, 15:00 UTC (09:00 in Chicago)."""
    moment = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
    with clock.frozen(moment):
        yield moment


@pytest.fixture(autouse=True)
def real_time_again() -> Iterator[None]:
    """No test leaves a moved clock behind."""
    yield
    clock.reset()


def _execute(url: str, statement: str) -> None:
    server = Database(url, pool_size=1)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    server.close()
