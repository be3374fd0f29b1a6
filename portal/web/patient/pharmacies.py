"""The pharmacies that care for a patient: which they are, what ending means, ending one, and taking that back."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import names
from portal.accounts.actor import Actor
from portal.accounts.roles import Role, Scope
from portal.core.errors import BadInput
from portal.pharmacies import care, profiles
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.wiring import services

blueprint = Blueprint("own_pharmacies", __name__)
PLACE = "/account/pharmacies"
_DONE = frozenset({"ended", "again"})


@blueprint.get(PLACE)
@roles_only(Role.PATIENT)
def show() -> str:
    """For each patient one acts for in everything: who cares now, and who did."""
    with services().database.reading() as session:
        actor = current_actor(session)
        patients = _patients(actor)
        known = {one.id: one for one in profiles.everyone(session)}
        cares = care.history(session, patients)
        people = names.selves(session, patients)
    return render_template(
        "patient/pharmacies.html",
        patients=[(patient, people.get(patient, ("", ""))[1], cares[patient]) for patient in patients],
        own={acting.patient_id for acting in actor.acting if actor.on_behalf(acting.patient_id) is None},
        known=known,
        done=pages.done_of(_DONE),
    )


@blueprint.post(PLACE)
@roles_only(Role.PATIENT)
def change() -> ResponseReturnValue:
    """End a pharmacy's care, or begin it again."""
    acts = {"end": care.end, "again": care.choose}
    act = acts.get(request.form.get("act", ""))
    if act is None:
        raise BadInput("bad-field", extra={"field": "act"})
    with services().database.transaction() as session:
        act(
            session,
            actor=current_actor(session),
            patient_id=request.form.get("patient", ""),
            pharmacy_id=request.form.get("pharmacy", ""),
        )
    return redirect(f"{PLACE}?done={'ended' if act is care.end else 'again'}", 303)


def _patients(actor: Actor) -> list[str]:
    return [acting.patient_id for acting in actor.acting if acting.reaches(Scope.ALL)]
