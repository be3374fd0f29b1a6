"""To the provider and back: signing in, unlocking, step-up."""

import logging
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts import devices, names, signing_in, tiles
from portal.accounts.signing_in import SignIn
from portal.audit import Action, record_refusal
from portal.care.matching import match_claimed
from portal.core import ids
from portal.core.errors import NotFound, PortalError
from portal.identity import flask_session, sessions
from portal.identity.errors import LoginCancelled, LoginExpired, LoginFailed, LoginRefused, ProviderDown, reason_of
from portal.identity.flask_session import cookie_name, open_when_locked
from portal.identity.flow import ATTEMPT_MINUTES, Finished, Purpose
from portal.identity.session_life import CurrentSession, Proof, State
from portal.pharmacies import staff_invitations
from portal.pharmacies.tables import Pharmacy
from portal.web.auth import browser
from portal.web.auth.next import HOME, safe_next
from portal.web.auth.wiring import (
    BROWSER_COOKIE,
    SIGNED_OUT_COOKIE,
    chosen_language,
    id_token_box,
    login_flow,
    stranger,
)
from portal.web.limits import LOGIN_PER_ADDRESS, at_most
from portal.web.wiring import client_address, request_id, services

log = logging.getLogger(__name__)
blueprint = Blueprint("login", __name__)
OTHER_PERSON = "login-other-person"
# The problems that have a page, with its status.
PROBLEMS = {
    LoginExpired.code: LoginExpired.status,
    LoginCancelled.code: LoginCancelled.status,
    LoginFailed.code: LoginFailed.status,
    ProviderDown.code: ProviderDown.status,
    "login-no-role": LoginRefused.status,
    "login-no-pharmacy": LoginRefused.status,
    "login-disabled": LoginRefused.status,
    "login-ended": LoginRefused.status,
    "login-two-invitations": LoginRefused.status,
    "login-second-factor": LoginRefused.status,
    OTHER_PERSON: LoginRefused.status,
}


@blueprint.get("/login")
@open_when_locked
@at_most(LOGIN_PER_ADDRESS, key=client_address)
def start() -> ResponseReturnValue:
    """Send the browser to the provider. A locked session is unlocked, not quietly replaced."""
    current = flask_session.current_login()
    if current is not None and current.state is State.LOCKED:
        return _begin(Purpose.UNLOCK, current)
    return _begin(Purpose.LOGIN, None)


@blueprint.get("/unlock")
@open_when_locked
@at_most(LOGIN_PER_ADDRESS, key=client_address)
def unlock() -> ResponseReturnValue:
    """A fresh login as the same account; without a session it is a login like any other."""
    current = flask_session.current_login()
    return _begin(Purpose.UNLOCK if current is not None else Purpose.LOGIN, current)


@blueprint.get("/step-up")
@at_most(LOGIN_PER_ADDRESS, key=client_address)
def step_up() -> ResponseReturnValue:
    """A fresh login before something that must not be done from a chair left warm."""
    return _begin(Purpose.STEP_UP, flask_session.require_login())


@blueprint.get("/signed-in-as")
def signed_in_as() -> str:
    """After unlocking as somebody else: who was here before is signed out, and who came is told so."""
    account_id = flask_session.require_login().account_id
    with services().database.reading() as rows:
        name = names.names_of(rows, [account_id])[account_id].name
    return render_template("auth/as_other.html", name=name)


@blueprint.get("/signed-in-again")
def signed_in_again() -> str:
    """Where a step-up in a tab of its own ends: the page that asked for it goes on."""
    # On a shared device the new sign-in has closed the tabs that stood open: the PIN comes first.
    return render_template("auth/again.html", shared=flask_session.require_login().shared)


@blueprint.get("/login/callback")
@open_when_locked
@at_most(LOGIN_PER_ADDRESS, key=client_address)
def callback() -> ResponseReturnValue:
    """The browser comes back from the provider."""
    began = request.cookies.get(cookie_name(BROWSER_COOKIE, services().settings))
    try:
        finished = login_flow().finish(request.args.to_dict(flat=False), browser=began)
        return _come_in(finished)
    except (LoginExpired, LoginCancelled, LoginFailed, LoginRefused, ProviderDown) as problem:
        return _refuse(problem)


@blueprint.get("/login/problem/<code>")
@open_when_locked
def problem_page(code: str) -> ResponseReturnValue:
    """Why a login did not work, under an address that can be loaded again in another language."""
    if code not in PROBLEMS:
        raise NotFound()
    reference = request.args.get("reference", "")
    return _page(code, reference if ids.is_id(reference) else request_id(), safe_next(request.args.get("next")))


def _begin(purpose: Purpose, current: CurrentSession | None) -> ResponseReturnValue:
    settings = services().settings
    name = cookie_name(BROWSER_COOKIE, settings)
    known = request.cookies.get(name, "")
    attempt = known if len(known) == 43 else ids.token(32)
    with services().database.reading() as rows:
        shared = browser.is_shared(rows)
        # How the provider knows the person of the session. Where others look at the address, it is not asked for.
        hint = None if current is None or shared or current.shared else signing_in.email_of(rows, current.account_id)
    try:
        url = login_flow().begin(
            purpose,
            browser=attempt,
            next_path=safe_next(request.args.get("next")),
            language=chosen_language(request.args.get("language") or (current.language if current else None)),
            account_id=current.account_id if current is not None else None,
            second_factor=request.args.get("factor") == "2",
            login_hint=hint,
            # Where several people share a browser, the provider's own session may be another one's.
            fresh=(
                cookie_name(SIGNED_OUT_COOKIE, settings) in request.cookies
                or shared
                or request.args.get("again") == "1"
            ),
        )
    except ProviderDown as problem:
        log.warning("provider down", extra={"request_id": request_id(), "reason": problem.reason})
        return _page(problem.code, request_id())
    answer = redirect(url, 303)
    # Kept from one attempt to the next, so that two tabs can sign in at the same time.
    answer.set_cookie(
        name,
        attempt,
        max_age=ATTEMPT_MINUTES * 60,
        path="/",
        secure=settings.origin.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return answer


def _come_in(finished: Finished) -> ResponseReturnValue:
    before = flask_session.current_login()
    g.language = finished.language
    if before is not None and before.state is State.LOCKED and finished.purpose is Purpose.LOGIN:
        # Begun before the lock and without max_age: it does not prove that the person is back.
        return redirect("/unlock", 303)
    if finished.purpose is Purpose.STEP_UP and before is not None and not _same_person(before, finished):
        # One act was to be confirmed; whoever confirms it as somebody else changes nothing and signs nobody out.
        return _refuse(LoginRefused(OTHER_PERSON), finished.next_path)
    if finished.purpose is Purpose.LOGIN and not finished.anew and _shares_a_device(finished):
        # Somebody who shares a computer is still known to the provider there, and whoever sits down next may have taken
        # away what tells us that this is it.
        return redirect("/login?" + urlencode({"again": 1, "next": finished.next_path}), 303)
    with services().database.transaction() as rows:
        came = _find_account(rows, finished)
        cookie, current = _go_on(rows, came, _proof(came, finished), before)
        here = _here(rows, current)
    flask_session.sign_in(cookie, current)
    log.info("signed in", extra={"request_id": request_id(), "purpose": finished.purpose.value})
    as_agreed = finished.account_id in (None, came.account_id)
    answer = redirect(finished.next_path if as_agreed else "/signed-in-as", 303)
    if here is not None:
        browser.keep(answer, here)
    settings = services().settings
    answer.delete_cookie(
        cookie_name(SIGNED_OUT_COOKIE, settings),
        path="/",
        secure=settings.origin.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return answer


def _same_person(before: CurrentSession, finished: Finished) -> bool:
    with services().database.reading() as rows:
        came = signing_in.find(rows, issuer=finished.person.issuer, subject=finished.person.subject)
    return came == before.account_id


def _shares_a_device(finished: Finished) -> bool:
    with services().database.reading() as rows:
        known = signing_in.find(rows, issuer=finished.person.issuer, subject=finished.person.subject)
        return known is not None and devices.has_shared(rows, known)


def _find_account(rows: Session, finished: Finished) -> SignIn:
    person = finished.person
    came = signing_in.sign_in(
        rows,
        person,
        agent=stranger(),
        staff_acr=services().settings.staff_acr,
        pharmacy_known=person.pharmacy is not None and rows.get(Pharmacy, person.pharmacy) is not None,
        language=finished.language,
        invitations_to=staff_invitations.to_mail,
    )
    match_claimed(rows, came, person.patient, agent=stranger())
    return came


def _go_on(rows: Session, came: SignIn, proof: Proof, before: CurrentSession | None) -> tuple[str, CurrentSession]:
    bus = services().bus
    if before is not None and before.account_id == came.account_id:
        unlocked = before.state is State.LOCKED
        return sessions.confirm(rows, bus, before, proof=proof, unlocked=unlocked, request_id=request_id())
    if before is not None:
        browser.put_aside(rows, before)
    return sessions.begin(
        rows,
        account_id=came.account_id,
        role=came.role.value,
        proof=proof,
        shared=browser.is_shared(rows),
        address=client_address(),
        user_agent=request.user_agent.string,
        request_id=request_id(),
    )


def _here(rows: Session, current: CurrentSession) -> str | None:
    """This browser's new name after a login; None where nobody shares it. A tile leads to its person's new session."""
    known = browser.known_browser(rows)
    if known is None:
        return None
    name = tiles.renew(rows, known)
    if current.shared and tiles.is_here(rows, name, current.account_id):
        tiles.put(rows, browser=name, current=current)
    return name


def _proof(came: SignIn, finished: Finished) -> Proof:
    person = finished.person
    return Proof(
        auth_time=person.auth_time,
        acr=person.acr,
        amr=person.amr,
        idp_sid=person.sid,
        id_token=id_token_box().seal(person.id_token, came.account_id, person.issuer),
    )


def _refuse(problem: PortalError, next_path: str = HOME) -> ResponseReturnValue:
    reason = reason_of(problem)
    record_refusal(services().database, Action.LOGIN_FAILED, agent=stranger(), reason=reason)
    log.warning("login refused", extra={"request_id": request_id(), "reason": reason})
    # Away from an address that holds a code and words of the provider.
    back = "" if next_path == HOME else "&" + urlencode({"next": next_path})
    return redirect(f"/login/problem/{problem.code}?reference={request_id()}{back}", 303)


def _page(code: str, reference: str, next_path: str = HOME) -> Response:
    """What happened, what to do next, and whom to call; the provider's own words are never shown."""
    page = make_response(
        render_template("auth/problem.html", code=code, reference=reference, next=next_path),
        PROBLEMS[code],
    )
    if PROBLEMS[code] == ProviderDown.status:
        page.headers["Retry-After"] = "30"
    return page
