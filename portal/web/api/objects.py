"""Sealed objects over JSON: drafts, pins, kept heads, settings of a person or a team."""

from dataclasses import asdict, dataclass

from flask import Blueprint, Response, jsonify, request

from portal.pharmacies import objects
from portal.web.acting import current_actor
from portal.web.json import query_int, takes
from portal.web.wiring import services

blueprint = Blueprint("objects", __name__, url_prefix="/api/objects")
# 256 KiB of ciphertext in base64, and the header.
OBJECT_LIMIT = 400 * 1024


@dataclass(frozen=True)
class Revision:
    """An object as revision `rev`."""

    rev: int
    h: str
    sig: str
    ct: str


@blueprint.get("/<owner>/<kind>")
def listed(owner: str, kind: str) -> Response:
    """The objects of an owner and kind, page by page."""
    limit = query_int("limit", default=objects.PAGE, least=1, most=objects.PAGE) or objects.PAGE
    with services().database.transaction() as session:
        found, after = objects.page(
            session, actor=current_actor(), owner=owner, kind=kind, after=request.args.get("after"), limit=limit
        )
    return jsonify(items=[asdict(stored) for stored in found], next=after)


@blueprint.put("/<owner>/<kind>/<id>")
@takes(Revision, limit=OBJECT_LIMIT)
def put(new: Revision, owner: str, kind: str, id: str) -> Response:
    """Store the next revision of an object."""
    sealed = {"h": new.h, "sig": new.sig, "ct": new.ct}
    with services().database.transaction() as session:
        rev = objects.put(session, actor=current_actor(), owner=owner, kind=kind, id=id, rev=new.rev, sealed=sealed)
    return jsonify(rev=rev)


@blueprint.delete("/<owner>/<kind>/<id>")
def remove(owner: str, kind: str, id: str) -> tuple[str, int]:
    """Take an object away."""
    with services().database.transaction() as session:
        objects.remove(session, actor=current_actor(), owner=owner, kind=kind, id=id)
    return "", 204
