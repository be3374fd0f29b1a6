"""Signing out: here, at the provider too (RP-initiated logout), and because the provider says so (back-channel)."""

import logging

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import signing_in
from portal.audit import Action, record_refusal
from portal.core.secrets_box import CannotOpen
from portal.identity import flask_session, sessions
from portal.identity.errors import LoginFailed
from portal.identity.flask_session import open_when_locked
from portal.identity.sessions import CurrentSession, EndedBy
from portal.web.auth.wiring import id_token_box, login_flow, stranger
from portal.web.limits import limiter
from portal.web.wiring import client_address, services

log = logging.getLogger(__name__)
blueprint = Blueprint("logout", __name__)
LOGOUTS_PER_ADDRESS = "600 per minute"


@blueprint.post("/logout")
@open_when_locked
def logout() -> ResponseReturnValue:
    """End this session, then the provider's. Keys and the outbox in the browser stay (design decision 16)."""
    current = flask_session.current_login()
    way_on = None
    if current is not None:
        hint = _id_token(current)
        with services().database.transaction() as rows:
            sessions.end(rows, services().bus, current, EndedBy.LOGOUT)
        flask_session.sign_out()
        way_on = login_flow().logout_url(hint)
    return _forgetting(redirect(way_on or "/logged-out", 303))


@blueprint.get("/logged-out")
@open_when_locked
def logged_out() -> ResponseReturnValue:
    """What a person sees after signing out."""
    return _forgetting(Response(render_template("auth/logged_out.html")))


@blueprint.post("/login/backchannel")
@open_when_locked
@limiter.limit(LOGOUTS_PER_ADDRESS, key_func=client_address)
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


def _id_token(current: CurrentSession) -> str | None:
    if current.id_token is None:
        return None
    try:
        return id_token_box().open(current.id_token, current.account_id, services().settings.oidc_issuer)
    except CannotOpen:
        # The key is gone: signing out goes on without the hint, and the provider asks the person.
        return None


def _forgetting(answer: ResponseReturnValue) -> ResponseReturnValue:
    # Only the cache: "storage" would delete keys and unsent messages, "cookies" the provider's on the same host.
    answer.headers["Clear-Site-Data"] = '"cache"'  # type: ignore[union-attr]
    return answer
