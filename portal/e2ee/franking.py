"""Franking: each message that can be shown can be reported, with proof of sender and text (docs/protocol.md section 4).

Whoever receives a report needs no epoch secret, so this module opens nothing.
"""

from dataclasses import dataclass
from typing import Any

from portal.e2ee import ed25519, form
from portal.e2ee.certificates import VerifiedDevice, verify_certificate
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import Directory
from portal.e2ee.encoding import HASH_BYTES, b64, hmac256, pae, same, unb64
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import MessageHeader, Record, read_record_header

KEY_BYTES = 32


def tag(key: bytes, thread: str, dev: str, body: bytes) -> bytes:
    """`frank` of a message."""
    return hmac256(key, pae("frank", thread, dev, body))


def make_report(record: Record[MessageHeader], body: bytes, key: bytes) -> dict[str, str]:
    """The report of a message that was read."""
    h, cth, sig = b64(record.h), b64(record.body_hash), b64(record.sig)
    return {"h": h, "cth": cth, "sig": sig, "body": body.decode(), "fk": b64(key)}


@dataclass(frozen=True, slots=True)
class ProvenMessage:
    """What a report proves: that the header's user wrote this text."""

    header: MessageHeader
    body: str


@dataclass(slots=True)
class _Report:
    header: MessageHeader
    h: bytes
    cth: bytes
    sig: bytes
    body: bytes
    key: bytes
    directory: Directory
    device: VerifiedDevice | None = None


def _certified(it: _Report) -> bool:
    user, dev = it.header.user, it.header.dev
    identities = [entry.identity for entry in it.directory.entries(user) if entry.identity]
    try:
        it.device = verify_certificate(it.directory.device(dev), user, dev, identities)
    except Refused:
        return False
    return True


def _signed(it: _Report) -> bool:
    return it.device is not None and ed25519.verify(it.device.ed, it.sig, pae("msg", it.h, it.cth))


CHECKS: tuple[Check[_Report], ...] = (
    Check("report: device is known", Reason.UNKNOWN_DEVICE, lambda it: it.directory.device(it.header.dev) is not None),
    Check("report: user is known", Reason.UNKNOWN_USER, lambda it: it.directory.user(it.header.user) is not None),
    Check("report: certificate", Reason.CERTIFICATE, _certified),
    Check("report: signature", Reason.SIGNATURE, _signed),
    Check(
        "report: tag",
        Reason.FRANK,
        lambda it: same(tag(it.key, it.header.thread, it.header.dev, it.body), it.header.frank),
    ),
)


def verify_report(raw: Any, directory: Directory) -> ProvenMessage:
    """Sender and text that a report proves. Raises Refused."""
    members = form.an_object(raw)
    h = unb64(members.get("h"))
    _, header = read_record_header(h)
    if not isinstance(header, MessageHeader):
        raise Refused(Reason.TYPE)
    body = _body(members.get("body"))
    cth, sig = unb64(members.get("cth"), HASH_BYTES), unb64(members.get("sig"), ed25519.SIGNATURE_BYTES)
    it = _Report(header, h, cth, sig, body, unb64(members.get("fk"), KEY_BYTES), directory)
    require(CHECKS, it)
    return ProvenMessage(header, body.decode())


def _body(value: Any) -> bytes:
    try:
        return form.text(value).encode()
    except UnicodeEncodeError as problem:
        raise Refused(Reason.FORM) from problem
