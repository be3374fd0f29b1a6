"""The page "Something is wrong": one press, for whoever is signed in, also behind the lock."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from world import NOBODY, RIVERSIDE, World, build
from world_web import ORIGIN, Browser, portal_app

from portal.accounts import stops
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.pharmacies import profiles

PAGE = "/something-wrong"


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    return portal_app(settings, database)


def stopped(world: World, name: str = "alice") -> bool:
    with world.database.reading() as session:
        return stops.standing(session, world.accounts[name]) is not None


def test_one_press_signs_out_everywhere_and_says_how_it_ends(app: Flask, world: World) -> None:
    here, there = Browser(app, world, "alice"), Browser(app, world, "alice")
    text = here.get(PAGE).get_data(as_text=True)
    assert "Stop everything now" in text
    assert "+1 555 0100" in text
    assert "hhs.gov/hipaa/filing-a-complaint" in text
    answer = here.fill(PAGE, {})
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?done=1")
    assert stopped(world)
    assert there.get("/api/sessions").status_code == 401
    done = here.get(PAGE, done=1).get_data(as_text=True)
    assert "Everything is stopped" in done
    assert "How this ends" in done


def test_it_works_behind_the_lock(app: Flask, world: World) -> None:
    alice = Browser(app, world, "alice")
    alice.csrf  # noqa: B018  asked for before the lock
    with clock.at(clock.now() + timedelta(minutes=31)):
        assert alice.get("/api/sessions").status_code == 401
        text = alice.get(PAGE).get_data(as_text=True)
        assert "You need not unlock it for this." in text
        assert alice.fill(PAGE, {}).status_code == 303
        assert stopped(world)


def test_without_a_session_or_its_token_nobody_is_stopped(app: Flask, world: World) -> None:
    alice = Browser(app, world, "alice")
    forged = alice.client.post(PAGE, data={"csrf_token": "x"}, headers={"Origin": ORIGIN, "Accept": "text/html"})
    elsewhere = alice.client.post(PAGE, data={"csrf_token": alice.csrf}, headers={"Origin": "https://evil.test"})
    assert (forged.status_code, elsewhere.status_code) == (403, 403)
    stranger = app.test_client()
    assert "Sign in to stop everything" in stranger.get(PAGE).get_data(as_text=True)
    assert stranger.post(PAGE, data={}, headers={"Origin": ORIGIN}).status_code in (401, 403)
    assert not stopped(world)


def test_the_undo_asks_for_a_fresh_login_and_names_the_hour(app: Flask, world: World) -> None:
    Browser(app, world, "alice").fill(PAGE, {})
    old = Browser(app, world, "alice", auth_time=clock.now() - timedelta(minutes=6))
    assert old.fill(f"{PAGE}/undo", {}).location == f"/step-up?next={PAGE}"
    fresh = Browser(app, world, "alice")
    assert "End this in 24 hours" in fresh.get(PAGE).get_data(as_text=True)
    assert fresh.get("/api/keys/me").get_json()["stopped"]["ends_at"] is None
    assert fresh.fill(f"{PAGE}/undo", {}).location == PAGE
    assert "This ends on" in fresh.get(PAGE).get_data(as_text=True)
    assert fresh.get("/api/keys/me").get_json()["stopped"]["ends_at"] is not None


def test_staff_end_it_on_their_page(app: Flask, world: World) -> None:
    Browser(app, world, "alice").fill(PAGE, {})
    bob = Browser(app, world, "bob")
    assert "Alice" in bob.get("/stops").get_data(as_text=True)
    assert bob.fill("/stops", {"account": world.accounts["alice"], "check": "guess"}).status_code == 400
    old = Browser(app, world, "bob", auth_time=clock.now() - timedelta(minutes=6))
    given = {"account": world.accounts["alice"], "check": "call-back"}
    assert old.fill("/stops", given).location == "/step-up?next=/stops"
    assert bob.fill("/stops", given).location == "/stops?ended=1"
    assert not stopped(world)
    assert "Nobody is stopped now" in bob.get("/stops").get_data(as_text=True)


def test_the_pharmacy_says_itself_where_to_complain(app: Flask, world: World) -> None:
    board = replace(RIVERSIDE, licence={"complaints": "State Board of Pharmacy, 1 Main Street"})
    with world.database.transaction() as session:
        profiles.change(session, agent=NOBODY, profile=board)
    text = Browser(app, world, "bob").get(PAGE).get_data(as_text=True)
    assert "State Board of Pharmacy, 1 Main Street" in text
    assert "hhs.gov" not in text
