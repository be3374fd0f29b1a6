"""The key directory over JSON: for those who share a thread, a pharmacy or a care relation."""

from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from portal.accounts.directory import Person
from portal.core.errors import BadInput
from portal.pharmacies import directory
from portal.pharmacies.directory import MOST_IDS, TeamKeys
from portal.threads.sharing import who_shares
from portal.web.acting import current_actor
from portal.web.json import takes
from portal.web.wiring import services

blueprint = Blueprint("directory", __name__, url_prefix="/api/directory")


@dataclass(frozen=True)
class Wanted:
    """Ids of persons and teams."""

    ids: list[str]


@blueprint.get("/<id>")
def one(id: str) -> Response:
    """The keys of one person or team."""
    with services().database.transaction() as session:
        found = directory.look_up_one(session, actor=current_actor(), id=id, shares_thread=who_shares)
    return jsonify(_shown(found))


@blueprint.post("/lookup")
@takes(Wanted)
def many(wanted: Wanted) -> Response:
    """The keys of up to 100 persons and teams; unknown and foreign ones are left out."""
    if len(wanted.ids) > MOST_IDS:
        raise BadInput("bad-field", extra={"field": "ids"})
    with services().database.transaction() as session:
        found = directory.look_up(session, actor=current_actor(), ids=wanted.ids, shares_thread=who_shares)
    return jsonify(items=[_shown(keys) for keys in found], next=None)


def _shown(found: Person | TeamKeys) -> dict[str, Any]:
    if isinstance(found, TeamKeys):
        return {"id": found.id, "pharmacy": found.pharmacy_id, "kind": found.kind.value, "records": found.records}
    return {
        "id": found.id,
        "role": found.role,
        "pharmacy": found.pharmacy_id,
        "name": found.name,
        "disabled": found.disabled,
        "entries": found.entries,
        "devices": [asdict(device) for device in found.devices],
    }
