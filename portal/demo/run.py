"""`portal demo`: identity provider, FHIR sandbox and portal in one process, with the demo world inside.

The portal listens on PORT, the provider and the sandbox on the next two. Everything lies in the data folder (`var/`).
"""

import json
import logging
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from portal import worker
from portal.accounts.roles import Role
from portal.app import create_app
from portal.core import clock, ids, logs, migrating
from portal.core.database import Database
from portal.core.settings import Settings, from_environment
from portal.demo import control_room, people, seed, story, world
from portal.demo.bundles import LoadedPatient, read_bundles
from portal.demo.idp import DemoAccount, create_idp
from portal.demo.sandbox import create_sandbox
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.transport import Deadline
from portal.notify.mail import FileMailer
from portal.serving import Plan, PortalServer

HOST = "127.0.0.1"
THREADS = 256
# Nobody waits for a demo: requests under way and the worker get this long when it ends.
GRACEFUL_SECONDS = 1
BESIDE_SECONDS = 1.0
KEPT_IN = "session.key"
# Lies in the data folder once the world is whole; a world that was left half-made is made anew.
FILLED = "filled"
GUESTS = "guests.json"
# For the operator's commands beside a demo that runs: `. var/demo/settings.env`.
SETTINGS = "settings.env"
SHOWN = ("database_url", "secret_key", "base_url", "oidc_issuer", "oidc_client_secret", "ehr_base_url", "data_dir")
HIGHEST_PORT = 65_533


class Start(StrEnum):
    """What is there when a demo starts; each lies in a folder of its own, of this name."""

    STORY = "demo"
    # Accounts and EHR data, but no keys, threads or teams.
    EMPTY = "demo-empty"
    # Not one row in the portal's database; the provider and the EHR know people.
    FIRST_DAY = "demo-first-day"


def demo(
    *,
    port: int,
    reset: bool,
    empty: bool,
    ehr: str | None,
    seed_ehr: bool,
    bundles: Path | None,
    data: Path | None = None,
    first_day: bool = False,
) -> int:
    """Run the demo until Ctrl-C. Returns the exit code; says what is wrong in one line where it cannot start."""
    base = from_environment(safe=False)
    if base.production:
        print("portal: the demo does not run under PORTAL_ENV=production: its passwords are public", file=sys.stderr)
        return 2
    begin = Start.FIRST_DAY if first_day else Start.EMPTY if empty else Start.STORY
    folder = (data or base.data_path) / begin
    for number, name in ((port, "the portal"), (port + 1, "the identity provider"), (port + 2, "the FHIR sandbox")):
        if _busy(number):
            others = range(port + 10, HIGHEST_PORT, 10)
            free = next((one for one in others if not any(map(_busy, range(one, one + 3)))), 5000)
            print(f"portal: port {number} (for {name}) is in use; choose others with PORT={free}", file=sys.stderr)
            return 2
    if reset or not (folder / FILLED).exists():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # Made-up people, but kept as if they were real.
    folder.chmod(0o700)
    settings = demo_settings(folder, port, ehr)
    _write_settings(settings, folder / SETTINGS)
    # Kept beside the data: the terminal is for addresses and progress.
    logs.configure(settings, (folder / "portal.log").open("a", buffering=1, encoding="utf-8"))
    beside = DemoServices(settings, folder, port, begin=begin, ehr=ehr, seed_ehr=seed_ehr, bundles=bundles)
    plan = Plan(
        f"{HOST}:{port}",
        1,
        THREADS,
        beside=beside.start,
        graceful=GRACEFUL_SECONDS,
        beside_seconds=BESIDE_SECONDS,
        # After the ^C that a terminal writes by itself.
        say=lambda step: print("\n  stopping …" if step == "stopping" else "  stopped", flush=True),
    )
    shown = people.PASSPHRASE if begin is Start.STORY else None
    PortalServer(lambda: make_app(settings, folder, passphrase=shown), plan).run()
    return 0


def demo_settings(folder: Path, port: int, ehr: str | None) -> Settings:
    """Settings of a demo portal in `folder`; `localhost`, because WebAuthn works only there."""
    return Settings(
        database_url=f"sqlite:///{folder / 'portal.sqlite3'}",
        secret_key=_kept_secret(folder),
        base_url=f"http://localhost:{port}",
        oidc_issuer=f"http://localhost:{port + 1}",
        oidc_client_secret="demo-client-secret",  # noqa: S106  known to the embedded provider only
        ehr_base_url=ehr or f"http://localhost:{port + 2}/fhir",
        data_dir=str(folder),
        recovery_reads_per_day=1000,
        threads=THREADS,
    )


def make_app(settings: Settings, folder: Path, *, passphrase: str | None = None) -> Flask:
    """The portal of the demo: with the control room, and mail in a folder; `passphrase` is shown where it helps."""
    database = Database(settings.database_url)
    migrating.upgrade(database)
    app = create_app(settings, database=database, adapters={"mailer": FileMailer(folder / "mail")})
    control_room.attach(app, passphrase=passphrase)
    return app


class DemoServices:
    """What runs beside the portal in its process, so that one clock moves all of it."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        port: int,
        *,
        begin: Start,
        ehr: str | None,
        seed_ehr: bool,
        bundles: Path | None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._port = port
        self._begin = begin
        self._ehr = ehr
        self._seed_ehr = seed_ehr
        self._bundles = bundles

    def start(self, app: Flask) -> Callable[[], None]:
        """Start provider, sandbox and worker, fill the world once, print where to go. Returns how to stop."""
        began = time.monotonic()
        loaded = list(read_bundles(self._bundles)) if self._bundles else []
        guests = _kept_guests(self._folder, loaded)
        app.extensions[control_room.LOADED] = guests
        app.extensions[control_room.PRESENT] = _logins(self._begin)
        servers = [self._provider(guests)]
        if self._ehr is None:
            servers.append(self._sandbox(app))
        stoppers: list[Callable[[], None]] = [server.shutdown for server in servers]

        def fill() -> None:
            self._fill(app, loaded, guests, began)
            app.extensions[control_room.WHOLE] = True
            # Not before: to a worker of today everything that is just being told is long past and to be cleared away.
            stoppers.insert(0, worker.start_beside(app))

        threading.Thread(target=fill, name="demo-world", daemon=True).start()

        def stop() -> None:
            for one in stoppers:
                one()

        return stop

    def _provider(self, guests: list[DemoAccount]) -> BaseWSGIServer:
        accounts = [person.account() for person in _logins(self._begin)]
        accounts += [*people.NEWCOMERS, *guests]
        idp = create_idp(
            self._settings,
            database_path=str(self._folder / "idp.sqlite3"),
            base_url=self._settings.oidc_issuer,
            portal_origin=self._settings.origin,
            accounts=accounts,
            password=people.PASSWORD,
            passphrase=people.PASSPHRASE if self._begin is Start.STORY else None,
        )
        return _serve(idp, self._port + 1)

    def _sandbox(self, app: Flask) -> BaseWSGIServer:
        sandbox = create_sandbox(self._folder / "fhir.sqlite3", self._settings.ehr_base_url)
        app.extensions[control_room.SANDBOX] = sandbox.sandbox.control
        return _serve(sandbox, self._port + 2)

    def _fill(self, app: Flask, loaded: list[LoadedPatient], guests: list[DemoAccount], began: float) -> None:
        database: Database = app.extensions["portal"].database
        with closing(EhrClient(EhrConnection(self._settings.ehr_base_url, source="EHR", private_network=True))) as ehr:
            if not (self._folder / FILLED).exists():
                self._make_world(app, ehr)
                (self._folder / FILLED).touch()
            if loaded:
                _say(f"loading {len(loaded)} patients from bundles …")
                for patient in loaded:
                    ehr.transaction(patient.bundle, deadline=Deadline(seed.SEED_SECONDS))
                world.welcome(database, issuer=self._settings.oidc_issuer, client=ehr, loaded=loaded)
        _say(f"ready after {time.monotonic() - began:.1f} s")
        print(_greeting(self._settings, guests, self._begin), flush=True)

    def _make_world(self, app: Flask, ehr: EhrClient) -> None:
        database: Database = app.extensions["portal"].database
        today = clock.now().date()
        if self._ehr is None or self._seed_ehr:
            _say("filling the EHR with the demo patients …")
            seed.seed(ehr, today)
        if self._begin is Start.FIRST_DAY:
            return
        _say("making pharmacies and accounts …")
        with clock.at(story.beginning() if self._begin is Start.STORY else clock.now()):
            patients = world.build(
                database,
                issuer=self._settings.oidc_issuer,
                ehr_base_url=self._settings.ehr_base_url,
                client=ehr,
                today=today,
            )
        if self._begin is Start.STORY:
            # Thousands of requests at once that nobody made.
            requests = logging.getLogger("portal.app")
            requests.setLevel(logging.WARNING)
            story.tell(app, ehr=ehr, patients=patients, progress=_say)
            requests.setLevel(logging.NOTSET)


def _rosa_born() -> str:
    entries = seed.demo_bundles(clock.now().date())["rosa"]["entry"]
    return str(next(one["resource"]["birthDate"] for one in entries if one["resource"]["resourceType"] == "Patient"))


def _serve(app: Flask, port: int) -> BaseWSGIServer:
    # Its lines carry names of patients.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(HOST, port, app, threaded=True)
    # Looks often whether it is to end: Ctrl-C waits for it.
    threading.Thread(target=server.serve_forever, args=(0.1,), name=f"serve-{port}", daemon=True).start()
    return server


def _logins(begin: Start) -> list[people.DemoPerson]:
    # On a first day nobody is anybody's colleague yet: staff come by invitation.
    first = (Role.OPERATOR, Role.PATIENT)
    return [person for person in people.PEOPLE if begin is not Start.FIRST_DAY or person.role in first]


def _greeting(settings: Settings, guests: list[DemoAccount], begin: Start) -> str:
    lines = [
        "",
        f"  The portal is open:  {settings.base_url}",
        f"  Control room:        {settings.base_url}/demo",
        "",
        f"  Sign in with any of these names, password {people.PASSWORD!r}:",
    ]
    present = _logins(begin)
    for role in dict.fromkeys(person.role for person in present):
        names = ", ".join(person.login for person in present if person.role is role)
        lines.append(f"    {role.value:<12} {names}")
    lines.append(f"    {'to invite':<12} {', '.join(account.login for account in people.NEWCOMERS)}")
    if guests:
        lines.append(f"    {'from bundles':<12} {', '.join(account.login for account in guests)}")
    if begin is Start.FIRST_DAY:
        lines += ["", "  Nothing is here yet: sign in as ivan, who runs the server, and open a pharmacy."]
        lines.append(f"  Mails are shown in the control room. Rosa Delgado, to be invited, was born on {_rosa_born()}.")
    if begin is Start.STORY:
        lines.append(f"  Passphrase of everybody who is enrolled: {people.PASSPHRASE}")
    command = _from_here(Path(sys.executable).parent / "portal")
    lines += [
        "",
        "  The operator's commands, in another terminal; the last one checks the record of who looked:",
        f"    . {_from_here(settings.data_path / SETTINGS)}",
        f"    {command} doctor",
        f"    {command} verify-audit",
    ]
    return "\n".join([*lines, "", "  Ctrl-C ends everything.", ""])


def _from_here(path: Path) -> str:
    """A path as it is typed in the folder where the demo was started."""
    here = Path.cwd()
    shown = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return shlex.quote(shown if "/" in shown else f"./{shown}")


def _write_settings(settings: Settings, path: Path) -> None:
    variables = {member.name: member.metadata["variable"] for member in fields(Settings)}
    lines = [f"export {variables[name]}={shlex.quote(str(getattr(settings, name)))}\n" for name in SHOWN]
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(lines), "utf-8")


def _kept_guests(folder: Path, loaded: list[LoadedPatient]) -> list[DemoAccount]:
    """The accounts of patients from bundles, of this start and of earlier ones."""
    path = folder / GUESTS
    known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known |= {patient.login: patient.full_name for patient in loaded}
    path.write_text(json.dumps(known, ensure_ascii=False), "utf-8")
    return [DemoAccount(login, name, role="patient") for login, name in known.items()]


def _kept_secret(folder: Path) -> str:
    path = folder / KEPT_IN
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(ids.token(32))
    return path.read_text()


def _busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _say(what: str) -> None:
    print(f"  {what}", flush=True)
