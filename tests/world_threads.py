"""Threads for the people of `world`: sealed as a browser seals them, posted through the portal's own functions."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session
from world_keys import Keys

from portal.core import clock, ids
from portal.e2ee.directory import Entry
from portal.e2ee.open import Reading, read_thread
from portal.e2ee.records import AnyRecord, EpochHeader, ReceiptKind, Role
from portal.e2ee.seal import Party, Writer, begin_thread
from portal.e2ee.verify import Head, ThreadState, verify_thread
from portal.pharmacies.keys import ServerDirectory
from portal.pharmacies.topics import TEAM_OF_TOPIC, Topic, team_id
from portal.threads import inbox, posting, reading, receipts
from portal.threads.tables import InboxCounter, InboxRow, Thread


def body(text: str) -> tuple[bytes, str]:
    """A text body and its id, which is the Idempotency-Key."""
    key = ids.random_id()
    return json.dumps({"id": key, "type": "text", "text": text}).encode(), key


def thread_by_hand(session: Session, *, patient_id: str, created_by: str, inboxes: Iterable[str], **more: Any) -> str:
    """A thread with Riverside as rows alone, sealed to nobody, in these inboxes; `more` are columns. Gives its id."""
    thread_id, now = ids.random_id(), clock.now()
    columns = {"head_seq": 2, "head": "", "epoch": 1, "members": [], "state": {}, "created_at": now, **more}
    session.add(
        Thread(
            id=thread_id,
            pharmacy_id="riverside",
            patient_id=patient_id,
            topic=Topic.MEDICINE.value,
            created_by=created_by,
            **columns,
        )
    )
    session.flush()
    for reader in inboxes:
        if session.get(InboxCounter, ("riverside", reader)) is None:
            session.add(InboxCounter(pharmacy_id="riverside", reader_id=reader, change_no=1))
        session.add(
            InboxRow(
                pharmacy_id="riverside",
                reader_id=reader,
                thread_id=thread_id,
                last_at=now,
                last_seq=columns["head_seq"],
                change_no=1,
            )
        )
    return thread_id


class Readers(ServerDirectory):
    """The server's directory as browsers know it: certificates by replaced identities hold for what is old."""

    def entries(self, user: str) -> Sequence[Entry]:
        """All entries of a person."""
        return self._chain(user)


@dataclass
class Threads:
    """What the tests do with threads. `sealed` remembers the last request, so that it can be sent again."""

    keys: Keys
    sealed: dict[str, Any] = field(default_factory=dict)

    @property
    def world(self):  # type: ignore[no-untyped-def]
        return self.keys.world

    def party(self, name: str, role: Role) -> Party:
        """A person or team as member of an epoch, with the newest key."""
        owner = name if "_" in name else self.world.accounts[name]
        with self.world.database.reading() as session:
            entry = ServerDirectory(session).user(owner)
        assert entry is not None
        return Party(entry, role)

    def start(
        self,
        by: str,
        patient: str,
        text: str,
        *,
        topic: Topic = Topic.MEDICINE,
        pharmacy: str = "riverside",
        with_patient: bool = True,
        urgent: bool = False,
    ) -> posting.Posted:
        """A thread between a patient and the team of the topic."""
        parties = [self.party(team_id(pharmacy, TEAM_OF_TOPIC[topic]), Role.TEAM)]
        if with_patient:
            parties.insert(0, self.party(patient, Role.PATIENT))
        content, key = body(text)
        writer, made = begin_thread(self.keys.people[by].device, parties, content, topic.value, clock.now_ms())
        birth = posting.Birth(writer.state.thread, pharmacy, self.world.patients[patient], topic)
        self.sealed = {"birth": birth, "sealed": [record.to_json() for record in made], "key": key, "urgent": urgent}
        with self.world.database.transaction() as session:
            return posting.start_thread(session, actor=self.keys.actor(by), **self.sealed)

    def writer(self, name: str, thread_id: str) -> Writer:
        """A member ready to write: everything fetched, verified and opened."""
        records, state = self.fetch(name, thread_id)
        return Writer(self.keys.people[name].device, state, self.opened(name, records).secrets)

    def fetch(self, name: str, thread_id: str) -> tuple[tuple[AnyRecord, ...], ThreadState]:
        """All records as this person gets them, verified from the genesis."""
        raws: list[Any] = []
        with self.world.database.transaction() as session:
            page = reading.page(
                session, actor=self.keys.actor(name), thread_id=thread_id, before=None, after=0, limit=200
            )
            raws += [entry.record for entry in page.items]
        with self.world.database.reading() as session:
            verified = verify_thread(thread_id, raws, Readers(session))
        assert verified.refusal is None, verified.refusal
        return verified.records, verified.state

    def opened(self, name: str, records: Sequence[AnyRecord]) -> Reading:
        """What this person can read of them."""
        keyring = dict(self.keys.people[name].keyring)
        account = self.world.accounts[name]
        for team, generations in self.keys.teams.items():
            record = self.keys.records.get(team)
            if record is not None and record.lists(account):
                keyring |= {(team, key.gen): key.seed for key in generations}
        return read_thread(records, keyring)

    def texts(self, name: str, thread_id: str) -> list[str | None]:
        """The texts this person can read, in order; None for what cannot be read."""
        records, _ = self.fetch(name, thread_id)
        return [
            json.loads(message.opened.body)["text"] if message.opened else None
            for message in self.opened(name, records).messages
        ]

    def send(self, by: str, thread_id: str, text: str, *, urgent: bool = False) -> posting.Posted:
        """A further message."""
        writer = self.writer(by, thread_id)
        content, key = body(text)
        return self.post(by, thread_id, [writer.message(content, clock.now_ms())], key=key, urgent=urgent)

    def post(
        self, by: str, thread_id: str, made: Sequence[AnyRecord], *, key: str | None = None, urgent: bool = False
    ) -> posting.Posted:
        """Send records that were made already."""
        self.sealed = {
            "thread_id": thread_id,
            "sealed": [record.to_json() for record in made],
            "key": key or ids.random_id(),
            "urgent": urgent,
        }
        return self.post_again(by)

    def post_again(self, by: str) -> posting.Posted:
        """The last request once more, byte for byte."""
        with self.world.database.transaction() as session:
            return posting.append(session, actor=self.keys.actor(by), **self.sealed)

    def receipt(self, by: str, thread_id: str, kind: ReceiptKind, seq: int | None = None) -> None:
        """Say how far somebody has got."""
        records, state = self.fetch(by, thread_id)
        at = seq or state.seq
        writer = Writer(self.keys.people[by].device, state)
        raw = writer.receipt(kind, Head(at, records[at - 1].head), clock.now_ms())
        with self.world.database.transaction() as session:
            receipts.post_receipt(session, actor=self.keys.actor(by), thread_id=thread_id, raw=raw)

    def unread(self, name: str, thread_id: str) -> int:
        """The number at the thread in this person's inbox."""
        with self.world.database.transaction() as session:
            page = inbox.page(session, actor=self.keys.actor(name), reader=None, pharmacy_id=None, after=None)
        return next(head.unread for head in page.items if head.thread.id == thread_id)

    def members(self, name: str, thread_id: str) -> list[str]:
        """The ids in the thread's last epoch."""
        records, _ = self.fetch(name, thread_id)
        epochs = [record.header for record in records if isinstance(record.header, EpochHeader)]
        return [seat.id for seat in epochs[-1].members]
