"""What somebody does in a thread, put on record: about whom, at which pharmacy, in whose name and what for."""

from collections.abc import Mapping
from typing import Any

from portal import audit
from portal.accounts.actor import Actor
from portal.audit import Action, Entity
from portal.core.together import Writing
from portal.threads.tables import ThreadRow


def note(
    session: Writing,
    *,
    actor: Actor,
    thread: ThreadRow,
    action: Action,
    entity: Entity,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """One row. Within a thread messages and receipts are a `Communication`, files `Media`, the rest is the `Thread`."""
    audit.record(
        session,
        action,
        agent=actor.agent,
        patient_id=thread.patient_id,
        pharmacy_id=thread.pharmacy_id,
        on_behalf=actor.on_behalf(thread.patient_id),
        entity=entity,
        purpose=actor.purpose,
        detail=detail,
    )
