"""Who shares a thread with whom: one of the reasons for which public keys are shown."""

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from portal.accounts.actor import Actor
from portal.pharmacies import teams
from portal.threads.tables import InboxRow, Record


def who_shares(session: Session, actor: Actor, ids: frozenset[str]) -> frozenset[str]:
    """Those among `ids`, persons and teams, who read a thread of the actor or have written in one. Three queries."""
    mine, theirs = aliased(InboxRow), aliased(InboxRow)
    readers = [actor.account_id, *teams.teams_of(session, actor.account_id)]
    reading = session.scalars(
        select(theirs.reader_id)
        .join(mine, mine.thread_id == theirs.thread_id)
        .where(mine.reader_id.in_(readers), theirs.reader_id.in_(ids))
        .distinct()
    )
    found = set(reading)
    rest = ids - found
    if rest:
        found |= set(
            session.scalars(
                select(Record.account_id)
                .join(mine, mine.thread_id == Record.thread_id)
                .where(mine.reader_id.in_(readers), Record.account_id.in_(rest))
                .distinct()
            )
        )
    return frozenset(found)
