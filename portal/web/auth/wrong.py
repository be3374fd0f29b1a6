""" "Something is wrong": one page, one button, for everybody who is signed in; on one's own device behind the lock too.

It answers without JavaScript and without a fresh login: somebody who sees a stranger at work must not be asked for a
password first. A session is needed, so that nobody stops anybody else.
"""

from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts import devices, policy, stops
from portal.accounts.actor import load_actor
from portal.accounts.devices import OwnDevice
from portal.core.errors import NotSignedIn
from portal.identity import flask_session
from portal.identity.flask_session import open_when_locked
from portal.identity.session_life import CurrentSession, State
from portal.pharmacies import teams
from portal.privacy import stopping
from portal.web.acting import current_actor
from portal.web.public.frame import current_frame, known_pharmacies
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("wrong", __name__)
PAGE = "/something-wrong"
# What the page is told of a press: whether there was anybody to hear of it.
_DONE = {True: "1", False: "alone"}


@blueprint.get(PAGE)
@open_when_locked
def show() -> str:
    """What the button does, whom to call, where to complain; for whoever has pressed it, how it is undone."""
    current = flask_session.current_login()
    if current is not None and _anybodys(current):
        current = None
    with services().database.reading() as session:
        stop = None if current is None else stops.standing(session, current.account_id)
        ones = [] if current is None or current.state is not State.ACTIVE else _others(session)
    profile = current_frame().profile
    return render_template(
        "auth/wrong.html",
        signed_in=current is not None,
        locked=current is not None and current.state is State.LOCKED,
        # What stands is told to whoever has signed in since, not to somebody at a locked screen.
        stop=stop if current is not None and current.state is State.ACTIVE else None,
        devices=ones,
        done=current is None and request.args.get("done") in _DONE.values(),
        heard=request.args.get("done") == _DONE[True],
        places=[profile] if profile is not None else known_pharmacies(),
    )


def _anybodys(current: CurrentSession) -> bool:
    # Behind the lock of a computer that several share sits any of them, or nobody.
    return current.shared and current.state is State.LOCKED


def _others(session: Session) -> list[OwnDevice]:
    """The person's other devices, to end one that is lost with one tap more; none where this browser has no keys."""
    actor = current_actor(session)
    if actor.device_id is None:
        return []
    own = devices.own(session, actor=actor)
    return [one for one in own if not one.current and one.state is not devices.State.ENDED]


@blueprint.post(PAGE)
@open_when_locked
def press() -> ResponseReturnValue:
    """End all sessions of this person, this one too, and hold every change of keys."""
    current = flask_session.current_login()
    if current is None:
        raise NotSignedIn()
    if _anybodys(current):
        return redirect(f"/lock?next={PAGE}", 303)
    who: Any = {"login": current, "address": client_address(), "request_id": request_id()}
    with services().database.transaction() as session:
        actor = load_actor(session, current.account_id, **who)
        left, heard = stopping.press(session, actor=actor, bus=services().bus)
    for team, members in left.items():
        teams.tell(services().bus, team, members)
    flask_session.sign_out()
    return redirect(f"{PAGE}?done={_DONE[heard]}", 303)


@blueprint.post(f"{PAGE}/undo")
def undo() -> ResponseReturnValue:
    """The person asks for the end of the stop; who has not signed in just now does so first, and presses again."""
    actor = current_actor()
    if not policy.fresh_login(actor):
        return redirect(f"/step-up?next={PAGE}", 303)
    with services().database.transaction() as session:
        stops.ask_for_the_end(session, actor=actor)
    return redirect(PAGE, 303)
