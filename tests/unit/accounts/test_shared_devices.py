"""The counter's computer: what opens Bob's keys lies half at the server, which gives it for the right PIN only."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select
from world import World, build
from world_keys import BOX, Keys

from portal.accounts import devices, guards, notices, stops, tiles
from portal.accounts.actor import Actor, load_actor
from portal.accounts.devices import Given, GuardShare
from portal.accounts.guards import Handed
from portal.accounts.tables import Device, DeviceGuard, RecoveryWrap
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, NotFound, StepUpNeeded, Unprocessable
from portal.e2ee import seal
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.guard import Method
from portal.e2ee.identity import Device as DeviceKey
from portal.identity import session_rows, sessions
from portal.identity.session_life import CurrentSession, EndedBy, Proof, State
from portal.outbox.tables import OutboxJob

SHARE, AUTH = ids.random_bytes(32), ids.random_bytes(32)


class Counter:
    """Bob's session at the counter, and what he and others try there."""

    def __init__(self, keys: Keys) -> None:
        self.world, self.bus, self.keys = keys.world, MemoryBus(), keys
        keys.enrol("bob", guard=GuardShare(Method.PIN, SHARE, AUTH))
        self.key = keys.people["bob"].device
        self.ref = self.begin("bob").ref

    def begin(self, name: str) -> CurrentSession:
        with self.world.database.transaction() as session:
            _, begun = sessions.begin(
                session,
                account_id=self.world.accounts[name],
                role="pharmacist",
                proof=Proof(clock.now(), None, (), None, None),
            )
        return begun

    def now(self, ref: str | None = None) -> CurrentSession:
        with self.world.database.reading() as session:
            found = session_rows.by_ref(session, ref or self.ref)
        assert found is not None
        return found

    def actor(self, current: CurrentSession) -> Actor:
        with self.world.database.reading() as session:
            return load_actor(session, current.account_id, login=current)

    def ask(self, ref: str | None = None, device: str | None = None, auth: bytes = AUTH) -> Handed:
        current = self.now(ref)
        with self.world.database.transaction() as session:
            return guards.hand_over(
                session,
                actor=self.actor(current),
                current=current,
                device_id=device or self.key.dev,
                method=Method.PIN,
                auth=auth,
                box=BOX,
            )

    def prove(
        self, ref: str | None = None, signature: bytes | None = None, current: CurrentSession | None = None
    ) -> Given:
        current = current or self.now(ref)
        assert current.device_challenge is not None
        made = signature or seal.session_signature(self.key, unb64(current.device_challenge))
        with self.world.database.transaction() as session:
            given, _ = guards.prove(
                session,
                self.bus,
                actor=self.actor(current),
                current=current,
                device_id=self.key.dev,
                signature=b64(made),
                box=BOX,
            )
        return given

    def stay(self) -> Given:
        current = self.now()
        with self.world.database.transaction() as session:
            return guards.stay(session, actor=self.actor(current), current=current, box=BOX)

    def lock(self) -> None:
        current = self.now()
        with self.world.database.transaction() as session:
            sessions.lock(session, self.bus, current)

    def recorded(self, action: str) -> int:
        with self.world.database.reading() as session:
            return len(session.scalars(select(AuditEvent.id).where(AuditEvent.action == action)).all())


@pytest.fixture
def counter(database: Database) -> Counter:
    return Counter(Keys(build(database)))


@pytest.fixture
def world(counter: Counter) -> World:
    return counter.world


def test_a_shared_device_has_no_share_that_a_signature_alone_gives(counter: Counter) -> None:
    current = counter.now()
    assert current.device_challenge is not None
    with counter.world.database.reading() as session:
        assert session.get_one(Device, counter.key.dev).share is None
    with pytest.raises(Conflict, match="guard-needed"), counter.world.database.transaction() as session:
        devices.bind(
            session,
            actor=counter.actor(current),
            device_id=counter.key.dev,
            signature=b64(seal.session_signature(counter.key, unb64(current.device_challenge))),
            challenge=current.device_challenge,
            box=BOX,
        )


def test_five_wrong_pins_delete_the_share(counter: Counter) -> None:
    wrong = [ids.random_bytes(32) for _ in range(5)]
    assert [counter.ask(auth=one) for one in wrong] == [Handed(None, left) for left in (4, 3, 2, 1, 0)]
    with counter.world.database.reading() as session:
        assert session.scalars(select(DeviceGuard.share)).all() == [None]
        refused = session.scalars(select(AuditEvent.outcome).where(AuditEvent.action == "key.guard-given")).all()
    assert refused == ["8"] * 5
    # The right one comes too late.
    assert counter.ask() == Handed(None, 0)
    assert counter.recorded("key.guard-gone") == 1


def test_the_right_pin_is_given_the_share_as_often_as_it_comes_and_counts_anew(counter: Counter) -> None:
    for _ in range(3):
        assert [counter.ask(auth=ids.random_bytes(32)).left for _ in range(4)] == [4, 3, 2, 1]
        assert counter.ask() == Handed(SHARE)


def test_who_guesses_while_the_person_works_has_fifty_tries(counter: Counter) -> None:
    for _ in range(12):
        for _ in range(4):
            assert counter.ask(auth=ids.random_bytes(32)).left is not None
        assert counter.ask() == Handed(SHARE)
    assert [counter.ask(auth=ids.random_bytes(32)).left for _ in range(2)] == [1, 0]
    assert counter.ask() == Handed(None, 0)


def test_who_comes_back_is_told_of_wrong_pins_until_they_are_seen(counter: Counter) -> None:
    def told() -> guards.Tried | None:
        with counter.world.database.reading() as session:
            return guards.tried(session, counter.now())

    counter.prove()
    assert told() is None
    counter.lock()
    counter.ask(auth=ids.random_bytes(32))
    clock.shift(timedelta(minutes=1))
    between = clock.now()
    counter.ask(auth=ids.random_bytes(32))
    # Not to somebody before the lock.
    assert told() is None
    assert counter.ask() == Handed(SHARE)
    counter.prove()
    found = told()
    assert found is not None
    assert (found.count, found.last_at >= between) == (2, True)
    counter.lock()
    counter.ask(auth=ids.random_bytes(32))
    counter.prove()
    found = told()
    assert found is not None
    assert found.count == 3
    with counter.world.database.transaction() as session:
        guards.seen(session, current=counter.now(), count=2)
    # One more was tried after the page was drawn that said two.
    found = told()
    assert found is not None
    assert found.count == 1
    with counter.world.database.transaction() as session, pytest.raises(BadInput):
        guards.seen(session, current=counter.now(), count=0)
    with counter.world.database.transaction() as session:
        guards.seen(session, current=counter.now(), count=9)
    assert told() is None
    # What closes goes on counting.
    assert counter.ask(auth=ids.random_bytes(32)).left == 3


def test_a_login_from_before_the_stop_is_given_no_share(counter: Counter) -> None:
    clock.shift(timedelta(minutes=2))
    with counter.world.database.transaction() as session:
        stops.press(session, actor=counter.world.actor("bob"))
    with pytest.raises(StepUpNeeded):
        counter.ask()


def test_nothing_of_the_pin_lies_at_the_server_as_it_is_shown(counter: Counter) -> None:
    with counter.world.database.reading() as session:
        row = session.scalars(select(DeviceGuard)).one()
    assert AUTH not in (row.auth_hash, row.share)
    assert row.share is not None
    assert SHARE not in row.share


def test_a_wrong_signature_proves_nothing(counter: Counter) -> None:
    thief = DeviceKey.new("bob", counter.key.dev)
    challenge = counter.now().device_challenge
    assert challenge is not None
    with pytest.raises(Unprocessable):
        counter.prove(signature=seal.session_signature(thief, unb64(challenge)))
    counter.prove()


def test_a_locked_session_opens_by_the_device_and_is_no_fresh_login(counter: Counter) -> None:
    counter.prove()
    clock.shift(timedelta(minutes=2, seconds=50))
    assert counter.now().state is State.ACTIVE
    clock.shift(timedelta(seconds=15))
    assert counter.now().state is State.LOCKED
    counter.lock()
    before = counter.now()
    counter.prove()
    after = counter.now()
    assert after.state is State.ACTIVE
    assert (after.auth_time, after.life_ends_at) == (before.auth_time, before.life_ends_at)
    assert counter.recorded("session.unlocked") == 1
    clock.shift(timedelta(minutes=2, seconds=30))
    with pytest.raises(StepUpNeeded), counter.world.database.transaction() as session:
        guards.set_guard(
            session, actor=counter.actor(counter.now()), guard=GuardShare(Method.PIN, SHARE, AUTH), box=BOX
        )


def test_a_signature_from_before_the_lock_opens_nothing(counter: Counter) -> None:
    challenge = counter.now().device_challenge
    assert challenge is not None
    made = seal.session_signature(counter.key, unb64(challenge))
    counter.prove(signature=made)
    counter.lock()
    with pytest.raises(Unprocessable):
        counter.prove(signature=made)
    assert counter.now().state is State.LOCKED


def test_a_proof_that_the_lock_overtakes_leaves_nothing_that_opens(counter: Counter) -> None:
    begun = counter.now()
    counter.lock()
    with pytest.raises(Unprocessable):
        counter.prove(current=begun)
    assert (counter.now().state, counter.now().stay) == (State.LOCKED, None)


def test_a_page_loaded_anew_asks_nothing_until_the_lock(counter: Counter) -> None:
    with pytest.raises(Conflict, match="guard-needed"):
        counter.stay()
    given = counter.prove()
    assert counter.stay() == given
    counter.lock()
    with pytest.raises(Conflict, match="guard-needed"):
        counter.stay()
    counter.prove()
    assert counter.stay() != given


def test_fifteen_minutes_without_an_act_sign_out(counter: Counter) -> None:
    counter.prove()
    clock.shift(timedelta(minutes=14, seconds=50))
    assert counter.now().state is State.LOCKED
    clock.shift(timedelta(seconds=15))
    ended = counter.now()
    assert (ended.state, ended.ended_by) == (State.ENDED, EndedBy.IDLE)
    with counter.world.database.transaction() as session:
        sessions.settle(session, counter.bus, ended)
    assert counter.now().stay is None


def test_nobody_else_is_given_the_share(counter: Counter) -> None:
    erin = counter.begin("erin").ref
    with pytest.raises(NotFound):
        counter.ask(erin)
    with pytest.raises(NotFound):
        counter.prove(erin)
    elsewhere = counter.begin("bob")
    with counter.world.database.transaction() as session:
        sessions.bind_device(session, elsewhere.ref, "another_device")
    with pytest.raises(NotFound):
        counter.ask(elsewhere.ref)
    with pytest.raises(NotFound):
        counter.ask(device="f" * 32)


def test_ending_the_device_takes_the_share_away(counter: Counter) -> None:
    counter.keys.lose_device("bob")
    with pytest.raises(NotFound):
        counter.ask(counter.begin("bob").ref)
    with counter.world.database.reading() as session:
        assert session.scalars(select(DeviceGuard.share)).all() == [None]


def test_a_new_pin_takes_the_place_of_the_old_one(counter: Counter) -> None:
    counter.prove()
    new, shown = ids.random_bytes(32), ids.random_bytes(32)
    with counter.world.database.transaction() as session:
        guards.set_guard(session, actor=counter.actor(counter.now()), guard=GuardShare(Method.PIN, new, shown), box=BOX)
    assert counter.ask(auth=shown) == Handed(new)
    assert counter.ask() == Handed(None, 4)


def put_tile(counter: Counter, browser: str) -> None:
    with counter.world.database.transaction() as session:
        tiles.put(session, browser=browser, current=counter.now())


def forget(counter: Counter, browser: str, actor: Actor | None = None) -> None:
    with counter.world.database.transaction() as session:
        tiles.forget(session, counter.bus, actor=actor or counter.actor(counter.now()), browser=browser)


def test_who_is_forgotten_leaves_nothing_that_opens_and_goes_on_elsewhere(counter: Counter) -> None:
    browser = ids.token(32)
    counter.prove()
    put_tile(counter, browser)
    forget(counter, browser)
    with counter.world.database.reading() as session:
        assert session.scalars(select(DeviceGuard.share)).all() == [None]
        device = session.get_one(Device, counter.key.dev)
        assert device.ended_at is not None
        assert device.revocation is None
        assert not tiles.is_known(session, browser)
        told = session.scalars(select(OutboxJob.payload).where(OutboxJob.kind == notices.KEYS_JOB)).all()
    assert [one["what"] for one in told][-1] == "device-ended"
    assert counter.recorded("key.device-ended") == 1
    # The session lives on to be signed out, on no device and with the short limits.
    assert (counter.now().device_id, counter.now().stay, counter.now().shared) == (None, None, True)
    with pytest.raises(NotFound):
        counter.ask()
    with pytest.raises(NotFound):
        counter.prove()


def test_forgetting_asks_for_a_fresh_login_and_for_another_way_back(counter: Counter) -> None:
    browser = ids.token(32)
    counter.prove()
    put_tile(counter, browser)
    warm = replace(counter.actor(counter.now()), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded):
        forget(counter, browser, warm)
    with counter.world.database.transaction() as session:
        session.execute(delete(RecoveryWrap))
    with pytest.raises(Conflict, match="last-way"):
        forget(counter, browser)
    assert counter.ask() == Handed(SHARE)
    with pytest.raises(NotFound):
        forget(counter, browser, counter.actor(counter.begin("erin")))
