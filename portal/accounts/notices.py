"""Tells a person by mail that something happened to the own keys: always, since it may not have been the person."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from portal import audit
from portal.accounts.actor import Actor
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose
from portal.core import clock
from portal.identity import session_rows
from portal.identity.user_agents import describe
from portal.notify.notices import MailJob
from portal.notify.words import Template, moment
from portal.outbox import Job, enqueue

# The job that tells a person; payload {account, what, at, session}.
KEYS_JOB = "notice.keys"
# A program, or a browser that does not say what it is.
NAMELESS = "?"
# How long the address before the present one hears of what happens to keys.
EARLIER_HEARS = timedelta(days=30)


class What(StrEnum):
    """What happened to the keys of a person, or to the place where they are opened."""

    RECOVERY_READ = "recovery-read"
    RECOVERY_SET = "recovery-set"
    RECOVERY_REMOVED = "recovery-removed"
    DEVICE_ADDED = "device-added"
    DEVICE_ENDED = "device-ended"
    TILE_REMOVED = "tile-removed"
    RESET = "reset"
    CONTACT_CHANGED = "contact-changed"
    STOPPED = "stopped"
    STOP_ENDING = "stop-ending"
    STOP_ENDED = "stop-ended"


# Where every such mail leads: devices can be ended there and everything stopped, also in a browser that has no keys.
_NEXT = "/something-wrong"


def tell(session: Session, actor: Actor, what: What) -> None:
    """Tell a person what happened to the own keys, once the caller's transaction is committed."""
    tell_account(session, actor.account_id, what, by=actor.agent.session_ref)


def tell_account(session: Session, account_id: str, what: What, *, by: str | None = None) -> None:
    """As `tell`, of what somebody else did or nobody; `by` is the session that did it.

    Whose address has changed lately is told at the one before, too: the change may not have been theirs.
    """
    at = clock.now().isoformat(timespec="seconds")
    told = {"account": account_id, "what": what.value, "at": at, "session": by}
    enqueue(session, KEYS_JOB, told)
    if earlier_address(session.get(Account, account_id)) is not None:
        enqueue(session, KEYS_JOB, {**told, "earlier": True})


def earlier_address(account: Account | None) -> str | None:
    """The verified address before the present one, for as long as its owner is to hear of what happens."""
    if account is None or account.email_changed_at is None or account.email_changed_at + EARLIER_HEARS <= clock.now():
        return None
    return account.earlier_email


def address(account: Account | None, *, earlier: bool) -> str | None:
    """Where a notice goes: the verified address or the one before it; None for a closed account and without one."""
    if account is None or account.disabled_at is not None:
        return None
    return earlier_address(account) if earlier else (account.email or None) if account.email_verified else None


def zone_of(account: Account | None) -> str:
    """The zone in which somebody reads times in a mail."""
    return (account.time_zone if account is not None else None) or "UTC"


class AccountMail(MailJob):
    """What mails to people with an account have in common: where they go, and that each one is on record."""

    def tell(
        self,
        job: Job,
        account: Account | None,
        what: Template,
        *,
        next: str,
        earlier: bool = False,
        pharmacy_id: str | None = None,
        **values: str,
    ) -> None:
        """Send it, and put it on record (of `pharmacy_id`, too). Nothing goes to who is closed or has no address.

        Raises what `MailJob.send` raises.
        """
        to = address(account, earlier=earlier)
        if account is None or to is None:
            return
        self.send(job, what, account.language, to=to, next=next, **values)
        with self._database.transaction() as session:
            note_sent(session, account.id, what, pharmacy_id=pharmacy_id)


class KeyNotice(AccountMail):
    """The handler of `KEYS_JOB`. The mail says what was done to keys, when, and in which kind of browser."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            account = session.get(Account, str(job.payload["account"]))
            browser = session_rows.browser_of(session, job.payload.get("session"))
        self.tell(
            job,
            account,
            Template(job.payload["what"]),
            next=_NEXT,
            earlier=bool(job.payload.get("earlier")),
            when=moment(datetime.fromisoformat(job.payload["at"]), zone_of(account)),
            browser=describe(browser) or NAMELESS,
        )


def note_sent(session: Session, account_id: str, what: Template, *, pharmacy_id: str | None = None) -> None:
    """Put on record that a mail left for an account, and which; never what it was about."""
    audit.record(
        session,
        Action.NOTICE_SENT,
        agent=Agent(None, None),
        pharmacy_id=pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.HSYSADMIN,
        detail={"to": account_id, "what": what.value},
    )
