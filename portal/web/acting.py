"""Who is asking: the signed-in person as the domain's Actor, loaded once a request."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from flask import g

from portal.accounts.actor import Actor, load_actor
from portal.accounts.roles import Role
from portal.core.errors import Forbidden, NotSignedIn
from portal.identity import flask_session
from portal.web.wiring import client_address, request_id, services


def current_actor() -> Actor:
    """The person of this request's session. Raises NotSignedIn (401): no session, locked, ended, account disabled."""
    if "actor" not in g:
        login = flask_session.require_login()
        with services().database.reading() as session:
            actor = load_actor(
                session,
                str(login.account_id),
                login=login,
                address=client_address(),
                request_id=request_id(),
            )
        if actor is None:
            raise NotSignedIn("session-ended")
        g.actor = actor
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
