"""The link of a notice: Judy says no to old messages for new keys, without signing in."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from world import World, build
from world_keys import Keys
from world_web import ORIGIN, Browser, portal_app

from portal.accounts import notices
from portal.accounts.tables import Account
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity import sessions
from portal.pharmacies import identity_checks
from portal.pharmacies.identity_checks import How, State
from portal.pharmacies.tables import IdentityCheck


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("rosa", "bob")
    made.team("riverside_pharmacists", "bob", "bob")
    made.start_again("rosa")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    return portal_app(settings, database)


def link(keys: Keys) -> str:
    """Bob begins to wait; the link in the mails."""
    rosa = keys.world.accounts["rosa"]
    with keys.world.database.transaction() as session:
        identity_checks.make(session, actor=keys.actor("bob"), account_id=rosa, how=How.WAITED)
        return f"/objection/{session.scalar(select(IdentityCheck.objection))}"


def state(world: World) -> State:
    with world.database.reading() as session:
        found = identity_checks.of(session, actor=world.actor("bob"), account_id=world.accounts["rosa"])
    assert found is not None
    return found.state


def token(text: str) -> str:
    return text.rsplit('name="csrf_token" value="', 1)[1].split('"')[0]


def test_opening_the_link_changes_nothing_and_its_button_says_no(app: Flask, keys: Keys, world: World) -> None:
    path, stranger = link(keys), app.test_client()
    page = stranger.get(path).get_data(as_text=True)
    assert "Somebody wants to open old messages" in page
    assert "Rosa" not in page
    assert state(world) is State.WAITING
    forged = stranger.post(path, data={"csrf_token": "x"}, headers={"Origin": ORIGIN, "Accept": "text/html"})
    assert forged.status_code == 403
    form = page[page.index("<main") :]
    said = stranger.post(path, data={"csrf_token": token(form)}, headers={"Origin": ORIGIN, "Accept": "text/html"})
    assert (said.status_code, said.location) == (303, path)
    assert state(world) is State.OBJECTED
    assert "You said no" in stranger.get(path).get_data(as_text=True)


def test_after_the_day_it_is_late(app: Flask, keys: Keys, world: World) -> None:
    path, judy = link(keys), Browser(app, world, "judy")
    judy.csrf  # noqa: B018  asked for before the session ends
    with clock.at(clock.now() + timedelta(hours=24, minutes=1)):
        client = app.test_client()
        assert "This was decided already" in client.get(path).get_data(as_text=True)
    assert state(world) is State.WAITING


def test_the_daughter_finds_it_on_her_first_page(app: Flask, keys: Keys, world: World) -> None:
    path = link(keys)
    assert path in Browser(app, world, "judy").get("/home").get_data(as_text=True)
    assert path not in Browser(app, world, "dave").get("/home").get_data(as_text=True)


def test_the_pharmacist_asks_how_far_it_is(app: Flask, keys: Keys, world: World) -> None:
    bob, rosa = Browser(app, world, "bob"), world.accounts["rosa"]
    with world.database.transaction() as session:
        sessions.bind_device(session, bob.session_ref, keys.people["bob"].device.dev)
    assert bob.get(f"/api/identity-checks/{rosa}").get_json() == {"state": "open", "how": None, "until": None}
    assert bob.post(f"/api/identity-checks/{rosa}", {"how": "by feeling"}).status_code == 400
    waiting = bob.post(f"/api/identity-checks/{rosa}", {"how": "waited"})
    assert (waiting.status_code, waiting.get_json()["state"]) == (201, "waiting")
    seen = bob.post(f"/api/identity-checks/{rosa}", {"how": "in-person"}).get_json()
    assert seen == {"state": "passed", "how": "in-person", "until": None}


def test_whose_address_changed_is_told_at_the_old_one_for_a_month(world: World) -> None:
    with world.database.transaction() as session:
        rosa = session.get_one(Account, world.accounts["rosa"])
        rosa.earlier_email, rosa.email_changed_at = "before@example.org", clock.now()
        assert notices.address(rosa, earlier=True) == "before@example.org"
        assert notices.address(rosa, earlier=False) == "rosa@example.org"
        with clock.at(clock.now() + timedelta(days=31)):
            assert notices.address(rosa, earlier=True) is None
        rosa.disabled_at = clock.now()
        assert notices.address(rosa, earlier=True) is None
