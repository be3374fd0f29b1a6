"""Who is told that a message waits: those who want it, can be reached, may read the thread, and have not read it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from portal.accounts.tables import Account, NoticeChoice, Patient, Relation
from portal.core import clock
from portal.core.database import Database
from portal.notify.notices import Recipient
from portal.threads.notices import who_waits
from portal.threads.tables import InboxRow, ReadPosition, Record, Thread

ALICE, BOB, DAVE, CAROL = "a" * 32, "b" * 32, "d" * 32, "c" * 32
PATIENT, THREAD = "1" * 32, "f" * 32


@pytest.fixture
def world(database: Database, tuesday: datetime) -> Database:
    """Alice's thread with Riverside: her question, Bob's answer a minute later, and his second one."""

    def account(id: str, role: str, pharmacy: str | None, language: str = "en") -> Account:
        return Account(
            id=id,
            issuer="https://idp.test",
            subject=id,
            role=role,
            pharmacy_id=pharmacy,
            display_name=id[0],
            email=f"{id[0]}@example.test",
            email_verified=True,
            language=language,
            created_at=clock.now(),
        )

    def record(seq: int, author: str, minute: int) -> Record:
        at = clock.now() + timedelta(minutes=minute)
        return Record(
            pharmacy_id="riverside",
            thread_id=THREAD,
            seq=seq,
            kind="epoch" if seq == 1 else "msg",
            h="",
            sig="",
            account_id=author,
            received_at=at,
        )

    with database.transaction() as session:
        session.add_all(
            [
                account(ALICE, "patient", None, "es"),
                account(DAVE, "patient", None),
                account(BOB, "pharmacist", "riverside"),
                account(CAROL, "pharmacist", "harbor"),
                Patient(id=PATIENT, status="active", created_at=clock.now()),
            ]
        )
        session.flush()
        session.add(Relation(id="2" * 32, account_id=ALICE, patient_id=PATIENT, kind="self", starts_at=clock.now()))
        session.add(
            Thread(
                id=THREAD,
                pharmacy_id="riverside",
                patient_id=PATIENT,
                topic="medicine",
                created_by=ALICE,
                created_at=clock.now(),
                head_seq=4,
                head="",
                last_message_seq=4,
                epoch=1,
                members=[{"id": ALICE, "role": "patient", "gen": 1}],
                state={},
            )
        )
        session.flush()
        session.add_all([record(1, ALICE, 0), record(2, ALICE, 0), record(3, BOB, 1), record(4, BOB, 5)])
        session.add(
            InboxRow(
                pharmacy_id="riverside",
                reader_id=ALICE,
                thread_id=THREAD,
                last_at=clock.now(),
                last_seq=4,
                change_no=1,
            )
        )
    return database


def asked(database: Database, account_id: str) -> Recipient | None:
    with database.reading() as session:
        return who_waits(session, account_id, THREAD)


def change(database: Database, kind: type, key: object, **values: Any) -> None:
    with database.transaction() as session:
        row = session.get_one(kind, key)
        for name, value in values.items():
            setattr(row, name, value)


def reads(database: Database, seq: int) -> None:
    with database.transaction() as session:
        session.merge(
            ReadPosition(pharmacy_id="riverside", account_id=ALICE, thread_id=THREAD, delivered_seq=seq, read_seq=seq)
        )


def test_alice_is_told_in_her_language_of_what_others_wrote_first(world: Database, tuesday: datetime) -> None:
    since = tuesday + timedelta(minutes=1)
    assert asked(world, ALICE) == Recipient("a@example.test", "es", since, PATIENT, "riverside")


def test_the_time_counts_from_the_first_message_she_has_not_read(world: Database, tuesday: datetime) -> None:
    reads(world, 3)
    told = asked(world, ALICE)
    assert told is not None
    assert told.unread_since == tuesday + timedelta(minutes=5)


def test_who_has_read_everything_is_not_told(world: Database) -> None:
    reads(world, 4)
    assert asked(world, ALICE) is None


def test_bob_is_told_of_her_question_and_not_of_his_own_answers(world: Database, tuesday: datetime) -> None:
    told = asked(world, BOB)
    assert told is not None
    assert told.unread_since == tuesday


@pytest.mark.parametrize("stranger", [CAROL, DAVE, "0" * 32])
def test_who_may_not_read_the_thread_is_not_told(world: Database, stranger: str) -> None:
    assert asked(world, stranger) is None


@pytest.mark.parametrize(
    "values",
    [
        {"email_verified": False},
        {"email": None},
        {"disabled_at": datetime.fromisoformat("2026-11-01T00:00:00+00:00")},
    ],
)
def test_who_wants_no_mail_or_has_no_proven_address_is_not_told(world: Database, values: dict[str, Any]) -> None:
    change(world, Account, ALICE, **values)
    assert asked(world, ALICE) is None


def test_who_has_stopped_these_mails_is_not_told_and_quiet_hours_come_along(world: Database) -> None:
    change(world, Account, ALICE, quiet_from="00:00", quiet_until="23:59", time_zone="UTC")
    waits = asked(world, ALICE)
    assert waits is not None
    assert waits.quiet_until is not None
    with world.transaction() as session:
        session.add(NoticeChoice(account_id=ALICE, kind="message", channel="mail", wanted=False))
    assert asked(world, ALICE) is None


@pytest.mark.parametrize("status", ["deceased", "inactive", "merged"])
def test_nothing_is_ever_sent_about_a_patient_who_is_gone(world: Database, status: str) -> None:
    change(world, Patient, PATIENT, status=status)
    assert asked(world, ALICE) is None
