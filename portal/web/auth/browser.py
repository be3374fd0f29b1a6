"""The people who share this browser: listed on its lock page, chosen there, put aside, removed."""

from dataclasses import dataclass
from typing import TypeVar

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session
from werkzeug import Response as AnyResponse

from portal.accounts import tiles
from portal.core.errors import NotFound
from portal.identity import flask_session, sessions
from portal.identity.flask_session import cookie_name, open_when_locked
from portal.identity.session_life import CurrentSession, EndedBy
from portal.web.acting import current_actor
from portal.web.auth.wiring import stranger
from portal.web.json import Nothing, takes
from portal.web.public.frame import SHARED_COOKIE
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("browser", __name__, url_prefix="/api/browser")
# Groups the sessions of one shared browser; no script reads it and it opens nothing by itself.
TILES_COOKIE = "portal_browser"
YEAR_SECONDS = 365 * 24 * 3600
VALUE_LENGTH = 43

Answer = TypeVar("Answer", bound=AnyResponse)


@dataclass(frozen=True)
class Person:
    """One of the people of this browser."""

    account: str


@blueprint.get("")
@open_when_locked
def listed() -> Response:
    """Who shares this browser: name and role, and whether a login is needed; nothing else of anyone."""
    current = flask_session.current_login()
    with services().database.reading() as rows:
        here = known_browser(rows)
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
    with services().database.transaction() as rows:
        here = known_browser(rows)
        if here is None:
            raise NotFound()
        taken = tiles.choose(
            rows,
            services().bus,
            browser=here,
            account_id=person.account,
            current=flask_session.current_login(),
        )
        name = tiles.renew(rows, here)
    if taken is None:
        flask_session.sign_out()
    else:
        flask_session.go_on_as(*taken)
    return keep(jsonify(signed_in=taken is not None), name)


@blueprint.post("/leave")
@open_when_locked
@takes(Nothing)
def leave(_: Nothing) -> tuple[str, int]:
    """Somebody new signs in here: whoever was here is locked and put aside."""
    current = flask_session.current_login()
    if current is not None and current.shared:
        with services().database.transaction() as rows:
            put_aside(rows, current)
        flask_session.sign_out()
    return "", 204


@blueprint.post("/remove")
@open_when_locked
@takes(Person)
def remove(person: Person) -> tuple[str, int]:
    """Take a person off the lock page; the session here ends."""
    current = flask_session.current_login()
    with services().database.transaction() as rows:
        here = known_browser(rows)
        agent = stranger() if current is None else current.agent(address=client_address(), request_id=request_id())
        removed = here is not None and tiles.remove(
            rows, services().bus, browser=here, account_id=person.account, agent=agent, current=current
        )
    if removed and current is not None and current.account_id == person.account:
        flask_session.sign_out()
    return "", 204


@blueprint.post("/forget")
@takes(Nothing)
def forget(_: Nothing) -> tuple[str, int]:
    """Take one's own keys off this shared device; signing out comes next."""
    actor = current_actor()
    with services().database.transaction() as rows:
        tiles.forget(rows, services().bus, actor=actor, browser=known_browser(rows))
    return "", 204


def known_browser(rows: Session) -> str | None:
    """The name of this browser; None for one that nobody shares, whatever its cookie says."""
    value = request.cookies.get(cookie_name(TILES_COOKIE, services().settings), "")
    return value if len(value) == VALUE_LENGTH and tiles.is_known(rows, value) else None


def is_shared(rows: Session) -> bool:
    """Whether several people use this browser: somebody said so (a mark that scripts set), or it has tiles."""
    return request.cookies.get(SHARED_COOKIE) == "1" or known_browser(rows) is not None


def put_aside(rows: Session, current: CurrentSession) -> None:
    """Another person's turn: one of this browser's is locked and comes back by the tile; anybody else is signed out."""
    here = known_browser(rows)
    if here is not None and current.shared and tiles.is_here(rows, here, current.account_id):
        sessions.lock(rows, services().bus, current)
    else:
        sessions.end(rows, services().bus, current, EndedBy.OTHER_ACCOUNT)


def seat(rows: Session, current: CurrentSession) -> str:
    """Make the person of a session one of this browser's; gives its new name, for `keep`."""
    name = tiles.renew(rows, known_browser(rows))
    tiles.put(rows, browser=name, current=current)
    return name


def keep(answer: Answer, value: str) -> Answer:
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
