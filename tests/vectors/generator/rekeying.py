"""Threads in which somebody started again or has a new key (docs/protocol.md sections 3 to 5)."""

from dataclasses import replace

from portal.e2ee import seal
from portal.e2ee.identity import Device, EncryptionKey, Identity
from portal.e2ee.records import AnyRecord, Role
from portal.e2ee.seal import Party, Writer

from .building import NOON, TEAM, Case, Talk, World, key_text, linden, no, ok, raw


def reset_cases() -> list[Case]:
    """Alice loses everything, starts again, and the server still has her old identity's signatures."""
    world = linden()
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
    early = Writer(stolen, talk.state_after(2), {1: talk.secrets[1]})
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
            records=[*talk.records[:2], raw(Writer(stolen, talk.state_after(2)).epoch([after, team], NOON))],
            **shared,
        ),
        no(
            "member key",
            "back to the old generation",
            records=[*talk.records, raw(talk.by(bob.device).epoch([before, team], NOON))],
            **shared,
        ),
    ]


def rotation_cases() -> list[Case]:
    """The team changes; who may speak is decided by the generation that the epoch names."""
    world = World("alice", "bob", "erin")
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


def vouching_cases() -> list[Case]:
    """Alice starts again; a pharmacist, or the privacy team in its own threads, says that it is she; no one else."""
    world = World("alice", "bob", "frank", "heidi")
    for team, seats in (
        ("linden_desk", [world.seat("bob"), world.seat("frank", Role.STAFF)]),
        ("linden_privacy", [world.seat("heidi", Role.STAFF), world.seat("frank", Role.STAFF)]),
    ):
        record, key = seal.found_team(team, world.people[seats[0][0].id], seats)
        world.teams[team], world.team_keys[team] = [record], [key]
    alice, bob, frank, heidi = (world.people[name] for name in ("alice", "bob", "frank", "heidi"))
    before = world.party("alice", Role.PATIENT)
    desk, privacy = world.party("linden_desk", Role.TEAM), world.party("linden_privacy", Role.TEAM)
    talks: dict[str, Talk] = {}
    for team in (desk, privacy):
        talk = talks[team.entry.id] = Talk(world)
        talk.epoch(alice.device, before, team)
        talk.say(alice.device, "before", topic="order")
    fresh, key = Identity.new(), EncryptionKey.new(2)
    world.chains["alice"].append(seal.reset_entry(before.entry, fresh, key))
    # A later identity with the same key does not hide the reset below it.
    renewed = Identity.new()
    world.chains["alice"].append(seal.new_identity(world.chains["alice"][-1].entry, fresh, renewed, key))
    after = world.party("alice", Role.PATIENT)
    alice.identity = renewed
    phone = world.device("alice", "alice_new_phone")
    shared: Case = {
        "world": world.text(),
        "keys": [key_text("alice", key), key_text("alice", alice.key)],
        "plain": ["before"],
    }

    def let_in(by: Device, team: Party, *more: Party) -> list[Case]:
        talk = talks[team.entry.id]
        return [*talk.records, raw(talk.by(by).epoch([after, team, *more], NOON))]

    return [
        ok("a pharmacist of the desk lets her in", records=let_in(bob.device, desk), **shared),
        ok("the privacy officer lets her in", records=let_in(heidi.device, privacy), **shared),
        no("membership", "a technician lets her in", records=let_in(frank.device, desk), **shared),
        no("membership", "she lets herself in", records=let_in(phone, desk), **shared),
        no(
            "membership",
            "a technician brings the privacy team, where he sits too",
            records=let_in(frank.device, desk, privacy),
            **shared,
        ),
    ]


def shut_cases() -> list[Case]:
    """The account of a patient was closed: she stays listed, and noise lies where her seal would be."""
    world = linden()
    alice, bob = world.people["alice"], world.people["bob"]
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(alice.device, "before", topic="medicine")
    talk.epoch(bob.device, replace(patient, shut=True), team)
    talk.say(bob.device, "while she is away")
    shared: Case = {"world": world.text(), "records": talk.records}
    return [
        ok(
            "noise in place of a seal, read by the team",
            plain=["before", "while she is away"],
            keys=[key_text(TEAM, world.team_keys[TEAM][0])],
            **shared,
        ),
        ok(
            "noise in place of a seal, read by the one it is for",
            plain=["before", None],
            unreadable=[4],
            faults={"3": "wrap"},
            keys=[key_text("alice", alice.key)],
            **shared,
        ),
    ]


def begun_anew_cases() -> list[Case]:
    """The server begins keys anew in the name of a pharmacist, and of Alice, in a thread that names the keys before."""
    world = World("alice", "bob", "erin")
    world.found(TEAM, "bob", "erin")
    alice, bob, erin = (world.people[name] for name in ("alice", "bob", "erin"))
    patient, team = world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM)
    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(bob.device, "It is ready", topic="medicine")
    talk.epoch(erin.device, patient, team)
    # An heir: Erin's identity is a new one, which the one before has signed.
    renewed = Identity.new()
    world.chains["erin"].append(seal.new_identity(world.chains["erin"][-1].entry, erin.identity, renewed, erin.key))
    erin.identity = renewed
    heir = world.device("erin", "erin_tablet")
    talk.say(heir, "Until six")
    her_false = world.begun_anew("alice", "alice_false")
    false = world.begun_anew("bob", "bob_false")
    plain = ["It is ready", "Until six"]
    shared: Case = {"world": world.text(), "keys": [key_text("alice", alice.key)]}

    def then(record: AnyRecord) -> list[Case]:
        return [*talk.records, raw(record)]

    forged = then(talk.by(false).message(b"Come at once", NOON))
    cases = [
        ok(
            "a new identity that the listed one has signed speaks for the team",
            records=list(talk.records),
            plain=plain,
            **shared,
        ),
        no("not a member", "keys begun anew in a pharmacist's name write", records=forged, **shared),
        no("creator", "they make an epoch", records=then(talk.by(false).epoch([patient, team], NOON)), **shared),
        no(
            "history",
            "they hand on what was said",
            records=then(talk.by(false).history(patient.entry, 1, 1, NOON)),
            **shared,
        ),
        no(
            "not a member",
            "they take a message back",
            records=then(talk.by(false).redact(2, "mistake", NOON)),
            **shared,
        ),
        no(
            "certificate",
            "keys begun anew in alice's name write under the epoch with those before",
            records=then(talk.by(her_false).message(b"Send it to Dave", NOON)),
            **shared,
        ),
        no(
            "certificate",
            "they make an epoch with those before",
            records=then(talk.by(her_false).epoch([patient, team], NOON)),
            **shared,
        ),
    ]
    world.change(TEAM, "erin", "erin", "bob")
    talk.epoch(heir, patient, world.party(TEAM, Role.TEAM))
    let_in: Case = {"world": world.text(), "keys": [key_text("alice", alice.key)]}
    old = then(talk.by(bob.device).message(b"with the old keys", NOON))
    talk.say(false, "I am back")
    return [
        *cases,
        ok(
            "a pharmacist who began anew and was let in speaks for the team",
            records=talk.records,
            plain=[*plain, "I am back"],
            **let_in,
        ),
        no("not a member", "the keys from before no longer do", records=old, **let_in),
    ]
