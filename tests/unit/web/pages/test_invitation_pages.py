"""The pages "Invite patients": Bob finds Nora, prints her a card in Spanish, makes a new one and takes it back."""

import html
import re
from collections.abc import Callable

import pytest
from ehr_fakes import NORA, PeopleOfEhr
from flask import Flask
from sqlalchemy import select
from world import World
from world_web import Browser, portal_app

from portal.accounts.tables import Relation
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.ehr.model import Patient

BrowserOf = Callable[[str], Browser]
PLACE = "/pharmacies/riverside/invitations"
ASKED = {"name": "Nora", "born": "1974-03-09", "phone": ""}


@pytest.fixture
def ehr() -> PeopleOfEhr:
    return PeopleOfEhr()


@pytest.fixture
def app(settings: Settings, database: Database, ehr: PeopleOfEhr, world: World) -> Flask:
    return portal_app(settings, database, ehr=ehr)


@pytest.fixture
def bob(browser_of: BrowserOf) -> Browser:
    return browser_of("bob")


def page(browser: Browser, path: str = PLACE, **query: str) -> str:
    answer = browser.get(path, **query)
    assert answer.status_code == 200
    return html.unescape(answer.get_data(as_text=True))


def printed(bob: Browser, how: str = "card") -> str:
    answer = bob.fill(PLACE, {"patient": "nora", "language": "es", "how": how})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return html.unescape(answer.get_data(as_text=True))


def code_in(text: str) -> str:
    found = re.search(r'class="handout__letters"[^>]*>([0-9A-Z-]{19})<', text)
    assert found is not None
    return found[1]


def test_bob_finds_nora_and_prints_a_card_in_her_language(bob: Browser) -> None:
    found = bob.fill(f"{PLACE}/find", ASKED).get_data(as_text=True)
    for said in ("1 person found", "Nora Hall", "March 9, 1974", "MR 100", "Print a card"):
        assert said in found
    card = printed(bob)
    assert 'lang="es"' in card
    for said in (
        "Escriba a su farmacia",
        "Para Nora Hall",
        "+1 555 0100",
        "Toque «Iniciar sesión y seguir».",
        "Sirve una sola vez",
        "This code is shown once",
    ):
        assert said in card
    # The birth date is the other half of the secret.
    assert "1974" not in card
    assert "Querid" not in card
    assert "Ahora puede hacer preguntas" in printed(bob, "letter")
    shown = printed(bob, "shown")
    assert '<svg class="qr"' not in shown
    code = code_in(shown)
    listed = page(bob)
    assert code not in listed
    for said in ("Nora Hall", "MR 100", "Waiting", "New code made", "Made by Bob"):
        assert said in listed


def test_codes_are_asked_for_so_often_an_hour(bob: Browser) -> None:
    views = bob.client.application.view_functions
    for name in ("invite", "change"):
        assert views[f"invitations.{name}"].limit == views["invitations.find"].limit  # type: ignore[attr-defined]


def test_a_new_code_and_taking_back(bob: Browser) -> None:
    first = code_in(printed(bob))
    invitation = re.search(r'name="invitation" value="([0-9a-f]{32})"', page(bob))
    assert invitation is not None
    again = bob.fill(f"{PLACE}/change", {"invitation": invitation[1], "act": "again", "how": "card"})
    assert code_in(again.get_data(as_text=True)) != first
    newest = re.search(r'name="invitation" value="([0-9a-f]{32})"', page(bob, state="open"))
    assert newest is not None
    answer = bob.fill(f"{PLACE}/change", {"invitation": newest[1], "act": "revoke"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PLACE}?done=revoked")
    assert "no longer works" in page(bob, done="revoked")
    assert "No invitation here yet" in page(bob, state="open")
    twice = bob.fill(f"{PLACE}/change", {"invitation": newest[1], "act": "revoke"})
    assert twice.status_code == 409
    assert "was taken back" in twice.get_data(as_text=True)
    assert bob.get(PLACE, state="odd").status_code == 404


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"name": "", "born": ""}, "Type the name, or only a phone number"),
        ({"name": "Nora", "born": ""}, "Give the birth date too"),
        ({"name": "Nora", "born": "1700-01-01"}, "Give the birth date too"),
    ],
)
def test_what_is_missing_comes_back_with_what_was_typed(bob: Browser, asked: dict[str, str], says: str) -> None:
    answer = bob.fill(f"{PLACE}/find", {**ASKED, **asked})
    assert answer.status_code == 422
    assert says in answer.get_data(as_text=True)


def test_who_has_died_is_said_and_gets_no_button(bob: Browser, ehr: PeopleOfEhr) -> None:
    ehr.people = [
        NORA,
        Patient("old", "Nora Hall", "Hall", "Nora", "1974-03-09", "female", (), True, True),
        Patient("alice", "Nora Ward", "Ward", "Nora", "1974-03-09", "female", (), True, False),
    ]
    found = bob.fill(f"{PLACE}/find", ASKED).get_data(as_text=True)
    for said in ("Has died.", "easily taken for each other", "Is here already, with an account"):
        assert said in found
    assert found.count('value="card"') == 1
    ehr.people = []
    assert "Nobody found" in bob.fill(f"{PLACE}/find", ASKED).get_data(as_text=True)
    ehr.people = [NORA] * 11
    assert "Too many people fit" in bob.fill(f"{PLACE}/find", ASKED).get_data(as_text=True)


def test_an_ehr_that_is_down_leaves_the_list_and_says_so(bob: Browser, ehr: PeopleOfEhr) -> None:
    printed(bob)
    ehr.down = True
    assert "Name not known now" in page(bob)
    assert bob.fill(f"{PLACE}/find", ASKED).status_code == 503
    assert bob.fill(PLACE, {"patient": "nora", "language": "es", "how": "card"}).status_code == 503
    assert bob.fill(PLACE, {"patient": "nora", "language": "es", "how": "fax"}).status_code == 400


def test_staff_come_to_their_own_invitations(bob: Browser, browser_of: BrowserOf) -> None:
    assert bob.get("/invitations").headers["Location"] == PLACE
    assert browser_of("heidi").get("/invitations").status_code == 303
    assert browser_of("heidi").get(PLACE).status_code == 403


@pytest.mark.parametrize("down", [False, True])
def test_whose_account_is_shown_is_on_record_also_while_the_ehr_is_silent(
    bob: Browser, ehr: PeopleOfEhr, world: World, down: bool
) -> None:
    ehr.down = down
    assert "Account of Alice" in page(bob, "/pharmacies/riverside/wrong-person", patient=world.patients["alice"])
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.looked-up"))
    assert (row.account_id, row.patient_id) == (world.accounts["bob"], world.patients["alice"])


def test_two_accounts_at_one_record_have_a_form_each_and_no_id_twice(bob: Browser, world: World) -> None:
    """Erring staff joined a second person: each reason is picked by a label of its own."""
    with world.database.transaction() as session:
        patient = world.patients["alice"]
        dave = world.accounts["dave"]
        session.add(Relation(id="2" * 32, account_id=dave, patient_id=patient, kind="self", starts_at=clock.now()))
    shown = page(bob, "/pharmacies/riverside/wrong-person", patient=patient)
    ids = re.findall(r' id="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    assert shown.count("Separate the account of") == 2


def test_the_wrong_person_is_parted_on_the_page(bob: Browser, browser_of: BrowserOf, world: World) -> None:
    alice = browser_of("alice")
    assert alice.get("/home").status_code == 200
    place, patient = "/pharmacies/riverside/wrong-person", world.patients["alice"]
    shown = page(bob, place, patient=patient)
    for said in ("Account of Alice", "This works at once", "Somebody else used the code"):
        assert said in shown
    sent = {"patient": patient, "account": world.accounts["alice"]}
    unsaid = bob.fill(place, {**sent, "why": ""})
    assert unsaid.status_code == 422
    assert "Say why" in unsaid.get_data(as_text=True)
    done = bob.fill(place, {**sent, "why": "somebody-else"})
    assert (done.status_code, done.headers["Location"]) == (303, f"{PLACE}?done=parted")
    assert "It sees nothing any more." in page(bob, done="parted")
    assert alice.get("/home").status_code == 401
    assert "No account is joined" in page(bob, place, patient=patient)
    assert browser_of("carol").get(place, patient=patient).status_code == 404
