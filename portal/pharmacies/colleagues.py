"""The people who work at a pharmacy: who came by whom, in which teams they stand, until when; and leaving them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts import policy, stops
from portal.accounts.actor import Actor
from portal.accounts.roles import STAFF, ClosedBy, Role
from portal.accounts.tables import Account
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound
from portal.pharmacies import last_days, staff_invitations, teams
from portal.pharmacies.tables import Pharmacy, StaffInvitation, TeamSeat
from portal.pharmacies.topics import TeamKind, team_id


@dataclass(frozen=True)
class Seat:
    """Where a colleague stands in a team, since when, and who decided that (None: nobody had to)."""

    kind: TeamKind
    state: teams.State
    since: datetime
    decided_by: str | None


@dataclass(frozen=True)
class Colleague:
    """Somebody who works at a pharmacy. `ended`: the last day has passed, or is closing right now.

    `alone_in`: teams that nobody will hold the key of any more once this person's last day is over.
    """

    account: str
    name: str
    role: Role
    signed_in_at: datetime | None
    invited_at: datetime | None
    invited_by: str | None
    last_day: date | None
    ended: bool
    seats: tuple[Seat, ...]
    alone_in: tuple[TeamKind, ...]


def everyone(session: Session, *, actor: Actor, pharmacy_id: str) -> tuple[list[Colleague], Mapping[str, str]]:
    """Who works at a pharmacy, by name, and the names of all account ids in the list. Five queries.

    Those whose last day has passed are listed too, so that the day can be moved; those closed by the operator are not.
    Raises NotFound for a foreign or unknown pharmacy.
    """
    policy.allow_see_staff(actor, pharmacy_id=pharmacy_id)
    pharmacy = session.get(Pharmacy, pharmacy_id)
    if pharmacy is None:
        raise NotFound()
    accounts = session.scalars(
        select(Account)
        .where(
            Account.pharmacy_id == pharmacy_id,
            or_(Account.disabled_at.is_(None), Account.closed_by == ClosedBy.LAST_DAY.value),
        )
        .order_by(Account.display_name, Account.id)
    ).all()
    used = select(StaffInvitation).where(
        StaffInvitation.pharmacy_id == pharmacy_id, StaffInvitation.used_at.is_not(None)
    )
    invitations = {row.account_id: row for row in session.scalars(used)}
    seats: dict[str, list[Seat]] = {}
    standing = select(TeamSeat).where(TeamSeat.pharmacy_id == pharmacy_id, TeamSeat.state != teams.State.LEFT)
    for row in session.scalars(standing.order_by(TeamSeat.kind, TeamSeat.account_id)):
        seat = Seat(TeamKind(row.kind), teams.State(row.state), row.since, row.decided_by)
        seats.setdefault(row.account_id, []).append(seat)
    last_in = _last_in(session, {account.id: account.ends_at for account in accounts}, seats)
    found = [
        Colleague(
            account=account.id,
            name=account.display_name,
            role=Role(account.role),
            signed_in_at=account.last_login_at,
            invited_at=invitations[account.id].created_at if account.id in invitations else None,
            invited_by=invitations[account.id].invited_by if account.id in invitations else None,
            last_day=last_days.day_of(account.ends_at, pharmacy.time_zone) if account.ends_at else None,
            ended=account.ends_at is not None and account.ends_at <= clock.now(),
            seats=tuple(seats.get(account.id, ())),
            alone_in=last_in.get(account.id, ()),
        )
        for account in accounts
    ]
    return found, _names(session, found)


def set_last_day(session: Session, *, actor: Actor, pharmacy_id: str, account_id: str, day: date | None) -> None:
    """Say which day is somebody's last one here, move it, or (None) remove it. Asks for a fresh login.

    A day that is moved after it has passed opens the account again; seats have to be asked for anew. Raises NotFound,
    Forbidden (also for oneself and for roles that the actor could not bring in), StepUpNeeded, BadInput `last-day`.
    """
    staff_invitations.allow(session, actor=actor, pharmacy_id=pharmacy_id)
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    pharmacy = session.get(Pharmacy, pharmacy_id)
    account = session.get(Account, account_id, with_for_update=True)
    if pharmacy is None or account is None or account.pharmacy_id != pharmacy_id or Role(account.role) not in STAFF:
        raise NotFound()
    if account.disabled_at is not None and account.closed_by != ClosedBy.LAST_DAY:
        raise NotFound()
    # Nobody stays longer than the others have agreed to.
    if account_id == actor.account_id:
        raise Forbidden("last-day-of-oneself")
    if Role(account.role) not in staff_invitations.BRINGS[actor.role]:
        raise Forbidden("staff-not-for-role")
    if day is not None and not last_days.can_be(day, pharmacy.time_zone):
        raise BadInput("last-day", extra={"field": "last_day"})
    account.ends_at = last_days.end_of_day(day, pharmacy.time_zone) if day is not None else None
    if account.closed_by == ClosedBy.LAST_DAY:
        account.disabled_at = account.closed_by = None
    record(
        session,
        Action.STAFF_LAST_DAY,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.HOPERAT,
        detail={"day": day.isoformat() if day is not None else "none"},
    )


def leave_all(session: Session, *, actor: Actor, pharmacy_id: str) -> dict[str, frozenset[str]]:
    """Give up all the own seats at once; asks and approvals too. Who is left in each team that lost a member, by team.

    Raises NotFound, and Conflict `sole-member` with the `team`s where nobody else would be left: then nothing changes.
    """
    policy.allow_see_teams(actor, pharmacy_id=pharmacy_id)
    own = {team: state for team, state in teams.seats_of(session, actor.account_id).items() if _at(team, pharmacy_id)}
    member = [team for team, state in own.items() if state is teams.State.MEMBER]
    alone = _alone(session, actor, member)
    if alone:
        raise Conflict("sole-member", extra={"teams": alone})
    for team, state in sorted(own.items()):
        if state is teams.State.MEMBER:
            teams.leave(session, actor=actor, team=team)
        elif state is not teams.State.LEAVING:
            teams.decline(session, actor=actor, team=team, account_id=actor.account_id)
    return {team: teams.members(session, team) for team in member}


def alone_in(session: Session, *, actor: Actor, pharmacy_id: str) -> list[TeamKind]:
    """The teams whose key the actor alone holds: what is there would be lost, so `leave_all` is refused."""
    own = sorted(team for team in teams.teams_of(session, actor.account_id) if _at(team, pharmacy_id))
    return [teams.pharmacy_of(session, team)[1] for team in _alone(session, actor, own)]


def _alone(session: Session, actor: Actor, own: Sequence[str]) -> list[str]:
    return [team for team in own if teams.who_came(session, teams.members(session, team)) == {actor.account_id}]


def _at(team: str, pharmacy_id: str) -> bool:
    return team in {team_id(pharmacy_id, kind) for kind in TeamKind}


def _last_in(
    session: Session, ends: Mapping[str, datetime | None], seats: Mapping[str, list[Seat]]
) -> dict[str, tuple[TeamKind, ...]]:
    """For each whose days here are counted the teams in which nobody with own keys stays longer."""
    came = teams.who_came(session, ends)
    holding = {kind: {id for id in came if any(_sits(seat, kind) for seat in seats.get(id, ()))} for kind in TeamKind}
    return {
        id: tuple(
            kind
            for kind, people in holding.items()
            if id in people and not any(_stays(ends[other], end) for other in people - {id})
        )
        for id, end in ends.items()
        if end is not None
    }


def _sits(seat: Seat, kind: TeamKind) -> bool:
    return seat.kind is kind and seat.state is teams.State.MEMBER


def _stays(end: datetime | None, beyond: datetime) -> bool:
    return end is None or end > beyond


def _names(session: Session, found: list[Colleague]) -> dict[str, str]:
    named = {one.account: one.name for one in found}
    others = {one.invited_by for one in found} | {seat.decided_by for one in found for seat in one.seats}
    wanted = sorted(other for other in others if other is not None and other not in named)
    return named | dict(session.execute(select(Account.id, Account.display_name).where(Account.id.in_(wanted))).all())
