"""The operator sets a portal up and keeps it: one command after the other, as docs/operations.md tells it."""

import argparse
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from werkzeug.serving import make_server

from portal import cli
from portal.accounts import patients, relations
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Account
from portal.core import clock, ids, migrating
from portal.core.database import Database
from portal.demo.sandbox import create_sandbox
from portal.identity import session_life, sessions
from portal.pharmacies import staff

RIVERSIDE = (
    "pharmacy add --id riverside --name Riverside --address Water-Street-1 --phone 555-0100 --country US"
    " --time-zone America/Chicago"
)
Portal = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _logs_stay_where_they_are() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = kept, level
    logging.captureWarnings(False)


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Portal:
    """Runs `portal …`: exit code, standard output, standard error."""
    monkeypatch.setenv("PORTAL_DATABASE_URL", f"sqlite:///{tmp_path}/portal.sqlite3")
    monkeypatch.setenv("PORTAL_DATA_DIR", str(tmp_path / "data"))

    def run(words: str, *more: str) -> tuple[int, str, str]:
        code = cli.main([*words.split(), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def ready(portal: Portal) -> Portal:
    """The same with a schema and a pharmacy."""
    assert portal("migrate")[0] == 0
    assert portal(RIVERSIDE, "--ehr", "https://ehr.example/fhir")[0] == 0
    return portal


@pytest.fixture
def bob(ready: Portal, tmp_path: Path) -> str:
    """Bob signed in once: his account."""
    database = Database(f"sqlite:///{tmp_path}/portal.sqlite3")
    account = Account(
        id=ids.random_id(),
        issuer="https://id.example",
        subject="bob",
        role=Role.PHARMACIST.value,
        pharmacy_id="riverside",
        display_name="Bob Baker",
        created_at=clock.now(),
    )
    proof = session_life.Proof(auth_time=clock.now(), acr=None, amr=(), idp_sid=None, id_token=None)
    with database.transaction() as session:
        session.add(account)
        session.flush()
        sessions.begin(session, account_id=account.id, role=account.role, proof=proof)
    database.close()
    return account.id


def test_the_schema_is_made_once(portal: Portal) -> None:
    code, said, _ = portal("migrate")
    assert (code, said.startswith("schema: empty -> ")) == (0, True)
    newest = said.split()[-1]
    assert portal("migrate")[1] == f"schema: {newest} -> {newest}\n"


def test_a_pharmacy_is_added_with_its_hours_and_listed(portal: Portal) -> None:
    portal("migrate")
    hours = json.dumps({"mon": [["08:00", "19:00"]]})
    assert portal(RIVERSIDE, "--hours", hours) == (0, "added riverside\n", "")
    assert portal("pharmacy list") == (0, "riverside\tRiverside\t555-0100\tAmerica/Chicago\n", "")
    assert portal(RIVERSIDE) == (
        1,
        "",
        "portal: there is a pharmacy with this id already; portal pharmacy list shows all\n",
    )
    assert "an example: America/Chicago" in portal(RIVERSIDE.replace("America/Chicago", "Nowhere"))[2]
    assert "--country is not in the right form" in portal(RIVERSIDE.replace("US", "Utopia"))[2]
    backwards = json.dumps({"mon": [["19:00", "08:00"]]})
    assert '{"mon": [["08:00", "19:00"]]}' in portal(RIVERSIDE, "--hours", backwards)[2]


def test_an_account_is_listed_signed_out_and_closed(ready: Portal, bob: str) -> None:
    code, said, _ = ready("account list")
    assert (code, said.split("\t")[:5]) == (0, [bob, "bob", "pharmacist", "riverside", "open"])
    assert ready("account end-sessions bob") == (0, "sessions ended: 1\n", "")
    assert ready("account disable", bob) == (0, f"disabled {bob}; sessions ended: 0\n", "")
    assert "\tdisabled\t" in ready("account list")[1]
    assert ready("account enable bob")[:2] == (0, f"enabled {bob}; seats in teams have to be asked for anew\n")
    assert "\topen\t" in ready("account list")[1]
    nobody = "portal: no account has this id or login name; portal account list shows all\n"
    assert ready("account disable nobody") == (1, "", nobody)


def test_a_role_is_changed_and_ends_what_went_on_under_the_old_one(ready: Portal, bob: str) -> None:
    assert "staff need --pharmacy" in ready("account role bob supervisor")[2]
    changed = ready("account role bob supervisor --pharmacy riverside")
    assert changed == (0, f"{bob} is supervisor now; sessions ended: 1\n", "")
    assert "\tsupervisor\triverside\t" in ready("account list")[1]


@pytest.fixture
def ehr(ready: Portal, tmp_path: Path) -> Iterator[str]:
    """The pharmacy's EHR: Alice, and the record of somebody who has died."""
    app = create_sandbox(tmp_path / "fhir.sqlite3", "http://localhost/fhir")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    app.sandbox.base_url = base_url = f"http://localhost:{server.server_port}/fhir"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    for name, more in (("alice", {"birthDate": "1974-03-14"}), ("ghost", {"deceasedBoolean": True}), ("baby", {})):
        body = json.dumps({"resourceType": "Patient", "id": name, "name": [{"family": "Morgan"}], **more})
        app.test_client().put(f"/fhir/Patient/{name}", data=body, content_type="application/fhir+json")
    assert ready(RIVERSIDE.replace("--id riverside", "--id harbor"), "--ehr", base_url)[0] == 0
    yield base_url
    server.shutdown()
    server.server_close()
    app.sandbox.close()


def test_an_invitation_is_a_code_to_hand_over(ready: Portal, ehr: str, tmp_path: Path) -> None:
    code, said, advice = ready("invite --pharmacy harbor --fhir-id alice")
    assert (code, len(said.strip().replace("-", ""))) == (0, 16)
    assert "seven days" in advice
    assert "joined" not in advice
    _join(Database(f"sqlite:///{tmp_path}/portal.sqlite3"))
    code, said, advice = ready("invite --pharmacy harbor --fhir-id alice")
    assert (code, len(said.strip().replace("-", ""))) == (0, 16)
    assert "An account is joined to this patient already" in advice


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("--pharmacy nowhere --fhir-id alice", "there is no pharmacy with this id"),
        ("--pharmacy harbor --fhir-id nobody", "has no patient nobody; check --fhir-id"),
        ("--pharmacy harbor --fhir-id ghost", "ghost has died"),
        ("--pharmacy harbor --fhir-id baby", "baby has no full birth date"),
    ],
)
def test_nobody_is_invited_who_could_never_come(ready: Portal, ehr: str, words: str, cause: str) -> None:
    code, said, reason = ready(f"invite {words}")
    assert (code, said) == (1, "")
    assert cause in reason


def test_an_ehr_that_is_down_makes_no_code(ready: Portal) -> None:
    assert ready(RIVERSIDE.replace("--id riverside", "--id harbor"), "--ehr", "http://localhost:1/fhir")[0] == 0
    code, said, reason = ready("invite --pharmacy harbor --fhir-id alice")
    assert (code, said) == (1, "")
    assert "the EHR of this pharmacy does not answer" in reason


def _join(database: Database) -> None:
    account = Account(
        id=ids.random_id(),
        issuer="https://id.example",
        subject="alice",
        role=Role.PATIENT.value,
        display_name="Alice Morgan",
        created_at=clock.now(),
    )
    with database.transaction() as session:
        session.add(account)
        session.flush()
        alice = patients.ensure(session, connection_id="harbor-ehr", fhir_id="alice")
        relations.bind(session, agent=staff.OPERATOR, account_id=account.id, patient_id=alice.id, kind=Kind.SELF)
    database.close()


def test_the_record_is_exported_and_proved(ready: Portal, bob: str) -> None:
    assert ready("verify-audit")[0] == 0
    code, said, _ = ready("audit export --since 2026-01-01")
    events = [json.loads(line) for line in said.splitlines()]
    assert code == 0
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    # That it was exported is itself the last line.
    assert events[-1]["subtype"][-1]["code"] == "audit.exported"
    later = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
    assert ready("audit export --since", later) == (0, "", "")


def test_what_argparse_refuses_is_said_with_an_example(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        ("audit export --since yesterday", "2026-11-01T08:00:00Z"),
        ("demo --port abc", "'abc' is no"),
        ("demo --empty --first-day", "not allowed with argument --empty"),
    ):
        with pytest.raises(SystemExit):
            portal(words)
        assert said in capsys.readouterr().err
    monkeypatch.setenv("PORT", "abc")
    with pytest.raises(SystemExit):
        portal("demo")
    assert "'abc' is no port" in capsys.readouterr().err


def test_the_version_is_known(portal: Portal, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        portal("--version")
    assert capsys.readouterr().out.startswith("portal 0.")


def test_every_option_says_what_it_is() -> None:
    silent = []

    def look(parser: argparse.ArgumentParser, words: str) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, below in action.choices.items():
                    look(below, f"{words} {name}")
            elif not action.help:
                silent.append(f"{words} {action.dest}")

    look(cli._parser(), "portal")
    assert silent == []


def test_without_a_database_each_command_says_so_and_makes_none(portal: Portal, tmp_path: Path) -> None:
    for words in ("account list", "pharmacy list", "invite --pharmacy a --fhir-id b", "verify-audit", "static-page"):
        code, said, reason = portal(words)
        assert (code, said) == (2, ""), words
        assert "there is no database at" in reason
        assert "portal migrate" in reason
    assert not (tmp_path / "portal.sqlite3").exists()


def test_a_database_without_the_schema_is_named(portal: Portal, tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/portal.sqlite3").close()
    assert portal("account list") == (2, "", f"portal: {_at('nothing')}\n")
    assert (tmp_path / "portal.sqlite3").stat().st_mode & 0o777 == 0o600


def _at(revision: str) -> str:
    return f"the schema of the database is at {revision}, not at {migrating.newest()}: run portal migrate"


def test_the_demo_is_refused_in_production_with_that_reason_first(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_ENV", "production")
    code, said, reason = portal("demo")
    assert (code, said) == (2, "")
    assert reason.startswith("portal: the demo does not run under PORTAL_ENV=production")


def test_the_page_for_bad_days_holds_phone_and_name_in_all_languages(ready: Portal) -> None:
    code, said, _ = ready("static-page")
    assert (code, "Riverside" in said, "555-0100" in said) == (0, True, True)
    assert said.index('lang="en"') < said.index('lang="es"', said.index("<body"))
    spanish = ready("static-page --language es")[1]
    body = spanish.index("<body")
    assert spanish.index('lang="es"', body) < spanish.index('lang="en"', body)


def test_the_ehr_gets_the_public_key_and_nothing_else(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert portal("ehr-key") == (2, "", "portal: PORTAL_EHR_PRIVATE_KEY is empty\n")
    monkeypatch.setenv("PORTAL_EHR_PRIVATE_KEY", "/nowhere/key.pem")
    assert portal("ehr-key")[0] == 2
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("PORTAL_EHR_PRIVATE_KEY", pem)
    code, said, _ = portal("ehr-key")
    (shown,) = json.loads(said)["keys"]
    assert (code, shown["kty"], shown["alg"], "d" in shown) == (0, "EC", "ES384", False)


def test_what_is_not_there_is_named_without_a_trace(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    portal("migrate")
    assert portal("verify-audit --checkpoint /nowhere/kept")[::2] == (
        2,
        "portal: /nowhere/kept: No such file or directory\n",
    )
    monkeypatch.setenv("PORTAL_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/portal")
    down = "portal: the database of PORTAL_DATABASE_URL does not answer; portal doctor says more\n"
    assert portal("migrate") == (1, "", down)
    assert portal("account list") == (1, "", down)
    with pytest.raises(SystemExit, match="2"):
        portal(RIVERSIDE, "--hours", "always")


def test_the_connector_says_why_it_could_not(portal: Portal, tmp_path: Path) -> None:
    keys = str(tmp_path / "bob.keys")
    code, said, reason = portal("connector --portal http://127.0.0.1:9 --keys", keys, "inbox")
    assert (code, said, reason) == (1, "", "portal connector: no answer (ConnectError)\n")


def test_unsafe_settings_are_refused_with_every_reason(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_ENV", "production")
    code, said, reasons = portal("migrate")
    assert (code, said) == (2, "")
    assert {"PORTAL_SECRET_KEY", "PORTAL_BASE_URL", "PORTAL_STAFF_ACR"} <= set(reasons.split())
    monkeypatch.setenv("PORTAL_ENV", "development")
    monkeypatch.setenv("PORTAL_THREADS", "many")
    assert portal("migrate") == (2, "", "portal: PORTAL_THREADS must be a whole number\n")


def test_the_doctor_says_what_is_missing_and_makes_nothing(
    portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, _ = portal("doctor")
    assert code == 1
    assert "FAIL database: there is none at" in said
    assert "FAIL identity provider: PORTAL_OIDC_ISSUER is empty" in said
    assert "ok   audit signing key: none yet" in said
    assert list(tmp_path.iterdir()) == []
    portal("migrate")
    assert "ok   schema: " in portal("doctor")[1]
    # Unsafe settings are a finding like others.
    monkeypatch.setenv("PORTAL_ENV", "production")
    said = portal("doctor")[1]
    assert "FAIL settings: PORTAL_SECRET_KEY needs" in said
    assert "ok   schema: " in said
