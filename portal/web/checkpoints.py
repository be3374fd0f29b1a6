"""The signed checkpoints of the audit record, for everyone: who keeps one can tell later whether rows were changed."""

from flask import Blueprint, Response

from portal.audit import sealer
from portal.core.errors import NotFound
from portal.web.wiring import services

blueprint = Blueprint("checkpoints", __name__, url_prefix="/checkpoints")
# No database counts further; asked for more, it would answer with a fault.
LARGEST_SIZE = 2**63 - 1


@blueprint.get("/latest")
def latest() -> Response:
    """The newest checkpoint as a C2SP signed note."""
    with services().database.reading() as session:
        return _note(sealer.latest_note(session), "public, max-age=30")


@blueprint.get("/<int:size>")
def of_size(size: int) -> Response:
    """The checkpoint of one tree size; it never changes."""
    if size > LARGEST_SIZE:
        raise NotFound()
    with services().database.reading() as session:
        return _note(sealer.note_of(session, size), "public, max-age=31536000, immutable")


def _note(note: str | None, caching: str) -> Response:
    if note is None:
        raise NotFound()
    answer = Response(note, content_type="text/plain; charset=utf-8")
    answer.headers["Cache-Control"] = caching
    return answer
