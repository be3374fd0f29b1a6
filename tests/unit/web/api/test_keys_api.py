"""The routes of one's own keys and of the directory, as browsers use them."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event
from world import World, build
from world_keys import Keys, certificate, vault
from world_web import Browser

from portal.core import clock, ids
from portal.core.database import Database
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import EncryptionKey, Person


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(build(database))


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def enrolment(person: Person) -> dict[str, object]:
    return {
        "entry": seal.first_entry(person).to_json(),
        "certificate": certificate(person),
        "vault": vault(person),
        "device_name": "Alice's laptop",
    }


def bound(app: Flask, keys: Keys, name: str) -> Browser:
    """A browser whose session is bound to the person's device."""
    browser = Browser(app, keys.world, name)
    device = keys.people[name].device
    signature = seal.session_signature(device, unb64(browser.state()["device_challenge"]))
    assert browser.post("/api/keys/devices/bind", {"device": device.dev, "sig": b64(signature)}).status_code == 200
    return browser


def test_alice_enrols_and_finds_her_keys_again(app: Flask, world: World) -> None:
    browser = Browser(app, world, "alice")
    alice = Person.new(world.accounts["alice"], ids.random_id())
    answer = browser.post("/api/keys/enrol", enrolment(alice))
    assert answer.status_code == 201
    given = answer.get_json()
    assert given["device"] == alice.device.dev
    assert len(unb64(given["share"])) == 32
    assert browser.state()["device"] == alice.device.dev
    mine = browser.get("/api/keys/me").get_json()
    assert [entry["h"] for entry in mine["entries"]] == [seal.first_entry(alice).to_json()["h"]]
    assert [(one["name"], one["current"], one["state"]) for one in mine["devices"]] == [
        ("Alice's laptop", True, "active")
    ]
    assert mine["vault"]["rev"] == 1
    assert (mine["recovery"], mine["teams"]) == ([], [])
    assert browser.post("/api/keys/enrol", enrolment(alice)).get_json()["code"] == "already-enrolled"


def test_another_session_gets_the_share_by_the_devices_signature(app: Flask, keys: Keys) -> None:
    keys.enrol("alice", "dave")
    browser = bound(app, keys, "alice")
    assert browser.state()["device"] == keys.people["alice"].device.dev
    dave = Browser(app, keys.world, "dave")
    signature = seal.session_signature(keys.people["alice"].device, unb64(dave.state()["device_challenge"]))
    body = {"device": keys.people["alice"].device.dev, "sig": b64(signature)}
    foreign = dave.post("/api/keys/devices/bind", body)
    unknown = dave.post("/api/keys/devices/bind", body | {"device": "0" * 32})
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.get_json() == unknown.get_json()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/keys/enrol", {}),
        ("POST", "/api/keys/enrol", {"entry": 1, "certificate": {}, "vault": {}, "device_name": "x"}),
        ("POST", "/api/keys/enrol", {"entry": {}, "certificate": {}, "vault": {}, "device_name": "x"}),
        ("POST", "/api/keys/devices", {"certificate": {}, "name": "x"}),
        ("POST", "/api/keys/devices/bind", {"device": "x"}),
        ("POST", "/api/keys/entries", {"entry": {}, "vault": {}, "rev": "1"}),
        ("PUT", "/api/keys/vault", {"rev": True, "vault": {}}),
        ("PUT", "/api/keys/recovery/code", {"wrap": []}),
        ("PUT", "/api/keys/recovery/code", {"wrap": {}}),
        ("POST", "/api/directory/lookup", {"ids": "alice"}),
        ("POST", "/api/directory/lookup", {"ids": ["x"] * 101}),
        ("POST", "/api/directory/lookup", {"ids": [1]}),
    ],
)
def test_wrong_shapes_are_refused(app: Flask, keys: Keys, method: str, path: str, body: object) -> None:
    keys.enrol("alice", with_recovery=False)
    browser = bound(app, keys, "alice") if "enrol" not in path else Browser(app, keys.world, "dave")
    answer = browser.send(method, path, body)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/keys/me"),
        ("GET", "/api/keys/recovery"),
        ("GET", "/api/directory/x"),
        ("GET", "/api/pharmacies"),
        ("GET", "/api/pharmacies/riverside/teams"),
        ("GET", "/api/objects/x/draft"),
        ("GET", "/api/patients?pharmacy=riverside"),
    ],
)
def test_nobody_gets_anything_without_signing_in(app: Flask, world: World, method: str, path: str) -> None:
    answer = app.test_client().open(path, method=method)
    assert answer.status_code == 401
    assert answer.get_json()["code"] == "not-signed-in"


def test_an_act_needs_the_token_and_the_origin(app: Flask, world: World) -> None:
    browser = Browser(app, world, "alice")
    for headers in ({"Origin": "http://evil.test", "X-CSRF-Token": browser.csrf}, {"Origin": "http://localhost"}):
        answer = browser.client.post("/api/keys/recovery/confirm", json={}, headers=headers)
        assert answer.status_code in (400, 403)


def test_the_ways_back_are_set_read_and_tried(app: Flask, keys: Keys) -> None:
    keys.enrol("alice", with_recovery=False)
    alice = keys.people["alice"]
    browser = bound(app, keys, "alice")
    wrap = ways.wrap_by_code(alice.urk, alice.id, ways.make_code()).to_json()
    assert browser.put("/api/keys/recovery/code", {"wrap": wrap}).status_code == 204
    assert browser.put("/api/keys/recovery/pigeon", {"wrap": wrap}).status_code == 404
    fresh = Browser(app, keys.world, "alice")
    assert fresh.get("/api/keys/recovery").get_json() == {"wraps": [wrap], "ahead": None}
    assert fresh.post("/api/keys/recovery/code/tried").status_code == 204
    assert fresh.get("/api/keys/me").get_json()["recovery"][0]["tried_at"] is not None
    for _ in range(4):
        fresh.get("/api/keys/recovery")
    closed = fresh.get("/api/keys/recovery")
    assert closed.status_code == 429
    assert int(closed.headers["Retry-After"]) > 0
    assert fresh.post("/api/keys/recovery/confirm").status_code == 403
    assert browser.post("/api/keys/recovery/confirm").status_code == 204
    assert fresh.get("/api/keys/recovery").status_code == 200
    late = Browser(app, keys.world, "alice", auth_time=clock.now() - timedelta(minutes=6))
    answer = late.get("/api/keys/recovery")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "step-up")
    assert late.get("/api/keys/me").get_json()["vault"] is None


def test_a_passkey_is_set_listed_and_removed(app: Flask, keys: Keys) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    browser = bound(app, keys, "alice")
    wrap = ways.wrap_by_passkey(alice.urk, alice.id, bytes(32), bytes(32))
    path = f"/api/keys/recovery/{wrap.way}"
    assert browser.put(path, {"wrap": wrap.to_json()}).status_code == 400
    assert browser.put(path, {"wrap": wrap.to_json(), "name": "Chrome, Linux"}).status_code == 204
    listed = browser.get("/api/keys/me").get_json()["recovery"]
    assert [(way["id"], way["method"], way["name"]) for way in listed] == [
        ("code", "code", None),
        (wrap.way, "passkey", "Chrome, Linux"),
    ]
    assert browser.post(f"{path}/tried").status_code == 204
    assert browser.send("DELETE", path, {}).status_code == 204
    assert browser.send("DELETE", path, {}).status_code == 404
    assert browser.send("DELETE", "/api/keys/recovery/pigeon", {}).status_code == 404
    last = browser.send("DELETE", "/api/keys/recovery/code", {})
    assert (last.status_code, last.get_json()["code"]) == (409, "last-way")


def test_a_device_offers_the_keys_to_another_one(app: Flask, keys: Keys) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    browser, phone = bound(app, keys, "alice"), Browser(app, keys.world, "alice")
    code = ways.make_code()
    name, wrap = ways.offer_name(alice.id, code), ways.wrap_by_device(alice.urk, alice.id, code).to_json()
    assert browser.get("/api/keys/offer").status_code == 404
    assert phone.get("/api/keys/offer").status_code == 403
    until = browser.put("/api/keys/offer", {"name": name, "wrap": wrap}).get_json()["until"]
    assert browser.get("/api/keys/offer").get_json() == {"state": "waiting", "until": until, "browser": None}
    assert phone.post("/api/keys/offer/take", {"name": "0" * 32}).status_code == 404
    assert phone.post("/api/keys/offer/take", {"name": name}).get_json() == {"wrap": wrap}
    assert phone.post("/api/keys/offer/take", {"name": name}).status_code == 404
    assert browser.get("/api/keys/offer").get_json()["state"] == "given"
    assert browser.send("DELETE", "/api/keys/offer", {}).status_code == 204
    assert browser.get("/api/keys/offer").status_code == 404


def test_a_new_generation_and_the_end_of_a_device(app: Flask, keys: Keys) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    browser = bound(app, keys, "alice")
    new = EncryptionKey.new(2)
    entry = seal.new_generation(seal.first_entry(alice).entry, alice.key, new, alice.identity).to_json()
    body = {"entry": entry, "vault": vault(alice, 2), "rev": 2}
    assert browser.post("/api/keys/entries", body).get_json() == {"n": 2, "gen": 2}
    assert browser.post("/api/keys/entries", body).get_json()["code"] == "moved-chain"
    assert browser.put("/api/keys/vault", {"rev": 3, "vault": vault(alice, 3)}).get_json() == {"rev": 3}
    moved = browser.put("/api/keys/vault", {"rev": 3, "vault": vault(alice, 3)})
    assert (moved.status_code, moved.get_json()["code"], moved.get_json()["rev"]) == (409, "moved-vault", 3)
    revocation = seal.revocation(alice.identity, alice.id, alice.device.dev, clock.now_ms())
    assert browser.post(f"/api/keys/devices/{alice.device.dev}/end", {"revocation": revocation}).status_code == 204
    assert browser.get("/api/keys/me").status_code == 401


def test_a_stale_session_adds_no_device(app: Flask, keys: Keys) -> None:
    keys.enrol("alice")
    late = Browser(app, keys.world, "alice", auth_time=clock.now() - timedelta(minutes=6))
    answer = late.post("/api/keys/devices", {"certificate": certificate(keys.people["alice"]), "name": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "step-up")


class TestDirectory:
    """Whose keys are shown to whom."""

    @pytest.fixture(autouse=True)
    def everyone(self, keys: Keys) -> None:
        keys.enrol("alice", "dave", "bob", "carol", "judy")
        keys.team("riverside_pharmacists", "bob", "bob")

    def seen(self, app: Flask, world: World, name: str) -> set[str]:
        wanted = {**world.accounts, "team": "riverside_pharmacists", "nobody": "0" * 32}
        browser = Browser(app, world, name)
        many = browser.post("/api/directory/lookup", {"ids": list(wanted.values())}).get_json()["items"]
        shown = {one["id"] for one in many}
        for id in wanted.values():
            assert (browser.get(f"/api/directory/{id}").status_code == 200) == (id in shown)
        return {name for name, id in wanted.items() if id in shown}

    def test_alice_sees_her_pharmacys_people(self, app: Flask, world: World) -> None:
        staff = {"bob", "erin", "frank", "grace", "heidi"}
        assert self.seen(app, world, "alice") == {"alice", "team"} | staff

    def test_judy_sees_her_mother_and_the_pharmacy(self, app: Flask, world: World) -> None:
        staff = {"bob", "erin", "frank", "grace", "heidi"}
        assert self.seen(app, world, "judy") == {"judy", "rosa", "team"} | staff

    def test_bob_sees_colleagues_and_patients_in_care(self, app: Flask, world: World) -> None:
        staff = {"bob", "erin", "frank", "grace", "heidi"}
        assert self.seen(app, world, "bob") == {"alice", "dave", "rosa", "judy", "team"} | staff

    def test_carol_sees_dave_and_herself(self, app: Flask, world: World) -> None:
        assert self.seen(app, world, "carol") == {"carol", "dave"}

    def test_ivan_sees_nobody(self, app: Flask, world: World) -> None:
        assert self.seen(app, world, "ivan") == {"ivan"}

    def test_foreign_and_unknown_are_the_same_answer(self, app: Flask, world: World) -> None:
        carol = Browser(app, world, "carol")
        foreign = carol.get(f"/api/directory/{world.accounts['alice']}")
        unknown = carol.get(f"/api/directory/{'0' * 32}")
        assert (foreign.status_code, foreign.get_data()) == (unknown.status_code, unknown.get_data())

    def test_an_entry_is_shown_as_it_was_signed(self, app: Flask, keys: Keys, world: World) -> None:
        shown = Browser(app, world, "bob").get(f"/api/directory/{world.accounts['alice']}").get_json()
        assert shown["name"] == "Alice"
        assert shown["devices"][0]["id"] == keys.people["alice"].device.dev
        team = Browser(app, world, "alice").get("/api/directory/riverside_pharmacists").get_json()
        assert team["records"] == [keys.records["riverside_pharmacists"].to_json()]

    def test_many_cost_as_many_queries_as_few(self, app: Flask, keys: Keys, world: World) -> None:
        browser = Browser(app, world, "bob")
        browser.csrf  # noqa: B018 - asks for the token before counting

        def count(ids: list[str]) -> int:
            statements: list[str] = []
            listener = lambda *args: statements.append(args[2])  # noqa: E731
            event.listen(world.database.engine, "before_cursor_execute", listener)
            assert browser.post("/api/directory/lookup", {"ids": ids}).status_code == 200
            event.remove(world.database.engine, "before_cursor_execute", listener)
            return len(statements)

        few = count([world.accounts["alice"], world.accounts["carol"], "riverside_pharmacists"])
        many = count([*world.accounts.values(), "riverside_pharmacists", "harbor_desk"])
        assert few == many


def test_who_starts_again_is_out_of_the_team_at_once(app: Flask, keys: Keys) -> None:
    keys.enrol("bob", "erin")
    keys.team("riverside_pharmacists", "bob", "bob", "erin")
    erin = keys.people["erin"]
    new = Person.new(erin.id, ids.random_id())
    entry = seal.reset_entry(seal.first_entry(erin).entry, new.identity, EncryptionKey.new(2)).to_json()
    browser = Browser(app, keys.world, "erin")
    answer = browser.post("/api/keys/entries", {"entry": entry, "vault": vault(new, 2), "rev": 2})
    assert answer.get_json() == {"n": 2, "gen": 2}
    mine = browser.get("/api/keys/me").get_json()
    assert mine["teams"] == [{"team": "riverside_pharmacists", "state": "leaving"}]
