"""Alice is told once that something waits: after two minutes, one mail a thread, until she has read it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from portal import notify
from portal.core import clock
from portal.core.database import Database
from portal.notify.mail import Mail, MailDelayed, MailRefused
from portal.notify.notices import KIND, MessageNotice, Recipient
from portal.notify.one_tap import OneTap, Stopped
from portal.outbox import Runner, dead_letters

ALICE, ROSA = "a" * 32, "e" * 32
THREAD, OTHER = "f" * 32, "0" * 32
ONE_TAP = OneTap(["test-secret-key-of-at-least-32-characters"], "https://portal.test/")


class World:
    """Threads and accounts as far as a notice knows them, and a mailbox."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.unread: dict[tuple[str, str], datetime] = {}
        self.mails: list[Mail] = []
        self.problems: list[Exception] = []
        self.wants_mail = True
        self.quiet_until: datetime | None = None
        handler = MessageNotice(database, self, self.who_waits, "https://portal.test/", ONE_TAP)
        self.runner = Runner(database, {KIND: handler})

    def send(self, mail: Mail) -> None:
        if self.problems:
            raise self.problems.pop()
        self.mails.append(mail)

    def who_waits(self, session: Session, account_id: str, thread_id: str) -> Recipient | None:
        since = self.unread.get((account_id, thread_id))
        if since is None or not self.wants_mail:
            return None
        language = "es" if account_id == ROSA else "en"
        quiet = self.quiet_until if self.quiet_until is not None and self.quiet_until > clock.now() else None
        return Recipient(f"{account_id[0]}@example.test", language, since, account_id, "riverside", quiet)

    def message(self, account_id: str = ALICE, thread_id: str = THREAD) -> None:
        with self.database.transaction() as session:
            notify.message_waits(session, [account_id], thread_id)
        self.unread.setdefault((account_id, thread_id), clock.now())

    def reads(self, account_id: str = ALICE, thread_id: str = THREAD, *, leaves: bool = False) -> None:
        with self.database.transaction() as session:
            notify.has_read(session, account_id, thread_id)
        if not leaves:
            self.unread.pop((account_id, thread_id), None)

    def passes(self, seconds: int) -> list[Mail]:
        """So many seconds go by, a second at a time; the mails that left meanwhile."""
        before = len(self.mails)
        for _ in range(seconds):
            clock.shift(timedelta(seconds=1))
            self.runner.run_due()
        return self.mails[before:]


@pytest.fixture
def world(database: Database, tuesday: datetime) -> World:
    return World(database)


def test_a_message_unread_for_two_minutes_sends_one_mail(world: World) -> None:
    world.message()
    assert world.passes(119) == []
    (mail,) = world.passes(1)
    assert mail.to == "a@example.test"
    assert f"https://portal.test/login?next=/thread/{THREAD}" in mail.text
    world.message()
    assert world.passes(300) == []


def test_in_quiet_hours_the_mail_waits_until_they_end(world: World) -> None:
    world.quiet_until = clock.now() + timedelta(minutes=10)
    world.message()
    assert world.passes(599) == []
    (mail,) = world.passes(2)
    assert mail.to == "a@example.test"
    assert world.passes(300) == []


def test_what_is_read_in_quiet_hours_is_not_told_after_them(world: World) -> None:
    world.quiet_until = clock.now() + timedelta(minutes=10)
    world.message()
    world.passes(300)
    world.reads()
    assert world.passes(900) == []


def test_the_mail_can_be_stopped_from_itself(world: World) -> None:
    world.message()
    (mail,) = world.passes(120)
    assert mail.stop is not None
    assert mail.stop in mail.text
    assert ONE_TAP.read(mail.stop.rpartition("/")[2]) == Stopped(ALICE, "message", "mail")


def test_a_message_read_in_time_sends_none(world: World) -> None:
    world.message()
    world.passes(60)
    world.reads()
    assert world.passes(300) == []


def test_many_messages_send_one_mail_and_after_reading_one_more(world: World) -> None:
    for _ in range(5):
        world.message()
        world.passes(10)
    assert len(world.passes(300)) == 1
    world.reads()
    assert world.passes(300) == []
    world.message()
    assert len(world.passes(120)) == 1


def test_a_younger_message_gets_its_own_two_minutes(world: World) -> None:
    world.message()
    world.passes(60)
    world.reads()
    world.passes(50)
    world.message()
    assert world.passes(119) == []
    assert len(world.passes(1)) == 1


def test_what_was_left_unread_after_a_look_is_told_again(world: World) -> None:
    world.message()
    assert len(world.passes(120)) == 1
    world.reads(leaves=True)
    assert len(world.passes(120)) == 1
    assert world.passes(600) == []


def test_each_thread_and_each_person_is_told_apart(world: World) -> None:
    world.message()
    world.message(thread_id=OTHER)
    world.message(ROSA)
    mails = world.passes(120)
    assert sorted((mail.to, mail.language) for mail in mails) == [
        ("a@example.test", "en"),
        ("a@example.test", "en"),
        ("e@example.test", "es"),
    ]
    assert len({mail.reference for mail in mails}) == 3


def test_who_wants_no_mail_or_may_not_be_written_to_gets_none(world: World) -> None:
    world.wants_mail = False
    world.message()
    assert world.passes(600) == []
    world.wants_mail = True
    world.message()
    assert len(world.passes(120)) == 1


def test_a_server_that_is_down_delays_the_mail_and_does_not_double_it(world: World) -> None:
    world.problems = [MailDelayed("ConnectionRefusedError")] * 3
    world.message()
    assert world.passes(120) == []
    assert len(world.passes(120)) == 1


def test_a_refused_mailbox_is_a_dead_letter(world: World) -> None:
    world.problems = [MailRefused("recipient-550")]
    world.message()
    assert world.passes(200) == []
    with world.database.reading() as session:
        assert [letter.last_error for letter in dead_letters.find(session)] == ["recipient-550"]


def test_a_second_run_of_the_same_job_sends_nothing(world: World) -> None:
    world.message()
    world.passes(120)
    with world.database.transaction() as session:
        session.execute(text("UPDATE outbox_job SET done_at = NULL"))
    assert world.passes(1) == []


def test_the_mail_is_on_record_without_its_address(world: World) -> None:
    world.message()
    world.passes(120)
    with world.database.reading() as session:
        row: Any = session.execute(text("SELECT * FROM audit_event")).one()
    assert (row.action, row.patient_id, row.pharmacy_id, row.entity_id) == ("notice.sent", ALICE, "riverside", THREAD)
    assert "example.test" not in str(row)
