"""Inviting patients: find them in the EHR, hand over a code or print a card, and see how far each invitation is.

What is searched for travels in the body of a form, never in an address, and the code is in one answer only.
"""

from datetime import date
from functools import partial

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import invitations, policy
from portal.accounts.roles import CLINICAL, STAFF, Role
from portal.care import inviting
from portal.care.inviting import Card, Found, How
from portal.care.readers import patients_of
from portal.core import clock, qr, texts
from portal.core.errors import BadInput, Conflict, NotFound, PortalError, TooMany, Unavailable, Unprocessable
from portal.pharmacies import profiles
from portal.pharmacies.patients import PatientsOf
from portal.privacy import unbinding
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.limits import FIND_PER_ACCOUNT, at_most
from portal.web.wiring import ehr_readers, services

blueprint = Blueprint("invitations", __name__)
PLACE = "/pharmacies/<pharmacy_id>/invitations"
WRONG = "/pharmacies/<pharmacy_id>/wrong-person"
# What comes back as a word on the page instead of a page of its own.
_SAID = (BadInput, Conflict, TooMany, Unprocessable, Unavailable)
_DONE = frozenset({"revoked", "parted", "carer-ended"})
_OLDEST = 1880


@blueprint.get("/invitations")
@roles_only(*(role for role in Role if role in STAFF))
def own() -> ResponseReturnValue:
    """The invitations of the own pharmacy."""
    return redirect(f"/pharmacies/{current_actor().pharmacy_id}/invitations", 303)


@blueprint.get(PLACE)
def listed(pharmacy_id: str) -> str:
    """Who was invited, by whom, when, and how that stands."""
    return _list_page(pharmacy_id)


@blueprint.get(f"{PLACE}/find")
def ask(pharmacy_id: str) -> str:
    """The form: name and birth date, or phone."""
    policy.allow_invite(current_actor(), pharmacy_id=pharmacy_id)
    return _find_page(pharmacy_id, {})


@blueprint.post(f"{PLACE}/find")
@at_most(FIND_PER_ACCOUNT)
def find(pharmacy_id: str) -> ResponseReturnValue:
    """Whom the EHR knows by that."""
    policy.allow_invite(current_actor(), pharmacy_id=pharmacy_id)
    born, errors = _asked()
    if errors:
        return _find_page(pharmacy_id, errors), 422
    given = {name: request.form.get(name, "").strip() for name in ("name", "phone")}
    try:
        found = inviting.find(
            services().database, ehr_readers(), actor=current_actor(), pharmacy_id=pharmacy_id, born=born, **given
        )
    except _SAID as problem:
        return _find_page(pharmacy_id, {"name": _said(problem)}), problem.status
    return _find_page(pharmacy_id, {}, found)


@blueprint.post(PLACE)
@at_most(FIND_PER_ACCOUNT)
def invite(pharmacy_id: str) -> ResponseReturnValue:
    """Make a code for somebody who was found: the answer is the card, or the code to read out."""
    try:
        card = inviting.invite(
            services().database,
            ehr_readers(),
            actor=current_actor(),
            pharmacy_id=pharmacy_id,
            fhir_id=request.form.get("patient", ""),
            language=request.form.get("language", ""),
            how=_how(),
        )
    except _SAID as problem:
        return _find_page(pharmacy_id, {"name": _said(problem)}), problem.status
    return _card_page(pharmacy_id, card)


@blueprint.post(f"{PLACE}/change")
@at_most(FIND_PER_ACCOUNT)
def change(pharmacy_id: str) -> ResponseReturnValue:
    """Take an invitation back, or make a new code for the same person."""
    invitation_id = request.form.get("invitation", "")
    try:
        if request.form.get("act") == "revoke":
            with services().database.transaction() as session:
                invitations.revoke(
                    session, actor=current_actor(session), pharmacy_id=pharmacy_id, invitation_id=invitation_id
                )
            return redirect(f"/pharmacies/{pharmacy_id}/invitations?done=revoked", 303)
        card = inviting.renew(
            services().database,
            ehr_readers(),
            actor=current_actor(),
            pharmacy_id=pharmacy_id,
            invitation_id=invitation_id,
            how=_how(),
        )
    except _SAID as problem:
        return _list_page(pharmacy_id, problem), problem.status
    return _card_page(pharmacy_id, card)


@blueprint.get(f"{WRONG}")
def wrong_person(pharmacy_id: str) -> str:
    """Who is joined to a patient, and how to part an account that is somebody else's."""
    return _wrong_page(pharmacy_id, request.args.get("patient", ""))


@blueprint.post(f"{WRONG}")
def part(pharmacy_id: str) -> ResponseReturnValue:
    """Part the wrong account from the patient, at once."""
    patient_id = request.form.get("patient", "")
    try:
        why = unbinding.Why(request.form.get("why", ""))
    except ValueError:
        return _wrong_page(pharmacy_id, patient_id, {"why": pages.translate("unbinding.error.why")}), 422
    bus = services().bus
    with services().database.transaction() as session:
        told = unbinding.undo(
            session,
            actor=current_actor(session),
            bus=bus,
            pharmacy_id=pharmacy_id,
            patient_id=patient_id,
            account_id=request.form.get("account", ""),
            why=why,
        )
    for one in told:
        one.publish(bus)
    return redirect(f"/pharmacies/{pharmacy_id}/invitations?done=parted", 303)


def _wrong_page(pharmacy_id: str, patient_id: str, errors: dict[str, str] | None = None) -> str:
    with services().database.reading() as session:
        joined = unbinding.joined(session, actor=current_actor(session), pharmacy_id=pharmacy_id, patient_id=patient_id)
        profile = profiles.get(session, pharmacy_id)
    return render_template(
        "clinic/wrong_person.html",
        profile=profile,
        patient=patient_id,
        who=inviting.who(
            services().database,
            actor=current_actor(),
            pharmacy_id=pharmacy_id,
            patient_id=patient_id,
            patients_of=_names(),
        ),
        joined=joined,
        reasons=[one.value for one in unbinding.Why],
        errors=errors or {},
    )


def _names() -> PatientsOf:
    return services().adapters.get("patients") or patients_of(services().database, ehr_readers())


def _asked() -> tuple[date | None, dict[str, str]]:
    """The birth date of the form, and what is missing: name and birth date together, or a phone number."""
    name, born, phone = (request.form.get(field, "").strip() for field in ("name", "born", "phone"))
    errors = {}
    if phone and not name and not born:
        return None, {}
    if not name:
        errors["name"] = pages.translate("inviting.error.name")
    try:
        day: date | None = date.fromisoformat(born)
    except ValueError:
        day = None
    if day is None or day.year < _OLDEST or day > clock.now().date():
        errors["born"] = pages.translate("inviting.error.born")
    return day, errors


def _how() -> How:
    """How the code is handed over. Raises BadInput."""
    try:
        return How(request.form.get("how", ""))
    except ValueError as problem:
        raise BadInput("bad-field", extra={"field": "how"}) from problem


def _said(problem: PortalError) -> str:
    # A database that is down has a page of its own.
    if problem.of_database:
        raise problem
    return pages.translate(problem.text_key)


def _find_page(pharmacy_id: str, errors: dict[str, str], found: Found | None = None) -> str:
    with services().database.reading() as session:
        profile = profiles.get(session, pharmacy_id)
    return render_template(
        "clinic/invite_find.html",
        profile=profile,
        given={name: request.form.get(name, "").strip() for name in ("name", "born", "phone")},
        errors=errors,
        found=found,
        may_consent=current_actor().role in CLINICAL,
        spoken=pages.spoken(),
    )


def _list_page(pharmacy_id: str, problem: PortalError | None = None) -> str:
    if problem is not None:
        _said(problem)
    state = _state()
    page = inviting.listed(
        services().database,
        actor=current_actor(),
        pharmacy_id=pharmacy_id,
        patients_of=_names(),
        state=state,
        after=request.args.get("after"),
    )
    with services().database.reading() as session:
        profile = profiles.get(session, pharmacy_id)
    return render_template(
        "clinic/invitations.html",
        profile=profile,
        page=page,
        may_consent=current_actor().role in CLINICAL,
        states=[one.value for one in invitations.State],
        state=state.value if state is not None else "",
        problem=problem,
        done=pages.done_of(_DONE, problem=problem),
    )


def _state() -> invitations.State | None:
    wanted = request.args.get("state", "")
    try:
        return invitations.State(wanted) if wanted else None
    except ValueError as problem:
        raise NotFound() from problem


def _card_page(pharmacy_id: str, card: Card) -> str:
    """The card in the patient's language, with the page around it in the reader's."""
    with services().database.reading() as session:
        profile = profiles.get(session, pharmacy_id)
    plain = f"{services().settings.origin}/join"
    # What stands behind the # is not sent to any server, so the code gets into no log.
    link = f"{plain}?at={profile.id}&language={card.language}#{card.code}"
    drawn, width = qr.path(link)
    return render_template(
        "clinic/invite_card.html",
        profile=profile,
        card=card,
        how=_how().value,
        plain=plain.partition("://")[2],
        drawn=drawn,
        width=width,
        c=partial(_in_words, card.language),
        until=pages.day_in(card.language, card.until, profile.time_zone),
    )


def _in_words(language: str, key: str, **values: object) -> str:
    return texts.get(key, language, **values)
