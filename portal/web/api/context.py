"""The medication and order context over JSON, for the panel beside a thread."""

from flask import Blueprint, Response, make_response, request

from portal.care.context import read_context
from portal.core.errors import BadInput
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.api.rendered import Panels
from portal.web.wiring import ehr_readers, services

blueprint = Blueprint("context_api", __name__, url_prefix="/api/patients")
# "Fetch again" asks the EHR anew, but not more often than this.
LEAST_AGE_SECONDS = 2.0
_panels = Panels()


@blueprint.get("/<patient_id>/context")
def context(patient_id: str) -> Response:
    """The panel of a patient through a pharmacy's EHR; `fresh=1` asks the EHR again. Recorded also when unchanged."""
    pharmacy_id = request.args.get("pharmacy")
    if pharmacy_id is None:
        raise BadInput("bad-field", extra={"field": "pharmacy"})
    age = {"max_age": LEAST_AGE_SECONDS} if request.args.get("fresh") == "1" else {}
    found = read_context(
        services().database, ehr_readers(), actor=current_actor(), patient_id=patient_id, pharmacy_id=pharmacy_id, **age
    )
    language, day = pages.spoken(), pages.today()
    panel = _panels.of(found.whole, (found.sight, language, day), lambda: found.to_json(language, today=day))
    answer = make_response(panel.body)
    answer.content_type = "application/json"
    answer.set_etag(panel.etag)
    answer.make_conditional(request)
    return answer
