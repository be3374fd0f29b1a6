"""Asking a pharmacy to find the own record, without a code. The answer is the same for everybody."""

from zoneinfo import ZoneInfo

from flask import Blueprint, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts.roles import Role
from portal.care import asking
from portal.core.errors import BadInput, Conflict, NotFound, PortalError, TooMany
from portal.pharmacies import checklist
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.limits import MATCH_PER_ACCOUNT, at_most
from portal.web.public.frame import known_pharmacies
from portal.web.wiring import secret_keys, services

blueprint = Blueprint("match", __name__)
_FIELDS = ("pharmacy", "name", "day", "month", "year", "prescription", "phone")
_DONE = frozenset({"asked", "withdrawn"})


@blueprint.get("/match")
@roles_only(Role.PATIENT)
def show() -> str:
    """The form, and how far the own requests are."""
    return _page({}, {})


@blueprint.post("/match")
@at_most(MATCH_PER_ACCOUNT)
@roles_only(Role.PATIENT)
def ask() -> ResponseReturnValue:
    """Ask a pharmacy; what is wrong comes back with what was typed."""
    given = {name: request.form.get(name, "").strip() for name in _FIELDS}
    try:
        with services().database.transaction() as session:
            asking.ask(
                session,
                actor=current_actor(session),
                pharmacy_id=given["pharmacy"],
                asked=asking.Asked(given["name"], _born(given), given["prescription"], given["phone"]),
                sealing=asking.box(secret_keys()),
            )
    except (BadInput, NotFound, TooMany) as problem:
        page = make_response(_page(given, _errors_of(problem)), 422 if problem.status == 404 else problem.status)
        return page
    return redirect("/match?done=asked", 303)


@blueprint.post("/match/withdraw")
@roles_only(Role.PATIENT)
def withdraw() -> ResponseReturnValue:
    """Take a request back."""
    try:
        with services().database.transaction() as session:
            asking.withdraw(session, actor=current_actor(session), request_id=request.form.get("request", ""))
    except Conflict as problem:
        return _page({}, {"name": pages.translate(problem.text_key)}), problem.status
    return redirect("/match?done=withdrawn", 303)


def _born(given: dict[str, str]) -> str:
    """The birth date of the three fields as an ISO date; something that is none where they are."""
    year, month, day = given["year"], pages.month_number(given["month"]), given["day"]
    return f"{year:0>4}-{month:0>2}-{day:0>2}" if len(year) == 4 else ""


def _errors_of(problem: PortalError) -> dict[str, str]:
    if isinstance(problem, BadInput):
        field = str(problem.extra.get("field", "name"))
        return {field: pages.translate(f"match.error.{field}")}
    if isinstance(problem, NotFound):
        return {"pharmacy": pages.translate("match.error.pharmacy")}
    return {"name": pages.translate(problem.text_key)}


def _page(given: dict[str, str], errors: dict[str, str]) -> str:
    with services().database.reading() as session:
        own = asking.own(session, actor=current_actor(session))
        offered = checklist.offered(session, known_pharmacies())
    known = {one.id: one for one in known_pharmacies()}
    return render_template(
        "patient/match.html",
        given=given,
        errors=errors,
        # Who is joined to no pharmacy yet has no zone but that of the one that was asked.
        requests=[
            (row, asking.state_of(row).value, place, pages.format_moment(row.created_at, ZoneInfo(place.time_zone)))
            for row, place in ((row, known[row.pharmacy_id]) for row in own)
        ],
        offered=[one for one in known_pharmacies() if one.id in offered],
        done=pages.done_of(_DONE, problem=errors),
    )
