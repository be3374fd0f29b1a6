"""The emergency stop: who pressed "Something is wrong" keeps the keys as they are until it is clear what happened.

While it stands no device, entry, recovery way or vault of the account changes and no wrap of its root key is given out,
so that somebody with a stolen login, or with a code that was found, gets nothing that lasts. Messages can be read and
written on, after a login made since. It ends a day after the person asked for that, signed in anew, which every other
session and the mail address hear of; or by staff who made sure who it is (portal/privacy/stopping.py).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from portal.accounts import notices, policy
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.notices import What
from portal.accounts.on_record import note_keys
from portal.accounts.tables import AccountStop
from portal.audit import Action
from portal.core import clock, ids
from portal.core.errors import Forbidden, NotFound, StepUpNeeded
from portal.core.lives import Life, Step

# From asking until key changes are possible again: long enough to read a mail and say no.
WAIT = timedelta(hours=24)


class State(StrEnum):
    """Where an emergency stop stands."""

    STOPPED = "stopped"
    ENDING = "ending"
    ENDED = "ended"


class Event(StrEnum):
    """What happens to an emergency stop."""

    PRESSED = "pressed"
    ASKED = "its person asks for the end"
    WAITED = "a day has passed"
    CHECKED = "staff made sure who it is"


LIFE: Life[State, Event] = Life(
    "emergency stop",
    (
        Step(None, Event.PRESSED, State.STOPPED),
        Step(State.STOPPED, Event.PRESSED, State.STOPPED),
        Step(State.STOPPED, Event.ASKED, State.ENDING),
        Step(State.ENDING, Event.PRESSED, State.STOPPED),
        Step(State.ENDING, Event.ASKED, State.ENDING),
        Step(State.ENDING, Event.WAITED, State.ENDED),
        Step(State.STOPPED, Event.CHECKED, State.ENDED),
        Step(State.ENDING, Event.CHECKED, State.ENDED),
    ),
)


class Check(StrEnum):
    """How staff made sure who somebody is."""

    IN_PERSON = "in-person"
    # Called at the number that the EHR has, never at one the caller gave.
    CALL_BACK = "call-back"


@dataclass(frozen=True)
class Stop:
    """An emergency stop that stands. `ends_at`: when it ends by itself, None while nobody has asked for that."""

    id: str
    account_id: str
    at: datetime
    ends_at: datetime | None

    @property
    def state(self) -> State:
        """Where it stands."""
        return State.STOPPED if self.ends_at is None else State.ENDING


def standing(session: Session, account_id: str) -> Stop | None:
    """The stop of an account that stands now; None when there is none."""
    row = _row(session, account_id)
    return None if row is None else _read(row)


def all_standing(session: Session) -> list[Stop]:
    """All that stand now, the newest first. One query."""
    rows = session.scalars(select(AccountStop).where(_stands()).order_by(AccountStop.at.desc(), AccountStop.id))
    return [_read(row) for row in rows]


def hold(session: Session, account_id: str) -> None:
    """Called before a key of the account changes or a wrap is given out. Raises Forbidden `keys-stopped`.

    Waits for a stop that is just being pressed, and makes one wait for the change that is under way.
    """
    one_at_a_time(session, account_id)
    if standing(session, account_id) is not None:
        raise Forbidden("keys-stopped")


def press(session: Session, *, actor: Actor) -> Stop:
    """Stop the actor's own account. Pressed again it takes back what was asked for since. Needs no fresh login.

    Ending the sessions and telling the pharmacy are the caller's (portal/privacy/stopping.py).
    """
    one_at_a_time(session, actor.account_id)
    row = _row(session, actor.account_id)
    if row is None:
        row = AccountStop(id=ids.random_id(), account_id=actor.account_id, at=clock.now())
        session.add(row)
    # Every login that was made before counts no longer, also one made since the first time.
    row.at, row.asked_at = clock.now(), None
    session.flush()
    note_keys(session, actor=actor, action=Action.KEY_STOPPED)
    notices.tell(session, actor, What.STOPPED)
    return _read(row)


def ask_for_the_end(session: Session, *, actor: Actor) -> Stop:
    """The person, signed in anew, asks for the end: it comes a day later. Asking again moves nothing.

    Raises StepUpNeeded, NotFound when nothing is stopped.
    """
    policy.needs_step_up(actor)
    one_at_a_time(session, actor.account_id)
    row = _row(session, actor.account_id)
    if row is None:
        raise NotFound()
    needs_later_login(actor, _read(row))
    if row.asked_at is None:
        row.asked_at = clock.now()
        note_keys(session, actor=actor, action=Action.KEY_STOP_ENDING)
        notices.tell(session, actor, What.STOP_ENDING)
    return _read(row)


def needs_later_login(actor: Actor, stop: Stop | None) -> None:
    """A login made before the stop, also one that the provider remembers, proves nothing. Raises StepUpNeeded."""
    if stop is not None and (actor.auth_time is None or actor.auth_time + policy.CLOCKS_APART < stop.at):
        raise StepUpNeeded()


def end(session: Session, *, stop: Stop, by: str, check: Check) -> None:
    """End a stop because staff made sure who it is; policy and the row on record are the caller's."""
    row = session.get_one(AccountStop, stop.id, with_for_update=True)
    row.ended_at, row.ended_by, row.checked = clock.now(), by, check.value
    notices.tell_account(session, stop.account_id, What.STOP_ENDED)


def _row(session: Session, account_id: str) -> AccountStop | None:
    return session.scalar(select(AccountStop).where(_stands(), AccountStop.account_id == account_id))


def _stands() -> ColumnElement[bool]:
    waiting = or_(AccountStop.asked_at.is_(None), AccountStop.asked_at > clock.now() - WAIT)
    return AccountStop.ended_at.is_(None) & waiting


def _read(row: AccountStop) -> Stop:
    return Stop(row.id, row.account_id, row.at, None if row.asked_at is None else row.asked_at + WAIT)
