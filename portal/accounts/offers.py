"""One device of a person lets another one in: the root key under a code that the first shows and the second reads.

The code stands in a QR code's fragment and on the screen; the server keeps the wrap for ten minutes, under a name that
only who has the code can say, and gives it once (docs/protocol.md section 2).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, delete, or_
from sqlalchemy.orm import Session

from portal.accounts import policy, stops
from portal.accounts.actor import Actor
from portal.accounts.forms import answering_refusals, wrong
from portal.accounts.on_record import note_keys
from portal.accounts.tables import DeviceOffer
from portal.audit import Action
from portal.core import clock, ids
from portal.core.errors import Forbidden, NotFound
from portal.e2ee.recovery import Method, read_wrap
from portal.identity import session_rows
from portal.identity.user_agents import describe

LASTS = timedelta(minutes=10)


class State(StrEnum):
    """Where an offer stands, as the device that made it shows it."""

    WAITING = "waiting"
    GIVEN = "given"
    DONE = "done"
    OVER = "over"


@dataclass(frozen=True)
class Offer:
    """An offer of the actor: until when it is taken, and who took it, in two words."""

    state: State
    until: datetime
    browser: str | None


def make(session: Session, *, actor: Actor, name: str, wrap: dict[str, Any]) -> datetime:
    """Keep what this device offers, in place of an earlier offer. Returns until when it is given out.

    Raises Forbidden without a certified device and while the account is stopped, StepUpNeeded, BadInput for another
    form, user or method.
    """
    if actor.device_id is None:
        raise Forbidden("device-needed")
    policy.needs_step_up(actor)
    with answering_refusals():
        read = read_wrap(wrap)
    if (read.user, read.method) != (actor.account_id, Method.DEVICE):
        wrong("wrap")
    if not ids.is_id(name):
        wrong("name")
    stops.hold(session, actor.account_id)
    session.execute(delete(DeviceOffer).where(DeviceOffer.account_id == actor.account_id))
    until = clock.now() + LASTS
    session.add(DeviceOffer(account_id=actor.account_id, name=name, wrap=wrap, ends_at=until))
    _note(session, actor, Action.KEY_OFFERED)
    return until


def take(session: Session, *, actor: Actor, name: str) -> dict[str, Any]:
    """Give the wrap to a browser without keys that has signed in freshly and names the offer: once.

    Raises StepUpNeeded, Forbidden `keys-stopped`, NotFound for another name, an offer that is over or was given.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    row = session.get(DeviceOffer, actor.account_id, with_for_update=True)
    if actor.device_id is not None or row is None or row.wrap is None or row.name != name or row.ends_at <= clock.now():
        raise NotFound()
    wrap, row.wrap, row.given_to = row.wrap, None, actor.agent.session_ref
    _note(session, actor, Action.KEY_OFFER_TAKEN)
    return wrap


def standing(session: Session, *, actor: Actor) -> Offer | None:
    """The actor's offer; None where there is none. Raises Forbidden without a certified device."""
    if actor.device_id is None:
        raise Forbidden("device-needed")
    row = session.get(DeviceOffer, actor.account_id)
    if row is None:
        return None
    if row.given_to is None:
        state = State.WAITING if row.ends_at > clock.now() else State.OVER
        return Offer(state, row.ends_at, None)
    taker = session_rows.by_ref(session, row.given_to)
    done = taker is not None and taker.device_id is not None
    browser = describe(session_rows.browser_of(session, row.given_to))
    return Offer(State.DONE if done else State.GIVEN, row.ends_at, browser)


def end(session: Session, *, actor: Actor) -> None:
    """Take the actor's offer back; nothing happens where there is none. Raises Forbidden without a certified device."""
    if actor.device_id is None:
        raise Forbidden("device-needed")
    if session.get(DeviceOffer, actor.account_id) is not None:
        session.execute(delete(DeviceOffer).where(DeviceOffer.account_id == actor.account_id))
        _note(session, actor, Action.KEY_OFFER_ENDED)


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop: what the account offers is gone at once, also where it was given and the time still runs."""
    if session.get(DeviceOffer, actor.account_id) is not None:
        session.execute(delete(DeviceOffer).where(DeviceOffer.account_id == actor.account_id))
        _note(session, actor, Action.KEY_OFFER_ENDED)


def forget_over(session: Session) -> int:
    """Delete the offers whose time is over. Of one that was given nothing is left to open anything; that it was given
    stands a while longer, for the page of the device that offers. Returns how many."""
    now = clock.now()
    over = or_(and_(DeviceOffer.wrap.is_not(None), DeviceOffer.ends_at <= now), DeviceOffer.ends_at <= now - LASTS)
    gone = delete(DeviceOffer).where(over).returning(DeviceOffer.account_id)
    return len(session.scalars(gone, execution_options={"synchronize_session": False}).all())


def _note(session: Session, actor: Actor, action: Action) -> None:
    note_keys(session, actor=actor, action=action, detail={"device": actor.device_id})
