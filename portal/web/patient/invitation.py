"""Joining an account to a patient's record: the code of the pharmacy and the birth date, without JavaScript.

The square on a printed card leads to `/join`. Its code stands behind the # of that address: the browser keeps it for
this tab over the login (client/pages/join.ts), and neither this server's logs nor the provider ever see it.
"""

from datetime import date

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts.roles import Role
from portal.care.matching import match
from portal.core import clock, texts
from portal.core.errors import Conflict, PortalError, TooMany, Unavailable, Unprocessable
from portal.identity.flask_session import open_when_locked
from portal.pharmacies.profiles import Profile
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.limits import REDEEM_PER_ACCOUNT, at_most
from portal.web.public.frame import PHARMACY_COOKIE, known_pharmacies
from portal.web.wiring import ehr_readers, services

blueprint = Blueprint("invitation", __name__)
_LONGEST_CODE = 60


@blueprint.get("/join")
@open_when_locked
def join() -> ResponseReturnValue:
    """What the card is about, and the way to the login. In the card's language where nobody has chosen one."""
    wanted = request.args.get("language", "")
    first = wanted in texts.LANGUAGES and pages.LANGUAGE_COOKIE not in request.cookies and not g.get("language")
    if first:
        g.language = wanted
    at = _pharmacy()
    after = f"/invitation?at={at.id}" if at is not None else "/invitation"
    page = make_response(render_template("patient/join.html", at=at, after=after))
    if first:
        pages.keep_choice(page, pages.LANGUAGE_COOKIE, wanted)
    if at is not None:
        pages.keep_choice(page, PHARMACY_COOKIE, at.id)
    return page


@blueprint.get("/invitation")
@roles_only(Role.PATIENT)
def ask() -> str:
    """The form."""
    return _page({})


@blueprint.post("/invitation")
@at_most(REDEEM_PER_ACCOUNT)
@roles_only(Role.PATIENT)
def redeem() -> ResponseReturnValue:
    """Take the code; whatever does not fit comes back with the page and a word on what to do."""
    code, born, errors = _read()
    if errors or born is None:
        return _page(errors), 422
    try:
        redeemed = match(services().database, ehr_readers(), actor=current_actor(), code=code, birth_date=born)
    except (Unprocessable, Conflict, TooMany, Unavailable) as problem:
        return _refused(problem)
    back = redirect("/home?joined=1", 303)
    pages.keep_choice(back, PHARMACY_COOKIE, redeemed.pharmacy_id)
    return back


def _refused(problem: PortalError) -> Response:
    # A database that is down has a page of its own.
    if problem.of_database:
        raise problem
    key = "invitation.error.later" if problem.status == Unavailable.status else problem.text_key
    page = make_response(_page({"code": pages.translate(key)}), problem.status)
    if problem.retry_after is not None:
        page.headers["Retry-After"] = str(problem.retry_after)
    return page


def _read() -> tuple[str, date | None, dict[str, str]]:
    errors: dict[str, str] = {}
    code = request.form.get("code", "").strip()
    if not code or len(code) > _LONGEST_CODE:
        errors["code"] = pages.translate("invitation.error.code")
    parts = [request.form.get(name, "").strip() for name in ("year", "month", "day")]
    parts[1] = pages.month_number(parts[1])
    try:
        if not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
            raise ValueError
        born: date | None = date(*(int(part) for part in parts))
    except ValueError:
        born = None
    if born is None or born > clock.now().date() or born.year < 1880:
        errors["day"] = pages.translate("invitation.error.birth-date")
    return code, born, errors


def _page(errors: dict[str, str]) -> str:
    return render_template("patient/invitation.html", errors=errors, given=request.form, at=_pharmacy())


def _pharmacy() -> Profile | None:
    """The pharmacy that the card names."""
    return next((one for one in known_pharmacies() if one.id == request.args.get("at")), None)
