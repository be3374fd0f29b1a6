"""Patients in care over JSON, for staff: names come from the EHR and stay there; look-alikes are named.

When the EHR does not answer, names are those of accounts and the list says that it is stale.
"""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify, request

from portal.care.readers import patients_of
from portal.core.errors import BadInput
from portal.pharmacies.patients import PAGE, find
from portal.web.acting import current_actor
from portal.web.json import query_int
from portal.web.wiring import ehr_readers, services

blueprint = Blueprint("patients_api", __name__, url_prefix="/api/patients")


@blueprint.get("")
def listed() -> Response:
    """The patients in one's pharmacy's care, all or those that fit `q` (a part of the name, or a birth date)."""
    pharmacy_id = request.args.get("pharmacy")
    query = request.args.get("q", "")
    if pharmacy_id is None or len(query) > 100:
        raise BadInput("bad-field", extra={"field": "pharmacy" if pharmacy_id is None else "q"})
    found = find(
        services().database,
        actor=current_actor(),
        pharmacy_id=pharmacy_id,
        patients_of=services().adapters.get("patients") or patients_of(services().database, ehr_readers()),
        query=query,
        after=request.args.get("after"),
        limit=query_int("limit", default=PAGE, least=1, most=PAGE) or PAGE,
    )
    return jsonify(items=[asdict(line) for line in found.items], next=found.next, stale=found.stale)
