"""Carers: whom a patient lets act for them, in which scope and until when; and taking such an invitation up.

All of it works without JavaScript. What asks for a fresh login keeps what was typed: the sign-in opens in a tab of its
own.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts import carer_invitations, carers, consents, names, policy
from portal.accounts.actor import Actor
from portal.accounts.carer_invitations import Newcomer, Offer
from portal.accounts.carers import Circumstances
from portal.accounts.roles import INVITED_TO, Role
from portal.care import consenting
from portal.core.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    PortalError,
    StepUpNeeded,
    TooMany,
    Unprocessable,
)
from portal.pharmacies import ages
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.limits import REDEEM_PER_ACCOUNT, TELL_PER_ACCOUNT, at_most
from portal.web.patient import chosen
from portal.web.public.frame import current_frame, known_pharmacies
from portal.web.wiring import services

blueprint = Blueprint("carers", __name__, url_prefix="/carers")
# What comes back as a word on the page instead of a page of its own.
_SAID = (BadInput, Conflict, Forbidden, TooMany, StepUpNeeded, Unprocessable)
_DONE = frozenset({"mailed", "again", "revoked", "changed", "ended", "given-up", "accepted", "declined"})
_LONGEST_CODE = 60


@blueprint.get("")
@roles_only(Role.PATIENT)
def listed() -> str:
    """Who acts for me, who is invited, whom I act for, and who invites me."""
    return _list_page()


@blueprint.get("/invite")
@roles_only(Role.PATIENT)
def form() -> str:
    """The form."""
    actor = current_actor()
    _own(actor)
    return _form_page(actor, {}, {})


@blueprint.post("/invite")
@roles_only(Role.PATIENT)
def invite() -> ResponseReturnValue:
    """Invite somebody: the code is shown this once; of a mail it is said that it goes."""
    actor = current_actor()
    patient_id = _own(actor)
    given = {name: value.strip() for name, value in request.form.items() if name != "csrf_token"}
    try:
        newcomer = Newcomer(
            name=given.get("name", ""),
            mail=given.get("mail", "") if given.get("how") == "mail" else None,
            kind=given.get("kind", ""),
            scope=given.get("scope", ""),
            last_day=pages.day_or_none(given.get("last_day", ""), "carer-invitation"),
        )
        where = _circumstances(actor, patient_id, newcomer.kind)
        with services().database.transaction() as session:
            _, code = carer_invitations.invite(
                session, actor=actor, patient_id=patient_id, newcomer=newcomer, where=where
            )
    except _SAID as problem:
        stale = isinstance(problem, StepUpNeeded)
        return _form_page(
            actor, given, pages.errors_of(problem, "carers", of_codes={"carer-birth-date": "kind"}), stale=stale
        ), problem.status if not stale else 422
    return _card(newcomer.name, code) if code is not None else redirect("/carers?done=mailed", 303)


@blueprint.post("/invitations")
@roles_only(Role.PATIENT)
def change_invitation() -> ResponseReturnValue:
    """Send an invitation again or make a new code, or take it back."""
    invitation_id = request.form.get("invitation", "")
    if request.form.get("act") == "revoke":
        return _try(
            lambda session: carer_invitations.revoke(
                session, actor=current_actor(session), invitation_id=invitation_id
            ),
            "revoked",
        )
    codes: list[str | None] = []
    answer = _try(
        lambda session: codes.append(
            carer_invitations.send_again(session, actor=current_actor(session), invitation_id=invitation_id)
        ),
        "again",
    )
    return (
        _card(request.form.get("name", "")[: carer_invitations.LONGEST_NAME], codes[0])
        if codes and codes[0]
        else answer
    )


@blueprint.post("/change")
@at_most(TELL_PER_ACCOUNT)
@roles_only(Role.PATIENT)
def change() -> ResponseReturnValue:
    """Widen, narrow, prolong, shorten or end what somebody may do."""
    relation_id = request.form.get("relation", "")
    if request.form.get("act") == "end":
        return _try(
            lambda session: consents.end_of_patient(session, actor=current_actor(session), relation_id=relation_id),
            "ended",
        )
    actor = current_actor()
    try:
        last_day = pages.day_or_none(request.form.get("last_day", "").strip(), "carer-invitation")
        where = _circumstances(actor, _own(actor), request.form.get("kind", ""))
    except _SAID as problem:
        return _list_page(problem), 422

    def act(session: Session) -> None:
        carers.change(
            session,
            actor=current_actor(session),
            relation_id=relation_id,
            scope=request.form.get("scope", ""),
            last_day=last_day,
            where=where,
        )

    return _try(act, "changed")


@blueprint.post("/give-up")
@roles_only(Role.PATIENT)
def give_up() -> ResponseReturnValue:
    """Act for somebody no longer."""
    patient_id = request.form.get("patient", "")
    return _try(
        lambda session: carers.give_up(session, actor=current_actor(session), patient_id=patient_id), "given-up"
    )


@blueprint.get("/accept")
@roles_only(Role.PATIENT)
def ask_code() -> str:
    """The field for a code that was handed over."""
    return _code_page({})


@blueprint.post("/accept")
@at_most(REDEEM_PER_ACCOUNT)
@roles_only(Role.PATIENT)
def take_up() -> ResponseReturnValue:
    """Look at what a code invites to; then accept or decline it, or an invitation to one's own mail address."""
    act, code = request.form.get("act", ""), request.form.get("code", "").strip()[:_LONGEST_CODE] or None
    actor = current_actor()
    try:
        with services().database.transaction() as session:
            if act not in ("accept", "decline"):
                offer = carer_invitations.offered(session, actor=actor, code=code or "")
                return render_template("patient/carers_offer.html", offer=offer, code=code, pharmacies=_pharmacies())
            invitation_id = request.form.get("invitation", "")
            if act == "decline":
                carer_invitations.decline(session, actor=actor, invitation_id=invitation_id, code=code)
            else:
                carer_invitations.accept(session, actor=actor, invitation_id=invitation_id, code=code)
                consenting.begin_care(session, actor=actor, invitation_id=invitation_id)
    except (Unprocessable, Conflict) as problem:
        if problem.code == "carer-code":
            with services().database.transaction() as session:
                carer_invitations.note_refused(session, actor=actor)
        return _code_page({"code": pages.translate(problem.text_key)}), problem.status
    return redirect(f"/carers?done={'accepted' if act == 'accept' else 'declined'}", 303)


def _try(act: Callable[[Session], object], done: str) -> ResponseReturnValue:
    try:
        with services().database.transaction() as session:
            act(session)
    except _SAID as problem:
        return _list_page(problem), 422
    return redirect(f"/carers?done={done}", 303)


def _own(actor: Actor) -> str:
    patient_id = carers.own_patient(actor)
    if patient_id is None:
        raise NotFound()
    return patient_id


def _circumstances(actor: Actor, patient_id: str, kind: str) -> Circumstances:
    """What the end of an access depends on; the birth date is asked of the health record only where an age counts."""
    born = None
    if kind in carers.UNTIL_OF_AGE:
        panel = chosen.context_of(actor, patient_id)
        text = panel["patient"]["birth_date"] if panel is not None else ""
        born = date.fromisoformat(text) if len(text) == len("2000-01-01") else None
    return Circumstances(zone=pages.zone().key, of_age=_of_age(patient_id), born=born)


def _of_age(patient_id: str) -> int:
    with services().database.reading() as session:
        return ages.of_patient(session, patient_id, services().settings.parents_until_age)


def _list_page(problem: PortalError | None = None) -> str:
    actor = current_actor()
    own = carers.own_patient(actor)
    with services().database.reading() as session:
        others = carers.helping(session, actor=actor)
        known = names.selves(session, [one.patient_id for one in others])
        acting = carers.acting(session, actor=actor, patient_id=own) if own is not None else []
        invited = carer_invitations.invited(session, actor=actor, patient_id=own) if own is not None else []
        offers: list[Offer] = carer_invitations.offers(session, actor=actor)
    return render_template(
        "patient/carers.html",
        own=own,
        acting=[(one, one.ends_at - timedelta(seconds=1) if one.ends_at else None) for one in acting],
        invited=[(row, carer_invitations.state_of(row).value) for row in invited],
        others=[
            (
                one,
                # A name is not told once one does not act for the person any more.
                None if one.over else known.get(one.patient_id, ("", None))[1],
                one.ends_at - timedelta(seconds=1) if one.ends_at else None,
            )
            for one in others
        ],
        offers=offers,
        scopes=INVITED_TO,
        pharmacies=_pharmacies(),
        problem=problem,
        stale=isinstance(problem, StepUpNeeded),
        done=pages.done_of(_DONE, problem=problem),
    )


def _pharmacies() -> dict[str, str]:
    return {one.id: one.name for one in known_pharmacies()}


def _form_page(actor: Actor, given: Mapping[str, str], errors: Mapping[str, str], *, stale: bool = False) -> str:
    return render_template(
        "patient/carers_invite.html",
        given=given,
        errors=errors,
        kinds=carers.KINDS,
        scopes=INVITED_TO,
        of_age=_of_age(_own(actor)),
        stale=stale,
        fresh=policy.fresh_login(actor),
    )


def _code_page(errors: Mapping[str, str]) -> str:
    return render_template("patient/carers_accept.html", errors=errors)


def _card(name: str, code: str | None) -> str:
    return render_template(
        "patient/carers_card.html", name=name, code=code, base_url=services().settings.base_url, frame=current_frame()
    )
