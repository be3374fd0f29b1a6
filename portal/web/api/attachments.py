"""Encrypted files over HTTP: announced, uploaded in parts, completed, read in ranges."""

import re
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request

from portal.core.errors import BadInput, TooLarge, Unprocessable
from portal.threads import attachments
from portal.web.acting import current_actor
from portal.web.json import Nothing, query_int, takes
from portal.web.limits import UPLOAD_PER_ACCOUNT, at_most
from portal.web.wiring import services

blueprint = Blueprint("attachments", __name__, url_prefix="/api/attachments")
_RANGE = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")
LARGEST_RANGE = 4 * 1024 * 1024


@dataclass(frozen=True)
class NewAttachment:
    """A file to be uploaded: its sizes and hash are those of the ciphertext."""

    id: str
    thread: str
    pharmacy: str
    size: int
    cth: str


@blueprint.post("")
@at_most(UPLOAD_PER_ACCOUNT)
@takes(NewAttachment)
def begin(new: NewAttachment) -> tuple[Response, int]:
    """Announce an upload, or ask how far one got."""
    quota = services().settings.attachment_quota_mib * 1024 * 1024
    with services().database.transaction() as session:
        upload = attachments.begin(
            session,
            actor=current_actor(),
            attachment_id=new.id,
            thread_id=new.thread,
            pharmacy_id=new.pharmacy,
            size=new.size,
            cth=new.cth,
            quota=quota,
        )
    return jsonify(received=upload.received, complete=upload.complete_at is not None), 201


@blueprint.put("/<attachment_id>")
@at_most(UPLOAD_PER_ACCOUNT)
def put_part(attachment_id: str) -> Response:
    """Store the next part of at most 1 MiB."""
    if request.content_type != "application/octet-stream":
        raise BadInput("content-type")
    if (request.content_length or 0) > attachments.LARGEST_PART:
        raise TooLarge("part-too-large")
    start = query_int("start")
    if start is None:
        raise BadInput("missing-field", extra={"field": "start"})
    data = request.get_data(cache=False)
    with services().database.transaction() as session:
        received = attachments.put_part(
            session, actor=current_actor(), attachment_id=attachment_id, start=start, data=data
        )
    return jsonify(received=received)


@blueprint.post("/<attachment_id>/complete")
@takes(Nothing)
def complete(_: Nothing, attachment_id: str) -> tuple[str, int]:
    """All parts are there: check the hash."""
    with services().database.transaction() as session:
        whole = attachments.complete(session, actor=current_actor(), attachment_id=attachment_id)
    if not whole:
        raise Unprocessable("ciphertext-hash")
    return "", 204


@blueprint.get("/<attachment_id>")
def read(attachment_id: str) -> Response:
    """The ciphertext of a file, whole ranges of at most 4 MiB at a time."""
    with services().database.transaction() as session:
        start, wanted_end = _range()
        stored = attachments.open_for_reading(session, actor=current_actor(), attachment_id=attachment_id)
        end = min(stored.size, wanted_end, start + LARGEST_RANGE)
        data = attachments.read_range(session, stored, start, end)
    answer = Response(data, 206, content_type="application/octet-stream")
    answer.headers["Content-Range"] = f"bytes {start}-{max(start, end - 1)}/{stored.size}"
    answer.headers["Content-Disposition"] = "attachment"
    return answer


def _range() -> tuple[int, int]:
    header = request.headers.get("Range", "bytes=0-")
    match = _RANGE.fullmatch(header)
    if match is None:
        raise BadInput("bad-field", extra={"field": "Range"})
    return int(match[1]), int(match[2]) + 1 if match[2] else 2**40
