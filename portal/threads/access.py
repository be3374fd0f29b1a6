"""Finding a thread for somebody: policy first, and foreign looks like unknown."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.core.errors import NotFound
from portal.pharmacies import standing
from portal.pharmacies.standing import Standing
from portal.threads.tables import Thread

_THREAD = select(Thread).where(Thread.id == bindparam("thread_id"))
_LOCKED = _THREAD.with_for_update()


@dataclass(frozen=True)
class Access:
    """A thread its reader may see, and under which of its members' ids: the own one, teams, or both."""

    thread: Thread
    voices: frozenset[str]
    patient_active: bool
    in_care: bool


def locked(session: Session, thread_id: str) -> Thread | None:
    """The thread, its row locked until the end of the transaction, nothing asked yet of who may."""
    return session.scalars(_LOCKED, {"thread_id": thread_id}).one_or_none()


def open_thread(session: Session, *, actor: Actor, thread_id: str, to_write: bool = False) -> Access:
    """The thread `thread_id`, if the actor may read it (with `to_write`: post in it), its row then locked.

    Raises NotFound for unknown and foreign threads alike, Unprocessable when its patient may not be written to.
    """
    if to_write:
        thread = locked(session, thread_id)
    else:
        thread = session.scalars(_THREAD, {"thread_id": thread_id}).one_or_none()
    facts = standing.find(session, asked_of(actor, thread))
    return judge(actor, thread, facts, to_write=to_write)


def asked_of(actor: Actor, thread: Thread | None) -> dict[str, str]:
    """What to ask `pharmacies.standing` of somebody and a thread; of an unknown thread the same, so that it takes as
    long as a foreign one."""
    return {
        "account_id": actor.account_id,
        "patient_id": thread.patient_id if thread is not None else "",
        "pharmacy_id": thread.pharmacy_id if thread is not None else "",
    }


def judge(actor: Actor, thread: Thread | None, facts: Standing, *, to_write: bool = False) -> Access:
    """What policy says of a thread that was looked up, with these facts. Raises like `open_thread`."""
    if thread is None:
        raise NotFound()
    members = {member["id"] for member in thread.members}
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


def was_member(thread: Thread, account_id: str) -> bool:
    """Whether somebody is or was a member of the thread in person."""
    return account_id in thread.state["known"]


def readers(actor: Actor, seats: Collection[str]) -> tuple[str, ...]:
    """The inboxes that are the actor's: the own one, and those of the teams the actor sits in."""
    return (actor.account_id, *sorted(seats))
