"""The operator's commands: `portal <command>`; `portal <command> --help` says what each one needs."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Formatter
from typing import Any

from sqlalchemy.exc import OperationalError, ProgrammingError

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
HIGHEST_PORT = 65533
# What an operator is told: the cause and the way on. What is not listed is said as it is to everybody.
SAYS = {
    "database-down": "the database of PORTAL_DATABASE_URL does not answer; portal doctor says more",
    "database-busy": "the database is held by another process; try again, or stop the portal first",
    "ehr-unavailable": "the EHR of this pharmacy does not answer; portal doctor tries the connection",
    "pharmacy-exists": "there is a pharmacy with this id already; portal pharmacy list shows all",
    "pharmacy-profile": "--{field} is not in the right form; portal pharmacy add --help shows an example of each",
    "hours": '--hours is not in the right form; an example: {{"mon": [["08:00", "19:00"]]}}',
    "time-zone": "--time-zone is no zone of the IANA list; an example: America/Chicago",
    "ehr-connection": "--ehr must begin with http:// or https://",
    "unknown-pharmacy": "there is no pharmacy with this id; portal pharmacy list shows all",
    "no-ehr-connection": "this pharmacy has no EHR to find the patient in; give it one with portal pharmacy add --ehr",
    "unknown-account": "no account has this id or login name; portal account list shows all",
    "account-not-unique": "more than one account has this login name; give the id that portal account list shows",
    "role-pharmacy": "staff need --pharmacy, and nobody else may have it",
    "patient-unknown": "the EHR of this pharmacy has no patient {fhir_id}; check --fhir-id",
    "patient-closed": "{fhir_id} has died, or the record is closed or merged, says the EHR: nobody is invited to it",
    "patient-no-birth-date": "{fhir_id} has no full birth date in the EHR, so the invitation could never be taken",
    "missing-field": "{field} is not set",
    "bad-field": "{field} is missing or not in the right form",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. What goes wrong is said with its cause and a way on."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given) or 0)
    except UnsafeSettings as unsafe:
        for reason in unsafe.reasons:
            print(f"portal: {reason}", file=sys.stderr)
        return 2
    except PortalError as problem:
        print(f"portal: {_words(problem)}", file=sys.stderr)
        return 1
    except ProgrammingError:
        print("portal: the database lacks what the code expects; run portal migrate", file=sys.stderr)
        return 1
    except OperationalError:
        print(f"portal: {SAYS['database-down']}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _words(problem: PortalError) -> str:
    """Cause and way on; the catalogue's sentence, or the code, for what no operator's command should meet."""
    said = SAYS.get(problem.code)
    if said is not None and {name for _, name, _, _ in Formatter().parse(said) if name} <= problem.extra.keys():
        return said.format(**problem.extra)
    known = texts.catalogue(texts.DEFAULT_LANGUAGE)
    return f"{texts.get(problem.text_key)} ({problem.code})" if problem.text_key in known else problem.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="portal", description="Secure pharmacy messaging portal.")
    parser.add_argument("--version", action="version", version=f"portal {version('pharmacy-portal')}")
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
    # A text is read by `type` too, so that what is wrong in PORT is said in one line.
    demo.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("PORT", "5000"),
        help="of the portal (or the variable PORT); the identity provider and the sandbox take the next two",
    )
    demo.add_argument("--reset", action="store_true", help="start anew")
    begin = demo.add_mutually_exclusive_group()
    begin.add_argument("--empty", action="store_true", help="accounts and EHR data, but no keys, threads or team")
    begin.add_argument(
        "--first-day",
        action="store_true",
        help="an empty portal: open a pharmacy yourself; logins and EHR data are there",
    )
    demo.add_argument("--ehr", help="use this FHIR R4 server instead of the embedded sandbox")
    demo.add_argument("--seed", action="store_true", help="put the demo patients into that server")
    demo.add_argument(
        "--bundles", type=Path, help="load transaction bundles (.json, .json.gz), a login for each patient"
    )


def _add_processes(command: Command) -> None:
    serve = command("serve", "serve pages and JSON (production: behind a proxy)", _serve)
    serve.add_argument("--bind", default="127.0.0.1:8000", help="address and port to listen on")
    events = command("events", "serve the event streams alone", _events)
    events.add_argument("--bind", default="127.0.0.1:8001", help="address and port to listen on")
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
    for name, meaning in (
        ("id", "a short word for addresses and commands: small letters, digits, hyphens; e.g. riverside"),
        ("name", "as people know it"),
        ("address", "street and town, on one line"),
        ("phone", "of the counter, e.g. '+1 555 0100'"),
        ("country", "two letters; emergency numbers follow it, e.g. US"),
        ("time-zone", "its own zone, e.g. America/Chicago"),
    ):
        add.add_argument(f"--{name}", required=True, help=meaning)
    add.add_argument("--on-call-phone", help="for what cannot wait until it opens")
    add.add_argument("--languages", default="en,es", help="what is spoken there: en, es or both (en,es)")
    add.add_argument("--hours", type=_week, help='JSON: {"mon": [["08:00", "19:00"]], …} in its own zone')
    add.add_argument("--ehr", help="base URL of its FHIR R4 server")
    add.set_defaults(run=_pharmacy_add)
    acts.add_parser("list", help="list pharmacies").set_defaults(run=_pharmacy_list)


def _add_accounts(command: Command) -> None:
    account = command("account", "list accounts, close and open them, change roles, end sessions", _account_list)
    acts = account.add_subparsers(required=True, metavar="act")
    acts.add_parser("list", help="list accounts").set_defaults(run=_account_list)
    for name, run, meaning in (
        ("disable", _account_disable, "close an account: no sign-in, sessions end, seats in teams are without access"),
        ("enable", _account_enable, "open a closed account again"),
        ("role", _account_role, "give an account another role or pharmacy"),
        ("end-sessions", _account_end_sessions, "sign an account out everywhere; it may sign in again"),
    ):
        act = acts.add_parser(name, help=meaning, description=meaning)
        act.add_argument("account", help="id, or login name as the provider calls it")
        act.set_defaults(run=run)
        if name == "role":
            act.add_argument("role", choices=[role.value for role in Role], help="the new one")
            act.add_argument("--pharmacy", help="where staff work")

    invite = command("invite", "make an invitation for a patient of a pharmacy", _invite)
    invite.add_argument("--pharmacy", required=True, help="its id, as portal pharmacy list shows it")
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
    """The database, once it has the schema that the code expects. Makes nothing. Raises UnsafeSettings, Unavailable."""
    place = settings.sqlite_path
    if place is not None and not place.exists():
        raise UnsafeSettings(
            [f"there is no database at {place}: check PORTAL_DATABASE_URL, or run portal migrate to make it"]
        )
    database = Database(settings.database_url)
    database.ping()
    if (at := migrating.current(database)) != migrating.newest():
        raise UnsafeSettings(
            [f"the schema of the database is at {at or 'nothing'}, not at {migrating.newest()}: run portal migrate"]
        )
    return database


def _demo(given: argparse.Namespace) -> int:
    from portal.demo import run

    return run.demo(
        port=given.port,
        reset=given.reset,
        empty=given.empty,
        ehr=given.ehr,
        seed_ehr=given.seed,
        bundles=given.bundles,
        first_day=given.first_day,
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
    database = Database(settings.database_url)
    before = migrating.current(database)
    granting.migrate(settings)
    print(f"schema: {before or 'empty'} -> {migrating.current(database)}")
    return 0


def _doctor(given: argparse.Namespace) -> int:
    from portal.doctor import examine

    # Also settings that nothing else would start with: saying what is wrong with them is what this is for.
    settings = from_environment(safe=False)
    logs.configure(settings)
    findings = examine(settings)
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
    from portal.care.matching import check_invited
    from portal.care.readers import EhrReaders
    from portal.pharmacies import staff

    settings = _settings()
    database, readers = _database(settings), EhrReaders(settings)
    try:
        joined = check_invited(database, readers, pharmacy_id=given.pharmacy, fhir_id=given.fhir_id)
    finally:
        readers.close()
    with database.transaction() as session:
        code = staff.invite(session, pharmacy_id=given.pharmacy, fhir_id=given.fhir_id)
    if joined:
        print(
            "An account is joined to this patient already. A parent, a child or a carer may use the code too; "
            "take it only if that is meant.",
            file=sys.stderr,
        )
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

    settings = _settings()
    app = create_app(settings, database=_database(settings))
    with app.app_context(), app.extensions["portal"].database.reading() as session:
        print(closed.page(profiles.everyone(session), first=given.language))
    return 0


def _week(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(SAYS["hours"].format()) from problem


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment; write a day or a time as in 2026-11-01 or 2026-11-01T08:00:00Z"
        ) from problem
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; take a number from 1024 to {HIGHEST_PORT}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
