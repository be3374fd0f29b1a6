"""A served portal in processes of its own, on either database, that a test may kill."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from processes import portal_command
from sqlalchemy import text
from sqlalchemy.engine import make_url
from world import World, build

from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.core import clock, ids, migrating
from portal.core.database import Database
from portal.identity import sessions
from portal.identity.session_life import Proof

SERVER = os.environ.get("PORTAL_TEST_DATABASE_URL", "")
DATABASES = ("sqlite", "postgresql") if SERVER else ("sqlite",)
SECRET = "test-secret-key-of-at-least-32-characters"
PASSPHRASE = "five words that nobody else has"


@dataclass
class Served:
    """A portal at work: its address, its database, and the file in which a test names the point to die at."""

    port: int
    database: Database
    world: World
    fault: Path
    process: subprocess.Popen[bytes]

    def member(self, name: str) -> Member:
        """Somebody who has just signed in and made keys."""
        client = PortalClient(f"http://localhost:{self.port}")
        actor = self.world.actor(name)
        with self.database.transaction() as session:
            cookie, _ = sessions.begin(
                session,
                account_id=actor.account_id,
                role=actor.role.value,
                proof=Proof(clock.now(), None, (), None, None),
            )
        client.use_cookie(cookie)
        return Member.enrol(client, passphrase=PASSPHRASE, device_name="test")

    def dies_at(self, point: str) -> None:
        """The next request that comes to this point kills its process."""
        beside = self.fault.with_suffix(".new")
        beside.write_text(point)
        beside.replace(self.fault)

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Until the portal answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://localhost:{self.port}/readyz", timeout=2, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the portal did not answer within {seconds} s")


@contextmanager
def portal_at_work(kind: str, tmp_path: Path) -> Iterator[Served]:
    """The portal as `portal serve` runs it, with one serving process that its master replaces when it dies."""
    name = f"portal_kill_{ids.random_id()}"
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'portal.sqlite3'}"
    else:
        _on_server(f'CREATE DATABASE "{name}"')
        url = make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    database = Database(url, pool_size=4)
    migrating.upgrade(database)
    world = build(database)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environment = {
        **os.environ,
        "PORTAL_DATABASE_URL": url,
        "PORTAL_DATA_DIR": str(tmp_path),
        "PORTAL_SECRET_KEY": SECRET,
        "PORTAL_BASE_URL": f"http://localhost:{port}",
        "PORTAL_OIDC_ISSUER": "http://idp.test",
        "PORTAL_OIDC_CLIENT_SECRET": "test",
        "PORTAL_WORKERS": "1",
        "PORTAL_FAULT": str(tmp_path / "fault"),
        "PORTAL_LOG_LEVEL": "ERROR",
    }
    try:
        with portal_command(
            "serve", "--bind", f"127.0.0.1:{port}", environment=environment, log=tmp_path / "portal.log"
        ) as process:
            portal = Served(port, database, world, tmp_path / "fault", process)
            portal.wait_until_ready()
            yield portal
    finally:
        database.close()
        if kind == "postgresql":
            _on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


def _on_server(statement: str) -> None:
    server = Database(SERVER, pool_size=1)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    server.close()
