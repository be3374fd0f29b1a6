"""Alice has left Riverside; she can still check who wrote to her, and Dave cannot."""

import pytest
from world import World, build
from world_threads import thread_by_hand

from portal.core import clock
from portal.core.database import Database
from portal.pharmacies import care, directory
from portal.threads.sharing import who_shares
from portal.threads.tables import Record

TEAM = "riverside_pharmacists"


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def thread(world: World) -> str:
    """A thread of Alice with the team, in which Bob has written."""
    alice = world.accounts["alice"]
    with world.database.transaction() as session:
        thread = thread_by_hand(
            session, patient_id=world.patients["alice"], created_by=alice, inboxes=[alice, TEAM], head_seq=1
        )
        session.add(
            Record(
                pharmacy_id="riverside",
                thread_id=thread,
                seq=1,
                kind="msg",
                h="",
                sig="",
                account_id=world.accounts["bob"],
                received_at=clock.now(),
            )
        )
        care.end(session, actor=world.actor("alice"), patient_id=world.patients["alice"], pharmacy_id="riverside")
    return thread


def test_readers_and_writers_of_a_common_thread_are_found(world: World, thread: str) -> None:
    asked = frozenset({TEAM, world.accounts["bob"], world.accounts["erin"], world.accounts["dave"]})
    with world.database.reading() as session:
        assert who_shares(session, world.actor("alice"), asked) == {TEAM, world.accounts["bob"]}
        assert who_shares(session, world.actor("dave"), asked) == frozenset()
        assert who_shares(session, world.actor("carol"), asked) == frozenset()


def test_alice_still_looks_up_who_wrote_to_her(world: World, thread: str) -> None:
    with world.database.transaction() as session:
        found = directory.look_up(
            session,
            actor=world.actor("alice"),
            ids=[world.accounts["bob"], world.accounts["erin"]],
            shares_thread=who_shares,
        )
    assert [one.id for one in found] == [world.accounts["bob"]]
