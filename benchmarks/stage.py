"""Databases to measure on, and the portal served on them under its production command and settings."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.machine import Served, free_port, serving
from benchmarks.people import SealedSend
from portal.core import migrating
from portal.core.database import Database

ROOT = Path(__file__).parent.parent
HOST = "portal.test"
COOKIE = "__Host-portal_session"


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a server: the one of PORTAL_TEST_DATABASE_URL, else one started for this run on loopback."""
    if url := os.environ.get("PORTAL_TEST_DATABASE_URL"):
        yield url
        return
    script = str(ROOT / "tests/services/postgresql.sh")
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder:
        Path(folder).chmod(0o711)
        port = str(free_port())
        subprocess.run([script, "install", folder], check=True, stdout=sys.stderr)
        try:
            subprocess.run([script, "start", folder, port], check=True, stdout=sys.stderr)
            yield f"postgresql+psycopg://portal_owner:portal_owner@127.0.0.1:{port}/portal"
        finally:
            subprocess.run([script, "stop", folder], check=True, stdout=sys.stderr)


@contextmanager
def database(server: str) -> Iterator[Database]:
    """A fresh, migrated database of a server, dropped afterwards."""
    name = f"benchmark_{uuid.uuid4().hex}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    opened = Database(server.rpartition("/")[0] + "/" + name, pool_size=4)
    try:
        migrating.upgrade(opened)
        yield opened
    finally:
        opened.close()
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def sqlite() -> Iterator[Database]:
    """A fresh, migrated SQLite database on disk."""
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder:
        opened = Database(f"sqlite:///{folder}/portal.sqlite3")
        try:
            migrating.upgrade(opened)
            yield opened
        finally:
            opened.close()


def url_of(opened: Database) -> str:
    """The URL under which another process opens the same database."""
    return opened.engine.url.render_as_string(hide_password=False)


@dataclass(frozen=True)
class Portal:
    """The portal as a load sees it."""

    served: Served

    def read(self, path: str, cookie: str) -> bytes:
        """The bytes of a GET."""
        return (
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\nCookie: {COOKIE}={cookie}\r\n\r\n"
        ).encode()

    def send(self, thread_id: str, sealed: SealedSend, cookie: str, csrf: str) -> bytes:
        """The bytes of a send."""
        return (
            f"POST /api/threads/{thread_id}/messages HTTP/1.1\r\nHost: {HOST}\r\nOrigin: https://{HOST}\r\n"
            f"Content-Type: application/json\r\nCookie: {COOKIE}={cookie}\r\nX-CSRF-Token: {csrf}\r\n"
            f"Idempotency-Key: {sealed.key}\r\nContent-Length: {len(sealed.body)}\r\n\r\n"
        ).encode() + sealed.body


@contextmanager
def portal(
    opened: Database, *, command: str = "serve", module: str = "portal.cli", more: dict[str, str] | None = None
) -> Iterator[Portal]:
    """Serve the portal on a database as in production: two processes, all checks, limits and records on.

    On SQLite it is served as on a laptop: one process with the worker inside.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as data:
        environment = {
            "PORTAL_ENV": "production",
            "PORTAL_DATABASE_URL": url_of(opened),
            "PORTAL_SECRET_KEY": "benchmark-secret-key-of-at-least-32-characters",
            "PORTAL_BASE_URL": f"https://{HOST}",
            "PORTAL_OIDC_ISSUER": "https://idp.test",
            "PORTAL_OIDC_CLIENT_SECRET": "benchmark",
            "PORTAL_STAFF_ACR": "benchmark",
            "PORTAL_SMTP_URL": "smtp://127.0.0.1:9",
            "PORTAL_DATA_DIR": data,
            "PORTAL_WORKERS": "1" if opened.sqlite else "2",
            "PYTHONPATH": str(ROOT),
            **(more or {}),
        }
        line = [sys.executable, "-c", f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"]
        if module != "portal.cli":
            line = [sys.executable, "-m", module]
        with serving(
            [*line, command, "--bind", f"127.0.0.1:{port}"], port=port, host=HOST, environment=environment
        ) as served:
            yield Portal(served)
