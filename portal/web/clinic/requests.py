"""People without a code who ask to be found: who waits, what the EHR has beside what was typed, yes or no."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.care import asking
from portal.core.errors import BadInput, Conflict, PortalError, Unavailable, Unprocessable
from portal.pharmacies import profiles
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.limits import FIND_PER_ACCOUNT, at_most
from portal.web.wiring import ehr_readers, secret_keys, services

blueprint = Blueprint("requests", __name__)
PLACE = "/pharmacies/<pharmacy_id>/requests"
_DONE = frozenset({"confirmed", "declined"})
# What comes back as a word on the page of a request.
_SAID = (Conflict, Unprocessable, Unavailable)


@blueprint.get(PLACE)
def listed(pharmacy_id: str) -> str:
    """Who waits, the oldest first."""
    return _list_page(pharmacy_id)


@blueprint.get(f"{PLACE}/<request_id>")
@at_most(FIND_PER_ACCOUNT)
def look(pharmacy_id: str, request_id: str) -> ResponseReturnValue:
    """What was typed beside whom the EHR knows."""
    try:
        return _case_page(pharmacy_id, request_id)
    except _SAID as problem:
        return _list_page(pharmacy_id, problem), problem.status


@blueprint.post(f"{PLACE}/<request_id>")
@at_most(FIND_PER_ACCOUNT)
def decide(pharmacy_id: str, request_id: str) -> ResponseReturnValue:
    """Say whose record it is, or no."""
    try:
        done = _decide(pharmacy_id, request_id)
    except _SAID as problem:
        return _list_page(pharmacy_id, problem), problem.status
    return redirect(f"/pharmacies/{pharmacy_id}/requests?done={done}", 303)


def _decide(pharmacy_id: str, request_id: str) -> str:
    act = request.form.get("act")
    if act == "confirm":
        asking.confirm(
            services().database,
            ehr_readers(),
            actor=current_actor(),
            pharmacy_id=pharmacy_id,
            request_id=request_id,
            fhir_id=request.form.get("patient", ""),
        )
        return "confirmed"
    with services().database.transaction() as session:
        asking.decline(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            request_id=request_id,
            reason=_reason(),
        )
    return "declined"


def _reason() -> asking.Reason:
    try:
        return asking.Reason(request.form.get("reason", ""))
    except ValueError as problem:
        raise BadInput("bad-field", extra={"field": "reason"}) from problem


def _case_page(pharmacy_id: str, request_id: str) -> str:
    case = asking.look(
        services().database,
        ehr_readers(),
        actor=current_actor(),
        pharmacy_id=pharmacy_id,
        request_id=request_id,
        sealing=asking.box(secret_keys()),
    )
    with services().database.reading() as session:
        profile = profiles.get(session, pharmacy_id)
    reasons = [one.value for one in asking.Reason]
    return render_template("clinic/request.html", profile=profile, case=case, reasons=reasons)


def _list_page(pharmacy_id: str, problem: PortalError | None = None) -> str:
    # A database that is down has a page of its own.
    if problem is not None and problem.of_database:
        raise problem
    with services().database.transaction() as session:
        rows, following = asking.waiting(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            sealing=asking.box(secret_keys()),
            after=request.args.get("after"),
        )
        profile = profiles.get(session, pharmacy_id)
    return render_template(
        "clinic/requests.html",
        profile=profile,
        rows=rows,
        next=following,
        problem=pages.translate(problem.text_key) if problem is not None else None,
        done=pages.done_of(_DONE, problem=problem),
    )
