"""What one person does in many tabs at the same moment: bounds hold, and nobody is told that the database is down."""

from datetime import date
from functools import partial

import pytest
from at_once import MANY, all_at_once, at_once, codes
from sqlalchemy import func, select
from world import NOBODY, World, add_account, build
from world_keys import BOX, Keys

from portal.accounts import devices, invitations, patients, recovery, relations
from portal.accounts.actor import load_actor
from portal.accounts.roles import Role
from portal.accounts.tables import Device, RecoveryRead, RedeemFailure
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.certificates import session_bytes
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device as DeviceKey
from portal.identity import session_rows, sessions
from portal.identity.session_life import Proof

BORN = date(1974, 9, 2)


def test_the_wraps_are_read_five_times_a_day_however_many_ask_at_once(database: Database) -> None:
    world = build(database)
    thief = world.actor("alice")
    asks = [lambda session: recovery.read_wraps(session, actor=thief, reads_per_day=5)] * MANY
    assert codes(at_once(database, asks)) == ["recovery-reads"] * (MANY - 5)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(RecoveryRead)) == 5


def test_a_way_back_that_two_tabs_set_at_once_is_set(database: Database) -> None:
    keys = Keys(build(database))
    keys.enrol("alice", with_recovery=False)
    alice, actor = keys.people["alice"], keys.actor("alice")
    wraps = [ways.wrap_by_code(alice.urk, alice.id, ways.make_code()).to_json() for _ in range(MANY)]
    acts = [
        lambda session, wrap=wrap: recovery.set_way(session, actor=actor, way=ways.Method.CODE.value, wrap=wrap)
        for wrap in wraps
    ]
    assert codes(at_once(database, acts)) == []
    with database.reading() as session:
        assert len(recovery.ways(session, alice.id)) == 1


def test_nobody_has_more_devices_than_twenty_however_many_come_at_once(database: Database) -> None:
    keys = Keys(build(database))
    keys.enrol("alice")
    alice, actor = keys.people["alice"], keys.actor("alice")

    def one_more(session, device: DeviceKey) -> None:  # type: ignore[no-untyped-def]
        signed = seal.certificate(alice.identity, device, clock.now_ms())
        devices.add(session, actor=actor, certificate=signed, name="a browser", box=BOX)

    with database.transaction() as session:
        for _ in range(devices.MOST_DEVICES - 3):
            one_more(session, DeviceKey.new(alice.id, ids.random_id()))
    acts = [partial(one_more, device=DeviceKey.new(alice.id, ids.random_id())) for _ in range(MANY)]
    assert codes(at_once(database, acts)) == ["too-many-devices"] * (MANY - 2)
    same = DeviceKey.new(alice.id, ids.random_id())
    with database.transaction() as session:
        session.query(Device).filter(Device.id != alice.device.dev).delete()
    assert codes(at_once(database, [partial(one_more, device=same)] * MANY)) == []


def test_a_device_that_is_ended_while_sessions_are_bound_to_it_keeps_none(database: Database) -> None:
    keys = Keys(build(database))
    keys.enrol("alice")
    alice, account = keys.people["alice"], keys.world.accounts["alice"]
    logins = []
    for _ in range(MANY - 1):
        with database.transaction() as session:
            proof = Proof(clock.now(), None, (), None, None)
            logins.append(sessions.begin(session, account_id=account, role="patient", proof=proof)[1])
    acts = []
    for login in logins:
        assert login.device_challenge is not None
        with database.reading() as session:
            actor = load_actor(session, account, login=login)
        signature = b64(alice.device.sign(session_bytes(alice.device.dev, unb64(login.device_challenge))))
        acts.append(
            partial(
                devices.bind,
                actor=actor,
                device_id=alice.device.dev,
                signature=signature,
                challenge=login.device_challenge,
                box=BOX,
            )
        )
    revocation = seal.revocation(alice.identity, alice.id, alice.device.dev, clock.now_ms())
    acts.insert(
        MANY // 2,
        partial(
            devices.end, actor=keys.actor("alice"), device_id=alice.device.dev, revocation=revocation, bus=MemoryBus()
        ),
    )
    outcomes = at_once(database, acts)
    assert set(codes(outcomes)) <= {"not-found"}
    with database.reading() as session:
        assert [one for one in session_rows.own(session, account) if one.device_id == alice.device.dev] == []


class TestInvitations:
    """Pat's code in many hands."""

    def invited(self, database: Database, fhir_id: str = "pat") -> tuple[World, str]:
        world = build(database)
        with database.transaction() as session:
            world.accounts["pat"] = add_account(session, "pat", Role.PATIENT)
            _, code = invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id=fhir_id
            )
        return world, code

    def redeem(self, world: World, code: str, born: date = BORN, *, name: str = "pat"):  # type: ignore[no-untyped-def]
        return partial(
            invitations.redeem,
            world.database,
            actor=world.actor(name),
            code=code,
            birth_date=born,
            birth_date_from_ehr=lambda connection, fhir_id: BORN,
            also=lambda session, redeemed: None,
        )

    def test_a_code_is_redeemed_once_however_many_try_at_once(self, database: Database) -> None:
        world, code = self.invited(database)
        with database.transaction() as session:
            world.accounts["quinn"] = add_account(session, "quinn", Role.PATIENT)
        tries = [self.redeem(world, code, name=name) for name in ("pat", "quinn", "pat", "quinn")]
        outcomes = all_at_once(tries)
        assert codes(outcomes) == ["invitation-refused"] * 3
        with database.reading() as session:
            bound = [relations.live(session, account_id=world.accounts[name]) for name in ("pat", "quinn")]
        assert sum(map(len, bound)) == 1

    def test_every_wrong_try_counts_however_many_come_at_once(self, database: Database) -> None:
        world, code = self.invited(database)
        outcomes = all_at_once([self.redeem(world, code, date(2000, 1, 1))] * MANY)
        assert codes(outcomes) == ["invitation-refused"] * 5 + ["redeem-tomorrow"] * (MANY - 5)
        with database.reading() as session:
            assert set(session.scalars(select(RedeemFailure.failures))) == {5}

    @pytest.mark.parametrize("known", [True, False])
    def test_one_patient_gets_one_account_with_codes_of_two_pharmacies_at_once(
        self, database: Database, known: bool
    ) -> None:
        world, code = self.invited(database)
        where = {"connection_id": "harbor-ehr", "fhir_id": "p-9"}
        with database.transaction() as session:
            world.accounts["quinn"] = add_account(session, "quinn", Role.PATIENT)
            if known:
                pat = patients.ensure(session, connection_id="riverside-ehr", fhir_id="pat")
                patients.add_record(session, patient_id=pat.id, **where)
            else:
                where = {"connection_id": "riverside-ehr", "fhir_id": "pat"}
            _, other = invitations.create(session, agent=NOBODY, pharmacy_id="harbor", **where)
        outcomes = all_at_once([self.redeem(world, code), self.redeem(world, other, name="quinn")])
        assert codes(outcomes) == ["invitation-refused"]
        with database.reading() as session:
            acting = [load_actor(session, world.accounts[name]).acting for name in ("pat", "quinn")]
        assert sorted(map(len, acting)) == [0, 1]

    def test_one_account_becomes_one_patient_of_a_pharmacy_with_two_codes_at_once(self, database: Database) -> None:
        world, code = self.invited(database)
        with database.transaction() as session:
            _, other = invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id="quinn"
            )
        outcomes = all_at_once([self.redeem(world, code), self.redeem(world, other)])
        with database.reading() as session:
            acting = load_actor(session, world.accounts["pat"]).acting
        # Both lead to the one patient that Pat is, or the second is refused; never two patients in one account.
        assert len(acting) == 1, outcomes
