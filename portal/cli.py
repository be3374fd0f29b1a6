"""The operator's commands: `portal <command>`; `portal <command> --help` says what each one needs."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from portal.accounts.roles import Role
from portal.connector import command as connector
from portal.core import granting, logs, migrating, texts
from portal.core.bus import open_bus
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.core.settings import Settings, UnsafeSettings, from_environment

Run = Callable[[argparse.Namespace], int]
# Adds a command: name, what it does, what runs it.
Command = Callable[[str, str, Run], argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except UnsafeSettings as unsafe:
        for reason in unsafe.reasons:
            print(f"portal: {reason}", file=sys.stderr)
        return 2
    except PortalError as problem:
        print(f"portal: {problem.code}", file=sys.stderr)
        return 1
    except OperationalError:
        print("portal: database-down", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="portal", description="Secure pharmacy messaging portal.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, help_text: str, run: Run) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(run=run)
        return added

    _add_demo(command)
    _add_processes(command)
    _add_pharmacies(command)
    _add_accounts(command)
    _add_record(command)
    connector.add_arguments(command("connector", "a member of threads for programs", connector.answer))
    return parser


def _add_demo(command: Command) -> None:
    demo = command("demo", "open the demo world on this machine", _demo)
    demo.add_argument("--port", type=int, default=int(os.environ.get("PORT", "5000")))
    demo.add_argument("--reset", action="store_true", help="start anew")
    demo.add_argument("--empty", action="store_true", help="accounts and EHR data, but no keys, threads or team")
    demo.add_argument("--ehr", help="use this FHIR R4 server instead of the embedded sandbox")
    demo.add_argument("--seed", action="store_true", help="put the demo patients into that server")
    demo.add_argument(
        "--bundles", type=Path, help="load transaction bundles (.json, .json.gz), a login for each patient"
    )


def _add_processes(command: Command) -> None:
    serve = command("serve", "serve pages and JSON (production: behind a proxy)", _serve)
    serve.add_argument("--bind", default="127.0.0.1:8000")
    events = command("events", "serve the event streams alone", _events)
    events.add_argument("--bind", default="127.0.0.1:8001")
    command("worker", "run the outbox, the sealer and the timers", _worker)
    command("migrate", "bring the database to the newest schema", _migrate)
    command("doctor", "check settings, database, keys and connections", _doctor)
    command("ehr-key", "print the portal's public key, for the EHR to register (JWK set)", _ehr_key)
    page = command("static-page", "print the page to show while the portal is down", _static_page)
    page.add_argument("--language", choices=texts.LANGUAGES, default=texts.DEFAULT_LANGUAGE, help="what stands first")


def _add_pharmacies(command: Command) -> None:
    pharmacy = command("pharmacy", "add or list pharmacies", _pharmacy_list)
    acts = pharmacy.add_subparsers(required=True, metavar="act")
    add = acts.add_parser("add", help="add a pharmacy")
    for name in ("id", "name", "address", "phone", "country", "time-zone"):
        add.add_argument(f"--{name}", required=True)
    add.add_argument("--on-call-phone")
    add.add_argument("--languages", default="en,es")
    add.add_argument("--hours", type=_week, help='JSON: {"mon": [["08:00", "19:00"]], …} in its own zone')
    add.add_argument("--ehr", help="base URL of its FHIR R4 server")
    add.set_defaults(run=_pharmacy_add)
    acts.add_parser("list", help="list pharmacies").set_defaults(run=_pharmacy_list)


def _add_accounts(command: Command) -> None:
    account = command("account", "list accounts, close and open them, change roles, end sessions", _account_list)
    acts = account.add_subparsers(required=True, metavar="act")
    acts.add_parser("list", help="list accounts").set_defaults(run=_account_list)

    def on_one(name: str, help_text: str, run: Run) -> argparse.ArgumentParser:
        act = acts.add_parser(name, help=help_text)
        act.add_argument("account", help="id, or login name as the provider calls it")
        act.set_defaults(run=run)
        return act

    on_one("disable", "close an account", _account_disable)
    on_one("enable", "open a closed account again", _account_enable)
    on_one("end-sessions", "sign an account out everywhere", _account_end_sessions)
    role = on_one("role", "give an account another role or pharmacy", _account_role)
    role.add_argument("role", choices=[role.value for role in Role])
    role.add_argument("--pharmacy", help="where staff work")

    invite = command("invite", "make an invitation for a patient of a pharmacy", _invite)
    invite.add_argument("--pharmacy", required=True)
    invite.add_argument("--fhir-id", required=True, help="the patient's id in the pharmacy's EHR")


def _add_record(command: Command) -> None:
    audit = command("audit", "export the audit record", _audit_export).add_subparsers(required=True, metavar="act")
    export = audit.add_parser("export", help="FHIR AuditEvents as NDJSON")
    export.add_argument("--since", required=True, type=_moment, help="ISO 8601, e.g. 2026-11-01T00:00:00Z")
    export.set_defaults(run=_audit_export)
    verify = command("verify-audit", "recompute the audit log and compare it with its checkpoints", _verify_audit)
    verify.add_argument("--checkpoint", type=Path, help="a checkpoint kept elsewhere")


def _settings() -> Settings:
    settings = from_environment()
    logs.configure(settings)
    return settings


def _database(settings: Settings) -> Database:
    return Database(settings.database_url)


def _demo(given: argparse.Namespace) -> int:
    from portal.demo import run

    return run.demo(
        port=given.port,
        reset=given.reset,
        empty=given.empty,
        ehr=given.ehr,
        seed_ehr=given.seed,
        bundles=given.bundles,
    )


def _serve(given: argparse.Namespace) -> int:
    from portal.app import create_app
    from portal.serving import Plan, serve
    from portal.worker import start_beside

    settings = _settings()
    # SQLite has one writer: one process, with the worker inside and a thread for each stream.
    workers = 1 if settings.sqlite else settings.workers
    threads = max(settings.threads, settings.stream_limit + 32) if settings.sqlite else settings.threads
    beside = start_beside if settings.sqlite else None
    serve(lambda: create_app(settings), Plan(given.bind, workers, threads, beside=beside))
    return 0


def _events(given: argparse.Namespace) -> int:
    _settings()
    # A fresh program under the same process id: what is imported here already came too early for gevent.
    os.execv(sys.executable, [sys.executable, "-m", "portal.streaming", given.bind])  # noqa: S606


def _worker(given: argparse.Namespace) -> int:
    from portal.app import create_app
    from portal.worker import run_until_signal

    run_until_signal(create_app(_settings()))
    return 0


def _migrate(given: argparse.Namespace) -> int:
    settings = _settings()
    database = _database(settings)
    before = migrating.current(database)
    granting.migrate(settings)
    print(f"schema: {before or 'empty'} -> {migrating.current(database)}")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from portal.doctor import examine

    findings = examine(_settings())
    for finding in findings:
        print(f"{'ok  ' if finding.good else 'FAIL'} {finding.what}: {finding.says}")
    return 0 if all(finding.good for finding in findings) else 1


def _ehr_key(given: argparse.Namespace) -> int:
    from portal.care.readers import private_key

    settings = _settings()
    if not settings.ehr_private_key:
        raise UnsafeSettings(["PORTAL_EHR_PRIVATE_KEY is empty"])
    try:
        key = private_key(settings.ehr_private_key)
    except (OSError, ValueError) as problem:
        raise UnsafeSettings(
            ["PORTAL_EHR_PRIVATE_KEY is no RSA or P-384 key in PEM, and no file with one"]
        ) from problem
    print(json.dumps({"keys": [key.public_jwk()]}))
    return 0


def _pharmacy_add(given: argparse.Namespace) -> int:
    from portal.pharmacies import connections, profiles, staff

    settings = _settings()
    profile = profiles.Profile(
        id=given.id,
        name=given.name,
        address=given.address,
        phone=given.phone,
        on_call_phone=given.on_call_phone,
        country=given.country,
        time_zone=given.time_zone,
        languages=tuple(part.strip() for part in given.languages.split(",")),
        week=given.hours,
    )
    base_url = given.ehr or settings.ehr_base_url
    with _database(settings).transaction() as session:
        profiles.create(session, agent=staff.OPERATOR, profile=profile)
        if base_url:
            auth = "smart" if settings.ehr_private_key else "none"
            client_id = settings.ehr_client_id or None
            connections.add(
                session,
                pharmacy_id=profile.id,
                connection_id=f"{profile.id}-ehr",
                base_url=base_url,
                auth=auth,
                client_id=client_id,
            )
    print(f"added {profile.id}" + ("" if profile.week else "; set its hours before patients can write to it"))
    return 0


def _pharmacy_list(given: argparse.Namespace) -> int:
    from portal.pharmacies import profiles

    with _database(_settings()).reading() as session:
        for profile in profiles.everyone(session):
            print(f"{profile.id}\t{profile.name}\t{profile.phone}\t{profile.time_zone}")
    return 0


def _account_list(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    with _database(_settings()).reading() as session:
        for row in staff.accounts(session):
            state = "disabled" if row.disabled_at else "open"
            seen = row.last_login_at.isoformat(timespec="minutes") if row.last_login_at else "never"
            print(f"{row.id}\t{row.subject}\t{row.role}\t{row.pharmacy_id or '-'}\t{state}\tlast login {seen}")
    return 0


def _account_disable(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    settings = _settings()
    with _database(settings).transaction() as session:
        account_id = staff.find(session, given.account)
        ended = staff.disable(session, bus=open_bus(settings), account_id=account_id)
    print(f"disabled {account_id}; sessions ended: {ended.sessions}")
    _say_teams(ended.teams)
    return 0


def _account_enable(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    with _database(_settings()).transaction() as session:
        account_id = staff.find(session, given.account)
        staff.enable(session, account_id=account_id)
    print(f"enabled {account_id}; seats in teams have to be asked for anew")
    return 0


def _account_role(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    settings = _settings()
    with _database(settings).transaction() as session:
        account_id = staff.find(session, given.account)
        ended = staff.change_role(
            session,
            bus=open_bus(settings),
            account_id=account_id,
            role=Role(given.role),
            pharmacy_id=given.pharmacy,
        )
    print(f"{account_id} is {given.role} now; sessions ended: {ended.sessions}")
    _say_teams(ended.teams)
    return 0


def _say_teams(teams: Sequence[str]) -> None:
    for team in teams:
        print(f"the key of team {team} has to be renewed: a member should open the team page")


def _account_end_sessions(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    settings = _settings()
    with _database(settings).transaction() as session:
        account_id = staff.find(session, given.account)
        count = staff.end_sessions(session, bus=open_bus(settings), account_id=account_id)
    print(f"sessions ended: {count}")
    return 0


def _invite(given: argparse.Namespace) -> int:
    from portal.pharmacies import staff

    with _database(_settings()).transaction() as session:
        code = staff.invite(session, pharmacy_id=given.pharmacy, fhir_id=given.fhir_id)
    print(code)
    print("Hand it over in person. It works once, for seven days, together with the date of birth.", file=sys.stderr)
    return 0


def _audit_export(given: argparse.Namespace) -> int:
    from portal.audit import Action, Purpose, record
    from portal.audit.balp import Frame
    from portal.audit.export import export
    from portal.pharmacies import connections, staff

    settings = _settings()
    database = _database(settings)
    with database.transaction() as session:
        ehr = {row.id: row.base_url for row in connections.everyone(session)}
        record(session, Action.AUDIT_EXPORTED, agent=staff.OPERATOR, purpose=Purpose.HOPERAT)
    for line in export(database, Frame(portal=settings.base_url, ehr=ehr), since=given.since):
        print(line)
    return 0


def _verify_audit(given: argparse.Namespace) -> int:
    from portal.audit.verify import verify_portal

    settings = _settings()
    try:
        verdict = verify_portal(settings, _database(settings), given.checkpoint)
    except OSError as problem:
        print(f"portal: {given.checkpoint}: {problem.strerror}", file=sys.stderr)
        return 2
    print(verdict.line("en"))
    return verdict.exit_code


def _static_page(given: argparse.Namespace) -> int:
    from portal.app import create_app
    from portal.pharmacies import profiles
    from portal.web.public import closed

    app = create_app(_settings())
    with app.app_context(), app.extensions["portal"].database.reading() as session:
        print(closed.page(profiles.everyone(session), first=given.language))
    return 0


def _week(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"not JSON: {problem}") from problem


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
