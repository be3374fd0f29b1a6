"""A conversation that needs no answer: staff say so without writing, on record, and can take it back."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.audit import Action, Entity
from portal.core.errors import Conflict, Forbidden
from portal.threads import on_record, tell
from portal.threads.access import open_thread
from portal.threads.tables import InboxRow


def set_answered(session: Session, *, actor: Actor, thread_id: str, sequence: int, answered: bool) -> tell.Told:
    """Let the thread wait for the actor's teams no longer (`answered`), or again.

    `sequence` is the newest record the actor has seen: an answer to what has come since is refused.

    Raises NotFound for unknown and foreign threads, Forbidden for who does not sit in one of its teams, Conflict
    `moved-head` when something newer is there.
    """
    access = open_thread(session, actor=actor, thread_id=thread_id)
    thread = access.thread
    teams = sorted(
        member["id"] for member in thread.members if member["role"] == "team" and member["id"] in access.voices
    )
    if not actor.staff or not teams:
        raise Forbidden()
    # Compared and set in one statement: a message that arrives now is not answered by this.
    moved = session.execute(
        update(InboxRow)
        .where(InboxRow.thread_id == thread_id, InboxRow.reader_id.in_(teams), InboxRow.last_seq <= sequence)
        .values(awaiting=not answered)
        .returning(InboxRow.reader_id)
    ).all()
    if not moved:
        raise Conflict("moved-head")
    on_record.note(
        session,
        actor=actor,
        thread=thread,
        action=Action.THREAD_ANSWERED,
        entity=Entity("Thread", thread_id),
        detail={"answered": answered, "sequence": sequence},
    )
    return tell.touch(session, pharmacy_id=thread.pharmacy_id, thread_id=thread_id)
