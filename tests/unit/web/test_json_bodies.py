"""What is not whole JSON is refused by every route that takes JSON, with a problem a program can read."""

import pytest
from flask import Flask, request
from world import World, build
from world_routes import MATRIX, UNKNOWN, path_of
from world_web import ORIGIN, Browser

from portal.core.database import Database

TAKING = [route for route, row in MATRIX.items() if "body" in row]
BROKEN = {
    "not a number": b'{"x": NaN}',
    "infinity": b'{"x": -Infinity}',
    "a name twice": b'{"x": 1, "x": 2}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "a lone surrogate": b'{"x": "\\ud800"}',
    "a lone surrogate as name": b'{"\\udfff": 1}',
    "a NUL, which PostgreSQL does not take": b'{"x": "\\u0000"}',
    "5,000 digits": b'{"x": ' + b"9" * 5000 + b"}",
    "an exponent": b'{"x": 1e999}',
    "no JSON": b"x=1",
    "nothing": b"",
    "cut off": b'{"x": 1',
    "two values": b"{} {}",
    "not UTF-8": b'{"x": "\xff"}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no object": b"[]",
    "null": b"null",
    "an unknown member": b'{"nobody-asked-for-this": 1}',
}


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def alice(app: Flask, world: World) -> Browser:
    return Browser(app, world, "alice")


@pytest.mark.parametrize("route", TAKING)
def test_broken_bodies_are_400_with_a_problem(route: str, alice: Browser) -> None:
    method = route.split(" ")[0]
    for what, raw in BROKEN.items():
        answer = alice.client.open(
            path_of(route, MATRIX[route], UNKNOWN),
            method=method,
            data=raw,
            content_type="application/json",
            headers={"Origin": ORIGIN, "X-CSRF-Token": alice.csrf, "Idempotency-Key": "a" * 32},
        )
        assert answer.status_code == 400, f"{route}, {what}: {answer.status_code}"
        assert answer.content_type == "application/problem+json"
        problem = answer.get_json()
        assert problem["status"] == 400
        assert problem["detail"]
        assert problem["code"] in ("json", "bad-field", "unknown-field", "missing-field"), f"{route}, {what}"


@pytest.mark.parametrize("route", TAKING)
@pytest.mark.parametrize("told", [True, False], ids=["length told", "length not told"])
def test_too_large_a_body_is_413(route: str, told: bool, alice: Browser) -> None:
    raw = b'{"x": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    headers = {"Origin": ORIGIN, "X-CSRF-Token": alice.csrf, "Idempotency-Key": "a" * 32}
    environ = {} if told else {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = alice.client.open(
        path_of(route, MATRIX[route], UNKNOWN),
        method=route.split(" ")[0],
        data=raw,
        content_type="application/json",
        headers=headers,
        environ_overrides=environ,
    )
    assert answer.status_code == 413, answer.get_data(as_text=True)[:300]
    assert answer.get_json()["code"] == "too-large"


def test_a_charset_beside_the_type_is_another_type(alice: Browser) -> None:
    for kind in ("application/json; charset=utf-8", "application/JSON", "application/json;", "text/json"):
        answer = alice.client.post(
            "/api/session/activity",
            data=b"{}",
            content_type=kind,
            headers={"Origin": ORIGIN, "X-CSRF-Token": alice.csrf},
        )
        assert (answer.status_code, answer.get_json()["code"]) == (400, "content-type"), kind


def test_a_form_of_too_many_parts_or_bytes_is_413(alice: Browser) -> None:
    many = {f"part{number}": "x" for number in range(200)}
    large = {"csrf_token": alice.csrf, "code": "x" * 400_000}
    for form in (many, large):
        answer = alice.client.post(
            "/invitation", data=form, content_type="multipart/form-data", headers={"Origin": ORIGIN}
        )
        assert answer.status_code == 413


@pytest.mark.parametrize("told", [True, False], ids=["length told", "length not told"])
def test_a_form_on_one_line_is_not_read_beyond_what_our_forms_hold(told: bool, app: Flask) -> None:
    fields = "&".join(f"field{number}=1" for number in range(100_000))
    environ = {} if told else {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    with app.test_client() as stranger:
        answer = stranger.post(
            "/preferences",
            data=fields,
            content_type="application/x-www-form-urlencoded",
            headers={"Origin": ORIGIN},
            environ_overrides=environ,
        )
        assert answer.status_code == (413 if told else 403)
        assert told or len(request.form) < 11_000
