"""A patient and a pharmacist talk, with real servers: PostgreSQL, Redis, Keycloak, HAPI FHIR and a mail server.

Told twice: once the processes hear each other by NOTIFY and patients join by invitation; once by Redis, and the
provider says which patient somebody is.
"""

import gzip
import itertools
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from person import PersonAtBrowser
from real_portal import PASSWORD, Realm, RealPortal, Stream, a_portal, join_by_invitation, sign_in, within

from portal.connector.client import PortalClient, ServerRefused
from portal.connector.member import Member, OpenThread
from portal.connector.messages import Message
from portal.core import ids
from portal.demo.chapter import LOGIN_SYSTEM
from portal.demo.seed import seed
from portal.e2ee.records import Role
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.context import ContextReader
from portal.ehr.contract import load
from portal.ehr.transport import Deadline

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
PASSPHRASE = "river lantern copper meadow violin"
WEEK = {day: [["08:00", "19:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
STAFF = {"bob": "riverside", "carol": "harbor"}
GIVEN = os.environ.get("PORTAL_TEST_BUNDLES", "")
Json = dict[str, Any]


@dataclass(frozen=True)
class InEhr:
    """A patient as HAPI holds one, how many medicines were ever asked for, and whether the patient has died."""

    login: str
    fhir_id: str
    born: date
    requests: int
    deceased: bool = False


@dataclass
class Story:
    """The portal, and everybody who is signed in."""

    portal: RealPortal
    realm: Realm
    began: datetime
    claims: bool
    mark: str
    patients: dict[str, InEhr]
    browsers: dict[str, PersonAtBrowser] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def client(self, login: str) -> PortalClient:
        """The session of somebody with keys."""
        return self.members[login].client

    def patient_comes(self, login: str) -> str:
        """A patient signs in for the first time and is joined with the record; the portal's id of the patient."""
        known = self.patients[login]
        claim = {"patient": known.fhir_id} if self.claims else {}
        self.realm.add(login, "patient", self.email(login), **claim)
        browser, client = sign_in(self.portal, login)
        if not self.claims:
            assert join_by_invitation(self.portal, browser, known.fhir_id, known.born)
        (own,) = client.session()["patients"]
        if self.claims:
            client.post("/api/pharmacies/riverside/care", {"patient": own["patient"]})
        self.browsers[login], self.ids[login] = browser, str(own["patient"])
        self.members[login] = Member.enrol(client, passphrase=PASSPHRASE, device_name="Story")
        return self.ids[login]

    def pharmacist_comes(self, login: str) -> None:
        """A pharmacist signs in for the first time and founds the team."""
        self.realm.add(login, "pharmacist", self.email(login), pharmacy=STAFF[login])
        self.browsers[login], client = sign_in(self.portal, login)
        self.members[login] = Member.enrol(client, passphrase=PASSPHRASE, device_name="Story")
        self.members[login].teams.found(f"{STAFF[login]}_pharmacists")

    def email(self, login: str) -> str:
        """An address that no other test writes to."""
        return f"{login}.{self.mark}@example.test"

    def asks(self, subject: str, text: str) -> OpenThread:
        """Alice begins a thread with her pharmacy."""
        alice = self.members["alice"]
        return alice.start_thread(
            Message(text, subject=subject),
            pharmacy="riverside",
            patient=self.ids["alice"],
            topic="medicine",
            team="riverside_pharmacists",
            people={alice.person.id: Role.PATIENT},
        )

    def mails_to(self, login: str) -> list[Any]:
        """What the mail server has for somebody."""
        folder = Path(os.environ["PORTAL_TEST_MAILS"])
        mails = [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]
        return [mail for mail in mails if mail["X-Envelope-To"] == self.email(login)]


@pytest.fixture(scope="module")
def patients() -> dict[str, InEhr]:
    """HAPI with the demo's patients, one in the shape of Synthea, and every one of PORTAL_TEST_BUNDLES, by login."""
    client = EhrClient(EhrConnection(os.environ["PORTAL_TEST_HAPI"]))
    seed(client, datetime.now(UTC).date())
    reader = ContextReader(client)
    found = {}
    for login in ("alice", "dave"):
        (patient,) = reader.find_patients(LOGIN_SYSTEM, login)
        requests = len(reader.read(patient.id).medication_requests)
        found[login] = InEhr(login, patient.id, date.fromisoformat(patient.birth_date), requests)
    bundles = {"nora": load("examples/synthea-shaped.json")}
    for path in sorted(Path(GIVEN).glob("*.json*")) if GIVEN else ():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        bundles[path.name.partition(".")[0].lower().replace("_", "-")] = json.loads(content)
    for login, bundle in bundles.items():
        found[login] = _load(client, login, bundle)
    client.close()
    return found


def _load(client: EhrClient, login: str, bundle: Json) -> InEhr:
    resources = [entry["resource"] for entry in bundle["entry"]]
    kinds = [resource["resourceType"] for resource in resources]
    made = client.transaction(bundle, deadline=Deadline(240))
    at = kinds.index("Patient")
    patient = resources[at]
    born, deceased = date.fromisoformat(patient["birthDate"]), "deceasedDateTime" in patient
    return InEhr(login, made[at].partition("/")[2], born, kinds.count("MedicationRequest"), deceased)


@pytest.fixture(scope="module", params=["notify", "redis"])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, patients: dict[str, InEhr]
) -> Iterator[Story]:
    """Two pharmacies; Alice, Dave, Bob and Carol are signed in and have keys."""
    redis = request.param == "redis"
    began = datetime.now(UTC)
    with a_portal(tmp_path_factory.mktemp(f"portal-{request.param}"), redis=redis, claims=redis) as (portal, realm):
        for name, phone in (("riverside", "+1 555 0100"), ("harbor", "+1 555 0200")):
            given = {
                "id": name,
                "name": f"{name.capitalize()} Pharmacy",
                "address": "1 Main Street, Springfield",
                "phone": phone,
                "country": "US",
                "time-zone": "America/Chicago",
                "hours": json.dumps(WEEK),
            }
            portal.command("pharmacy", "add", *itertools.chain(*((f"--{key}", word) for key, word in given.items())))
        told = Story(portal, realm, began, redis, ids.random_id()[:8], patients)
        for login in STAFF:
            told.pharmacist_comes(login)
        for login in ("alice", "dave"):
            told.patient_comes(login)
        yield told
        for login, browser in told.browsers.items():
            told.client(login).close()
            browser.close()


def test_messages_go_both_ways_beside_what_the_ehr_knows(story: Story) -> None:
    alice, bob = story.members["alice"], story.members["bob"]
    hears = Stream(story.portal.events_ports[0], bob.client)
    within(10, lambda: hears.heard("ready"), "the stream is ready")
    asked = story.asks("Metformin", "Can I take it with breakfast?")
    (told,) = within(5, lambda: hears.heard("thread"), "Bob hears of the question")
    hears.cut()
    assert told.data["thread"] == asked.id

    opened = bob.thread(asked.id)
    assert [(line.subject, line.text) for line in bob.read(opened)] == [("Metformin", "Can I take it with breakfast?")]
    panel = bob.client.get(f"/api/patients/{story.ids['alice']}/context", pharmacy="riverside")
    assert not panel["stale"]
    shown = [*panel["medications"]["current"], *panel["medications"]["past"]]
    assert len(shown) == story.patients["alice"].requests
    assert panel["allergies"]["items"]
    assert panel["orders"]
    medicine, order = shown[0]["chip"], panel["orders"][0]["chip"]
    bob.send(opened, Message("Yes, with food.", fhir=[medicine, order]))
    bob.confirm(opened)

    alice.catch_up(asked)
    answer = alice.read(asked)[-1]
    assert answer.text == "Yes, with food."
    assert [one["text"] for one in answer.fhir] == [medicine["text"], order["text"]]
    assert alice.client.get(f"/api/patients/{story.ids['alice']}/context", pharmacy="riverside")["medications"]


def test_what_is_shown_is_what_was_written_to_the_record(story: Story) -> None:
    bob = story.members["bob"]
    bob.client.get(f"/api/patients/{story.ids['alice']}/context", pharmacy="riverside")
    lines = story.client("alice").get("/api/audit", patient=story.ids["alice"])["items"]
    looks = [line for line in lines if line["who"] == "Bob Story" and not line["refused"]]
    assert any("Riverside Pharmacy" in line["role"] for line in looks), lines


@pytest.mark.parametrize("stranger", ["dave", "carol"])
def test_the_neighbour_and_the_other_pharmacy_get_nothing_of_it(story: Story, stranger: str) -> None:
    asked = story.asks("Warfarin", "Nobody else may read this.")
    client = story.client(stranger)
    hears = Stream(story.portal.events_ports[1], client)
    patient = story.ids["alice"]
    unknown = ids.random_id()
    for path in ("/api/threads/{}", "/api/threads/{}/records"):
        assert _refused(client, path.format(asked.id)) == _refused(client, path.format(unknown)) == (404, "not-found")
    for pharmacy in ("riverside", "harbor"):
        answers = {_refused(client, f"/api/patients/{one}/context", pharmacy=pharmacy) for one in (patient, unknown)}
        assert answers == {(404, "not-found")}
    assert _refused(client, "/api/audit", patient=patient) == _refused(client, "/api/audit", patient=unknown)
    assert _refused(client, f"/api/directory/{story.members['alice'].person.id}") == (404, "not-found")
    with pytest.raises(ServerRefused) as caught:
        client.post(f"/api/threads/{asked.id}/messages", {"records": [], "urgent": False}, key=ids.random_id())
    assert caught.value.http_status in (404, 422)
    assert asked.id not in [head["thread"] for head in story.members[stranger].inbox()]
    within(10, lambda: hears.heard("ready"), "the stream is ready")
    story.members["alice"].send(asked, Message("Nor this."))
    assert not hears.heard("thread")
    hears.cut()


def _refused(client: PortalClient, path: str, **query: str) -> tuple[int, str]:
    with pytest.raises(ServerRefused) as caught:
        client.get(path, **query)
    return caught.value.http_status, caught.value.code


def test_a_mail_without_content_comes_after_two_minutes_and_leads_to_the_thread(story: Story) -> None:
    asked = story.asks("A secret subject", "How long do I take it?")
    bob = story.members["bob"]
    bob.send(bob.thread(asked.id), Message("An answer nobody else may see."))
    assert not _about(asked.id, story.mails_to("alice"))

    # Two minutes pass for whoever sends the mail.
    story.portal.again("worker", "worker", seconds_ahead=121)
    found = within(20, lambda: _about(asked.id, story.mails_to("alice")), f"a mail to Alice; {story.portal.words()}")
    story.portal.again("worker", "worker")
    (mail,) = found
    written = mail.as_string() + mail.get_body().get_content()
    for secret in ("secret subject", "How long", "nobody else may see", "Riverside", "riverside", "Bob", "Ward"):
        assert secret not in written

    link = next(word for word in mail.get_body().get_content().split() if word.startswith("http"))
    browser = PersonAtBrowser()
    browser.go(link)
    page = browser.sign_in_here("alice", PASSWORD)
    browser.close()
    assert (page.status_code, page.url.path) == (200, f"/thread/{asked.id}")


def _about(thread_id: str, mails: list[Any]) -> list[Any]:
    return [mail for mail in mails if thread_id in mail.get_body().get_content()]


def test_a_logout_at_the_provider_ends_open_streams(story: Story) -> None:
    story.realm.add("olga", "pharmacist", story.email("olga"), pharmacy="riverside")
    browser, client = sign_in(story.portal, "olga")
    streams = [Stream(port, client) for port in story.portal.events_ports]
    for stream in streams:
        within(10, lambda stream=stream: stream.heard("ready"), "the stream is ready")
    story.realm.sign_out("olga")
    for stream in streams:
        assert stream.ended.wait(5)
        assert stream.heard("session")
    client.forget_session()
    assert client.session()["state"] == "anonymous"
    client.close()
    browser.close()


def test_cut_lines_and_a_killed_process_lose_and_double_nothing(story: Story) -> None:
    alice, bob = story.members["alice"], story.members["bob"]
    asked = story.asks("Numbers", "0")
    reads = _Reader(story)
    written = ["0"]
    enough = threading.Event()

    def write() -> None:
        # Alice may send 300 messages a minute, and the portal is faster than that.
        while not enough.wait(0.25) and len(written) < 1000:
            written.append(str(len(written)))
            alice.send(asked, Message(written[-1]))

    writing = threading.Thread(target=write)
    writing.start()
    for turn in range(10):
        within(30, lambda: reads.stream.heard("thread"), "something is heard")
        if turn == 4:
            port = story.portal.events_ports[reads.at]
            story.portal.end(f"events-{reads.at}", signal.SIGKILL)
            story.portal.begin(f"events-{reads.at}", "events", "--bind", f"127.0.0.1:{port}")
        reads.go_on_elsewhere()
    enough.set()
    writing.join(60)
    # One for the line that is open now: it need not have heard any of those before.
    written.append(str(len(written)))
    alice.send(asked, Message(written[-1]))
    end = asked.state.seq
    within(10, lambda: end in [one.data["sequence"] for one in reads.stream.heard("thread")], "the last message")
    reads.cut()
    assert len(reads.heard) == len(set(reads.heard))
    assert [line.text for line in bob.read(bob.thread(asked.id))] == written


class _Reader:
    """Bob's browser, whose line is cut again and again: it goes on at the other process from what it last heard."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.at = 0
        self.heard: list[str] = []
        self.stream = Stream(story.portal.events_ports[0], story.client("bob"))
        within(10, lambda: self.stream.heard("ready"), "the stream is ready")

    def cut(self) -> None:
        """The line is cut, or was: note what came over it."""
        self.stream.cut()
        self.heard += [event.id for event in self.stream.heard("thread")]

    def go_on_elsewhere(self) -> None:
        """Take the stream up at the other process."""
        self.cut()
        self.at = 1 - self.at
        last = self.stream.events[-1].id
        self.stream = within(30, lambda: self._open(last), "the stream is taken up again")

    def _open(self, last: str) -> Stream | None:
        try:
            return Stream(self._story.portal.events_ports[self.at], self._story.client("bob"), last)
        except ConnectionError:
            return None


def test_patients_nobody_here_made_see_their_medicines(story: Story) -> None:
    for login in sorted(set(story.patients) - {"alice", "dave"}):
        if story.patients[login].deceased:
            _nobody_joins(story, story.patients[login])
            continue
        patient = story.patient_comes(login)
        panel = story.client(login).get(f"/api/patients/{patient}/context", pharmacy="riverside")
        assert set(panel["sections"].values()) <= {"ok", "not_offered"}, (login, panel["sections"])
        shown = [*panel["medications"]["current"], *panel["medications"]["past"]]
        assert len(shown) == story.patients[login].requests, login
        assert all(one["name"] for one in shown), login


def _nobody_joins(story: Story, deceased: InEhr) -> None:
    said = story.portal.attempt("invite", "--pharmacy", "riverside", "--fhir-id", deceased.fhir_id)
    assert said.returncode != 0
    assert "has died" in said.stdout + said.stderr


def test_the_record_of_all_this_holds_and_every_line_is_valid_fhir(story: Story, tmp_path: Path) -> None:
    since = (story.began - timedelta(minutes=1)).isoformat()
    lines = story.portal.command("audit", "export", "--since", since).splitlines()
    assert len(lines) > 50
    files = []
    for number, line in enumerate(lines):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(line)
    command = [*shlex.split(os.environ["PORTAL_TEST_VALIDATOR"]), *(str(file) for file in files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, "\n".join(line for line in said.stdout.split("\n") if "error" in line.lower())
    assert said.stdout.count("valid   ") == len(files)

    # A worker that begins seals what is there.
    story.portal.again("worker", "worker")
    sealed = Path(story.portal.environment["PORTAL_DATA_DIR"]) / "checkpoints"
    within(20, lambda: list(sealed.glob("*")), f"a checkpoint; {story.portal.words()}")
    verdict = story.portal.attempt("verify-audit")
    assert verdict.returncode == 0, verdict.stdout
