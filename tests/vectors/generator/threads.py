"""Threads: what may lie in them, and what must not (docs/protocol.md sections 4 and 5)."""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from portal.e2ee import seal
from portal.e2ee.directory import EntryRole
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device, Person
from portal.e2ee.records import Role
from portal.e2ee.seal import Party, Writer

from .building import NOON, TEAM, THREAD, Case, Talk, World, changed, each_member_false, key_text, linden, no, ok, raw
from .rekeying import begun_anew_cases, reset_cases, rotation_cases, shut_cases, vouching_cases


@dataclass(frozen=True)
class Cast:
    """Who takes part: Alice and her pharmacy's team, Carol's team, Dave, and Alice's tablet, which is taken back."""

    world: World
    patient: Party
    team: Party
    tablet: Device
    rowan: Party


def thread_cases() -> tuple[Case, list[Case]]:
    world = linden()
    alice = world.people["alice"]
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    tablet = world.device("alice", "alice_tablet")
    world.found("rowan_pharmacists", "carol")
    cast = Cast(world, patient, team, tablet, world.party("rowan_pharmacists", Role.TEAM))
    world.revocations.append(
        {
            "user": "alice",
            "dev": "alice_tablet",
            "revocation": seal.revocation(alice.identity, "alice", "alice_tablet", NOON),
        }
    )
    common: Case = {"thread": THREAD, "min_head": None, "keys": [key_text("alice", alice.key)], "world": world.text()}
    # In this order: each group draws from the same stream of numbers.
    of_the_cast = [
        *_asked_and_answered(cast),
        *_taken_back(cast),
        *_by_who_has_left(cast),
        *_from_a_lost_device(cast),
        *_enrolled_later(cast),
    ]
    return common, of_the_cast + _form_cases(
        world
    ) + reset_cases() + rotation_cases() + vouching_cases() + shut_cases() + _recovery_cases() + begun_anew_cases()


def _asked_and_answered(cast: Cast) -> list[Case]:
    """A question, its answer, and what is not let in between them."""
    world, patient, team, tablet, rowan = cast.world, cast.patient, cast.team, cast.tablet, cast.rowan
    alice, bob, carol, dave = (cast.world.people[name] for name in ("alice", "bob", "carol", "dave"))
    team_key = [key_text(TEAM, world.team_keys[TEAM][0])]
    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(alice.device, "Can I take these together?", topic="medicine")
    talk.say(bob.device, "Yes, but not at the same hour.")
    talk.say(tablet, "Thank you")
    plain = ["Can I take these together?", "Yes, but not at the same hour.", "Thank you"]
    return [
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


def _taken_back(cast: Cast) -> list[Case]:
    """Messages that were taken back, and what cannot be."""
    world, patient, team, tablet = cast.world, cast.patient, cast.team, cast.tablet
    alice, bob, dave = (cast.world.people[name] for name in ("alice", "bob", "dave"))
    taken = Talk(world)
    taken.epoch(alice.device, patient, team)
    taken.say(alice.device, "To the wrong pharmacy", topic="other")
    taken.say(bob.device, "Seen")
    taken.redact(tablet, 2)
    return [
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


def _by_who_has_left(cast: Cast) -> list[Case]:
    """Who has left takes nothing back any more."""
    world, patient, team = cast.world, cast.patient, cast.team
    alice, dave = (cast.world.people[name] for name in ("alice", "dave"))
    gone = Talk(world)
    proxy = world.party("dave", Role.PROXY)
    gone.epoch(alice.device, patient, team, proxy)
    gone.say(dave.device, "I wrote too much", topic="other")
    gone.epoch(alice.device, patient, team)
    writer = Writer(dave.device, gone.state, gone.secrets)
    back = raw(writer.redact(2, "mistake", NOON))
    return [no("not a member", "taken back by its author who has left", records=[*gone.records, back])]


def _recovery_cases() -> list[Case]:
    """The recovery of an organisation is listed in a team and speaks for it nowhere."""
    world = World("alice", "bob")
    sheets = Person.new("linden_recovery", "sheets", EntryRole.SERVICE)
    world.people["linden_recovery"], world.chains["linden_recovery"] = sheets, [seal.first_entry(sheets)]
    world.certificates["sheets"] = seal.certificate(sheets.identity, sheets.device, NOON)
    seats = [world.seat("bob"), world.seat("linden_recovery", Role.SERVICE)]
    record, key = seal.found_team(TEAM, world.people["bob"], seats)
    world.teams[TEAM], world.team_keys[TEAM] = [record], [key]
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    alice = world.people["alice"]
    talk, spoken = Talk(world), Talk(world)
    for one in (talk, spoken):
        one.epoch(alice.device, patient, team)
        one.say(alice.device, "Who is there?", topic="other")
    talk.say(world.people["bob"].device, "I am")
    spoken.say(sheets.device, "The sheets speak")
    common = {"world": world.text(), "keys": [key_text("alice", alice.key)]}
    return [
        ok("a team with a recovery in it", **common, records=talk.records, plain=["Who is there?", "I am"]),
        no("not a member", "the recovery speaks for the team", **common, records=spoken.records),
    ]


def _from_a_lost_device(cast: Cast) -> list[Case]:
    """A device that was taken back writes no more."""
    world, patient, team, tablet = cast.world, cast.patient, cast.team, cast.tablet
    alice, bob = (cast.world.people[name] for name in ("alice", "bob"))
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
    return [
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


def _enrolled_later(cast: Cast) -> list[Case]:
    """A patient who enrols later gets what was written before."""
    world, patient, team = cast.world, cast.patient, cast.team
    alice, bob, dave = (cast.world.people[name] for name in ("alice", "bob", "dave"))
    late = Talk(world)
    late.epoch(bob.device, team)
    late.say(bob.device, "before", topic="medicine")
    late.epoch(bob.device, team)
    late.say(bob.device, "between")
    late.epoch(bob.device, team, patient)
    late.history(bob.device, patient, 1, 2)
    late.say(alice.device, "after")
    return [
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
    return raw(Writer(device, talk.state_after(2), dict(talk.secrets)).epoch(parties, NOON, revoked))


def _history_by(talk: Talk, device: Device, to: Party, first: int, upto: int) -> dict[str, Any]:
    """A history record in the place of the sixth of `talk`."""
    secrets = {0: bytes(32), **talk.secrets}
    return raw(Writer(device, talk.state_after(5), secrets).history(to.entry, first, upto, NOON))
