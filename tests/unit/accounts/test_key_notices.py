"""What a person hears by mail when something happens to the own keys."""

import pytest
from sqlalchemy import select
from world import World, build

from portal.accounts.notices import KEYS_JOB, KeyNotice, What
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock, texts
from portal.core.database import Database
from portal.identity import session_life, sessions
from portal.notify.mail import Mail, MailDelayed, MailRefused
from portal.outbox import Dead, Job, Retry


class Postbox:
    """Keeps mails; raises `trouble` when it is set."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.trouble: Exception | None = None

    def send(self, mail: Mail) -> None:
        """As every mailer."""
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(mail)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def job(world: World, name: str = "alice", what: str = "recovery-read") -> Job:
    told = {"account": world.accounts[name], "what": what, "at": "2026-11-22T09:30:00+00:00", "session": None}
    return Job("job1", KEYS_JOB, told, None, 1, clock.now())


def test_alice_is_asked_whether_it_was_her(world: World) -> None:
    post = Postbox()
    KeyNotice(world.database, post, "https://portal.test/")(job(world))
    (mail,) = post.sent
    assert (mail.to, mail.subject) == ("alice@example.org", "Somebody asked for your keys in a new browser")
    assert "https://portal.test/login?next=/something-wrong" in mail.text.split("\n")
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "notice.sent"))
    assert row.detail == {"to": world.accounts["alice"], "what": "recovery-read"}


@pytest.mark.parametrize("what", What)
def test_each_mail_says_what_was_done_when_and_where(world: World, what: What) -> None:
    post = Postbox()
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["alice"]).time_zone = "America/Chicago"
        proof = session_life.Proof(clock.now(), None, (), None, None)
        agent = "Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0"
        _, current = sessions.begin(
            session, account_id=world.accounts["alice"], role="patient", proof=proof, user_agent=agent
        )
    told = job(world, what=what.value)
    told.payload["session"] = current.ref
    KeyNotice(world.database, post, "https://portal.test/")(told)
    (mail,) = post.sent
    assert "When: Sunday, November 22, 2026, 3:30 AM (America/Chicago)\nBrowser: Firefox · Windows\n" in mail.text
    # Each kind has words of its own.
    assert len({texts.get(f"mail.{one.value}.subject") for one in What}) == len(What)


def test_a_browser_that_names_itself_as_nothing_we_know_is_no_words_of_its_own(world: World) -> None:
    post = Postbox()
    KeyNotice(world.database, post, "https://portal.test/")(job(world))
    assert "Browser: ?\n" in post.sent[0].text


def test_nothing_goes_to_a_closed_account_or_an_unproved_address(world: World) -> None:
    post = Postbox()
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["alice"]).disabled_at = clock.now()
        session.get_one(Account, world.accounts["dave"]).email_verified = False
        session.get_one(Account, world.accounts["rosa"]).email = None
    for name in ("alice", "dave", "rosa"):
        KeyNotice(world.database, post, "https://portal.test")(job(world, name))
    assert post.sent == []


def test_a_slow_mail_server_is_tried_again_and_a_refused_mailbox_is_not(world: World) -> None:
    post = Postbox()
    for trouble, answer in ((MailDelayed("slow"), Retry), (MailRefused("no-mailbox"), Dead)):
        post.trouble = trouble
        with pytest.raises(answer):
            KeyNotice(world.database, post, "https://portal.test")(job(world))
