"""kill -9 in the middle of a send: what was acknowledged is there, nothing is there twice, and the portal comes back.

`PORTAL_TEST_KILLS` says how often at each point (3 by default; `make test-kill`: 25).
"""

import os
import time
from collections import Counter

import httpx
import pytest
from served import Served
from sqlalchemy import func, select

from portal.audit.tables import AuditEvent
from portal.connector.member import Member, OpenThread, Sent
from portal.connector.messages import Message
from portal.core import faults
from portal.e2ee.records import Role
from portal.outbox.tables import OutboxJob
from portal.threads.tables import AcceptedKey, InboxRow, Record, Thread

KILLS = int(os.environ.get("PORTAL_TEST_KILLS", "3"))
RECOVERY_SECONDS = 10.0


@pytest.mark.timeout(120 + 160 * KILLS)
def test_a_killed_send_is_neither_lost_nor_doubled(served: Served) -> None:
    alice, bob = served.member("alice"), served.member("bob")
    bob.teams.found("riverside_pharmacists")
    thread = alice.start_thread(
        Message("before the storm"),
        pharmacy="riverside",
        patient=served.world.patients["alice"],
        topic="medicine",
        team="riverside_pharmacists",
        people={alice.person.id: Role.PATIENT},
    )
    acknowledged: dict[str, int] = {}
    slowest = 0.0
    for point in faults.SEND:
        for number in range(KILLS):
            served.dies_at(point)
            message = Message(f"{point} {number}")
            began = time.monotonic()
            sent = _send_until_accepted(alice, thread, message)
            slowest = max(slowest, time.monotonic() - began)
            acknowledged[message.id] = sent.sequence
            assert not served.fault.exists(), f"the process did not die at {point}"
    assert len(acknowledged) == KILLS * len(faults.SEND)
    assert slowest <= RECOVERY_SECONDS
    _everything_once(bob, thread, acknowledged)
    _counts_agree(served, thread, bob)


def _send_until_accepted(member: Member, thread: OpenThread, message: Message) -> Sent:
    """As the outbox of a browser does: the same message again until it is accepted."""
    end = time.monotonic() + 3 * RECOVERY_SECONDS
    while time.monotonic() < end:
        try:
            return member.send(thread, message)
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("never accepted")


def _everything_once(bob: Member, thread: OpenThread, acknowledged: dict[str, int]) -> None:
    """The other member verifies the chain, opens it, and finds each message exactly where it was acknowledged."""
    lines = bob.read(bob.thread(thread.id))
    assert {line.id: line.seq for line in lines[1:]} == acknowledged
    # `lines` shows an id once; the sealed bodies themselves must not repeat one either.
    assert len(lines) == sum(record.kind == "msg" for record in bob.thread(thread.id).records)


def _counts_agree(served: Served, thread: OpenThread, bob: Member) -> None:
    with served.database.reading() as session:
        row = session.get_one(Thread, thread.id)
        records = session.scalars(select(Record).where(Record.thread_id == thread.id).order_by(Record.seq)).all()
        messages = [record.seq for record in records if record.kind == "msg"]
        keys = session.scalars(select(AcceptedKey.seq).where(AcceptedKey.thread_id == thread.id)).all()
        audited = Counter(
            session.scalars(select(AuditEvent.entity_id).where(AuditEvent.action == "message.sent")).all()
        )
        inbox = session.execute(select(InboxRow.reader_id, InboxRow.last_seq)).all()
        notices = session.scalar(
            select(func.count()).where(OutboxJob.kind == "notice.message", OutboxJob.done_at.is_(None))
        )
    assert [record.seq for record in records] == list(range(1, row.head_seq + 1))
    assert sorted(keys) == messages
    assert audited == Counter(f"{thread.id}.{seq}" for seq in messages)
    assert {seq for _, seq in inbox} == {row.head_seq}
    # Nobody of the pharmacy has written yet, so the queue is told and no mail is planned.
    assert notices == 0
    assert bob.person.id not in {reader for reader, _ in inbox}
