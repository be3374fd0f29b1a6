"""The pages of the portal that everyone may read: first page, phone and hours, privacy, help."""

from collections.abc import Collection
from datetime import date
from typing import Any

from babel import Locale
from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from portal.accounts import directory
from portal.accounts.actor import Actor
from portal.accounts.preferences import choose
from portal.accounts.roles import Role
from portal.core import clock, texts
from portal.core.errors import BadInput
from portal.identity.flask_session import open_when_locked
from portal.pharmacies import emergency
from portal.pharmacies.profiles import Profile
from portal.web import pages
from portal.web.auth.next import safe_next
from portal.web.public import closed, opening
from portal.web.public.frame import PHARMACY_COOKIE, current_frame, known_pharmacies, reach
from portal.web.wiring import services

blueprint = Blueprint("public", __name__)

# The newest first. A change of what the server sees is a new version with a sentence privacy.change.<n>.
PRIVACY_VERSIONS = ((1, date(2026, 11, 22)),)
# The page of the client that makes first keys and goes on to the home page.
SETUP = "/setup"


@blueprint.get("/")
@open_when_locked
def landing() -> AnyResponse | str:
    """The first page; whoever is signed in goes on to the own one."""
    frame = current_frame()
    if frame.account is not None:
        return redirect(_first_keys(frame.account) or frame.home)
    return render_template("public/landing.html", pharmacies=[reach(one) for one in known_pharmacies()])


def _first_keys(account: Actor) -> str | None:
    """Where first keys are made: right after the first sign-in, so that the pharmacy can write to this person too."""
    if account.role is Role.OPERATOR:
        return None
    with services().database.reading() as session:
        return None if directory.have_keys(session, [account.account_id]) else SETUP


@blueprint.get("/contact")
@open_when_locked
def contact() -> str:
    """Phone, hours, address and licence of all pharmacies."""
    return render_template("public/contact.html", pharmacies=[details(one) for one in known_pharmacies()])


@blueprint.get("/privacy-policy")
@open_when_locked
def privacy_policy() -> str:
    """What the server sees and what it cannot see."""
    return render_template("public/privacy.html", versions=PRIVACY_VERSIONS)


@blueprint.get("/help")
@open_when_locked
def help_page() -> str:
    """Ways on for whoever is stuck."""
    return render_template("public/help.html", pharmacies=[reach(one) for one in known_pharmacies()], lost=closed.LOST)


@blueprint.get("/offline-help")
@open_when_locked
def offline_help() -> str:
    """What the client keeps for when there is no connection: phone, hours, the way back in; the same for everyone."""
    return closed.page(known_pharmacies(), first=pages.language(), why="offline")


@blueprint.post("/preferences")
@open_when_locked
def preferences() -> AnyResponse:
    """Language, text size or pharmacy of this browser, from the switches in the header."""
    back = redirect(safe_next(request.form.get("next")), 303)
    if "language" in request.form:
        _remember(back, pages.LANGUAGE_COOKIE, request.form["language"], texts.LANGUAGES)
    if "text" in request.form:
        _remember(back, pages.LARGE_TEXT_COOKIE, request.form["text"], ("normal", "large"))
    account = current_frame().account
    if account is not None and ("language" in request.form or "text" in request.form):
        with services().database.transaction() as session:
            choose(
                session,
                actor=account,
                language=request.form.get("language"),
                large_text=request.form["text"] == "large" if "text" in request.form else None,
            )
    if "pharmacy" in request.form:
        _remember(back, PHARMACY_COOKIE, request.form["pharmacy"], [one.id for one in known_pharmacies()])
    return back


def details(profile: Profile) -> dict[str, Any]:
    """Everything the contact page says about a pharmacy."""
    language, now = pages.spoken(), clock.now()
    return {
        "reach": reach(profile),
        "profile": profile,
        "table": opening.table(profile.opening, now, language=language),
        "holidays": opening.holidays(dict(profile.holidays or {}), now, profile.time_zone, language=language),
        "languages": [_language_name(code, language) for code in profile.languages],
        "emergency": emergency.numbers(profile.country),
    }


def _remember(answer: AnyResponse, cookie: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise BadInput("bad-field")
    pages.keep_choice(answer, cookie, value)


def _language_name(code: str, language: str) -> str:
    return (Locale.parse(code).get_language_name(language) or code).capitalize()
