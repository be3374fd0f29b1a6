"""Locking, the end of a session, and a person's list of own sessions. The clock is moved, never waited for."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from browsing import Browser, location
from flask import Flask
from misbehaving import MisbehavingProvider
from sqlalchemy import func, select
from world import World

from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.identity import session_life, session_rows, sessions
from portal.identity.tables import LoginSession

NewBrowser = Callable[[], Browser]
ALMOST = timedelta(seconds=5)


def count(database: Database, action: str) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).where(AuditEvent.action == action)) or 0


@pytest.mark.parametrize(("name", "minutes"), [("alice", 30), ("bob", 15)])
def test_an_idle_session_locks_and_a_fresh_login_unlocks_it(
    new_browser: NewBrowser, database: Database, name: str, minutes: int
) -> None:
    mine = new_browser()
    mine.sign_in(name)
    ref = mine.client.get("/api/sessions").get_json()["items"][0]["ref"]
    clock.shift(timedelta(minutes=minutes) - ALMOST)
    assert mine.client.get("/api/sessions").status_code == 200
    clock.shift(2 * ALMOST)
    refused = mine.client.get("/api/sessions")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "locked")
    assert refused.content_type.startswith("application/problem+json")
    said = mine.session()
    assert said["state"] == "locked"
    assert said["account"]["name"] == name.capitalize()
    assert said["patients"] == []
    assert count(database, "session.locked") == 1
    before = mine.cookie
    redirect = mine.client.get("/unlock?next=/thread?id=7")
    assert "max_age=0" in redirect.headers["Location"]
    assert location(mine.come_back(redirect, name)) == "/thread?id=7"
    assert mine.session()["state"] == "active"
    assert mine.cookie != before
    assert mine.client.get("/api/sessions").get_json()["items"][0]["ref"] == ref
    assert count(database, "session.unlocked") == 1


def test_a_locked_session_answers_only_what_leads_out_of_the_lock(alice: Browser, app: Flask) -> None:
    clock.shift(timedelta(minutes=31))
    assert location(alice.page("/account/sessions?done=one")) == "/unlock?next=%2Faccount%2Fsessions%3Fdone%3Done"
    assert alice.post("/api/session/activity").get_json()["code"] == "locked"
    assert alice.post("/api/sessions/end-others").get_json()["code"] == "locked"
    assert alice.client.get("/events").status_code == 401
    assert alice.client.get("/healthz").status_code == 200
    assert alice.page("/step-up").status_code == 303
    assert alice.client.get("/login").status_code == 303
    assert alice.session()["state"] == "locked"
    assert alice.submit("/logout").status_code == 303
    assert alice.session()["state"] == "anonymous"


def test_a_plain_login_does_not_open_a_lock(alice: Browser, provider: MisbehavingProvider) -> None:
    begun = alice.client.get("/login?next=/messages")
    clock.shift(timedelta(minutes=14))
    alice.post("/api/session/activity")
    clock.shift(timedelta(minutes=31))
    # Begun before the lock; too old by now anyway.
    assert alice.come_back(begun, "alice").status_code == 400
    begun = alice.client.get("/login?next=/messages")
    assert "max_age=0" in begun.headers["Location"]
    provider.faults.claims = {"auth_time": int(clock.now().timestamp()) - 3600}
    assert alice.come_back(begun, "alice").status_code == 401
    assert alice.session()["state"] == "locked"


def test_a_login_begun_just_before_the_lock_does_not_open_it(alice: Browser) -> None:
    clock.shift(timedelta(minutes=29))
    begun = alice.client.get("/login")
    clock.shift(timedelta(minutes=2))
    assert location(alice.come_back(begun, "alice")) == "/unlock"
    assert alice.session()["state"] == "locked"


def test_unlocking_as_somebody_else_signs_the_first_one_out(alice: Browser, world: World) -> None:
    clock.shift(timedelta(minutes=31))
    locked = alice.cookie
    assert locked is not None
    assert location(alice.sign_in("dave", start="/unlock?next=/thread?id=7")) == "/signed-in-as"
    said = alice.page("/signed-in-as").get_data(as_text=True)
    assert "Another person is signed in now" in said
    assert "You are signed in as Dave. " in said
    assert alice.session()["account"]["id"] == world.accounts["dave"]
    assert alice.with_cookie(locked).session()["state"] == "anonymous"


@pytest.mark.parametrize(("name", "hours"), [("alice", 24), ("bob", 12)])
def test_no_activity_carries_a_session_over_its_absolute_end(
    new_browser: NewBrowser, database: Database, name: str, hours: int
) -> None:
    mine = new_browser()
    mine.sign_in(name)
    for _ in range(hours * 6 - 1):
        clock.shift(timedelta(minutes=10))
        assert mine.post("/api/session/activity").status_code == 200
    clock.shift(timedelta(minutes=10))
    assert mine.client.get("/api/sessions").get_json()["code"] == "session-ended"
    assert mine.session()["state"] == "anonymous"
    assert count(database, "session.expired") == 1


def test_only_what_a_person_does_counts_as_activity(alice: Browser) -> None:
    first = alice.session()["lock_at"]
    clock.shift(timedelta(minutes=5))
    # Polling, fetches of scripts, the stream's own request: none of them is a person.
    for path in ("/api/session", "/api/sessions"):
        alice.client.get(path, headers={"Sec-Fetch-Mode": "cors"})
    alice.client.get("/events", headers={"Sec-Fetch-Mode": "cors", "Accept": "text/event-stream"}).close()
    # Nor is a page elsewhere that opens ours.
    for site in ("cross-site", "same-site"):
        opened = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": site, "Accept": "text/html"}
        assert alice.client.get("/account/sessions", headers=opened).status_code == 200
    assert alice.session()["lock_at"] == first
    alice.page("/account/sessions")
    moved = alice.session()["lock_at"]
    assert moved > first
    clock.shift(timedelta(minutes=5))
    assert alice.post("/api/session/activity").get_json()["lock_at"] > moved


def test_activity_is_written_once_a_minute_at_most(alice: Browser, database: Database) -> None:
    def active_at() -> object:
        with database.reading() as session:
            return session.scalars(select(LoginSession.active_at)).one()

    first = active_at()
    clock.shift(timedelta(seconds=59))
    alice.post("/api/session/activity")
    assert active_at() == first
    clock.shift(timedelta(seconds=2))
    alice.post("/api/session/activity")
    assert active_at() != first


def test_sessions_nobody_asks_for_lock_and_end_by_themselves(
    alice: Browser, bob: Browser, database: Database, bus: MemoryBus
) -> None:
    ref = bob.client.get("/api/sessions").get_json()["items"][0]["ref"]
    stream = bus.subscribe(frozenset({f"session:{ref}"}))
    assert sessions.sweep(database, bus) == 0
    clock.shift(timedelta(minutes=16))
    assert sessions.sweep(database, bus) == 1
    event = stream.get(0)
    assert event is not None
    assert event["state"] == "locked"
    assert sessions.sweep(database, bus) == 0
    clock.shift(timedelta(hours=12))
    assert sessions.sweep(database, bus) == 2
    event = stream.get(0)
    assert event is not None
    assert event["state"] == "ended"
    with database.reading() as session:
        assert session_rows.states(session, [ref]) == {ref: session_life.State.ENDED}
    clock.shift(timedelta(days=60))
    sessions.sweep(database, bus)
    with database.reading() as session:
        assert session.scalars(select(LoginSession)).all() == []


def test_alice_sees_her_sessions_and_ends_one(alice: Browser, new_browser: NewBrowser, dave: Browser) -> None:
    phone = new_browser()
    phone.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Safari/605.1.15"
    phone.sign_in("alice")
    items = alice.client.get("/api/sessions").get_json()["items"]
    assert len(items) == 2
    other = next(item for item in items if not item["current"])
    assert other["browser"] == "Safari · iPhone"
    page = alice.page("/account/sessions").get_data(as_text=True)
    assert "Safari · iPhone" in page
    assert phone.cookie is not None
    assert phone.cookie not in page
    assert location(alice.submit("/account/sessions", ref=other["ref"])) == "/account/sessions?done=one"
    assert phone.session()["state"] == "anonymous"
    assert alice.session()["state"] == "active"
    assert dave.session()["state"] == "active"


def test_dave_cannot_end_alices_session_and_is_not_told_that_it_exists(alice: Browser, dave: Browser) -> None:
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    foreign, unknown = dave.post(f"/api/sessions/{ref}/end"), dave.post(f"/api/sessions/{'0' * 32}/end")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.get_data() == unknown.get_data()
    assert dave.submit("/account/sessions", ref=ref).status_code == 404
    assert alice.session()["state"] == "active"


def test_ending_the_others_leaves_this_one(alice: Browser, new_browser: NewBrowser) -> None:
    others = [new_browser() for _ in range(2)]
    for one in others:
        one.sign_in("alice")
    assert alice.post("/api/sessions/end-others").get_json() == {"ended": 2}
    assert [one.session()["state"] for one in others] == ["anonymous", "anonymous"]
    assert alice.session()["state"] == "active"
    page = alice.page("/account/sessions").get_data(as_text=True)
    assert "You are signed in only here." in page


def test_ending_other_sessions_asks_for_a_fresh_login(alice: Browser, new_browser: NewBrowser) -> None:
    phone = new_browser()
    phone.sign_in("alice")
    ref = phone.client.get("/api/sessions").get_json()["items"][0]["ref"]
    clock.shift(timedelta(minutes=6))
    for path in (f"/api/sessions/{ref}/end", f"/api/sessions/{'0' * 32}/end", "/api/sessions/end-others"):
        assert alice.post(path).get_json()["code"] == "step-up"
    for fields in ({"ref": ref}, {}):
        assert location(alice.submit("/account/sessions", **fields)) == "/step-up?next=/account/sessions"
    assert phone.session()["state"] == "active"
    alice.sign_in("alice", start="/step-up?next=/account/sessions")
    assert location(alice.submit("/account/sessions", ref=ref)) == "/account/sessions?done=one"
    assert phone.session()["state"] == "anonymous"


def test_leaving_never_asks_for_a_fresh_login(alice: Browser) -> None:
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    clock.shift(timedelta(minutes=6))
    assert location(alice.submit("/account/sessions", ref=ref)) == "/logged-out"
    assert alice.cookie is None


def test_ending_the_own_session_signs_out(alice: Browser) -> None:
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    assert alice.post(f"/api/sessions/{ref}/end").status_code == 204
    assert alice.cookie is None


def test_strangers_have_no_sessions_to_see(new_browser: NewBrowser) -> None:
    mine = new_browser()
    assert mine.client.get("/api/sessions").status_code == 401
    assert mine.client.get("/account/sessions").status_code == 401
    assert mine.post("/api/session/activity").status_code == 401


@pytest.mark.parametrize("body", [[], {"x": 1}, "text", None])
def test_a_body_of_the_wrong_shape_is_refused(alice: Browser, body: object) -> None:
    sent = alice.post("/api/session/activity", json=body if body is not None else [None])
    assert sent.status_code == 400


@pytest.fixture
def dave(new_browser: NewBrowser) -> Browser:
    made = new_browser()
    assert made.sign_in("dave").status_code == 303
    return made
