"""Erin starts alone on Monday; on Friday Bob made her first keys and gave her a code. She reads at once, she alone."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from world import World, build
from world_keys import BOX, Keys, certificate, raw, vault

from portal.accounts import ahead, devices, directory, recovery
from portal.accounts import vault as vaults
from portal.accounts.tables import KeyVault, RecoveryWrap
from portal.audit.tables import AuditEvent
from portal.connector.keys import restored
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, Unprocessable
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.open import open_team
from portal.pharmacies import generations, staff, team_records, teams
from portal.pharmacies.teams import Seat, State

PHARMACISTS = "riverside_pharmacists"
DESK = "riverside_desk"


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob", "carol", "alice")
    made.team(PHARMACISTS, "bob", "bob")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


@dataclass
class Handed:
    """What Bob's browser makes for somebody, and the code on the sheet."""

    person: Person
    code: str
    entry: dict[str, Any]
    vault: dict[str, object]
    wrap: dict[str, Any]


def made_for(world: World, name: str) -> Handed:
    person, code = Person.new(world.accounts[name], ids.random_id()), ways.make_code()
    wrap = ways.wrap_by_code(person.urk, person.id, code).to_json()
    return Handed(person, code, seal.entry_ahead(person).to_json(), vault(person), wrap)


def hand_over(keys: Keys, handed: Handed, by: str = "bob", team: str = PHARMACISTS, **other: Any) -> None:
    sent = {"entry": handed.entry, "sealed": handed.vault, "wrap": handed.wrap} | other
    with keys.world.database.transaction() as session:
        teams.let_in_ahead(session, actor=keys.actor(by), team=team, account_id=handed.person.id, **sent)


def let_in(keys: Keys, name: str = "erin", by: str = "bob") -> Handed:
    """Keys made ahead, and the generation that lists the newcomer."""
    handed = made_for(keys.world, name)
    hand_over(keys, handed, by)
    keys.team(PHARMACISTS, by, "bob", name)
    return handed


def take_over(keys: Keys, handed: Handed, name: str = "erin") -> Person:
    """What the newcomer's browser does with the code: everything anew, then the first device."""
    database, actor = keys.world.database, keys.world.actor(name)
    with database.transaction() as session:
        wraps = recovery.read_wraps(session, actor=actor, reads_per_day=5)
        kept = vaults.read(session, actor=actor)
        entries = directory.own_entries(session, actor.account_id)
    assert kept is not None
    urk = ways.unwrap(ways.read_wrap(wraps[0]), actor.account_id, handed.code)
    me = {"entries": entries, "vault": {"rev": kept.rev, "vault": kept.vault}}
    given = restored(actor.account_id, urk, me, Device.new(actor.account_id, ids.random_id()))
    with database.reading() as session:
        before = directory.chains(session, [actor.account_id])[actor.account_id][-1]
    own = replace(
        Person.new(actor.account_id, ids.random_id()), keys=[*given.keys, EncryptionKey.new(2)], role=given.role
    )
    entry = seal.new_identity(before, given.identity, own.identity, own.key, given.key).to_json()
    with database.transaction() as session:
        directory.add_next(session, actor=actor, entry=entry, sealed=vault(own, 2), rev=2)
    with database.transaction() as session:
        devices.add(session, actor=actor, certificate=certificate(own), name="Erin's browser", box=BOX)
    keys.people[name] = own
    return own


def seat_of(keys: Keys, name: str) -> Seat:
    with keys.world.database.reading() as session:
        found = teams.of_pharmacy(session, actor=keys.world.actor("grace"), pharmacy_id="riverside")
    return next(seat for team in found for seat in team.seats if seat.account == keys.world.accounts[name])


def test_erin_reads_at_once_with_the_code_and_then_only_she_can(keys: Keys, world: World) -> None:
    handed = let_in(keys)
    seat = seat_of(keys, "erin")
    assert (seat.state, seat.has_keys, seat.flagged) == (State.MEMBER, True, False)
    assert seat.ahead is not None
    assert (seat.ahead.made_by, seat.ahead.name) == (world.accounts["bob"], "Bob")
    own = take_over(keys, handed)
    assert seat_of(keys, "erin").ahead is None
    with world.database.reading() as session:
        records = team_records.chains(session, [PHARMACISTS])[PHARMACISTS]
        # The team's key comes out of the wrap for the key made ahead, to which the new one leads back.
        assert set(open_team(records, own.id, [key.seed for key in own.keys])) == {1, 2}
        assert recovery.ways(session, own.id) == []
        actions = list(session.scalars(select(AuditEvent.action).where(AuditEvent.entity_id == own.id)))
    assert "key.made-ahead" in actions
    assert "key.enrolled" in actions
    # From here on she does what a member does.
    with world.database.transaction() as session:
        wrap = ways.wrap_by_code(own.urk, own.id, ways.make_code()).to_json()
        recovery.set_way(session, actor=keys.actor("erin"), way=ways.Method.CODE.value, wrap=wrap)
    assert keys.team(PHARMACISTS, "erin", "bob", "erin").gen == 3


def test_who_made_the_keys_can_do_nothing_with_them(keys: Keys, world: World) -> None:
    handed = let_in(keys)
    erin = world.actor("erin")
    with world.database.transaction() as session, pytest.raises(Unprocessable) as refused:
        devices.add(session, actor=erin, certificate=certificate(handed.person), name="x", box=BOX)
    assert refused.value.extra["reason"] == "certificate"
    record = keys.make_team(PHARMACISTS, "bob", "bob")
    keys.teams[PHARMACISTS].pop()
    forged = replace(record, by=handed.person.id, sig=handed.person.identity.sign(record.signed_bytes))
    actor = world.actor("erin", device_id=handed.person.device.dev)
    with world.database.transaction() as session, pytest.raises(Unprocessable) as unsigned:
        generations.append_record(session, actor=actor, team=PHARMACISTS, record_=raw(forged))
    assert unsigned.value.extra["reason"] == "unknown user"
    take_over(keys, handed)
    with world.database.transaction() as session, pytest.raises(Unprocessable):
        devices.add(session, actor=keys.actor("erin"), certificate=certificate(handed.person), name="x", box=BOX)


def test_what_was_made_ahead_must_all_be_replaced(keys: Keys, world: World) -> None:
    handed, erin = let_in(keys), world.actor("erin")
    with world.database.reading() as session:
        before = directory.chains(session, [erin.account_id])[erin.account_id][-1]
    old, new = handed.person, EncryptionKey.new(2)
    for entry in (
        seal.new_generation(before, old.key, new, old.identity),
        seal.new_identity(before, old.identity, Identity.new(), old.key),
    ):
        with world.database.transaction() as session, pytest.raises(Unprocessable) as refused:
            directory.add_next(session, actor=erin, entry=entry.to_json(), sealed=vault(old, 2), rev=2)
        assert refused.value.extra["reason"] == "member key"


@pytest.mark.parametrize("stranger", ["frank", "grace", "carol", "alice"])
def test_only_a_member_of_the_team_lets_in(keys: Keys, world: World, stranger: str) -> None:
    if stranger in ("frank", "grace"):
        keys.enrol(stranger)
    with pytest.raises((Forbidden, NotFound)):
        hand_over(keys, made_for(world, "erin"), by=stranger)


@pytest.mark.parametrize(("name", "refusal"), [("frank", Unprocessable), ("dave", NotFound), ("grace", Unprocessable)])
def test_only_somebody_the_team_is_for_is_let_in(keys: Keys, world: World, name: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        hand_over(keys, made_for(world, name))


def test_whoever_has_keys_keeps_them(keys: Keys, world: World) -> None:
    keys.enrol("erin")
    with pytest.raises(Conflict) as refused:
        hand_over(keys, made_for(world, "erin"))
    assert refused.value.code == "already-enrolled"


def test_nothing_is_stored_when_one_part_is_wrong(keys: Keys, world: World) -> None:
    handed = made_for(world, "erin")
    other = made_for(world, "bob")
    ordinary = seal.first_entry(handed.person).to_json()
    for wrong in ({"entry": ordinary}, {"entry": other.entry}, {"sealed": other.vault}, {"wrap": other.wrap}):
        with pytest.raises((BadInput, Unprocessable)):
            hand_over(keys, handed, **wrong)
    with world.database.reading() as session:
        erin = world.accounts["erin"]
        assert directory.own_entries(session, erin) == []
        assert session.get(KeyVault, erin) is None
        assert session.get(RecoveryWrap, (erin, "code")) is None
        assert teams.seats_of(session, erin) == {}


def test_nobody_enrols_with_an_entry_made_ahead(keys: Keys, world: World) -> None:
    handed = made_for(world, "erin")
    with world.database.transaction() as session, pytest.raises(BadInput):
        directory.add_first(session, actor=world.actor("erin"), entry=handed.entry)


def test_letting_in_asks_for_a_fresh_login_a_device_and_a_way_back(keys: Keys, world: World) -> None:
    handed = made_for(world, "erin")
    sent = {"entry": handed.entry, "sealed": handed.vault, "wrap": handed.wrap}
    old = replace(keys.actor("bob"), auth_time=clock.now() - timedelta(minutes=6))
    with world.database.transaction() as session, pytest.raises(StepUpNeeded):
        teams.let_in_ahead(session, actor=old, team=PHARMACISTS, account_id=handed.person.id, **sent)
    with world.database.transaction() as session, pytest.raises(Forbidden) as refused:
        teams.let_in_ahead(session, actor=world.actor("bob"), team=PHARMACISTS, account_id=handed.person.id, **sent)
    assert refused.value.code == "device-needed"


def test_the_code_is_taken_for_a_fortnight_then_she_starts_again(keys: Keys, world: World) -> None:
    handed = let_in(keys)
    with clock.frozen(clock.now() + ahead.LIVES + timedelta(seconds=1)):
        assert seat_of(keys, "erin").flagged
        erin = world.actor("erin")
        with world.database.transaction() as session:
            # Whoever finds the sheet now opens nothing with it; nor may who has opened it before go on.
            assert recovery.read_wraps(session, actor=erin, reads_per_day=5) == []
            assert ahead.own(session, actor=erin) is None
            before = directory.chains(session, [erin.account_id])[erin.account_id][-1]
        own, old = Person.new(erin.account_id, ids.random_id()), handed.person
        entry = seal.new_identity(before, old.identity, own.identity, EncryptionKey.new(2), old.key).to_json()
        with world.database.transaction() as session, pytest.raises(Forbidden) as refused:
            directory.add_next(session, actor=erin, entry=entry, sealed=vault(own, 2), rev=2)
        assert refused.value.code == "ahead-ended"
        with pytest.raises(Unprocessable) as unlisted:
            keys.team(PHARMACISTS, "bob", "bob", "erin")
        assert unlisted.value.code == "ahead-over"
        keys.teams[PHARMACISTS].pop()
        keys.people["erin"] = handed.person
        keys.start_again("erin")
        seat = seat_of(keys, "erin")
        assert (seat.state, seat.flagged, seat.ahead) == (State.LEAVING, True, None)
        assert keys.team(PHARMACISTS, "bob", "bob").gen == 3
        with world.database.transaction() as session:
            teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS)
        assert keys.team(PHARMACISTS, "bob", "bob", "erin").joined == (world.accounts["erin"],)


def test_without_the_code_the_login_alone_gives_no_seat(keys: Keys, world: World) -> None:
    """Somebody signs in as Erin before she does, and makes new keys: the next generation is not sealed to them."""
    keys.people["erin"] = let_in(keys).person
    keys.start_again("erin")
    with pytest.raises(Unprocessable) as refused:
        keys.team(PHARMACISTS, "bob", "bob", "erin")
    assert refused.value.code == "member-leaves"


def test_when_bob_goes_before_erin_came_the_next_key_is_not_sealed_to_what_he_made(keys: Keys, world: World) -> None:
    keys.enrol("frank")
    with world.database.transaction() as session:
        staff.change_role(
            session,
            bus=MemoryBus(),
            account_id=world.accounts["frank"],
            role=world.actor("bob").role,
            pharmacy_id="riverside",
        )
    keys.team(PHARMACISTS, "bob", "bob", "frank")
    hand_over(keys, made_for(world, "erin"))
    keys.team(PHARMACISTS, "bob", "bob", "frank", "erin")
    with world.database.transaction() as session:
        teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS)
    assert seat_of(keys, "erin").flagged
    with pytest.raises(Unprocessable) as refused:
        keys.team(PHARMACISTS, "frank", "frank", "erin")
    assert refused.value.code == "ahead-over"
    keys.teams[PHARMACISTS].pop()
    assert keys.team(PHARMACISTS, "frank", "frank").left == tuple(
        sorted((world.accounts["bob"], world.accounts["erin"]))
    )


def test_bob_is_alone_in_the_team_until_erin_has_come(keys: Keys, world: World) -> None:
    handed = let_in(keys)
    with world.database.reading() as session:
        (team, *_) = teams.of_pharmacy(session, actor=keys.actor("bob"), pharmacy_id="riverside")
    assert team.sole_member
    with world.database.transaction() as session, pytest.raises(Conflict) as refused:
        teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS)
    assert refused.value.code == "sole-member"
    take_over(keys, handed)
    with world.database.transaction() as session:
        assert teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS) is State.LEAVING


def test_bob_sees_who_could_be_let_in_ahead(keys: Keys, world: World) -> None:
    def expected() -> list[list[str]]:
        with world.database.reading() as session:
            found = teams.of_pharmacy(session, actor=keys.actor("bob"), pharmacy_id="riverside")
        return [[one.name for one in team.expected] for team in found]

    pharmacists, desk, supervisors, privacy = expected()
    assert "Erin" in pharmacists
    assert {"Erin", "Frank"} <= set(desk)
    assert (supervisors, privacy) == (["Grace"], ["Heidi"])
    let_in(keys)
    assert "Erin" not in expected()[0] + expected()[1]


def test_one_code_opens_each_team_that_bob_sits_in_and_names(keys: Keys, world: World) -> None:
    keys.team(DESK, "bob", "bob")
    handed = made_for(world, "erin")
    hand_over(keys, handed, also=[DESK, DESK])
    with world.database.reading() as session:
        assert set(teams.seats_of(session, handed.person.id).values()) == {State.APPROVED}
    for team in (PHARMACISTS, DESK):
        keys.team(team, "bob", "bob", "erin")
    own = take_over(keys, handed)
    with world.database.reading() as session:
        records = team_records.chains(session, [PHARMACISTS, DESK])
        for team in (PHARMACISTS, DESK):
            # Each team's key is sealed to her for that team alone.
            assert set(open_team(records[team], own.id, [key.seed for key in own.keys])) == {1, 2}
        approved = select(AuditEvent.entity_id).where(AuditEvent.action == "team.asked")
        assert set(session.scalars(approved)) == {PHARMACISTS, DESK}


def test_a_code_opens_no_team_that_bob_does_not_sit_in(keys: Keys, world: World) -> None:
    keys.enrol("frank")
    keys.team(DESK, "frank", "frank")
    for team in (DESK, "riverside_supervisors", "lakeside_pharmacists", "nothing"):
        with pytest.raises((Forbidden, NotFound)):
            hand_over(keys, made_for(world, "erin"), also=[team])
    with world.database.reading() as session:
        assert teams.seats_of(session, world.accounts["erin"]) == {}
        assert directory.own_entries(session, world.accounts["erin"]) == []


def test_a_code_opens_no_team_that_does_not_take_the_newcomer(keys: Keys, world: World) -> None:
    """Frank is a technician: by Bob's code he comes to the desk, not to the pharmacists."""
    keys.team(DESK, "bob", "bob")
    with pytest.raises(Unprocessable) as refused:
        hand_over(keys, made_for(world, "frank"), team=DESK, also=[PHARMACISTS])
    assert refused.value.code == "team-not-for-role"
    with world.database.reading() as session:
        assert teams.seats_of(session, world.accounts["frank"]) == {}


def test_who_leaves_one_of_two_teams_calls_the_code_back_there_alone(keys: Keys, world: World) -> None:
    keys.enrol("frank")
    keys.team(DESK, "bob", "bob", "frank")
    handed = made_for(world, "erin")
    hand_over(keys, handed, also=[DESK])
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    keys.team(DESK, "bob", "bob", "frank", "erin")
    with world.database.transaction() as session:
        teams.leave(session, actor=keys.actor("bob"), team=DESK)
    with world.database.reading() as session:
        found = teams.of_pharmacy(session, actor=world.actor("grace"), pharmacy_id="riverside")
    flagged = {team.id: seat.flagged for team in found for seat in team.seats if seat.account == handed.person.id}
    assert flagged == {PHARMACISTS: False, DESK: True}
