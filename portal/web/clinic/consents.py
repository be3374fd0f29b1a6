"""Who may act for a patient on a Consent: what the EHR holds, what staff have seen on paper, and ending it.

A patient in care has an address here; whoever was only found in the EHR travels in the body of a form. All of it works
without JavaScript. What asks for a fresh login keeps what was typed: the sign-in opens in a tab of its own.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import carer_invitations, carers, policy
from portal.accounts.carer_invitations import Newcomer
from portal.accounts.consents import Paper
from portal.accounts.roles import INVITED_TO
from portal.care import consenting
from portal.care.consenting import SeenPaper
from portal.core.errors import (
    BadInput,
    Conflict,
    Forbidden,
    StepUpNeeded,
    TooMany,
    Unavailable,
    Unprocessable,
)
from portal.ehr.consents import WhyNot
from portal.pharmacies import profiles
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.limits import FIND_PER_ACCOUNT, TELL_PER_ACCOUNT, at_most
from portal.web.public.frame import current_frame
from portal.web.wiring import ehr_readers, services

blueprint = Blueprint("consents", __name__)
PLACE = "/pharmacies/<pharmacy_id>/carers"
# What comes back as a word on the page instead of a page of its own.
_SAID = (BadInput, Conflict, Forbidden, TooMany, StepUpNeeded, Unavailable, Unprocessable)
_ON_PAPER = "paper"
_DONE = frozenset({"ended"})


@blueprint.get(PLACE)
@at_most(FIND_PER_ACCOUNT)
def of_patient(pharmacy_id: str) -> str:
    """Who acts for a patient in care, and the form."""
    with services().database.reading() as session:
        record = consenting.record_of(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            patient_id=request.args.get("patient", ""),
        )
    return _page(pharmacy_id, record, {}, done=pages.done_of(_DONE) or "")


@blueprint.post(f"{PLACE}/look")
@at_most(FIND_PER_ACCOUNT)
def of_record(pharmacy_id: str) -> str:
    """The same for somebody who was found in the EHR; what does not stand any more ends."""
    record = request.form.get("record", "")
    consenting.settle(
        services().database, ehr_readers(), actor=current_actor(), pharmacy_id=pharmacy_id, fhir_id=record
    )
    return _page(pharmacy_id, record, {})


@blueprint.post(f"{PLACE}/invite")
@at_most(FIND_PER_ACCOUNT)
def invite(pharmacy_id: str) -> ResponseReturnValue:
    """Invite somebody: the code is shown this once; of a mail it is said that it goes."""
    actor = current_actor()
    policy.allow_invite_on_consent(actor, pharmacy_id=pharmacy_id)
    record = request.form.get("record", "")
    given = {name: value.strip() for name, value in request.form.items() if name not in ("csrf_token", "record")}
    try:
        chosen = given.get("chosen", "")
        if not chosen:
            raise BadInput("carer-invitation", extra={"field": "chosen"})
        newcomer = Newcomer(
            name=given.get("name", ""),
            mail=given.get("mail", "") if given.get("how") == "mail" else None,
            kind=given.get("kind", ""),
            scope=given.get("scope", ""),
            last_day=pages.day_or_none(given.get("last_day", ""), "carer-invitation"),
        )
        _, code = consenting.invite(
            services().database,
            ehr_readers(),
            actor=actor,
            pharmacy_id=pharmacy_id,
            fhir_id=record,
            newcomer=newcomer,
            chosen="" if chosen == _ON_PAPER else chosen,
            seen=SeenPaper(given.get("paper", ""), _dated(given.get("dated", ""))),
            otherwise_of_age=services().settings.parents_until_age,
        )
    except _SAID as problem:
        if problem.of_database:
            raise
        stale = isinstance(problem, StepUpNeeded)
        page = _page(
            pharmacy_id,
            record,
            given,
            pages.errors_of(problem, "consents", field="chosen", of_codes={"carer-invited": "mail"}),
            stale=stale,
        )
        return page, 422 if stale else problem.status
    if code is None:
        return _page(pharmacy_id, record, {}, done="mailed")
    return render_template(
        "patient/carers_card.html",
        name=None,
        code=code,
        back=f"/pharmacies/{pharmacy_id}/invitations",
        base_url=services().settings.base_url,
        frame=current_frame(),
    )


@blueprint.post(f"{PLACE}/end")
@at_most(TELL_PER_ACCOUNT)
def end(pharmacy_id: str) -> ResponseReturnValue:
    """End what somebody may do on a consent of this pharmacy."""
    with services().database.transaction() as session:
        patient_id = consenting.end(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            consent_id=request.form.get("consent", ""),
        )
    # Whoever is not in care has no address: that page begins with a search.
    place = f"carers?patient={patient_id}&done=ended" if patient_id is not None else "invitations?done=carer-ended"
    return redirect(f"/pharmacies/{pharmacy_id}/{place}", 303)


def _page(
    pharmacy_id: str,
    record: str,
    given: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    *,
    stale: bool = False,
    done: str = "",
) -> str:
    actor = current_actor()
    found = consenting.look(services().database, ehr_readers(), actor=actor, pharmacy_id=pharmacy_id, fhir_id=record)
    with services().database.reading() as session:
        profile = profiles.get(session, pharmacy_id)
    grants = found.grants or ()
    return render_template(
        "clinic/consents.html",
        profile=profile,
        record=record,
        found=found,
        usable=[(consenting.key_of(one), one) for one in grants if one.why_not is WhyNot.NO],
        useless=[one for one in grants if one.why_not is not WhyNot.NO],
        held=[(one, one.ends_at - timedelta(seconds=1) if one.ends_at else None) for one in found.held],
        given=given,
        errors=errors or {},
        papers=[one.value for one in Paper],
        kinds=carers.KINDS,
        scopes=INVITED_TO,
        longest_name=carer_invitations.LONGEST_NAME,
        on_paper=_ON_PAPER,
        stale=stale,
        fresh=policy.fresh_login(actor),
        done=done,
    )


def _dated(typed: str) -> date | None:
    """The day on a paper; None for what is no day, which is said beside the field."""
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None
