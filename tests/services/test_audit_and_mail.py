"""Our AuditEvents before the FHIR R4 validator, and our mail through a real SMTP conversation."""

import json
import os
import shlex
import subprocess
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from portal import audit
from portal.audit import Action, Agent, Entity, Outcome
from portal.audit.balp import Frame
from portal.audit.export import export
from portal.core import clock, ids
from portal.core.database import Database
from portal.notify.mail import SmtpMailer
from portal.notify.words import Template, compose

pytestmark = pytest.mark.services


def test_every_act_passes_the_r4_validator(database: Database, tmp_path: Path) -> None:
    began = clock.now()
    agent = Agent("b" * 32, "pharmacist", "5e55", "jti:abc", "192.0.2.7", "req-1")
    with database.transaction() as session:
        for action in Action:
            outward = {"connection": "main", "query": ["MedicationRequest?patient=7"]}
            audit.record(
                session,
                action,
                agent=agent,
                patient_id="a" * 32,
                pharmacy_id="riverside",
                on_behalf="carer",
                entity=Entity("MedicationRequest", "7"),
                detail=outward if action.value.startswith("ehr.") else {"count": 2},
            )
            audit.record(session, action, agent=Agent(None, None), outcome=Outcome.SERIOUS, reason="refused")
    files = []
    for number, line in enumerate(export(database, Frame("https://portal.test"), since=began)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(line)
    assert len(files) == 2 * len(Action)
    command = [*shlex.split(os.environ["PORTAL_TEST_VALIDATOR"]), *(str(file) for file in files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, "\n".join(line for line in said.stdout.split("\n") if "error" in line.lower())
    assert said.stdout.count("valid   ") == len(files)
    assert "INVALID" not in said.stdout
    assert json.loads(files[0].read_text())["resourceType"] == "AuditEvent"


def test_a_notice_goes_through_a_real_server() -> None:
    link = "https://portal.test/login?next=/thread/" + "f" * 32
    reference = ids.random_id()
    stop = "https://portal.test/stop-notices/" + "s" * 40
    mail = compose(
        Template.MESSAGE_WAITS, "es", to="rosa@example.test", reference=reference, values={"link": link, "stop": stop}
    )
    SmtpMailer(os.environ["PORTAL_TEST_SMTP_URL"], "portal@example.test").send(mail)
    kept = [message_from_bytes(path.read_bytes(), policy=default) for path in _mails()]
    (arrived,) = [message for message in kept if reference in str(message["Message-ID"])]
    assert arrived["Subject"] == "Tiene un mensaje pendiente"
    body = arrived.get_body()
    assert body is not None
    assert link in body.get_content()
    assert stop in body.get_content()
    assert arrived["List-Unsubscribe"] == f"<{stop}>"
    assert arrived["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def _mails() -> list[Path]:
    return list(Path(os.environ["PORTAL_TEST_MAILS"]).glob("*.eml"))
