"""What a member puts into a message and finds in one: the JSON of docs/protocol.md section 4, "Body"."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.core import ids, strict_json
from portal.e2ee import form
from portal.e2ee.attachments import KEY_BYTES, FileFacts, SealedFile
from portal.e2ee.encoding import HASH_BYTES, b64, unb64
from portal.e2ee.open import Reading, Shown

Json = dict[str, Any]


@dataclass(frozen=True)
class UploadedFile:
    """A file that lies sealed at the portal and can be named by a message."""

    sealed: SealedFile
    name: str
    type: str

    def in_body(self) -> Json:
        """An entry of `files`."""
        one = self.sealed
        return {
            "id": one.id,
            "key": b64(one.key),
            "name": self.name,
            "type": self.type,
            "size": one.size,
            "hash": b64(one.hash),
        }


@dataclass(frozen=True)
class Message:
    """A message to be sent. Its `id` stays the same however often it is sealed and sent, so it arrives once."""

    text: str
    subject: str | None = None
    in_reply_to: str | None = None
    fhir: Sequence[Mapping[str, Any]] = ()
    files: Sequence[UploadedFile] = ()
    id: str = field(default_factory=ids.random_id)

    def body(self) -> bytes:
        """The bytes that are sealed."""
        members: Json = {"id": self.id, "type": "text", "text": self.text}
        if self.subject is not None:
            members["subject"] = self.subject
        if self.in_reply_to is not None:
            members["inReplyTo"] = self.in_reply_to
        if self.fhir:
            members["fhir"] = list(self.fhir)
        if self.files:
            members["files"] = [file.in_body() for file in self.files]
        return json.dumps(members, ensure_ascii=False).encode()

    def in_header(self) -> list[dict[str, object]]:
        """`att` of the header."""
        return [file.sealed.in_header() for file in self.files]


@dataclass(frozen=True)
class Correction:
    """The author replaces the text of an own earlier message."""

    replaces: str
    text: str
    id: str = field(default_factory=ids.random_id)

    def body(self) -> bytes:
        """The bytes that are sealed."""
        members = {"id": self.id, "type": "correct", "replaces": self.replaces, "text": self.text}
        return json.dumps(members, ensure_ascii=False).encode()

    def in_header(self) -> list[dict[str, object]]:
        """A correction has no files."""
        return []


@dataclass(frozen=True)
class Line:
    """A message as its reader sees it. `text` is None unless `shown` is `read`; `corrected`: changed by its author."""

    seq: int
    author: str
    sent_at_ms: int
    shown: Shown
    id: str | None = None
    subject: str | None = None
    text: str | None = None
    corrected: bool = False
    fhir: tuple[Json, ...] = ()
    files: tuple[Json, ...] = ()


def lines(reading: Reading) -> list[Line]:
    """The messages of a thread in order, corrections put where they belong."""
    shown: list[Line] = []
    place: dict[tuple[str, str], int] = {}
    for message in reading.messages:
        header = message.record.header
        body = parse(message.opened.text) if message.opened is not None else {}
        replaced = place.get((header.user, str(body.get("replaces"))))
        if body.get("type") == "correct":
            if replaced is not None:
                before = shown[replaced]
                shown[replaced] = Line(**{**vars(before), "text": body["text"], "corrected": True})
            continue
        if body.get("id") is not None:
            # A body id is shown once per author (docs/protocol.md section 6).
            if (header.user, body["id"]) in place:
                continue
            place[header.user, body["id"]] = len(shown)
        shown.append(
            Line(
                seq=header.seq,
                author=header.user,
                sent_at_ms=header.ts,
                shown=message.shown,
                id=body.get("id"),
                subject=body.get("subject"),
                text=body.get("text"),
                fhir=tuple(body.get("fhir", ())),
                files=tuple(body.get("files", ())),
            )
        )
    return shown


def parse(text: str) -> Json:
    """A body; empty for one of another form, which a newer version may have made."""
    try:
        value = strict_json.loads(text, max_depth=64, floats=True)
    except ValueError:
        return {}
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(value.get("text"), str):
        return {}
    if value.get("type") == "correct" and not isinstance(value.get("replaces"), str):
        return {}
    lists = all(
        isinstance(value.get(name, []), list) and all(isinstance(one, dict) for one in value.get(name, []))
        for name in ("fhir", "files")
    )
    return value if lists and value.get("type") in ("text", "correct") else {}


def file_facts(thread: str, file: Json, cth: bytes) -> FileFacts:
    """What is needed to open a file. Raises Refused(form) for an entry of another form."""
    members = form.an_object(file)
    size = members.get("size")
    if not isinstance(size, int) or size < 0:
        raise form.refuse()
    key, hashed = unb64(members.get("key"), KEY_BYTES), unb64(members.get("hash"), HASH_BYTES)
    return FileFacts(thread, form.text(members.get("id")), cth, key, size, hashed)
