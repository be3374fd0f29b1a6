"""Makes tests/vectors/rxe2ee/*.json: python -m tests.vectors.make_python_vectors

Every run gives the same bytes. Our own randomness comes from a fixed stream; what libraries draw themselves
(encapsulation, ML-DSA) is kept in library_randomness.json by the hash of the inputs, and drawn anew only for inputs it
does not know.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

from portal.core import clock, ids
from portal.e2ee import attachments, directory, franking, hpke, hybrid, objects, recovery, safety, seal
from portal.e2ee.directory import SignedEntry
from portal.e2ee.encoding import b64, header_bytes, pae, sha256, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.keys import object_key, previous_seed_key, root_box_key
from portal.e2ee.objects import RootKind, Via
from portal.e2ee.padding import pad
from portal.e2ee.records import AnyRecord, ReceiptKind, Role, genesis
from portal.e2ee.seal import Party, Writer
from portal.e2ee.teams import TeamMember, TeamRecord, signed_bytes
from portal.e2ee.verify import Head, ThreadState

FOLDER = Path(__file__).parent / "rxe2ee"
TAPE = Path(__file__).parent / "library_randomness.json"
NOON = 1_800_000_000_000
THREAD = "5bd1e1a7c0ffee5bd1e1a7c0ffee0001"
TEAM = "linden_pharmacists"

Case = dict[str, Any]


class Randomness:
    """A fixed stream for ourselves, and a tape of what libraries drew."""

    def __init__(self) -> None:
        self.known: dict[str, str] = json.loads(TAPE.read_text()) if TAPE.exists() else {}
        self.used: dict[str, str] = {}
        self._label, self._count = b"", 0
        self._seal, self._sign = hpke.seal, hybrid.sign

    def begin(self, label: str) -> None:
        """Start the stream of one file, so that files do not depend on each other."""
        self._label, self._count = label.encode(), 0

    def random_bytes(self, octets: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(b"rxe2ee vectors:%s:%d" % (self._label, self._count)).digest(octets)

    def random_id(self) -> str:
        return self.random_bytes(16).hex()

    def seal(self, public: bytes, info: bytes, plain: bytes) -> bytes:
        name = b64(sha256(pae("seal", public, info, plain)))
        return unb64(self._taped(name, lambda: b64(self._seal(public, info, plain))))

    def sign(self, ed_seed: bytes, ml_seed: bytes, message: bytes) -> str:
        name = b64(sha256(pae("sign", ed_seed, ml_seed, message)))
        return self._taped(name, lambda: self._sign(ed_seed, ml_seed, message))

    def _taped(self, name: str, make: Callable[[], str]) -> str:
        if name not in self.used:
            self.used[name] = self.known.get(name) or make()
        return self.used[name]


@contextlib.contextmanager
def fixed(randomness: Randomness) -> Iterator[None]:
    """Everything below draws from `randomness`, and the clock stands still."""
    with (
        mock.patch.object(ids, "random_bytes", randomness.random_bytes),
        mock.patch.object(ids, "random_id", randomness.random_id),
        mock.patch.object(hpke, "seal", randomness.seal),
        mock.patch.object(hybrid, "sign", randomness.sign),
        mock.patch.object(clock, "now_ms", return_value=NOON),
    ):
        yield


def ok(name: str, **members: Any) -> Case:
    return {"name": name, **members, "expect": "ok"}


def no(why: str, name: str, **members: Any) -> Case:
    return {"name": name, **members, "expect": "reject", "why": why}


def bent(text: str) -> str:
    """One character of a b64 text changed, in the middle."""
    at = len(text) // 2
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def key_text(id: str, key: EncryptionKey) -> dict[str, Any]:
    return {"id": id, "gen": key.gen, "seed": b64(key.seed)}


def changed(h: bytes, **members: Any) -> bytes:
    """A header with other members; None takes one away."""
    both = {**json.loads(h), **members}
    return header_bytes({name: value for name, value in both.items() if value is not None})


class World:
    """Alice the patient, Bob her pharmacist with a team, Carol of another pharmacy, Dave who must see nothing."""

    def __init__(self, label: str, *people: str) -> None:
        self.people = {name: Person.new(name, f"{name}_phone") for name in people}
        self.chains = {name: [seal.first_entry(person)] for name, person in self.people.items()}
        self.certificates = {
            person.device.dev: seal.certificate(person.identity, person.device, NOON) for person in self.people.values()
        }
        self.teams: dict[str, list[TeamRecord]] = {}
        self.team_keys: dict[str, list[EncryptionKey]] = {}
        self.revocations: list[dict[str, Any]] = []

    def found(self, team: str, founder: str, *members: str) -> None:
        record, key = seal.found_team(team, self.people[founder], [self.seat(name) for name in (founder, *members)])
        self.teams[team], self.team_keys[team] = [record], [key]

    def change(self, team: str, by: str, *members: str) -> None:
        before, old = self.teams[team][-1], self.team_keys[team][-1]
        record, key = seal.change_team(before, old, self.people[by], [self.seat(name) for name in members])
        self.teams[team].append(record)
        self.team_keys[team].append(key)

    def seat(self, name: str, role: Role = Role.PHARMACIST) -> tuple[TeamMember, directory.Entry]:
        return TeamMember(name, role), self.chains[name][-1].entry

    def party(self, name: str, role: Role, n: int | None = None) -> Party:
        if role is Role.TEAM:
            return Party(self.teams[name][-1].entry, role)
        chain = self.chains[name]
        return Party(chain[-1 if n is None else n - 1].entry, role)

    def device(self, name: str, dev: str) -> Device:
        """One more certified device."""
        device = Device.new(name, dev)
        self.certificates[dev] = seal.certificate(self.people[name].identity, device, NOON)
        return device

    def text(self) -> dict[str, Any]:
        return {
            "users": {name: [signed.to_json() for signed in chain] for name, chain in self.chains.items()},
            "teams": {name: [record.to_json() for record in records] for name, records in self.teams.items()},
            "devices": deepcopy(self.certificates),
            "revocations": deepcopy(self.revocations),
        }


def linden(label: str) -> World:
    world = World(label, "alice", "bob", "carol", "dave")
    world.found(TEAM, "bob")
    return world


def each_member_false(h: bytes, put: Callable[[bytes], Case], why: str = "form") -> list[Case]:
    """For each member of a header a case in which it is `false`, which nothing may be. Signatures come later."""
    kind = json.loads(h)["t"]
    names = [name for name in json.loads(h) if name not in ("v", "t")]
    return [no(why, f"{kind}: {name} is false", **put(changed(h, **{name: False}))) for name in names]


# Keys and signatures.


def hybrid_cases() -> tuple[Case, list[Case]]:
    identity, other, message = Identity.new(), Identity.new(), b"signed twice"
    keys = identity.keys
    good, foreign = identity.sign(message), other.sign(message)
    (ed, ml), (other_ed, other_ml) = good.split("."), foreign.split(".")
    plain_context = b64(_lattice_without_context(identity, message))
    common = {"ed": b64(keys.ed), "ml": b64(keys.ml), "message": b64(message)}
    return common, [
        ok("both halves", sig=good),
        no("certificate", "the Ed25519 half is another's", sig=f"{other_ed}.{ml}"),
        no("certificate", "the ML-DSA half is another's", sig=f"{ed}.{other_ml}"),
        no("certificate", "the Ed25519 half alone", sig=ed),
        no("certificate", "the Ed25519 half with a dot", sig=f"{ed}."),
        no("certificate", "three parts", sig=f"{good}.{ed}"),
        no("certificate", "over another message", sig=identity.sign(b"signed once")),
        no("certificate", "ML-DSA without the context", sig=f"{ed}.{plain_context}"),
        no("certificate", "padded base64url", sig=f"{ed}==.{ml}"),
        no("certificate", "one byte more in the ML-DSA half", sig=f"{ed}.{b64(unb64(ml) + b'x')}"),
    ]


def _lattice_without_context(identity: Identity, message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    name = b64(sha256(pae("no context", identity.ml_seed, message)))
    draw = RANDOMNESS._taped(name, lambda: b64(MLDSA65PrivateKey.from_seed_bytes(identity.ml_seed).sign(message)))
    return unb64(draw)


def hpke_cases() -> tuple[Case, list[Case]]:
    key, other = EncryptionKey.new(), EncryptionKey.new()
    info, plain = pae("wrap", b"header", "alice", 1), bytes(range(32))
    sealed = hpke.seal(key.public, info, plain)
    small = {
        "0": 0,
        "1": 1,
        "p - 1": 2**255 - 20,
        "p": 2**255 - 19,
        "p + 1": 2**255 - 18,
        "of order 8": int.from_bytes(unb64("4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA"), "little"),
        "of order 8, the other": int.from_bytes(unb64("X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc"), "little"),
        "0 with the top bit": 2**255,
        "p + 1 with the top bit": 2**256 - 18,
    }

    def with_u(u: int) -> str:
        return b64(sealed[: hpke.ENC_BYTES - 32] + u.to_bytes(32, "little") + sealed[hpke.ENC_BYTES :])

    common = {"seed": b64(key.seed), "public": b64(key.public), "info": b64(info), "plain": b64(plain)}
    return common, [
        ok("32 bytes", sealed=b64(sealed)),
        ok("nothing", sealed=b64(hpke.seal(key.public, info, b"")), plain=""),
        ok("an info of 40,000 bytes", sealed=b64(hpke.seal(key.public, bytes(40_000), plain)), info=b64(bytes(40_000))),
        no("wrap", "another info", sealed=b64(sealed), info=b64(pae("wrap", b"header", "alice", 2))),
        no("wrap", "another key", sealed=b64(sealed), seed=b64(other.seed)),
        no("wrap", "a bit of the ML-KEM part", sealed=b64(bytes([sealed[0] ^ 1]) + sealed[1:])),
        no("wrap", "a bit of the tag", sealed=b64(sealed[:-1] + bytes([sealed[-1] ^ 1]))),
        no("wrap", "shorter than enc", sealed=b64(sealed[:1000])),
        no("wrap", "without tag", sealed=b64(sealed[: hpke.ENC_BYTES])),
        *(no("wrap", f"X25519 part {name}", sealed=with_u(u)) for name, u in small.items()),
    ]


# Directory.


def signed_again(
    before: SignedEntry | None, h: bytes, own: Identity, old: Identity | None, **more: Any
) -> dict[str, Any]:
    """An entry with this header, both signatures in order."""
    entry = {"h": b64(h), "sig": own.sign(pae("user", h))}
    if old is not None:
        entry["prevsig"] = old.sign(pae("user", h))
    return entry | more


def directory_cases() -> tuple[Case, list[Case]]:
    alice, mallory = Person.new("alice", "alice_phone"), Person.new("alice", "mallory_phone")
    first = seal.first_entry(alice)
    key2, key3 = EncryptionKey.new(2), EncryptionKey.new(3)
    second = seal.new_generation(first.entry, alice.key, key2, alice.identity)
    fresh = Identity.new()
    third = seal.new_identity(second.entry, alice.identity, fresh, key2)
    reset = seal.reset_entry(first.entry, fresh, key2)
    after_reset = seal.new_generation(reset.entry, key2, key3, fresh)
    e1, e2, e3, er, ea = (signed.to_json() for signed in (first, second, third, reset, after_reset))
    foreign = seal.first_entry(mallory)

    def pin(signed: SignedEntry) -> dict[str, Any]:
        return {"n": signed.entry.n, "hash": b64(sha256(signed.entry.h))}

    def second_with(**members: Any) -> dict[str, Any]:
        return signed_again(first, changed(second.entry.h, **members), alice.identity, alice.identity)

    def first_with(**members: Any) -> dict[str, Any]:
        return signed_again(None, changed(first.entry.h, **members), alice.identity, None)

    other_id = changed(second.entry.h, id="bob")
    cases = [
        ok("one entry", entries=[e1], n=1, gen=1, resets=[]),
        ok("a new generation", entries=[e1, e2], n=2, gen=2, resets=[]),
        ok("a new identity that the old one vouches for", entries=[e1, e2, e3], n=3, gen=2, resets=[]),
        ok("as far as the pin", entries=[e1, e2], pin=pin(second), n=2, gen=2, resets=[]),
        ok("beyond the pin", entries=[e1, e2, e3], pin=pin(second), n=3, gen=2, resets=[]),
        ok("a reset above the pin waits for a person", entries=[e1, er, ea], pin=pin(first), n=3, gen=3, resets=[2]),
        ok("a reset at the pin is confirmed", entries=[e1, er], pin=pin(reset), n=2, gen=2, resets=[]),
        ok("a reset on first contact", entries=[e1, er], n=2, gen=2, resets=[2]),
        ok(
            "other white space and order",
            entries=[
                signed_again(
                    None,
                    json.dumps(dict(reversed(json.loads(first.entry.h).items())), indent=1).encode(),
                    alice.identity,
                    None,
                )
            ],
            n=1,
            gen=1,
            resets=[],
        ),
        no("rollback", "shorter than the pin", entries=[e1], pin=pin(second)),
        no("rollback", "nothing, though there was something", entries=[], pin=pin(first)),
        no("fork", "another chain than the pin", entries=[foreign.to_json()], pin=pin(first)),
        no("fork", "another second entry than the pin", entries=[e1, er], pin=pin(second)),
        no("sequence", "begins with the second", entries=[e2]),
        no("sequence", "the second twice", entries=[e1, e2, e2]),
        no("chain", "prev is the hash of something else", entries=[e1, second_with(prev=b64(sha256(b"other")))]),
        no("chain", "the first has a prev", entries=[first_with(prev=b64(sha256(b"other")))]),
        no(
            "chain",
            "the second is of another id",
            entries=[e1, signed_again(first, other_id, alice.identity, alice.identity)],
        ),
        no("chain", "a person becomes a service", entries=[e1, second_with(role="service")]),
        no("chain", "the chain of somebody else", entries=[e1], id="bob"),
        no("member key", "begins with generation 2", entries=[first_with(gen=2)]),
        no("member key", "a generation left out", entries=[e1, second_with(gen=3)]),
        no("member key", "a new generation with the old key", entries=[e1, second_with(kem=b64(first.entry.kem))]),
        no("member key", "the old generation with a new key", entries=[e1, second_with(gen=1)]),
        no(
            "member key",
            "the generation goes down",
            entries=[
                e1,
                e2,
                signed_again(second, changed(third.entry.h, gen=1, kem=b64(first.entry.kem)), fresh, alice.identity),
            ],
        ),
        no(
            "member key",
            "a reset keeps the generation",
            entries=[e1, signed_again(None, changed(reset.entry.h, gen=1, kem=b64(first.entry.kem)), fresh, None)],
        ),
        no("certificate", "own signature bent", entries=[{**e1, "sig": bent(e1["sig"])}]),
        no(
            "certificate",
            "own signature of another",
            entries=[e1, {**e2, "sig": fresh.sign(pae("user", second.entry.h))}],
        ),
        no(
            "certificate",
            "an identity that nobody vouches for",
            entries=[e1, e2, {**e3, "prevsig": fresh.sign(pae("user", third.entry.h))}],
        ),
        no(
            "certificate",
            "vouched for by the one two before",
            entries=[
                e1,
                e2,
                e3,
                signed_again(
                    third, changed(third.entry.h, n=4, prev=b64(sha256(third.entry.h))), fresh, alice.identity
                ),
            ],
        ),
        no(
            "certificate",
            "signed under another label",
            entries=[{**e1, "sig": alice.identity.sign(pae("dev", first.entry.h))}],
        ),
        no("form", "neither prevsig nor reset", entries=[e1, {"h": e2["h"], "sig": e2["sig"]}]),
        no(
            "form",
            "prevsig and reset",
            entries=[e1, {**er, "prevsig": alice.identity.sign(pae("user", reset.entry.h))}],
        ),
        no("form", "the first with prevsig", entries=[{**e1, "prevsig": e1["sig"]}]),
        no("form", "the first is a reset", entries=[first_with(reset=True)]),
        no("form", "reset is false", entries=[e1, second_with(reset=False)]),
        no("form", "a team's role", entries=[first_with(role="team")]),
        no("form", "a further member", entries=[first_with(note="x")]),
        no("form", "no kem", entries=[first_with(kem=None)]),
        no("form", "kem too short", entries=[first_with(kem=b64(first.entry.kem[:-1]))]),
        no("form", "ml too short", entries=[first_with(ml=b64(bytes(1951)))]),
        no("form", "ed too short", entries=[first_with(ed=b64(bytes(31)))]),
        no("form", "gen is 0", entries=[first_with(gen=0)]),
        no("form", "n is 0", entries=[first_with(n=0)]),
        no("form", "prev of another length", entries=[first_with(prev=b64(bytes(31)))]),
        no("form", "an id in capitals", entries=[first_with(id="Alice")]),
        no("form", "prevseed of another length", entries=[e1, {**e2, "prevseed": b64(bytes(47))}]),
        no("version", "version 2", entries=[first_with(v=2)]),
        no("type", "another type", entries=[first_with(t="dev")]),
        *each_member_false(reset.entry.h, lambda h: {"entries": [e1, {**er, "h": b64(h)}]}),
    ]
    return {"id": "alice", "pin": None}, cases


def prevseed_cases() -> tuple[Case, list[Case]]:
    alice = Person.new("alice", "alice_phone")
    first = seal.first_entry(alice)
    key2, key3, other = EncryptionKey.new(2), EncryptionKey.new(3), EncryptionKey.new(1)
    second = seal.new_generation(first.entry, alice.key, key2, alice.identity)
    third = seal.new_generation(second.entry, key2, key3, alice.identity)
    reset = seal.reset_entry(first.entry, Identity.new(), key2)
    texts = [signed.to_json() for signed in (first, second, third)]
    lying = {
        **texts[1],
        "prevseed": b64(previous_seed_key("user-prev", key2.seed, second.entry.h).seal(other.seed, second.entry.h)),
    }
    label = {
        **texts[1],
        "prevseed": b64(previous_seed_key("team-prev", key2.seed, second.entry.h).seal(alice.key.seed, second.entry.h)),
    }
    aad = {
        **texts[1],
        "prevseed": b64(previous_seed_key("user-prev", key2.seed, second.entry.h).seal(alice.key.seed, b"")),
    }
    seeds = {"1": b64(alice.key.seed), "2": b64(key2.seed), "3": b64(key3.seed)}
    two = {"1": seeds["1"], "2": seeds["2"]}
    return {"id": "alice", "pin": None, "seed": b64(key2.seed)}, [
        ok("one step", entries=texts[:2], seeds=two),
        ok("two steps", entries=texts, seed=b64(key3.seed), seeds=seeds),
        ok("nothing is left of what was before a reset", entries=[texts[0], reset.to_json()], seeds={"2": seeds["2"]}),
        no("wrap", "another seed", entries=texts[:2], seed=b64(key3.seed)),
        no("wrap", "hides a seed of another key", entries=[texts[0], lying]),
        no("wrap", "sealed under the label of teams", entries=[texts[0], label]),
        no("wrap", "sealed without the header", entries=[texts[0], aad]),
        no("wrap", "bent", entries=[texts[0], {**texts[1], "prevseed": bent(texts[1]["prevseed"])}]),
    ]


# Devices.


def certificate_cases() -> tuple[Case, list[Case]]:
    alice, bob = Person.new("alice", "alice_phone"), Person.new("bob", "bob_phone")
    first = seal.first_entry(alice)
    fresh = Identity.new()
    second = seal.new_identity(first.entry, alice.identity, fresh, alice.key)
    device, entries = alice.device, [first.to_json()]
    good = seal.certificate(alice.identity, device, NOON)
    h = unb64(good["h"])

    def with_header(header: bytes, signer: Identity = alice.identity) -> dict[str, str]:
        return {**good, "h": b64(header), "sig": signer.sign(pae("dev", header))}

    def with_members(**members: Any) -> dict[str, str]:
        return with_header(changed(h, **members))

    of_bob = Device("bob", device.dev, device.seed)
    twin = Device("alice", "tablet", device.seed)
    small = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    no_ts = changed(h, ts=None)
    other_pop = bob.device.sign(unb64(good["h"]))
    common = {"user": "alice", "dev": device.dev, "entries": entries}
    return common, [
        ok("by the identity", certificate=good),
        ok("without a time", certificate=with_header(no_ts)),
        ok("by an earlier identity", certificate=good, entries=[*entries, second.to_json()]),
        ok(
            "by the newest identity",
            certificate=seal.certificate(fresh, device, NOON),
            entries=[*entries, second.to_json()],
        ),
        no("certificate", "by a later identity than there is", certificate=seal.certificate(fresh, device, NOON)),
        no("certificate", "by another user", certificate=seal.certificate(bob.identity, device, NOON)),
        no("certificate", "of another device", certificate=seal.certificate(alice.identity, twin, NOON)),
        no("certificate", "of another user", certificate=seal.certificate(alice.identity, of_bob, NOON)),
        no("certificate", "possession not shown", certificate={"h": good["h"], "sig": good["sig"]}),
        no(
            "certificate",
            "possession by another device",
            certificate={**good, "pop": b64(bob.device.sign(pae("dev-pop", "alice", device.dev, device.public)))},
        ),
        no(
            "certificate",
            "possession for another user",
            certificate={**good, "pop": b64(device.sign(pae("dev-pop", "bob", device.dev, device.public)))},
        ),
        no("certificate", "possession over something else", certificate={**good, "pop": b64(other_pop)}),
        no("certificate", "a key of small order", certificate={**with_members(ed=small), "pop": small + "A" * 43}),
        no("certificate", "signed as a revocation", certificate={**good, "sig": alice.identity.sign(pae("devrev", h))}),
        no("certificate", "the header bent", certificate={**good, "h": bent(good["h"])}),
        no("certificate", "a further member", certificate=with_members(role="patient")),
        no("certificate", "the time is a text", certificate=with_members(ts="now")),
        no("certificate", "version 2", certificate=with_members(v=2)),
        no("certificate", "another type", certificate=with_members(t="user")),
        no("certificate", "a key of 31 bytes", certificate=with_members(ed=b64(bytes(31)))),
        *each_member_false(h, lambda header: {"certificate": with_header(header)}, "certificate"),
        no("certificate", "possession of 63 bytes", certificate={**good, "pop": b64(unb64(good["pop"])[:63])}),
    ]


def revocation_cases() -> tuple[Case, list[Case]]:
    alice, bob = Person.new("alice", "alice_phone"), Person.new("bob", "bob_phone")
    first = seal.first_entry(alice)
    fresh = Identity.new()
    second = seal.new_identity(first.entry, alice.identity, fresh, alice.key)
    dev, entries = alice.device.dev, [first.to_json()]
    good = seal.revocation(alice.identity, "alice", dev, NOON)
    h = unb64(good["h"])

    def with_members(**members: Any) -> dict[str, str]:
        header = changed(h, **members)
        return {"h": b64(header), "sig": alice.identity.sign(pae("devrev", header))}

    certificate = seal.certificate(alice.identity, alice.device, NOON)
    return {"user": "alice", "dev": dev, "entries": entries}, [
        ok("by the identity", revocation=good),
        ok(
            "by a later identity",
            revocation=seal.revocation(fresh, "alice", dev, NOON),
            entries=[*entries, second.to_json()],
        ),
        no("revocation", "by another user", revocation=seal.revocation(bob.identity, "alice", dev, NOON)),
        no("revocation", "of another device", revocation=seal.revocation(alice.identity, "alice", "tablet", NOON)),
        no("revocation", "of another user", revocation=seal.revocation(alice.identity, "bob", dev, NOON)),
        no("revocation", "one half of the signature", revocation={**good, "sig": good["sig"].split(".")[0]}),
        no("revocation", "signed as a certificate", revocation={**good, "sig": alice.identity.sign(pae("dev", h))}),
        no("revocation", "a certificate served as one", revocation=certificate),
        no("revocation", "no time", revocation=with_members(ts=None)),
        no("revocation", "a further member", revocation=with_members(reason="lost")),
        no("revocation", "version 2", revocation=with_members(v=2)),
        no("revocation", "no signature", revocation={"h": good["h"]}),
        *each_member_false(
            h,
            lambda header: {"revocation": {"h": b64(header), "sig": alice.identity.sign(pae("devrev", header))}},
            "revocation",
        ),
    ]


def session_cases() -> tuple[Case, list[Case]]:
    device, other = Device.new("alice", "alice_phone"), Device.new("alice", "alice_phone")
    challenge = ids.random_bytes(32)
    long = ids.random_bytes(64)
    tablet = Device("alice", "alice_tablet", device.seed)
    common = {"ed": b64(device.public), "dev": device.dev, "challenge": b64(challenge)}
    return common, [
        ok("by the device", sig=b64(seal.session_signature(device, challenge))),
        ok("the longest challenge", challenge=b64(long), sig=b64(seal.session_signature(device, long))),
        no("signature", "by another device", sig=b64(seal.session_signature(other, challenge))),
        no("signature", "for another device id", sig=b64(seal.session_signature(tablet, challenge))),
        no("signature", "over another challenge", sig=b64(seal.session_signature(device, long))),
        no("signature", "over the bare challenge", sig=b64(device.sign(challenge))),
        no(
            "form",
            "a challenge of 15 bytes",
            challenge=b64(challenge[:15]),
            sig=b64(seal.session_signature(device, challenge[:15])),
        ),
        no(
            "form",
            "a challenge of 65 bytes",
            challenge=b64(long + b"x"),
            sig=b64(seal.session_signature(device, long + b"x")),
        ),
        no("form", "a signature of 63 bytes", sig=b64(seal.session_signature(device, challenge)[:63])),
    ]


# Teams.


def team_cases() -> tuple[Case, list[Case]]:
    world = World("teams", "bob", "erin", "frank", "dave")
    world.found(TEAM, "bob")
    world.change(TEAM, "bob", "bob", "erin")
    world.change(TEAM, "erin", "erin", "frank")
    bob, erin, frank, dave = (world.people[name] for name in ("bob", "erin", "frank", "dave"))
    records, keys = world.teams[TEAM], world.team_keys[TEAM]
    r1, r2, r3 = (record.to_json() for record in records)
    seeds = {str(key.gen): b64(key.seed) for key in keys}

    def pin(record: TeamRecord) -> dict[str, Any]:
        return {"n": record.gen, "hash": b64(sha256(record.h))}

    def again(
        record: TeamRecord,
        by: Person,
        *,
        h: bytes | None = None,
        wraps: Mapping[str, bytes] | None = None,
        prev: bytes | None = None,
        named: str | None = None,
    ) -> dict[str, Any]:
        """The record with something else in it, signed anew by `by`."""
        h, wraps, prev = h or record.h, record.wraps if wraps is None else wraps, record.prev if prev is None else prev
        w = {name: b64(wrap) for name, wrap in wraps.items()}
        return {
            "h": b64(h),
            "w": w,
            "prev": b64(prev),
            "sig": by.identity.sign(signed_bytes(h, wraps, prev)),
            "by": named or by.id,
        }

    def second_with(**members: Any) -> dict[str, Any]:
        return again(records[1], bob, h=changed(records[1].h, **members))

    second = records[1]
    lying = again(
        second, bob, prev=previous_seed_key("team-prev", keys[1].seed, second.h).seal(erin.key.seed, second.h)
    )
    label = again(second, bob, prev=previous_seed_key("user-prev", keys[1].seed, second.h).seal(keys[0].seed, second.h))
    wrong_seed = again(
        second,
        bob,
        wraps={**second.wraps, "erin": hpke.seal(erin.key.public, pae("team-wrap", second.h, "erin", 2), keys[0].seed)},
    )
    moved = again(
        second,
        bob,
        wraps={**second.wraps, "erin": hpke.seal(erin.key.public, pae("team-wrap", second.h, "bob", 2), keys[1].seed)},
    )
    to_dave = again(
        second,
        bob,
        wraps={**second.wraps, "dave": hpke.seal(dave.key.public, pae("team-wrap", second.h, "dave", 2), keys[1].seed)},
    )
    without = again(second, bob, wraps={"bob": second.wraps["bob"]})
    twice = {
        "members": [
            {"id": "bob", "role": "pharmacist"},
            {"id": "erin", "role": "pharmacist"},
            {"id": "bob", "role": "staff"},
        ]
    }
    foreign, _ = seal.found_team("rowan_pharmacists", dave, [world.seat("dave")])
    ghost, _ = seal.change_team(records[0], keys[0], dave, [world.seat("dave")])
    left, _ = seal.change_team(records[2], keys[2], bob, [world.seat("bob"), world.seat("erin")])
    too_early, _ = seal.change_team(records[0], keys[0], erin, [world.seat("bob"), world.seat("erin")])
    stranger = Person.new("stranger", "x")
    unknown_first, _ = seal.found_team(
        TEAM, stranger, [(TeamMember("stranger", Role.PHARMACIST), seal.first_entry(stranger).entry)]
    )
    held = {
        "bob": [key_text("bob", bob.key)],
        "erin": [key_text("erin", erin.key)],
        "frank": [key_text("frank", frank.key)],
    }
    old_kem = again(records[2], erin, h=changed(records[2].h, kem=b64(records[0].kem)))
    cases = [
        ok("the founder", records=[r1], member="bob", keys=held["bob"], seeds={"1": seeds["1"]}),
        ok(
            "a newcomer reads everything",
            records=[r1, r2],
            member="erin",
            keys=held["erin"],
            seeds={"1": seeds["1"], "2": seeds["2"]},
        ),
        ok("two generations back", records=[r1, r2, r3], member="frank", keys=held["frank"], seeds=seeds),
        ok("who left gets nothing newer", records=[r1, r2, r3], member="bob", keys=held["bob"], seeds={}),
        ok("as far as the pin", records=[r1, r2], pin=pin(records[1])),
        ok("beyond the pin", records=[r1, r2, r3], pin=pin(records[0])),
        no("rollback", "shorter than the pin", records=[r1], pin=pin(records[1])),
        no(
            "fork",
            "another record than the pin",
            records=[r1, second_with(members=[{"id": "bob", "role": "pharmacist"}, {"id": "erin", "role": "staff"}])],
            pin=pin(records[1]),
        ),
        no("sequence", "begins with the second", records=[r2]),
        no("sequence", "a generation left out", records=[r1, r3]),
        no("chain", "prevrec of something else", records=[r1, second_with(prevrec=b64(sha256(b"x")))]),
        no(
            "chain",
            "the first has a prevrec",
            records=[again(records[0], bob, h=changed(records[0].h, prevrec=b64(sha256(b"x"))))],
        ),
        no("chain", "the second is of another team", records=[r1, second_with(id="rowan_pharmacists")]),
        no("chain", "the chain of another team", records=[foreign.to_json()]),
        no("duplicate", "a member twice", records=[r1, second_with(**twice)]),
        no("member key", "the key of the generation before", records=[r1, second_with(kem=b64(records[0].kem))]),
        no("member key", "the key of the first generation again", records=[r1, r2, old_kem]),
        no("creator", "by somebody who never was a member", records=[r1, ghost.to_json()]),
        no("creator", "a newcomer makes the record that lets her in", records=[r1, too_early.to_json()]),
        no("creator", "by somebody who has left", records=[r1, r2, r3, left.to_json()]),
        no("creator", "the first by somebody who is not in it", records=[again(records[0], dave)]),
        no("unknown user", "by somebody the directory does not know", records=[unknown_first.to_json()]),
        no("certificate", "names a member who did not sign", records=[r1, again(second, dave, named="bob")]),
        no("certificate", "signature bent", records=[r1, {**r2, "sig": bent(r2["sig"])}]),
        no(
            "certificate",
            "wraps exchanged after signing",
            records=[r1, {**r2, "w": {"bob": r2["w"]["erin"], "erin": r2["w"]["bob"]}}],
        ),
        no("certificate", "prev exchanged after signing", records=[r1, {**r2, "prev": bent(r2["prev"])}]),
        no("wrap list", "a wrap for somebody who is no member", records=[r1, to_dave]),
        no("wrap list", "a member without wrap", records=[r1, without]),
        no("form", "nobody in it", records=[again(records[0], bob, h=changed(records[0].h, members=[]), wraps={})]),
        no(
            "form",
            "a patient in it",
            records=[r1, second_with(members=[{"id": "bob", "role": "patient"}, {"id": "erin", "role": "pharmacist"}])],
        ),
        no(
            "form",
            "a member with a further name",
            records=[r1, second_with(members=[{"id": "bob", "role": "pharmacist", "gen": 1}])],
        ),
        no(
            "form",
            "a wrap of another length",
            records=[r1, again(second, bob, wraps={**second.wraps, "erin": second.wraps["erin"] + b"x"})],
        ),
        no("form", "the first with prev", records=[again(records[0], bob, prev=bytes(48))]),
        no("form", "the second without prev", records=[r1, again(second, bob, prev=b"")]),
        no("form", "no signature", records=[{name: value for name, value in r1.items() if name != "sig"}]),
        no("form", "nobody named as maker", records=[{name: value for name, value in r1.items() if name != "by"}]),
        no("form", "gen is 0", records=[again(records[0], bob, h=changed(records[0].h, gen=0))]),
        no(
            "form",
            "257 members",
            records=[r1, second_with(members=[{"id": f"p{number}", "role": "staff"} for number in range(257)])],
        ),
        no("version", "version 2", records=[again(records[0], bob, h=changed(records[0].h, v=2))]),
        no("type", "another type", records=[again(records[0], bob, h=changed(records[0].h, t="user"))]),
        *each_member_false(second.h, lambda h: {"records": [r1, {**r2, "h": b64(h)}]}),
        *_team_members_false(second, lambda h: {"records": [r1, {**r2, "h": b64(h)}]}),
        no("wrap", "my wrap holds another seed", records=[r1, wrong_seed], member="erin", keys=held["erin"]),
        no("wrap", "my wrap is bound to another member", records=[r1, moved], member="erin", keys=held["erin"]),
        no(
            "wrap",
            "I hold another key",
            records=[r1, r2],
            member="erin",
            keys=[{**held["erin"][0], "seed": b64(dave.key.seed)}],
        ),
        no("wrap", "prev hides another seed", records=[r1, lying], member="erin", keys=held["erin"]),
        no("wrap", "prev under the label of entries", records=[r1, label], member="erin", keys=held["erin"]),
    ]
    world.teams = {}
    return {"id": TEAM, "pin": None, "world": world.text()}, cases


def _team_members_false(record: TeamRecord, put: Callable[[bytes], Case]) -> list[Case]:
    members = json.loads(record.h)["members"]
    return [
        no(
            "form",
            f"team: {name} of a member is false",
            **put(changed(record.h, members=[{**members[0], name: False}])),
        )
        for name in members[0]
    ]


# Threads.


def raw(record: AnyRecord) -> dict[str, Any]:
    return record.to_json()


class Talk:
    """A thread in the making, written by several devices in turn."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = ThreadState.new(THREAD)
        self.secrets: dict[int, bytes] = {}
        self.records: list[dict[str, Any]] = []
        self.heads = [genesis(THREAD)]

    def by(self, device: Device) -> Writer:
        return Writer(device, self.state, self.secrets)

    def add(self, writer: Writer, record: AnyRecord) -> AnyRecord:
        self.state = writer.state
        self.records.append(raw(record))
        self.heads.append(self.state.head)
        return record

    def epoch(self, device: Device, *parties: Party, revoked: Sequence[str] = ()) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.epoch(parties, NOON + self.state.seq, revoked))

    def say(self, device: Device, text: str, **members: Any) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.message(text.encode(), NOON + self.state.seq, **members))

    def history(self, device: Device, to: Party, first: int, upto: int) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.history(to.entry, first, upto, NOON + self.state.seq))

    def redact(self, device: Device, target: int) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.redact(target, "mistake", NOON + self.state.seq))

    def resigned(self, device: Device, place: int, **members: Any) -> list[dict[str, Any]]:
        """The records up to `place`, that one with other members in its header, signed again."""
        records = deepcopy(self.records[:place])
        last = records[-1]
        h = changed(unb64(last["h"]), **members)
        body = unb64(last.get("cth") or last.get("wh") or b64(sha256(b"")))
        records[-1] = {**last, "h": b64(h), "sig": b64(device.sign(pae(json.loads(h)["t"], h, body)))}
        return records


def thread_cases() -> tuple[Case, list[Case]]:
    world = linden("threads")
    alice, bob, carol, dave = (world.people[name] for name in ("alice", "bob", "carol", "dave"))
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    tablet = world.device("alice", "alice_tablet")
    world.found("rowan_pharmacists", "carol")
    rowan = world.party("rowan_pharmacists", Role.TEAM)
    world.revocations.append(
        {
            "user": "alice",
            "dev": "alice_tablet",
            "revocation": seal.revocation(alice.identity, "alice", "alice_tablet", NOON),
        }
    )
    common: Case = {"thread": THREAD, "min_head": None, "keys": [key_text("alice", alice.key)], "world": world.text()}
    team_key = [key_text(TEAM, world.team_keys[TEAM][0])]
    cases: list[Case] = []

    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(alice.device, "Can I take these together?", topic="medicine")
    talk.say(bob.device, "Yes, but not at the same hour.")
    talk.say(tablet, "Thank you")
    plain = ["Can I take these together?", "Yes, but not at the same hour.", "Thank you"]
    cases += [
        ok("a question and its answer", records=talk.records, plain=plain),
        ok("the same, read by the team", records=talk.records, plain=plain, keys=team_key),
        ok(
            "the same, read by somebody without keys",
            records=talk.records,
            plain=[None] * 3,
            unreadable=[2, 3, 4],
            keys=[],
        ),
        ok("down to the head seen before", records=talk.records, plain=plain, min_head=[3, b64(talk.heads[3])]),
        no("fork", "another head was seen before", records=talk.records, min_head=[3, b64(talk.heads[2])]),
        no("fork", "another genesis was seen before", records=talk.records, min_head=[0, b64(talk.heads[2])]),
        no("rollback", "more was seen before", records=talk.records, min_head=[5, b64(talk.heads[4])]),
        no("form", "an id of a thread that is none", records=talk.resigned(alice.device, 2, thread="linden")),
        no("form", "a label again", records=talk.resigned(bob.device, 3, label={"topic": "billing"})),
        no("not a member", "dave writes", records=talk.resigned(dave.device, 3, user="dave", dev="dave_phone")),
        no("certificate", "dave writes as alice's device", records=talk.resigned(alice.device, 2, user="dave")),
        no("unknown device", "from a device nobody knows", records=talk.resigned(alice.device, 2, dev="nobody")),
        no("signature", "dave signs in alice's name", records=talk.resigned(dave.device, 2)),
        no("epoch", "under an epoch to come", records=talk.resigned(bob.device, 3, epoch=2)),
        no(
            "revoked",
            "a device revoked without a revocation",
            records=[*talk.records, raw(talk.by(bob.device).epoch([patient, team], NOON, ["alice_phone"]))],
        ),
        no(
            "membership",
            "carol's team joins by alice",
            records=[*talk.records, raw(talk.by(alice.device).epoch([patient, team, rowan], NOON))],
        ),
        no(
            "creator",
            "carol lets her team in",
            records=[*talk.records, raw(talk.by(carol.device).epoch([patient, team, rowan], NOON))],
        ),
        no(
            "member key",
            "a service that is a person",
            records=[
                *talk.records,
                raw(talk.by(bob.device).epoch([patient, team, world.party("dave", Role.SERVICE)], NOON)),
            ],
        ),
        no(
            "member key",
            "a person that is a team",
            records=[
                *talk.records,
                raw(
                    talk.by(bob.device).epoch(
                        [patient, team, Party(world.party("dave", Role.PROXY).entry, Role.TEAM)], NOON
                    )
                ),
            ],
        ),
        no(
            "member key",
            "a team that is staff",
            records=[
                *talk.records,
                raw(talk.by(bob.device).epoch([patient, team, Party(rowan.entry, Role.STAFF)], NOON)),
            ],
        ),
        no("form", "a wrap of 1169 bytes", records=_longer_wrap(talk.records)),
        no(
            "form",
            "a signature of 63 bytes",
            records=[{**talk.records[0], "sig": b64(unb64(talk.records[0]["sig"])[:63])}],
        ),
    ]

    taken = Talk(world)
    taken.epoch(alice.device, patient, team)
    taken.say(alice.device, "To the wrong pharmacy", topic="other")
    taken.say(bob.device, "Seen")
    taken.redact(tablet, 2)
    cases += [
        ok("taken back from another device", records=taken.records, plain=[None, "Seen"], redacted=[2]),
        ok("taken back and gone", records=_without_ct(taken.records, 1), plain=[None, "Seen"], redacted=[2]),
        ok(
            "gone without being taken back",
            records=_without_ct(taken.records[:3], 1),
            plain=[None, "Seen"],
            withheld=[2],
        ),
        no("redact", "a message of bob", records=taken.resigned(tablet, 4, target=3)),
        no("redact", "a message to come", records=taken.resigned(tablet, 4, target=5)),
        no("redact", "itself", records=taken.resigned(tablet, 4, target=4)),
        no("redact", "an epoch", records=taken.resigned(tablet, 4, target=1)),
        no("redact", "nothing", records=taken.resigned(tablet, 4, target=0)),
        no("epoch", "taken back under another epoch", records=taken.resigned(tablet, 4, epoch=2)),
        no("signature", "taken back by dave in her name", records=taken.resigned(dave.device, 4)),
    ]

    gone = Talk(world)
    proxy = world.party("dave", Role.PROXY)
    gone.epoch(alice.device, patient, team, proxy)
    gone.say(dave.device, "I wrote too much", topic="other")
    gone.epoch(alice.device, patient, team)
    writer = Writer(dave.device, gone.state, gone.secrets)
    back = raw(writer.redact(2, "mistake", NOON))
    cases.append(no("not a member", "taken back by its author who has left", records=[*gone.records, back]))

    revoked = Talk(world)
    revoked.epoch(alice.device, patient, team)
    revoked.say(tablet, "from the tablet", topic="other")
    revoked.epoch(bob.device, patient, team, revoked=["alice_tablet"])
    revoked.say(alice.device, "the tablet is lost")
    uncertified = world.text()
    del uncertified["devices"]["alice_tablet"]
    never_seen = Talk(world)
    never_seen.epoch(alice.device, patient, team)
    never_seen.epoch(bob.device, patient, team, revoked=["alice_tablet"])
    cases += [
        no("revoked", "of a device without certificate", records=never_seen.records, world=uncertified),
        ok("a device that was taken back", records=revoked.records, plain=["from the tablet", "the tablet is lost"]),
        no("revoked", "it writes on", records=[*revoked.records, raw(revoked.by(tablet).message(b"still here", NOON))]),
        no(
            "revoked",
            "it makes an epoch",
            records=[*revoked.records, raw(revoked.by(tablet).epoch([patient, team], NOON))],
        ),
        no("revoked", "named twice", records=revoked.resigned(bob.device, 3, revoked=["alice_tablet", "alice_tablet"])),
        no(
            "revoked",
            "by itself",
            records=[*revoked.records[:2], _epoch_by(revoked, tablet, [patient, team], ["alice_tablet"])],
        ),
    ]

    late = Talk(world)
    late.epoch(bob.device, team)
    late.say(bob.device, "before", topic="medicine")
    late.epoch(bob.device, team)
    late.say(bob.device, "between")
    late.epoch(bob.device, team, patient)
    late.history(bob.device, patient, 1, 2)
    late.say(alice.device, "after")
    cases += [
        ok("a patient enrols later", records=late.records, plain=["before", "between", "after"]),
        ok(
            "the same without the history record's wrap",
            records=_without_w(late.records, 5),
            plain=[None, None, "after"],
            unreadable=[2, 4],
        ),
        no("history", "from 0", records=[*late.records[:5], _history_by(late, bob.device, patient, 0, 2)]),
        no("form", "longer than what it hands over", records=late.resigned(bob.device, 6, **{"from": 0})),
        no("form", "shorter than what it hands over", records=late.resigned(bob.device, 6, **{"from": 2})),
        no(
            "history",
            "to somebody who is no member",
            records=late.resigned(bob.device, 6, to={"id": "dave", "gen": 1, "kid": b64(dave.key.kid)}),
        ),
        no(
            "history",
            "to a generation that there is not",
            records=late.resigned(bob.device, 6, to={"id": "alice", "gen": 2, "kid": b64(alice.key.kid)}),
        ),
        no(
            "history",
            "to a key of somebody else",
            records=late.resigned(bob.device, 6, to={"id": "alice", "gen": 1, "kid": b64(dave.key.kid)}),
        ),
        no(
            "history",
            "by alice, who was not there",
            records=late.resigned(alice.device, 6, user="alice", dev="alice_phone"),
        ),
        no(
            "history", "by dave, who is no member", records=late.resigned(dave.device, 6, user="dave", dev="dave_phone")
        ),
        no(
            "history",
            "up to the epoch it stands in",
            records=[*late.records[:5], _history_by(late, bob.device, patient, 1, 3)],
        ),
        no("epoch", "under an earlier epoch", records=late.resigned(bob.device, 6, epoch=2)),
        no("signature", "signed by dave", records=late.resigned(dave.device, 6)),
    ]
    return common, cases + _form_cases(world) + _reset_cases() + _rotation_cases()


def _form_cases(world: World) -> list[Case]:
    """Each member of each type of record, also the inner ones, as `false`: refused before anything is looked up."""
    device = world.people["bob"].device
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    talk = Talk(world)
    talk.epoch(device, patient, team, revoked=["alice_tablet"])
    talk.say(device, "x", topic="other", attachments=[{"id": "a1", "size": 400, "cth": b64(bytes(32))}])
    talk.epoch(device, patient, team)
    talk.history(device, patient, 1, 1)
    talk.redact(device, 2)
    cases = []
    for record in (talk.records[0], *(talk.records[at] for at in (1, 3, 4))):
        h, rest = unb64(record["h"]), {name: value for name, value in record.items() if name != "w"}
        header = json.loads(h)

        def put(header: bytes, rest: dict[str, Any] = rest) -> Case:
            return {"records": [{**rest, "h": b64(header)}]}

        cases += each_member_false(h, put)
        for name, inner in {
            **header,
            **{name: value[0] for name, value in header.items() if value and isinstance(value, list)},
        }.items():
            if isinstance(inner, dict):
                listed = isinstance(header[name], list)
                for member in inner:
                    wrong = {**inner, member: False}
                    text = changed(h, **{name: [wrong] if listed else wrong})
                    cases.append(no("form", f"{header['t']}: {member} of {name} is false", **put(text)))
    cases.append(
        no(
            "form",
            "epoch: 257 wraps",
            records=[{**talk.records[0], "w": {f"p{at}": b64(bytes(1168)) for at in range(257)}}],
        )
    )
    cases.append(
        no(
            "form",
            "epoch: a wrap for an id in capitals",
            records=[{**talk.records[0], "w": {"Alice": talk.records[0]["w"]["alice"]}}],
        )
    )
    cases.append(no("form", "epoch: wh of 31 bytes", records=[{**talk.records[0], "wh": b64(bytes(31))}]))
    cases.append(no("form", "msg: cth of 31 bytes", records=[{**talk.records[1], "cth": b64(bytes(31))}]))
    return cases


def _longer_wrap(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first = deepcopy(records[0])
    first["w"]["alice"] = b64(unb64(first["w"]["alice"]) + b"x")
    return [first]


def _without_ct(records: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    out = deepcopy(records)
    del out[place]["ct"]
    return out


def _without_w(records: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    out = deepcopy(records)
    del out[place]["w"]
    return out


def _epoch_by(talk: Talk, device: Device, parties: Sequence[Party], revoked: Sequence[str]) -> dict[str, Any]:
    """An epoch in the place of the third record of `talk`."""
    return raw(Writer(device, _state_after(talk, 2), dict(talk.secrets)).epoch(parties, NOON, revoked))


def _history_by(talk: Talk, device: Device, to: Party, first: int, upto: int) -> dict[str, Any]:
    """A history record in the place of the sixth of `talk`."""
    secrets = {0: bytes(32), **talk.secrets}
    return raw(Writer(device, _state_after(talk, 5), secrets).history(to.entry, first, upto, NOON))


def _state_after(talk: Talk, seq: int) -> ThreadState:
    """What a writer must know after `seq` records: place, head and the number of the epoch."""
    header = json.loads(unb64(talk.records[seq - 1]["h"]))
    return ThreadState(THREAD, seq, talk.heads[seq], epoch=header["epoch"])


def _reset_cases() -> list[Case]:
    """Alice loses everything, starts again, and the server still has her old identity's signatures."""
    world = linden("reset")
    alice, bob = world.people["alice"], world.people["bob"]
    team = world.party(TEAM, Role.TEAM)
    old_identity, old_key = alice.identity, alice.key
    before = world.party("alice", Role.PATIENT)
    talk = Talk(world)
    talk.epoch(alice.device, before, team)
    talk.say(alice.device, "before", topic="medicine")
    fresh, key = Identity.new(), EncryptionKey.new(2)
    world.chains["alice"].append(seal.reset_entry(before.entry, fresh, key))
    after = world.party("alice", Role.PATIENT)
    alice.identity = fresh
    new_phone = world.device("alice", "alice_new_phone")
    stolen = Device.new("alice", "alice_stolen")
    world.certificates["alice_stolen"] = seal.certificate(old_identity, stolen, NOON)
    talk.epoch(bob.device, after, team)
    talk.history(bob.device, after, 1, 1)
    talk.say(new_phone, "after")
    keys = [key_text("alice", key)]
    shared: Case = {"world": world.text(), "keys": keys}
    forged = raw(talk.by(stolen).message(b"forged", NOON))
    epoch = raw(talk.by(stolen).epoch([after, team], NOON))
    early = Writer(stolen, _state_after(talk, 2), {1: talk.secrets[1]})
    return [
        ok(
            "new keys after a reset, the old device's records stay",
            records=talk.records,
            plain=["before", "after"],
            **shared,
        ),
        ok(
            "a device of the old identity before the reset counts",
            records=[*talk.records[:2], raw(early.message(b"still mine", NOON))],
            plain=["before", "still mine"],
            **{**shared, "keys": [key_text("alice", old_key)]},
        ),
        no(
            "certificate",
            "a device of the old identity under the new generation",
            records=[*talk.records, forged],
            **shared,
        ),
        no(
            "certificate",
            "a device of the old identity makes an epoch of the new generation",
            records=[*talk.records, epoch],
            **shared,
        ),
        no(
            "certificate",
            "a device of the old identity makes the first epoch of the new generation",
            records=[*talk.records[:2], raw(Writer(stolen, _state_after(talk, 2)).epoch([after, team], NOON))],
            **shared,
        ),
        no(
            "member key",
            "back to the old generation",
            records=[*talk.records, raw(talk.by(bob.device).epoch([before, team], NOON))],
            **shared,
        ),
    ]


def _rotation_cases() -> list[Case]:
    """The team changes; who may speak is decided by the generation that the epoch names."""
    world = World("rotation", "alice", "bob", "erin")
    world.found(TEAM, "bob")
    patient = world.party("alice", Role.PATIENT)
    old_team = world.party(TEAM, Role.TEAM)
    alice, bob, erin = (world.people[name] for name in ("alice", "bob", "erin"))
    talk = Talk(world)
    talk.epoch(alice.device, patient, old_team)
    talk.say(bob.device, "I leave soon", topic="medicine")
    world.change(TEAM, "bob", "bob", "erin")
    world.change(TEAM, "bob", "erin")
    new_team = world.party(TEAM, Role.TEAM)
    early = raw(Writer(erin.device, talk.state, dict(talk.secrets)).message(b"too early", NOON))
    still_speaking = Writer(bob.device, talk.state, dict(talk.secrets)).message(b"still under the old one", NOON)
    still = [*talk.records, raw(still_speaking)]
    talk.epoch(erin.device, patient, new_team)
    talk.say(erin.device, "I am new")
    shared: Case = {"world": world.text(), "keys": [key_text("alice", alice.key)]}
    return [
        ok("a new generation of the team", records=talk.records, plain=["I leave soon", "I am new"], **shared),
        ok(
            "who has left still speaks under the old generation",
            records=still,
            plain=["I leave soon", "still under the old one"],
            **shared,
        ),
        no("not a member", "who came later under the old generation", records=[*talk.records[:2], early], **shared),
        no(
            "not a member",
            "who has left under the new generation",
            records=[*talk.records, raw(talk.by(bob.device).message(b"me again", NOON))],
            **shared,
        ),
        no(
            "creator",
            "who has left makes an epoch",
            records=[*talk.records, raw(talk.by(bob.device).epoch([patient, new_team], NOON))],
            **shared,
        ),
        no(
            "member key",
            "the team's old generation again",
            records=[*talk.records, raw(talk.by(alice.device).epoch([patient, old_team], NOON))],
            **shared,
        ),
    ]


def receipt_cases() -> tuple[Case, list[Case]]:
    world = linden("receipts")
    alice, bob, dave = (world.people[name] for name in ("alice", "bob", "dave"))
    tablet = world.device("alice", "alice_tablet")
    world.revocations.append(
        {
            "user": "alice",
            "dev": "alice_tablet",
            "revocation": seal.revocation(alice.identity, "alice", "alice_tablet", NOON),
        }
    )
    patient, team, proxy = (
        world.party("alice", Role.PATIENT),
        world.party(TEAM, Role.TEAM),
        world.party("dave", Role.PROXY),
    )
    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(alice.device, "hello", topic="other")
    talk.epoch(bob.device, patient, team, proxy, revoked=["alice_tablet"])
    talk.say(bob.device, "hello")

    def receipt(
        device: Device, seq: int = 4, kind: ReceiptKind = ReceiptKind.READ, head: bytes | None = None
    ) -> dict[str, str]:
        return talk.by(device).receipt(kind, Head(seq, head or talk.heads[min(seq, 4)]), NOON)

    def with_members(**members: Any) -> dict[str, str]:
        h = changed(unb64(receipt(alice.device)["h"]), **members)
        return {"h": b64(h), "sig": b64(alice.device.sign(pae("receipt", h)))}

    good = receipt(alice.device)
    common = {"thread": THREAD, "records": talk.records, "world": world.text(), "user": "alice"}
    return common, [
        ok("read by alice", receipt=good),
        ok("delivered up to the first message", receipt=receipt(alice.device, 2, ReceiptKind.DELIVERED)),
        ok(
            "unreadable to bob, who speaks for the team",
            receipt=receipt(bob.device, 4, ReceiptKind.UNREADABLE),
            user="bob",
        ),
        ok("read by the proxy", receipt=receipt(dave.device), user="dave"),
        no("not a member", "by the proxy, before he was there", receipt=receipt(dave.device, 2), user="dave"),
        no("not a member", "by carol", receipt=receipt(world.people["carol"].device), user="carol"),
        no("thread", "of another thread", receipt=with_members(thread="0" * 32)),
        no("sequence", "beyond the thread", receipt=receipt(alice.device, 5)),
        no("fork", "another head", receipt=receipt(alice.device, 4, head=talk.heads[3])),
        no("unknown device", "from a device nobody knows", receipt=with_members(dev="nobody")),
        no("unknown user", "of somebody nobody knows", receipt=good, user="nobody"),
        no("certificate", "of somebody else's device", receipt=good, user="bob"),
        no("revoked", "from a device that was taken back", receipt=receipt(tablet)),
        no("signature", "signed by bob", receipt={**good, "sig": receipt(bob.device)["sig"]}),
        no(
            "signature",
            "signed as a message",
            receipt={**good, "sig": b64(alice.device.sign(pae("msg", unb64(good["h"]))))},
        ),
        no("form", "of nothing", receipt=with_members(seq=0)),
        no("form", "another kind", receipt=with_members(kind="seen")),
        no("form", "a further member", receipt=with_members(user="alice")),
        no("form", "no time", receipt=with_members(ts=None)),
        no("form", "a signature of 63 bytes", receipt={**good, "sig": b64(unb64(good["sig"])[:63])}),
        *each_member_false(unb64(good["h"]), lambda h: {"receipt": {**good, "h": b64(h)}}),
        no("version", "version 2", receipt=with_members(v=2)),
        no("type", "another type", receipt=with_members(t="msg")),
    ]


def report_cases() -> tuple[Case, list[Case]]:
    world = linden("reports")
    alice, bob = world.people["alice"], world.people["bob"]
    talk = Talk(world)
    talk.epoch(alice.device, world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM))
    epoch = talk.records[0]
    record = talk.say(bob.device, "Take two of them", topic="medicine")
    other = talk.say(bob.device, "Take three of them")
    key = _frank_key(talk, record)
    good = franking.make_report(record, b"Take two of them", key)  # type: ignore[arg-type]
    without_bob = world.text()
    del without_bob["devices"]["bob_phone"]
    unknown_bob = world.text()
    del unknown_bob["users"]["bob"]
    unknown_bob["teams"] = {}
    forged = world.text()
    forged["devices"]["bob_phone"]["sig"] = bent(forged["devices"]["bob_phone"]["sig"])
    h = changed(record.h, v=2)
    return {"world": world.text()}, [
        ok("what bob wrote", report=good, user="bob", body="Take two of them"),
        no("frank", "another text", report={**good, "body": "Take ten of them"}),
        no("frank", "another key", report={**good, "fk": b64(bytes(32))}),
        no("form", "a key with a zero byte more", report={**good, "fk": b64(key + b"\0")}),
        no("form", "no text", report={name: value for name, value in good.items() if name != "body"}),
        no("form", "a text with an unpaired surrogate", report={**good, "body": "\ud800"}),
        no("signature", "another ciphertext", report={**good, "cth": b64(other.body_hash)}),
        no("signature", "another signature", report={**good, "sig": b64(other.sig)}),
        no("type", "an epoch record", report={**good, "h": epoch["h"], "sig": epoch["sig"], "cth": epoch["wh"]}),
        no("version", "version 2", report={**good, "h": b64(h)}),
        no("unknown device", "no certificate", report=good, world=without_bob),
        no("unknown user", "no entry", report=good, world=unknown_bob),
        no("certificate", "a certificate that does not hold", report=good, world=forged),
    ]


def _frank_key(talk: Talk, record: AnyRecord) -> bytes:
    from portal.e2ee.open import open_message

    return open_message(record, record.ct or b"", talk.secrets[record.header.epoch]).frank_key  # type: ignore[arg-type]


# Stored things.


def object_cases() -> tuple[Case, list[Case]]:
    world = linden("objects")
    alice, bob, dave = (world.people[name] for name in ("alice", "bob", "dave"))
    team_key = world.team_keys[TEAM][0]

    def draft(
        person: Person = alice,
        owner: str = "alice",
        key: EncryptionKey = alice.key,
        content: bytes = b"half a sentence",
        rev: int = 2,
    ) -> dict[str, Any]:
        sealed = seal.seal_object(owner, key, person.device, content, kind="draft", id="d1", rev=rev, ts=NOON)
        return sealed.to_json()

    good = draft()
    wanted = {"owner": "alice", "kind": "draft", "id": "d1", "rev": 2}

    def again(device: Device = alice.device, ct: bytes | None = None, **members: Any) -> dict[str, str]:
        h = changed(unb64(good["h"]), **members)
        ct = unb64(good["ct"]) if ct is None else ct
        return {"h": b64(h), "ct": b64(ct), "sig": b64(device.sign(pae("obj", h, sha256(ct))))}

    h = unb64(good["h"])
    key = object_key(alice.key.seed, unb64(json.loads(h)["salt"]), h)
    loose = again(ct=key.seal(pad(b"half a sentence") + bytes(256), h))
    dirty = again(ct=key.seal(pad(b"half a sentence")[:-1] + b"x", h))
    no_aad = again(ct=key.seal(pad(b"half a sentence"), b""))
    fresh = Identity.new()
    second = seal.reset_entry(world.chains["alice"][0].entry, fresh, EncryptionKey.new(2))
    after_reset = world.text()
    after_reset["users"]["alice"].append(second.to_json())
    broken = world.text()
    broken["devices"]["alice_phone"]["sig"] = bent(broken["devices"]["alice_phone"]["sig"])
    garbled = world.text()
    garbled["devices"]["alice_phone"]["h"] = "e30"
    nobody = world.text()
    nobody["users"].pop("alice")
    content = b64(b"half a sentence")
    common = {"world": world.text(), "wanted": wanted, "seed": b64(alice.key.seed)}
    team = {"wanted": {"owner": TEAM, "kind": "draft", "id": "d1", "rev": 1}, "seed": b64(team_key.seed)}
    return common, [
        ok("alice's draft", object=good, content=content),
        ok("nothing in it", object=draft(content=b""), content=""),
        ok("a newer revision than seen", object=draft(rev=3), content=content),
        ok("bob writes for his team", object=draft(bob, TEAM, team_key), content=content, **team),
        no("object", "of another owner", object=good, wanted={**wanted, "owner": "bob"}),
        no("object", "of another kind", object=good, wanted={**wanted, "kind": "pins"}),
        no("object", "another id", object=good, wanted={**wanted, "id": "d2"}),
        no("rollback", "an older revision", object=draft(rev=1)),
        no("unknown device", "from a device nobody knows", object=again(dev="nobody")),
        no("unknown user", "from a user nobody knows", object=good, world=nobody),
        no("certificate", "a certificate that does not hold", object=good, world=broken),
        no("certificate", "a certificate that cannot be read", object=good, world=garbled),
        no(
            "certificate",
            "by the old identity, in a generation after the reset",
            object=again(gen=2),
            world=after_reset,
        ),
        no("not a member", "dave writes for alice", object=draft(dave)),
        no("not a member", "dave writes for the team", object=draft(dave, TEAM, team_key), **team),
        no(
            "not a member",
            "bob writes for a generation that there is not",
            object=draft(bob, TEAM, EncryptionKey(2, team_key.seed)),
            **team,
        ),
        no("signature", "signed by dave", object=again(dave.device)),
        no("signature", "the content exchanged", object={**good, "ct": draft(content=b"another sentence")["ct"]}),
        no(
            "signature",
            "signed under another label",
            object={**good, "sig": b64(alice.device.sign(pae("msg", h, sha256(unb64(good["ct"])))))},
        ),
        no("aead", "another key", object=good, seed=b64(dave.key.seed)),
        no("aead", "sealed without the header", object=no_aad),
        no("padding", "a bucket too large", object=loose),
        no("padding", "filled with something else than zeros", object=dirty),
        no("form", "rev is 0", object=again(rev=0)),
        no("form", "gen is 0", object=again(gen=0)),
        no("form", "salt of another length", object=again(salt=b64(bytes(15)))),
        no("form", "a further member", object=again(note="x")),
        no("form", "no content", object={"h": good["h"], "sig": good["sig"]}),
        no("form", "a signature of 63 bytes", object={**good, "sig": b64(unb64(good["sig"])[:63])}),
        *each_member_false(h, lambda header: {"object": {**good, "h": b64(header)}}),
        no("version", "version 2", object=again(v=2)),
        no("type", "another type", object=again(t="root")),
    ]


def root_cases() -> tuple[Case, list[Case]]:
    alice, other = Person.new("alice", "alice_phone"), Person.new("alice", "x")
    first = seal.first_entry(alice)
    key2 = EncryptionKey.new(2)
    second = seal.new_generation(first.entry, alice.key, key2, alice.identity)

    def box(kind: RootKind, n: int, seeds: bytes, user: str = "alice", urk: bytes = alice.urk) -> dict[str, Any]:
        return seal.seal_root_box(urk, user, kind, n, seeds, NOON).to_json()

    uik, puk = box(RootKind.UIK, 1, alice.identity.seeds), box(RootKind.PUK, 2, key2.seed)

    def with_members(**members: Any) -> dict[str, str]:
        h = changed(unb64(uik["h"]), **members)
        ct = root_box_key(alice.urk, unb64(json.loads(unb64(uik["h"]))["salt"]), h).seal(alice.identity.seeds, h)
        return {"h": b64(h), "ct": b64(ct)}

    h = unb64(uik["h"])
    salt = unb64(json.loads(h)["salt"])
    wrong_label = object_key(alice.urk, salt, h).seal(alice.identity.seeds, h)
    common = {
        "id": "alice",
        "pin": None,
        "urk": b64(alice.urk),
        "entries": [first.to_json(), second.to_json()],
        "kind": "uik",
        "n": 1,
    }
    return common, [
        ok("the identity", box=uik, seeds=b64(alice.identity.seeds)),
        ok("an encryption key", box=puk, seeds=b64(key2.seed), kind="puk", n=2),
        no("object", "of another user", box=box(RootKind.UIK, 1, alice.identity.seeds, user="bob")),
        no("object", "of another kind", box=puk),
        no("object", "another number", box=box(RootKind.PUK, 1, alice.key.seed), kind="puk", n=2),
        no("aead", "another root key", box=uik, urk=b64(other.urk)),
        no("aead", "bent", box={**uik, "ct": bent(uik["ct"])}),
        no("aead", "sealed as an object", box={**uik, "ct": b64(wrong_label)}),
        no(
            "aead",
            "sealed without the header",
            box={**uik, "ct": b64(root_box_key(alice.urk, salt, h).seal(alice.identity.seeds, b""))},
        ),
        no("member key", "another identity", box=box(RootKind.UIK, 1, other.identity.seeds)),
        no("member key", "half an identity", box=box(RootKind.UIK, 1, alice.identity.ed_seed)),
        no(
            "member key",
            "the identity's halves exchanged",
            box=box(RootKind.UIK, 1, alice.identity.ml_seed + alice.identity.ed_seed),
        ),
        no("member key", "another encryption key", box=box(RootKind.PUK, 2, alice.key.seed), kind="puk", n=2),
        no("form", "another kind of thing", box=with_members(kind="dsk")),
        no("form", "n is 0", box=with_members(n=0)),
        no("form", "a further member", box=with_members(note="x")),
        no("form", "no content", box={"h": uik["h"]}),
        *each_member_false(h, lambda header: {"box": {**uik, "h": b64(header)}}),
        no("version", "version 2", box=with_members(v=2)),
        no("type", "another type", box=with_members(t="obj")),
    ]


def inbound_cases() -> tuple[Case, list[Case]]:
    world = linden("inbound")
    world.change(TEAM, "bob", "bob")
    generations, keys = world.teams[TEAM], world.team_keys[TEAM]
    item = objects.seal_inbound(generations[1].entry, b"Are you open on Sunday?", Via.MAIL)
    old = objects.seal_inbound(generations[0].entry, b"Earlier", Via.FORM)
    good = item.to_json()

    def again(content: bytes | None = None, **members: Any) -> dict[str, str]:
        h = changed(item.h, **members)
        return {
            "h": b64(h),
            "ct": b64(hpke.seal(keys[1].public, pae("inbound", h), pad(b"x") if content is None else content)),
        }

    common = {"world": world.text(), "team": TEAM, "id": item.id, "seed": b64(keys[1].seed)}
    return common, [
        ok("a mail", item=good, content=b64(b"Are you open on Sunday?")),
        ok("to an older generation", item=old.to_json(), id=old.id, content=b64(b"Earlier"), seed=b64(keys[0].seed)),
        no("object", "another item", item=old.to_json()),
        no("object", "of another team", item=again(team="rowan_pharmacists")),
        no("member key", "to a key that is not the team's", item=again(kid=b64(bytes(16)))),
        no("member key", "a generation that there is not", item=again(gen=3)),
        no("member key", "the key of another generation", item=again(gen=1)),
        no("wrap", "another seed", item=good, seed=b64(keys[0].seed)),
        no("wrap", "another header", item={**good, "h": b64(changed(item.h, via="form"))}),
        no("wrap", "bent", item={**good, "ct": bent(good["ct"])}),
        no("padding", "not padded", item=again(b"Are you open on Sunday?")),
        no("form", "came by pigeon", item=again(via="pigeon")),
        no("form", "an id of another form", item=again(id="x")),
        no("form", "a kid of another length", item=again(kid=b64(bytes(15)))),
        no("form", "gen is 0", item=again(gen=0)),
        no("form", "a further member", item=again(sender="x")),
        no("form", "no content", item={"h": good["h"]}),
        *each_member_false(item.h, lambda h: {"item": {**good, "h": b64(h)}}),
        no("version", "version 2", item=again(v=2)),
        no("type", "another type", item=again(t="obj")),
    ]


# Recovery.

PASSPHRASE = "correct horse battery staple"


def recovery_cases() -> tuple[Case, list[Case]]:
    urk, code = ids.random_bytes(32), recovery.make_code()
    by_words = recovery.wrap_by_passphrase(urk, "alice", PASSPHRASE).to_json()
    by_code = recovery.wrap_by_code(urk, "alice", code).to_json()
    costly = recovery.wrap_by_passphrase(urk, "alice", PASSPHRASE, recovery.Argon2Cost(65_536, 4, 2)).to_json()
    accents = recovery.wrap_by_passphrase(urk, "alice", "Café Müller \ufb01nds 12 pills").to_json()
    other = recovery.make_code()

    def words(**members: Any) -> dict[str, Any]:
        return {**by_words, **members}

    weak = {
        "less memory": "argon2id,v=19,m=65535,t=3,p=1",
        "much less memory": "argon2id,v=19,m=8,t=3,p=1",
        "too much memory": "argon2id,v=19,m=1048577,t=3,p=1",
        "fewer passes": "argon2id,v=19,m=65536,t=2,p=1",
        "too many passes": "argon2id,v=19,m=65536,t=17,p=1",
        "too many lanes": "argon2id,v=19,m=65536,t=3,p=5",
        "no lanes": "argon2id,v=19,m=65536,t=3,p=0",
        "an older version": "argon2id,v=16,m=65536,t=3,p=1",
        "another function": "argon2i,v=19,m=65536,t=3,p=1",
        "another order": "argon2id,v=19,t=3,m=65536,p=1",
        "a leading zero": "argon2id,v=19,m=065536,t=3,p=1",
        "a line break after it": "argon2id,v=19,m=65536,t=3,p=1\n",
        "other digits": "argon2id,v=19,m=\u0666\u0665\u0665\u0663\u0666,t=3,p=1",
        "none": "",
        "those of a code": "hkdf",
    }
    return {"user": "alice", "urk": b64(urk), "secret": PASSPHRASE, "wrap": by_words}, [
        ok("by passphrase"),
        ok("by passphrase, typed with other spaces", secret="  correct\thorse  battery\r\nstaple "),
        ok(
            "by passphrase in other letters of the same form",
            wrap=accents,
            secret="Cafe\u0301 Mu\u0308ller finds \uff11\uff12 pills",
        ),
        ok("by passphrase under a higher cost", wrap=costly),
        ok("by code", wrap=by_code, secret=code),
        ok(
            "by code, as people type",
            wrap=by_code,
            secret=code.lower().replace("-", " ").replace("0", "o").replace("1", "l"),
        ),
        no("aead", "another passphrase", secret=PASSPHRASE + "s"),
        no("aead", "capitals matter", secret=PASSPHRASE.title()),
        no("aead", "another code", wrap=by_code, secret=other),
        no("aead", "a costly wrap whose cost was lowered", wrap={**costly, "params": by_words["params"]}),
        no("aead", "bent", wrap=words(ct=bent(by_words["ct"]))),
        no("object", "of somebody else", user="bob"),
        no("aead", "of somebody else, renamed", wrap=words(user="bob"), user="bob"),
        no("code", "a passphrase for a code", wrap=by_code),
        no(
            "parameters",
            "a code with the parameters of a passphrase",
            wrap={**by_code, "params": by_words["params"]},
            secret=code,
        ),
        *(no("parameters", f"parameters: {name}", wrap=words(params=params)) for name, params in weak.items()),
        no("form", "salt of another length", wrap=words(salt=b64(bytes(15)))),
        no("form", "iv of another length", wrap=words(iv=b64(bytes(16)))),
        no("form", "ct of another length", wrap=words(ct=b64(bytes(47)))),
        no("form", "another method", wrap=words(method="pin")),
        no("form", "a further member", wrap=words(hint="x")),
        no("form", "no salt", wrap={name: value for name, value in by_words.items() if name != "salt"}),
        *(no("form", f"urk: {name} is false", wrap=words(**{name: False})) for name in by_words if name not in "vt"),
        no("form", "version is true", wrap=words(v=True)),
        no("version", "version 2", wrap=words(v=2)),
        no("type", "another type", wrap=words(t="root")),
    ]


def code_cases() -> tuple[Case, list[Case]]:
    code = "0123-4567-89AB-CDEF-GHJK-MNPQ-RS"
    symbols = code.replace("-", "")
    whole = symbols + recovery.check_symbol(symbols)
    zeros, ones = "0" * 26, "Z" * 26
    swapped = whole[1] + whole[0] + whole[2:]
    extended = _with_check("U")
    return {}, [
        ok("in groups", typed=code + whole[-1], symbols=symbols),
        ok("in small letters with spaces", typed=" ".join(whole.lower()), symbols=symbols),
        ok("O, I and L for 0 and 1", typed=whole.replace("0", "O").replace("1", "i", 1), symbols=symbols),
        ok("all zeros", typed=zeros + "0", symbols=zeros),
        ok("all Z", typed=ones + recovery.check_symbol(ones), symbols=ones),
        ok("check symbol U", typed=extended.lower(), symbols=extended[:-1]),
        ok("check symbol *", typed=_with_check("*"), symbols=_with_check("*")[:-1]),
        ok("check symbol =", typed=_with_check("="), symbols=_with_check("=")[:-1]),
        no("code", "one symbol changed", typed="Z" + whole[1:]),
        no("code", "two symbols exchanged", typed=swapped),
        no("code", "a wrong check symbol", typed=symbols + ("0" if whole[-1] != "0" else "1")),
        no("code", "one symbol short", typed=whole[:-1]),
        no("code", "one symbol more", typed="0" + whole),
        no("code", "U inside", typed="U" + whole[1:]),
        no("code", "a check symbol inside", typed="*" + whole[1:]),
        no("code", "another mark between the groups", typed=code.replace("-", ".") + whole[-1]),
        no("code", "nothing", typed=""),
        no("code", "a digit of another script", typed="\uff10" + whole[1:]),
    ]


def _with_check(symbol: str) -> str:
    """The smallest code that ends with this check symbol."""
    number = recovery.CHECK_ALPHABET.index(symbol)
    symbols = ("0" * 24) + recovery.ALPHABET[number // 32] + recovery.ALPHABET[number % 32]
    return symbols + recovery.check_symbol(symbols)


# Files.


def attachment_cases() -> tuple[Case, list[Case]]:
    def sealed(content: bytes, id: str = "a1") -> Case:
        file = attachments.seal_file(THREAD, id, content)
        return facts(file.stored, file.key, file.size, file.hash, id)

    def facts(stored: bytes, key: bytes, size: int, hash: bytes, id: str = "a1") -> Case:
        return {
            "thread": THREAD,
            "id": id,
            "key": b64(key),
            "size": size,
            "cth": b64(sha256(stored)),
            "hash": b64(hash),
            "stored": b64(stored),
        }

    def restored(case: Case, stored: bytes) -> Case:
        return {**case, "stored": b64(stored), "cth": b64(sha256(stored))}

    content = bytes(range(256)) * 160
    big, small = sealed(content), sealed(b"one page")
    stored = unb64(big["stored"])
    head, chunks = stored[:56], [stored[56 + at * 16_400 : 56 + (at + 1) * 16_400] for at in range(3)]
    key = ids.random_bytes(32)
    dirty = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    padded = b"one page".ljust(256, b"x")
    dirty_stored = dirty.begin() + dirty.update(padded) + dirty.finish()
    full = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    full_stored = full.begin() + full.update(bytes(16_384)) + full.finish()
    loose = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    loose_stored = loose.begin() + loose.update(b"one page".ljust(512, b"\0")) + loose.finish()
    return {}, [
        ok("nothing", **sealed(b"")),
        ok("one page", **small),
        ok("three chunks", **big),
        ok("exactly one chunk", **sealed(bytes(16_384))),
        no("attachment", "a chunk cut off", **restored(big, head + chunks[0] + chunks[1])),
        no("attachment", "chunks exchanged", **restored(big, head + chunks[1] + chunks[0] + chunks[2])),
        no("attachment", "a chunk twice", **restored(big, head + chunks[0] + chunks[0] + chunks[1] + chunks[2])),
        no("attachment", "the first chunk missing", **restored(big, head + chunks[1] + chunks[2])),
        no("attachment", "something behind it", **restored(big, stored + chunks[0])),
        no(
            "attachment",
            "ends with a full chunk",
            **facts(full_stored[: 56 + 16_400], key, 16_384, sha256(bytes(16_384))),
        ),
        no("attachment", "a bit of the commitment", **restored(small, _bit(unb64(small["stored"]), 30))),
        no("attachment", "a bit of the salt", **restored(small, _bit(unb64(small["stored"]), 3))),
        no("attachment", "a bit of the content", **restored(small, _bit(unb64(small["stored"]), 60))),
        no("attachment", "shorter than its head", **restored(small, unb64(small["stored"])[:40])),
        no("attachment", "without a chunk", **restored(small, unb64(small["stored"])[:56])),
        no("attachment", "another attachment's place", **{**small, "id": "a2"}),
        no("attachment", "another thread's place", **{**small, "thread": "0" * 32}),
        no("attachment", "another key", **{**small, "key": b64(key)}),
        no("attachment", "other bytes than the header names", **{**small, "cth": big["cth"]}),
        no("attachment", "another hash of the content", **{**small, "hash": big["hash"]}),
        no("attachment", "a shorter size in the same bucket", **{**small, "size": 7}),
        no("attachment", "a size of another bucket", **{**small, "size": 300}),
        no("attachment", "filled with something else than zeros", **facts(dirty_stored, key, 8, sha256(b"one page"))),
        no("attachment", "a bucket too large", **facts(loose_stored, key, 8, sha256(b"one page"))),
    ]


def _bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def safety_cases() -> tuple[Case, list[Case]]:
    world = linden("safety")
    alice = world.people["alice"]
    first = world.chains["alice"][0]
    second = seal.new_generation(first.entry, alice.key, EncryptionKey.new(2), alice.identity)
    fresh = Identity.new()
    third = seal.new_identity(second.entry, alice.identity, fresh, EncryptionKey.new(3))
    bob_h = world.chains["bob"][0].entry.h

    def case(name: str, *headers: bytes) -> Case:
        number = safety.safety_number(*headers)
        return ok(name, headers=[b64(h) for h in headers], digits=number.digits, qr=number.qr_text)

    entries = [first.entry, second.entry, third.entry]
    return {}, [
        case("alice and bob", first.entry.h, bob_h),
        case("bob and alice, the same", bob_h, first.entry.h),
        case("unchanged by a new encryption key", directory.identity_entry(entries[:2]).h, bob_h),
        case("changed by a new identity", directory.identity_entry(entries).h, bob_h),
        case("the team's own, as on the poster", world.teams[TEAM][0].h),
    ]


FILES: Mapping[str, Callable[[], tuple[Case, list[Case]]]] = {
    "attachments": attachment_cases,
    "certificates": certificate_cases,
    "codes": code_cases,
    "directory": directory_cases,
    "hpke": hpke_cases,
    "hybrid": hybrid_cases,
    "inbound": inbound_cases,
    "objects": object_cases,
    "prevseeds": prevseed_cases,
    "receipts": receipt_cases,
    "recovery": recovery_cases,
    "reports": report_cases,
    "revocations": revocation_cases,
    "roots": root_cases,
    "safety": safety_cases,
    "sessions": session_cases,
    "teams": team_cases,
    "threads": thread_cases,
}
RANDOMNESS = Randomness()


def make(kind: str) -> str:
    """The text of one file."""
    RANDOMNESS.begin(kind)
    with fixed(RANDOMNESS):
        common, cases = FILES[kind]()
    return json.dumps({"common": common, "cases": cases}, indent=1) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for kind in FILES:
        (FOLDER / f"{kind}.json").write_text(make(kind))
    TAPE.write_text(json.dumps(dict(sorted(RANDOMNESS.used.items())), indent=0) + "\n")
    sys.stdout.write(f"{len(FILES)} files\n")


if __name__ == "__main__":
    main()
