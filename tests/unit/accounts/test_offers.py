"""One device of a person lets another one in: once, within ten minutes, and only who has the code."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from test_own_keys import events, real_session
from world import World, build
from world_keys import BOX, Keys, certificate

from portal.accounts import devices, offers, stops
from portal.accounts.offers import State
from portal.accounts.tables import DeviceOffer
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import BadInput, Forbidden, NotFound, StepUpNeeded
from portal.e2ee import recovery as ways
from portal.e2ee.identity import Device


@pytest.fixture
def keys(database: Database) -> Keys:
    keys = Keys(build(database))
    keys.enrol("alice", "dave")
    return keys


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def offered(keys: Keys) -> tuple[str, str]:
    """Alice's device offers her keys: the code that it shows, and its name."""
    alice, code = keys.people["alice"], ways.make_code()
    name = ways.offer_name(alice.id, code)
    with keys.world.database.transaction() as session:
        wrap = ways.wrap_by_device(alice.urk, alice.id, code).to_json()
        offers.make(session, actor=keys.actor("alice"), name=name, wrap=wrap)
    return code, name


def state(keys: Keys) -> State | None:
    with keys.world.database.reading() as session:
        found = offers.standing(session, actor=keys.actor("alice"))
    return None if found is None else found.state


def test_alices_telephone_gets_her_keys_once(keys: Keys, world: World) -> None:
    alice = keys.people["alice"]
    phone, _ = real_session(world, "alice")
    code, name = offered(keys)
    assert state(keys) is State.WAITING
    with world.database.transaction() as session:
        wrap = offers.take(session, actor=phone, name=name)
        assert ways.unwrap(ways.read_wrap(wrap), alice.id, code.lower()) == alice.urk
        with pytest.raises(NotFound):
            offers.take(session, actor=phone, name=name)
        # Nothing of it is left here.
        assert session.scalars(select(DeviceOffer.wrap)).all() == [None]
    assert state(keys) is State.GIVEN
    second = replace(alice, device=Device.new(alice.id, ids.random_id()))
    with world.database.transaction() as session:
        devices.add(session, actor=phone, certificate=certificate(second), name="phone", box=BOX)
    assert state(keys) is State.DONE
    assert events(world, "alice")[-3:] == ["key.offered", "key.offer-taken", "key.device-added"]


def test_a_login_without_the_code_neither_gets_nor_uses_it_up(keys: Keys, world: World) -> None:
    _, name = offered(keys)
    thief, _ = real_session(world, "alice")
    with world.database.transaction() as session:
        for guess in (ids.random_id(), "", ways.offer_name(world.accounts["alice"], ways.make_code())):
            with pytest.raises(NotFound):
                offers.take(session, actor=thief, name=guess)
        # The code in another person's hands is nothing either.
        with pytest.raises(NotFound):
            offers.take(session, actor=world.actor("dave"), name=name)
        with pytest.raises(StepUpNeeded):
            offers.take(session, actor=replace(thief, auth_time=clock.now() - timedelta(minutes=6)), name=name)
        # A device that has keys needs none.
        with pytest.raises(NotFound):
            offers.take(session, actor=keys.actor("alice"), name=name)
    assert state(keys) is State.WAITING


def test_an_offer_is_over_after_ten_minutes_or_when_it_is_taken_back(keys: Keys, world: World) -> None:
    _, first = offered(keys)
    _, name = offered(keys)
    with world.database.transaction() as session:
        # The newest picture counts.
        with pytest.raises(NotFound):
            offers.take(session, actor=world.actor("alice"), name=first)
        offers.end(session, actor=keys.actor("alice"))
        offers.end(session, actor=keys.actor("alice"))
        with pytest.raises(NotFound):
            offers.take(session, actor=world.actor("alice"), name=name)
    assert state(keys) is None
    assert events(world, "alice").count("key.offer-ended") == 1
    _, name = offered(keys)
    clock.shift(offers.LASTS)
    assert state(keys) is State.OVER
    with world.database.transaction() as session, pytest.raises(NotFound):
        offers.take(session, actor=world.actor("alice"), name=name)


def test_only_a_device_with_keys_offers_them_after_a_fresh_login(keys: Keys, world: World) -> None:
    alice, dave = keys.people["alice"], keys.people["dave"]
    wrap = ways.wrap_by_device(alice.urk, alice.id, ways.make_code()).to_json()
    name, mine = ids.random_id(), keys.actor("alice")
    with world.database.transaction() as session:
        old = replace(mine, auth_time=clock.now() - timedelta(minutes=6))
        with pytest.raises(StepUpNeeded):
            offers.make(session, actor=old, name=name, wrap=wrap)
        for act in (
            lambda: offers.make(session, actor=world.actor("alice"), name=name, wrap=wrap),
            lambda: offers.standing(session, actor=world.actor("alice")),
            lambda: offers.end(session, actor=world.actor("alice")),
        ):
            with pytest.raises(Forbidden):
                act()
        for wrong in (
            {"name": "a code"},
            {"wrap": ways.wrap_by_device(dave.urk, dave.id, ways.make_code()).to_json()},
            {"wrap": ways.wrap_by_code(alice.urk, alice.id, ways.make_code()).to_json()},
            {"wrap": wrap | {"more": 1}},
        ):
            with pytest.raises(BadInput):
                offers.make(session, actor=mine, **{"name": name, "wrap": wrap} | wrong)
        assert offers.standing(session, actor=mine) is None


def test_what_is_over_is_deleted_and_what_was_taken_a_while_later(keys: Keys, world: World) -> None:
    def forget() -> int:
        with world.database.transaction() as session:
            return offers.forget_over(session)

    offered(keys)
    clock.shift(offers.LASTS - timedelta(seconds=1))
    assert forget() == 0
    clock.shift(timedelta(seconds=1))
    assert forget() == 1
    assert state(keys) is None
    _, name = offered(keys)
    phone, _ = real_session(world, "alice")
    with world.database.transaction() as session:
        offers.take(session, actor=phone, name=name)
    clock.shift(offers.LASTS)
    assert forget() == 0
    # Alice's first device still shows who took it.
    assert state(keys) is State.GIVEN
    clock.shift(offers.LASTS)
    assert forget() == 1


def test_the_emergency_stop_holds_offers_too(keys: Keys, world: World) -> None:
    _, name = offered(keys)
    alice = keys.people["alice"]
    with world.database.transaction() as session:
        stops.press(session, actor=keys.actor("alice"))
        with pytest.raises(Forbidden) as held:
            offers.take(session, actor=world.actor("alice"), name=name)
        assert held.value.code == "keys-stopped"
        wrap = ways.wrap_by_device(alice.urk, alice.id, ways.make_code()).to_json()
        with pytest.raises(Forbidden):
            offers.make(session, actor=keys.actor("alice"), name=name, wrap=wrap)
