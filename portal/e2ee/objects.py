"""What lies beside threads (docs/protocol.md section 8): sealed objects, root boxes, inbound items. Opens nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from portal.core import clock, ids
from portal.e2ee import ed25519, form, hpke
from portal.e2ee.certificates import VerifiedDevice, claimed_user, verify_certificate
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import Directory, Entry
from portal.e2ee.encoding import b64, header_bytes, pae, sha256, unb64
from portal.e2ee.form import Form
from portal.e2ee.padding import pad
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import KID_BYTES, SALT_BYTES
from portal.e2ee.verify import speaks_for

# Sealed objects.


@dataclass(frozen=True, slots=True)
class SealedObject:
    """Something of one owner, a user or a team, that only the owner reads. `rev` counts from 1."""

    owner: str
    kind: str
    id: str
    rev: int
    gen: int
    salt: bytes
    dev: str
    ts: int
    h: bytes
    ct: bytes
    sig: bytes

    @property
    def signed_bytes(self) -> bytes:
        """What the device signs."""
        return pae("obj", self.h, sha256(self.ct))

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        return {"h": b64(self.h), "ct": b64(self.ct), "sig": b64(self.sig)}


@dataclass(frozen=True, slots=True)
class ObjectName:
    """Which object is asked for."""

    owner: str
    kind: str
    id: str


OBJECT_FORMS: dict[str, Form] = {
    "obj": Form(
        {
            "owner": form.identifier,
            "kind": form.identifier,
            "id": form.identifier,
            "rev": form.positive,
            "gen": form.positive,
            "salt": form.octets(SALT_BYTES),
            "dev": form.identifier,
            "ts": form.number,
        }
    )
}


def read_object(raw: Any) -> SealedObject:
    """Read a transport object. Raises Refused with form, version or type."""
    members = form.an_object(raw)
    h, sig = unb64(members.get("h")), unb64(members.get("sig"), ed25519.SIGNATURE_BYTES)
    _, it = form.read_header(h, OBJECT_FORMS)
    return SealedObject(**it, h=h, ct=unb64(members.get("ct")), sig=sig)


@dataclass(slots=True)
class _Storing:
    sealed: SealedObject
    asked: ObjectName
    least_rev: int
    directory: Directory
    user: str | None
    """Whose the device should be; None if its certificate cannot be read."""
    device: VerifiedDevice | None = None


def _certified(it: _Storing) -> bool:
    if it.user is None:
        return False
    # An identity that was replaced before this generation of the owner's own key no longer counts.
    least = it.sealed.gen if it.user == it.sealed.owner else 0
    entries = [entry for entry in it.directory.entries(it.user) if entry.gen >= least]
    identities = [entry.identity for entry in entries if entry.identity]
    try:
        it.device = verify_certificate(it.directory.device(it.sealed.dev), it.user, it.sealed.dev, identities)
    except Refused:
        return False
    return True


def _owned(it: _Storing) -> bool:
    user = it.user or ""
    return user == it.sealed.owner or speaks_for(user, it.sealed.dev, it.sealed.owner, it.sealed.gen, it.directory)


def _signed(it: _Storing) -> bool:
    return it.device is not None and ed25519.verify(it.device.ed, it.sealed.sig, it.sealed.signed_bytes)


OBJECT_CHECKS: tuple[Check[_Storing], ...] = (
    Check("object: owner", Reason.OBJECT, lambda it: it.sealed.owner == it.asked.owner),
    Check("object: kind", Reason.OBJECT, lambda it: it.sealed.kind == it.asked.kind),
    Check("object: id", Reason.OBJECT, lambda it: it.sealed.id == it.asked.id),
    Check("object: revision", Reason.ROLLBACK, lambda it: it.sealed.rev >= it.least_rev),
    Check("object: device is known", Reason.UNKNOWN_DEVICE, lambda it: it.directory.device(it.sealed.dev) is not None),
    Check("object: certificate can be read", Reason.CERTIFICATE, lambda it: it.user is not None),
    Check("object: user is known", Reason.UNKNOWN_USER, lambda it: it.directory.user(it.user or "") is not None),
    Check("object: certificate", Reason.CERTIFICATE, _certified),
    Check("object: by its owner", Reason.NOT_A_MEMBER, _owned),
    Check("object: signature", Reason.SIGNATURE, _signed),
)


def verify_object(raw: Any, asked: ObjectName, user: str | None, least_rev: int, directory: Directory) -> SealedObject:
    """The object that was asked for, written by its owner, not older than `least_rev`. Raises Refused.

    With `user` the device must be that user's, as the server asks on append; readers take whom its certificate names.
    """
    sealed = read_object(raw)
    user = claimed_user(directory.device(sealed.dev)) if user is None else user
    require(OBJECT_CHECKS, _Storing(sealed, asked, least_rev, directory, user))
    return sealed


# Root boxes.


class RootKind(StrEnum):
    """What lies under a user's root key."""

    UIK = "uik"
    PUK = "puk"


@dataclass(frozen=True, slots=True)
class RootBox:
    """Seeds under the URK: of the identity that entry `n` introduced, or of encryption key generation `n`."""

    user: str
    kind: RootKind
    n: int
    salt: bytes
    ts: int
    h: bytes
    ct: bytes

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        return {"h": b64(self.h), "ct": b64(self.ct)}


ROOT_FORMS: dict[str, Form] = {
    "root": Form(
        {
            "user": form.identifier,
            "kind": form.one_of(*RootKind),
            "n": form.positive,
            "salt": form.octets(SALT_BYTES),
            "ts": form.number,
        }
    )
}

_Asked = tuple[RootBox, str, RootKind, int]
ROOT_CHECKS: tuple[Check[_Asked], ...] = (
    Check("root box: user", Reason.OBJECT, lambda it: it[0].user == it[1]),
    Check("root box: kind", Reason.OBJECT, lambda it: it[0].kind is it[2]),
    Check("root box: number", Reason.OBJECT, lambda it: it[0].n == it[3]),
)


def read_root_box(raw: Any, user: str, kind: RootKind, n: int) -> RootBox:
    """The box that was asked for. Raises Refused with form, version, type or object."""
    members = form.an_object(raw)
    h = unb64(members.get("h"))
    _, it = form.read_header(h, ROOT_FORMS)
    it["kind"] = RootKind(it["kind"])
    box = RootBox(**it, h=h, ct=unb64(members.get("ct")))
    require(ROOT_CHECKS, (box, user, kind, n))
    return box


# Inbound items.


class Via(StrEnum):
    """How something arrived that was not end-to-end encrypted."""

    MAIL = "mail"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class InboundItem:
    """A mail or web form that the server sealed to a team on arrival. Nobody signed it."""

    team: str
    gen: int
    kid: bytes
    id: str
    ts: int
    via: Via
    h: bytes
    ct: bytes

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        return {"h": b64(self.h), "ct": b64(self.ct)}


INBOUND_FORMS: dict[str, Form] = {
    "inbound": Form(
        {
            "team": form.identifier,
            "gen": form.positive,
            "kid": form.octets(KID_BYTES),
            "id": form.long_id,
            "ts": form.number,
            "via": form.one_of(*Via),
        }
    )
}


def _team_key(it: tuple[InboundItem, str, str, Sequence[Entry]]) -> bool:
    item, _, _, generations = it
    return any(entry.gen == item.gen and entry.kid == item.kid for entry in generations)


INBOUND_CHECKS: tuple[Check[tuple[InboundItem, str, str, Sequence[Entry]]], ...] = (
    Check("inbound: team", Reason.OBJECT, lambda it: it[0].team == it[1]),
    Check("inbound: id", Reason.OBJECT, lambda it: it[0].id == it[2]),
    Check("inbound: key of the team", Reason.MEMBER_KEY, _team_key),
)


def read_inbound(raw: Any, team: str, id: str, generations: Sequence[Entry]) -> InboundItem:
    """The item that was asked for, sealed to one of the team's `generations`. Raises Refused."""
    members = form.an_object(raw)
    h = unb64(members.get("h"))
    _, it = form.read_header(h, INBOUND_FORMS)
    it["via"] = Via(it["via"])
    item = InboundItem(**it, h=h, ct=unb64(members.get("ct")))
    require(INBOUND_CHECKS, (item, team, id, generations))
    return item


def seal_inbound(team: Entry, content: bytes, via: Via) -> InboundItem:
    """Seal what arrived to the team's newest key; afterwards the server cannot read it."""
    id, ts = ids.random_id(), clock.now_ms()
    members = {"v": 1, "t": "inbound", "team": team.id, "gen": team.gen, "kid": b64(team.kid), "id": id, "ts": ts}
    h = header_bytes({**members, "via": via})
    ct = hpke.seal(team.kem, pae("inbound", h), pad(content))
    return InboundItem(team.id, team.gen, team.kid, id, ts, via, h, ct)
