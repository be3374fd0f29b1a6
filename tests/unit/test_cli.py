"""The operator sets a portal up and keeps it: one command after the other, as docs/operations.md tells it."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from portal import cli
from portal.accounts.roles import Role
from portal.accounts.tables import Account
from portal.core import clock, ids
from portal.core.database import Database
from portal.identity import sessions

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
    proof = sessions.Proof(auth_time=clock.now(), acr=None, amr=(), idp_sid=None, id_token=None)
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
    assert portal(RIVERSIDE) == (1, "", "portal: pharmacy-exists\n")
    assert portal(RIVERSIDE.replace("America/Chicago", "Nowhere"))[0] == 1


def test_an_account_is_listed_signed_out_and_closed(ready: Portal, bob: str) -> None:
    code, said, _ = ready("account list")
    assert (code, said.split("\t")[:5]) == (0, [bob, "bob", "pharmacist", "riverside", "open"])
    assert ready("account end-sessions bob") == (0, "sessions ended: 1\n", "")
    assert ready("account disable", bob) == (0, f"disabled {bob}; sessions ended: 0\n", "")
    assert "\tdisabled\t" in ready("account list")[1]
    assert ready("account enable bob")[:2] == (0, f"enabled {bob}; seats in teams have to be asked for anew\n")
    assert "\topen\t" in ready("account list")[1]
    assert ready("account disable nobody") == (1, "", "portal: unknown-account\n")


def test_a_role_is_changed_and_ends_what_went_on_under_the_old_one(ready: Portal, bob: str) -> None:
    assert ready("account role bob supervisor") == (1, "", "portal: role-pharmacy\n")
    changed = ready("account role bob supervisor --pharmacy riverside")
    assert changed == (0, f"{bob} is supervisor now; sessions ended: 1\n", "")
    assert "\tsupervisor\triverside\t" in ready("account list")[1]


def test_an_invitation_is_a_code_to_hand_over(ready: Portal) -> None:
    code, said, advice = ready("invite --pharmacy riverside --fhir-id alice")
    assert (code, len(said.strip().replace("-", ""))) == (0, 16)
    assert "seven days" in advice
    assert ready("invite --pharmacy harbor --fhir-id alice") == (1, "", "portal: no-ehr-connection\n")


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
    assert portal("migrate") == (1, "", "portal: database-down\n")
    assert portal("account list") == (1, "", "portal: database-down\n")
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


def test_the_doctor_says_what_is_missing(portal: Portal) -> None:
    code, said, _ = portal("doctor")
    assert code == 1
    assert "FAIL schema: at nothing" in said
    assert "FAIL identity provider: PORTAL_OIDC_ISSUER is empty" in said
    portal("migrate")
    assert "ok   schema: " in portal("doctor")[1]
