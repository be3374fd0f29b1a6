"""Rules of all routes together: methods, limits, constant queries, logs, the description, and what fails closed."""

import ast
import json
import logging
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask, request
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import OperationalError
from world_keys import Keys
from world_routes import MATRIX, UNKNOWN, Scene, ask, path_of, routes_of, scene_of, statements
from world_threads import Threads
from world_web import ORIGIN, Browser, portal_app

import portal
from portal.accounts.tables import Account
from portal.core import clock, logs, texts
from portal.core.database import Database
from portal.core.settings import Settings
from portal.web import limits

CODE = Path(portal.__file__).parent


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr({"alice": context_of("alice")})


@pytest.fixture
def scene(settings: Settings, database: Database, ehr: FakeEhr) -> Scene:
    return scene_of(portal_app(settings, database, ehr=ehr, patients=lambda connection, ids: {}), database)


def test_methods_that_a_route_does_not_list_are_405(scene: Scene) -> None:
    alice, there = scene.browser("alice"), scene.app.url_map.bind("localhost")
    headers = {"Origin": ORIGIN, "X-CSRF-Token": alice.csrf}
    for route, row in MATRIX.items():
        rule = route.split(" ")[1]
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
            if there.test(path_of(route, row, UNKNOWN), method):
                continue
            answer = alice.client.open(path_of(route, row, UNKNOWN), method=method, headers=headers)
            assert answer.status_code == 405, f"{method} {rule}: {answer.status_code}"
            assert "Allow" in answer.headers, rule


# Limits.


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Database) -> Scene:
    """The portal with twenty requests a minute for each account or address."""
    monkeypatch.setattr(limits, "PER_ACCOUNT", "20 per minute")
    return scene_of(portal_app(settings, database), database)


def test_thirty_people_behind_one_address_do_not_use_up_each_others_requests(tight: Scene) -> None:
    browsers = [tight.browser("alice"), *(Browser(tight.app, tight.world, "bob") for _ in range(2))]
    people = {browser.state()["account"]["id"] for browser in browsers}
    assert len(people) == 2
    for _ in range(25):
        answer = tight.browser("alice").get("/api/sessions")
    assert answer.status_code == 429
    assert answer.mimetype == "application/problem+json"
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert Browser(tight.app, tight.world, "dave").get("/api/sessions").status_code == 200
    assert tight.app.test_client().get("/contact").status_code == 200
    for _ in range(60):
        assert tight.app.test_client().get("/healthz").status_code == 200


def test_a_page_over_the_limit_says_when_to_come_back(tight: Scene) -> None:
    client = tight.app.test_client()
    for _ in range(25):
        answer = client.get("/contact")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Too many tries" in answer.get_data(as_text=True)


def test_a_route_with_a_limit_of_its_own_is_counted_by_that(tight: Scene) -> None:
    alice = tight.browser("alice")
    headers = {"Origin": ORIGIN, "X-CSRF-Token": alice.csrf}
    answers = [alice.client.post("/api/attachments", json={}, headers=headers) for _ in range(25)]
    assert {answer.status_code for answer in answers} == {400}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("alice", "/carers/change"),
        ("bob", "/pharmacies/riverside/recovery"),
        ("bob", "/pharmacies/riverside/recovery/decide"),
    ],
)
def test_what_sends_others_a_mail_each_time_is_not_pressed_without_end(scene: Scene, name: str, path: str) -> None:
    answers = [scene.browser(name).fill(path, {"act": "confirm"}).status_code for _ in range(61)]
    assert 429 not in answers[:60]
    assert answers[60] == 429


# Who asks is looked up at a request's beginning.


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_request_that_took_its_time_asks_again_who_is_asking(scene: Scene, seconds: int) -> None:
    alice = scene.browser("alice")

    def meanwhile() -> None:
        if request.path == "/api/threads":
            with scene.world.database.transaction() as session:
                session.execute(
                    update(Account).where(Account.id == scene.world.accounts["alice"]).values(disabled_at=clock.now())
                )
            clock.shift(timedelta(seconds=seconds))

    scene.app.before_request_funcs[None].append(meanwhile)
    assert alice.get("/api/threads").status_code == (401 if seconds else 200)
    assert alice.get("/api/threads").status_code == 401


# The description.


def test_openapi_lists_every_json_route_and_nothing_else(scene: Scene) -> None:
    described = scene.app.test_client().get("/openapi.json").get_json()
    listed = {f"{method.upper()} {path}" for path, operations in described["paths"].items() for method in operations}
    there = {route.replace("<", "{").replace(">", "}") for route in routes_of(scene.app) if " /api/" in route}
    assert listed == there
    for path, operations in described["paths"].items():
        named = set(re.findall(r"{(\w+)}", path))
        for operation in operations.values():
            assert {one["name"] for one in operation["parameters"]} == named, path
            assert operation["summary"]
            if body := operation.get("requestBody"):
                assert body["content"]["application/json"]["schema"]["additionalProperties"] is False


def test_the_architecture_page_names_every_json_route(app: Flask) -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text("utf-8")
    table = page[page.index("## JSON routes") : page.index("## Pages")]
    missing = []
    for route in sorted(routes_of(app)):
        last = re.sub(r"<\w+>", "", route.split(" ")[1]).rstrip("/").rsplit("/", 1)[-1]
        if " /api/" in route and f"/{last}" not in table:
            missing.append(route)
    assert missing == []


# Constant queries.


def counted(database: Database, browser: Browser, path: str) -> int:
    with statements(database) as seen:
        assert browser.client.get(path).status_code == 200, path
    return len(seen)


def test_pages_ask_the_same_number_of_questions_however_much_there_is(
    settings: Settings, database: Database, ehr: FakeEhr
) -> None:
    scene = scene_of(portal_app(settings, database, ehr=ehr, patients=lambda connection, ids: {}), database)
    keys = Keys(scene.world)
    keys.enrol("alice", "bob", "dave")
    keys.team("riverside_pharmacists", "bob", "bob")
    threads = Threads(keys)
    first = threads.start("alice", "alice", "One").thread_id
    threads.start("dave", "dave", "Mine")
    alice, bob = scene.browser("alice"), scene.browser("bob")
    patient = scene.world.patients["alice"]
    questions = [
        (alice, "/api/threads"),
        (bob, "/api/threads"),
        (alice, f"/api/threads/{first}"),
        (bob, f"/api/threads/{first}/records"),
        (bob, f"/api/patients/{patient}/context?pharmacy=riverside"),
        (bob, "/api/patients?pharmacy=riverside"),
        (alice, f"/api/audit?patient={patient}"),
        (alice, "/record"),
        (alice, "/home"),
        (alice, "/api/pharmacies"),
        (alice, "/api/keys/me"),
    ]
    for browser, path in questions:
        browser.client.get(path)
    before = {(id(browser), path): counted(database, browser, path) for browser, path in questions}
    for number in range(6):
        threads.send("alice", first, f"More {number}")
        threads.start("alice", "alice", f"Thread {number}")
        browser = Browser(scene.app, scene.world, "bob")
        browser.get(f"/api/threads/{first}")
    after = {(id(browser), path): counted(database, browser, path) for browser, path in questions}
    grown = {path: (before[key, path], count) for (key, path), count in after.items() if count > before[key, path]}
    assert grown == {}


def test_what_machines_ask_needs_no_session(scene: Scene) -> None:
    alice = scene.browser("alice")
    for path in ("/healthz", "/openapi.json", "/metrics"):
        assert counted(scene.world.database, alice, path) == 0, path


# Logs.


def test_logs_hold_routes_and_codes_but_no_path_name_or_word(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="portal"):
        for name in ("alice", "bob", None):
            for route, row in MATRIX.items():
                if route not in ("POST /logout", "GET /events"):
                    ask(scene.browser(name), route, row, scene.world.patients["alice"], UNKNOWN).close()
    form = logs.JsonLines()
    written = "\n".join(form.format(line) for line in caplog.records if line.name.startswith("portal"))
    lines = [json.loads(line) for line in written.splitlines()]
    assert len(lines) > 100
    secrets = [
        scene.world.patients["alice"],
        "metformin",
        "Metformin",
        "Alice",
        "1974-03-12",
        "alice@example.org",
        scene.browser("alice").csrf,
    ]
    assert [secret for secret in secrets if secret in written] == []
    routes = {line["route"] for line in lines if line.get("route")}
    assert "/api/patients/<patient_id>/context" in routes


# Failing closed.

OUR_DATA = [
    "/home",
    "/medicines",
    "/medicines/print",
    "/record",
    "/api/threads",
    "/api/audit?patient={alice}",
    "/api/patients/{alice}/context?pharmacy=riverside",
]


def test_without_an_audit_row_there_is_no_data(scene: Scene) -> None:
    """The audit table is gone: whatever would show a patient's data answers 503 and shows none."""
    alice = scene.browser("alice")
    scene.world.database.engine.dispose()
    with scene.world.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_event RENAME TO audit_event_gone"))
    for path in OUR_DATA:
        if path == "/api/threads":
            continue  # an empty inbox shows nobody's data and writes no row
        answer = alice.client.get(path.replace("{alice}", scene.world.patients["alice"]))
        said = answer.get_data(as_text=True)
        assert answer.status_code == 503, f"{path}: {answer.status_code}"
        assert "etformin" not in said, path
        assert "1042" not in said, path
        if not path.startswith("/api/"):
            assert "+1 555 0100" in said, path
    assert alice.client.get("/healthz").status_code == 200


def test_while_the_database_is_down_people_get_phone_and_hours_and_machines_the_truth(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = scene.browser("alice")
    assert "+1 555 0100" in alice.client.get("/contact").get_data(as_text=True)

    def down(*_: Any, **__: Any) -> None:
        raise OperationalError("SELECT patient 'Alice Ward'", {}, Exception("gone"))

    monkeypatch.setattr(Engine, "connect", down)
    assert alice.client.get("/healthz").status_code == 200
    ready = alice.client.get("/readyz")
    assert ready.status_code == 503
    assert int(ready.headers["Retry-After"]) > 0
    for path in ("/", "/contact", "/home", "/record", "/account", "/medicines"):
        answer = alice.client.get(path)
        page = answer.get_data(as_text=True)
        assert answer.status_code in (200, 503), f"{path}: {answer.status_code}"
        assert "+1 555 0100" in page, path
        assert "Alice" not in page, path
    said = alice.client.get("/api/threads")
    assert (said.status_code, said.get_json()["code"]) == (503, "database-down")
    assert int(said.headers["Retry-After"]) > 0
    stopped = alice.client.post("/api/session/activity", json={}, headers={"Origin": ORIGIN, "X-CSRF-Token": "x"})
    assert stopped.status_code == 503


def test_a_patient_who_has_died_is_written_nothing_and_staff_see_why(scene: Scene) -> None:
    from portal.accounts import patients
    from portal.accounts.patients import Status

    keys = Keys(scene.world)
    keys.enrol("alice", "bob")
    keys.team("riverside_pharmacists", "bob", "bob")
    alice = scene.world.patients["alice"]
    bob = scene.browser("bob")
    body = {**MATRIX["POST /api/threads"]["body"], "patient": alice}
    for status in (Status.DECEASED, Status.INACTIVE, Status.MERGED):
        with scene.world.database.transaction() as session:
            patients.learn_status(session, patient_id=alice, status=status)
        refused = bob.post("/api/threads", body, Idempotency_Key="a" * 32)
        assert (refused.status_code, refused.get_json()["code"]) == (422, "patient-not-active")
        assert "health record says" in refused.get_json()["detail"]
        listed = bob.get("/api/patients", pharmacy="riverside").get_json()["items"]
        assert {line["status"] for line in listed if line["patient"] == alice} == {status.value}


# Words for errors.


def error_codes() -> dict[str, str]:
    """Every code with which portal/ raises one of its errors, and where."""
    found: dict[str, str] = {}
    for path in CODE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FAMILY
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                found[node.args[0].value] = f"{path.relative_to(CODE)}:{node.lineno}"
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if (
                        isinstance(inner, ast.Assign | ast.AnnAssign)
                        and isinstance(inner.value, ast.Constant)
                        and getattr(inner.targets[0] if isinstance(inner, ast.Assign) else inner.target, "id", "")
                        == "code"
                    ):
                        found[str(inner.value.value)] = f"{path.relative_to(CODE)}:{inner.lineno}"
    return found


FAMILY = {
    "BadInput",
    "NotSignedIn",
    "Forbidden",
    "StepUpNeeded",
    "NotFound",
    "Conflict",
    "TooLarge",
    "Unprocessable",
    "TooMany",
    "Unavailable",
    "PortalError",
}


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_every_error_has_its_own_sentence(language: str) -> None:
    said = texts.catalogue(language)
    codes = error_codes()
    assert len(codes) > 60
    assert {code: place for code, place in codes.items() if f"errors.{code}" not in said} == {}


def test_settings_of_the_app_are_the_strict_ones(settings: Settings, database: Database) -> None:
    app = portal_app(replace(settings, trusted_hosts="portal.example"), database)
    assert app.config["TRUSTED_HOSTS"] == ["portal.example", "127.0.0.1"]
    assert app.config["MAX_CONTENT_LENGTH"] <= 2 * 1024 * 1024 + 1
    assert not app.debug
