"""Keys made ahead: a colleague makes the first keys of somebody who has not signed in yet, under a code given by hand.

With them a newcomer who starts alone reads at once what the team reads (docs/protocol.md section 3, "Let in ahead").
Until they are taken over the colleague could open them too, so they end after a while and with the colleague's seat.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import directory, recovery, vault
from portal.accounts.actor import Actor
from portal.accounts.on_record import note_keys
from portal.accounts.tables import Account, AheadKeys, RecoveryWrap
from portal.audit import Action, Entity
from portal.core import clock

LIVES = timedelta(days=14)


@dataclass(frozen=True)
class Ahead:
    """Keys that nobody has taken over yet: who made them, and until when their code is taken."""

    made_by: str
    name: str
    ends_at: datetime

    def over(self, members: Collection[str]) -> bool:
        """Whether a team of these members calls them back: their time has passed, or who made them has gone."""
        return self.ends_at <= clock.now() or self.made_by not in members


def make(
    session: Session,
    *,
    actor: Actor,
    pharmacy_id: str,
    account_id: str,
    entry: dict[str, Any],
    sealed: dict[str, Any],
    wrap: dict[str, Any],
    latest: datetime | None = None,
) -> datetime:
    """Store entry, vault and code of somebody without keys; gives the time at which they end, `latest` at most.

    Asks for a fresh login, a certified device and a recovery way of the actor. That actor and newcomer belong to one
    team is the caller's business. Raises StepUpNeeded, Forbidden, Conflict `already-enrolled`, BadInput, Unprocessable.
    """
    recovery.needs_own_keys(session, actor=actor)
    directory.add_ahead(session, account_id=account_id, entry=entry)
    vault.put(session, actor=actor, rev=1, vault=sealed, owner=account_id)
    recovery.keep_code_ahead(session, account_id=account_id, wrap=wrap)
    until = min(clock.now() + LIVES, latest) if latest is not None else clock.now() + LIVES
    session.add(
        AheadKeys(
            account_id=account_id,
            pharmacy_id=pharmacy_id,
            made_by=actor.account_id,
            made_at=clock.now(),
            ends_at=until,
        )
    )
    note_keys(
        session,
        actor=actor,
        action=Action.KEY_MADE_AHEAD,
        entity=Entity("Account", account_id),
        detail={"until": until.isoformat(timespec="seconds")},
    )
    return until


def end(session: Session, account_id: str) -> None:
    """Nobody is going to take these keys over any more: the code is taken no longer, and what it opens goes."""
    made = session.get(AheadKeys, account_id, with_for_update=True)
    if made is None or made.taken_at is not None:
        return
    made.ends_at = min(made.ends_at, clock.now())
    session.execute(delete(RecoveryWrap).where(RecoveryWrap.account_id == account_id))


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop: keys that the account has made for others end, as somebody else may know their codes."""
    rows = session.scalars(
        select(AheadKeys.account_id)
        .where(AheadKeys.made_by == actor.account_id, AheadKeys.taken_at.is_(None), AheadKeys.ends_at > clock.now())
        .order_by(AheadKeys.account_id)
    ).all()
    for account_id in rows:
        end(session, account_id)


def waiting(session: Session, account_ids: Collection[str]) -> dict[str, Ahead]:
    """Those of these accounts whose keys were made ahead and not taken over, ended ones too. One query."""
    rows = session.execute(
        select(AheadKeys.account_id, AheadKeys.made_by, Account.display_name, AheadKeys.ends_at)
        .join(Account, Account.id == AheadKeys.made_by)
        .where(AheadKeys.account_id.in_(list(account_ids)), AheadKeys.taken_at.is_(None))
    )
    return {account_id: Ahead(made_by, name, ends_at) for account_id, made_by, name, ends_at in rows}


def own(session: Session, *, actor: Actor) -> Ahead | None:
    """What waits for the actor to take it over; None when its time is over."""
    found = waiting(session, [actor.account_id]).get(actor.account_id)
    return found if found is not None and found.ends_at > clock.now() else None
