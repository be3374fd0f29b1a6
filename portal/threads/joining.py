"""Who may be let into a conversation by the browsers of its members: whoever it waits for, and a patient for whom
somebody else began it before she had keys; and whom she herself may let in (docs/protocol.md section 5)."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from portal.accounts import directory, relations
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind
from portal.e2ee.records import Role
from portal.threads.access import was_member
from portal.threads.tables import Thread, ThreadRow


def open_to(thread: Thread | ThreadRow, kind: str) -> bool:
    """Whether somebody who acts for its patient in this way may be let in without being asked for: all while nobody of
    the patient's side reads it, the patient in person always."""
    if kind == Kind.SELF:
        return not any(member["role"] == Role.PATIENT.value for member in thread.members)
    return thread.waits_for_keys


def carers(session: Session, actor: Actor, thread: Thread | ThreadRow) -> tuple[str, ...]:
    """Whom the patient may let into a thread, asked by the patient in person who is a member of it: those with keys who
    act for her with messages and are no members now. Who was taken out may be let in again by her. Two queries."""
    relation = actor.relation(thread.patient_id)
    here = {member["id"] for member in thread.members}
    if relation is None or relation.kind != Kind.SELF or actor.account_id not in here:
        return ()
    acting = relations.accounts_of(session, [thread.patient_id])[thread.patient_id]
    asked = [account for account, kind in acting if kind != Kind.SELF and account not in here]
    enrolled = directory.have_keys(session, asked) if asked else frozenset()
    return tuple(account for account in dict.fromkeys(asked) if account in enrolled)


def joinable(session: Session, threads: Collection[Thread | ThreadRow]) -> dict[str, tuple[tuple[str, str], ...]]:
    """For each thread that somebody may be let into, who: accounts that have keys by now, each with the role it would
    have in an epoch. Who was a member before is left out. Two queries, none where every patient reads already."""
    lacking = [thread for thread in threads if open_to(thread, Kind.SELF) or thread.waits_for_keys]
    if not lacking:
        return {}
    acting = relations.accounts_of(session, sorted({thread.patient_id for thread in lacking}))
    enrolled = directory.have_keys(session, {account for found in acting.values() for account, _ in found})
    found = {
        thread.id: tuple(
            (account, (Role.PATIENT if kind == Kind.SELF else Role.PROXY).value)
            for account, kind in acting[thread.patient_id]
            if account in enrolled and open_to(thread, kind) and not was_member(thread, account)
        )
        for thread in lacking
    }
    return {thread_id: people for thread_id, people in found.items() if people}
