"""Chains of persons' entries, and the older seeds they lead back to (docs/protocol.md section 3)."""

import json
from typing import Any

from portal.e2ee import seal
from portal.e2ee.directory import EntryRole, SignedEntry
from portal.e2ee.encoding import b64, pae, sha256
from portal.e2ee.identity import EncryptionKey, Identity, Person
from portal.e2ee.keys import previous_seed_key

from .building import Case, bent, changed, each_member_false, no, ok, signed_again


def _recovery_cases() -> list[Case]:
    """An organisation's recovery is a service, whatever else somebody makes of its id."""
    service, person = (Person.new("linden_recovery", "sheets", role) for role in (EntryRole.SERVICE, EntryRole.PERSON))
    whole, false = (seal.first_entry(one).to_json() for one in (service, person))
    return [
        ok("the recovery of an organisation", id="linden_recovery", entries=[whole], n=1, gen=1, resets=[]),
        no("chain", "somebody with the id of a recovery", id="linden_recovery", entries=[false]),
    ]


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
    ahead = seal.entry_ahead(alice)
    taken = seal.new_identity(ahead.entry, alice.identity, fresh, key2)
    same_ed = Identity.from_seeds(alice.identity.seeds[:32] + fresh.seeds[32:])
    same_ml = Identity.from_seeds(fresh.seeds[:32] + alice.identity.seeds[32:])

    def after_ahead(signed: SignedEntry) -> list[dict[str, Any]]:
        return [ahead.to_json(), signed.to_json()]

    def made_ahead(**members: Any) -> list[dict[str, Any]]:
        return [signed_again(None, changed(ahead.entry.h, **members), alice.identity, None)]

    cases = [
        ok("one entry", entries=[e1], n=1, gen=1, resets=[]),
        ok("a new generation", entries=[e1, e2], n=2, gen=2, resets=[]),
        ok("a new identity that the old one vouches for", entries=[e1, e2, e3], n=3, gen=2, resets=[]),
        ok("as far as the pin", entries=[e1, e2], pin=pin(second), n=2, gen=2, resets=[]),
        ok("beyond the pin", entries=[e1, e2, e3], pin=pin(second), n=3, gen=2, resets=[]),
        ok("a reset above the pin waits for a person", entries=[e1, er, ea], pin=pin(first), n=3, gen=3, resets=[2]),
        ok("a reset at the pin is confirmed", entries=[e1, er], pin=pin(reset), n=2, gen=2, resets=[]),
        ok("a reset on first contact", entries=[e1, er], n=2, gen=2, resets=[2]),
        ok("made ahead by a colleague", entries=[ahead.to_json()], n=1, gen=1, resets=[]),
        ok("made ahead, and taken over", entries=after_ahead(taken), n=2, gen=2, resets=[]),
        ok(
            "made ahead, and started again instead",
            entries=after_ahead(seal.reset_entry(ahead.entry, fresh, key2)),
            n=2,
            gen=2,
            resets=[2],
        ),
        no(
            "member key",
            "what was made ahead is only given a new key",
            entries=after_ahead(seal.new_generation(ahead.entry, alice.key, key2, alice.identity)),
        ),
        no(
            "member key",
            "half of an identity made ahead stays, Ed25519",
            entries=after_ahead(seal.new_identity(ahead.entry, alice.identity, same_ed, key2)),
        ),
        no(
            "member key",
            "half of an identity made ahead stays, ML-DSA",
            entries=after_ahead(seal.new_identity(ahead.entry, alice.identity, same_ml, key2)),
        ),
        no(
            "member key",
            "the encryption key made ahead stays",
            entries=after_ahead(seal.new_identity(ahead.entry, alice.identity, fresh, alice.key)),
        ),
        no("form", "a second entry made ahead", entries=[e1, second_with(ahead=True)]),
        no("form", "a service made ahead", entries=made_ahead(role="service")),
        no("form", "made ahead, and a reset", entries=made_ahead(reset=True)),
        no("form", "ahead is false", entries=made_ahead(ahead=False)),
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
    return {"id": "alice", "pin": None}, cases + _recovery_cases()


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
    ahead = seal.entry_ahead(alice)
    taken = seal.new_identity(ahead.entry, alice.identity, Identity.new(), key2, alice.key)
    seeds = {"1": b64(alice.key.seed), "2": b64(key2.seed), "3": b64(key3.seed)}
    two = {"1": seeds["1"], "2": seeds["2"]}
    return {"id": "alice", "pin": None, "seed": b64(key2.seed)}, [
        ok("one step", entries=texts[:2], seeds=two),
        ok("two steps", entries=texts, seed=b64(key3.seed), seeds=seeds),
        ok("back to the key that was made ahead", entries=[ahead.to_json(), taken.to_json()], seeds=two),
        ok("nothing is left of what was before a reset", entries=[texts[0], reset.to_json()], seeds={"2": seeds["2"]}),
        no("wrap", "another seed", entries=texts[:2], seed=b64(key3.seed)),
        no("wrap", "hides a seed of another key", entries=[texts[0], lying]),
        no("wrap", "sealed under the label of teams", entries=[texts[0], label]),
        no("wrap", "sealed without the header", entries=[texts[0], aad]),
        no("wrap", "bent", entries=[texts[0], {**texts[1], "prevseed": bent(texts[1]["prevseed"])}]),
    ]
