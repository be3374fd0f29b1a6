"""Opening a shared device over JSON: the server's part of a PIN or passkey, also for a session that is locked."""

from dataclasses import dataclass

from flask import Blueprint, Response, jsonify
from sqlalchemy.orm import Session

from portal.accounts import devices, guards
from portal.accounts.actor import Actor, load_actor
from portal.accounts.devices import GuardShare
from portal.accounts.forms import text_of_bytes
from portal.core.errors import Conflict, Forbidden, NotFound, NotSignedIn
from portal.core.secrets_box import SecretsBox
from portal.e2ee.encoding import b64
from portal.e2ee.guard import AUTH_BYTES, SHARE_BYTES, Method
from portal.identity import flask_session
from portal.identity.flask_session import open_when_locked
from portal.identity.session_life import CurrentSession
from portal.web.acting import current_actor
from portal.web.auth import browser
from portal.web.json import Nothing, takes
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("guards", __name__, url_prefix="/api/keys/guards")


@dataclass(frozen=True)
class Asked:
    """The device that its person wants to open, and what the PIN or passkey gives for its guard."""

    device: str
    auth: str


@dataclass(frozen=True)
class Proof:
    """A device's signature over the challenge of this session."""

    device: str
    sig: str


@dataclass(frozen=True)
class Share:
    """The server's part of a guard, drawn by the browser, and what has to be shown for it."""

    share: str
    auth: str


@dataclass(frozen=True)
class Seen:
    """How many wrong tries the page has told."""

    count: int


@blueprint.post("/<method>/share")
@open_when_locked
@takes(Asked)
def hand_over(asked: Asked, method: str) -> Response:
    """The share of a PIN or passkey for the right one; after five wrong PINs it is gone."""
    current = _who_opens()
    with services().database.transaction() as rows:
        handed = guards.hand_over(
            rows,
            actor=_actor(rows, current),
            current=current,
            device_id=asked.device,
            method=read_method(method),
            auth=text_of_bytes(asked.auth, "auth", length=AUTH_BYTES),
            box=_box(),
        )
    # Said only once it is counted.
    if handed.left == 0:
        raise Conflict("guard-gone")
    if handed.share is None:
        raise Forbidden("guard-wrong", extra={"left": handed.left})
    return jsonify(share=b64(handed.share), challenge=current.device_challenge)


@blueprint.post("/prove")
@open_when_locked
@takes(Proof)
def prove(proof: Proof) -> Response:
    """The device was opened: this session goes on, on it."""
    current = _who_opens()
    with services().database.transaction() as rows:
        given, unlocked = guards.prove(
            rows,
            services().bus,
            actor=_actor(rows, current),
            current=current,
            device_id=proof.device,
            signature=proof.sig,
            box=_box(),
        )
        here = browser.seat(rows, unlocked[1] if unlocked is not None else current)
    if unlocked is not None:
        flask_session.sign_in(*unlocked)
    return browser.keep(jsonify(device=given.device, share=None if given.share is None else b64(given.share)), here)


@blueprint.post("/stay")
@takes(Nothing)
def stay(_: Nothing) -> Response:
    """What opens the device again while this session is active."""
    current = flask_session.require_login()
    with services().database.transaction() as rows:
        given = guards.stay(rows, actor=current_actor(rows), current=current, box=_box())
    return jsonify(device=given.device, share=None if given.share is None else b64(given.share))


@blueprint.post("/seen")
@takes(Seen)
def seen(shown: Seen) -> tuple[str, int]:
    """The person has seen how often a wrong PIN was tried here."""
    current = flask_session.require_login()
    with services().database.transaction() as rows:
        guards.seen(rows, current=current, count=shown.count)
    return "", 204


@blueprint.put("/<method>")
@takes(Share)
def set_guard(new: Share, method: str) -> tuple[str, int]:
    """Set or change the PIN or passkey of this shared device, after a fresh login."""
    guard = read_share(method, new.share, new.auth)
    with services().database.transaction() as rows:
        guards.set_guard(rows, actor=current_actor(rows), guard=guard, box=_box())
    return "", 204


def read_share(method: str, share: str, auth: str) -> GuardShare:
    """The server's part of a guard out of a request. Raises NotFound for an unknown method, BadInput."""
    shown = text_of_bytes(auth, "auth", length=AUTH_BYTES)
    return GuardShare(read_method(method), text_of_bytes(share, "share", length=SHARE_BYTES), shown)


def read_method(word: str) -> Method:
    """The method of this name. Raises NotFound."""
    if word not in set(Method):
        raise NotFound()
    return Method(word)


def _who_opens() -> CurrentSession:
    current = flask_session.settled_login()
    if current is None:
        raise NotSignedIn()
    return current


def _actor(rows: Session, current: CurrentSession) -> Actor:
    return load_actor(rows, current.account_id, login=current, address=client_address(), request_id=request_id())


def _box() -> SecretsBox:
    return devices.share_box(services().settings.secret_keys)
