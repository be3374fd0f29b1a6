"""Bob says that Alice's thanks need no answer, and takes it back; nobody else's inbox is touched by it."""

import pytest
from sqlalchemy import select
from world_threads import Threads

from portal.audit.tables import AuditEvent
from portal.core.errors import Conflict, Forbidden, NotFound
from portal.threads import answered, inbox


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
