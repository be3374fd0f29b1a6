"""What a person does with the own keys, put on record: all of it is the running of the system, none of it care."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.audit import Action, Entity, Outcome, Purpose, record


def note_keys(
    session: Session,
    *,
    actor: Actor,
    action: Action,
    entity: Entity | None = None,
    detail: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """One row; without an `entity` the act was on the actor's own account. With a `reason` it was refused."""
    record(
        session,
        action,
        agent=actor.agent,
        pharmacy_id=actor.pharmacy_id,
        entity=entity or Entity("Account", actor.account_id),
        purpose=Purpose.HSYSADMIN,
        detail=detail,
        outcome=Outcome.SUCCESS if reason is None else Outcome.SERIOUS,
        reason=reason,
    )
