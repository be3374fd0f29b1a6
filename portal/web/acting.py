"""Who is asking: the signed-in person as the domain's Actor, loaded once a request."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from flask import g
from flask_login import current_user

from portal.accounts.actor import Actor, load_actor
from portal.accounts.roles import Role
from portal.core.errors import Forbidden, NotSignedIn
from portal.identity import flask_session
from portal.web.wiring import client_address, request_id, services


def current_actor() -> Actor:
    """The person of this request's session. Raises NotSignedIn (401) without one."""
    if "actor" not in g:
        if not current_user.is_authenticated:
            raise NotSignedIn()
        with services().database.reading() as session:
            g.actor = load_actor(
                session,
                current_user.get_id(),
                login=flask_session.current_login(),
                address=client_address(),
                request_id=request_id(),
            )
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
