"""Who shares a thread with whom: one of the reasons for which public keys are shown."""

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from portal.accounts.actor import Actor
from portal.accounts.tables import Relation
from portal.pharmacies import teams
from portal.pharmacies.topics import split_team_id
from portal.threads.tables import InboxRow, Record, Thread


def who_shares(session: Session, actor: Actor, ids: frozenset[str]) -> frozenset[str]:
    """Those among `ids`, persons and teams, who read a thread of the actor, have written in one, or were in one.

    Whoever verifies a thread from its beginning needs the keys of all its members, also of those who are so no longer.
    Four queries.
    """
    mine, theirs = aliased(InboxRow), aliased(InboxRow)
    readers = [actor.account_id, *teams.teams_of(session, actor.account_id)]
    reading = session.scalars(
        select(theirs.reader_id)
        .join(mine, mine.thread_id == theirs.thread_id)
        .where(mine.reader_id.in_(readers), theirs.reader_id.in_(ids))
        .distinct()
    )
    found = set(reading)
    rest = frozenset(ids - found)
    if rest:
        found |= set(
            session.scalars(
                select(Record.account_id)
                .join(mine, mine.thread_id == Record.thread_id)
                .where(mine.reader_id.in_(readers), Record.account_id.in_(rest))
                .distinct()
            )
        )
        found |= _were_members(session, actor, readers, rest)
    return frozenset(found)


def _were_members(session: Session, actor: Actor, readers: list[str], ids: frozenset[str]) -> set[str]:
    """Members in person had a relation to the thread's patient once, so only threads of such patients are looked at.

    Other teams can have been in the few threads of the patient's side only: staff know those of the own pharmacy.
    """
    mine = aliased(InboxRow)
    of_person = exists().where(Relation.patient_id == Thread.patient_id, Relation.account_id.in_(ids))
    splits = [split_team_id(id) for id in ids] if not actor.staff else []
    of_team = Thread.pharmacy_id.in_([split[0] for split in splits if split is not None])
    states = session.scalars(
        select(Thread.state)
        .join(mine, mine.thread_id == Thread.id)
        .where(mine.reader_id.in_(readers), or_(of_person, of_team))
    )
    return {id for state in states for id in ids & set(state.get("known", ()))}
