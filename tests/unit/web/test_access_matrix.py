"""Every route × role × (own, in care, foreign, unknown), as tests/access_matrix.toml says.

Foreign and unknown must be the same to whoever asks: the same bytes, and the same statements in the database.
"""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse
from world import World, build
from world_keys import Keys
from world_threads import Threads
from world_web import ORIGIN, Browser

from portal.accounts import patients
from portal.accounts.tables import SealedObject
from portal.audit import flush_refusals
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.settings import Settings
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care
from portal.threads.tables import Attachment, AttachmentPart

MATRIX: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parents[2] / "access_matrix.toml").read_text("utf-8"))
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
UNKNOWN = "f" * 32
WORDS = {"no": 403, "hidden": 404, "signin": 401, "down": 503, "empty": 200}


@dataclass
class Scene:
    """The world, and for each kind of thing an id in each case; staff see as `care` what is a patient's own."""

    app: Flask
    world: World
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def browser(self, name: str | None) -> Browser:
        if name is None:
            return stranger(self.app, self.world)
        if name not in self.browsers:
            self.browsers[name] = Browser(self.app, self.world, name)
            self.browsers[name].csrf  # noqa: B018  asked for before statements are counted
        return self.browsers[name]


def stranger(app: Flask, world: World) -> Browser:
    made = Browser(app, world, "alice")
    made.client = app.test_client()
    made._csrf = None
    return made


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    from portal.app import create_app

    world = build(database)
    ehr = FakeEhr({"alice": context_of("alice")})
    app = create_app(settings, database=database, adapters={"ehr": ehr, "patients": lambda connection, ids: {}})
    app.testing = True
    app.jinja_env.globals.update(asset_url=lambda name: f"/static/{name}", asset_integrity=lambda name: "sha384-test")
    return Scene(app, world)


def furnish(scene: Scene, kind: str) -> dict[str, str]:
    """One thing of each case. Dave writes to Harbor only where a thread is wanted; Nick is in Harbor's care."""
    world = scene.world
    if kind == "patient-of-team":
        keys = Keys(world)
        keys.enrol("bob")
        keys.team("riverside_pharmacists", "bob", "bob")
    if kind in ("patient", "patient-of-team"):
        return {"own": world.patients["alice"], "care": world.patients["alice"], "foreign": nick(world)}
    if kind == "patient-to-end":
        # One for each who may end the care, for it is ended then.
        ends = {"own": "alice", "care": "ann", "care of pharmacist": "dave", "care of supervisor": "rosa"}
        return {"foreign": nick(world), **{case: world.patients[name] for case, name in ends.items()}}
    if kind == "pharmacy":
        return {"own": "riverside", "care": "riverside", "foreign": "harbor", "unknown": "nowhere"}
    if kind == "team":
        team = "{}_pharmacists".format
        keys = Keys(world)
        keys.enrol("bob", "carol")
        keys.team("riverside_pharmacists", "bob", "bob")
        keys.team("harbor_pharmacists", "carol", "carol")
        return {"own": team("riverside"), "care": team("riverside"), "foreign": team("harbor"), "unknown": team("x")}
    if kind == "session":
        own = Browser(scene.app, world, "alice").session_ref
        return {"own": own, "care": own, "foreign": Browser(scene.app, world, "dave").session_ref}
    if kind == "job":
        return {"care": job(world), "own": UNKNOWN, "foreign": UNKNOWN}
    if kind == "upload":
        return {"own": upload(world, "alice"), "care": upload(world, "alice"), "foreign": upload(world, "dave")}
    keys = Keys(world)
    keys.enrol("alice", "dave", "bob", "carol", with_recovery=False) if kind in ("person", "device") else keys.enrol(
        "alice", "dave", "bob", "carol"
    )
    if kind == "draft":
        return {"own": draft(world, "alice"), "foreign": draft(world, "dave"), "care": draft(world, "erin")}
    if kind == "person":
        people = world.accounts
        return {"own": people["alice"], "care": people["alice"], "foreign": outsider(world)}
    if kind == "device":
        alice, dave = (keys.people[name].device.dev for name in ("alice", "dave"))
        return {"own": alice, "care": alice, "foreign": dave}
    keys.team("riverside_pharmacists", "bob", "bob")
    keys.team("harbor_pharmacists", "carol", "carol")
    threads = Threads(keys)
    own = threads.start("alice", "alice", "May I?").thread_id
    foreign = threads.start("dave", "dave", "May I?", pharmacy="harbor").thread_id
    if kind == "attachment":
        own, foreign = (upload(world, name, thread) for name, thread in (("alice", own), ("dave", foreign)))
    return {"own": own, "care": own, "foreign": foreign}


def nick(world: World) -> str:
    with world.database.transaction() as session:
        patient = patients.ensure(session, connection_id="harbor-ehr", fhir_id="nick")
        care.start(
            session,
            agent=world.actor("carol").agent,
            patient_id=patient.id,
            pharmacy_id="harbor",
            source=care.Source.DISPENSER,
        )
        return patient.id


def outsider(world: World) -> str:
    return world.accounts["carol"]


def job(world: World) -> str:
    with world.database.transaction() as session:
        dead = OutboxJob(id=ids.random_id(), kind="notice.keys", payload={}, created_at=clock.now(), due_at=clock.now())
        dead.dead_at = clock.now()
        session.add(dead)
        return dead.id


def draft(world: World, name: str) -> str:
    """A draft of somebody; gives the owner's id."""
    owner = world.accounts[name]
    with world.database.transaction() as session:
        session.add(
            SealedObject(owner=owner, kind="draft", id="d1", rev=1, h="x", sig="x", ct=b"x", updated_at=clock.now())
        )
    return owner


def upload(world: World, name: str, thread: str | None = None) -> str:
    """Nine bytes: still on their way, or named by the second record of a thread."""
    made = Attachment(
        id=ids.random_id(),
        pharmacy_id="riverside",
        thread_id=thread or ids.random_id(),
        account_id=world.accounts[name],
        size=9,
        received=9 if thread else 0,
        cth="A" * 43,
        created_at=clock.now(),
        complete_at=clock.now() if thread else None,
        seq=2 if thread else None,
    )
    with world.database.transaction() as session:
        session.add(made)
        session.flush()
        if thread:
            session.add(AttachmentPart(attachment_id=made.id, start=0, data=b"123456789"))
    return made.id


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


def fill(value: Any, thing: str, erin: str = "") -> Any:
    if isinstance(value, dict):
        return {name: fill(inner, thing, erin) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, thing, erin) for inner in value]
    return value.replace("$", thing).replace("@erin", erin) if isinstance(value, str) else value


def ask(browser: Browser, route: str, row: dict[str, Any], thing: str, erin: str) -> TestResponse:
    method, rule = route.split(" ")
    values = fill(row.get("path", {}), thing)
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda place: str(values[place[1]]), rule)
    kind: dict[str, Any] = {}
    if "body" in row:
        kind = {"json": fill(row["body"], thing, erin)}
    elif "form" in row:
        kind = {"data": {"csrf_token": browser.csrf, **fill(row["form"], thing)}}
    elif "raw" in row:
        kind = {"data": row["raw"], "content_type": "application/octet-stream"}
    headers = {"Idempotency-Key": "a" * 32}
    if method != "GET":
        headers |= {"Origin": ORIGIN, "X-CSRF-Token": browser.csrf}
    return browser.client.open(path, method=method, query_string=fill(row.get("query"), thing), headers=headers, **kind)


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


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        # An empty list is written in another way than a full one; it is the same statement.
        seen.append(re.sub(r"\bIN \((?:[^()]|\([^()]*\))*\)", "IN (…)", statement))

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def routes_of(app: Flask) -> set[str]:
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


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
