"""Who gets the bytes of a file that a message named, and that every range of them leaves a row."""

import hashlib

import pytest
import world
from flask import Flask
from sqlalchemy import func, select
from world_keys import Keys
from world_threads import Threads, body
from world_web import Browser

from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.database import Database
from portal.e2ee.encoding import b64
from portal.e2ee.records import ReceiptKind
from portal.threads import attachments

CONTENT = b"ciphertext of a photo"


@pytest.fixture
def threads(database: Database) -> Threads:
    keys = Keys(world.build(database))
    keys.enrol("alice", "bob")
    keys.team("riverside_pharmacists", "bob", "bob")
    return Threads(keys)


def send_file(threads: Threads, by: str, thread_id: str) -> tuple[str, int]:
    """A message with a file: the file's id, and the sequence of the message."""
    attachment, hashed = ids.random_id(), b64(hashlib.sha256(CONTENT).digest())
    actor = threads.keys.actor(by)
    with threads.world.database.transaction() as session:
        attachments.begin(
            session,
            actor=actor,
            attachment_id=attachment,
            thread_id=thread_id,
            pharmacy_id="riverside",
            size=len(CONTENT),
            cth=hashed,
            quota=1024,
        )
        attachments.put_part(session, actor=actor, attachment_id=attachment, start=0, data=CONTENT)
        assert attachments.complete(session, actor=actor, attachment_id=attachment)
    named = {"id": attachment, "size": len(CONTENT), "cth": hashed}
    writer = threads.writer(by, thread_id)
    content, key = body("See the photo.")
    posted = threads.post(by, thread_id, [writer.message(content, clock.now_ms(), attachments=[named])], key=key)
    return attachment, posted.sequence


def rows(threads: Threads) -> int:
    with threads.world.database.reading() as session:
        return session.scalar(select(func.count()).where(AuditEvent.action == "attachment.read")) or 0


def test_no_range_of_a_file_is_read_without_a_row(app: Flask, threads: Threads) -> None:
    thread_id = threads.start("alice", "alice", "Hello.").thread_id
    attachment, _ = send_file(threads, "alice", thread_id)
    bob = Browser(app, threads.world, "bob")
    for expected, start in ((1, 0), (2, 1), (3, 5)):
        answer = bob.client.get(f"/api/attachments/{attachment}", headers={"Range": f"bytes={start}-"})
        assert (answer.status_code, answer.get_data()) == (206, CONTENT[start:])
        assert rows(threads) == expected


def test_the_file_of_a_retracted_message_is_for_staff_who_had_read_it(app: Flask, threads: Threads) -> None:
    thread_id = threads.start("alice", "alice", "Hello.").thread_id
    attachment, sequence = send_file(threads, "alice", thread_id)
    threads.receipt("bob", thread_id, ReceiptKind.READ)
    writer = threads.writer("alice", thread_id)
    threads.post("alice", thread_id, [writer.redact(sequence, "mistake", clock.now_ms())])
    path = f"/api/attachments/{attachment}"
    assert Browser(app, threads.world, "bob").get(path).get_data() == CONTENT
    assert Browser(app, threads.world, "alice").get(path).status_code == 404
