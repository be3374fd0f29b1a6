"""Looking keys up in the directory: for people who share a thread, a pharmacy or a care relation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import directory, policy, relations
from portal.accounts.actor import Actor
from portal.accounts.directory import Person
from portal.accounts.roles import Scope
from portal.audit import Action, Purpose, record
from portal.core.errors import NotFound
from portal.pharmacies import care, team_records, teams
from portal.pharmacies.tables import TeamSeat
from portal.pharmacies.topics import TeamKind, pharmacy_of_recovery, split_team_id, team_id

MOST_IDS = 100
# What stands for the role of an account where the keys of a pharmacy's recovery are shown.
RECOVERY_ROLE = "recovery"

# Those among some ids with whom the actor shares a thread; given by the threads package, which lies above.
SharesThread = Callable[[Session, Actor, frozenset[str]], frozenset[str]]


@dataclass(frozen=True)
class TeamKeys:
    """A team in the directory: its generations as they travel, oldest first."""

    id: str
    pharmacy_id: str
    kind: TeamKind
    records: tuple[dict[str, Any], ...]


def look_up(
    session: Session, *, actor: Actor, ids: Iterable[str], shares_thread: SharesThread
) -> list[Person | TeamKeys]:
    """The keys of those among `ids` whom the actor may know, in the order asked; the others are left out.

    A constant number of queries, whatever the number of ids. One row in the audit record.
    """
    wanted = list(dict.fromkeys(ids))[:MOST_IDS]
    people = directory.people(session, [id for id in wanted if split_team_id(id) is None])
    people |= _recoveries(session, wanted)
    allowed = _allowed(session, actor, wanted, people, shares_thread)
    records = team_records.records(session, [id for id in allowed if split_team_id(id) is not None])
    found: list[Person | TeamKeys] = []
    for id in wanted:
        if id in allowed and id in people:
            found.append(people[id])
        split = split_team_id(id)
        if id in allowed and split is not None and id in records:
            found.append(TeamKeys(id, split[0], split[1], tuple(records[id])))
    record(
        session,
        Action.DIRECTORY_READ,
        agent=actor.agent,
        pharmacy_id=actor.pharmacy_id,
        purpose=Purpose.HSYSADMIN,
        detail={"asked": len(wanted), "found": len(found)},
    )
    return found


def look_up_one(session: Session, *, actor: Actor, id: str, shares_thread: SharesThread) -> Person | TeamKeys:
    """As `look_up` for one. Raises NotFound for unknown and foreign ids alike."""
    found = look_up(session, actor=actor, ids=[id], shares_thread=shares_thread)
    if not found:
        raise NotFound()
    return found[0]


def _allowed(
    session: Session, actor: Actor, ids: list[str], people: Mapping[str, Person], shares_thread: SharesThread
) -> frozenset[str]:
    acting = [one.patient_id for one in actor.acting]
    near = {pharmacy for found in care.pharmacies_of(session, acting).values() for pharmacy in found}
    # Whose messages one may read, with those one may have to share an epoch.
    talks = [one.patient_id for one in actor.acting if one.reaches(Scope.MESSAGES)]
    kin = {account for found in relations.accounts_of(session, talks).values() for account, _ in found}
    works_at = _pharmacies(session, ids, people)
    patients = _patients_in_care(session, actor, list(people)) if actor.staff else frozenset()
    in_care = {id for id in ids if id in kin or id in patients or works_at[id] & near}
    colleagues = {id for id in ids if actor.staff and actor.pharmacy_id in works_at[id]}
    unsure = frozenset(ids) - in_care - colleagues - {actor.account_id}
    # Who reads with a team has to know its recovery key, which may have signed for it.
    teams_of_recovery = {id: _teams_of_recovery(id) for id in unsure}
    asked = unsure.union(*teams_of_recovery.values())
    in_thread = shares_thread(session, actor, asked) if asked else frozenset()
    in_thread |= {id for id, near_it in teams_of_recovery.items() if near_it & in_thread}
    allowed = set()
    for id in ids:
        try:
            policy.allow_directory(
                actor,
                owner=id,
                shares_thread=id in in_thread,
                shares_pharmacy=id in colleagues,
                shares_care=id in in_care,
            )
        except NotFound:
            continue
        allowed.add(id)
    return frozenset(allowed)


def _pharmacies(session: Session, ids: list[str], people: Mapping[str, Person]) -> dict[str, set[str]]:
    # Where each works or has sat in a team: whoever signed a team's record is looked up long after leaving it.
    found: dict[str, set[str]] = {id: set() for id in ids}
    for id, person in people.items():
        if person.pharmacy_id is not None:
            found[id].add(person.pharmacy_id)
    for account_id, pharmacy_id in session.execute(
        select(TeamSeat.account_id, TeamSeat.pharmacy_id).where(
            TeamSeat.account_id.in_(list(people)),
            TeamSeat.state.in_([teams.State.MEMBER, teams.State.LEAVING, teams.State.LEFT]),
        )
    ):
        found[account_id].add(pharmacy_id)
    for id in ids:
        split = split_team_id(id)
        if split is not None:
            found[id].add(split[0])
        recovered = pharmacy_of_recovery(id)
        if recovered is not None:
            found[id].add(recovered)
    return found


def _recoveries(session: Session, ids: list[str]) -> dict[str, Person]:
    """The recovery keys of pharmacies among some ids: nobody's, so without name and devices."""
    asked = {id: pharmacy_id for id in ids if (pharmacy_id := pharmacy_of_recovery(id)) is not None}
    found = directory.entries_of(session, asked) if asked else {}
    return {
        id: Person(id, RECOVERY_ROLE, asked[id], "", disabled=False, entries=tuple(entries), devices=())
        for id, entries in found.items()
    }


def _teams_of_recovery(id: str) -> frozenset[str]:
    pharmacy_id = pharmacy_of_recovery(id)
    return frozenset() if pharmacy_id is None else frozenset(team_id(pharmacy_id, kind) for kind in TeamKind)


def _patients_in_care(session: Session, actor: Actor, accounts: list[str]) -> frozenset[str]:
    acting = relations.patients_of(session, accounts)
    cared = care.in_care_of(
        session,
        pharmacy_id=actor.pharmacy_id or "",
        patient_ids=[patient for patients in acting.values() for patient in patients],
    )
    return frozenset(account for account, patients in acting.items() if cared & patients)
