"""Letting somebody into teams with the recovery sheets: an act of two people that everybody concerned sees.

One asks, with a reason, who is to be let in and where. A second person, of the pharmacy or the operator, says yes from
an own login. Within the hour whoever asked types two sheets; the browser makes the next generation of each team, and
the server takes those records in one step or not at all (docs/protocol.md section 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts import ahead, directory, policy, recovery, stops
from portal.accounts.actor import Actor
from portal.accounts.roles import Role
from portal.accounts.tables import Account
from portal.audit import Action
from portal.core import clock, ids
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound
from portal.core.lives import Life, Step
from portal.notify.words import Template
from portal.pharmacies import generations, recovery_key, teams
from portal.pharmacies.generations import Appended
from portal.pharmacies.tables import Pharmacy, RecoveryAct
from portal.pharmacies.topics import TeamKind, team_id

WAITS = timedelta(days=1)
"""How long an ask waits for the second person."""
LASTS = timedelta(hours=1)
"""How long the sheets may be used once the second person has said yes."""
SHOWN = 20
LONGEST_REASON = 300


class State(StrEnum):
    """Where an act stands."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    USED = "used"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Event(StrEnum):
    """What moves an act."""

    ASK = "somebody asks, with a reason"
    CONFIRM = "a second person says yes"
    REFUSE = "a second person says no"
    CANCEL = "called off"
    USE = "two sheets are typed in"
    RUN_OUT = "its time is over"


LIFE: Life[State, Event] = Life(
    "recovery act",
    (
        Step(None, Event.ASK, State.ASKED),
        Step(State.ASKED, Event.CONFIRM, State.CONFIRMED),
        Step(State.ASKED, Event.REFUSE, State.REFUSED),
        Step(State.ASKED, Event.CANCEL, State.CANCELLED),
        Step(State.ASKED, Event.RUN_OUT, State.EXPIRED),
        Step(State.CONFIRMED, Event.USE, State.USED),
        Step(State.CONFIRMED, Event.CANCEL, State.CANCELLED),
        Step(State.CONFIRMED, Event.RUN_OUT, State.EXPIRED),
    ),
)


@dataclass(frozen=True)
class Choice:
    """Somebody who may be let in, and the teams that the sheets open and that take the role."""

    account: str
    name: str
    role: Role
    teams: tuple[TeamKind, ...]


def state_of(row: RecoveryAct) -> State:
    """Where an act stands now; nothing waits for a timer."""
    state = State(row.state)
    over = LIFE.after(state, Event.RUN_OUT)
    return over if over is not None and row.expires_at <= clock.now() else state


def latest(session: Session, *, actor: Actor, pharmacy_id: str) -> list[RecoveryAct]:
    """The last acts of a pharmacy, the newest first. Raises NotFound."""
    policy.allow_see_recovery(actor, pharmacy_id=pharmacy_id)
    wanted = select(RecoveryAct).where(RecoveryAct.pharmacy_id == pharmacy_id)
    return list(session.scalars(wanted.order_by(RecoveryAct.asked_at.desc(), RecoveryAct.id).limit(SHOWN)))


def going_on(session: Session, pharmacy_id: str) -> RecoveryAct | None:
    """The act that is asked for or confirmed now; there is never more than one."""
    return next((row for row in _alive(session) if row.pharmacy_id == pharmacy_id), None)


def everywhere(session: Session, *, actor: Actor) -> list[tuple[RecoveryAct, str]]:
    """What is going on in all pharmacies, with their names: for the operator. Two queries. Raises Forbidden."""
    policy.allow_open_pharmacy(actor)
    alive = _alive(session)
    wanted = select(Pharmacy.id, Pharmacy.name).where(Pharmacy.id.in_([row.pharmacy_id for row in alive]))
    known: dict[str, str] = dict(session.execute(wanted).all()) if alive else {}
    return [(row, known[row.pharmacy_id]) for row in alive]


def _alive(session: Session) -> list[RecoveryAct]:
    """The acts that wait for somebody, in all pharmacies: a handful at most."""
    wanted = select(RecoveryAct).where(
        RecoveryAct.state.in_([State.ASKED, State.CONFIRMED]), RecoveryAct.expires_at > clock.now()
    )
    return list(session.scalars(wanted.order_by(RecoveryAct.asked_at.desc(), RecoveryAct.id)))


def choices(session: Session, *, actor: Actor, pharmacy_id: str) -> list[Choice]:
    """Whom the sheets could let in, and where. Four queries. Raises NotFound."""
    policy.allow_ask_recovery(actor, pharmacy_id=pharmacy_id)
    covered = recovery_key.covered(session, pharmacy_id, recovery_key.sheets(session, pharmacy_id))
    people = session.scalars(
        select(Account)
        .where(Account.pharmacy_id == pharmacy_id, Account.disabled_at.is_(None))
        .order_by(Account.display_name, Account.id)
    ).all()
    known = [one.id for one in people]
    keyed, untouched = directory.have_keys(session, known), ahead.waiting(session, known)
    found = []
    for one in people:
        kinds = tuple(kind for kind, open_ in covered.items() if open_ and Role(one.role) in teams.ROLES[kind])
        if kinds and one.id in keyed and one.id not in untouched:
            found.append(Choice(one.id, one.display_name, Role(one.role), kinds))
    return found


def ask(
    session: Session, *, actor: Actor, pharmacy_id: str, account_id: str, kinds: tuple[str, ...], reason: str
) -> str:
    """Ask that somebody be let into teams with the sheets; everybody is told. Gives the act's id.

    Asks for a fresh login, a certified device and a recovery way of the actor. Raises NotFound, Forbidden,
    StepUpNeeded; Conflict `recovery-going-on`; BadInput `recovery-act` naming the field in `extra`.
    """
    policy.allow_ask_recovery(actor, pharmacy_id=pharmacy_id)
    recovery.needs_own_keys(session, actor=actor)
    # Two who ask at the same moment make one act.
    recovery_key.hold_pharmacy(session, pharmacy_id)
    if going_on(session, pharmacy_id) is not None:
        raise Conflict("recovery-going-on")
    may = {one.account: one.teams for one in choices(session, actor=actor, pharmacy_id=pharmacy_id)}
    wanted = [kind for kind in TeamKind if kind.value in kinds]
    why = " ".join(reason.split())
    right = {
        "account": account_id in may,
        "teams": bool(wanted) and len(wanted) == len(set(kinds)) and set(wanted) <= set(may.get(account_id, ())),
        "reason": 0 < len(why) <= LONGEST_REASON and why.isprintable(),
    }
    if wrong := [field for field, fine in right.items() if not fine]:
        raise BadInput("recovery-act", extra={"field": wrong[0]})
    now = clock.now()
    row = RecoveryAct(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        account_id=account_id,
        teams=[kind.value for kind in wanted],
        reason=why,
        asked_by=actor.account_id,
        asked_at=now,
        state=State.ASKED.value,
        expires_at=now + WAITS,
    )
    session.add(row)
    detail = {"account": account_id, "teams": list(row.teams)}
    recovery_key.note(session, actor, Action.SHEETS_ASKED, pharmacy_id, detail, row.id)
    recovery_key.tell_everybody(session, actor, pharmacy_id, Template.SHEETS_ASKED)
    return row.id


def confirm(session: Session, *, actor: Actor, pharmacy_id: str, act_id: str) -> None:
    """The second person says yes, after a fresh login: from now on the sheets may be used for an hour.

    Raises NotFound, Forbidden `recovery-second-person` for whoever asked, StepUpNeeded, Conflict `recovery-over`.
    """
    seen = _seen(session, actor, pharmacy_id, act_id)
    policy.allow_decide_recovery(actor, pharmacy_id=pharmacy_id, asked_by=seen.asked_by)
    policy.needs_step_up(actor)
    row = _held(session, actor, seen)
    row.state = _after(row, Event.CONFIRM).value
    row.decided_by, row.decided_at = actor.account_id, clock.now()
    row.expires_at = clock.now() + LASTS
    recovery_key.note(session, actor, Action.SHEETS_CONFIRMED, pharmacy_id, _facts(row), row.id)
    recovery_key.tell_everybody(session, actor, pharmacy_id, Template.SHEETS_CONFIRMED)


def stop(session: Session, *, actor: Actor, pharmacy_id: str, act_id: str) -> State:
    """End an act before the sheets are used: a second person refuses it, anybody there calls it off. No login needed
    anew, as stopping is always safe.

    Raises NotFound, Conflict `recovery-over`.
    """
    row = _locked(session, _seen(session, actor, pharmacy_id, act_id))
    refused = actor.account_id != row.asked_by and state_of(row) is State.ASKED
    return _call_off(session, actor, row, Event.REFUSE if refused else Event.CANCEL)


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop: acts that the account has asked for or said yes to, or that would let it in, end."""
    rows = session.scalars(
        select(RecoveryAct)
        .where(
            or_(
                RecoveryAct.asked_by == actor.account_id,
                RecoveryAct.decided_by == actor.account_id,
                RecoveryAct.account_id == actor.account_id,
            ),
            RecoveryAct.state.in_([State.ASKED, State.CONFIRMED]),
            RecoveryAct.expires_at > clock.now(),
        )
        .order_by(RecoveryAct.id)
        .with_for_update()
    ).all()
    for row in rows:
        _call_off(session, actor, row, Event.CANCEL)


def use(
    session: Session, *, actor: Actor, pharmacy_id: str, act_id: str, records: Mapping[str, Mapping[str, Any]]
) -> list[Appended]:
    """Take the generations that the sheets have signed, one for each team of the act: all of them or none.

    Only from whoever asked, after a fresh login, on a certified device, within the hour, and only where the team's
    newest key is sealed to the sheets as they are now: who makes new sheets alone after asking opens nothing. Raises
    NotFound, Forbidden, StepUpNeeded, Conflict `recovery-over` or `moved-generation`, BadInput, Unprocessable.
    """
    seen = _seen(session, actor, pharmacy_id, act_id)
    policy.allow_ask_recovery(actor, pharmacy_id=pharmacy_id)
    if actor.account_id != seen.asked_by:
        raise Forbidden("recovery-not-yours")
    policy.needs_step_up(actor)
    if actor.device_id is None:
        raise Forbidden("device-needed")
    row = _held(session, actor, seen)
    after = _after(row, Event.USE)
    recovery_key.hold_pharmacy(session, pharmacy_id)
    covered = recovery_key.covered(session, pharmacy_id, recovery_key.sheets(session, pharmacy_id))
    if not all(covered.get(TeamKind(kind), False) for kind in row.teams):
        raise Conflict("recovery-over")
    wanted = [team_id(pharmacy_id, TeamKind(kind)) for kind in row.teams]
    if set(records) != set(wanted):
        raise BadInput("recovery-act", extra={"field": "records"})
    made = [
        generations.append_by_recovery(
            session, actor=actor, team=team, record_=records[team], account_id=row.account_id
        )
        for team in wanted
    ]
    row.state, row.ended_by, row.ended_at = after.value, actor.account_id, clock.now()
    recovery_key.note(session, actor, Action.SHEETS_USED, pharmacy_id, _facts(row), row.id)
    recovery_key.tell_everybody(session, actor, pharmacy_id, Template.SHEETS_USED)
    return made


def used_since(session: Session, pharmacy_id: str, made: recovery_key.Sheets) -> bool:
    """Whether these sheets have been used: then the key has been in a browser, and new ones are due."""
    wanted = select(RecoveryAct.id).where(
        RecoveryAct.pharmacy_id == pharmacy_id,
        RecoveryAct.state == State.USED.value,
        RecoveryAct.ended_at >= made.made_at,
    )
    return session.scalar(wanted.limit(1)) is not None


def _seen(session: Session, actor: Actor, pharmacy_id: str, act_id: str) -> RecoveryAct:
    """An act as it stands, not locked. Raises NotFound."""
    policy.allow_see_recovery(actor, pharmacy_id=pharmacy_id)
    row = session.get(RecoveryAct, act_id)
    if row is None or row.pharmacy_id != pharmacy_id:
        raise NotFound()
    return row


def _locked(session: Session, seen: RecoveryAct) -> RecoveryAct:
    return session.get_one(RecoveryAct, seen.id, with_for_update=True, populate_existing=True)


def _held(session: Session, actor: Actor, seen: RecoveryAct) -> RecoveryAct:
    """An act locked behind the people of it: whoever pressed "Something is wrong" may not be who asked, said yes,
    types, or is let in. Accounts come before acts, as a stop locks them. Raises Forbidden `keys-stopped`."""
    people = {actor.account_id, seen.account_id, seen.asked_by, seen.decided_by}
    for account_id in sorted(one for one in people if one is not None):
        stops.hold(session, account_id)
    return _locked(session, seen)


def _call_off(session: Session, actor: Actor, row: RecoveryAct, event: Event) -> State:
    after = _after(row, event)
    row.state, row.ended_by, row.ended_at = after.value, actor.account_id, clock.now()
    action, told = (
        (Action.SHEETS_REFUSED, Template.SHEETS_REFUSED)
        if event is Event.REFUSE
        else (Action.SHEETS_CANCELLED, Template.SHEETS_CANCELLED)
    )
    recovery_key.note(session, actor, action, row.pharmacy_id, _facts(row), row.id)
    recovery_key.tell_everybody(session, actor, row.pharmacy_id, told)
    return after


def _after(row: RecoveryAct, event: Event) -> State:
    after = LIFE.after(state_of(row), event)
    if after is None:
        raise Conflict("recovery-over")
    return after


def _facts(row: RecoveryAct) -> dict[str, Any]:
    return {"account": row.account_id, "teams": list(row.teams), "asked": row.asked_by, "second": row.decided_by}
