"""Told once: a message unread for two minutes sends one content-free mail a thread, until the thread is read.

Who is told, and whether anything still waits, is the threads' and accounts' to say: the handler asks a callback.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from portal import audit, outbox
from portal.audit import Action, Agent, Entity
from portal.core import clock
from portal.core.database import Database, InEachDialect, table_of
from portal.core.together import Writing
from portal.notify.mail import MailDelayed, Mailer, MailRefused
from portal.notify.one_tap import OneTap
from portal.notify.tables import NoticeSent
from portal.notify.words import Template, compose
from portal.outbox import Dead, Job, Retry

KIND = "notice.message"
WAIT = timedelta(minutes=2)

_TABLE = table_of(NoticeSent)
_MARK = InEachDialect(lambda insert: insert(_TABLE).on_conflict_do_nothing())
_TOLD = select(_TABLE.c.account_id).where(
    _TABLE.c.account_id.in_(bindparam("account_ids", expanding=True)), _TABLE.c.about == bindparam("about")
)


@dataclass(frozen=True)
class Recipient:
    """A person something waits for: where to write, in which language, and since when it lies unread."""

    address: str
    language: str
    unread_since: datetime
    patient_id: str | None = None
    pharmacy_id: str | None = None
    # The end of the quiet hours that the person has now; the mail waits for it.
    quiet_until: datetime | None = None


# (session, account id, thread id) → whom to tell; None when nothing is unread, the person wants no mail, has no
# verified address, or the patient is deceased, inactive or merged.
WhoWaits = Callable[[Session, str, str], Recipient | None]


def message_waits(session: Writing, account_ids: Collection[str], thread_id: str) -> None:
    """A message came for some people: look again in two minutes. One statement, however many they are.

    Whoever has been sent a mail about the thread already is left in peace then.
    """
    _look_again(session, account_ids, thread_id, clock.now())


def has_read(session: Session, account_id: str, thread_id: str) -> None:
    """A person read in a thread: the next unread message may be told again, also one that already lies there."""
    gone = session.execute(
        delete(_TABLE)
        .where(_TABLE.c.account_id == account_id, _TABLE.c.about == _about(thread_id))
        .returning(_TABLE.c.about)
    ).first()
    if gone is not None:
        _look_again(session, [account_id], thread_id, clock.now())


class MailJob:
    """What the handlers of jobs have in common that end in a mail."""

    def __init__(self, database: Database, mailer: Mailer, base_url: str) -> None:
        self._database = database
        self._mailer = mailer
        self._base_url = base_url.rstrip("/")

    def send(self, job: Job, template: Template, language: str, *, to: str, next: str, **values: str) -> None:
        """Send the mail of a job; its link leads to the page `next` by way of the login.

        The same job makes the same Message-ID. Raises Retry when the mail server does not answer, Dead for a refused
        mailbox.
        """
        values["link"] = f"{self._base_url}/login?next={next}"
        mail = compose(template, language, to=to, reference=job.id, values=values)
        try:
            self._mailer.send(mail)
        except MailDelayed as problem:
            raise Retry(reason=problem.reason) from problem
        except MailRefused as problem:
            raise Dead(problem.reason) from problem


class MessageNotice(MailJob):
    """The handler of `KIND`: sends the mail if the message still waits, and marks it sent.

    Between the two a crash may send the mail twice, with the same Message-ID; never not at all.
    """

    def __init__(self, database: Database, mailer: Mailer, who_waits: WhoWaits, base_url: str, one_tap: OneTap) -> None:
        super().__init__(database, mailer, base_url)
        self._who_waits = who_waits
        self._one_tap = one_tap

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        account_id, thread_id = str(job.payload["account"]), str(job.payload["thread"])
        with self._database.reading() as session:
            if _told(session, account_id, thread_id):
                return
            recipient = self._who_waits(session, account_id, thread_id)
        if recipient is None:
            return
        if recipient.unread_since + WAIT > clock.now():
            # What this job was planned for has been read; a younger message waits, and gets its own two minutes.
            with self._database.transaction() as session:
                _look_again(session, [account_id], thread_id, recipient.unread_since)
            return
        if recipient.quiet_until is not None:
            with self._database.transaction() as session:
                _look_again(session, [account_id], thread_id, recipient.quiet_until - WAIT)
            return
        self.send(
            job,
            Template.MESSAGE_WAITS,
            recipient.language,
            to=recipient.address,
            next=f"/thread/{thread_id}",
            stop=self._one_tap.link(account_id, "message", "mail"),
        )
        self._mark(account_id, thread_id, recipient)

    def _mark(self, account_id: str, thread_id: str, recipient: Recipient) -> None:
        with self._database.transaction() as session:
            session.execute(
                _MARK.of(session), {"account_id": account_id, "about": _about(thread_id), "sent_at": clock.now()}
            )
            audit.record(
                session,
                Action.NOTICE_SENT,
                agent=Agent(None, None),
                patient_id=recipient.patient_id,
                pharmacy_id=recipient.pharmacy_id,
                entity=Entity("Thread", thread_id),
                detail={"to": account_id},
            )


def _look_again(session: Writing, account_ids: Iterable[str], thread_id: str, since: datetime) -> None:
    wanted = [
        outbox.Wanted({"account": account_id, "thread": thread_id}, dedupe=f"notice:{account_id}:{thread_id}")
        for account_id in account_ids
    ]
    outbox.enqueue_each(session, KIND, wanted, due_at=since + WAIT)


def _told(session: Session, account_id: str, thread_id: str) -> bool:
    return session.scalar(_TOLD, {"account_ids": [account_id], "about": _about(thread_id)}) is not None


def _about(thread_id: str) -> str:
    return f"thread:{thread_id}"
