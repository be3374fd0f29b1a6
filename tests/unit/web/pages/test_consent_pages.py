"""The page on which Bob lets somebody act for Ann or Alice on a Consent, as he, Judy and Alice see it."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from world import World
from world_web import Browser, portal_app

from portal.care import consenting
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.ehr.consents import Grant, WhyNot
from portal.ehr.model import Patient

BrowserOf = Callable[[str], Browser]
PLACE = "/pharmacies/riverside/carers"
GRANT = Grant("c1", "1", "RelatedPerson/judy", "Judy Hall", "parent", "messages", None, "2026-03-01", WhyNot.NO)
HERS = consenting.key_of(GRANT)
FORM = {
    "record": "alice",
    "chosen": HERS,
    "scope": "refills",
    "how": "code",
    "mail": "",
    "last_day": "",
    "paper": "",
    "dated": "",
    "name": "",
    "kind": "",
}
CODE = re.compile(r'class="code-line"[^>]*>([0-9A-Z-]{19})<')


class Ehr(FakeEhr):
    """An EHR that also finds people."""

    def find_by_name(self, name: str, born: object) -> tuple[Patient, ...]:
        return tuple(one.patient for one in self.contexts.values())


@pytest.fixture
def ehr() -> Ehr:
    young = f"{clock.now().year - 9}-05-01"
    made = {name: context_of(name) for name in ("alice", "ann")}
    made["ann"] = replace(made["ann"], patient=replace(made["ann"].patient, birth_date=young))
    known = Ehr(made)
    known.grants = dict.fromkeys(made, (GRANT, replace(GRANT, consent_id="c2", why_not=WhyNot.NARROWER)))
    return known


@pytest.fixture
def app(settings: Settings, database: Database, ehr: Ehr, world: World) -> Flask:
    return portal_app(settings, database, ehr=ehr)


@pytest.fixture
def bob(browser_of: BrowserOf) -> Browser:
    return browser_of("bob")


@pytest.fixture
def judy(browser_of: BrowserOf) -> Browser:
    return browser_of("judy")


def text(browser: Browser, path: str) -> str:
    return html.unescape(browser.client.get(path).get_data(as_text=True))


def code_from(bob: Browser, **more: str) -> str:
    made = bob.fill(f"{PLACE}/invite", {**FORM, **more})
    assert made.status_code == 200
    found = CODE.search(made.get_data(as_text=True))
    assert found is not None
    return found[1]


def say_yes(judy: Browser, code: str) -> str:
    offer = html.unescape(judy.fill("/carers/accept", {"code": code, "act": "look"}).get_data(as_text=True))
    found = re.search(r'name="invitation" value="([0-9a-f]{32})"', offer)
    assert found is not None
    said = judy.fill("/carers/accept", {"code": code, "invitation": found[1], "act": "accept"})
    assert said.headers["Location"] == "/carers?done=accepted"
    return offer


def test_bob_reads_the_consents_invites_judy_and_alice_ends_it_with_one_tap(
    bob: Browser, judy: Browser, browser_of: BrowserOf, world: World
) -> None:
    shown = text(bob, f"{PLACE}?patient={world.patients['alice']}")
    for said in ("Alice Ward", "Judy Hall", "Consent in the health record of March 1, 2026", "it has limits"):
        assert said in shown
    code = code_from(bob)
    offer = say_yes(judy, code)
    assert "Riverside Pharmacy asks you to help someone" in offer
    assert "It is for Alice." in offer
    assert "May act now" in text(bob, f"{PLACE}?patient={world.patients['alice']}")
    alice = browser_of("alice")
    page = text(alice, "/carers")
    assert "Riverside Pharmacy let them in, on a consent that it holds." in page
    relation = re.search(r'name="relation" value="([0-9a-f]{32})"><p><button', page)
    assert relation is not None
    assert alice.fill("/carers/change", {"relation": relation[1], "act": "end"}).status_code == 303
    assert {one["patient"] for one in judy.state()["patients"]} == {world.patients["rosa"]}


def test_for_a_child_without_an_account_nobody_is_named_and_bob_ends_it(
    bob: Browser, judy: Browser, world: World
) -> None:
    found = bob.fill(f"{PLACE}/look", {"record": "ann"}).get_data(as_text=True)
    assert "This person has no account here." in found
    offer = say_yes(judy, code_from(bob, record="ann", scope="messages"))
    assert "It is for someone without an account here" in offer
    assert "Ann" not in offer
    assert "when the child comes of age" in offer
    page = text(bob, f"{PLACE}?patient={world.patients['ann']}")
    consent = re.search(r'name="consent" value="([0-9a-f]{32})"', page)
    assert consent is not None
    ended = bob.fill(f"{PLACE}/end", {"consent": consent[1], "record": "ann"})
    assert (ended.status_code, "It has ended." in text(bob, ended.headers["Location"])) == (303, True)
    assert bob.fill(f"{PLACE}/end", {"consent": consent[1], "record": "ann"}).status_code == 404
    assert len(judy.state()["patients"]) == 1


def test_for_who_is_not_in_care_it_leads_back_to_the_invitations(bob: Browser, ehr: Ehr) -> None:
    ehr.contexts["nora"] = ehr.contexts["ann"]
    ehr.grants = {"nora": (GRANT,)}
    code_from(bob, record="nora")
    page = bob.fill(f"{PLACE}/look", {"record": "nora"}).get_data(as_text=True)
    consent = re.search(r'name="consent" value="([0-9a-f]{32})"', page)
    assert consent is not None
    ended = bob.fill(f"{PLACE}/end", {"consent": consent[1], "record": "nora"})
    assert ended.headers["Location"] == "/pharmacies/riverside/invitations?done=carer-ended"
    assert "What this person could do has ended." in text(bob, ended.headers["Location"])


def test_the_page_says_what_the_record_no_longer_says_and_a_search_anew_ends_it(
    bob: Browser, judy: Browser, ehr: Ehr, world: World
) -> None:
    say_yes(judy, code_from(bob))
    ehr.grants = {}
    page = text(bob, f"{PLACE}?patient={world.patients['alice']}")
    assert "May act now" in page
    assert "The health record does not say so any more." in page
    assert len(judy.state()["patients"]) == 2
    assert "May act now" not in bob.fill(f"{PLACE}/look", {"record": "alice"}).get_data(as_text=True)
    assert len(judy.state()["patients"]) == 1


def test_what_is_missing_comes_back_with_what_was_typed(bob: Browser) -> None:
    paper = {"chosen": "paper", "name": "Judy Hall", "paper": "guardianship", "kind": "guardian", "dated": "2020-01-31"}
    for more, says in (
        ({"chosen": ""}, "Say what it rests on"),
        ({"chosen": "c9 x"}, "This consent cannot be used now"),
        ({**paper, "paper": ""}, "Say which paper you have seen"),
        (paper, "for a paper, within a year"),
        ({**paper, "dated": "2020-02-31"}, "Enter the day on the paper"),
        ({"scope": ""}, "Choose what they may do"),
        ({"how": "mail", "mail": "judy"}, "Enter an e-mail address"),
    ):
        refused = bob.fill(f"{PLACE}/invite", {**FORM, **more})
        page = html.unescape(refused.get_data(as_text=True))
        assert refused.status_code in (400, 422), more
        assert says in page, more
        assert ('value="Judy Hall"' in page) == ("name" in more)
    mailed = bob.fill(f"{PLACE}/invite", {**FORM, "how": "mail", "mail": "judy@example.org"})
    assert "The e-mail is on its way." in mailed.get_data(as_text=True)


def test_an_ehr_that_is_down_or_keeps_no_consents_is_said(bob: Browser, ehr: Ehr, world: World) -> None:
    ehr.grants = None
    assert "keeps no consents" in text(bob, f"{PLACE}?patient={world.patients['alice']}")
    ehr.down = True
    page = text(bob, f"{PLACE}?patient={world.patients['alice']}")
    assert "The health record does not answer now" in page
    assert 'name="chosen"' not in page
    assert bob.fill(f"{PLACE}/invite", FORM).status_code == 503


def test_a_login_that_is_too_old_keeps_what_was_typed(app: Flask, world: World) -> None:
    bob = Browser(app, world, "bob", auth_time=clock.now() - timedelta(minutes=10))
    page = bob.fill(f"{PLACE}/invite", {**FORM, "name": "Judy Hall"})
    assert page.status_code == 422
    assert "Sign in once more" in page.get_data(as_text=True)
    assert 'value="Judy Hall"' in page.get_data(as_text=True)


def test_the_way_there_is_for_pharmacists(bob: Browser, browser_of: BrowserOf) -> None:
    asked = {"name": "Ward", "born": "1974-03-12", "phone": ""}
    path = "/pharmacies/riverside/invitations/find"
    assert f'action="{PLACE}/look"' in bob.fill(path, asked).get_data(as_text=True)
    assert f'action="{PLACE}/look"' not in browser_of("frank").fill(path, asked).get_data(as_text=True)
