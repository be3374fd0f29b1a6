"""The page behind a notice's link: no to old messages for new keys. It asks for no login; a stranger may hold that."""

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from portal.core.errors import NotFound
from portal.identity.flask_session import open_when_locked
from portal.pharmacies import identity_checks
from portal.web.public.frame import known_pharmacies, reach
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("objection", __name__)


@blueprint.get("/objection/<objection>")
@open_when_locked
def show(objection: str) -> str:
    """What it is about, and the button: opening a link alone changes nothing, as mail programs open links too."""
    with services().database.reading() as session:
        state = identity_checks.objecting(session, objection)
    if state is None:
        raise NotFound()
    return render_template("public/objection.html", state=state, pharmacies=[reach(one) for one in known_pharmacies()])


@blueprint.post("/objection/<objection>")
@open_when_locked
def say_no(objection: str) -> ResponseReturnValue:
    """Say no."""
    with services().database.transaction() as session:
        identity_checks.object_to(session, objection=objection, address=client_address(), request_id=request_id())
    return redirect(f"/objection/{objection}", 303)
