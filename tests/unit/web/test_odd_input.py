"""Nonsense in any place of any request is the asker's fault, never ours: no route answers it as a fault of the server.

Databases differ in what they bear (PostgreSQL takes no NUL in a text, no number beyond its column, no text beyond its
length), so this walks every route with values that none of them expects.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from world_routes import MATRIX, Scene, path_of, scene_of
from world_web import ORIGIN, Browser, portal_app

from portal.core.database import Database
from portal.core.settings import Settings

TEXTS = ("\0", "x" * 5000, "9" * 25)
NUMBERS = (-1, 2**63)
QUERIES = (
    "after",
    "before",
    "limit",
    "since",
    "reader",
    "pharmacy",
    "patient",
    "q",
    "for",
    "next",
    "reference",
    "start",
)
HEADERS = ("Idempotency-Key", "Range", "Last-Event-ID", "User-Agent", "Accept-Language", "If-None-Match")


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    ehr = FakeEhr({"alice": context_of("alice")})
    return scene_of(portal_app(settings, database, ehr=ehr, patients=lambda connection, ids: {}), database)


def odd(value: Any) -> Iterator[Any]:
    """The value, and each value inside it, exchanged for what nobody expects."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in odd(inner))
    elif isinstance(value, list):
        yield [value] * 3
        if value:
            yield from ([other] for other in odd(value[0]))
    elif isinstance(value, bool) or value is None:
        yield "yes"
    elif isinstance(value, int):
        yield from NUMBERS
    else:
        yield from TEXTS
        yield 7


def requests(route: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    method, path = route.split(" ")[0], path_of(route, row, "f" * 32)
    plain = {"method": method, "path": path}
    for text in TEXTS:
        if "f" * 32 in path:
            yield {**plain, "path": path.replace("f" * 32, text.replace("/", "%2f").replace("\0", "%00") or "-", 1)}
        if "<int:" in route:
            yield {**plain, "path": re.sub(r"\d+", "9" * 25, path)}
        yield {**plain, "query_string": dict.fromkeys(QUERIES, text)}
        if "\0" not in text and text.isascii():
            yield {**plain, "headers": dict.fromkeys(HEADERS, text)}
    if "body" in row:
        yield from ({**plain, "json": body} for body in odd(row["body"]))
    if "form" in row:
        yield from ({**plain, "data": form} for form in odd(row["form"]))


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_nothing_odd_is_a_fault_of_the_server(scene: Scene, name: str) -> None:
    browser: Browser = scene.browser(name)
    app: Flask = scene.app
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.testing = False
    faults = []
    for route, row in MATRIX.items():
        if route.startswith(("POST /logout", "POST /account/sessions", "POST /api/sessions")):
            continue
        # Where a provider is missing here, that is what is said, odd or not.
        usual = browser.client.open(path_of(route, row, "f" * 32), method=route.split(" ")[0]).status_code
        for request in requests(route, row):
            headers = {"Origin": ORIGIN, "X-CSRF-Token": browser.csrf, "Idempotency-Key": "a" * 32}
            headers |= request.pop("headers", {})
            if "data" in request:
                request["data"] = {**request["data"], "csrf_token": browser.csrf}
            answer = browser.client.open(**request, headers=headers)
            if answer.status_code >= 500 and answer.status_code != usual:
                faults.append((route, {key: str(value)[:80] for key, value in request.items()}, answer.status_code))
            answer.close()
    assert not faults, "\n".join(map(str, faults[:60]))
