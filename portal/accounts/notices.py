"""Tells a person by mail that something happened to the own keys: always, since it may not have been the person."""

from enum import StrEnum

from sqlalchemy.orm import Session

from portal import audit
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose
from portal.core.database import Database
from portal.notify.mail import Mailer
from portal.notify.notices import hand_over
from portal.notify.words import Template, compose
from portal.outbox import Job, enqueue

# The job that tells a person; payload {account, what}.
KEYS_JOB = "notice.keys"


class What(StrEnum):
    """What happened to the keys of a person."""

    RECOVERY_READ = "recovery-read"
    RECOVERY_SET = "recovery-set"
    DEVICE_ADDED = "device-added"
    DEVICE_ENDED = "device-ended"
    RESET = "reset"


def tell(session: Session, account_id: str, what: What) -> None:
    """Tell a person what happened to the own keys, once the caller's transaction is committed."""
    enqueue(session, KEYS_JOB, {"account": account_id, "what": what.value})


class KeyNotice:
    """The handler of `KEYS_JOB`. What happened stays inside: the mail asks to sign in and look."""

    def __init__(self, database: Database, mailer: Mailer, base_url: str) -> None:
        self._database = database
        self._mailer = mailer
        self._base_url = base_url.rstrip("/")

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            account = session.get(Account, str(job.payload["account"]))
        if account is None or account.disabled_at is not None or not account.email or not account.email_verified:
            return
        mail = compose(
            Template.KEYS_CHANGED,
            account.language,
            to=account.email,
            reference=job.id,
            values={"link": f"{self._base_url}/login?next=/account"},
        )
        hand_over(self._mailer, mail)
        with self._database.transaction() as session:
            _note(session, account.id, str(job.payload["what"]))


def _note(session: Session, account_id: str, what: str) -> None:
    audit.record(
        session,
        Action.NOTICE_SENT,
        agent=Agent(None, None),
        entity=Entity("Account", account_id),
        purpose=Purpose.HSYSADMIN,
        detail={"to": account_id, "what": what},
    )
