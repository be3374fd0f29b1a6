"""The people who share this browser: listed on its lock page, chosen there, put aside, removed."""

from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session

from portal.accounts import tiles
from portal.core import ids
from portal.identity import flask_session, sessions
from portal.identity.flask_session import cookie_name, open_when_locked
from portal.identity.sessions import CurrentSession
from portal.web.json import Nothing, takes
from portal.web.wiring import services

blueprint = Blueprint("browser", __name__, url_prefix="/api/browser")
# Groups the sessions of one shared browser; no script reads it and it opens nothing by itself.
TILES_COOKIE = "portal_browser"
YEAR_SECONDS = 365 * 24 * 3600
VALUE_LENGTH = 43


@dataclass(frozen=True)
class Person:
    """One of the people of this browser."""

    account: str


@blueprint.get("")
@open_when_locked
def listed() -> Response:
    """Who shares this browser: name and role, and whether a login is needed; nothing else of anyone."""
    here, current = known_browser(), flask_session.current_login()
    with services().database.reading() as rows:
        found = tiles.listed(rows, here) if here is not None else []
    return jsonify(
        items=[
            {
                "account": one.account_id,
                "name": one.name,
                "role": one.role,
                "signed_in": one.signed_in,
                "current": current is not None and current.account_id == one.account_id,
            }
            for one in found
        ]
    )


@blueprint.post("/choose")
@open_when_locked
@takes(Person)
def choose(person: Person) -> Response:
    """Go on as another of them, still locked; `signed_in` false: it takes a login."""
    here = known_browser() or ""
    with services().database.transaction() as rows:
        taken = tiles.choose(
            rows,
            services().bus,
            browser=here,
            account_id=person.account,
            current=flask_session.current_login(),
        )
    if taken is None:
        flask_session.sign_out()
    else:
        flask_session.go_on_as(*taken)
    return jsonify(signed_in=taken is not None)


@blueprint.post("/leave")
@open_when_locked
@takes(Nothing)
def leave(_: Nothing) -> tuple[str, int]:
    """Somebody new signs in here: whoever was here is locked and put aside."""
    current = flask_session.current_login()
    if current is not None and current.shared and known_browser() is not None:
        with services().database.transaction() as rows:
            sessions.lock(rows, services().bus, current)
        flask_session.sign_out()
    return "", 204


@blueprint.post("/remove")
@open_when_locked
@takes(Person)
def remove(person: Person) -> tuple[str, int]:
    """Take a person off the lock page; the session here ends."""
    here, current = known_browser(), flask_session.current_login()
    with services().database.transaction() as rows:
        removed = here is not None and tiles.remove(rows, services().bus, browser=here, account_id=person.account)
    if removed and current is not None and current.account_id == person.account:
        flask_session.sign_out()
    return "", 204


def known_browser() -> str | None:
    """The value of this browser's cookie; None for one that nobody shares."""
    value = request.cookies.get(cookie_name(TILES_COOKIE, services().settings), "")
    return value if len(value) == VALUE_LENGTH else None


def seat(rows: Session, current: CurrentSession) -> str:
    """Make the person of a session one of this browser's; gives the cookie's value, for `keep`."""
    value = known_browser() or ids.token(32)
    tiles.put(rows, browser=value, current=current)
    return value


def keep(answer: Response, value: str) -> Response:
    """Set the cookie by which this browser is known."""
    settings = services().settings
    answer.set_cookie(
        cookie_name(TILES_COOKIE, settings),
        value,
        max_age=YEAR_SECONDS,
        path="/",
        secure=settings.origin.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return answer
