"""The demo world, told once with a short diary: who reads what, and that time only goes forward."""

import threading
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.connector.messages import Line
from portal.core import clock
from portal.core.database import Database
from portal.demo import run, seed, story, world
from portal.demo.people import PASSPHRASE, PEOPLE
from portal.demo.sandbox import create_sandbox
from portal.e2ee.open import Shown
from portal.ehr.client import EhrClient, EhrConnection
from portal.identity import sessions
from portal.identity.session_life import Proof
from portal.pharmacies import teams
from portal.threads.tables import Record, Thread


@dataclass
class Told:
    """The demo after its first start."""

    app: Flask
    folder: Path
    database: Database

    def member(self, login: str) -> Member:
        """Somebody in a new browser, with the passphrase that was printed."""
        person = next(one for one in PEOPLE if one.login == login)
        with self.database.transaction() as session:
            account = session.scalars(select(Account.id).where(Account.subject == login)).one()
            proof = Proof(clock.now(), None, (), None, None)
            cookie, _ = sessions.begin(session, account_id=account, role=person.role.value, proof=proof)
        client = PortalClient("http://localhost:5000", transport=httpx.WSGITransport(app=self.app))
        client.use_cookie(cookie)
        return Member.recover(client, secret=PASSPHRASE, device_name="test")

    def read(self, login: str) -> dict[str, list[Line]]:
        """All that somebody can read, by the subject of the thread."""
        member = self.member(login)
        threads = [member.read(member.thread(head["thread"])) for head in member.inbox()]
        return {lines[0].subject or "": lines for lines in threads}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Filled as `portal demo` fills it, but for the length of Walt's diary."""
    folder = tmp_path_factory.mktemp("demo")
    settings = run.demo_settings(folder, 5000, None)
    app = run.make_app(settings, folder)
    sandbox = create_sandbox(folder / "fhir.sqlite3", "http://localhost/fhir")
    server = make_server("127.0.0.1", 0, sandbox, threaded=True)
    address = f"http://localhost:{server.server_port}/fhir"
    sandbox.sandbox.base_url = address
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ehr = EhrClient(EhrConnection(address, private_network=True))
    database: Database = app.extensions["portal"].database
    today = clock.now().date()
    seed.seed(ehr, today)
    with clock.at(story.beginning()):
        patients = world.build(database, issuer=settings.oidc_issuer, ehr_base_url=address, client=ehr, today=today)
    tales = deepcopy(story.conversations())
    tales["diary"]["days"] = 2
    said: list[str] = []
    story.tell(app, ehr=ehr, patients=patients, progress=said.append, tales=tales)
    assert said
    yield Told(app, folder, database)
    ehr.close()
    server.shutdown()
    database.close()


def test_alice_reads_her_threads_and_nobody_elses(told: Told) -> None:
    assert set(told.read("alice")) == {"Metformin and my stomach", "Order 1042 has not come"}


def test_dave_sees_nothing_of_alices(told: Told) -> None:
    assert set(told.read("dave")) == {"Is my blue inhaler empty?", "How to use the purple inhaler"}


def test_the_pharmacist_reads_every_thread_and_the_desk_its_own(told: Told) -> None:
    assert len(told.read("bob")) == 12
    desk = {"Order 1042 has not come", "Charged twice for Mia's order", "The parcel came crushed"}
    assert set(told.read("frank")) == desk
    assert told.read("carol") == {}


def test_chips_carry_the_resource_and_at_the_desk_no_medicine(told: Told) -> None:
    [chip] = told.read("alice")["Metformin and my stomach"][0].fhir
    assert chip["resource"]["resourceType"] == "MedicationRequest"
    [order] = told.read("frank")["Order 1042 has not come"][0].fhir
    assert order["text"] == "Order 1042"
    assert "860975" not in str(order)


def test_one_message_is_corrected_and_one_taken_back(told: Told) -> None:
    lines = told.read("dave")["How to use the purple inhaler"]
    assert [line.corrected for line in lines] == [True, False, False, False]
    assert [line.shown for line in lines].count(Shown.RETRACTED) == 1
    assert "ONE puff" in str(lines[0].text)


def test_the_photo_of_the_parcel_opens(told: Told) -> None:
    frank = told.member("frank")
    for head in frank.inbox():
        thread = frank.thread(head["thread"])
        for line in frank.read(thread):
            if line.files:
                assert frank.fetch_file(thread, line).startswith(b"\x89PNG")
                return
    raise AssertionError("no photo")


def test_rosas_message_waits_for_her_keys(told: Told) -> None:
    with told.database.reading() as session:
        waiting = session.scalars(select(Thread).where(Thread.waits_for_keys)).all()
    assert len(waiting) == 1
    assert [member["role"] for member in waiting[0].members] == ["team"]


def test_erin_waits_and_the_teams_stand(told: Told) -> None:
    with told.database.reading() as session:
        accounts = dict(session.execute(select(Account.subject, Account.id)).all())
        assert teams.seats_of(session, accounts["erin"]) == {"riverside_pharmacists": teams.State.WAITING}
        assert teams.members(session, "riverside_desk") == {accounts["frank"], accounts["bob"]}
        assert teams.members(session, "harbor_pharmacists") == {accounts["carol"]}


def test_time_only_goes_forward_and_ends_now(told: Told) -> None:
    with told.database.reading() as session:
        events = session.scalars(select(AuditEvent.recorded).order_by(AuditEvent.seq)).all()
        records = session.execute(select(Record.thread_id, Record.received_at).order_by(Record.thread_id, Record.seq))
        by_thread: dict[str, list[datetime]] = {}
        for thread_id, moment in records:
            by_thread.setdefault(thread_id, []).append(moment)
    past = [moment for moment in events if moment < events[0] + story.BEFORE]
    assert past == sorted(past)
    assert all(moments == sorted(moments) for moments in by_thread.values())
    assert max(max(moments) for moments in by_thread.values()) < datetime.now(UTC)


def test_told_again_nothing_changes(told: Told) -> None:
    with told.database.reading() as session:
        before = len(session.scalars(select(Thread.id)).all())
    client = EhrClient(EhrConnection("http://localhost:9/fhir", private_network=True))
    story.tell(told.app, ehr=client, patients={}, progress=lambda what: None)
    client.close()
    with told.database.reading() as session:
        assert len(session.scalars(select(Thread.id)).all()) == before
