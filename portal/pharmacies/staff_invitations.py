"""Invitations of staff: a mail without a secret, and the first login with that verified address that uses it.

What lets the newcomer in is the provider's word that the address is theirs, so whoever reads the mail gains nothing
by it. Who is in charge of a pharmacy and sits in one of its teams invites; the operator only until the first team is
founded, so that there is somebody to begin. Who invites may say yes to the newcomer's seats ahead, in the own teams.

The newcomer has a row from the beginning (portal.accounts.awaited), so that colleagues can let in ahead who has never
signed in. When the invitation ends unused, keys made ahead are over and the seats are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session

from portal.accounts import ahead, awaited, policy, stops
from portal.accounts.actor import Actor
from portal.accounts.ahead import Ahead
from portal.accounts.roles import STAFF, ClosedBy, Role
from portal.accounts.signing_in import Invited
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.errors import BadInput, Conflict, NotFound, TooMany
from portal.core.lives import Life, Step
from portal.core.texts import LANGUAGES
from portal.notify.mail import normal_address
from portal.notify.notices import MailJob
from portal.notify.words import Template, moment, plain_name
from portal.outbox import Dead, Job, Retry, enqueue
from portal.outbox.runner import MOST_ATTEMPTS
from portal.pharmacies import last_days, team_records, teams
from portal.pharmacies.tables import Pharmacy, StaffInvitation, TeamSeat
from portal.pharmacies.topics import TeamKind, team_id

# The job that sends the mail; payload {invitation}.
MAIL_JOB = "staff.invitation"
LIVES = timedelta(days=14)
MOST_OPEN = 30
# Made and taken back counts too: an invitation is a mail to somebody who has not asked for it.
MOST_A_DAY = 60
MOST_MAILS = 4
BETWEEN_MAILS = timedelta(minutes=10)
# Addresses of people who never came are forgotten this long after the invitation ended.
KEPT_UNUSED = timedelta(days=30)
LONGEST_NAME = 120
PAGE = 50


class State(StrEnum):
    """Where an invitation stands."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Event(StrEnum):
    """What moves an invitation."""

    INVITE = "a colleague is invited"
    COME = "signs in"
    REVOKE = "taken back"
    RUN_OUT = "its time is over"


LIFE: Life[State, Event] = Life(
    "staff invitation",
    (
        Step(None, Event.INVITE, State.OPEN),
        Step(State.OPEN, Event.COME, State.USED),
        Step(State.OPEN, Event.REVOKE, State.REVOKED),
        Step(State.OPEN, Event.RUN_OUT, State.EXPIRED),
    ),
)

# Whom one may bring in. A pharmacist may also bring in the first of the other two, or nobody could.
BRINGS: Mapping[Role, frozenset[Role]] = {
    Role.PHARMACIST: frozenset({Role.PHARMACIST, Role.TECHNICIAN}),
    Role.SUPERVISOR: STAFF,
    Role.OPERATOR: STAFF,
}


@dataclass(frozen=True)
class Newcomer:
    """Who is invited, and as what."""

    mail: str
    name: str
    role: str
    teams: tuple[str, ...] = ()
    last_day: date | None = None
    language: str = LANGUAGES[0]


@dataclass(frozen=True)
class Choices:
    """What somebody may put into an invitation: roles, and for each role the teams to say yes to ahead."""

    teams: Mapping[Role, tuple[TeamKind, ...]]


@dataclass(frozen=True)
class WayIn:
    """How somebody who is invited can read from the first minute: `team` to let in ahead to, or the code `made`."""

    team: str | None
    made: Ahead | None


def state_of(row: StaffInvitation) -> State:
    """Where an invitation stands now; nothing waits for a timer."""
    if row.used_at is not None:
        return State.USED
    if row.revoked_at is not None:
        return State.REVOKED
    return State.OPEN if row.expires_at > clock.now() else State.EXPIRED


def choices(session: Session, *, actor: Actor, pharmacy_id: str) -> Choices:
    """What the actor may put into an invitation. Raises what `policy.allow_invite_staff` raises."""
    allow(session, actor=actor, pharmacy_id=pharmacy_id)
    return _choices(session, actor, pharmacy_id)


def _choices(session: Session, actor: Actor, pharmacy_id: str) -> Choices:
    own = teams.teams_held(session, actor.account_id)
    roles = BRINGS[actor.role] | (STAFF - _held(session, pharmacy_id))
    return Choices(
        {
            role: tuple(kind for kind in TeamKind if role in teams.ROLES[kind] and team_id(pharmacy_id, kind) in own)
            for role in Role
            if role in roles
        }
    )


def allow(session: Session, *, actor: Actor, pharmacy_id: str) -> None:
    """Whether the actor may bring people into a pharmacy at all. Raises NotFound, Forbidden."""
    mine = teams.teams_held(session, actor.account_id)
    founded = team_records.newest_generations(session, [team_id(pharmacy_id, kind) for kind in TeamKind])
    policy.allow_invite_staff(
        actor,
        pharmacy_id=pharmacy_id,
        in_team=any(team_id(pharmacy_id, kind) in mine for kind in TeamKind),
        founded=bool(founded),
    )


def invite(session: Session, *, actor: Actor, pharmacy_id: str, newcomer: Newcomer) -> str:
    """Invite a colleague; the mail goes out after the commit. Returns the invitation's id. Asks for a fresh login.

    Raises NotFound, Forbidden, StepUpNeeded; BadInput `staff-invitation` naming the field in `extra`; Conflict
    `already-invited` or `works-here`; TooMany beyond the bounds of a pharmacy.
    """
    allow(session, actor=actor, pharmacy_id=pharmacy_id)
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    # Locked, so that two who invite the same person, or two first supervisors, at the same moment make one invitation.
    pharmacy = session.get(Pharmacy, pharmacy_id, with_for_update={"key_share": True})
    if pharmacy is None:
        raise NotFound()
    mail, role, ends_at = _checked(newcomer, _choices(session, actor, pharmacy_id), pharmacy)
    _check_new(session, pharmacy_id, mail)
    now = clock.now()
    row = StaffInvitation(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        account_id=ids.random_id(),
        mail=mail,
        name=newcomer.name.strip(),
        role=role.value,
        teams=[kind.value for kind in TeamKind if kind.value in newcomer.teams],
        last_day=newcomer.last_day,
        language=newcomer.language,
        invited_by=actor.account_id,
        created_at=now,
        expires_at=min(now + LIVES, ends_at) if ends_at is not None else now + LIVES,
        mails=0,
        asked_at=now,
    )
    session.add(row)
    awaited.make(
        session,
        account_id=row.account_id,
        invitation_id=row.id,
        role=role,
        pharmacy_id=pharmacy_id,
        name=row.name,
        language=row.language,
        until=row.expires_at,
    )
    _ask_for_mail(session, row)
    _note(session, actor.agent, Action.STAFF_INVITED, row, {"role": row.role, "teams": list(row.teams)})
    _approve(session, actor, row)
    return row.id


def send_again(session: Session, *, actor: Actor, pharmacy_id: str, invitation_id: str) -> None:
    """Send the mail once more. Raises NotFound, Forbidden, Conflict `invitation-over`, TooMany."""
    row = _own(session, actor, pharmacy_id, invitation_id)
    if state_of(row) is not State.OPEN:
        raise Conflict("invitation-over")
    wait = row.asked_at + BETWEEN_MAILS - clock.now()
    if row.mails >= MOST_MAILS:
        raise TooMany("invitation-mails")
    if row.failed_at is None and wait > timedelta(0):
        raise TooMany("invitation-mail-soon", retry_after=int(wait.total_seconds()) + 1)
    row.asked_at, row.failed_at, row.failure = clock.now(), None, None
    _ask_for_mail(session, row)
    _note(session, actor.agent, Action.STAFF_INVITED_AGAIN, row, {"mails": row.mails})


def revoke(session: Session, *, actor: Actor, pharmacy_id: str, invitation_id: str) -> list[str]:
    """Take an invitation back: nobody comes in by it from now on. The teams that need a new generation by it.

    Raises NotFound, Forbidden, Conflict `invitation-over`.
    """
    row = _own(session, actor, pharmacy_id, invitation_id)
    if LIFE.after(state_of(row), Event.REVOKE) is None:
        raise Conflict("invitation-over")
    row.revoked_at, row.revoked_by = clock.now(), actor.account_id
    return _close(session, row, actor.agent, {})


def revoke_all_of(session: Session, account_id: str, *, agent: Agent) -> list[str]:
    """Take back what somebody has invited whose account was closed, changed or stopped: nobody comes back in by a
    second name.

    `agent` is who did it. Colleagues may invite the same people anew. The teams that need a new generation by it.
    """
    rows = session.scalars(
        select(StaffInvitation)
        .where(StaffInvitation.invited_by == account_id, *_is_open())
        .order_by(StaffInvitation.id)
        .with_for_update()
    )
    concerned: list[str] = []
    for row in rows.all():
        row.revoked_at, row.revoked_by = clock.now(), agent.account_id
        concerned += _close(session, row, agent, {"of": account_id})
    return concerned


def run_out(session: Session, *, limit: int) -> list[str]:
    """Invitations whose time is over while their newcomer's row is still open, to be closed one by one."""
    wanted = (
        select(StaffInvitation.id)
        .join(Account, Account.id == StaffInvitation.account_id)
        .where(Account.closed_by == ClosedBy.INVITED.value, Account.ends_at <= clock.now())
        .order_by(StaffInvitation.id)
        .limit(limit)
    )
    return list(session.scalars(wanted))


def close_run_out(session: Session, invitation_id: str, *, agent: Agent) -> list[str]:
    """Close the newcomer's row of one that `run_out` has found. The teams that need a new generation by it."""
    row = session.get(StaffInvitation, invitation_id, with_for_update=True)
    if row is None or state_of(row) is not State.EXPIRED:
        return []
    return _close(session, row, agent, {"expired": True})


def ways_in(session: Session, *, actor: Actor, rows: Sequence[StaffInvitation]) -> Mapping[str, WayIn]:
    """By invitation id how each of those who may still come can be let in ahead, by the actor. Two queries."""
    waiting = [row for row in rows if state_of(row) is State.OPEN]
    made = ahead.waiting(session, [row.account_id for row in waiting])
    held = teams.teams_held(session, actor.account_id)
    found = {}
    for row in waiting:
        fitting = [kind for kind in TeamKind if Role(row.role) in teams.ROLES[kind]]
        own = [kind for kind in fitting if team_id(row.pharmacy_id, kind) in held]
        # Where the inviter has said yes comes first.
        first = next((kind for kind in own if kind.value in row.teams), own[0] if own else None)
        team = team_id(row.pharmacy_id, first) if first is not None else None
        found[row.id] = WayIn(team, made.get(row.account_id))
    return found


def get(session: Session, *, actor: Actor, pharmacy_id: str, invitation_id: str) -> StaffInvitation:
    """One invitation, for who may invite. Raises NotFound, Forbidden."""
    return _own(session, actor, pharmacy_id, invitation_id)


def unused(
    session: Session, *, actor: Actor, pharmacy_id: str, after: str | None = None, limit: int = PAGE
) -> tuple[list[StaffInvitation], str | None]:
    """Those invited who have not come, the newest first, and where the next page begins. For who may invite.

    `after` is the id of the last one seen. Raises NotFound, Forbidden.
    """
    allow(session, actor=actor, pharmacy_id=pharmacy_id)
    wanted = select(StaffInvitation).where(
        StaffInvitation.pharmacy_id == pharmacy_id, StaffInvitation.used_at.is_(None)
    )
    if after is not None:
        seen = session.get(StaffInvitation, after)
        if seen is None or seen.pharmacy_id != pharmacy_id:
            raise NotFound()
        wanted = wanted.where(tuple_(StaffInvitation.created_at, StaffInvitation.id) < (seen.created_at, seen.id))
    rows = list(
        session.scalars(wanted.order_by(StaffInvitation.created_at.desc(), StaffInvitation.id.desc()).limit(limit + 1))
    )
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def to_mail(session: Session, mail: str) -> list[Invited]:
    """The open invitations to a verified mail address, for a first login (portal.accounts.signing_in)."""
    wanted = normal_address(mail)
    if wanted is None:
        return []
    rows = session.scalars(
        select(StaffInvitation)
        .where(StaffInvitation.mail == wanted, *_is_open())
        .order_by(StaffInvitation.id)
        .with_for_update()
    ).all()
    return [
        Invited(
            account_id=row.account_id,
            role=Role(row.role),
            pharmacy_id=row.pharmacy_id,
            ends_at=last_days.end_of(session, row.pharmacy_id, row.last_day) if row.last_day else None,
            accept=partial(_accept, session, row),
        )
        for row in rows
        # Who is stopped may not be who has invited.
        if stops.standing(session, row.invited_by) is None
    ]


def brought_in_by(session: Session, *, account_id: str, inviter: str) -> bool:
    """Whether a colleague came by the invitation of that person."""
    came = select(StaffInvitation.id).where(
        StaffInvitation.account_id == account_id, StaffInvitation.invited_by == inviter
    )
    return session.scalar(came.limit(1)) is not None


def forget_unused(session: Session) -> None:
    """Delete the invitations that nobody used, a month after they ended, and the rows of those who never came."""
    since = clock.now() - KEPT_UNUSED
    over = select(StaffInvitation).where(
        StaffInvitation.used_at.is_(None),
        or_(StaffInvitation.revoked_at < since, StaffInvitation.expires_at < since),
    )
    rows = session.scalars(over).all()
    for row in rows:
        session.delete(row)
    awaited.forget(session, [row.account_id for row in rows])


class InvitationMail(MailJob):
    """The handler of `MAIL_JOB`: says who invites, where to, where to sign in and until when; nothing else."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox; the list says so too."""
        invitation_id = str(job.payload["invitation"])
        with self._database.reading() as session:
            row = session.get(StaffInvitation, invitation_id)
            if row is None or state_of(row) is not State.OPEN:
                return
            pharmacy = session.get_one(Pharmacy, row.pharmacy_id)
            inviter = session.get(Account, row.invited_by)
        try:
            self.send(
                job,
                Template.STAFF_INVITED,
                row.language,
                to=row.mail,
                next="/team",
                who=plain_name(inviter.display_name if inviter is not None else ""),
                place=plain_name(pharmacy.name),
                until=moment(row.expires_at, pharmacy.time_zone),
            )
        except Dead as problem:
            self._failed(invitation_id, problem.reason, final=True)
            raise
        except Retry as problem:
            self._failed(invitation_id, problem.reason, final=job.attempt >= MOST_ATTEMPTS)
            raise
        self._sent(invitation_id)

    def _failed(self, invitation_id: str, reason: str, *, final: bool) -> None:
        with self._database.transaction() as session:
            row = session.get(StaffInvitation, invitation_id, with_for_update=True)
            if row is not None:
                row.failure, row.failed_at = reason[:60], clock.now() if final else None

    def _sent(self, invitation_id: str) -> None:
        with self._database.transaction() as session:
            row = session.get(StaffInvitation, invitation_id, with_for_update=True)
            if row is not None:
                row.mailed_at, row.failed_at, row.failure = clock.now(), None, None
                _note(session, Agent(None, None), Action.NOTICE_SENT, row, {"to": row.account_id})


def _checked(newcomer: Newcomer, may: Choices, pharmacy: Pharmacy) -> tuple[str, Role, datetime | None]:
    """Mail, role and end as they are kept. Raises BadInput."""
    mail = normal_address(newcomer.mail)
    role = next((one for one in may.teams if one.value == newcomer.role), None)
    ends_at = last_days.end_of_day(newcomer.last_day, pharmacy.time_zone) if newcomer.last_day else None
    right = {
        "name": 0 < len(newcomer.name.strip()) <= LONGEST_NAME and newcomer.name.strip().isprintable(),
        "mail": mail is not None,
        "role": role is not None,
        "teams": set(newcomer.teams) <= {kind.value for kind in (may.teams[role] if role is not None else ())},
        "last_day": newcomer.last_day is None or last_days.can_be(newcomer.last_day, pharmacy.time_zone),
        "language": newcomer.language in LANGUAGES,
    }
    wrong = [field for field, fine in right.items() if not fine]
    if wrong or mail is None or role is None:
        raise BadInput("staff-invitation", extra={"field": wrong[0]})
    return mail, role, ends_at


def _check_new(session: Session, pharmacy_id: str, mail: str) -> None:
    own = StaffInvitation.pharmacy_id == pharmacy_id
    if session.scalar(select(StaffInvitation.id).where(own, StaffInvitation.mail == mail, *_is_open()).limit(1)):
        raise Conflict("already-invited")
    here = select(Account.email).where(
        Account.pharmacy_id == pharmacy_id, Account.disabled_at.is_(None), Account.email_verified
    )
    if mail in {normal_address(one or "") for one in session.scalars(here)}:
        raise Conflict("works-here")
    made = select(func.count()).select_from(StaffInvitation).where(own)
    waiting = session.scalar(made.where(*_is_open())) or 0
    of_today = session.scalar(made.where(StaffInvitation.created_at > clock.now() - timedelta(days=1))) or 0
    if waiting >= MOST_OPEN or of_today >= MOST_A_DAY:
        raise TooMany("too-many-invitations")


def _held(session: Session, pharmacy_id: str) -> frozenset[Role]:
    """The roles that somebody has at a pharmacy, or is invited to."""
    working = select(Account.role).where(Account.pharmacy_id == pharmacy_id, Account.disabled_at.is_(None))
    invited = select(StaffInvitation.role).where(StaffInvitation.pharmacy_id == pharmacy_id, *_is_open())
    return frozenset(Role(role) for role in session.scalars(working.union(invited)))


def _is_open() -> tuple[ColumnElement[bool], ...]:
    return (
        StaffInvitation.used_at.is_(None),
        StaffInvitation.revoked_at.is_(None),
        StaffInvitation.expires_at > clock.now(),
    )


def _own(session: Session, actor: Actor, pharmacy_id: str, invitation_id: str) -> StaffInvitation:
    allow(session, actor=actor, pharmacy_id=pharmacy_id)
    row = session.get(StaffInvitation, invitation_id, with_for_update=True)
    if row is None or row.pharmacy_id != pharmacy_id:
        raise NotFound()
    return row


def _ask_for_mail(session: Session, row: StaffInvitation) -> None:
    row.mails += 1
    enqueue(session, MAIL_JOB, {"invitation": row.id}, dedupe=f"staff:{row.id}", pharmacy_id=row.pharmacy_id)


def _accept(session: Session, row: StaffInvitation, newcomer: Agent) -> None:
    row.used_at = clock.now()
    _note(session, newcomer, Action.STAFF_JOINED, row, {"role": row.role, "by": row.invited_by})
    # A yes counts as long as who gave it still could: who has left the team since decides nothing there.
    seats = select(TeamSeat).where(TeamSeat.account_id == row.account_id, TeamSeat.state == teams.State.APPROVED)
    for seat in session.scalars(seats).all():
        team = team_id(seat.pharmacy_id, TeamKind(seat.kind))
        if seat.decided_by is None or team not in teams.teams_held(session, seat.decided_by):
            seat.state, seat.since = teams.State.LEFT.value, clock.now()


def _close(
    session: Session, row: StaffInvitation, agent: Agent, detail: Mapping[str, str | int | bool | list[str]]
) -> list[str]:
    _note(session, agent, Action.STAFF_UNINVITED, row, detail)
    if not awaited.close(session, row.account_id):
        return []
    return teams.withdraw(session, row.account_id, why=ClosedBy.NEVER_CAME.value)


def _approve(session: Session, actor: Actor, row: StaffInvitation) -> None:
    for kind in map(TeamKind, row.teams):
        session.add(
            TeamSeat(
                pharmacy_id=row.pharmacy_id,
                kind=kind.value,
                account_id=row.account_id,
                state=teams.State.APPROVED.value,
                since=clock.now(),
                decided_by=actor.account_id,
            )
        )
        record(
            session,
            Action.TEAM_ASKED,
            agent=actor.agent,
            pharmacy_id=row.pharmacy_id,
            entity=Entity("Team", team_id(row.pharmacy_id, kind)),
            purpose=Purpose.HOPERAT,
            detail={"account": row.account_id, "approved": True},
        )


def _note(
    session: Session,
    agent: Agent,
    action: Action,
    row: StaffInvitation,
    detail: Mapping[str, str | int | bool | list[str]],
) -> None:
    record(
        session,
        action,
        agent=agent,
        pharmacy_id=row.pharmacy_id,
        entity=Entity("StaffInvitation", row.id),
        purpose=Purpose.HOPERAT,
        detail={"account": row.account_id, **detail},
    )
