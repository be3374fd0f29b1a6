"""What somebody else can do with a session of Alice's: a stolen cookie, a provider that signs in as her."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from world import World, build
from world_keys import BOX, Keys, certificate, vault

from portal.accounts import devices, directory, recovery
from portal.accounts import vault as vaults
from portal.accounts.actor import Actor, load_actor
from portal.accounts.tables import KeyVault
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Forbidden, StepUpNeeded
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.identity import session_rows, sessions
from portal.identity.errors import LoginExpired
from portal.identity.session_life import CurrentSession, EndedBy, Proof


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("alice")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def login(world: World, name: str) -> CurrentSession:
    """A session of this account, just signed in, on no device."""
    with world.database.transaction() as session:
        _, current = sessions.begin(
            session, account_id=world.accounts[name], role="patient", proof=Proof(clock.now(), None, (), None, None)
        )
    return current


def again(world: World, current: CurrentSession) -> CurrentSession:
    """The session as the next request sees it."""
    with world.database.reading() as session:
        found = session_rows.by_ref(session, current.ref)
    assert found is not None
    return found


def acting(world: World, current: CurrentSession) -> Actor:
    with world.database.reading() as session:
        return load_actor(session, current.account_id, login=again(world, current))


def starts_again(world: World, keys: Keys, actor: Actor) -> Person:
    """Alice, with a new identity that says `reset`."""
    alice = keys.people["alice"]
    with world.database.reading() as session:
        before = directory.chains(session, [alice.id])[alice.id][-1]
    device = Device.new(alice.id, ids.random_id())
    new = Person(alice.id, ids.random_bytes(32), Identity.new(), [EncryptionKey.new(2)], device)
    entry = seal.reset_entry(before, new.identity, new.key).to_json()
    with world.database.transaction() as session:
        directory.add_next(session, actor=actor, entry=entry, sealed=vault(new, 2), rev=2)
    return new


def test_the_certificate_of_a_device_is_public_and_opens_nothing(keys: Keys, world: World) -> None:
    thief = login(world, "alice")
    with world.database.reading() as session:
        (shown,) = directory.people(session, [world.accounts["alice"]])[world.accounts["alice"]].devices
    with world.database.transaction() as session:
        given = devices.add(
            session, actor=acting(world, thief), certificate=shown.certificate, name="hers, says the thief", box=BOX
        )
    assert given.share is None
    assert again(world, thief).device_id is None
    with world.database.transaction() as session:
        recovery.read_wraps(session, actor=acting(world, thief), reads_per_day=1)
    with pytest.raises(Forbidden), world.database.transaction() as session:
        recovery.confirm_reads(session, actor=acting(world, thief))


def test_who_certifies_the_own_device_anew_keeps_its_share(keys: Keys, world: World) -> None:
    mine = login(world, "alice")
    alice = keys.people["alice"]
    assert mine.device_challenge is not None
    signature = b64(seal.session_signature(alice.device, unb64(mine.device_challenge)))
    with world.database.transaction() as session:
        bound = devices.bind(
            session,
            actor=acting(world, mine),
            device_id=alice.device.dev,
            signature=signature,
            challenge=mine.device_challenge,
            box=BOX,
        )
    with world.database.transaction() as session:
        renewed = devices.add(
            session, actor=acting(world, mine), certificate=certificate(alice), name="the same", box=BOX
        )
    assert renewed == bound
    assert again(world, mine).device_id == alice.device.dev


def test_starting_again_takes_the_old_devices_sessions_off_their_device(keys: Keys, world: World) -> None:
    old, mine = login(world, "alice"), login(world, "alice")
    with world.database.transaction() as session:
        sessions.bind_device(session, old.ref, keys.people["alice"].device.dev)
    new = starts_again(world, keys, acting(world, mine))
    assert again(world, old).device_id is None
    wrap = ways.wrap_by_code(ids.random_bytes(32), world.accounts["alice"], ways.make_code()).to_json()
    with pytest.raises(Forbidden), world.database.transaction() as session:
        recovery.set_way(session, actor=acting(world, old), way=ways.Method.CODE.value, wrap=wrap)
    with world.database.transaction() as session:
        devices.add(session, actor=acting(world, mine), certificate=certificate(new), name="new", box=BOX)
    assert again(world, mine).device_id == new.device.dev


def test_the_vault_is_not_overwritten_without_a_fresh_login(keys: Keys, world: World) -> None:
    alice = keys.people["alice"]
    late = replace(keys.actor("alice"), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded), world.database.transaction() as session:
        vaults.replace(session, actor=late, rev=2, vault={"user": alice.id, "rev": 2, "boxes": []})
    with world.database.reading() as session:
        assert session.get_one(KeyVault, alice.id).rev == 1
    with world.database.transaction() as session:
        assert vaults.replace(session, actor=keys.actor("alice"), rev=2, vault=vault(alice, 2)) == 2


def test_a_session_that_was_ended_meanwhile_is_not_unlocked(world: World) -> None:
    current = login(world, "alice")
    bus = MemoryBus()
    with world.database.transaction() as session:
        sessions.end(session, bus, current, EndedBy.OPERATOR)
    proof = Proof(clock.now(), None, (), None, None)
    with pytest.raises(LoginExpired), world.database.transaction() as session:
        sessions.confirm(session, bus, current, proof=proof, unlocked=True)
    with world.database.reading() as session:
        assert session.scalar(select(AuditEvent.seq).where(AuditEvent.action == "session.unlocked")) is None


@pytest.mark.parametrize("boxes", [5, None, "boxes", [5], [{"h": 1}]])
def test_a_vault_of_another_shape_is_bad_input(keys: Keys, world: World, boxes: object) -> None:
    sealed = {"user": world.accounts["alice"], "rev": 2, "boxes": boxes}
    with pytest.raises(BadInput), world.database.transaction() as session:
        vaults.replace(session, actor=keys.actor("alice"), rev=2, vault=sealed)
