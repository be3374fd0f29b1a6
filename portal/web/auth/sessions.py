"""A person's own sessions: the state of this one for the client, and the list of all, with and without JavaScript."""

from typing import Any
from urllib.parse import quote

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf

from portal.accounts import guards, names, policy
from portal.accounts.actor import ActingFor
from portal.accounts.tables import Account
from portal.core import clock
from portal.core.errors import NotFound
from portal.identity import flask_session, session_life, session_rows, sessions
from portal.identity.flask_session import open_when_locked
from portal.identity.session_life import CurrentSession, EndedBy, State
from portal.identity.user_agents import describe
from portal.web.acting import current_actor
from portal.web.auth.next import safe_next
from portal.web.json import Nothing, stamp, takes
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("sessions", __name__)
api = Blueprint("sessions_api", __name__, url_prefix="/api")


@api.get("/session")
@open_when_locked
def this_session() -> ResponseReturnValue:
    """Who is signed in here and until when."""
    current = flask_session.settled_login()
    if current is None:
        return jsonify(_nobody())
    with services().database.reading() as rows:
        account = rows.get_one(Account, current.account_id)
        acting = current_actor(rows).acting if current.state is State.ACTIVE else ()
        known = names.selves(rows, [one.patient_id for one in acting]) if acting else {}
        tried = guards.tried(rows, current) if current.shared else None
    return jsonify(
        {
            "state": current.state.value,
            "csrf": generate_csrf(),
            "now": stamp(clock.now()),
            "account": _account(account),
            "patients": [_acting_for(one, *known.get(one.patient_id, (None, None))) for one in acting],
            "device": current.device_id,
            # On a shared device that is locked it comes with the share, for the right PIN only.
            "device_challenge": None if current.shared and current.state is State.LOCKED else current.device_challenge,
            "lock_at": stamp(current.lock_at),
            "ends_at": stamp(current.ends_at),
            "warn_before": int(session_life.warn_before(current).total_seconds()),
            "tell_every": int(session_life.touch_every(current).total_seconds()),
            "shared": current.shared,
            "wrong_pins": None if tried is None else {"count": tried.count, "last_at": stamp(tried.last_at)},
        }
    )


@api.post("/session/activity")
@takes(Nothing)
def activity(_: Nothing) -> ResponseReturnValue:
    """The person did something; streams and polling never call this."""
    current = flask_session.require_login()
    with services().database.transaction() as rows:
        lock_at, ends_at = sessions.touch(rows, current)
    return jsonify({"lock_at": stamp(lock_at), "ends_at": stamp(ends_at)})


@api.post("/session/lock")
@takes(Nothing)
def lock(_: Nothing) -> ResponseReturnValue:
    """The person leaves the screen: locked at once."""
    current = flask_session.require_login()
    with services().database.transaction() as rows:
        sessions.lock(rows, services().bus, current, request_id=request_id())
    return "", 204


@api.get("/sessions")
def listed() -> ResponseReturnValue:
    """All sessions of the person that have not ended, the one used last first."""
    current = flask_session.require_login()
    return jsonify({"items": [_line(one, current) for one in _own(current)], "next": None})


@api.post("/sessions/<ref>/end")
@takes(Nothing)
def end_one(_: Nothing, ref: str) -> ResponseReturnValue:
    """End one of the person's own sessions; another one than this asks for a fresh login."""
    _end_one(flask_session.require_login(), ref)
    return "", 204


@api.post("/sessions/end-others")
@takes(Nothing)
def end_others(_: Nothing) -> ResponseReturnValue:
    """End all of the person's sessions but this one, after a fresh login."""
    return jsonify({"ended": _end_others(flask_session.require_login())})


@blueprint.post("/lock")
@open_when_locked
def lock_page() -> ResponseReturnValue:
    """The button of a page without keys: locks this screen; on a shared device a PIN or passkey opens it again."""
    current = flask_session.current_login()
    if current is not None and current.state is State.ACTIVE:
        with services().database.transaction() as rows:
            sessions.lock(rows, services().bus, current, request_id=request_id())
    way = "/lock" if current is not None and current.shared else "/unlock"
    return redirect(f"{way}?next={quote(safe_next(request.form.get('next')), safe='')}", 303)


@blueprint.get("/account/sessions")
def page() -> ResponseReturnValue:
    """Where I am signed in."""
    current = flask_session.require_login()
    lines = [(one, describe(one.user_agent), one.ref == current.ref) for one in _own(current)]
    return render_template("auth/sessions.html", lines=lines, done=request.args.get("done"))


@blueprint.post("/account/sessions")
def change() -> ResponseReturnValue:
    """The buttons of that page; who has not signed in just now does so first, and presses again."""
    current = flask_session.require_login()
    ref = request.form.get("ref")
    if ref != current.ref and not policy.fresh_login(current_actor()):
        return redirect("/step-up?next=/account/sessions", 303)
    if ref is None:
        _end_others(current)
        return redirect("/account/sessions?done=others", 303)
    _end_one(current, ref)
    return redirect("/logged-out" if ref == current.ref else "/account/sessions?done=one", 303)


def _own(current: CurrentSession) -> list[CurrentSession]:
    with services().database.reading() as rows:
        return session_rows.own(rows, current.account_id)


def _end_one(current: CurrentSession, ref: str) -> None:
    # Leaving is always possible; throwing out others is not for whoever found this one open.
    if ref != current.ref:
        policy.needs_step_up(current_actor())
    agent = current.agent(address=client_address(), request_id=request_id())
    with services().database.transaction() as rows:
        found = session_rows.by_ref(rows, ref)
        if found is None or found.account_id != current.account_id:
            raise NotFound()
        sessions.end(rows, services().bus, found, EndedBy.PERSON, agent=agent)
    if ref == current.ref:
        flask_session.sign_out()


def _end_others(current: CurrentSession) -> int:
    policy.needs_step_up(current_actor())
    agent = current.agent(address=client_address(), request_id=request_id())
    with services().database.transaction() as rows:
        return sessions.end_others(rows, services().bus, current, agent=agent)


def _line(one: CurrentSession, current: CurrentSession) -> dict[str, Any]:
    return {
        "ref": one.ref,
        "current": one.ref == current.ref,
        "state": one.state.value,
        "browser": describe(one.user_agent),
        "address": one.address,
        "created_at": stamp(one.created_at),
        "active_at": stamp(one.active_at),
        "ends_at": stamp(one.ends_at),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "role": account.role,
        "name": account.display_name,
        "language": account.language,
        "time_zone": account.time_zone,
        "large_text": account.large_text,
        "pharmacy": account.pharmacy_id,
    }


def _acting_for(one: ActingFor, account: str | None, name: str | None) -> dict[str, Any]:
    return {"patient": one.patient_id, "kind": one.kind, "scope": one.scope, "account": account, "name": name}


def _nobody() -> dict[str, Any]:
    return {
        "state": "anonymous",
        "csrf": generate_csrf(),
        "now": stamp(clock.now()),
        "account": None,
        "patients": [],
        "device": None,
        "device_challenge": None,
        "lock_at": None,
        "ends_at": None,
        "warn_before": int(session_life.WARN_BEFORE.total_seconds()),
        "tell_every": int(session_life.TOUCH_EVERY.total_seconds()),
        "shared": False,
        "wrong_pins": None,
    }
