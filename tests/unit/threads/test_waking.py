"""Rosa enrols: threads that wait for her keys come up in the pharmacists' open browsers."""

import pytest
from world import World, build
from world_threads import thread_by_hand

from portal.accounts.directory import CHANGED_JOB
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.outbox import Job
from portal.threads.waking import Waking

TEAM = "riverside_pharmacists"


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def add_thread(world: World, patient: str, *, waits: bool, members: tuple[tuple[str, str], ...] = ()) -> str:
    """A thread about a patient in the inbox of the team; `members` of the patient's side, each with a role."""
    with world.database.transaction() as session:
        return thread_by_hand(
            session,
            patient_id=world.patients[patient],
            created_by=world.accounts["bob"],
            inboxes=[TEAM],
            waits_for_keys=waits,
            members=[{"id": world.accounts[name], "role": role, "gen": 1} for name, role in members],
        )


def test_only_the_threads_that_wait_for_her_are_told(world: World) -> None:
    waiting = add_thread(world, "rosa", waits=True)
    add_thread(world, "rosa", waits=False, members=(("rosa", "patient"),))
    add_thread(world, "dave", waits=True)
    bus = MemoryBus()
    heard = bus.subscribe(frozenset({f"reader:{TEAM}"}))
    for what in ("entry", "device-ended"):
        payload = {"account": world.accounts["rosa"], "what": what}
        Waking(world.database, bus)(Job("job", CHANGED_JOB, payload, None, 1, clock.now()))
    event = heard.get(0.1)
    assert event is not None
    assert (event["thread"], event["reader"]) == (waiting, TEAM)
    assert heard.get(0.01) is None


def test_a_conversation_that_her_daughter_began_alone_is_told_too(world: World) -> None:
    begun = add_thread(world, "rosa", waits=False, members=(("judy", "proxy"),))
    bus = MemoryBus()
    heard = bus.subscribe(frozenset({f"reader:{TEAM}"}))
    for name in ("judy", "rosa"):
        payload = {"account": world.accounts[name], "what": "entry"}
        Waking(world.database, bus)(Job("job", CHANGED_JOB, payload, None, 1, clock.now()))
    event = heard.get(0.1)
    assert event is not None
    assert event["thread"] == begun
    assert heard.get(0.01) is None
