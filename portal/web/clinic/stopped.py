"""Who pressed "Something is wrong": for staff who make sure who it is and let key changes go on."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import policy
from portal.accounts.stops import Check
from portal.core.errors import BadInput
from portal.privacy import stopping
from portal.web.acting import current_actor
from portal.web.wiring import services

blueprint = Blueprint("stopped", __name__)


@blueprint.get("/stops")
def show() -> str:
    """Who is stopped at this pharmacy now."""
    with services().database.transaction() as session:
        lines = stopping.show(session, actor=current_actor())
    return render_template("clinic/stops.html", lines=lines, checks=list(Check), ended=request.args.get("ended") == "1")


@blueprint.post("/stops")
def end() -> ResponseReturnValue:
    """End a stop; how it was made sure who it is goes on record."""
    check = request.form.get("check", "")
    if check not in set(Check):
        raise BadInput("bad-field", extra={"field": "check"})
    actor = current_actor()
    if not policy.fresh_login(actor):
        return redirect("/step-up?next=/stops", 303)
    with services().database.transaction() as session:
        stopping.end(session, actor=actor, account_id=request.form.get("account", ""), check=Check(check))
    return redirect("/stops?ended=1", 303)
