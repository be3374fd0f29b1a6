"""Finding a thread for somebody: policy first, and foreign looks like unknown."""

from collections.abc import Collection
from dataclasses import dataclass, fields

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.core.database import table_of
from portal.core.errors import NotFound
from portal.core.prepared import Prepared
from portal.pharmacies import standing
from portal.pharmacies.standing import Standing
from portal.threads.tables import Thread, ThreadRow

_THREADS = table_of(Thread)
_THREAD = select(*(_THREADS.c[part.name] for part in fields(ThreadRow))).where(_THREADS.c.id == bindparam("thread_id"))
_READ = Prepared(_THREAD)
_LOCKED = Prepared(_THREAD.with_for_update())


@dataclass(frozen=True)
class Access:
    """A thread its reader may see, and under which of its members' ids: the own one, teams, or both."""

    thread: ThreadRow
    voices: frozenset[str]
    patient_active: bool
    in_care: bool


def locked(session: Session, thread_id: str) -> ThreadRow | None:
    """The thread, its row locked until the end of the transaction, nothing asked yet of who may."""
    return _row(_LOCKED, session, thread_id)


def open_thread(session: Session, *, actor: Actor, thread_id: str, to_write: bool = False) -> Access:
    """The thread `thread_id`, if the actor may read it (with `to_write`: post in it), its row then locked.

    Raises NotFound for unknown and foreign threads alike, Unprocessable when its patient may not be written to.
    """
    thread = _row(_LOCKED if to_write else _READ, session, thread_id)
    facts = standing.find(session, asked_of(actor, thread))
    return judge(actor, thread, facts, to_write=to_write)


def _row(prepared: Prepared, session: Session, thread_id: str) -> ThreadRow | None:
    return next((ThreadRow(*row) for row in prepared.rows(session, {"thread_id": thread_id})), None)


def asked_of(actor: Actor, thread: ThreadRow | None) -> dict[str, str]:
    """What to ask `pharmacies.standing` of somebody and a thread; of an unknown thread the same, so that it takes as
    long as a foreign one."""
    return {
        "account_id": actor.account_id,
        "patient_id": thread.patient_id if thread is not None else "",
        "pharmacy_id": thread.pharmacy_id if thread is not None else "",
    }


def judge(actor: Actor, thread: ThreadRow | None, facts: Standing, *, to_write: bool = False) -> Access:
    """What policy says of a thread that was looked up, with these facts. Raises like `open_thread`."""
    if thread is None:
        raise NotFound()
    # Who was parted from the patient as the wrong person may act for somebody of that id still: shut all the same.
    members = {member["id"] for member in thread.members if not member.get("undone")}
    # Somebody for whom the thread waits is no member yet, but may know that it waits. Who was put out does not wait.
    waiting = (
        thread.waits_for_keys
        and actor.relation(thread.patient_id) is not None
        and not was_member(thread, actor.account_id)
    )
    is_member = actor.account_id in members or (waiting and not to_write)
    if to_write:
        policy.allow_post(
            actor,
            patient_id=thread.patient_id,
            pharmacy_id=thread.pharmacy_id,
            in_care=facts.in_care,
            is_member=is_member,
            in_team=bool(members & facts.seats),
            patient_active=facts.patient_active,
        )
    else:
        policy.allow_read_thread(
            actor,
            patient_id=thread.patient_id,
            pharmacy_id=thread.pharmacy_id,
            in_care=facts.in_care,
            is_member=is_member,
            in_team=bool(members & facts.seats),
        )
    voices = frozenset(({actor.account_id} | facts.seats) & members)
    return Access(thread, voices, facts.patient_active, facts.in_care)


def was_member(thread: Thread | ThreadRow, account_id: str) -> bool:
    """Whether somebody is or was a member of the thread in person."""
    return account_id in thread.state["known"]


def readers(actor: Actor, seats: Collection[str]) -> tuple[str, ...]:
    """The inboxes that are the actor's: the own one, and those of the teams the actor sits in."""
    return (actor.account_id, *sorted(seats))
