"""Signing out: here, at the provider too (RP-initiated logout), and because the provider says so (back-channel)."""

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as AnyResponse

from portal.accounts import signing_in
from portal.audit import Action, record_refusal
from portal.core import texts
from portal.core.secrets_box import CannotOpen
from portal.identity import flask_session, sessions
from portal.identity.errors import LoginFailed
from portal.identity.flask_session import cookie_name, open_when_locked
from portal.identity.session_life import CurrentSession, EndedBy
from portal.web import pages
from portal.web.auth.wiring import SIGNED_OUT_COOKIE, id_token_box, login_flow, stranger
from portal.web.limits import at_most
from portal.web.wiring import client_address, services

log = logging.getLogger(__name__)
blueprint = Blueprint("logout", __name__)
LOGOUTS_PER_ADDRESS = "600 per minute"
# Holds the sealed ID token on the short way over our own page to the provider.
LEAVING_COOKIE = "portal_leaving"
LEAVING_SECONDS = 60
NO_TOKEN = "-"  # noqa: S105
# Browsers keep about 4 kB; in base64 a third is added.
LONGEST_TOKEN = 2700
SIGNED_OUT_SECONDS = 24 * 3600


@blueprint.post("/logout")
@open_when_locked
def logout() -> ResponseReturnValue:
    """End this session. Keys and the outbox in the browser stay (design decision 16).

    Our own page says so first, whatever the provider does; from there the browser goes on to end its session too.
    """
    current = flask_session.current_login()
    answer = redirect("/logged-out", 303)
    if current is not None:
        with services().database.transaction() as rows:
            sessions.end(rows, services().bus, current, EndedBy.LOGOUT)
        flask_session.sign_out()
        _keep(answer, SIGNED_OUT_COOKIE, "1", SIGNED_OUT_SECONDS)
        _keep(answer, LEAVING_COOKIE, _sealed_token(current), LEAVING_SECONDS)
        if current.language in texts.LANGUAGES and pages.LANGUAGE_COOKIE not in request.cookies:
            pages.keep_choice(answer, pages.LANGUAGE_COOKIE, current.language)
    return _forgetting(answer)


@blueprint.get("/logged-out")
@open_when_locked
def logged_out() -> ResponseReturnValue:
    """What a person sees after signing out; goes on to the provider by itself, once."""
    leaving = bool(request.cookies.get(_name(LEAVING_COOKIE)))
    return _forgetting(Response(render_template("auth/logged_out.html", leaving=leaving)))


@blueprint.get("/logged-out/provider")
@open_when_locked
@at_most(LOGOUTS_PER_ADDRESS, key=client_address)
def leave_provider() -> ResponseReturnValue:
    """On to the provider, which ends its session and sends the browser back (RP-initiated logout)."""
    leaving = request.cookies.get(_name(LEAVING_COOKIE), "")
    way_on = login_flow().logout_url(_id_token(leaving), pages.spoken()) if leaving else None
    answer = redirect(way_on or "/logged-out", 303)
    _keep(answer, LEAVING_COOKIE, "", 0)
    return answer


@blueprint.post("/login/backchannel")
@open_when_locked
@at_most(LOGOUTS_PER_ADDRESS, key=client_address)
def backchannel() -> ResponseReturnValue:
    """The provider ended sessions (OpenID Connect Back-Channel Logout 1.0). 200 also when there was nothing to end."""
    tokens = request.form.getlist("logout_token")
    try:
        if len(tokens) != 1:
            raise LoginFailed("logout-token-missing")
        said = login_flow().read_logout_token(tokens[0])
    except LoginFailed as problem:
        reason = f"logout-token-{problem.reason}"
        record_refusal(services().database, Action.SESSION_REVOKED, agent=stranger(), reason=reason)
        log.warning("logout token refused", extra={"reason": problem.reason})
        return jsonify(error="invalid_request"), 400
    with services().database.transaction() as rows:
        account_id = None
        if said.subject is not None:
            account_id = signing_in.find(rows, issuer=services().settings.oidc_issuer, subject=said.subject)
        sessions.end_by_provider(rows, services().bus, account_id=account_id, sid=said.sid, agent=stranger())
    return jsonify()


def _sealed_token(current: CurrentSession) -> str:
    """What the way to the provider needs, as it lies in the session's row: sealed, and for whom."""
    if current.id_token is None or len(current.id_token) > LONGEST_TOKEN:
        return NO_TOKEN
    return f"{current.account_id}.{urlsafe_b64encode(current.id_token).decode()}"


def _id_token(leaving: str) -> str | None:
    account_id, _, sealed = leaving.partition(".")
    try:
        return id_token_box().open(urlsafe_b64decode(sealed), account_id, services().settings.oidc_issuer)
    except (CannotOpen, ValueError):
        # Made up, too long to keep, or the key is gone: it goes on without, and the provider asks the person.
        return None


def _keep(answer: AnyResponse, cookie: str, value: str, seconds: int) -> None:
    secure = services().settings.origin.startswith("https://")
    answer.set_cookie(_name(cookie), value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="Lax")


def _name(cookie: str) -> str:
    return cookie_name(cookie, services().settings)


def _forgetting(answer: ResponseReturnValue) -> ResponseReturnValue:
    # Only the cache: "storage" would delete keys and unsent messages, "cookies" the provider's on the same host.
    answer.headers["Clear-Site-Data"] = '"cache"'  # type: ignore[union-attr]
    return answer
