"""The page "Ask to be found", and the pages on which Bob answers."""

import html
import re
from collections.abc import Callable

import pytest
from ehr_fakes import PeopleOfEhr
from flask import Flask
from world import World, add_account
from world_keys import Keys
from world_web import Browser, portal_app

from portal.accounts.roles import Role
from portal.core.database import Database
from portal.core.settings import Settings

BrowserOf = Callable[[str], Browser]
PLACE = "/pharmacies/riverside/requests"
TYPED = {
    "pharmacy": "riverside",
    "name": "Nora Hall",
    "day": "9",
    "month": "3",
    "year": "1974",
    "prescription": "rx-77",
    "phone": "",
}


@pytest.fixture
def ehr() -> PeopleOfEhr:
    return PeopleOfEhr()


@pytest.fixture
def app(settings: Settings, database: Database, ehr: PeopleOfEhr, world: World) -> Flask:
    keys = Keys(world)
    keys.enrol("bob")
    keys.team("riverside_pharmacists", "bob", "bob")
    with database.transaction() as session:
        world.accounts["nora"] = add_account(session, "nora", Role.PATIENT)
    return portal_app(settings, database, ehr=ehr)


@pytest.fixture
def nora(browser_of: BrowserOf) -> Browser:
    return browser_of("nora")


@pytest.fixture
def bob(browser_of: BrowserOf) -> Browser:
    return browser_of("bob")


def page(browser: Browser, path: str, **query: str) -> str:
    answer = browser.get(path, **query)
    assert answer.status_code == 200
    return html.unescape(answer.get_data(as_text=True))


def asked(nora: Browser, bob: Browser) -> str:
    """Where Bob answers Nora's request."""
    assert nora.fill("/match", TYPED).status_code == 303
    found = re.search(rf'href="({PLACE}/[0-9a-f]{{32}})"', page(bob, PLACE))
    assert found is not None
    return found[1]


def test_nora_asks_bob_compares_and_she_is_in(nora: Browser, bob: Browser) -> None:
    assert 'href="/match"' in page(nora, "/invitation")
    place = asked(nora, bob)
    shown = page(nora, "/match", done="asked")
    assert shown.count("The pharmacy will look and tell you") == 2
    assert "Nora Hall" not in shown
    case = page(bob, place)
    for said in ("Prescription number rx-77", "MR 100", "The same", "Yes, this is Nora Hall, MR 100"):
        assert said in case
    done = bob.fill(place, {"act": "confirm", "patient": "nora"})
    assert (done.status_code, done.headers["Location"]) == (303, f"{PLACE}?done=confirmed")
    assert "joined to the record" in page(bob, PLACE, done="confirmed")
    assert "You are in." in page(nora, "/match")
    assert len(nora.state()["patients"]) == 1
    again = bob.get(place)
    assert again.status_code == 409
    assert "not open any more" in again.get_data(as_text=True)


def test_the_answer_is_the_same_whoever_is_known(nora: Browser, bob: Browser, ehr: PeopleOfEhr) -> None:
    known = nora.fill("/match", TYPED).headers["Location"]
    first = page(nora, "/match", done="asked")
    ehr.people = []
    unknown = nora.fill("/match", TYPED).headers["Location"]
    second = page(nora, "/match", done="asked")
    assert known == unknown
    assert first.count("The pharmacy will look and tell you") == second.count("The pharmacy will look and tell you")


def test_a_no_is_one_sentence_for_every_reason(nora: Browser, bob: Browser) -> None:
    place = asked(nora, bob)
    assert bob.fill(place, {"act": "decline", "reason": "odd"}).status_code == 400
    done = bob.fill(place, {"act": "decline", "reason": "differs"})
    assert done.headers["Location"] == f"{PLACE}?done=declined"
    said = page(nora, "/match")
    assert "could not be sure who you are" in said
    assert "agree" not in said


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": ""}, "Type your name"),
        ({"year": "74"}, "Type your birth date"),
        ({"month": "13"}, "Type your birth date"),
        ({"month": "mart"}, "Type your birth date"),
        ({"prescription": ""}, "Type a prescription number, or your phone number"),
        ({"pharmacy": "nowhere"}, "Pick your pharmacy"),
    ],
)
def test_what_is_wrong_comes_back_with_what_was_typed(nora: Browser, wrong: dict[str, str], says: str) -> None:
    answer = nora.fill("/match", {**TYPED, **wrong})
    assert answer.status_code in (400, 422)
    text = answer.get_data(as_text=True)
    assert says in text
    assert 'value="9"' in text


def test_taking_it_back_and_asking_too_often(nora: Browser, bob: Browser) -> None:
    asked(nora, bob)
    request = re.search(r'name="request" value="([0-9a-f]{32})"', page(nora, "/match"))
    assert request is not None
    assert nora.fill("/match/withdraw", {"request": request[1]}).headers["Location"] == "/match?done=withdrawn"
    assert nora.fill("/match/withdraw", {"request": request[1]}).status_code == 409
    assert "Nobody waits" in page(bob, PLACE)
    for _ in range(2):
        nora.fill("/match", TYPED)
    assert nora.fill("/match", TYPED).status_code == 429


def test_an_ehr_that_is_down_leaves_the_list(nora: Browser, bob: Browser, ehr: PeopleOfEhr) -> None:
    place = asked(nora, bob)
    ehr.down = True
    answer = bob.get(place)
    assert answer.status_code == 503
    assert "Nora Hall" in answer.get_data(as_text=True)


def test_nora_sees_the_time_of_the_pharmacy_as_long_as_she_is_joined_to_none(nora: Browser) -> None:
    assert nora.fill("/match", TYPED).status_code == 303
    assert re.search(r"Asked [A-Z][a-z]{2}, .* C[SD]T<", page(nora, "/match"))
