"""Teams with keys of their own: who asks, who sits, who leaves.

A seat is where a person stands in a team as the portal sees it; the newest signed record is where the keys are
(generations.py). The two change in one transaction: a record moves seats, an ask or a leave moves a seat and waits for
the next record. Somebody
who asked to leave, or whose account was disabled, is without access from that moment, and without new keys from the
next record on (docs/protocol.md section 3, design decision 13).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from portal.accounts import ahead, awaited, directory, policy, stops
from portal.accounts.actor import Actor
from portal.accounts.ahead import Ahead
from portal.accounts.forms import first_wins
from portal.accounts.roles import Role
from portal.accounts.tables import Account, DirectoryEntry
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock
from portal.core.bus import Bus
from portal.core.errors import Conflict, Forbidden, NotFound, Unprocessable
from portal.core.lives import Life, Step
from portal.core.together import among
from portal.e2ee.directory import heirs
from portal.pharmacies import team_records
from portal.pharmacies.tables import Pharmacy, TeamSeat
from portal.pharmacies.topics import TeamKind, split_team_id, team_id


class State(StrEnum):
    """Where a person stands in a team. `leaving`: without access already, the key not yet changed."""

    WAITING = "waiting"
    APPROVED = "approved"
    MEMBER = "member"
    LEAVING = "leaving"
    LEFT = "left"


class Event(StrEnum):
    """What moves a seat. `listed` and `unlisted` are what a signed record does."""

    ASK = "asks"
    APPROVE = "approved ahead"
    DECLINE = "declined or withdrawn"
    LISTED = "listed in a record"
    UNLISTED = "no longer listed"
    LEAVE = "leaves, is disabled or starts again"


LIFE: Life[State, Event] = Life(
    "team seat",
    (
        Step(None, Event.ASK, State.WAITING),
        Step(None, Event.APPROVE, State.APPROVED),
        Step(None, Event.LISTED, State.MEMBER),
        Step(State.WAITING, Event.APPROVE, State.APPROVED),
        Step(State.WAITING, Event.LISTED, State.MEMBER),
        Step(State.WAITING, Event.DECLINE, State.LEFT),
        Step(State.APPROVED, Event.LISTED, State.MEMBER),
        Step(State.APPROVED, Event.DECLINE, State.LEFT),
        Step(State.MEMBER, Event.LISTED, State.MEMBER),
        Step(State.MEMBER, Event.LEAVE, State.LEAVING),
        Step(State.MEMBER, Event.UNLISTED, State.LEFT),
        Step(State.LEAVING, Event.UNLISTED, State.LEFT),
        Step(State.LEFT, Event.ASK, State.WAITING),
        Step(State.LEFT, Event.APPROVE, State.APPROVED),
        Step(State.LEFT, Event.LISTED, State.MEMBER),
    ),
)

MOST_EXPECTED = 50

# Who may sit where: medicines are for pharmacists; at the desk pharmacists sit too (design decision 13).
ROLES: Mapping[TeamKind, frozenset[Role]] = {
    TeamKind.PHARMACISTS: frozenset({Role.PHARMACIST}),
    TeamKind.DESK: frozenset({Role.TECHNICIAN, Role.PHARMACIST}),
    TeamKind.SUPERVISORS: frozenset({Role.SUPERVISOR}),
    TeamKind.PRIVACY: frozenset({Role.PRIVACY}),
}


@dataclass(frozen=True)
class Seat:
    """One person in the list of a team. `flagged`: listed in the newest record but to be taken out of the next one.

    `ahead`: the keys were made by a colleague and not taken over yet.
    """

    account: str
    name: str
    role: str
    state: State
    since: datetime
    has_keys: bool
    flagged: bool
    ahead: Ahead | None


@dataclass(frozen=True)
class Expected:
    """Somebody who works at the pharmacy and would fit into a team, and has no keys yet."""

    account: str
    name: str
    role: str


@dataclass(frozen=True)
class Team:
    """A team as its pharmacy's staff see it. `gen` 0: not founded yet; `sole_member`: one lost code loses it all.

    `expected`: who could be let in ahead without having asked.
    """

    id: str
    pharmacy_id: str
    kind: TeamKind
    gen: int
    seats: tuple[Seat, ...]
    sole_member: bool
    expected: tuple[Expected, ...]


def tell(bus: Bus, team: str, accounts: Iterable[str]) -> None:
    """Open browsers of the people concerned load the team again: somebody asks or goes, or there is a new key."""
    for account in accounts:
        bus.publish(f"account:{account}", {"kind": "account", "account": account, "team": team})


def ask(session: Session, *, actor: Actor, team: str) -> State:
    """Ask for a seat. Raises NotFound, Forbidden when the team does not take the role, Conflict when it is moot."""
    pharmacy_id, kind = pharmacy_of(session, team)
    may_act(actor, pharmacy_id, kind)
    state = move(session, pharmacy_id, kind, actor.account_id, Event.ASK, actor)
    note(session, actor, Action.TEAM_ASKED, team, pharmacy_id, {"account": actor.account_id})
    return state


def approve_ahead(session: Session, *, actor: Actor, team: str, account_id: str) -> State:
    """A member says yes to somebody who has no keys yet; a member's browser seals the key once there are some."""
    pharmacy_id, kind = pharmacy_of(session, team)
    may_act(actor, pharmacy_id, kind)
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    members_only(session, actor, team)
    fitting(session, account_id, pharmacy_id, kind)
    state = move(session, pharmacy_id, kind, account_id, Event.APPROVE, actor)
    note(session, actor, Action.TEAM_ASKED, team, pharmacy_id, {"account": account_id, "approved": True})
    return state


def let_in_ahead(
    session: Session,
    *,
    actor: Actor,
    team: str,
    account_id: str,
    entry: dict[str, Any],
    sealed: dict[str, Any],
    wrap: dict[str, Any],
    also: Collection[str] = (),
) -> datetime:
    """A member makes the first keys of a colleague who has not signed in yet, and says yes to the seat.

    `also`: other teams that the same code is to open; the actor must be a member of each. The next generation of each
    that the member's browser makes lists the newcomer. Gives the time at which the keys end when nobody takes them
    over. Raises NotFound, Forbidden, Conflict `already-enrolled`, Unprocessable as `approve_ahead` and `ahead.make` do.
    """
    opened = {}
    for each in [team, *sorted(set(also) - {team})]:
        # All of one pharmacy: the actor's own.
        pharmacy_id, kind = pharmacy_of(session, each)
        may_act(actor, pharmacy_id, kind)
        members_only(session, actor, each)
        newcomer = fitting(session, account_id, pharmacy_id, kind)
        opened[each] = kind
    until = ahead.make(
        session,
        actor=actor,
        pharmacy_id=pharmacy_id,
        account_id=account_id,
        entry=entry,
        sealed=sealed,
        wrap=wrap,
        latest=newcomer.ends_at,
    )
    seats = seats_of(session, account_id)
    for each, kind in opened.items():
        if seats.get(each) is not State.APPROVED:
            move(session, pharmacy_id, kind, account_id, Event.APPROVE, actor)
            note(session, actor, Action.TEAM_ASKED, each, pharmacy_id, {"account": account_id, "approved": True})
    return until


def decline(session: Session, *, actor: Actor, team: str, account_id: str) -> State:
    """A member refuses an ask, or the asking person takes it back."""
    pharmacy_id, kind = pharmacy_of(session, team)
    may_act(actor, pharmacy_id, kind)
    if account_id != actor.account_id:
        members_only(session, actor, team)
    state = move(session, pharmacy_id, kind, account_id, Event.DECLINE, actor)
    note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": account_id, "declined": True})
    return state


def leave(session: Session, *, actor: Actor, team: str) -> State:
    """Give up the own seat: without access at once, without keys from the next record on.

    Raises Conflict `sole-member` for the last one: nobody would be left to open the team's threads. Who was let in
    ahead and has not come yet does not count. Forbidden `keys-stopped`: somebody else may give the seat up.
    """
    pharmacy_id, kind = pharmacy_of(session, team)
    may_act(actor, pharmacy_id, kind)
    stops.hold(session, actor.account_id)
    # Locked, so that the last two do not leave at the same moment.
    team_records.stored(session, [team], lock=True)
    if who_came(session, members(session, team)) == {actor.account_id}:
        raise Conflict("sole-member")
    state = move(session, pharmacy_id, kind, actor.account_id, Event.LEAVE, actor)
    note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": actor.account_id})
    return state


def started_again(session: Session, *, actor: Actor) -> dict[str, frozenset[str]]:
    """Give up the seats of somebody who has new keys without the old ones: nobody has let those in.

    With the login alone somebody could start again in a member's name; the next generation must not be sealed to that.
    Who is left, by team. A seat stays where nobody else came who could give it back: its key is lost either way.
    """
    left: dict[str, frozenset[str]] = {}
    for team in sorted(teams_of(session, actor.account_id)):
        team_records.stored(session, [team], lock=True)
        if not who_came(session, members(session, team)) - {actor.account_id}:
            continue
        pharmacy_id, kind = pharmacy_of(session, team)
        move(session, pharmacy_id, kind, actor.account_id, Event.LEAVE, actor)
        note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": actor.account_id})
        left[team] = members(session, team)
    return left


def withdraw(session: Session, account_id: str, *, why: str) -> list[str]:
    """Take away all seats of an account that was disabled, got another role or never came: no access from now on.

    Returns the teams that need a new generation, which the next member's browser makes.
    """
    concerned = []
    for seat in session.scalars(select(TeamSeat).where(TeamSeat.account_id == account_id)):
        before = State(seat.state)
        after = LIFE.after(before, Event.LEAVE if before is State.MEMBER else Event.DECLINE)
        if after is None:
            continue
        if after is State.LEAVING:
            concerned.append(team_id(seat.pharmacy_id, TeamKind(seat.kind)))
        seat.state, seat.since, seat.note = after.value, clock.now(), why
    return concerned


def of_pharmacy(session: Session, *, actor: Actor, pharmacy_id: str) -> list[Team]:
    """All teams of a pharmacy with their seats, also those not founded yet. Six queries."""
    policy.allow_see_teams(actor, pharmacy_id=pharmacy_id)
    newest = team_records.newest_generations(session, [team_id(pharmacy_id, kind) for kind in TeamKind])
    rows = session.execute(
        select(TeamSeat, Account)
        .join(Account, Account.id == TeamSeat.account_id)
        .where(TeamSeat.pharmacy_id == pharmacy_id, TeamSeat.state != State.LEFT)
        .order_by(TeamSeat.since, TeamSeat.account_id)
    ).all()
    keyed = directory.have_keys(session, {row[0].account_id for row in rows})
    untouched = ahead.waiting(session, {row[0].account_id for row in rows})
    sitting: dict[str, set[str]] = {kind.value: set() for kind in TeamKind}
    for seat, *_ in rows:
        if seat.state == State.MEMBER:
            sitting[seat.kind].add(seat.account_id)
    seats: dict[str, list[Seat]] = {kind.value: [] for kind in TeamKind}
    for seat, account in rows:
        made = untouched.get(seat.account_id)
        stale = made is not None and made.over(sitting[seat.kind])
        seats[seat.kind].append(
            Seat(
                account=seat.account_id,
                name=account.display_name,
                role=account.role,
                state=State(seat.state),
                since=seat.since,
                has_keys=seat.account_id in keyed,
                flagged=seat.state == State.LEAVING or (seat.state == State.MEMBER and (not can_sit(account) or stale)),
                ahead=made,
            )
        )
    keyless = _without_keys(session, pharmacy_id)
    standing = {kind: {seat.account for seat in own} for kind, own in seats.items()}
    return [
        Team(
            id=team_id(pharmacy_id, kind),
            pharmacy_id=pharmacy_id,
            kind=kind,
            gen=newest.get(team_id(pharmacy_id, kind), 0),
            seats=tuple(seats[kind.value]),
            sole_member=sum(seat.state is State.MEMBER and seat.ahead is None for seat in seats[kind.value]) == 1,
            expected=tuple(
                one for one in keyless if Role(one.role) in ROLES[kind] and one.account not in standing[kind.value]
            ),
        )
        for kind in TeamKind
    ]


def seats_of(session: Session, account_id: str) -> dict[str, State]:
    """The teams a person stands in, by directory id, but for those left. One query."""
    rows = session.scalars(select(TeamSeat).where(TeamSeat.account_id == account_id, TeamSeat.state != State.LEFT))
    return {team_id(row.pharmacy_id, TeamKind(row.kind)): State(row.state) for row in rows}


def teams_of(session: Session, account_id: str) -> frozenset[str]:
    """The teams a person is a member of now: what policy means by "sits in the team". One query."""
    return frozenset(team for team, state in seats_of(session, account_id).items() if state is State.MEMBER)


def teams_held(session: Session, account_id: str) -> frozenset[str]:
    """As `teams_of`, but for who was let in ahead and has not typed the code: such a login alone decides nothing."""
    return teams_of(session, account_id) if who_came(session, [account_id]) else frozenset()


_SEATS_AMONG = select(TeamSeat.account_id, TeamSeat.pharmacy_id, TeamSeat.kind).where(
    among(TeamSeat.account_id, "accounts"), TeamSeat.state == State.MEMBER
)


def members_among(session: Session, account_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """As `teams_of` for many persons at once. One query."""
    found: dict[str, set[str]] = {account_id: set() for account_id in account_ids}
    for account_id, pharmacy_id, kind in session.execute(_SEATS_AMONG, {"accounts": list(account_ids)}):
        found[account_id].add(team_id(pharmacy_id, TeamKind(kind)))
    return {account_id: frozenset(own) for account_id, own in found.items()}


def joined(session: Session, account_id: str) -> dict[str, datetime]:
    """Since when a person sits in each of the own teams. One query."""
    rows = session.execute(
        select(TeamSeat.pharmacy_id, TeamSeat.kind, TeamSeat.since).where(
            TeamSeat.account_id == account_id, TeamSeat.state == State.MEMBER
        )
    )
    return {team_id(pharmacy_id, TeamKind(kind)): since for pharmacy_id, kind, since in rows}


def is_member(session: Session, *, account_id: str, team: str) -> bool:
    """Whether a person sits in a team now."""
    return team in teams_of(session, account_id)


def members(session: Session, team: str) -> frozenset[str]:
    """Who sits in a team now."""
    split = split_team_id(team)
    if split is None:
        return frozenset()
    return frozenset(
        session.scalars(
            select(TeamSeat.account_id).where(
                TeamSeat.pharmacy_id == split[0], TeamSeat.kind == split[1], TeamSeat.state == State.MEMBER
            )
        )
    )


def who_came(session: Session, account_ids: Collection[str]) -> set[str]:
    """Those who hold keys of their own: the others could lose the code on their sheet."""
    return set(account_ids) - ahead.waiting(session, account_ids).keys()


def founded(session: Session, pharmacy_ids: Iterable[str]) -> dict[str, dict[TeamKind, str]]:
    """For each pharmacy the teams that can be written to, by kind: founded, and with somebody in them. One query."""
    found: dict[str, dict[TeamKind, str]] = {pharmacy_id: {} for pharmacy_id in pharmacy_ids}
    rows = session.execute(
        select(TeamSeat.pharmacy_id, TeamSeat.kind)
        .where(TeamSeat.pharmacy_id.in_(list(found)), TeamSeat.state == State.MEMBER)
        .distinct()
    )
    for pharmacy_id, kind in rows:
        found[pharmacy_id][TeamKind(kind)] = team_id(pharmacy_id, TeamKind(kind))
    return found


def sits_with_known_keys(session: Session, account_id: str, pharmacy_id: str) -> bool:
    """Whether somebody sits in a team of a pharmacy with the keys its newest generation names, or that follow them.

    Not who has begun anew since, with the login alone: the last one of a team keeps the seat. Three queries.
    """
    own = teams_of(session, account_id).intersection(team_id(pharmacy_id, kind) for kind in TeamKind)
    chain = directory.chains(session, [account_id]).get(account_id, [])
    newest = directory.newest_identity(chain) if chain else []
    named = {
        member.who
        for signed, _ in team_records.newest_records(session, own).values()
        for member in signed.members
        if member.id == account_id
    }
    return any(keys in newest for who in named for keys in heirs(chain, who))


def pharmacy_of(session: Session, team: str) -> tuple[str, TeamKind]:
    """Whose team it is, and of which kind. Raises NotFound for what is no team, or one of no pharmacy here."""
    split = split_team_id(team)
    if split is None or session.get(Pharmacy, split[0]) is None:
        raise NotFound()
    return split


def may_act(actor: Actor, pharmacy_id: str, kind: TeamKind) -> None:
    """Raises NotFound to people of other pharmacies, Forbidden when the team does not take the actor's role."""
    policy.allow_team_act(actor, pharmacy_id=pharmacy_id, role_fits=actor.role in ROLES[kind])


def members_only(session: Session, actor: Actor, team: str) -> None:
    """Raises Forbidden `not-in-team` for who does not hold a seat there (`teams_held`)."""
    if team not in teams_held(session, actor.account_id):
        raise Forbidden("not-in-team")


def fitting(session: Session, account_id: str, pharmacy_id: str, kind: TeamKind) -> Account:
    """The account of somebody who may sit in such a team. Raises NotFound, Unprocessable `team-not-for-role`."""
    # Locked, so that no seat and no keys are made for somebody whose invitation is taken back at the same moment.
    wanted = session.get(Account, account_id, with_for_update={"key_share": True})
    if wanted is None or wanted.pharmacy_id != pharmacy_id or not can_sit(wanted):
        raise NotFound()
    if Role(wanted.role) not in ROLES[kind]:
        raise Unprocessable("team-not-for-role")
    return wanted


def can_sit(account: Account) -> bool:
    """Whether somebody works there, or is awaited."""
    return account.disabled_at is None or awaited.is_awaited(account)


def _without_keys(session: Session, pharmacy_id: str) -> list[Expected]:
    rows = session.execute(
        select(Account.id, Account.display_name, Account.role)
        .where(
            Account.pharmacy_id == pharmacy_id,
            or_(Account.disabled_at.is_(None), awaited.awaited()),
            ~exists().where(DirectoryEntry.id == Account.id),
        )
        .order_by(Account.display_name, Account.id)
        .limit(MOST_EXPECTED)
    )
    return [Expected(account, name, role) for account, name, role in rows]


def move(session: Session, pharmacy_id: str, kind: TeamKind, account_id: str, event: Event, actor: Actor) -> State:
    """Move a seat, and give where it stands now. Raises Conflict `seat` when `LIFE` has no such step."""
    seat = session.get(TeamSeat, (pharmacy_id, kind.value, account_id), with_for_update=True)
    before = State(seat.state) if seat is not None else None
    after = LIFE.after(before, event)
    if after is None:
        raise Conflict("seat", extra={"state": before.value if before is not None else None})
    if seat is None:
        seat = TeamSeat(pharmacy_id=pharmacy_id, kind=kind.value, account_id=account_id)
        session.add(seat)
    with first_wins(session, "seat"):
        if before is not after:
            seat.state, seat.since, seat.decided_by, seat.note = after.value, clock.now(), actor.account_id, None
    return after


def note(session: Session, actor: Actor, action: Action, team: str, pharmacy_id: str, detail: dict[str, Any]) -> None:
    """The row of the audit record for something that happened to a team."""
    record(
        session,
        action,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("Team", team),
        purpose=Purpose.HOPERAT,
        detail=detail,
    )
