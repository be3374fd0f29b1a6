"""The pages on which Alice says who helps her, as Alice, Judy and others see them."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from world import NOBODY, World, build
from world_web import Browser, portal_app

from portal.accounts import relations
from portal.accounts.roles import Kind
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings

FORM = {"name": "Judy", "kind": "carer", "scope": "refills", "how": "code", "mail": "", "last_day": ""}
CODE = re.compile(r'class="code-line"[^>]*>([0-9A-Z-]{19})<')
ID = r'name="{}" value="([0-9a-f]{{32}})"'


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def app(settings: Settings, database: Database, world: World) -> Flask:
    return portal_app(settings, database)


@pytest.fixture
def alice(app: Flask, world: World) -> Browser:
    return Browser(app, world, "alice")


@pytest.fixture
def judy(app: Flask, world: World) -> Browser:
    return Browser(app, world, "judy")


def text(browser: Browser, path: str) -> str:
    return browser.client.get(path).get_data(as_text=True)


def code_from(alice: Browser, **more: str) -> str:
    made = alice.fill("/carers/invite", {**FORM, **more})
    assert made.status_code == 200
    found = CODE.search(made.get_data(as_text=True))
    assert found is not None
    return found.group(1)


def found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    assert match is not None
    return match.group(1)


def test_alice_invites_judy_looks_first_and_says_yes_and_alice_ends_it(alice: Browser, judy: Browser) -> None:
    assert "Nobody acts for you." in text(alice, "/carers")
    code = code_from(alice)
    assert code not in text(alice, "/carers")
    offer = judy.fill("/carers/accept", {"code": code, "act": "look"}).get_data(as_text=True)
    assert "Alice asks you to help" in offer
    assert "Messages stay closed to you." in offer
    said = {"code": code, "invitation": found(ID.format("invitation"), offer), "act": "accept"}
    assert judy.fill("/carers/accept", said).headers["Location"] == "/carers?done=accepted"
    page = text(alice, "/carers")
    assert "Judy" in page
    relation = found(ID.format("relation"), page)
    changed = alice.fill("/carers/change", {"relation": relation, "kind": "carer", "scope": "messages", "act": "save"})
    assert changed.headers["Location"] == "/carers?done=changed"
    scopes = {one["scope"] for one in judy.state()["patients"]}
    assert scopes == {"all", "messages"}
    assert alice.fill("/carers/change", {"relation": relation, "act": "end"}).status_code == 303
    assert "Nobody acts for you." in text(alice, "/carers")
    assert len(judy.state()["patients"]) == 1


def test_what_is_wrong_comes_back_with_what_was_typed(alice: Browser) -> None:
    wrong = alice.fill("/carers/invite", {"name": "Judy Hall", "how": "mail", "mail": "judy"})
    page = wrong.get_data(as_text=True)
    assert wrong.status_code == 400
    assert "Enter an e-mail address" in page
    assert 'value="Judy Hall"' in page


def test_a_login_that_is_too_old_keeps_what_was_typed(app: Flask, world: World) -> None:
    alice = Browser(app, world, "alice", auth_time=clock.now() - timedelta(minutes=10))
    page = alice.fill("/carers/invite", {**FORM, "name": "Judy Hall"})
    assert page.status_code == 422
    assert "Sign in once more" in page.get_data(as_text=True)
    assert 'value="Judy Hall"' in page.get_data(as_text=True)


def test_a_parent_is_not_invited_while_the_birth_date_cannot_be_read(alice: Browser) -> None:
    page = alice.fill("/carers/invite", {**FORM, "kind": "parent"})
    assert page.status_code == 422
    assert "We cannot read the birth date now" in page.get_data(as_text=True)


def test_codes_that_lead_nowhere_get_one_answer(alice: Browser, judy: Browser) -> None:
    used = code_from(alice)
    offer = judy.fill("/carers/accept", {"code": used, "act": "look"}).get_data(as_text=True)
    said = {"code": used, "invitation": found(ID.format("invitation"), offer)}
    judy.fill("/carers/accept", {**said, "act": "decline"})
    pages = set()
    for code in (used, "ABCD-EFGH-JKMN-PQRS"):
        refused = judy.fill("/carers/accept", {"code": code, "act": "look"})
        assert refused.status_code == 422
        pages.add(re.sub(r'name="csrf_token" value="[^"]*"', "", refused.get_data(as_text=True)))
    assert len(pages) == 1


def test_a_code_that_leads_to_ones_own_record_is_no_refusal_on_it(app: Flask, world: World, alice: Browser) -> None:
    code = code_from(alice)
    with world.database.transaction() as session:
        relations.bind(
            session,
            agent=NOBODY,
            account_id=world.accounts["dave"],
            patient_id=world.patients["alice"],
            kind=Kind.SELF,
        )
    dave = Browser(app, world, "dave")
    offer = dave.fill("/carers/accept", {"code": code, "act": "look"}).get_data(as_text=True)
    said = {"code": code, "invitation": found(ID.format("invitation"), offer), "act": "accept"}
    refused = dave.fill("/carers/accept", said)
    assert refused.status_code == 409
    assert "already your own" in refused.get_data(as_text=True)
    assert dave.fill("/carers/accept", {"code": "ABCD-EFGH-JKMN-PQRS", "act": "look"}).status_code == 422
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent.reason).where(AuditEvent.action == "carer.refused"))
        assert list(rows) == ["carer-code"]


def test_a_carer_of_part_sees_no_more_than_that(alice: Browser, judy: Browser, world: World) -> None:
    said_of = {"orders": "Medicines and messages are not open to you.", "refills": "Messages are not open to you."}
    for scope, words in said_of.items():
        code = code_from(alice, scope=scope)
        offer = judy.fill("/carers/accept", {"code": code, "act": "look"}).get_data(as_text=True)
        said = {"code": code, "invitation": found(ID.format("invitation"), offer), "act": "accept"}
        judy.fill("/carers/accept", said)
        patient = world.patients["alice"]
        assert judy.get("/api/audit", patient=patient).status_code == 404
        assert judy.client.get(f"/record?for={patient}").status_code == 404
        assert judy.get("/api/threads", patient=patient).get_json()["items"] == []
        home = text(judy, f"/home?for={patient}")
        assert "Ask a question" not in home
        assert words in home


def test_a_parent_reads_when_it_ends_and_once_it_has_ended_why(judy: Browser, world: World) -> None:
    birthday = clock.now() + timedelta(days=10)
    with world.database.transaction() as session:
        relation = relations.bind(
            session,
            agent=NOBODY,
            account_id=world.accounts["judy"],
            patient_id=world.patients["ann"],
            kind=Kind.PARENT,
            until=birthday,
        )
        relation.by_age = True
    assert "the birthday on which the child comes of age" in text(judy, "/carers")
    clock.shift(timedelta(days=11))
    page = text(Browser(judy.client.application, world, "judy"), "/carers")
    assert "when the child came of age" in page
    assert world.patients["ann"] not in page
    clock.shift(timedelta(days=31))
    assert "came of age" not in text(Browser(judy.client.application, world, "judy"), "/carers")


def test_judy_stops_helping(judy: Browser, world: World) -> None:
    gone = judy.fill("/carers/give-up", {"patient": world.patients["rosa"]})
    assert gone.headers["Location"] == "/carers?done=given-up"
    assert judy.state()["patients"] == []


def test_a_new_code_is_shown_once_and_the_old_one_is_over(alice: Browser, judy: Browser) -> None:
    old = code_from(alice)
    invitation = found(ID.format("invitation"), text(alice, "/carers"))
    card = alice.fill("/carers/invitations", {"invitation": invitation, "name": "Judy", "act": "again"})
    new = found(CODE.pattern, card.get_data(as_text=True))
    assert judy.fill("/carers/accept", {"code": old, "act": "look"}).status_code == 422
    assert judy.fill("/carers/accept", {"code": new, "act": "look"}).status_code == 200
    assert alice.fill("/carers/invitations", {"invitation": invitation, "act": "revoke"}).status_code == 303
    assert judy.fill("/carers/accept", {"code": new, "act": "look"}).status_code == 422
