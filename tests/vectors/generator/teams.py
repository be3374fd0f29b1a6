"""Team records (docs/protocol.md section 3)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from portal.e2ee import hpke, seal
from portal.e2ee.directory import Entry, EntryRole, SignedEntry, who
from portal.e2ee.encoding import b64, pae, sha256, unb64
from portal.e2ee.identity import EncryptionKey, Identity, Person
from portal.e2ee.keys import previous_seed_key
from portal.e2ee.records import Role
from portal.e2ee.teams import TeamMember, TeamRecord, signed_bytes

from .building import TEAM, Case, World, bent, changed, each_member_false, key_text, no, ok


def team_cases() -> tuple[Case, list[Case]]:
    world = World("bob", "erin", "frank", "dave")
    world.found(TEAM, "bob")
    world.change(TEAM, "bob", "bob", "erin")
    world.change(TEAM, "erin", "erin", "frank")
    bob, erin, frank, dave = (world.people[name] for name in ("bob", "erin", "frank", "dave"))
    records, keys = world.teams[TEAM], world.team_keys[TEAM]
    r1, r2, r3 = (record.to_json() for record in records)
    seeds = {str(key.gen): b64(key.seed) for key in keys}

    def listed(name: str, role: str = "pharmacist") -> dict[str, Any]:
        return {"id": name, "role": role, "who": b64(world.seat(name)[0].who)}

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
    twice = {"members": [listed("bob"), listed("erin"), listed("bob", "staff")]}
    foreign, _ = seal.found_team("rowan_pharmacists", dave, [world.seat("dave")])
    ghost, _ = seal.change_team(records[0], keys[0], dave, [world.seat("dave")])
    left, _ = seal.change_team(records[2], keys[2], bob, [world.seat("bob"), world.seat("erin")])
    too_early, _ = seal.change_team(records[0], keys[0], erin, [world.seat("bob"), world.seat("erin")])
    stranger = Person.new("stranger", "x")
    unheard = seal.first_entry(stranger).entry
    unknown_first, _ = seal.found_team(
        TEAM, stranger, [(TeamMember("stranger", Role.PHARMACIST, who([unheard])), unheard)]
    )
    held = {
        "bob": [key_text("bob", bob.key)],
        "erin": [key_text("erin", erin.key)],
        "frank": [key_text("frank", frank.key)],
    }
    old_kem = again(records[2], erin, h=changed(records[2].h, kem=b64(records[0].kem)))
    # Frank's keys were made for him by a colleague: he may be listed, and signs nothing with them.
    frank_ahead = seal.entry_ahead(frank)
    frank_own = seal.new_identity(frank_ahead.entry, frank.identity, Identity.new(), EncryptionKey.new(2))
    users = {name: [signed.to_json() for signed in chain] for name, chain in world.chains.items()}
    untouched, taken = (
        {"users": {**users, "frank": chain}, "teams": {}, "devices": {}, "revocations": []}
        for chain in ([frank_ahead.to_json()], [frank_ahead.to_json(), frank_own.to_json()])
    )
    by_frank = again(
        records[0], frank, h=changed(records[0].h, members=[{**listed("frank"), "who": b64(who([frank_ahead.entry]))}])
    )
    by_frank["w"] = {"frank": by_frank["w"]["bob"]}
    by_frank["sig"] = frank.identity.sign(
        signed_bytes(unb64(by_frank["h"]), {"frank": records[0].wraps["bob"]}, records[0].prev)
    )
    cases = [
        ok(
            "a member whose keys were made ahead",
            world=untouched,
            records=[r1, r2, r3],
            member="frank",
            keys=held["frank"],
            seeds=seeds,
        ),
        no("unknown user", "signed by an identity made ahead", world=untouched, records=[by_frank]),
        no("certificate", "signed by an identity made ahead that was taken over", world=taken, records=[by_frank]),
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
            records=[r1, second_with(members=[listed("bob"), listed("erin", "staff")])],
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
            records=[r1, second_with(members=[listed("bob", "patient"), listed("erin")])],
        ),
        no(
            "form",
            "a member with a further name",
            records=[r1, second_with(members=[{**listed("bob"), "gen": 1}])],
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
            records=[
                r1,
                second_with(members=[{**listed("bob", "staff"), "id": f"p{number}"} for number in range(257)]),
            ],
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
    cases += _recovery_cases(world, r1)
    cases += _identity_cases(world, r1)
    world.teams = {}
    return {"id": TEAM, "pin": None, "world": world.text()}, cases


def _identity_cases(world: World, r1: dict[str, Any]) -> list[Case]:
    """Bob is listed by his identity: what he signs to follow it counts, and nobody else's keys in his name do."""
    bob = world.people["bob"]
    first, old = world.teams[TEAM][0], world.team_keys[TEAM][0]
    begun = world.chains["bob"][0]
    new = Identity.new()
    followed = seal.new_identity(begun.entry, bob.identity, new, EncryptionKey.new(2))
    reset = seal.reset_entry(begun.entry, new, EncryptionKey.new(2))
    after_reset = seal.new_identity(reset.entry, new, Identity.new(), EncryptionKey.new(3))
    posing = Person.new("bob", "elsewhere")

    def shown(*chain: SignedEntry) -> dict[str, Any]:
        users = {name: [signed.to_json() for signed in own] for name, own in world.chains.items()}
        users["bob"] = [signed.to_json() for signed in chain]
        return {"users": users, "teams": {}, "devices": {}, "revocations": []}

    def second(by: Person) -> dict[str, Any]:
        return seal.change_team(first, old, by, [world.seat("bob"), world.seat("erin")])[0].to_json()

    renewed = replace(bob, identity=new)
    by_the_other = [seal.change_team(first, old, posing, [world.seat("bob"), world.seat("erin")])[0].to_json()]
    relisted = seal.change_team(
        first, old, renewed, [(TeamMember("bob", Role.PHARMACIST, who([followed.entry])), followed.entry)]
    )[0]
    return [
        ok(
            "signed by an identity that followed the listed one",
            world=shown(begun, followed),
            records=[r1, second(renewed)],
        ),
        ok(
            "signed by the listed identity, which another followed",
            world=shown(begun, followed),
            records=[r1, second(bob)],
        ),
        no("certificate", "signed by keys begun anew", world=shown(begun, reset), records=[r1, second(renewed)]),
        no(
            "certificate",
            "signed by keys that follow those begun anew",
            world=shown(begun, reset, after_reset),
            records=[r1, second(renewed)],
        ),
        ok("begun anew, and what was signed before", world=shown(begun, reset), records=[r1, second(bob)]),
        no(
            "unknown user",
            "another chain in the maker's name",
            world=shown(seal.first_entry(posing)),
            records=[r1, *by_the_other],
        ),
        no(
            "unknown user",
            "the first under another chain in the founder's name",
            world=shown(seal.first_entry(posing)),
            records=[{**r1, "sig": posing.identity.sign(signed_bytes(first.h, first.wraps, first.prev))}],
        ),
        no(
            "certificate",
            "signed by an identity before the listed one",
            world=shown(begun, followed),
            records=[
                r1,
                relisted.to_json(),
                seal.change_team(relisted, EncryptionKey.new(2), bob, [world.seat("erin")])[0].to_json(),
            ],
        ),
    ]


def _recovery_cases(world: World, r1: dict[str, Any]) -> list[Case]:
    """The pharmacy's recovery in the team, what it may do there, and others in its place."""
    bob, dave = world.people["bob"], world.people["dave"]
    sheets, rowan = (Person.new(f"{name}_recovery", "sheets", EntryRole.SERVICE) for name in ("linden", "rowan"))
    entries = {one.id: seal.first_entry(one) for one in (sheets, rowan)}
    users = {name: [signed.to_json() for signed in chain] for name, chain in world.chains.items()}
    users |= {name: [signed.to_json()] for name, signed in entries.items()}
    base = {"world": {"users": users, "teams": {}, "devices": {}, "revocations": []}}
    first, old = world.teams[TEAM][0], world.team_keys[TEAM][0]

    def seat(one: Person, role: Role = Role.SERVICE) -> tuple[TeamMember, Entry]:
        entry = entries[one.id].entry
        return TeamMember(one.id, role, who([entry])), entry

    listed, key = seal.change_team(first, old, bob, [world.seat("bob"), seat(sheets)])
    used, newest = seal.change_team(listed, key, sheets, [seat(sheets), world.seat("dave")])
    r2, r3 = listed.to_json(), used.to_json()
    seeds = {str(it.gen): b64(it.seed) for it in (old, key, newest)}

    def next_by_bob(*members: tuple[TeamMember, Entry]) -> list[dict[str, Any]]:
        return [r1, seal.change_team(first, old, bob, members)[0].to_json()]

    alone, _ = seal.found_team(TEAM, sheets, [seat(sheets), world.seat("bob")])
    unlisted, _ = seal.change_team(first, old, sheets, [seat(sheets), world.seat("dave")])
    foreign, _ = seal.change_team(first, old, rowan, [seat(sheets), world.seat("dave")])
    return [
        ok("the recovery opens it", **base, records=[r1, r2], member=sheets.id, keys=[key_text(sheets.id, sheets.key)]),
        ok(
            "let in by the recovery",
            **base,
            records=[r1, r2, r3],
            member="dave",
            keys=[key_text("dave", dave.key)],
            seeds=seeds,
        ),
        no(
            "membership",
            "the recovery as a pharmacist",
            **base,
            records=next_by_bob(world.seat("bob"), seat(sheets, Role.PHARMACIST)),
        ),
        no(
            "membership",
            "the recovery of another pharmacy",
            **base,
            records=next_by_bob(world.seat("bob"), seat(rowan)),
        ),
        no(
            "membership",
            "a person as the recovery",
            **base,
            records=next_by_bob(world.seat("bob"), world.seat("dave", Role.SERVICE)),
        ),
        no("form", "the recovery alone", **base, records=next_by_bob(seat(sheets))),
        no("creator", "founded by the recovery", **base, records=[alone.to_json()]),
        no("creator", "by the recovery before it was listed", **base, records=[r1, unlisted.to_json()]),
        no("creator", "by the recovery of another pharmacy", **base, records=[r1, foreign.to_json()]),
    ]


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
