"""Thread records and receipts as values (docs/protocol.md section 4). Reading checks the form and verifies nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from portal.e2ee import ed25519, form, hpke
from portal.e2ee.encoding import HASH_BYTES, b64, pae, sha256, unb64
from portal.e2ee.form import Form, refuse

SUITE = "647a.11.2"
SALT_BYTES = 16
KID_BYTES = 16
SECRET_BYTES = 32
WRAP_BYTES = hpke.OVERHEAD_BYTES + SECRET_BYTES
NOTHING_HASH = sha256(b"")


class Role(StrEnum):
    """What a member is in a thread."""

    PATIENT = "patient"
    PROXY = "proxy"
    TEAM = "team"
    PHARMACIST = "pharmacist"
    STAFF = "staff"
    SERVICE = "service"


class ReceiptKind(StrEnum):
    """What a receipt says."""

    DELIVERED = "delivered"
    READ = "read"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Seat:
    """A member of an epoch: who, as what, and which key its wrap is sealed to."""

    id: str
    role: Role
    gen: int
    kid: bytes


@dataclass(frozen=True, slots=True)
class Addressee:
    """To whom a history record is sealed."""

    id: str
    gen: int
    kid: bytes


@dataclass(frozen=True, slots=True)
class Label:
    """What the server may know of a thread's subject."""

    topic: str


@dataclass(frozen=True, slots=True)
class AttachmentName:
    """A stored file that a message names: `size` bytes as stored, and their hash."""

    id: str
    size: int
    cth: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What all records of a thread have. `ts` is Unix milliseconds, as the sender claims."""

    thread: str
    epoch: int
    seq: int
    prev: bytes
    user: str
    dev: str
    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochHeader(Header):
    """A new epoch: its members and the commitment to its secret."""

    suite: str
    commit: bytes
    members: tuple[Seat, ...]
    revoked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHeader(Header):
    """A message."""

    salt: bytes
    frank: bytes
    label: Label | None = None
    att: tuple[AttachmentName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHeader(Header):
    """The secrets of the epochs `first` … `upto`, handed to one member."""

    to: Addressee
    first: int
    upto: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactHeader(Header):
    """The author takes the message `target` back."""

    target: int
    reason: str


H_co = TypeVar("H_co", bound=Header, covariant=True)


@dataclass(frozen=True, slots=True)
class Record(Generic[H_co]):
    """A record as sent: the exact bytes of its header, what it signs of its body, and the body where it is there."""

    kind: str
    header: H_co
    h: bytes
    sig: bytes
    body_hash: bytes
    ct: bytes | None = None
    wraps: Mapping[str, bytes] | None = None

    @property
    def signed_bytes(self) -> bytes:
        """What the device signs."""
        return pae(self.kind, self.h, self.body_hash)

    @property
    def head(self) -> bytes:
        """The `prev` of the record after this one."""
        return sha256(pae("chain", self.h, self.body_hash, self.sig))

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        out: dict[str, Any] = {"h": b64(self.h), "sig": b64(self.sig)}
        if self.kind == "msg":
            out["cth"] = b64(self.body_hash)
            if self.ct is not None:
                out["ct"] = b64(self.ct)
        if self.kind in ("epoch", "history"):
            out["wh"] = b64(self.body_hash)
            if self.wraps is not None:
                out["w"] = {name: b64(wrap) for name, wrap in self.wraps.items()}
        return out


AnyRecord = Record[Header]

_hash = form.octets(HASH_BYTES)
_COMMON: dict[str, form.Reader] = {
    "thread": form.long_id,
    "epoch": form.number,
    "seq": form.number,
    "prev": _hash,
    "user": form.identifier,
    "dev": form.identifier,
    "ts": form.number,
}
SEAT = Form(
    {"id": form.identifier, "role": form.one_of(*Role), "gen": form.number, "kid": form.octets(KID_BYTES)},
)
ADDRESSEE = Form({"id": form.identifier, "gen": form.number, "kid": form.octets(KID_BYTES)})
LABEL = Form({"topic": form.text})
ATTACHMENT = Form({"id": form.identifier, "size": form.number, "cth": _hash})

FORMS: dict[str, Form] = {
    "epoch": Form(
        {
            **_COMMON,
            "suite": form.text,
            "commit": _hash,
            "members": form.a_list(
                form.a_record(SEAT, lambda **it: Seat(it["id"], Role(it["role"]), it["gen"], it["kid"]))
            ),
            "revoked": form.a_list(form.identifier),
        },
        optional=frozenset({"revoked"}),
    ),
    "msg": Form(
        {
            **_COMMON,
            "salt": form.octets(SALT_BYTES),
            "frank": _hash,
            "label": form.a_record(LABEL, Label),
            "att": form.a_list(form.a_record(ATTACHMENT, AttachmentName)),
        },
        optional=frozenset({"label", "att"}),
    ),
    "history": Form(
        {**_COMMON, "to": form.a_record(ADDRESSEE, Addressee), "from": form.number, "upto": form.number},
    ),
    "redact": Form({**_COMMON, "target": form.number, "reason": form.text}),
}
RECEIPT_FORMS: dict[str, Form] = {
    "receipt": Form(
        {
            "thread": form.long_id,
            "seq": form.positive,
            "head": _hash,
            "kind": form.one_of(*ReceiptKind),
            "dev": form.identifier,
            "ts": form.number,
        }
    )
}
_HEADERS: dict[str, Callable[..., Header]] = {
    "epoch": EpochHeader,
    "msg": MessageHeader,
    "history": HistoryHeader,
    "redact": RedactHeader,
}


def read_record(raw: Any) -> AnyRecord:
    """Read a transport object. Raises Refused with form, version or type."""
    members = form.an_object(raw)
    h, sig = unb64(members.get("h")), unb64(members.get("sig"))
    kind, header = read_record_header(h)
    _signature_length(sig)
    if kind == "redact":
        return Record(kind, header, h, sig, NOTHING_HASH)
    if kind == "msg":
        ct = members.get("ct")
        cth = unb64(members.get("cth"), HASH_BYTES)
        return Record(kind, header, h, sig, cth, ct=None if ct is None else unb64(ct))
    wraps = None if members.get("w") is None else form.wraps(members["w"])
    _wrap_lengths(header, wraps)
    return Record(kind, header, h, sig, unb64(members.get("wh"), HASH_BYTES), wraps=wraps)


def read_record_header(h: bytes) -> tuple[str, Header]:
    """The type and the header in these bytes. Raises Refused with form, version or type."""
    kind, members = form.read_header(h, FORMS)
    if "from" in members:
        members["first"] = members.pop("from")
    return kind, _HEADERS[kind](**members)


def _signature_length(sig: bytes) -> None:
    if len(sig) != ed25519.SIGNATURE_BYTES:
        raise refuse()


def _wrap_lengths(header: Header, wraps: Mapping[str, bytes] | None) -> None:
    secrets = header.upto - header.first + 1 if isinstance(header, HistoryHeader) else 1
    if wraps is None or secrets < 1:  # A range that is none is refused by the rules of history, under its own name.
        return
    if any(len(wrap) != hpke.OVERHEAD_BYTES + SECRET_BYTES * secrets for wrap in wraps.values()):
        raise refuse()


def genesis(thread: str) -> bytes:
    """The head of a thread without records."""
    return sha256(pae("genesis", thread))


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed statement that a thread was delivered, read, or could not be read, up to `seq`."""

    thread: str
    seq: int
    head: bytes
    kind: ReceiptKind
    dev: str
    ts: int
    h: bytes
    sig: bytes

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        return {"h": b64(self.h), "sig": b64(self.sig)}


def read_receipt(raw: Any) -> Receipt:
    """Read a transport object. Raises Refused with form, version or type."""
    members = form.an_object(raw)
    h, sig = unb64(members.get("h")), unb64(members.get("sig"))
    _, header = form.read_header(h, RECEIPT_FORMS)
    _signature_length(sig)
    header["kind"] = ReceiptKind(header["kind"])
    return Receipt(**header, h=h, sig=sig)
