"""Encrypted files beside their messages: the parts go where the file goes, to another pharmacy or away."""

import hashlib
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from world_threads import Threads, body

from portal.core import clock, ids
from portal.core.errors import Unprocessable
from portal.e2ee.encoding import b64
from portal.e2ee.records import ReceiptKind
from portal.threads import attachments
from portal.threads.attachments import LIFE, ORPHAN_AGE, Event, State, state_of
from portal.threads.tables import Attachment, AttachmentPart

CONTENT = b"ciphertext of a photo"
NAMED = {"size": len(CONTENT), "cth": b64(hashlib.sha256(CONTENT).digest())}


def uploaded(threads: Threads, by: str, thread_id: str, pharmacy: str = "riverside") -> str:
    attachment, actor = ids.random_id(), threads.keys.actor(by)
    with threads.world.database.transaction() as session:
        whose = {"thread_id": thread_id, "pharmacy_id": pharmacy}
        attachments.begin(session, actor=actor, attachment_id=attachment, quota=1024, **whose, **NAMED)
        attachments.put_part(session, actor=actor, attachment_id=attachment, start=0, data=CONTENT)
        assert attachments.complete(session, actor=actor, attachment_id=attachment)
    return attachment


def sent(threads: Threads, by: str, thread_id: str, attachment: str) -> int:
    """The sequence of a message that names the file."""
    content, key = body("See the photo.")
    writer = threads.writer(by, thread_id)
    made = writer.message(content, clock.now_ms(), attachments=[{"id": attachment, **NAMED}])
    return threads.post(by, thread_id, [made], key=key).sequence


def kept(threads: Threads) -> list[tuple[str, str]]:
    with threads.world.database.reading() as session:
        return [tuple(row) for row in session.execute(select(AttachmentPart.pharmacy_id, AttachmentPart.attachment_id))]


def test_a_file_belongs_to_the_pharmacy_of_the_message_that_names_it(threads: Threads) -> None:
    thread_id = threads.start("alice", "alice", "Hello.").thread_id
    attachment = uploaded(threads, "alice", thread_id)
    with threads.world.database.transaction() as session:
        # As a browser announces it that has another pharmacy in view while the thread does not exist yet.
        session.get_one(Attachment, attachment).pharmacy_id = "harbor"
    assert kept(threads) == [("harbor", attachment)]
    sent(threads, "alice", thread_id, attachment)
    assert kept(threads) == [("riverside", attachment)]
    with threads.world.database.transaction() as session:
        readable = attachments.open_for_reading(session, actor=threads.keys.actor("bob"), attachment_id=attachment)
        assert attachments.read_range(session, readable, 0, readable.size) == CONTENT


def test_a_file_that_no_message_names_goes_after_a_day_with_its_parts(threads: Threads, tuesday: datetime) -> None:
    thread_id = threads.start("alice", "alice", "Hello.").thread_id
    named, _ = (uploaded(threads, "alice", thread_id) for _ in range(2))
    sent(threads, "alice", thread_id, named)
    with clock.at(tuesday + ORPHAN_AGE), threads.world.database.transaction() as session:
        assert attachments.remove_orphans(session) == 0
    with clock.at(tuesday + ORPHAN_AGE + timedelta(seconds=1)), threads.world.database.transaction() as session:
        assert attachments.remove_orphans(session) == 1
    assert kept(threads) == [("riverside", named)]


def test_the_file_of_a_message_that_nobody_had_read_goes_with_it(threads: Threads) -> None:
    thread_id = threads.start("alice", "alice", "Hello.").thread_id
    read = uploaded(threads, "alice", thread_id)
    first = sent(threads, "alice", thread_id, read)
    threads.receipt("bob", thread_id, ReceiptKind.READ)
    second = sent(threads, "alice", thread_id, uploaded(threads, "alice", thread_id))
    for sequence in (first, second):
        writer = threads.writer("alice", thread_id)
        threads.post("alice", thread_id, [writer.redact(sequence, "mistake", clock.now_ms())])
    assert kept(threads) == [("riverside", read)]


def state(threads: Threads, attachment: str) -> State:
    with threads.world.database.reading() as session:
        found = session.get(Attachment, attachment)
    return State.GONE if found is None else state_of(found)


def test_a_files_life_is_what_the_table_says(threads: Threads) -> None:
    thread_id, actor = threads.start("alice", "alice", "Hello.").thread_id, threads.keys.actor("alice")
    attachment = ids.random_id()
    whose = {"attachment_id": attachment, "thread_id": thread_id, "pharmacy_id": "riverside"}
    with threads.world.database.transaction() as session:
        attachments.begin(session, actor=actor, quota=1024, **whose, **NAMED)
    reached = LIFE.after(None, Event.ANNOUNCED)
    assert state(threads, attachment) is reached
    for event, data in ((Event.OTHER_HASH, b"x" * len(CONTENT)), (Event.WHOLE, CONTENT)):
        with threads.world.database.transaction() as session:
            attachments.put_part(session, actor=actor, attachment_id=attachment, start=0, data=data)
            attachments.complete(session, actor=actor, attachment_id=attachment)
        reached = LIFE.after(reached, event)
        assert state(threads, attachment) is reached
    sequence = sent(threads, "alice", thread_id, attachment)
    reached = LIFE.after(reached, Event.SENT)
    assert state(threads, attachment) is reached
    writer = threads.writer("alice", thread_id)
    threads.post("alice", thread_id, [writer.redact(sequence, "mistake", clock.now_ms())])
    assert state(threads, attachment) is LIFE.after(reached, Event.RETRACTED)


@pytest.mark.parametrize("before", [State.ARRIVING, State.NAMED])
def test_only_a_complete_file_is_named_by_a_message(threads: Threads, before: State) -> None:
    thread_id, attachment = threads.start("alice", "alice", "Hi.").thread_id, ids.random_id()
    if before is State.NAMED:
        attachment = uploaded(threads, "alice", thread_id)
        sent(threads, "alice", thread_id, attachment)
    else:
        with threads.world.database.transaction() as session:
            whose = {"attachment_id": attachment, "thread_id": thread_id, "pharmacy_id": "riverside"}
            attachments.begin(session, actor=threads.keys.actor("alice"), quota=1024, **whose, **NAMED)
    assert state(threads, attachment) is before
    assert LIFE.after(before, Event.SENT) is None
    with pytest.raises(Unprocessable, match="attachment"):
        sent(threads, "alice", thread_id, attachment)
