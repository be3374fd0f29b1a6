"""The signed generations of teams as they are stored, verified: nothing here changes one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import directory
from portal.accounts.forms import answering_refusals
from portal.e2ee.directory import Entry, heirs
from portal.e2ee.teams import TeamRecord as SignedRecord
from portal.e2ee.teams import read_team, verify_team
from portal.pharmacies.tables import TeamRecord


def newest_generations(session: Session, teams: Iterable[str]) -> dict[str, int]:
    """The newest generation of each team that was founded. One query."""
    rows = session.execute(
        select(TeamRecord.team_id, func.max(TeamRecord.gen))
        .where(TeamRecord.team_id.in_(list(teams)))
        .group_by(TeamRecord.team_id)
    )
    return dict(rows.all())


def newest_records(session: Session, teams: Iterable[str]) -> dict[str, tuple[SignedRecord, datetime]]:
    """The newest generation of each team that was founded, and when it was made. One query, nothing verified again."""
    newest = (
        select(TeamRecord.team_id, func.max(TeamRecord.gen).label("gen"))
        .where(TeamRecord.team_id.in_(list(teams)))
        .group_by(TeamRecord.team_id)
        .subquery()
    )
    rows = session.scalars(
        select(TeamRecord).join(newest, (newest.c.team_id == TeamRecord.team_id) & (newest.c.gen == TeamRecord.gen))
    )
    return {row.team_id: (read_team(row.record), row.created_at) for row in rows}


def chains(session: Session, teams: Iterable[str]) -> dict[str, list[SignedRecord]]:
    """The verified generations of many teams, oldest first; a team without any is left out. Two queries.

    Raises Unprocessable when what is stored does not verify.
    """
    rows = stored(session, list(teams))
    known = directory.chains(session, {row.signer for row in rows})
    found: dict[str, list[TeamRecord]] = {}
    for row in rows:
        found.setdefault(row.team_id, []).append(row)
    with answering_refusals():
        return {team: _chain(own, known) for team, own in found.items()}


def records(session: Session, teams: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The generations of many teams as they travel, oldest first. One query."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in stored(session, list(teams)):
        found.setdefault(row.team_id, []).append(row.record)
    return found


def stored(session: Session, teams: list[str], *, lock: bool = False) -> list[TeamRecord]:
    """The rows of all generations of these teams, oldest first; with `lock` nobody adds one until the commit."""
    wanted = select(TeamRecord).where(TeamRecord.team_id.in_(teams)).order_by(TeamRecord.team_id, TeamRecord.gen)
    return list(session.scalars(wanted.with_for_update() if lock else wanted))


def verified(session: Session, rows: list[TeamRecord]) -> list[SignedRecord]:
    """The generations of one team from its rows. Raises Unprocessable when they do not verify. One query."""
    with answering_refusals():
        return _chain(rows, directory.chains(session, {row.signer for row in rows}))


def _chain(rows: list[TeamRecord], known: Mapping[str, Sequence[Entry]]) -> list[SignedRecord]:
    if not rows:
        return []
    keys = tuple((signer, tuple(known.get(signer, ()))) for signer in sorted({row.signer for row in rows}))
    return list(_remembered(rows[0].team_id, tuple(json.dumps(row.record, sort_keys=True) for row in rows), keys))


@lru_cache(maxsize=128)
def _remembered(
    team: str, texts: tuple[str, ...], keys: tuple[tuple[str, tuple[Entry, ...]], ...]
) -> tuple[SignedRecord, ...]:
    # A verdict depends on the exact records and the signers' chains alone, so it is found once in a process.
    known = dict(keys)
    raws = [json.loads(text) for text in texts]
    return tuple(verify_team(id=team, raws=raws, identities_of=lambda user, who: heirs(known.get(user, ()), who)))
