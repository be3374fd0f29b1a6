"""The browser client's pages: static shells, the same bytes for everyone and no data in them (design decision 3)."""

from flask import Blueprint, Response

from portal.identity.flask_session import open_when_locked
from portal.web.pages import key_page

blueprint = Blueprint("shells", __name__)


@blueprint.get("/inbox")
@blueprint.get("/messages")
@blueprint.get("/new")
def inbox() -> Response:
    """The list of conversations, and the way to a new one."""
    return key_page("thread")


@blueprint.get("/thread/<thread_id>")
def thread(thread_id: str) -> Response:
    """One conversation; whose it is, the JSON routes decide."""
    return key_page("thread")


# Those below answer without a session too, and while it is locked: the client finds out who is signed in, and leads to
# the login when nobody is.


@blueprint.get("/setup")
@open_when_locked
def setup() -> Response:
    """First keys of a person, made in the browser without a question."""
    return key_page("setup")


@blueprint.get("/lock")
@open_when_locked
def lock() -> Response:
    """A shared device that is locked: a PIN or passkey opens it."""
    return key_page("lock")


@blueprint.get("/recover")
@open_when_locked
def recover() -> Response:
    """A browser without keys: passkey, code, passphrase, another device, or a new beginning."""
    return key_page("recover")


@blueprint.get("/recovery")
@open_when_locked
def recovery() -> Response:
    """If you lose this device: passkeys, recovery code and passphrase, set and tried."""
    return key_page("recovery")


@blueprint.get("/devices")
@open_when_locked
def devices() -> Response:
    """Your devices and recovery: each way back, each device, ending one that is lost."""
    return key_page("devices")


@blueprint.get("/compare")
@open_when_locked
def compare() -> Response:
    """The pharmacy's keys, held against a poster; what its picture says stands behind the # and comes to no server."""
    return key_page("compare")


@blueprint.get("/sheets")
@open_when_locked
def sheets() -> Response:
    """The recovery sheets of a pharmacy: making, trying and using them."""
    return key_page("sheets")


@blueprint.get("/add-device")
@open_when_locked
def add_device() -> Response:
    """A device that has keys lets another one in: a QR code, and whether it was read."""
    return key_page("offer")


@blueprint.get("/team")
@open_when_locked
def team() -> Response:
    """Founding teams, letting people in, taking them out."""
    return key_page("team")
