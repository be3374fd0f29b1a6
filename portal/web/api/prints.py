"""Putting on record that something was printed: paper leaves the portal's protection, so it leaves a line."""

from dataclasses import dataclass

from flask import Blueprint

from portal.accounts import recovery
from portal.care.context import note_print as note_medicines
from portal.core.errors import BadInput
from portal.pharmacies import recovery_key
from portal.threads.reading import note_print as note_thread
from portal.web.acting import current_actor
from portal.web.json import takes
from portal.web.wiring import services

blueprint = Blueprint("prints", __name__, url_prefix="/api/prints")


@dataclass(frozen=True)
class Print:
    """What is printed: `thread` (with `sequence`: one message of it), `medicines` of a patient, `recovery`, or `sheets`
    of a pharmacy.
    """

    what: str
    thread: str | None = None
    sequence: int | None = None
    patient: str | None = None
    pharmacy: str | None = None


@blueprint.post("")
@takes(Print)
def printed(made: Print) -> tuple[str, int]:
    """Record a print before it is made; what one may not read one may not print either."""
    actor = current_actor()
    with services().database.transaction() as session:
        if made.what == "thread" and made.thread is not None:
            note_thread(session, actor=actor, thread_id=made.thread, sequence=made.sequence)
        elif made.what == "medicines" and made.patient is not None and made.pharmacy is not None:
            note_medicines(session, actor=actor, patient_id=made.patient, pharmacy_id=made.pharmacy)
        elif made.what == "sheets" and made.pharmacy is not None:
            recovery_key.note_print(session, actor=actor, pharmacy_id=made.pharmacy)
        elif made.what == "recovery":
            recovery.note_print(session, actor=actor)
        else:
            raise BadInput("bad-field", extra={"field": "what"})
    return "", 204
