"""The portal as docs/operations.md says to run it, beside real servers: its processes, its commands, its realm.

Only TLS and the proxy are missing: everything is on loopback, so PORTAL_ENV stays "development".
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import httpx
from person import PersonAtBrowser
from sqlalchemy import text
from sqlalchemy.engine import make_url

from portal.connector.client import PortalClient
from portal.core import ids
from portal.core.database import Database

PASSWORD = "demo"
REALM = Path(__file__).parent / "keycloak" / "realm.json"
COOKIE = "portal_session"
# A portal process whose clock is ahead by the seconds of its first argument.
AHEAD = (
    "import sys; from datetime import timedelta; from portal.core import clock; from portal.cli import main; "
    "clock.shift(timedelta(seconds=int(sys.argv[1]))); sys.exit(main(sys.argv[2:]))"
)
Json = dict[str, Any]


def within(seconds: float, found: Callable[[], Any], what: str) -> Any:
    """What `found` gives as soon as it is true; fails with `what` when `seconds` are over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextmanager
def a_database() -> Iterator[tuple[str, str]]:
    """An empty database of its own: the addresses of its owner and of the portal's role, which owns nothing."""
    server = os.environ["PORTAL_TEST_DATABASE_URL"]
    name = f"portal_story_{ids.random_id()}"
    _as_owner(server, f'CREATE DATABASE "{name}"')
    owner = make_url(server).set(database=name)
    app = owner.set(username="portal_app", password="portal_app")
    yield owner.render_as_string(hide_password=False), app.render_as_string(hide_password=False)
    _as_owner(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _as_owner(url: str, statement: str) -> None:
    server = Database(url, pool_size=1)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    server.close()


class Realm:
    """A realm of Keycloak for one story alone, so that signing somebody out there disturbs no other test."""

    def __init__(self, portal_address: str) -> None:
        shown = os.environ["PORTAL_TEST_KEYCLOAK"]
        base = shown.partition("/realms/")[0]
        self.name = f"story-{ids.random_id()}"
        self.issuer = f"{base}/realms/{self.name}"
        self._realms = f"{base}/admin/realms"
        self._base = base
        self._http = httpx.Client(timeout=60, trust_env=False)
        content = REALM.read_text("utf-8").replace("http://portal.invalid", portal_address)
        realm = json.loads(content) | {"realm": self.name}
        realm["users"] = []
        (client,) = realm["clients"]
        self.client_secret = str(client["secret"])
        self._http.post(self._realms, json=realm, headers=self._admin()).raise_for_status()

    def add(self, login: str, role: str, email: str, **attributes: str) -> None:
        """A person with the story's password and a verified address."""
        first, last = login.capitalize(), "Story"
        user = {
            "username": login,
            "enabled": True,
            "email": email,
            "emailVerified": True,
            "firstName": first,
            "lastName": last,
            "attributes": {name: [value] for name, value in attributes.items()},
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        }
        users = f"{self._realms}/{self.name}/users"
        made = self._http.post(users, json=user, headers=self._admin()).raise_for_status()
        known = self._http.get(f"{self._realms}/{self.name}/roles/{role}", headers=self._admin()).json()
        address = f"{made.headers['Location']}/role-mappings/realm"
        self._http.post(address, json=[known], headers=self._admin()).raise_for_status()

    def sign_out(self, login: str) -> None:
        """End all of a person's sessions on the operator's word; Keycloak tells the portal from server to server."""
        users = f"{self._realms}/{self.name}/users"
        (found,) = self._http.get(users, params={"username": login, "exact": "true"}, headers=self._admin()).json()
        self._http.post(f"{users}/{found['id']}/logout", headers=self._admin()).raise_for_status()

    def close(self) -> None:
        """Take the realm away."""
        self._http.delete(f"{self._realms}/{self.name}", headers=self._admin()).raise_for_status()
        self._http.close()

    def _admin(self) -> dict[str, str]:
        # A new one each time: it lives for a minute.
        asked = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
        token = self._http.post(f"{self._base}/realms/master/protocol/openid-connect/token", data=asked)
        return {"Authorization": f"Bearer {token.raise_for_status().json()['access_token']}"}


@dataclass
class RealPortal:
    """`portal serve` with two processes, two of `portal events`, one `portal worker`, and the operator's commands."""

    folder: Path
    environment: dict[str, str]
    port: int
    events_ports: tuple[int, int]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where browsers find it."""
        return f"http://localhost:{self.port}"

    def command(self, *words: str, **more: str) -> str:
        """One of the operator's commands; what it says. Fails when it fails."""
        said = self.attempt(*words, **more)
        assert said.returncode == 0, f"portal {' '.join(words)}: {said.stdout}{said.stderr}"
        return said.stdout

    def attempt(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One of the operator's commands, whatever becomes of it."""
        return subprocess.run(
            [sys.executable, "-m", "portal.cli", *words],
            env=self.environment | more,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def start(self) -> None:
        """Start all processes and wait until they answer."""
        self.begin("serve", "serve", "--bind", f"127.0.0.1:{self.port}")
        for number, port in enumerate(self.events_ports):
            self.begin(f"events-{number}", "events", "--bind", f"127.0.0.1:{port}")
        self.begin("worker", "worker")
        for port in (self.port, *self.events_ports):
            within(60, lambda port=port: self._answers(port), f"port {port} answers; {self.words()}")

    def begin(self, name: str, *words: str, seconds_ahead: int = 0) -> None:
        """Start one process."""
        command = [sys.executable, "-m", "portal.cli", *words]
        if seconds_ahead:
            command = [sys.executable, "-c", AHEAD, str(seconds_ahead), *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End one process and what it started."""
        process = self._running.pop(name)
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(60)

    def again(self, name: str, *words: str, seconds_ahead: int = 0) -> None:
        """End a process in good order and start it again."""
        self.end(name)
        self.begin(name, *words, seconds_ahead=seconds_ahead)

    def close(self) -> None:
        """End everything."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            process.wait(60)

    def words(self) -> str:
        """The last words of all logs."""
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))

    @staticmethod
    def _answers(port: int) -> bool:
        try:
            with httpx.Client(trust_env=False, timeout=10) as client:
                return client.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def a_portal(folder: Path, *, redis: bool, claims: bool) -> Iterator[tuple[RealPortal, Realm]]:
    """A portal of its own and its realm. `claims`: the provider says which patient somebody is."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    port, *events_ports = (one.getsockname()[1] for one in held)
    for one in held:
        one.close()
    realm = Realm(f"http://localhost:{port}")
    with a_database() as (owner_url, app_url):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")} | {
            "PORTAL_DATABASE_URL": app_url,
            "PORTAL_SECRET_KEY": "a secret key of the story, long enough for it",
            "PORTAL_BASE_URL": f"http://localhost:{port}",
            "PORTAL_OIDC_ISSUER": realm.issuer,
            "PORTAL_OIDC_CLIENT_SECRET": realm.client_secret,
            "PORTAL_EHR_BASE_URL": os.environ["PORTAL_TEST_HAPI"],
            "PORTAL_SMTP_URL": os.environ["PORTAL_TEST_SMTP_URL"],
            "PORTAL_MAIL_FROM": "portal@example.test",
            "PORTAL_DATA_DIR": str(folder / "data"),
            "PORTAL_WORKERS": "2",
            **({"PORTAL_REDIS_URL": os.environ["PORTAL_TEST_REDIS_URL"]} if redis else {}),
            **({"PORTAL_OIDC_PATIENT_CLAIM": "patient"} if claims else {}),
        }
        portal = RealPortal(folder, environment, port, (events_ports[0], events_ports[1]))
        try:
            portal.command("migrate", PORTAL_DATABASE_OWNER_URL=owner_url)
            portal.start()
            yield portal, realm
        finally:
            portal.close()
            realm.close()


def sign_in(portal: RealPortal, login: str, to: str = "/account/sessions") -> tuple[PersonAtBrowser, PortalClient]:
    """Somebody signs in at Keycloak: the browser, and a client that goes on with its session."""
    browser = PersonAtBrowser()
    browser.go(f"{portal.address}/login?next={to}")
    page = browser.sign_in_here(login, PASSWORD)
    assert (page.status_code, page.url.path) == (200, to), page.text
    client = PortalClient(portal.address)
    client.use_cookie(browser.cookie(portal.address, COOKIE))
    return browser, client


def join_by_invitation(portal: RealPortal, browser: PersonAtBrowser, fhir_id: str, born: date) -> bool:
    """The pharmacy invites a patient, who gives the code and the birth date; whether that leads into the record."""
    code = portal.command("invite", "--pharmacy", "riverside", "--fhir-id", fhir_id).strip()
    browser.go(f"{portal.address}/invitation")
    given = {"code": code, "year": str(born.year), "month": str(born.month), "day": str(born.day)}
    return browser.fill_in("/invitation", given).url.path == "/home"


@dataclass(frozen=True)
class Heard:
    """One event of a stream."""

    id: str
    kind: str
    data: Json


class Stream:
    """An open /events stream. `ended`: the portal closed it."""

    def __init__(self, port: int, client: PortalClient, last_id: str = "") -> None:
        self.events: list[Heard] = []
        self.ended = threading.Event()
        self._connection = HTTPConnection("localhost", port, timeout=60)
        cookie = next(one.value for one in client.http.cookies.jar if one.name == COOKIE)
        headers = {"Accept": "text/event-stream", "Cookie": f"{COOKIE}={cookie}"}
        self._connection.request("GET", "/events", headers=headers | ({"Last-Event-ID": last_id} if last_id else {}))
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        self._socket = self._connection.sock or self._answer.fp.raw._sock  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def heard(self, kind: str) -> list[Heard]:
        """The events of one kind so far."""
        return [event for event in tuple(self.events) if event.kind == kind]

    def cut(self) -> None:
        """Cut the line without a word."""
        with suppress(OSError):  # the other end may have gone first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()

    def _listen(self) -> None:
        named: dict[str, str] = {}
        try:
            for raw in self._answer:
                line = raw.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    named[name] = value
                elif not line and "data" in named:
                    self.events.append(Heard(named["id"], named["event"], json.loads(named["data"])))
                    named = {}
        except (OSError, HTTPException, ValueError):
            # A cut line is what this is for; what was heard before it stands.
            pass
        self.ended.set()
