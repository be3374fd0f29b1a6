"""Every route × role × (own, in care, foreign, unknown), as tests/access_matrix.toml says.

Foreign and unknown must be the same to whoever asks: the same bytes, and the same statements in the database.
"""

import math
import re
from typing import Any

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from werkzeug.test import TestResponse
from world_routes import MATRIX, UNKNOWN, Scene, ask, furnish, routes_of, scene_of, statements
from world_web import portal_app

from portal.audit import flush_refusals
from portal.core import ids
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity import flask_session

PEOPLE = {
    "anonymous": None,
    "patient": "alice",
    "pharmacist": "bob",
    "technician": "frank",
    "supervisor": "grace",
    "privacy": "heidi",
    "operator": "ivan",
}
# The unknown first: what it gets is what the others are held against.
CASES = ("unknown", "foreign", "care", "own")
LET_IN = {200, 201, 204, 206, 302, 303, 308, 400, 409, 413, 422}
WORDS = {"no": 403, "hidden": 404, "signin": 401, "down": 503, "empty": 200}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, no request takes so long that it asks anew who is asking."""
    monkeypatch.setattr(flask_session, "FRESH_SECONDS", math.inf)


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    ehr = FakeEhr({"alice": context_of("alice")})
    return scene_of(portal_app(settings, database, ehr=ehr, patients=lambda connection, ids: {}), database)


def wanted(row: dict[str, Any], role: str) -> dict[str, str]:
    """The word for each case of a role; one case, "any", for a route that is about no thing."""
    said = row.get(role, row.get("others"))
    assert said is not None, f"{role} is missing"
    if "object" not in row:
        assert isinstance(said, str)
        return {"any": said}
    if isinstance(said, str):
        return dict.fromkeys(CASES[:3], said)
    cases = [case for case in CASES if (case == "own") == (role == "patient") or case in ("foreign", "unknown")]
    return {case: said.get(case, said.get("all", "")) for case in cases}


def shown(answer: TestResponse, thing: str) -> tuple[object, ...]:
    """What a person can tell answers apart by: status, headers and body, without ids and times of the request."""
    told = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("X-Request-Id", "Date", "Set-Cookie", "Content-Length")
    }
    body = answer.get_data(as_text=True).replace(answer.headers["X-Request-Id"], "REQUEST")
    body = re.sub(r'name="csrf_token" value="[^"]*"', "", body).replace(thing, "THING")
    return answer.status_code, told, body


def test_every_route_has_its_row_and_every_row_its_route(app: Flask) -> None:
    assert sorted(routes_of(app) - MATRIX.keys()) == [], "give each new route a table in tests/access_matrix.toml"
    assert sorted(MATRIX.keys() - routes_of(app)) == []


@pytest.mark.parametrize("route", MATRIX)
def test_a_route_lets_in_whom_the_matrix_names_and_nobody_else(route: str, scene: Scene) -> None:
    row = MATRIX[route]
    things = {"unknown": UNKNOWN, **(furnish(scene, row["object"]) if "object" in row else {})}
    database = scene.world.database
    for role, name in PEOPLE.items():
        unknown: tuple[Any, ...] | None = None
        for case, word in wanted(row, role).items():
            thing = things.get(f"{case} of {role}", things.get(case, UNKNOWN))
            browser = scene.browser(name)
            # Refusals beyond ten a minute are counted instead of written: each request here begins anew.
            flush_refusals(database, stopping=True)
            with statements(database) as seen:
                answer = ask(browser, route, row, thing, scene.world.accounts["erin"])
                status = answer.status_code
                answer.close()
            where = f"{route} as {role}, {case}: {status}"
            if word == "in":
                assert status in LET_IN, where
            else:
                assert status == WORDS[word], where
            if word in ("hidden", "empty"):
                told = (shown(answer, thing), seen)
                unknown = unknown or told
                assert told[0] == unknown[0], where
                assert told[1] == unknown[1], where
            if route == "POST /logout" and name is not None:
                del scene.browsers[name]


def test_a_foreign_thread_cannot_be_told_from_a_new_one_by_announcing_a_file(scene: Scene) -> None:
    things = furnish(scene, "thread")
    row = MATRIX["POST /api/attachments"]
    answers = []
    for thread in (things["foreign"], UNKNOWN):
        body = {**row["body"], "id": ids.random_id(), "thread": thread}
        answers.append(shown(scene.browser("alice").post("/api/attachments", body), thread))
    assert answers[0] == answers[1]
    assert answers[0][0] == 201
