"""Users' entries, a signed chain per user that clients pin (docs/protocol.md section 3); what verifiers ask of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from portal.e2ee import form, hpke, hybrid
from portal.e2ee.checks import Check, require
from portal.e2ee.encoding import HASH_BYTES, b64, key_id, pae, sha256, unb64
from portal.e2ee.form import Form, refuse
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.keys import SEALED_SEED_BYTES
from portal.e2ee.reasons import Reason, Refused


class EntryRole(StrEnum):
    """What stands behind an id. Teams have no entry of their own; they are looked up in their records."""

    PERSON = "person"
    SERVICE = "service"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Entry:
    """An id's key of one generation; for persons and services also their identity. `n` counts entries from 1.

    `ahead` is the identity of an entry that somebody else made for a person: it signs the next entry and nothing
    else, so it stands apart from `identity`, which is None then.
    """

    id: str
    role: EntryRole
    gen: int
    kem: bytes
    n: int = 0
    identity: IdentityKeys | None = None
    prev: bytes = b""
    reset: bool = False
    h: bytes = b""
    ahead: IdentityKeys | None = None

    @property
    def kid(self) -> bytes:
        """Names the encryption key."""
        return key_id(self.kem)


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """An entry as it travels. `prevsig` is by the identity before; `prevseed` hides the encryption seed before."""

    entry: Entry
    sig: str
    prevsig: str | None = None
    prevseed: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        out = {"h": b64(self.entry.h), "sig": self.sig}
        if self.prevsig is not None:
            out["prevsig"] = self.prevsig
        if self.prevseed is not None:
            out["prevseed"] = b64(self.prevseed)
        return out


@dataclass(frozen=True, slots=True)
class Pin:
    """What a client keeps of a chain: a place (n of a user, generation of a team) and the hash of the header there."""

    id: str
    place: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes an epoch, as far as that epoch shows it."""

    user: str
    is_patient: bool
    speaks_for_team: bool


class Directory(Protocol):
    """What thread verifiers ask. Entries, team records and revocations are verified; certificates are not yet."""

    def user(self, id: str, gen: int | None = None) -> Entry | None:
        """The entry of an id in a generation, a team's too; without generation the newest."""

    def entries(self, user: str) -> Sequence[Entry]:
        """The entries under which a user's certificates may stand, oldest first. On append the server gives one."""

    def device(self, dev: str) -> Mapping[str, Any] | None:
        """The certificate that is shown for a device, as it travels."""

    def speaks_for(self, user: str, team: str, gen: int) -> bool:
        """Whether a user is listed in the team's record of that generation."""

    def signers(self, user: str, team: str, gen: int) -> Sequence[IdentityKeys]:
        """The identities by which a user's devices speak for the team: the one listed in that record, and its heirs."""

    def vouches(self, user: str, team: str, gen: int) -> bool:
        """Whether a user listed there may say who a person is that started again: a pharmacist, or the privacy team."""

    def started_again(self, id: str, after: int, upto: int) -> bool:
        """Whether a person's chain has a reset among the generations after one, up to and with another."""

    def revocation(self, dev: str, maker: Maker) -> bool:
        """Whether a verified revocation of the device is known that this maker of an epoch may carry."""


RECOVERY = "_recovery"
"""How the id of an organisation's recovery ends: `<pharmacy id>_recovery`."""

FORMS: dict[str, Form] = {
    "user": Form(
        {
            "id": form.identifier,
            "role": form.one_of(EntryRole.PERSON, EntryRole.SERVICE),
            "ed": form.octets(32),
            "ml": form.octets(hybrid.ML_KEY_BYTES),
            "gen": form.positive,
            "kem": form.octets(hpke.PUBLIC_BYTES),
            "n": form.positive,
            "prev": form.octets_or_none(HASH_BYTES),
            "reset": form.exactly_true,
            "ahead": form.exactly_true,
        },
        optional=frozenset({"reset", "ahead"}),
    )
}


def read_entry(raw: Any) -> SignedEntry:
    """Read a transport object. Raises Refused with form, version or type."""
    members = form.an_object(raw)
    h, sig = unb64(members.get("h")), form.text(members.get("sig"))
    _, it = form.read_header(h, FORMS)
    keys, ahead = IdentityKeys(it["ed"], it["ml"]), "ahead" in it
    entry = Entry(
        id=it["id"],
        role=EntryRole(it["role"]),
        gen=it["gen"],
        kem=it["kem"],
        n=it["n"],
        identity=None if ahead else keys,
        prev=it["prev"],
        reset="reset" in it,
        h=h,
        ahead=keys if ahead else None,
    )
    prevsig = members.get("prevsig")
    prevseed = members.get("prevseed")
    _one_way_to_continue(entry, prevsig)
    _ahead_is_a_beginning(entry)
    return SignedEntry(
        entry,
        sig,
        prevsig=None if prevsig is None else form.text(prevsig),
        prevseed=None if prevseed is None else unb64(prevseed, SEALED_SEED_BYTES),
    )


def _one_way_to_continue(entry: Entry, prevsig: object) -> None:
    ways = (prevsig is not None) + entry.reset
    if ways != (0 if entry.n == 1 else 1):
        raise refuse()


def _ahead_is_a_beginning(entry: Entry) -> None:
    if entry.ahead is not None and (entry.n != 1 or entry.role is not EntryRole.PERSON):
        raise refuse()


@dataclass(frozen=True, slots=True)
class _Link:
    """An entry and the one before it in the chain of `id`."""

    signed: SignedEntry
    before: Entry | None
    id: str

    @property
    def entry(self) -> Entry:
        return self.signed.entry


def _follows(link: _Link) -> bool:
    return link.entry.prev == (sha256(link.before.h) if link.before else b"")


def _same_role(link: _Link) -> bool:
    return link.before is None or link.entry.role is link.before.role


def _recovery_is_a_service(link: _Link) -> bool:
    return link.entry.role is EntryRole.SERVICE or not link.entry.id.endswith(RECOVERY)


def _generation(link: _Link) -> bool:
    entry, before = link.entry, link.before
    if before is None:
        return entry.gen == 1
    if entry.gen == before.gen:
        return not entry.reset and entry.kem == before.kem
    return entry.gen == before.gen + 1 and entry.kem != before.kem


def _own_keys_after_ahead(link: _Link) -> bool:
    entry, before = link.entry, link.before
    if before is None or before.ahead is None:
        return True
    own, given = entry.identity, before.ahead
    return own is not None and own.ed != given.ed and own.ml != given.ml and entry.gen != before.gen


def _own_signature(link: _Link) -> bool:
    return _signed_by(link.entry, link.signed.sig, link.entry.h)


def _previous_signature(link: _Link) -> bool:
    return link.before is None or link.entry.reset or _signed_by(link.before, link.signed.prevsig, link.entry.h)


def _signed_by(entry: Entry, signature: str | None, h: bytes) -> bool:
    keys = entry.identity or entry.ahead
    return keys is not None and hybrid.verify(keys, signature, pae("user", h))


CHAIN_CHECKS: tuple[Check[_Link], ...] = (
    Check("entry: number", Reason.SEQUENCE, lambda it: it.entry.n == (it.before.n + 1 if it.before else 1)),
    Check("entry: chain", Reason.CHAIN, _follows),
    Check("entry: id", Reason.CHAIN, lambda it: it.entry.id == it.id),
    Check("entry: same role", Reason.CHAIN, _same_role),
    Check("entry: a recovery is a service", Reason.CHAIN, _recovery_is_a_service),
    Check("entry: generation", Reason.MEMBER_KEY, _generation),
    Check("entry: own keys after those made ahead", Reason.MEMBER_KEY, _own_keys_after_ahead),
    Check("entry: own signature", Reason.CERTIFICATE, _own_signature),
    Check("entry: signature of the one before", Reason.CERTIFICATE, _previous_signature),
)


def verify_chain(raws: Sequence[Any], pin: Pin | None = None, id: str | None = None) -> list[SignedEntry]:
    """The verified entries of one user (of `id`, if it is given), oldest first; none if there are none.

    Raises Refused, whose `seq` is the number of the entry at fault. An entry with `reset` above the pin is no refusal:
    `resets_since` tells of it.
    """
    chain: list[SignedEntry] = []
    wanted = id
    for place, raw in enumerate(raws, start=1):
        try:
            signed = read_entry(raw)
            wanted = signed.entry.id if wanted is None else wanted
            require(CHAIN_CHECKS, _Link(signed, chain[-1].entry if chain else None, wanted))
        except Refused as refusal:
            raise Refused(refusal.reason, place) from refusal
        chain.append(signed)
    require_pin([signed.entry.h for signed in chain], pin)
    return chain


PIN_CHECKS: tuple[Check[tuple[Sequence[bytes], Pin]], ...] = (
    Check("pin: not before it", Reason.ROLLBACK, lambda it: len(it[0]) >= it[1].place),
    Check("pin: the same there", Reason.FORK, lambda it: sha256(it[0][it[1].place - 1]) == it[1].hash),
)


def require_pin(headers: Sequence[bytes], pin: Pin | None) -> None:
    """Refuse a chain that is shorter than what was pinned (rollback) or differs from it (fork)."""
    if pin is not None:
        require(PIN_CHECKS, (headers, pin))


def resets_since(chain: Sequence[SignedEntry], pin: Pin | None) -> list[int]:
    """The numbers of entries above the pin that start again without the old identity: a person has to confirm them."""
    seen = pin.place if pin else 0
    return [signed.entry.n for signed in chain if signed.entry.reset and signed.entry.n > seen]


def pin_of(entry: Entry) -> Pin:
    """What a client keeps of a chain that ends with this entry."""
    return Pin(entry.id, entry.n, sha256(entry.h))


def heirs(entries: Sequence[Entry], who: bytes) -> list[IdentityKeys]:
    """The identities that sign where the entry with the hash `who` is listed: its own, and those it has signed on to.

    Whoever started again is not among them, nor is a chain that does not have that entry: none, then.
    """
    places = [place for place, entry in enumerate(entries) if sha256(entry.h) == who]
    if not places:
        return []
    first, *later = entries[places[0] :]
    until = next((place for place, entry in enumerate(later) if entry.reset), len(later))
    found = [entry.identity for entry in (first, *later[:until])]
    return list(dict.fromkeys(identity for identity in found if identity is not None))


def still(entries: Sequence[Entry], who: bytes) -> bool:
    """Whether the newest keys of a chain are those of its entry with the hash `who`, or follow them."""
    places = [place for place, entry in enumerate(entries) if sha256(entry.h) == who]
    return bool(places) and not any(entry.reset for entry in entries[places[0] + 1 :])


def who(entries: Sequence[Entry]) -> bytes:
    """How a team's record names somebody beside the id: the hash of the identity entry."""
    return sha256(identity_entry(entries).h)


def identity_entry(entries: Sequence[Entry]) -> Entry:
    """The entry that introduced the present identity: what a safety number is made of (docs/protocol.md section 9)."""
    first = entries[-1]
    for entry in reversed(entries):
        if entry.identity != first.identity:
            break
        first = entry
    return first
