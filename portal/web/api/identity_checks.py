"""How a pharmacy made sure who somebody is that started again: asked and said by whoever may let them in."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from portal.core.errors import BadInput
from portal.pharmacies import identity_checks
from portal.pharmacies.identity_checks import Check, How
from portal.web.acting import current_actor
from portal.web.json import stamp, takes
from portal.web.wiring import services

blueprint = Blueprint("identity_checks", __name__, url_prefix="/api/identity-checks")


@dataclass(frozen=True)
class NewCheck:
    """How it was made sure: `in-person`, `call-back`, or `waited`, which begins the waiting."""

    how: str


@blueprint.get("/<account_id>")
def show(account_id: str) -> Response:
    """How far this pharmacy is with somebody."""
    with services().database.reading() as session:
        found = identity_checks.of(session, actor=current_actor(), account_id=account_id)
    return jsonify(_json(found))


@blueprint.post("/<account_id>")
@takes(NewCheck)
def make(new: NewCheck, account_id: str) -> tuple[Response, int]:
    """Say how it was made sure, or begin to wait a day."""
    if new.how not in set(How):
        raise BadInput("bad-field", extra={"field": "how"})
    with services().database.transaction() as session:
        made = identity_checks.make(session, actor=current_actor(), account_id=account_id, how=How(new.how))
    return jsonify(_json(made)), 201


def _json(found: Check | None) -> dict[str, Any]:
    if found is None:
        return {"state": "open", "how": None, "until": None}
    return {"state": found.state.value, "how": found.how.value, "until": stamp(found.until)}
