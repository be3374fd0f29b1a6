"""First keys, devices, recovery ways, vault, new generations and starting again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select
from world import World, build
from world_keys import BOX, Keys, certificate, vault

from portal.accounts import devices, directory, recovery
from portal.accounts import vault as vaults
from portal.accounts.actor import Actor, load_actor
from portal.accounts.forms import first_wins
from portal.accounts.tables import Device, KeyVault, RecoveryWrap
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, TooMany, Unprocessable
from portal.core.lives import Life, Step
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device as DeviceKey
from portal.e2ee.identity import EncryptionKey, Identity, Person
from portal.identity import session_rows, sessions
from portal.identity.session_life import Proof
from portal.outbox.tables import OutboxJob


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(build(database))


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def real_session(world: World, name: str) -> tuple[Actor, str]:
    """A session in the database: the actor it makes, and the challenge its device answers."""
    with world.database.transaction() as session:
        _, current = sessions.begin(
            session,
            account_id=world.accounts[name],
            role="patient",
            proof=Proof(clock.now(), None, (), None, None),
        )
    assert current.device_challenge is not None
    with world.database.reading() as session:
        actor = load_actor(session, world.accounts[name], login=current)
    return actor, current.device_challenge


def events(world: World, name: str) -> list[str]:
    with world.database.reading() as session:
        rows = session.scalars(
            select(AuditEvent).where(AuditEvent.account_id == world.accounts[name]).order_by(AuditEvent.seq)
        )
        return [row.action for row in rows]


def jobs(world: World) -> list[tuple[str, str]]:
    with world.database.reading() as session:
        return [(job.kind, job.payload["what"]) for job in session.scalars(select(OutboxJob)) if "what" in job.payload]


def test_alice_gets_her_keys_in_one_act(keys: Keys, world: World) -> None:
    keys.enrol("alice", with_recovery=False)
    alice = world.accounts["alice"]
    with world.database.reading() as session:
        assert directory.generations(session, [alice, world.accounts["dave"]]) == {alice: 1}
        (device,) = devices.own(session, actor=keys.actor("alice"))
        assert (device.name, device.state, device.current) == ("alice's browser", devices.State.ACTIVE, True)
        assert devices.active(session, actor=keys.actor("alice")).dev == device.id
    assert events(world, "alice") == ["key.enrolled", "key.vault-changed", "key.device-added"]
    assert jobs(world) == [("keys.changed", "entry")]
    with pytest.raises(Conflict) as twice:
        keys.enrol("alice")
    assert twice.value.code == "already-enrolled"


def test_nobody_enrols_with_anothers_name_or_a_broken_signature(keys: Keys, world: World) -> None:
    mallory = Person.new(world.accounts["alice"], ids.random_id())
    entry = seal.first_entry(mallory).to_json()

    def enrol(**changed) -> None:
        facts = {
            "actor": world.actor("dave"),
            "entry": entry,
            "certificate": certificate(mallory),
            "sealed": vault(mallory),
            "name": "x",
            "box": BOX,
        }
        with world.database.transaction() as session:
            devices.enrol(session, **facts | changed)

    with pytest.raises(Unprocessable):
        enrol()
    with pytest.raises(Unprocessable) as refused:
        enrol(actor=world.actor("alice"), entry=entry | {"sig": seal.first_entry(mallory).sig[:-4] + "AAAA"})
    assert refused.value.extra == {"reason": "certificate"}
    with pytest.raises(BadInput):
        enrol(actor=world.actor("alice"), entry={"h": "!"})
    other = Person.new(world.accounts["alice"], ids.random_id())
    with pytest.raises(Unprocessable):
        enrol(actor=world.actor("alice"), certificate=certificate(other))
    with pytest.raises(BadInput):
        enrol(actor=world.actor("alice"), name="")
    with pytest.raises(BadInput):
        enrol(actor=world.actor("alice"), sealed=vault(mallory) | {"user": world.accounts["dave"]})
    with pytest.raises(BadInput):
        enrol(actor=world.actor("alice"), sealed={})
    with world.database.reading() as session:
        assert directory.generations(session, world.accounts.values()) == {}
    enrol(actor=world.actor("alice"))


def test_a_device_key_belongs_to_one_person(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    stolen = keys.people["alice"].device
    dave = Person.new(world.accounts["dave"], ids.random_id())
    for device in (
        DeviceKey(dave.id, stolen.dev, ids.random_bytes(32)),
        DeviceKey(dave.id, ids.random_id(), stolen.seed),
    ):
        person = replace(dave, device=device)
        with pytest.raises(Unprocessable), world.database.transaction() as session:
            devices.enrol(
                session,
                actor=world.actor("dave"),
                entry=seal.first_entry(person).to_json(),
                certificate=certificate(person),
                sealed=vault(person),
                name="x",
                box=BOX,
            )


def test_the_share_is_given_only_to_the_devices_own_session(keys: Keys, world: World) -> None:
    keys.enrol("alice", "dave")
    device = keys.people["alice"].device
    actor, challenge = real_session(world, "alice")
    signature = b64(seal.session_signature(device, unb64(challenge)))
    with world.database.transaction() as session:
        first = devices.bind(
            session, actor=actor, device_id=device.dev, signature=signature, challenge=challenge, box=BOX
        )
        again = devices.bind(
            session, actor=actor, device_id=device.dev, signature=signature, challenge=challenge, box=BOX
        )
        bound = session_rows.by_ref(session, actor.agent.session_ref or "")
    assert bound is not None
    assert bound.device_id == device.dev
    assert first.share == again.share
    assert len(first.share) == 32
    with world.database.reading() as session:
        row = session.get(Device, device.dev)
        assert row is not None
        assert first.share not in (row.share or b"")

    dave, daves_challenge = real_session(world, "dave")
    daves = b64(seal.session_signature(device, unb64(daves_challenge)))
    with world.database.transaction() as session:
        with pytest.raises(NotFound):
            devices.bind(session, actor=dave, device_id=device.dev, signature=daves, challenge=daves_challenge, box=BOX)
        with pytest.raises(NotFound):
            devices.bind(session, actor=actor, device_id="0" * 32, signature=signature, challenge=challenge, box=BOX)
        other = b64(seal.session_signature(keys.people["dave"].device, unb64(challenge)))
        with pytest.raises(Unprocessable):
            devices.bind(session, actor=actor, device_id=device.dev, signature=other, challenge=challenge, box=BOX)
        with pytest.raises(Unprocessable):
            devices.bind(
                session, actor=actor, device_id=device.dev, signature=signature, challenge=daves_challenge, box=BOX
            )
        with pytest.raises(Forbidden):
            devices.bind(session, actor=actor, device_id=device.dev, signature=signature, challenge=None, box=BOX)
        with pytest.raises(Conflict):
            devices.bind(
                session,
                actor=actor,
                device_id=device.dev,
                signature=signature,
                challenge=challenge,
                box=devices.share_box(("another-key-of-at-least-32-characters",)),
            )


def test_a_second_device_asks_for_a_fresh_login(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    second = replace(alice, device=DeviceKey.new(alice.id, ids.random_id()))
    with world.database.transaction() as session:
        old = world.actor("alice", auth_time=clock.now() - timedelta(minutes=6))
        with pytest.raises(StepUpNeeded):
            devices.add(session, actor=old, certificate=certificate(second), name="phone", box=BOX)
        with pytest.raises(Conflict):
            devices.add(session, actor=world.actor("rosa"), certificate=certificate(second), name="phone", box=BOX)
        devices.add(session, actor=world.actor("alice"), certificate=certificate(second), name="phone", box=BOX)
        assert [one.name for one in devices.own(session, actor=keys.actor("alice"))] == ["alice's browser", "phone"]
    assert ("notice.keys", "device-added") in jobs(world)


def test_a_device_has_the_name_its_owner_gives_it(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    device = keys.people["alice"].device.dev
    with world.database.transaction() as session:
        devices.rename(session, actor=keys.actor("alice"), device_id=device, name="  The blue   phone ")
        (own,) = devices.own(session, actor=keys.actor("alice"))
    assert own.name == "The blue phone"
    for name in ("", "x" * 61, "a\x00b"):
        with pytest.raises(BadInput), world.database.transaction() as session:
            devices.rename(session, actor=keys.actor("alice"), device_id=device, name=name)
    with pytest.raises(NotFound), world.database.transaction() as session:
        devices.rename(session, actor=world.actor("dave"), device_id=device, name="Mine")
    assert "key.device-renamed" in events(world, "alice")


def test_an_ended_device_loses_its_share_and_its_sessions(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    actor, challenge = real_session(world, "alice")
    signature = b64(seal.session_signature(alice.device, unb64(challenge)))
    with world.database.transaction() as session:
        devices.bind(
            session, actor=actor, device_id=alice.device.dev, signature=signature, challenge=challenge, box=BOX
        )
    revocation = seal.revocation(alice.identity, alice.id, alice.device.dev, clock.now_ms())
    fake = seal.revocation(Identity.new(), alice.id, alice.device.dev, clock.now_ms())
    bus = MemoryBus()
    with world.database.transaction() as session:
        with pytest.raises(Unprocessable):
            devices.end(session, actor=actor, device_id=alice.device.dev, revocation=fake, bus=bus)
        with pytest.raises(NotFound):
            devices.end(session, actor=world.actor("dave"), device_id=alice.device.dev, revocation=revocation, bus=bus)
        devices.end(session, actor=actor, device_id=alice.device.dev, revocation=revocation, bus=bus)
        with pytest.raises(NotFound):
            devices.end(session, actor=actor, device_id=alice.device.dev, revocation=revocation, bus=bus)
        row = session.get(Device, alice.device.dev)
        assert row is not None
        assert (row.share, row.revocation) == (None, revocation)
        assert session_rows.state(session, actor.agent.session_ref or "") == "ended"
        with pytest.raises(NotFound):
            devices.bind(
                session, actor=actor, device_id=alice.device.dev, signature=signature, challenge=challenge, box=BOX
            )
        with pytest.raises(Forbidden):
            devices.active(session, actor=keys.actor("alice"))


def test_a_new_generation_comes_with_the_vault_and_from_a_certified_device(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    with world.database.reading() as session:
        before = directory.chains(session, [alice.id])[alice.id][-1]
    new = EncryptionKey.new(2)
    entry = seal.new_generation(before, alice.key, new, alice.identity).to_json()
    sealed = vault(replace(alice, keys=[*alice.keys, new]), 2)
    with world.database.transaction() as session:
        with pytest.raises(Forbidden):
            directory.add_next(session, actor=world.actor("alice"), entry=entry, sealed=sealed, rev=2)
        directory.add_next(session, actor=keys.actor("alice"), entry=entry, sealed=sealed, rev=2)
        assert directory.generations(session, [alice.id]) == {alice.id: 2}
        with pytest.raises(Conflict) as moved:
            directory.add_next(session, actor=keys.actor("alice"), entry=entry, sealed=sealed, rev=3)
    assert moved.value.extra == {"n": 2}


def test_starting_again_makes_old_devices_stale_and_old_ways_useless(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    with world.database.reading() as session:
        before = directory.chains(session, [alice.id])[alice.id][-1]
    new = Person(
        alice.id, ids.random_bytes(32), Identity.new(), [EncryptionKey.new(2)], DeviceKey.new(alice.id, ids.random_id())
    )
    entry = seal.reset_entry(before, new.identity, new.key).to_json()
    with world.database.transaction() as session:
        late = world.actor("alice", auth_time=clock.now() - timedelta(minutes=6))
        with pytest.raises(StepUpNeeded):
            directory.add_next(session, actor=late, entry=entry, sealed=vault(new, 2), rev=2)
        directory.add_next(session, actor=world.actor("alice"), entry=entry, sealed=vault(new, 2), rev=2)
        assert recovery.ways(session, alice.id) == []
        (old,) = devices.own(session, actor=keys.actor("alice"))
        assert old.state is devices.State.STALE
        with pytest.raises(Forbidden):
            devices.active(session, actor=keys.actor("alice"))
        devices.add(session, actor=world.actor("alice"), certificate=certificate(new), name="new", box=BOX)
        # The new identity takes the old browser in again: same key, same share, active.
        again = replace(new, device=alice.device)
        devices.add(session, actor=world.actor("alice"), certificate=certificate(again), name="old", box=BOX)
        assert [one.state for one in devices.own(session, actor=keys.actor("alice"))] == [devices.State.ACTIVE] * 2
        with pytest.raises(Unprocessable):
            devices.add(session, actor=world.actor("alice"), certificate=certificate(alice), name="x", box=BOX)
    assert ("notice.keys", "reset") in jobs(world)
    assert "key.reset" in events(world, "alice")


class TestRecovery:
    """Ways back to Alice's keys."""

    @staticmethod
    def wrap(keys: Keys, name: str = "alice") -> dict[str, object]:
        person = keys.people[name]
        return ways.wrap_by_code(person.urk, person.id, ways.make_code()).to_json()

    def test_the_first_way_asks_for_nothing_a_change_for_a_fresh_login(self, keys: Keys, world: World) -> None:
        keys.enrol("alice", with_recovery=False)
        old = replace(keys.actor("alice"), auth_time=clock.now() - timedelta(hours=1))
        with world.database.transaction() as session:
            assert not recovery.has_way(session, world.accounts["alice"])
            recovery.set_way(session, actor=old, way=ways.Method.CODE.value, wrap=self.wrap(keys))
            with pytest.raises(StepUpNeeded):
                recovery.set_way(session, actor=old, way=ways.Method.CODE.value, wrap=self.wrap(keys))
            recovery.set_way(session, actor=keys.actor("alice"), way=ways.Method.CODE.value, wrap=self.wrap(keys))
            with pytest.raises(Forbidden):
                recovery.set_way(session, actor=world.actor("alice"), way=ways.Method.CODE.value, wrap=self.wrap(keys))

    def test_a_wrap_of_another_person_method_or_strength_is_refused(self, keys: Keys, world: World) -> None:
        keys.enrol("alice", "dave", with_recovery=False)
        alice = keys.people["alice"]
        weak = ways.wrap_by_code(alice.urk, alice.id, ways.make_code()).to_json() | {
            "method": "passphrase",
            "params": "argon2id,v=19,m=1024,t=1,p=1",
        }
        with world.database.transaction() as session:
            for way, wrong in (
                (ways.Method.CODE, self.wrap(keys, "dave")),
                (ways.Method.PASSPHRASE, self.wrap(keys)),
                (ways.Method.CODE, self.wrap(keys) | {"ct": "AAAA"}),
                (ways.Method.CODE, self.wrap(keys) | {"more": 1}),
            ):
                with pytest.raises(BadInput):
                    recovery.set_way(session, actor=keys.actor("alice"), way=way.value, wrap=wrong)
            with pytest.raises(Unprocessable) as refused:
                recovery.set_way(session, actor=keys.actor("alice"), way=ways.Method.PASSPHRASE.value, wrap=weak)
            assert refused.value.extra == {"reason": "parameters"}
            assert session.scalars(select(RecoveryWrap)).all() == []

    def test_wraps_are_given_five_times_a_day_to_an_unknown_browser(self, keys: Keys, world: World) -> None:
        keys.enrol("alice")
        with world.database.transaction() as session:
            late = world.actor("alice", auth_time=clock.now() - timedelta(minutes=6))
            with pytest.raises(StepUpNeeded):
                recovery.read_wraps(session, actor=late, reads_per_day=5)
            for _ in range(5):
                wraps = recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=5)
            assert [wrap["method"] for wrap in wraps] == ["code"]
            with pytest.raises(TooMany) as closed:
                recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=5)
            assert 23 * 3600 < (closed.value.retry_after or 0) <= 24 * 3600 + 1
            # A certified device is never held up, and it can let the new one in.
            recovery.read_wraps(session, actor=keys.actor("alice"), reads_per_day=5)
            with pytest.raises(Forbidden):
                recovery.confirm_reads(session, actor=world.actor("alice"))
            recovery.confirm_reads(session, actor=keys.actor("alice"))
            recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=5)
        assert jobs(world).count(("notice.keys", "recovery-read")) == 6

    def test_several_passkeys_lie_beside_a_code_each_with_its_name(self, keys: Keys, world: World) -> None:
        keys.enrol("alice", with_recovery=False)
        alice, actor = keys.people["alice"], keys.actor("alice")
        wraps = [ways.wrap_by_passkey(alice.urk, alice.id, ids.random_bytes(32), bytes(32)) for _ in range(2)]
        with world.database.transaction() as session:
            for wrap, name in zip(wraps, ("Alice's  phone", "Key on the ring"), strict=True):
                recovery.set_way(session, actor=actor, way=wrap.way, wrap=wrap.to_json(), name=name)
            recovery.set_way(session, actor=actor, way="code", wrap=self.wrap(keys))
            recovery.tried(session, actor=actor, way=wraps[1].way)
            known = recovery.ways(session, alice.id)
            assert [(way.method.value, way.name, way.tried_at is not None) for way in known] == [
                ("code", None, False),
                ("passkey", "Alice's phone", False),
                ("passkey", "Key on the ring", True),
            ]
            given = recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=5)
            assert ways.unwrap(ways.read_wrap(given[1]), alice.id, b64(bytes(32))) == alice.urk
            recovery.remove_way(session, actor=actor, way=wraps[0].way)
            recovery.remove_way(session, actor=actor, way="code")
            with pytest.raises(NotFound):
                recovery.remove_way(session, actor=actor, way="code")
            # The root key would be gone with the last one.
            with pytest.raises(Conflict) as last:
                recovery.remove_way(session, actor=actor, way=wraps[1].way)
            assert last.value.code == "last-way"
        assert events(world, "alice")[-3:] == ["key.recovery-read", "key.recovery-removed", "key.recovery-removed"]
        told = [what for kind, what in jobs(world) if kind == "notice.keys"]
        assert told == ["recovery-set"] * 3 + ["recovery-read"] + ["recovery-removed"] * 2

    def test_a_way_is_removed_by_its_owner_on_a_device_after_a_fresh_login(self, keys: Keys, world: World) -> None:
        keys.enrol("alice", "dave")
        old = replace(keys.actor("alice"), auth_time=clock.now() - timedelta(minutes=6))
        with world.database.transaction() as session:
            with pytest.raises(StepUpNeeded):
                recovery.remove_way(session, actor=old, way="code")
            with pytest.raises(Forbidden):
                recovery.remove_way(session, actor=world.actor("alice"), way="code")
            with pytest.raises(NotFound):
                recovery.remove_way(session, actor=keys.actor("dave"), way="passphrase")
            assert recovery.has_way(session, world.accounts["alice"])

    def test_a_passkey_of_another_id_name_or_number_is_refused(self, keys: Keys, world: World) -> None:
        keys.enrol("alice", with_recovery=False)
        alice, actor = keys.people["alice"], keys.actor("alice")
        wrap = ways.wrap_by_passkey(alice.urk, alice.id, bytes(16), bytes(32))
        other = ways.wrap_by_passkey(alice.urk, alice.id, bytes(17), bytes(32))
        shown = ways.wrap_by_device(alice.urk, alice.id, ways.make_code())
        with world.database.transaction() as session:
            for way, sent, name in (
                (other.way, wrap, "phone"),
                ("passkey", wrap, "phone"),
                (wrap.way, wrap, None),
                (wrap.way, wrap, "  "),
                (wrap.way, wrap, "x" * 61),
                ("device", shown, None),
            ):
                with pytest.raises(BadInput):
                    recovery.set_way(session, actor=actor, way=way, wrap=sent.to_json(), name=name)
            with pytest.raises(BadInput):
                recovery.set_way(session, actor=actor, way="code", wrap=self.wrap(keys), name="sheet")
            for number in range(recovery.MOST_PASSKEYS):
                one = ways.wrap_by_passkey(alice.urk, alice.id, bytes([number]) * 16, bytes(32))
                recovery.set_way(session, actor=actor, way=one.way, wrap=one.to_json(), name="phone")
            # The same one again takes its own place; one more is too many.
            recovery.set_way(session, actor=actor, way=wrap.way, wrap=wrap.to_json(), name="phone")
            with pytest.raises(Conflict) as many:
                recovery.set_way(session, actor=actor, way=other.way, wrap=other.to_json(), name="phone")
            assert many.value.code == "too-many-passkeys"

    def test_the_day_passes(self, keys: Keys, world: World) -> None:
        keys.enrol("alice")
        with world.database.transaction() as session:
            recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=1)
            with pytest.raises(TooMany):
                recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=1)
            clock.shift(timedelta(days=1, seconds=1))
            recovery.read_wraps(session, actor=world.actor("alice"), reads_per_day=1)

    def test_a_way_that_was_tried_out_is_noted(self, keys: Keys, world: World) -> None:
        keys.enrol("alice")
        with world.database.transaction() as session:
            recovery.tried(session, actor=keys.actor("alice"), way=ways.Method.CODE.value)
            (way,) = recovery.ways(session, world.accounts["alice"])
            assert way.tried_at is not None
            with pytest.raises(NotFound):
                recovery.tried(session, actor=keys.actor("alice"), way=ways.Method.PASSPHRASE.value)


def test_the_vault_is_replaced_in_order_and_read_by_its_owner_only(keys: Keys, world: World) -> None:
    keys.enrol("alice")
    alice = keys.people["alice"]
    with world.database.transaction() as session:
        assert vaults.replace(session, actor=keys.actor("alice"), rev=2, vault=vault(alice, 2)) == 2
        with pytest.raises(Conflict) as moved:
            vaults.replace(session, actor=keys.actor("alice"), rev=2, vault=vault(alice, 2))
        assert moved.value.extra == {"rev": 2}
        with pytest.raises(Forbidden):
            vaults.replace(session, actor=world.actor("alice"), rev=3, vault=vault(alice, 3))
        found = vaults.read(session, actor=keys.actor("alice"))
        assert found is not None
        assert found.rev == 2
        late = world.actor("alice", auth_time=clock.now() - timedelta(minutes=6))
        assert vaults.read(session, actor=late) is None
        assert vaults.read(session, actor=world.actor("dave")) is None


def test_of_two_first_writers_the_second_is_told(world: World) -> None:
    def write_first() -> None:
        row = {"account_id": world.accounts["alice"], "rev": 1, "vault": {}, "set_at": clock.now()}
        with world.database.transaction() as session, first_wins(session, "moved-vault"):
            session.execute(insert(KeyVault).values(**row))

    write_first()
    with pytest.raises(Conflict) as late:
        write_first()
    assert late.value.code == "moved-vault"


def test_a_life_leads_from_each_state_to_one_other() -> None:
    with pytest.raises(ValueError, match="two states"):
        Life(
            "broken",
            (
                Step(None, devices.Event.CERTIFIED, devices.State.ACTIVE),
                Step(None, devices.Event.CERTIFIED, devices.State.ENDED),
            ),
        )
    assert devices.LIFE.after(devices.State.ENDED, devices.Event.CERTIFIED) is None
