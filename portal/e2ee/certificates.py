"""Device certificates and revocations (docs/protocol.md section 3): a user's identity vouches for a device key and
takes it back; the device shows that it holds the key."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from portal.e2ee import ed25519, form, hybrid
from portal.e2ee.checks import Check, require
from portal.e2ee.encoding import pae, sha256, unb64
from portal.e2ee.form import Form
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.reasons import Reason, Refused


@dataclass(frozen=True, slots=True)
class VerifiedDevice:
    """A device whose certificate holds. `ts` is Unix milliseconds, as claimed."""

    dev: str
    user: str
    ed: bytes
    ts: int | None


FORMS: dict[str, Form] = {
    "dev": Form(
        {"user": form.identifier, "dev": form.identifier, "ed": form.octets(32), "ts": form.number},
        optional=frozenset({"ts"}),
    )
}
REVOCATION_FORMS: dict[str, Form] = {
    "devrev": Form({"user": form.identifier, "dev": form.identifier, "ts": form.number})
}


def claimed_user(raw: Any) -> str | None:
    """Whose a certificate says it is, before it is verified; None if it cannot be read."""
    try:
        return str(form.read_header(unb64(form.an_object(raw).get("h")), FORMS)[1]["user"])
    except Refused:
        return None


@dataclass(frozen=True, slots=True)
class _Certificate:
    h: bytes
    sig: str
    pop: bytes
    device: VerifiedDevice
    claimed: tuple[str, str]
    identities: Sequence[IdentityKeys]


def _possession(it: _Certificate) -> bool:
    return ed25519.verify(it.device.ed, it.pop, possession_bytes(it.device.user, it.device.dev, it.device.ed))


def possession_bytes(user: str, dev: str, ed: bytes) -> bytes:
    """What a device signs to show that it holds its key."""
    return pae("dev-pop", user, dev, ed)


CHECKS: tuple[Check[_Certificate], ...] = (
    Check("certificate: device", Reason.CERTIFICATE, lambda it: it.device.dev == it.claimed[1]),
    Check("certificate: user", Reason.CERTIFICATE, lambda it: it.device.user == it.claimed[0]),
    Check(
        "certificate: signature",
        Reason.CERTIFICATE,
        lambda it: any(hybrid.verify(keys, it.sig, pae("dev", it.h)) for keys in it.identities),
    ),
    # Also refuses a key of small order or another form: nothing verifies under it.
    Check("certificate: possession", Reason.CERTIFICATE, _possession),
)

_MEMORY_LIMIT = 4096
_memory: "OrderedDict[bytes, VerifiedDevice]" = OrderedDict()
_memory_lock = Lock()


def verify_certificate(raw: Any, user: str, dev: str, identities: Sequence[IdentityKeys]) -> VerifiedDevice:
    """The device, if the certificate stands for it and its user under one of the identities.

    Raises Refused(certificate) for every fault. What holds is remembered in this process by all its inputs, so that a
    certificate costs its three signatures once.
    """
    try:
        members = form.an_object(raw)
        h, sig, pop = (form.text(members.get(name)) for name in ("h", "sig", "pop"))
    except Refused as refusal:
        raise Refused(Reason.CERTIFICATE) from refusal
    name = sha256(pae(h, sig, pop, user, dev, *(part for keys in identities for part in (keys.ed, keys.ml))))
    known = _memory.get(name)
    if known is not None:
        return known
    device = _verify(h, sig, pop, (user, dev), identities)
    with _memory_lock:
        _memory[name] = device
        if len(_memory) > _MEMORY_LIMIT:
            _memory.popitem(last=False)
    return device


def forget_verified() -> None:
    """Empty the memory of verified certificates (tests)."""
    with _memory_lock:
        _memory.clear()


def _verify(h: str, sig: str, pop: str, claimed: tuple[str, str], identities: Sequence[IdentityKeys]) -> VerifiedDevice:
    try:
        header = unb64(h)
        _, it = form.read_header(header, FORMS)
        device = VerifiedDevice(it["dev"], it["user"], it["ed"], it.get("ts"))
        certificate = _Certificate(header, sig, unb64(pop, ed25519.SIGNATURE_BYTES), device, claimed, identities)
    except Refused as refusal:
        raise Refused(Reason.CERTIFICATE) from refusal
    require(CHECKS, certificate)
    return device


@dataclass(frozen=True, slots=True)
class Revocation:
    """A user takes a device back. `ts` is Unix milliseconds, as claimed."""

    user: str
    dev: str
    ts: int


@dataclass(frozen=True, slots=True)
class _Revoking:
    h: bytes
    sig: object
    said: Revocation
    claimed: tuple[str, str]
    identities: Sequence[IdentityKeys]


REVOCATION_CHECKS: tuple[Check[_Revoking], ...] = (
    Check("revocation: user", Reason.REVOCATION, lambda it: it.said.user == it.claimed[0]),
    Check("revocation: device", Reason.REVOCATION, lambda it: it.said.dev == it.claimed[1]),
    Check(
        "revocation: signature",
        Reason.REVOCATION,
        lambda it: any(hybrid.verify(keys, it.sig, pae("devrev", it.h)) for keys in it.identities),
    ),
)


def verify_revocation(raw: Mapping[str, Any], user: str, dev: str, identities: Sequence[IdentityKeys]) -> Revocation:
    """The revocation of this device of this user. Raises Refused(revocation) for every fault."""
    try:
        members = form.an_object(raw)
        h = unb64(members.get("h"))
        _, it = form.read_header(h, REVOCATION_FORMS)
    except Refused as refusal:
        raise Refused(Reason.REVOCATION) from refusal
    said = Revocation(it["user"], it["dev"], it["ts"])
    require(REVOCATION_CHECKS, _Revoking(h, members.get("sig"), said, (user, dev), identities))
    return said


SESSION_CHALLENGE_BYTES = range(16, 65)


def session_bytes(dev: str, challenge: bytes) -> bytes:
    """What a device signs to bind a session to itself (docs/protocol.md section 2)."""
    return pae("dev-session", dev, challenge)


def verify_session(device: VerifiedDevice, challenge: bytes, signature: object) -> None:
    """Raises Refused(form) for a challenge or signature of wrong length, Refused(signature) if it does not hold."""
    if len(challenge) not in SESSION_CHALLENGE_BYTES:
        raise Refused(Reason.FORM)
    if not ed25519.verify(device.ed, unb64(signature, ed25519.SIGNATURE_BYTES), session_bytes(device.dev, challenge)):
        raise Refused(Reason.SIGNATURE)
