"""Encrypted files over HTTP: parts in order, a hash that does not fit, ranges, and whose they are."""

import hashlib

import pytest
from flask import Flask
from world import World, build
from world_web import ORIGIN, Browser

from portal.core import ids
from portal.core.database import Database
from portal.e2ee.encoding import b64

CONTENT = b"ciphertext of a photo"


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def alice(app: Flask, world: World) -> Browser:
    return Browser(app, world, "alice")


def announce(browser: Browser, content: bytes = CONTENT, **changes: object) -> tuple[str, int]:
    body = {
        "id": ids.random_id(),
        "thread": ids.random_id(),
        "pharmacy": "riverside",
        "size": len(content),
        "cth": b64(hashlib.sha256(content).digest()),
        **changes,
    }
    answer = browser.post("/api/attachments", body)
    return str(body["id"]), answer.status_code


def put(browser: Browser, attachment: str, start: int, part: bytes) -> tuple[int, object]:
    answer = browser.client.put(
        f"/api/attachments/{attachment}?start={start}",
        data=part,
        content_type="application/octet-stream",
        headers={"Origin": ORIGIN, "X-CSRF-Token": browser.csrf},
    )
    return answer.status_code, answer.get_json().get("received")


def test_parts_come_in_order_and_a_part_twice_is_taken_once(alice: Browser) -> None:
    content, cut = CONTENT * 40_000, 64 * 1024
    attachment, status = announce(alice, content)
    assert status == 201
    assert put(alice, attachment, cut, content[cut:]) == (409, 0)
    assert put(alice, attachment, 0, content[:cut]) == (200, cut)
    assert put(alice, attachment, 0, content[:cut]) == (200, cut)
    assert alice.post(f"/api/attachments/{attachment}/complete").status_code == 409
    assert put(alice, attachment, cut, content[cut:]) == (200, len(content))
    assert alice.post(f"/api/attachments/{attachment}/complete").status_code == 204
    assert alice.get(f"/api/attachments/{attachment}").status_code == 404


def test_a_file_is_not_cut_into_crumbs(alice: Browser) -> None:
    content = b"x" * (64 * 1024 + 10)
    attachment, _ = announce(alice, content)
    refused = alice.client.put(
        f"/api/attachments/{attachment}?start=0",
        data=content[: 64 * 1024 - 1],
        content_type="application/octet-stream",
        headers={"Origin": ORIGIN, "X-CSRF-Token": alice.csrf},
    )
    assert (refused.status_code, refused.get_json()["code"]) == (400, "part-too-small")
    assert put(alice, attachment, 0, content[: 64 * 1024]) == (200, 64 * 1024)
    # The last one is as long as it is.
    assert put(alice, attachment, 64 * 1024, content[64 * 1024 :]) == (200, len(content))


def test_after_a_wrong_hash_the_same_upload_begins_anew(alice: Browser) -> None:
    attachment, _ = announce(alice)
    put(alice, attachment, 0, b"x" * len(CONTENT))
    refused = alice.post(f"/api/attachments/{attachment}/complete")
    assert (refused.status_code, refused.get_json()["code"]) == (422, "ciphertext-hash")
    assert put(alice, attachment, 0, CONTENT) == (200, len(CONTENT))
    assert alice.post(f"/api/attachments/{attachment}/complete").status_code == 204


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"pharmacy": "nowhere"}, 400),
        ({"pharmacy": "x" * 500}, 400),
        ({"cth": "short"}, 400),
        ({"size": 0}, 413),
        ({"size": 28 * 1024 * 1024}, 413),
        ({"thread": "not-an-id"}, 400),
    ],
)
def test_an_announcement_that_does_not_fit_is_refused(alice: Browser, change: dict[str, object], status: int) -> None:
    assert announce(alice, **change)[1] == status


def test_a_part_is_at_most_one_mebibyte_of_bytes(alice: Browser) -> None:
    large = b"x" * (1024 * 1024 + 1)
    attachment, _ = announce(alice, large)
    assert put(alice, attachment, 0, large)[0] == 413
    as_json = alice.put(f"/api/attachments/{attachment}?start=0", {})
    assert (as_json.status_code, as_json.get_json()["code"]) == (400, "content-type")
