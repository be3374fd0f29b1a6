"""Shells of the pages for one's own keys: the client does everything, the server gives the same bytes to everyone.

They answer without a session too: the client finds out who is signed in and leads to the login when nobody is.
"""

from flask import Blueprint, Response

from portal.identity.flask_session import open_when_locked
from portal.web.pages import key_page

blueprint = Blueprint("keys_pages", __name__)


@blueprint.get("/setup")
@open_when_locked
def setup() -> Response:
    """First keys of a person, made in the browser without a question."""
    return key_page("setup")


@blueprint.get("/recover")
@open_when_locked
def recover() -> Response:
    """A browser without keys: code, passphrase, or a new beginning."""
    return key_page("recover")


@blueprint.get("/recovery")
@open_when_locked
def recovery() -> Response:
    """If you lose this device: recovery code and passphrase."""
    return key_page("recovery")


@blueprint.get("/devices")
@open_when_locked
def devices() -> Response:
    """My devices; ending one that is lost."""
    return key_page("devices")
