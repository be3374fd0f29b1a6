"""Team records: who is in a team in each generation, and the team's key (docs/protocol.md section 3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.e2ee import form, hpke, hybrid
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import RECOVERY, Entry, EntryRole, Pin, require_pin
from portal.e2ee.encoding import HASH_BYTES, b64, pae, sha256, unb64, wraps_hash
from portal.e2ee.form import Form, refuse
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.keys import SEALED_SEED_BYTES
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import WRAP_BYTES, Role


@dataclass(frozen=True, slots=True)
class TeamMember:
    """Who is in a team: a `pharmacist`, other `staff`, or the organisation's recovery, a `service`.

    `who` is the hash of the identity entry: what such a member signs later is signed by that identity or its heirs.
    """

    id: str
    role: Role
    who: bytes


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """One generation of a team. `prev` hides the seed before, `wraps` the seed for each member, `by` signed it."""

    id: str
    gen: int
    kem: bytes
    members: tuple[TeamMember, ...]
    prevrec: bytes
    h: bytes
    wraps: Mapping[str, bytes]
    prev: bytes
    sig: str
    by: str

    @property
    def entry(self) -> Entry:
        """The team as directories look it up."""
        return Entry(self.id, EntryRole.TEAM, self.gen, self.kem, h=self.h)

    @property
    def signed_bytes(self) -> bytes:
        """What the member signs."""
        return signed_bytes(self.h, self.wraps, self.prev)

    def lists(self, user: str) -> bool:
        """Whether a user is a member in this generation, the recovery too."""
        return any(member.id == user for member in self.members)

    def speaks(self, user: str) -> bool:
        """Whether a user's devices speak for the team in this generation: those of its people."""
        return any(member.id == user and member.role is not Role.SERVICE for member in self.members)

    def who(self, user: str) -> bytes | None:
        """The identity entry by which a user is listed in this generation; None for who is not."""
        return next((member.who for member in self.members if member.id == user), None)

    def vouches(self, user: str) -> bool:
        """Whether a member may say who a person is that started again: pharmacists may, and the privacy team."""
        privacy = self.id.endswith(PRIVACY_TEAM)
        return any(
            member.id == user and (member.role is Role.PHARMACIST or (privacy and member.role is Role.STAFF))
            for member in self.members
        )

    def to_json(self) -> dict[str, Any]:
        """The transport object."""
        wraps = {name: b64(wrap) for name, wrap in self.wraps.items()}
        return {"h": b64(self.h), "w": wraps, "prev": b64(self.prev), "sig": self.sig, "by": self.by}


def signed_bytes(h: bytes, wraps: Mapping[str, bytes], prev: bytes) -> bytes:
    """What the maker of a team record signs."""
    return pae("team", h, wraps_hash(wraps), prev)


# How the ids of the teams end that answer for privacy and have no pharmacist (docs/protocol.md section 3).
PRIVACY_TEAM = "_privacy"
MEMBER = Form(
    {
        "id": form.identifier,
        "role": form.one_of(Role.PHARMACIST, Role.STAFF, Role.SERVICE),
        "who": form.octets(HASH_BYTES),
    }
)
FORMS: dict[str, Form] = {
    "team": Form(
        {
            "id": form.identifier,
            "gen": form.positive,
            "kem": form.octets(hpke.PUBLIC_BYTES),
            "members": form.a_list(
                form.a_record(MEMBER, lambda **it: TeamMember(it["id"], Role(it["role"]), it["who"]))
            ),
            "prevrec": form.octets_or_none(HASH_BYTES),
        }
    )
}


def read_team(raw: Any) -> TeamRecord:
    """Read a transport object. Raises Refused with form, version or type."""
    members = form.an_object(raw)
    h, sig = unb64(members.get("h")), form.text(members.get("sig"))
    _, it = form.read_header(h, FORMS)
    wraps = form.wraps(members.get("w"))
    prev = unb64(members.get("prev"))
    _wrap_lengths(wraps)
    _prev_length(it["gen"], prev)
    _somebody(it["members"])
    return TeamRecord(**it, h=h, wraps=wraps, prev=prev, sig=sig, by=form.identifier(members.get("by")))


def _wrap_lengths(wraps: Mapping[str, bytes]) -> None:
    if any(len(wrap) != WRAP_BYTES for wrap in wraps.values()):
        raise refuse()


def _prev_length(gen: int, prev: bytes) -> None:
    if len(prev) != (0 if gen == 1 else SEALED_SEED_BYTES):
        raise refuse()


def _somebody(members: tuple[TeamMember, ...]) -> None:
    if all(member.role is Role.SERVICE for member in members):
        raise refuse()


IdentitiesOf = Callable[[str, bytes], Sequence[IdentityKeys]]
"""The identities of a user's verified chain that sign for the identity entry with this hash (`directory.heirs`)."""


@dataclass(frozen=True, slots=True)
class _Generation:
    record: TeamRecord
    earlier: Sequence[TeamRecord]
    identities_of: IdentitiesOf
    id: str

    @property
    def before(self) -> TeamRecord | None:
        return self.earlier[-1] if self.earlier else None

    @property
    def signers(self) -> Sequence[IdentityKeys]:
        """Who may have signed: the maker, as the generation before lists it, the first generation itself."""
        named = (self.before or self.record).who(self.record.by)
        return self.identities_of(self.record.by, named) if named is not None else []


def _follows(it: _Generation) -> bool:
    return it.record.prevrec == (sha256(it.before.h) if it.before else b"")


def _nobody_twice(it: _Generation) -> bool:
    return len({member.id for member in it.record.members}) == len(it.record.members)


def recovery_of(team: str) -> str:
    """The id of the recovery that may be in a team: that of its pharmacy."""
    return team.rpartition("_")[0] + RECOVERY


def _recovery_in_its_place(it: _Generation) -> bool:
    recovery = recovery_of(it.record.id)
    return all((member.role is Role.SERVICE) == (member.id == recovery) for member in it.record.members)


def _by_a_member(it: _Generation) -> bool:
    return it.before.lists(it.record.by) if it.before else it.record.speaks(it.record.by)


def _signed(it: _Generation) -> bool:
    record = it.record
    return any(hybrid.verify(keys, record.sig, record.signed_bytes) for keys in it.signers)


CHECKS: tuple[Check[_Generation], ...] = (
    Check("team: generation", Reason.SEQUENCE, lambda it: it.record.gen == len(it.earlier) + 1),
    Check("team: chain", Reason.CHAIN, _follows),
    Check("team: id", Reason.CHAIN, lambda it: it.record.id == it.id),
    Check("team: nobody twice", Reason.DUPLICATE, _nobody_twice),
    Check("team: the recovery in its place", Reason.MEMBERSHIP, _recovery_in_its_place),
    Check("team: a new key", Reason.MEMBER_KEY, lambda it: all(it.record.kem != old.kem for old in it.earlier)),
    Check("team: by a member", Reason.CREATOR, _by_a_member),
    Check("team: by somebody known", Reason.UNKNOWN_USER, lambda it: len(it.signers) > 0),
    Check(
        "team: wraps of the members",
        Reason.WRAP_LIST,
        lambda it: it.record.wraps.keys() == {member.id for member in it.record.members},
    ),
    Check("team: signature", Reason.CERTIFICATE, _signed),
)


def verify_team(
    raws: Sequence[Any], identities_of: IdentitiesOf, pin: Pin | None = None, id: str | None = None
) -> list[TeamRecord]:
    """The verified generations of one team (of `id`, if it is given), oldest first.

    Raises Refused, whose `seq` is the place of the generation at fault.
    """
    records: list[TeamRecord] = []
    wanted = id
    for place, raw in enumerate(raws, start=1):
        try:
            record = read_team(raw)
            wanted = record.id if wanted is None else wanted
            require(CHECKS, _Generation(record, records, identities_of, wanted))
        except Refused as refusal:
            raise Refused(refusal.reason, place) from refusal
        records.append(record)
    require_pin([record.h for record in records], pin)
    return records


def verify_next(raw: Any, earlier: Sequence[TeamRecord], identities_of: IdentitiesOf) -> TeamRecord:
    """One more generation after verified ones: what the server asks on append. Raises Refused."""
    record = read_team(raw)
    require(CHECKS, _Generation(record, earlier, identities_of, earlier[0].id if earlier else record.id))
    return record


def pin_of(record: TeamRecord) -> Pin:
    """What a client keeps of a team that has come to this generation."""
    return Pin(record.id, record.gen, sha256(record.h))
