"""Alice presses "Something is wrong": nothing of hers changes any more until it is clear who she is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from world import World, build
from world_keys import BOX, Keys, certificate, vault

from portal.accounts import devices, directory, recovery, stops
from portal.accounts import vault as vaults
from portal.accounts.stops import State
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Forbidden, NotFound, StepUpNeeded
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity
from portal.pharmacies import teams


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("alice", "bob")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def press(keys: Keys, name: str = "alice") -> None:
    with keys.world.database.transaction() as session:
        stops.press(session, actor=keys.actor(name))


def state(world: World, name: str = "alice") -> State | None:
    with world.database.reading() as session:
        found = stops.standing(session, world.accounts[name])
    return None if found is None else found.state


def one_more_device(keys: Keys, session: Any) -> None:
    alice = keys.people["alice"]
    more = replace(alice, device=Device.new(alice.id, ids.random_id()))
    devices.add(session, actor=keys.actor("alice"), certificate=certificate(more), name="another", box=BOX)


def end_a_device(keys: Keys, session: Any) -> None:
    alice = keys.people["alice"]
    revocation = seal.revocation(alice.identity, alice.id, alice.device.dev, clock.now_ms())
    devices.end(session, actor=keys.actor("alice"), device_id=alice.device.dev, revocation=revocation, bus=MemoryBus())


def start_again(keys: Keys, session: Any) -> None:
    alice = keys.people["alice"]
    before = directory.chains(session, [alice.id])[alice.id][-1]
    entry = seal.reset_entry(before, Identity.new(), EncryptionKey.new(2)).to_json()
    directory.add_next(session, actor=keys.actor("alice"), entry=entry, sealed=vault(alice, 2), rev=2)


def set_a_way(keys: Keys, session: Any) -> None:
    alice = keys.people["alice"]
    wrap = ways.wrap_by_code(alice.urk, alice.id, ways.make_code()).to_json()
    recovery.set_way(session, actor=keys.actor("alice"), way="code", wrap=wrap)


def replace_the_vault(keys: Keys, session: Any) -> None:
    vaults.replace(session, actor=keys.actor("alice"), rev=2, vault=vault(keys.people["alice"], 2))


def read_the_wraps(keys: Keys, session: Any) -> None:
    recovery.read_wraps(session, actor=keys.actor("alice"), reads_per_day=5)


@pytest.mark.parametrize(
    "act", [one_more_device, end_a_device, start_again, set_a_way, replace_the_vault, read_the_wraps]
)
def test_no_key_changes_and_nothing_is_given_out(keys: Keys, world: World, act: Callable[[Keys, Any], None]) -> None:
    press(keys)
    with pytest.raises(Forbidden) as refused, world.database.transaction() as session:
        act(keys, session)
    assert refused.value.code == "keys-stopped"
    with world.database.transaction() as session:
        stop = stops.standing(session, world.accounts["alice"])
        assert stop is not None
        stops.end(session, stop=stop, by=world.accounts["bob"], check=stops.Check.IN_PERSON)
    with world.database.transaction() as session:
        act(keys, session)


def test_first_keys_wait_too(keys: Keys, world: World) -> None:
    press(keys, "dave")
    with pytest.raises(Forbidden) as refused:
        keys.enrol("dave")
    assert refused.value.code == "keys-stopped"


def test_a_pharmacist_who_is_stopped_changes_no_team(keys: Keys, world: World) -> None:
    press(keys, "bob")
    with pytest.raises(Forbidden) as refused:
        keys.team("riverside_pharmacists", "bob", "bob")
    assert refused.value.code == "keys-stopped"
    with world.database.reading() as session:
        assert not teams.members(session, "riverside_pharmacists")


def test_somebody_without_a_device_gets_no_vault(keys: Keys, world: World) -> None:
    press(keys)
    with world.database.transaction() as session:
        assert vaults.read(session, actor=world.actor("alice")) is None
        assert vaults.read(session, actor=keys.actor("alice")) is not None


def test_only_a_login_made_since_opens_a_device(keys: Keys, world: World) -> None:
    """The provider may remember whoever has the telephone; a login it remembers is older than the stop."""
    alice = keys.people["alice"]
    challenge = b64(ids.random_bytes(32))
    signature = b64(seal.session_signature(alice.device, unb64(challenge)))
    before = clock.now() - timedelta(minutes=2)
    press(keys)

    def bind(auth_time: Any) -> None:
        actor = replace(keys.actor("alice"), auth_time=auth_time)
        with world.database.transaction() as session:
            devices.bind(
                session, actor=actor, device_id=alice.device.dev, signature=signature, challenge=challenge, box=BOX
            )

    for late in (before, None):
        with pytest.raises(StepUpNeeded):
            bind(late)
    # The session of this story has no row: that it gets so far is all there is to see.
    bind(clock.now())


def test_it_ends_a_day_after_alice_asked_signed_in_anew(keys: Keys, world: World) -> None:
    press(keys)
    late = replace(keys.actor("alice"), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded), world.database.transaction() as session:
        stops.ask_for_the_end(session, actor=late)
    with world.database.transaction() as session:
        asked = stops.ask_for_the_end(session, actor=keys.actor("alice"))
    assert asked.ends_at is not None
    assert asked.state is State.ENDING
    with clock.at(clock.now() + timedelta(hours=23)):
        assert state(world) is State.ENDING
        with world.database.transaction() as session:
            assert stops.ask_for_the_end(session, actor=keys.actor("alice")).ends_at == asked.ends_at
    with clock.at(clock.now() + timedelta(hours=24, seconds=1)):
        assert state(world) is None
        with world.database.transaction() as session:
            one_more_device(keys, session)


def test_pressed_again_it_does_not_end(keys: Keys, world: World) -> None:
    press(keys)
    with world.database.transaction() as session:
        stops.ask_for_the_end(session, actor=keys.actor("alice"))
    press(keys)
    with clock.at(clock.now() + timedelta(days=3)):
        assert state(world) is State.STOPPED


def test_who_is_not_stopped_has_nothing_to_end_and_nobody_else_is_touched(keys: Keys, world: World) -> None:
    press(keys)
    with pytest.raises(NotFound), world.database.transaction() as session:
        stops.ask_for_the_end(session, actor=keys.actor("bob"))
    keys.enrol("dave")
