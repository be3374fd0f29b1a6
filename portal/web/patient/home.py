"""A patient's first page, medicines and orders."""

from flask import Blueprint, render_template, request

from portal.accounts import directory, recovery
from portal.accounts.roles import Role, Scope
from portal.care.context import note_print
from portal.e2ee.recovery import Method
from portal.pharmacies import identity_checks
from portal.threads import inbox
from portal.web.acting import current_actor, roles_only
from portal.web.patient import chosen
from portal.web.public.frame import current_frame
from portal.web.wiring import services

blueprint = Blueprint("patient", __name__)


@blueprint.get("/home")
@roles_only(Role.PATIENT)
def home() -> str:
    """Ask a question, what waits, medicines with "as of", open orders."""
    actor = current_actor()
    shown = chosen.view(actor)
    with services().database.reading() as session:
        ways = recovery.ways(session, actor.account_id)
        waiting = inbox.awaiting_count(session, actor=actor)
        objections = identity_checks.waiting_for(session, actor=actor)
        enrolled = bool(directory.have_keys(session, [actor.account_id]))
    # Before there are keys there is nothing to lose.
    protect = None
    if enrolled and not any(way.tried_at for way in ways):
        protect = _try_out({way.method for way in ways}) if ways else "protect"
    return render_template(
        "patient/home.html",
        shown=shown,
        waiting=waiting,
        protect=protect,
        objections=objections,
        name=actor.name,
        joined=request.args.get("joined") == "1",
    )


def _try_out(methods: set[Method]) -> str:
    """The card that asks to try a way back out: the one that is at hand in most homes comes first."""
    if Method.PASSKEY in methods:
        return "tryout-passkey"
    return "tryout" if Method.CODE in methods else "tryout-passphrase"


@blueprint.get("/medicines")
@roles_only(Role.PATIENT)
def medicines() -> str:
    """All medicines, now and before."""
    return render_template("patient/medicines.html", shown=chosen.view(current_actor()))


@blueprint.get("/medicines/print")
@roles_only(Role.PATIENT)
def medicines_print() -> str:
    """The list to carry along; that it was printed is on record."""
    return _printed("patient/medicines_print.html")


@blueprint.get("/medicines/card")
@roles_only(Role.PATIENT)
def medicines_card() -> str:
    """The same as a card for the wallet, to be folded once; on record too."""
    return _printed("patient/medicines_card.html")


def _printed(template: str) -> str:
    actor = current_actor()
    shown = chosen.view(actor)
    profile = current_frame().profile
    listed = shown.patient is not None and shown.patient.reaches(Scope.REFILLS)
    if listed and shown.patient is not None and shown.panel is not None and profile is not None:
        with services().database.transaction() as session:
            note_print(session, actor=actor, patient_id=shown.patient.patient_id, pharmacy_id=profile.id)
    return render_template(template, shown=shown)


@blueprint.get("/orders")
@roles_only(Role.PATIENT)
def orders() -> str:
    """All orders with their state."""
    return render_template("patient/orders.html", shown=chosen.view(current_actor()))
