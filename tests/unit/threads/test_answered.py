"""Bob says that Alice's thanks need no answer, and takes it back; nobody else's inbox is touched by it."""

import pytest
from sqlalchemy import select
from world import NOBODY
from world_threads import Threads

from portal.accounts import relations
from portal.audit.tables import AuditEvent
from portal.core.errors import Conflict, Forbidden, NotFound
from portal.pharmacies import care
from portal.threads import answered, inbox
from portal.threads.tables import InboxRow


def waits(threads: Threads, person: str, thread_id: str) -> bool:
    """Whether the thread waits in somebody's inbox."""
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor(person)
        page = inbox.page(session, actor=actor, reader=None, pharmacy_id=None, after=None)
        return next(head.row.awaiting for head in page.items if head.thread.id == thread_id)


def say(threads: Threads, person: str, thread_id: str, sequence: int, done: bool = True) -> dict[str, int]:
    """Somebody says that the thread needs no answer; gives whom it is told."""
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor(person)
        told = answered.set_answered(session, actor=actor, thread_id=thread_id, sequence=sequence, answered=done)
        return told.changes


def test_what_needs_no_answer_waits_no_longer_until_it_is_taken_back(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Thank you, Bob.")
    assert waits(threads, "bob", posted.thread_id)
    told = say(threads, "bob", posted.thread_id, posted.sequence)
    assert "riverside_pharmacists" in told
    assert not waits(threads, "bob", posted.thread_id)
    say(threads, "bob", posted.thread_id, posted.sequence, done=False)
    assert waits(threads, "bob", posted.thread_id)
    with threads.world.database.reading() as session:
        rows = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "thread.answered").order_by(AuditEvent.seq)
        )
        assert [(row.account_id, row.detail) for row in rows] == [
            (threads.world.accounts["bob"], {"answered": True, "sequence": posted.sequence}),
            (threads.world.accounts["bob"], {"answered": False, "sequence": posted.sequence}),
        ]


def test_what_has_come_since_is_not_answered_by_it(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Thank you, Bob.")
    with pytest.raises(Conflict):
        say(threads, "bob", posted.thread_id, posted.sequence - 1)
    assert waits(threads, "bob", posted.thread_id)


def test_only_staff_of_its_teams_may_say_so(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Thank you, Bob.")
    with pytest.raises(Forbidden):
        say(threads, "alice", posted.thread_id, posted.sequence)
    for stranger in ("carol", "dave"):
        with pytest.raises(NotFound):
            say(threads, stranger, posted.thread_id, posted.sequence)


def counted(threads: Threads, person: str) -> int:
    with threads.world.database.reading() as session:
        return inbox.awaiting_count(session, actor=threads.keys.actor(person))


def test_the_badge_counts_what_the_inbox_shows(threads: Threads) -> None:
    world = threads.world
    threads.start("alice", "alice", "A question.")
    assert (counted(threads, "bob"), counted(threads, "carol")) == (1, 0)
    with world.database.transaction() as session:
        care.finish(
            session, actor=threads.keys.actor("bob"), patient_id=world.patients["alice"], pharmacy_id="riverside"
        )
    assert counted(threads, "bob") == 0


def test_the_badge_tells_alice_nothing_of_whom_she_acts_for_no_longer(threads: Threads) -> None:
    world = threads.world
    posted = threads.start("alice", "alice", "A question.")
    with world.database.transaction() as session:
        for row in session.scalars(select(InboxRow).where(InboxRow.thread_id == posted.thread_id)):
            row.awaiting = True
    assert counted(threads, "alice") == 1
    with world.database.transaction() as session:
        for one in relations.live(session, account_id=world.accounts["alice"]):
            relations.end(session, agent=NOBODY, relation_id=one.id)
    assert counted(threads, "alice") == 0
