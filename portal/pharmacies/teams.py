"""Teams with keys of their own: who asks, who sits, who leaves, and the signed generations that make it so.

A seat is where a person stands in a team as the portal sees it; the newest signed record is where the keys are. The two
change in one transaction: a record moves seats, an ask or a leave moves a seat and waits for the next record. Somebody
who asked to leave, or whose account was disabled, is without access from that moment, and without new keys from the
next record on (docs/protocol.md section 3, design decision 13).
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from portal.accounts import ahead, awaited, directory, policy, recovery, stops
from portal.accounts.actor import Actor
from portal.accounts.ahead import Ahead
from portal.accounts.forms import answering_refusals, first_wins
from portal.accounts.roles import Role, role_in_records
from portal.accounts.tables import Account, DirectoryEntry
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock
from portal.core.bus import Bus
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, Unprocessable
from portal.core.lives import Life, Step
from portal.core.together import among
from portal.e2ee.directory import Entry, heirs, still
from portal.e2ee.reasons import Reason
from portal.e2ee.records import Role as RecordRole
from portal.e2ee.teams import IdentitiesOf, read_team, verify_next, verify_team
from portal.e2ee.teams import TeamRecord as SignedRecord
from portal.pharmacies.tables import Pharmacy, TeamRecord, TeamSeat
from portal.pharmacies.topics import TeamKind, recovery_id, split_team_id, team_id


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


@dataclass(frozen=True)
class Appended:
    """A generation that now stands."""

    team: str
    gen: int
    members: tuple[str, ...]
    joined: tuple[str, ...]
    left: tuple[str, ...]
    sole_member: bool


def tell(bus: Bus, team: str, accounts: Iterable[str]) -> None:
    """Open browsers of the people concerned load the team again: somebody asks or goes, or there is a new key."""
    for account in accounts:
        bus.publish(f"account:{account}", {"kind": "account", "account": account, "team": team})


def append_record(session: Session, *, actor: Actor, team: str, record_: Mapping[str, Any]) -> Appended:
    """Store the next generation of a team, signed by the actor: founding, joining, leaving, a new key.

    Asks for a fresh login, a certified device and a recovery way of the actor, and for a seat where somebody has one.
    Raises NotFound for a team of another pharmacy, StepUpNeeded, Forbidden, Conflict `moved-generation` with the newest
    one, BadInput, Unprocessable with the reason in `extra`.
    """
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    recovery.needs_own_keys(session, actor=actor)
    signed, before = _next(session, team, {**record_, "by": actor.account_id}, _heirs(session, {actor.account_id}))
    if members(session, team):
        # The last record still lists those who gave up their seat since: they decide nothing while somebody else can.
        _member_only(session, actor, team)
    return _append(session, actor, signed, before)


def append_by_recovery(
    session: Session, *, actor: Actor, team: str, record_: Mapping[str, Any], account_id: str
) -> Appended:
    """Store a generation that the pharmacy's recovery key signed: it lists that key and one person, nobody else.

    That two people have said so is the caller's business (recovery_acts). Signed by the newest identity of the
    recovery only, so that sheets which were replaced do nothing, and those made without the ones before nothing until a
    member has listed them. Raises as `append_record`, and Unprocessable `recovery-roster`.
    """
    pharmacy_id, kind = _of(session, team)
    _check_fits(session, account_id, pharmacy_id, kind)
    recovery_ = recovery_id(pharmacy_id)
    chain = directory.chains(session, [recovery_]).get(recovery_, [])
    newest = directory.newest_identity(chain)
    raw = {**record_, "by": recovery_}
    signed, before = _next(session, team, raw, lambda _, who: [keys for keys in heirs(chain, who) if keys in newest])
    if {member.id for member in signed.members} != {recovery_, account_id}:
        raise Unprocessable("recovery-roster")
    if seats_of(session, account_id).get(team) is State.LEAVING:
        # Started again while a colleague still sat there: the old seat ends with this generation, a new one begins.
        _move(session, pharmacy_id, kind, account_id, Event.UNLISTED, actor)
    return _append(session, actor, signed, before)


def _next(
    session: Session, team: str, raw: Mapping[str, Any], identities_of: IdentitiesOf
) -> tuple[SignedRecord, SignedRecord | None]:
    """The verified next generation in `raw`, and the one before it."""
    with answering_refusals():
        wanted = read_team(raw)
    stored = _rows(session, [team], lock=True)
    if wanted.gen != len(stored) + 1:
        raise Conflict("moved-generation", extra={"gen": len(stored)})
    earlier = _verified(session, stored)
    with answering_refusals():
        signed = verify_next(raw, earlier, identities_of)
    if signed.id != team:
        raise Unprocessable("refused", extra={"reason": "chain"})
    return signed, earlier[-1] if earlier else None


def _append(session: Session, actor: Actor, signed: SignedRecord, before: SignedRecord | None) -> Appended:
    pharmacy_id, kind = _of(session, signed.id)
    _check_roster(session, signed, pharmacy_id, kind)
    with first_wins(session, "moved-generation"):
        session.add(
            TeamRecord(
                team_id=signed.id,
                gen=signed.gen,
                pharmacy_id=pharmacy_id,
                signer=signed.by,
                record=signed.to_json(),
                created_at=clock.now(),
            )
        )
    return _follow(session, actor, signed, before, pharmacy_id, kind)


def ask(session: Session, *, actor: Actor, team: str) -> State:
    """Ask for a seat. Raises NotFound, Forbidden when the team does not take the role, Conflict when it is moot."""
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    state = _move(session, pharmacy_id, kind, actor.account_id, Event.ASK, actor)
    _note(session, actor, Action.TEAM_ASKED, team, pharmacy_id, {"account": actor.account_id})
    return state


def approve_ahead(session: Session, *, actor: Actor, team: str, account_id: str) -> State:
    """A member says yes to somebody who has no keys yet; a member's browser seals the key once there are some."""
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    _member_only(session, actor, team)
    _check_fits(session, account_id, pharmacy_id, kind)
    state = _move(session, pharmacy_id, kind, account_id, Event.APPROVE, actor)
    _note(session, actor, Action.TEAM_ASKED, team, pharmacy_id, {"account": account_id, "approved": True})
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
) -> datetime:
    """A member makes the first keys of a colleague who has not signed in yet, and says yes to the seat.

    The next generation that the member's browser makes lists the newcomer. Gives the time at which the keys end when
    nobody takes them over. Raises NotFound, Forbidden, Conflict `already-enrolled`, Unprocessable as `approve_ahead`
    and `ahead.make` do.
    """
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    _member_only(session, actor, team)
    newcomer = _check_fits(session, account_id, pharmacy_id, kind)
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
    if seats_of(session, account_id).get(team) is not State.APPROVED:
        _move(session, pharmacy_id, kind, account_id, Event.APPROVE, actor)
        _note(session, actor, Action.TEAM_ASKED, team, pharmacy_id, {"account": account_id, "approved": True})
    return until


def decline(session: Session, *, actor: Actor, team: str, account_id: str) -> State:
    """A member refuses an ask, or the asking person takes it back."""
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    if account_id != actor.account_id:
        _member_only(session, actor, team)
    state = _move(session, pharmacy_id, kind, account_id, Event.DECLINE, actor)
    _note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": account_id, "declined": True})
    return state


def leave(session: Session, *, actor: Actor, team: str) -> State:
    """Give up the own seat: without access at once, without keys from the next record on.

    Raises Conflict `sole-member` for the last one: nobody would be left to open the team's threads. Who was let in
    ahead and has not come yet does not count. Forbidden `keys-stopped`: somebody else may give the seat up.
    """
    pharmacy_id, kind = _of(session, team)
    _may_act(actor, pharmacy_id, kind)
    stops.hold(session, actor.account_id)
    # Locked, so that the last two do not leave at the same moment.
    _rows(session, [team], lock=True)
    if who_came(session, members(session, team)) == {actor.account_id}:
        raise Conflict("sole-member")
    state = _move(session, pharmacy_id, kind, actor.account_id, Event.LEAVE, actor)
    _note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": actor.account_id})
    return state


def started_again(session: Session, *, actor: Actor) -> dict[str, frozenset[str]]:
    """Give up the seats of somebody who has new keys without the old ones: nobody has let those in.

    With the login alone somebody could start again in a member's name; the next generation must not be sealed to that.
    Who is left, by team. A seat stays where nobody else came who could give it back: its key is lost either way.
    """
    left: dict[str, frozenset[str]] = {}
    for team in sorted(teams_of(session, actor.account_id)):
        _rows(session, [team], lock=True)
        if not who_came(session, members(session, team)) - {actor.account_id}:
            continue
        pharmacy_id, kind = _of(session, team)
        _move(session, pharmacy_id, kind, actor.account_id, Event.LEAVE, actor)
        _note(session, actor, Action.TEAM_LEFT, team, pharmacy_id, {"account": actor.account_id})
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
    newest = newest_generations(session, [team_id(pharmacy_id, kind) for kind in TeamKind])
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
                flagged=seat.state == State.LEAVING
                or (seat.state == State.MEMBER and (not _can_sit(account) or stale)),
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


def newest_generations(session: Session, teams: Iterable[str]) -> dict[str, int]:
    """The newest generation of each team that was founded. One query."""
    rows = session.execute(
        select(TeamRecord.team_id, func.max(TeamRecord.gen))
        .where(TeamRecord.team_id.in_(list(teams)))
        .group_by(TeamRecord.team_id)
    )
    return dict(rows.all())


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


def sits_with_known_keys(session: Session, account_id: str, pharmacy_id: str) -> bool:
    """Whether somebody sits in a team of a pharmacy with the keys its newest generation names, or that follow them.

    Not who has begun anew since, with the login alone: the last one of a team keeps the seat. Three queries.
    """
    own = teams_of(session, account_id).intersection(team_id(pharmacy_id, kind) for kind in TeamKind)
    chain = directory.chains(session, [account_id]).get(account_id, [])
    newest = directory.newest_identity(chain) if chain else []
    named = {
        member.who
        for signed, _ in newest_records(session, own).values()
        for member in signed.members
        if member.id == account_id
    }
    return any(keys in newest for who in named for keys in heirs(chain, who))


def chains(session: Session, teams: Iterable[str]) -> dict[str, list[SignedRecord]]:
    """The verified generations of many teams, oldest first; a team without any is left out. Two queries.

    Raises Unprocessable when what is stored does not verify.
    """
    rows = _rows(session, list(teams))
    known = directory.chains(session, {row.signer for row in rows})
    found: dict[str, list[TeamRecord]] = {}
    for row in rows:
        found.setdefault(row.team_id, []).append(row)
    with answering_refusals():
        return {team: _chain(own, known) for team, own in found.items()}


def records(session: Session, teams: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The generations of many teams as they travel, oldest first. One query."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(session, list(teams)):
        found.setdefault(row.team_id, []).append(row.record)
    return found


def _of(session: Session, team: str) -> tuple[str, TeamKind]:
    split = split_team_id(team)
    if split is None or session.get(Pharmacy, split[0]) is None:
        raise NotFound()
    return split


def _may_act(actor: Actor, pharmacy_id: str, kind: TeamKind) -> None:
    policy.allow_team_act(actor, pharmacy_id=pharmacy_id, role_fits=actor.role in ROLES[kind])


def _member_only(session: Session, actor: Actor, team: str) -> None:
    if team not in teams_held(session, actor.account_id):
        raise Forbidden("not-in-team")


def _check_fits(session: Session, account_id: str, pharmacy_id: str, kind: TeamKind) -> Account:
    # Locked, so that no seat and no keys are made for somebody whose invitation is taken back at the same moment.
    wanted = session.get(Account, account_id, with_for_update={"key_share": True})
    if wanted is None or wanted.pharmacy_id != pharmacy_id or not _can_sit(wanted):
        raise NotFound()
    if Role(wanted.role) not in ROLES[kind]:
        raise Unprocessable("team-not-for-role")
    return wanted


def _can_sit(account: Account) -> bool:
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


def _rows(session: Session, teams: list[str], *, lock: bool = False) -> list[TeamRecord]:
    wanted = select(TeamRecord).where(TeamRecord.team_id.in_(teams)).order_by(TeamRecord.team_id, TeamRecord.gen)
    return list(session.scalars(wanted.with_for_update() if lock else wanted))


def _verified(session: Session, rows: list[TeamRecord]) -> list[SignedRecord]:
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


def _heirs(session: Session, accounts: set[str]) -> IdentitiesOf:
    known = directory.chains(session, accounts)
    return lambda user, who: heirs(known.get(user, []), who)


def _check_roster(session: Session, signed: SignedRecord, pharmacy_id: str, kind: TeamKind) -> None:
    listed = {member.id: member.role for member in signed.members}
    # Locked, so that nobody is listed whose account is closed at the same moment.
    rows = select(Account).where(Account.id.in_(list(listed))).order_by(Account.id).with_for_update(read=True)
    accounts = {row.id: row for row in session.scalars(rows.execution_options(populate_existing=True))}
    keyed = directory.have_keys(session, listed)
    gone = set(
        session.scalars(
            select(TeamSeat.account_id).where(
                TeamSeat.pharmacy_id == pharmacy_id, TeamSeat.kind == kind, TeamSeat.state == State.LEAVING
            )
        )
    )
    untouched = ahead.waiting(session, listed)
    for id, role in listed.items():
        if role is RecordRole.SERVICE:
            # The pharmacy's recovery key: the record's own checks have settled whose it is.
            if id not in keyed:
                raise Unprocessable("member-without-keys", extra={"account": id})
            continue
        account = accounts.get(id)
        if account is None or account.pharmacy_id != pharmacy_id or Role(account.role) not in ROLES[kind]:
            raise Unprocessable("team-not-for-role")
        if role.value != role_in_records(Role(account.role)):
            raise BadInput("form", extra={"field": "members"})
        if not _can_sit(account) or id in gone:
            raise Unprocessable("member-leaves", extra={"account": id})
        made = untouched.get(id)
        if made is not None and made.over(listed):
            raise Unprocessable("ahead-over", extra={"account": id})
        if id not in keyed:
            raise Unprocessable("member-without-keys", extra={"account": id})
    known = directory.chains(session, listed)
    if not all(still(known[member.id], member.who) for member in signed.members):
        # Nobody could speak for the team, or sign for it, who is listed by other keys than the present ones.
        raise Unprocessable("refused", extra={"reason": Reason.MEMBER_KEY.value})


def _follow(
    session: Session,
    actor: Actor,
    signed: SignedRecord,
    before: SignedRecord | None,
    pharmacy_id: str,
    kind: TeamKind,
) -> Appended:
    was, now = _people(before), _people(signed)
    for id in sorted(now):
        _move(session, pharmacy_id, kind, id, Event.LISTED, actor)
    for id in sorted(was - now):
        _move(session, pharmacy_id, kind, id, Event.UNLISTED, actor)
    joined, left = tuple(sorted(now - was)), tuple(sorted(was - now))
    if before is None:
        _note(session, actor, Action.TEAM_FOUNDED, signed.id, pharmacy_id, {"gen": 1})
    for action, people in ((Action.TEAM_JOINED, joined), (Action.TEAM_LEFT, left)):
        for id in people:
            _note(session, actor, action, signed.id, pharmacy_id, {"gen": signed.gen, "account": id})
    recovery_ = recovery_id(pharmacy_id)
    if signed.lists(recovery_) != (before is not None and before.lists(recovery_)):
        action = Action.TEAM_JOINED if signed.lists(recovery_) else Action.TEAM_LEFT
        _note(session, actor, action, signed.id, pharmacy_id, {"gen": signed.gen, "recovery": recovery_})
    if before is not None and not joined and not left:
        _note(session, actor, Action.KEY_ROTATED, signed.id, pharmacy_id, {"gen": signed.gen})
    return Appended(
        signed.id, signed.gen, tuple(sorted(now)), joined, left, sole_member=len(who_came(session, now)) == 1
    )


def _people(signed: SignedRecord | None) -> set[str]:
    """Who has a seat by a record: everybody listed but the recovery key, which is nobody."""
    listed = signed.members if signed is not None else ()
    return {member.id for member in listed if member.role is not RecordRole.SERVICE}


def _move(session: Session, pharmacy_id: str, kind: TeamKind, account_id: str, event: Event, actor: Actor) -> State:
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


def _note(session: Session, actor: Actor, action: Action, team: str, pharmacy_id: str, detail: dict[str, Any]) -> None:
    record(
        session,
        action,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("Team", team),
        purpose=Purpose.HOPERAT,
        detail=detail,
    )
