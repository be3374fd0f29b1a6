"""A colleague who has left, and sealed objects in the hands of a session without a device."""

import pytest
from sqlalchemy import select
from world import World, build
from world_keys import Keys, raw

from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import Forbidden, TooLarge
from portal.e2ee import seal
from portal.pharmacies import generations, objects, teams

PHARMACISTS = "riverside_pharmacists"


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob", "erin", "alice")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def test_who_gave_up_the_seat_makes_no_more_records_of_the_team(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    with world.database.transaction() as session:
        teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS)
    # Bob is still listed in the newest record, so his signature would hold.
    record = keys.make_team(PHARMACISTS, "bob", "erin")
    with pytest.raises(Forbidden) as refused, world.database.transaction() as session:
        generations.append_record(session, actor=keys.actor("bob"), team=PHARMACISTS, record_=raw(record))
    assert refused.value.code == "not-in-team"
    keys.teams[PHARMACISTS].pop()
    assert keys.team(PHARMACISTS, "erin", "erin").gen == 2


def keep(keys: Keys, name: str, id: str = "d1", *, rev: int = 1, content: bytes = b"Dear Bob") -> str:
    """A draft of somebody's; returns its owner."""
    person = keys.people[name]
    made = seal.seal_object(
        person.id, person.key, person.device, content, kind="draft", id=id, rev=rev, ts=clock.now_ms()
    )
    with keys.world.database.transaction() as session:
        objects.put(
            session, actor=keys.actor(name), owner=person.id, kind="draft", id=id, rev=rev, sealed=made.to_json()
        )
    return person.id


def test_what_one_person_keeps_is_bounded_in_number_and_in_bytes(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_OBJECTS", 3)
    monkeypatch.setattr(objects, "MOST_BYTES", 2000)
    for number in (1, 2):
        keep(keys, "alice", f"d{number}")
    with pytest.raises(TooLarge) as refused:
        keep(keys, "alice", "d1", rev=2, content=b"x" * 1800)
    assert refused.value.code == "too-many-objects"
    keep(keys, "alice", "d3")
    with pytest.raises(TooLarge) as refused:
        keep(keys, "alice", "d4")
    assert refused.value.code == "too-many-objects"
    # What is there can still be written anew, and Bob's things are Bob's.
    keep(keys, "alice", "d1", rev=2, content=b"Dear Erin")
    keep(keys, "bob", "d4", content=b"x" * 1000)


def test_a_session_without_a_device_takes_nothing_away(keys: Keys, world: World) -> None:
    owner = keep(keys, "alice")
    with pytest.raises(Forbidden) as refused, world.database.transaction() as session:
        objects.remove(session, actor=world.actor("alice"), owner=owner, kind="draft", id="d1")
    assert refused.value.code == "device-needed"
    with world.database.transaction() as session:
        objects.remove(session, actor=keys.actor("alice"), owner=owner, kind="draft", id="d1")


def test_no_object_is_handed_out_without_a_row(keys: Keys, world: World) -> None:
    owner = keep(keys, "alice")
    with world.database.transaction() as session:
        shown, _ = objects.page(session, actor=keys.actor("alice"), owner=owner, kind="draft")
    assert len(shown) == 1
    with world.database.reading() as session:
        row = session.scalars(select(AuditEvent).where(AuditEvent.action == "object.read")).one()
    assert (row.account_id, row.entity_id, row.detail) == (owner, owner, {"kind": "draft"})
