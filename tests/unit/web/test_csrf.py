"""No other site acts in Alice's name: every route that changes something × every way a foreign page could send it."""

import hashlib
from typing import Any

import pytest
from ehr_fakes import FakeEhr, context_of
from sqlalchemy import select
from werkzeug.test import TestResponse
from world_routes import MATRIX, Scene, fill, furnish, path_of, scene_of
from world_web import ORIGIN, Browser, portal_app

from portal.core.database import Base, Database
from portal.core.settings import Settings

# Routes that no cookie lets anything do, so that a page that borrows it gains nothing; what they ask for instead.
EXEMPT = {
    "POST /login/backchannel": "a token that the identity provider has signed",
    "POST /stop-notices/<token>": "the sealed token of a mail, whose button sends it from anywhere (RFC 8058)",
}
CHANGING = [route for route in MATRIX if not route.startswith("GET ") and route not in EXEMPT]
# Who can do it, so that what stops the request is the attack and nothing else.
ABLE = {"/operator/dead-letters": "ivan"}
ATTACKS: dict[str, dict[str, Any]] = {
    "no token": {"token": None},
    "token of another person": {"token": "dave"},
    "made-up token": {"token": "x"},
    "plain text": {"content_type": "text/plain"},
    "a form instead of JSON": {"content_type": "application/x-www-form-urlencoded"},
    "another kind of JSON": {"content_type": "application/vnd.api+json"},
    "foreign origin": {"headers": {"Origin": "https://evil.example"}},
    "origin that begins alike": {"headers": {"Origin": ORIGIN + ".evil.example"}},
    "other scheme": {"headers": {"Origin": "https://localhost"}},
    "other port": {"headers": {"Origin": "http://localhost:8081"}},
    "null origin": {"headers": {"Origin": "null"}},
    "null origin of another site": {"headers": {"Origin": "null", "Sec-Fetch-Site": "cross-site"}},
    "said to be cross-site": {"headers": {"Sec-Fetch-Site": "cross-site"}},
    "said to be same-site": {"headers": {"Sec-Fetch-Site": "same-site"}},
    "everything at once": {"token": None, "headers": {"Origin": "https://evil.example"}, "content_type": "text/plain"},
}
# Rows that asking alone may write: the record of what was refused, and when a session was last active.
BESIDE = {"audit_event", "login_session"}


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    return scene_of(portal_app(settings, database, ehr=FakeEhr({"alice": context_of("alice")})), database)


def state_of(database: Database, beside: set[str] = BESIDE) -> dict[str, str]:
    """A hash of each table's rows."""
    found = {}
    with database.reading() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in beside:
                rows = sorted(repr(tuple(row)) for row in session.execute(select(table)))
                found[table.name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        sessions = Base.metadata.tables["login_session"]
        ended = session.execute(select(sessions.c.ref, sessions.c.ended_at).order_by(sessions.c.ref)).all()
    return {**found, "ended sessions": repr(ended)}


def attack(scene: Scene, browser: Browser, route: str, thing: str, how: dict[str, Any]) -> TestResponse:
    method, row = route.split(" ")[0], MATRIX[route]
    token = {None: None, "dave": scene.browser("dave").csrf, "x": "x"}[how["token"]] if "token" in how else browser.csrf
    headers = {"Origin": ORIGIN, "Idempotency-Key": "a" * 32, **how.get("headers", {})}
    if token is not None:
        headers["X-CSRF-Token"] = token
    kind: dict[str, Any] = {}
    if "form" in row:
        kind["data"] = {**({"csrf_token": token} if token else {}), **fill(row["form"], thing)}
        del headers["Idempotency-Key"]
        headers.pop("X-CSRF-Token", None)
    elif "raw" in row:
        kind = {"data": row["raw"], "content_type": how.get("content_type", "application/octet-stream")}
    elif "body" in row:
        kind = {"json": fill(row["body"], thing, scene.world.accounts["erin"])}
        if "content_type" in how:
            kind["content_type"] = how["content_type"]
    return browser.client.open(
        path_of(route, row, thing), method=method, query_string=fill(row.get("query"), thing), headers=headers, **kind
    )


@pytest.mark.parametrize("route", CHANGING)
def test_no_foreign_request_changes_anything(route: str, scene: Scene) -> None:
    row = MATRIX[route]
    name = ABLE.get(route.split(" ")[1], "alice")
    things = furnish(scene, row["object"]) if "object" in row else {}
    thing = things.get("care" if name == "ivan" else "own", "")
    browser = scene.browser(name)
    scene.browser("dave")
    before = state_of(scene.world.database)
    for what, how in ATTACKS.items():
        if "content_type" in how and "token" not in how and "body" not in row and "raw" not in row:
            continue  # a form is a form: its token is what counts
        answer = attack(scene, browser, route, thing, how)
        assert answer.status_code in (400, 403), f"{route}, {what}: {answer.status_code}"
    assert state_of(scene.world.database) == before, route
    assert browser.state()["state"] == "active"


def test_no_other_route_goes_without_a_token(scene: Scene) -> None:
    tokens = scene.app.extensions["csrf"]
    views = {f"{view.__module__}.{view.__name__}": name for name, view in scene.app.view_functions.items()}
    free = {views[name] for name in tokens._exempt_views}
    changing = {
        f"{method} {rule.rule}"
        for rule in scene.app.url_map.iter_rules()
        if rule.endpoint in free
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert changing == set(EXEMPT)
    assert not tokens._exempt_blueprints


def test_the_portals_own_pages_are_let_in_whatever_their_browser_says_of_the_origin(scene: Scene) -> None:
    alice = scene.browser("alice")
    form = {"csrf_token": alice.csrf, "text": "large", "next": "/"}
    for headers in (
        {"Origin": ORIGIN},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {},
    ):
        assert alice.client.post("/preferences", data=form, headers=headers).status_code == 303, headers


def test_json_routes_ask_for_the_exact_origin_even_with_a_token(scene: Scene) -> None:
    alice = scene.browser("alice")
    answer = alice.client.post("/api/session/activity", json={}, headers={"X-CSRF-Token": alice.csrf})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "origin")


def test_a_token_that_was_good_for_dave_stays_worth_nothing_for_alice(scene: Scene) -> None:
    alice, dave = scene.browser("alice"), scene.browser("dave")
    act = {"json": {}, "headers": {"Origin": ORIGIN, "X-CSRF-Token": dave.csrf}}
    for _ in range(2):
        assert dave.client.post("/api/session/activity", **act).status_code == 200
        answer = alice.client.post("/api/session/activity", **act)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf")


# What reading may change, beside the record of the reading: a login that begins, and that a person was active.
READING = {"audit_event", "login_session", "login_attempt"}


def test_no_get_changes_anything_but_what_is_listed(scene: Scene) -> None:
    database = scene.world.database
    for name in (None, "alice", "bob", "heidi", "ivan"):
        browser = scene.browser(name)
        before = state_of(database, READING)
        for route, row in MATRIX.items():
            # The ways back to one's keys are counted, so that nobody can ask for them all day.
            if not route.startswith("GET ") or route == "GET /api/keys/recovery":
                continue
            answer = browser.client.get(
                path_of(route, row, scene.world.patients["alice"]),
                query_string=fill(row.get("query"), scene.world.patients["alice"]),
            )
            answer.close()
        assert state_of(database, READING) == before, name
