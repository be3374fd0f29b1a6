"""Who is told that a message waits, and who has read it."""

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from portal import notify
from portal.accounts import relations, telling
from portal.accounts.roles import STAFF, Kind
from portal.accounts.tables import Account, Patient, Relation
from portal.core import clock
from portal.core.together import Writing
from portal.notify.notices import Recipient
from portal.threads.tables import InboxRow, ReadPosition, Receipt, Record, Thread, ThreadRow


def message_came(session: Session, later: Writing, *, thread: ThreadRow, author: str, from_pharmacy: bool) -> None:
    """Plan the one content-free mail for each person who should know, should the message stay unread.

    A message of the pharmacy concerns the people on the patient's side; a message of the patient those members of
    staff who have written in the thread (the others have the queue).
    """
    if from_pharmacy:
        people = {member["id"] for member in thread.members if member["role"] != "team" and not member.get("ended")}
        if thread.waits_for_keys:
            people |= set(accounts_of(session, thread.patient_id))
    else:
        # Whoever has spoken and was never a member in person spoke for a team: known without reading the thread.
        state = thread.state
        people = set(state["keys"].values()) - set(state["known"])
    notify.message_waits(later, sorted(people - {author}), thread.id)


def still_unread(session: Session, *, account_id: str, thread_id: str) -> bool:
    """Whether a person still has something unread in a thread, may be told of it, and the patient may be written to."""
    thread = session.get(Thread, thread_id)
    if thread is None:
        return False
    patient = session.get(Patient, thread.patient_id)
    if patient is None or patient.status != "active":
        return False
    row = session.execute(
        select(InboxRow.last_seq).where(InboxRow.thread_id == thread_id).limit(1)
    ).scalar_one_or_none()
    position = session.get(ReadPosition, (thread.pharmacy_id, account_id, thread_id))
    return row is not None and (position is None or position.read_seq < row)


def who_waits(session: Session, account_id: str, thread_id: str) -> Recipient | None:
    """Where and since when a person is to be told of a thread (`portal.notify.notices.WhoWaits`); None: not at all."""
    account = session.get(Account, account_id)
    thread = session.get(Thread, thread_id)
    if account is None or thread is None or account.disabled_at is not None:
        return None
    if not (account.email_verified and account.email):
        return None
    if not telling.wants(session, account_id, telling.Kind.MESSAGE, telling.Channel.MAIL):
        return None
    if not still_unread(session, account_id=account_id, thread_id=thread_id):
        return None
    if account.role in STAFF:
        reachable = account.pharmacy_id == thread.pharmacy_id
    else:
        acting = dict(relations.accounts_of(session, [thread.patient_id])[thread.patient_id])
        is_member = account_id in {member["id"] for member in thread.members}
        reachable = account_id in acting and (is_member or acting[account_id] == Kind.SELF)
    position = session.get(ReadPosition, (thread.pharmacy_id, account_id, thread_id))
    since = session.scalar(
        select(func.min(Record.received_at)).where(
            Record.thread_id == thread_id,
            Record.kind == "msg",
            Record.seq > (position.read_seq if position else 0),
            Record.account_id != account_id,
        )
    )
    if not reachable or since is None:
        return None
    return Recipient(
        address=account.email,
        language=account.language,
        unread_since=since,
        quiet_until=telling.quiet_until(account),
        patient_id=thread.patient_id,
        pharmacy_id=thread.pharmacy_id,
    )


def accounts_of(session: Session, patient_id: str) -> list[str]:
    """The accounts of the patient in person."""
    moment = clock.now()
    return list(
        session.scalars(
            select(Relation.account_id).where(
                Relation.patient_id == patient_id,
                Relation.kind == Kind.SELF,
                Relation.starts_at <= moment,
                (Relation.ends_at.is_(None)) | (Relation.ends_at > moment),
            )
        )
    )


def staff_has_read(session: Session, *, thread: ThreadRow, seq: int, author: str) -> bool:
    """Whether a signed read receipt of staff other than the author covers the message `seq`."""
    query = select(
        exists().where(
            Receipt.thread_id == thread.id,
            Receipt.kind == "read",
            Receipt.seq >= seq,
            Receipt.account_id == Account.id,
            Account.role.in_(STAFF),
            Account.id != author,
        )
    )
    return bool(session.execute(query).scalar())


def leave(session: Session, *, thread: Thread | ThreadRow, reader_id: str) -> None:
    """A reader is no member any more: the thread goes out of that inbox."""
    session.execute(
        delete(InboxRow).where(
            InboxRow.pharmacy_id == thread.pharmacy_id,
            InboxRow.reader_id == reader_id,
            InboxRow.thread_id == thread.id,
        )
    )
