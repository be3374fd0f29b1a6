"""Who is asking: the signed-in person as the domain's Actor, loaded once a request."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, cast

from flask import g
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor, actor_of, load_actor
from portal.accounts.roles import Role
from portal.core.errors import Forbidden
from portal.identity import flask_session
from portal.web.wiring import client_address, request_id, services

# The name of the question that is asked with each session.
ACTOR = "actor"


def current_actor(session: Session | None = None) -> Actor:
    """The person of this request's session; within an open transaction pass its `session`, which saves a connection.

    Raises NotSignedIn (401): no session, locked, ended, account disabled.
    """
    if "actor" not in g:
        login = flask_session.require_login()
        who: Any = {"login": login, "address": client_address(), "request_id": request_id()}
        rows = flask_session.beside(ACTOR)
        if rows is not None:
            g.actor = actor_of(rows, **who)
        else:
            with nullcontext(session) if session is not None else services().database.reading() as looking:
                g.actor = load_actor(looking, login.account_id, **who)
    return cast(Actor, g.actor)


def roles_only(*roles: Role) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse anyone whose role is not listed before the view runs."""

    def around(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if current_actor().role not in roles:
                raise Forbidden()
            return view(*args, **kwargs)

        return checked

    return around
