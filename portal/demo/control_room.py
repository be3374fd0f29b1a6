"""The demo's control room: `/demo`. Change accounts, move the clock, trouble the EHR, see what left the house.

It is put into demo portals only and refuses every other. It shows nothing but what the demo's accounts show.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.core import clock
from portal.core.errors import BadInput, Unavailable
from portal.core.settings import UnsafeSettings
from portal.demo.idp import DemoAccount
from portal.demo.people import NEWCOMERS, PEOPLE, DemoPerson
from portal.demo.sandbox.control import Mode, SandboxControl
from portal.identity import flask_session, sessions
from portal.identity.flask_session import open_when_locked
from portal.identity.session_life import EndedBy
from portal.notify.mail import FileMailer
from portal.outbox import dead_letters
from portal.outbox.tables import OutboxJob
from portal.pharmacies import profiles
from portal.web import health
from portal.web.pages import format_moment, key_page
from portal.web.wiring import services

blueprint = Blueprint("demo", __name__, url_prefix="/demo")
SANDBOX = "portal-demo-sandbox"
LOADED = "portal-demo-loaded"
# Those of the demo world who have a login; without it everybody.
PRESENT = "portal-demo-present"
# Set once the world is whole.
WHOLE = "portal-demo-whole"
CLOCK_OF = "riverside"
_ASKS_FOR_KEYS = ("demo.room", "shells.recover")
NIGHT_HOUR = 3
MAILS = 50
JOBS = 50


def attach(app: Flask, *, passphrase: str | None = None) -> None:
    """Put the control room into a demo portal. Raises UnsafeSettings under PORTAL_ENV=production.

    `passphrase`, where the demo's people have one, is shown here and where a browser without keys asks for it.
    """
    if app.extensions["portal"].settings.production:
        raise UnsafeSettings(["the control room is for demonstrations only"])
    app.register_blueprint(blueprint)
    # The shell of the page knows no passphrase; only a demo gives it one to show.
    app.context_processor(lambda: {"demo_passphrase": passphrase if request.endpoint in _ASKS_FOR_KEYS else None})
    app.after_request(_ask_who)
    app.extensions.setdefault(health.NOT_BEFORE, []).append(_whole)


def _whole() -> None:
    """A half world is no demo: whoever asks for readiness waits until everything is told."""
    if not current_app.extensions.get(WHOLE, False):
        raise Unavailable("demo-being-made", retry_after=2)


@dataclass(frozen=True)
class _Job:
    """A job of the outbox that has not been done."""

    kind: str
    due_at: datetime
    attempts: int
    last_error: str | None


@blueprint.get("")
@open_when_locked
def room() -> str:
    """Everything on one page."""
    mailer = services().adapters.get("mailer")
    with services().database.reading() as session:
        waiting = session.execute(
            select(OutboxJob.kind, OutboxJob.due_at, OutboxJob.attempts, OutboxJob.last_error)
            .where(OutboxJob.done_at.is_(None), OutboxJob.dead_at.is_(None))
            .order_by(OutboxJob.due_at)
            .limit(JOBS)
        ).all()
        dead = dead_letters.find(session)
    sandbox = _sandbox()
    return render_template(
        "demo/room.html",
        people=[(person.login, person.name, person.role.value) for person in _present()],
        loaded=[(account.login, account.name, account.role) for account in _loaded()],
        here=format_moment(clock.now(), _zone()),
        moved=clock.offset() != timedelta(),
        modes=[mode.value for mode in Mode] if sandbox is not None else [],
        mode=sandbox.mode.value if sandbox is not None else None,
        mails=mailer.sent(MAILS) if isinstance(mailer, FileMailer) else [],
        jobs=[_Job(*row) for row in waiting],
        dead=dead,
    )


@blueprint.post("/switch")
@open_when_locked
def switch() -> ResponseReturnValue:
    """End this session and go to the provider as somebody else."""
    login = request.form.get("login", "")
    if login not in {person.login for person in _present()} | {account.login for account in _loaded()}:
        raise BadInput("bad-field", extra={"field": "login"})
    current = flask_session.current_login()
    if current is not None:
        with services().database.transaction() as rows:
            sessions.end(rows, services().bus, current, EndedBy.LOGOUT)
        flask_session.sign_out()
    return redirect("/login?" + urlencode({"login_hint": login}), 303)


@blueprint.post("/clock")
@open_when_locked
def move_clock() -> ResponseReturnValue:
    """Move the clock of portal, provider, sandbox and worker; they are one process.

    Not while the world is still being made: what is told of the past would come apart.
    """
    if not current_app.extensions.get(WHOLE, False):
        raise Unavailable(retry_after=10)
    act = request.form.get("act", "")
    if act == "now":
        clock.reset()
    elif act == "hour":
        clock.shift(timedelta(hours=1))
    elif act in ("night", "opening"):
        target = _next_night() if act == "night" else _next_opening()
        if target is not None:
            clock.shift(target - clock.now())
    else:
        raise BadInput("bad-field", extra={"field": "act"})
    return redirect("/demo", 303)


@blueprint.post("/ehr")
@open_when_locked
def trouble_ehr() -> ResponseReturnValue:
    """Make the sandbox slow, down, conflicting or normal."""
    sandbox, mode = _sandbox(), request.form.get("mode", "")
    if sandbox is None or mode not in set(Mode):
        raise BadInput("bad-field", extra={"field": "mode"})
    sandbox.set(Mode(mode))
    return redirect("/demo", 303)


@blueprint.get("/gallery")
@open_when_locked
def gallery() -> Response:
    """All components of the browser client in all their states."""
    return key_page("gallery")


def _next_night() -> datetime:
    here = clock.now().astimezone(_zone())
    night = here.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night > here else night + timedelta(days=1)


def _next_opening() -> datetime | None:
    there = _there()
    if there is None:
        return None
    opening = there.opening
    # Open now: the opening after the next closing is meant.
    moment = clock.now()
    if opening.is_open(moment):
        closes = opening.open_until(moment)
        moment = closes if closes is not None else moment
    return opening.next_open(moment)


def _there() -> profiles.Profile | None:
    """The pharmacy whose clock this is: Riverside's, or where a world has none of that name, the first one's.

    None while the world is being made, and on a first day before a pharmacy is opened.
    """
    with services().database.reading() as session:
        known = profiles.everyone(session)
    return next((one for one in known if one.id == CLOCK_OF), known[0] if known else None)


def _zone() -> ZoneInfo:
    there = _there()
    return ZoneInfo(there.time_zone if there is not None else "UTC")


def _sandbox() -> SandboxControl | None:
    return cast("SandboxControl | None", current_app.extensions.get(SANDBOX))


def _present() -> Iterable[DemoPerson]:
    """Those of the demo world who have a login."""
    return cast("Iterable[DemoPerson]", current_app.extensions.get(PRESENT, PEOPLE))


def _loaded() -> list[DemoAccount]:
    """Those of whom only the provider knows: who may be invited, and who came with a bundle."""
    return [*NEWCOMERS, *cast("list[DemoAccount]", current_app.extensions.get(LOADED, []))]


def _ask_who(answer: Response) -> Response:
    """Whoever switches accounts is asked for the password again, with the name filled in."""
    hint = request.args.get("login_hint", "")
    if request.endpoint == "login.start" and answer.status_code == 303 and hint:
        answer.headers["Location"] += "&" + urlencode({"login_hint": hint[:64], "prompt": "login"})
    return answer
