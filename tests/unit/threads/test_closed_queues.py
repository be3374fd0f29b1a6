"""Erin sits with the pharmacists only: her queue says what waits at the desk, and who can let her in, and no more."""

from world_threads import Threads

from portal.pharmacies import care
from portal.pharmacies.topics import TeamKind, Topic
from portal.threads import inbox
from portal.threads.inbox import ClosedQueue

DESK, PHARMACISTS = "riverside_desk", "riverside_pharmacists"


def closed(threads: Threads, name: str) -> list[ClosedQueue]:
    with threads.world.database.reading() as session:
        return inbox.closed_to(session, actor=threads.keys.actor(name))


def test_who_sits_in_one_team_is_told_what_waits_in_another_that_takes_her(threads: Threads) -> None:
    threads.keys.team(PHARMACISTS, "bob", "bob", "erin")
    assert closed(threads, "erin") == [ClosedQueue(DESK, TeamKind.DESK, 0, ("Bob", "Frank"))]
    order = threads.start("alice", "alice", "Has my parcel come?", topic=Topic.ORDER)
    threads.start("dave", "dave", "And mine?", topic=Topic.ORDER)
    threads.start("alice", "alice", "With milk?")
    assert [(one.team, one.waiting) for one in closed(threads, "erin")] == [(DESK, 2)]
    # Not of whom the pharmacy has in care no longer, as in the inbox itself.
    with threads.world.database.transaction() as session:
        actor, patient = threads.keys.actor("bob"), threads.world.patients["dave"]
        care.finish(session, actor=actor, patient_id=patient, pharmacy_id="riverside")
    assert [one.waiting for one in closed(threads, "erin")] == [1]
    assert order.thread_id
    threads.keys.team(DESK, "bob", "bob", "frank", "erin")
    assert closed(threads, "erin") == []


def test_nobody_is_told_of_teams_that_do_not_take_the_role_or_of_another_pharmacy(threads: Threads) -> None:
    """Frank, a technician, hears nothing of the pharmacists, and Carol, Dave and Alice nothing at all."""
    threads.start("alice", "alice", "With milk?")
    for name in ("frank", "carol", "dave", "alice", "bob"):
        assert closed(threads, name) == []


def test_who_sits_nowhere_is_told_of_each_team_that_could_be_hers(threads: Threads) -> None:
    threads.start("alice", "alice", "With milk?")
    assert [(one.team, one.waiting, one.holders) for one in closed(threads, "erin")] == [
        (DESK, 0, ("Bob", "Frank")),
        (PHARMACISTS, 1, ("Bob",)),
    ]
