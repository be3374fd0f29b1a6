"""The routes of teams and sealed objects."""

import pytest
from flask import Flask
from world import World, build
from world_keys import Keys, raw
from world_routes import statements
from world_web import Browser

from portal.accounts import devices
from portal.core import clock
from portal.core.database import Database
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import EncryptionKey
from portal.pharmacies import objects

PHARMACISTS = "riverside_pharmacists"


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("alice", "bob", "erin", "frank", "carol")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def bound(app: Flask, keys: Keys, name: str) -> Browser:
    browser = Browser(app, keys.world, name)
    device = keys.people[name].device
    signature = seal.session_signature(device, unb64(browser.state()["device_challenge"]))
    browser.post("/api/keys/devices/bind", {"device": device.dev, "sig": b64(signature)})
    return browser


def test_a_team_is_founded_asked_for_and_joined_over_json(app: Flask, keys: Keys, world: World) -> None:
    bob, erin = bound(app, keys, "bob"), bound(app, keys, "erin")
    record = keys.make_team(PHARMACISTS, "bob", "bob")
    answer = bob.post(f"/api/teams/{PHARMACISTS}/records", record.to_json())
    assert (answer.status_code, answer.get_json()["gen"], answer.get_json()["sole_member"]) == (201, 1, True)
    again = bob.post(f"/api/teams/{PHARMACISTS}/records", raw(record))
    assert (again.status_code, again.get_json()["code"], again.get_json()["gen"]) == (409, "moved-generation", 1)
    keys.records[PHARMACISTS] = record
    assert erin.post(f"/api/teams/{PHARMACISTS}/ask").get_json() == {"state": "waiting"}
    assert erin.get("/api/keys/me").get_json()["teams"] == [{"team": PHARMACISTS, "state": "waiting"}]
    second = keys.make_team(PHARMACISTS, "bob", "bob", "erin")
    joined = bob.post(f"/api/teams/{PHARMACISTS}/records", raw(second)).get_json()
    assert joined["joined"] == [world.accounts["erin"]]
    listed = bob.get("/api/pharmacies/riverside/teams").get_json()["items"][0]
    assert sorted((seat["name"], seat["state"], seat["has_keys"], seat["flagged"]) for seat in listed["seats"]) == [
        ("Bob", "member", True, False),
        ("Erin", "member", True, False),
    ]
    assert erin.post(f"/api/teams/{PHARMACISTS}/leave").get_json() == {"state": "leaving"}


def test_other_pharmacies_and_patients_see_no_team(app: Flask, keys: Keys) -> None:
    for name in ("carol", "alice", "ivan"):
        browser = Browser(app, keys.world, name)
        foreign = browser.get("/api/pharmacies/riverside/teams")
        unknown = browser.get("/api/pharmacies/nowhere/teams")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.get_data() == unknown.get_data()
        assert browser.post(f"/api/teams/{PHARMACISTS}/ask").status_code == 404
        assert browser.post("/api/teams/nowhere_desk/ask").status_code == 404


@pytest.mark.parametrize("act", ["approve", "decline"])
def test_answers_to_an_ask_name_an_account(app: Flask, keys: Keys, act: str) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    bob, erin = bound(app, keys, "bob"), Browser(app, keys.world, "erin")
    erin.post(f"/api/teams/{PHARMACISTS}/ask")
    assert bob.post(f"/api/teams/{PHARMACISTS}/{act}", {}).status_code == 400
    answer = bob.post(f"/api/teams/{PHARMACISTS}/{act}", {"account": keys.world.accounts["erin"]})
    assert answer.get_json() == {"state": "approved" if act == "approve" else "left"}


def test_a_team_record_of_another_shape_is_refused(app: Flask, keys: Keys) -> None:
    bob = bound(app, keys, "bob")
    for body in ({}, {"h": "x", "w": [], "prev": "", "sig": ""}, {"h": "x", "w": {}, "prev": "", "sig": ""}):
        assert bob.post(f"/api/teams/{PHARMACISTS}/records", body).status_code == 400


class TestObjects:
    """Alice's draft, and what the team keeps together."""

    @staticmethod
    def sealed(
        keys: Keys, name: str, rev: int, *, owner: str | None = None, key=None, text: bytes = b"Dear Bob", **more
    ):
        person = keys.people[name]
        facts = {"kind": "draft", "id": "d1", "rev": rev, "ts": clock.now_ms()} | more
        made = seal.seal_object(owner or person.id, key or person.key, person.device, text, **facts)
        return made.to_json() | {"rev": rev}

    def test_alice_keeps_a_draft_and_replaces_it_in_order(self, app: Flask, keys: Keys) -> None:
        alice, browser = keys.people["alice"], bound(app, keys, "alice")
        path = f"/api/objects/{alice.id}/draft"
        first = self.sealed(keys, "alice", 1)
        assert browser.put(f"{path}/d1", first).get_json() == {"rev": 1}
        assert browser.get(path).get_json() == {"items": [first | {"id": "d1"}], "next": None}
        moved = browser.put(f"{path}/d1", first)
        assert (moved.status_code, moved.get_json()["code"], moved.get_json()["rev"]) == (409, "moved-object", 1)
        assert browser.put(f"{path}/d1", self.sealed(keys, "alice", 2)).get_json() == {"rev": 2}
        assert browser.delete(f"{path}/d1").status_code == 204
        assert browser.delete(f"{path}/d1").status_code == 404

    def test_nobody_else_sees_or_writes_it(self, app: Flask, keys: Keys) -> None:
        alice = keys.people["alice"]
        bound(app, keys, "alice").put(f"/api/objects/{alice.id}/draft/d1", self.sealed(keys, "alice", 1))
        for name in ("bob", "carol", "ivan", "dave"):
            browser = Browser(app, keys.world, name)
            assert browser.get(f"/api/objects/{alice.id}/draft").status_code == 404
            assert browser.put(f"/api/objects/{alice.id}/draft/d1", self.sealed(keys, "alice", 2)).status_code == 404
            assert browser.delete(f"/api/objects/{alice.id}/draft/d1").status_code == 404

    def test_what_is_not_signed_by_this_sessions_device_is_refused(self, app: Flask, keys: Keys) -> None:
        alice = keys.people["alice"]
        browser, path = bound(app, keys, "alice"), f"/api/objects/{alice.id}/draft/d1"
        good = self.sealed(keys, "alice", 1)
        foreign = seal.seal_object(
            alice.id, alice.key, keys.people["bob"].device, b"x", kind="draft", id="d1", rev=1, ts=1
        )
        old_key = self.sealed(keys, "alice", 1, key=EncryptionKey(2, alice.key.seed))
        for wrong, status in (
            (foreign.to_json() | {"rev": 1}, 422),
            (self.sealed(keys, "alice", 1, id="d2"), 422),
            (self.sealed(keys, "alice", 1, kind="pins"), 422),
            (good | {"rev": 2}, 422),
            (good | {"ct": b64(b"other")}, 422),
            (old_key, 422),
            (good | {"h": "?"}, 400),
            ({"rev": 1}, 400),
        ):
            assert browser.put(path, wrong).status_code == status
        unbound = Browser(app, keys.world, "alice").put(path, good)
        assert (unbound.status_code, unbound.get_json()["code"]) == (403, "device-needed")
        assert browser.put(f"/api/objects/{alice.id}/diary/d1", good).status_code == 404

    def test_a_draft_has_a_largest_size_and_there_is_a_most(
        self, app: Flask, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice, browser = keys.people["alice"], bound(app, keys, "alice")
        path = f"/api/objects/{alice.id}/draft"
        large = self.sealed(keys, "alice", 1, text=b"x" * 257 * 1024)
        assert browser.put(f"{path}/d1", large).status_code == 413
        monkeypatch.setattr(objects, "MOST_OBJECTS", 2)
        for number in (1, 2):
            assert browser.put(f"{path}/d{number}", self.sealed(keys, "alice", 1, id=f"d{number}")).status_code == 200
        assert browser.put(f"{path}/d3", self.sealed(keys, "alice", 1, id="d3")).status_code == 413
        page = browser.get(path, limit=1).get_json()
        assert ([one["id"] for one in page["items"]], page["next"]) == (["d1"], "d1")
        rest = browser.get(path, limit=1, after="d1").get_json()
        assert ([one["id"] for one in rest["items"]], rest["next"]) == (["d2"], None)

    def test_a_team_keeps_things_together_until_one_leaves(self, app: Flask, keys: Keys) -> None:
        keys.team(PHARMACISTS, "bob", "bob", "erin")
        bob, erin = bound(app, keys, "bob"), bound(app, keys, "erin")
        path = f"/api/objects/{PHARMACISTS}/confirmations"
        facts = {"owner": PHARMACISTS, "key": keys.teams[PHARMACISTS][-1], "kind": "confirmations", "id": "c1"}
        assert bob.put(f"{path}/c1", self.sealed(keys, "bob", 1, **facts)).status_code == 200
        assert erin.put(f"{path}/c1", self.sealed(keys, "erin", 2, **facts)).status_code == 200
        assert len(bob.get(path).get_json()["items"]) == 1
        assert Browser(app, keys.world, "frank").get(path).status_code == 404
        erin.post(f"/api/teams/{PHARMACISTS}/leave")
        assert erin.get(path).status_code == 404
        keys.team(PHARMACISTS, "bob", "bob")
        old = bob.put(f"{path}/c1", self.sealed(keys, "bob", 3, **facts))
        assert (old.status_code, old.get_json()["reason"]) == (422, "member key")

    def test_an_ended_device_stores_nothing_more(self, app: Flask, keys: Keys, world: World) -> None:
        alice, browser = keys.people["alice"], bound(app, keys, "alice")
        with world.database.transaction() as session:
            row = session.get(devices.Device, alice.device.dev)
            assert row is not None
            row.ended_at = clock.now()
        answer = browser.put(f"/api/objects/{alice.id}/draft/d1", self.sealed(keys, "alice", 1))
        assert (answer.status_code, answer.get_json()["code"]) == (403, "device-needed")


def test_how_many_teams_somebody_sends_for_a_recovery_act_costs_the_server_nothing(app: Flask, keys: Keys) -> None:
    alice = Browser(app, keys.world, "alice")
    assert alice.csrf
    counted = []
    for many in (1, 500):
        with statements(keys.world.database) as seen:
            answer = alice.post(
                "/api/pharmacies/riverside/recovery-key/acts/none/use",
                {"records": {f"place{number}_desk": {} for number in range(many)}},
            )
        assert answer.status_code == 404
        counted.append(len(seen))
    assert counted[0] == counted[1]
