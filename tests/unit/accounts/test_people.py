"""Actors, relations, patients and invitations: who may act for whom, and how that begins."""

from datetime import date, timedelta
from functools import partial

import pytest
from at_once import at_once, codes
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session
from world import NOBODY, World, add_account, build

from portal.accounts import invitations, patients, relations
from portal.accounts.actor import load_actor
from portal.accounts.roles import Kind, Role, Scope
from portal.accounts.signing_in import SignIn
from portal.accounts.tables import Account, Patient, RedeemFailure
from portal.audit.tables import AuditEvent
from portal.care.matching import match_claimed
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    NotSignedIn,
    TooMany,
    Unavailable,
    Unprocessable,
)
from portal.pharmacies import care

BORN = date(1974, 3, 9)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def actions(database: Database, **wanted: str) -> list[str]:
    with database.reading() as session:
        rows = session.scalars(select(AuditEvent).filter_by(**wanted).order_by(AuditEvent.seq))
        return [row.action for row in rows]


def test_an_actor_is_loaded_in_one_query(world: World) -> None:
    statements: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    judy = world.actor("judy")
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1
    assert [(one.patient_id, one.kind) for one in judy.acting] == [(world.patients["rosa"], "child")]
    assert judy.on_behalf(world.patients["rosa"]) == "child"
    assert judy.on_behalf(world.patients["alice"]) is None
    assert judy.agent.session_ref == "session-judy"
    assert not judy.staff


def test_a_disabled_account_is_nobody(world: World) -> None:
    with world.database.transaction() as session:
        account = session.get(Account, world.accounts["bob"])
        assert account is not None
        account.disabled_at = clock.now()
    with pytest.raises(NotSignedIn):
        world.actor("bob")
    with world.database.reading() as session, pytest.raises(NotSignedIn):
        load_actor(session, "0" * 32)


def test_a_relation_ends_at_its_time(world: World) -> None:
    with world.database.transaction() as session:
        relations.bind(
            session,
            agent=NOBODY,
            account_id=world.accounts["judy"],
            patient_id=world.patients["ann"],
            kind=Kind.CARER,
            scope=Scope.MESSAGES,
            until=clock.now() + timedelta(days=1),
        )
    ann = world.patients["ann"]
    relation = world.actor("judy").relation(ann)
    assert relation is not None
    assert relation.reaches(Scope.MESSAGES)
    assert not relation.reaches(Scope.ALL)
    clock.shift(timedelta(days=1, seconds=1))
    assert world.actor("judy").relation(ann) is None


def test_binding_again_replaces_and_leaves_one_living_relation(world: World) -> None:
    judy, rosa = world.accounts["judy"], world.patients["rosa"]
    with world.database.transaction() as session:
        first = relations.live(session, account_id=judy, patient_id=rosa)
        same = relations.bind(session, agent=NOBODY, account_id=judy, patient_id=rosa, kind=Kind.CHILD)
        assert [same.id] == [one.id for one in first]
        relations.bind(session, agent=NOBODY, account_id=judy, patient_id=rosa, kind=Kind.CHILD, scope=Scope.REFILLS)
        assert [one.scope for one in relations.live(session, account_id=judy, patient_id=rosa)] == ["refills"]
        everyone = relations.accounts_of(session, [rosa])
        assert everyone == {rosa: [(world.accounts["rosa"], "self")]}
        everyone = relations.accounts_of(session, [rosa], scope=Scope.ORDERS)
        assert everyone == {rosa: [(world.accounts["rosa"], "self"), (judy, "child")]}
    assert actions(world.database, patient_id=rosa)[-2:] == ["relation.ended", "relation.bound"]


def test_a_relation_is_ended_once_and_cannot_end_in_the_past(world: World) -> None:
    judy, rosa = world.accounts["judy"], world.patients["rosa"]
    with world.database.transaction() as session:
        (relation,) = relations.live(session, account_id=judy)
        relations.end(session, agent=NOBODY, relation_id=relation.id)
        with pytest.raises(NotFound):
            relations.end(session, agent=NOBODY, relation_id=relation.id)
        with pytest.raises(BadInput):
            relations.bind(session, agent=NOBODY, account_id=judy, patient_id=rosa, kind=Kind.CHILD, until=clock.now())
        with pytest.raises(NotFound):
            relations.bind(session, agent=NOBODY, account_id=judy, patient_id="unknown", kind=Kind.CHILD)
    assert world.actor("judy").acting == ()


def test_a_patient_has_one_id_in_each_ehr(world: World) -> None:
    alice, dave = world.patients["alice"], world.patients["dave"]
    with world.database.transaction() as session:
        patients.add_record(session, patient_id=alice, connection_id="harbor-ehr", fhir_id="a-17")
        patients.add_record(session, patient_id=alice, connection_id="harbor-ehr", fhir_id="a-17")
        with pytest.raises(Conflict):
            patients.add_record(session, patient_id=dave, connection_id="harbor-ehr", fhir_id="a-17")
        with pytest.raises(Conflict):
            patients.add_record(session, patient_id=alice, connection_id="harbor-ehr", fhir_id="a-18")
        found = patients.record_ids(session, patient_ids=[alice, dave], connection_id="harbor-ehr")
        assert found == {alice: "a-17"}
        found = patients.record_ids(session, patient_ids=[alice, dave], connection_id="riverside-ehr")
        assert found == {alice: "alice", dave: "dave"}


def test_what_the_ehr_says_about_a_patient_is_kept(world: World) -> None:
    alice, dave = world.patients["alice"], world.patients["dave"]
    with world.database.transaction() as session:
        assert patients.is_active(session, alice)
        patients.learn_status(session, patient_id=alice, status=patients.Status.MERGED, merged_into=dave)
        kept = session.get_one(Patient, alice)
        assert (kept.status, kept.merged_into) == (patients.Status.MERGED, dave)
        assert not patients.is_active(session, alice)
        patients.learn_status(session, patient_id=alice, status=patients.Status.ACTIVE)
        assert patients.is_active(session, alice)
        assert not patients.is_active(session, "unknown")
        with pytest.raises(NotFound):
            patients.learn_status(session, patient_id="unknown", status=patients.Status.ACTIVE)


class TestInvitations:
    """Pat has just made an account; Riverside's EHR knows a patient `pat`."""

    @pytest.fixture
    def pat(self, world: World) -> str:
        with world.database.transaction() as session:
            world.accounts["pat"] = add_account(session, "pat", Role.PATIENT)
        return world.accounts["pat"]

    @pytest.fixture
    def code(self, world: World, pat: str) -> str:
        with world.database.transaction() as session:
            _, code = invitations.invite(
                session,
                actor=world.actor("bob"),
                pharmacy_id="riverside",
                connection_id="riverside-ehr",
                fhir_id="pat",
            )
        return code

    @staticmethod
    def redeem(world: World, code: str, birth_date: date = BORN, *, name: str = "pat", ehr=None, **more):
        def begin_care(session, redeemed) -> None:
            care.start(
                session,
                agent=NOBODY,
                patient_id=redeemed.patient_id,
                pharmacy_id=redeemed.pharmacy_id,
                source=care.Source.INVITATION,
            )

        return invitations.redeem(
            world.database,
            actor=world.actor(name),
            code=code,
            birth_date=birth_date,
            birth_date_from_ehr=ehr or (lambda connection, fhir_id: BORN if fhir_id == "pat" else None),
            also=begin_care,
            **more,
        )

    def test_the_code_and_the_birth_date_bind_pat_once(self, world: World, code: str) -> None:
        redeemed = self.redeem(world, code.lower().replace("-", " "))
        relation = world.actor("pat").relation(redeemed.patient_id)
        assert relation is not None
        assert relation.kind == "self"
        with world.database.reading() as session:
            assert care.in_care(session, patient_id=redeemed.patient_id, pharmacy_id="riverside")
        assert actions(world.database, patient_id=redeemed.patient_id) == [
            "relation.bound",
            "invitation.redeemed",
            "care.started",
        ]
        with pytest.raises(Unprocessable):
            self.redeem(world, code)

    def test_a_wrong_birth_date_an_old_and_an_unknown_code_get_the_same_answer(self, world: World, code: str) -> None:
        asked: list[str] = []

        def ehr(connection: str, fhir_id: str) -> date:
            asked.append(fhir_id)
            return BORN

        refusals = []
        for typed, born in ((code, date(1974, 9, 3)), ("0000-0000-0000-0000", BORN), ("", BORN)):
            with pytest.raises(Unprocessable) as refusal:
                self.redeem(world, typed, born, ehr=ehr)
            refusals.append((refusal.value.code, refusal.value.extra))
        clock.shift(timedelta(days=7, seconds=1))
        with pytest.raises(Unprocessable) as refusal:
            self.redeem(world, code, ehr=ehr)
        refusals.append((refusal.value.code, refusal.value.extra))
        assert refusals == [("invitation-refused", {})] * 4
        # The EHR is asked each time, so that time does not tell an unknown code from a known one.
        assert asked == ["pat"] * 4
        assert actions(world.database, outcome="8") == ["invitation.refused"] * 4

    def test_five_tries_close_the_code_for_a_day_and_the_address_for_fifteen_minutes(
        self, world: World, code: str
    ) -> None:
        for _ in range(5):
            with pytest.raises(Unprocessable):
                self.redeem(world, code, date(2000, 1, 1))
        with pytest.raises(TooMany) as closed:
            self.redeem(world, code)
        assert closed.value.code == "redeem-tomorrow"
        assert 24 * 3600 - 60 < (closed.value.retry_after or 0) <= 24 * 3600 + 1
        # Another code from the same address is closed too, and Pat's session works on.
        with pytest.raises(TooMany) as closed:
            self.redeem(world, "0000-0000-0000-0000")
        assert closed.value.code == "redeem-later"
        assert 0 < (closed.value.retry_after or 0) <= 15 * 60 + 1
        assert world.actor("pat").account_id == world.accounts["pat"]
        clock.shift(timedelta(minutes=15, seconds=1))
        with pytest.raises(Unprocessable):
            self.redeem(world, "0000-0000-0000-0000")
        with pytest.raises(TooMany):
            self.redeem(world, code)
        clock.shift(timedelta(days=1))
        assert self.redeem(world, code).pharmacy_id == "riverside"

    def test_who_finds_pats_card_gets_five_birth_dates_a_day_and_leaves_a_row_for_each(
        self, world: World, code: str
    ) -> None:
        tries = 0
        for hour in range(7 * 24):
            try:
                self.redeem(world, code, date(1980, 1, 1) + timedelta(days=hour), name="dave")
            except Unprocessable:
                tries += 1
            except TooMany:
                pass
            clock.shift(timedelta(hours=1))
        assert tries <= 35
        with world.database.reading() as session:
            kept = select(func.count()).select_from(RedeemFailure)
            assert session.scalar(kept) == 2
        # The privacy officer of the pharmacy that gave the card finds them; a code that nobody gave has none.
        with pytest.raises(Unprocessable):
            self.redeem(world, "0000-0000-0000-0000", name="dave")
        assert actions(world.database, pharmacy_id="riverside", outcome="8") == ["invitation.refused"] * tries

    def test_who_has_an_account_by_now_is_not_joined_to_a_second_one(self, world: World, pat: str, code: str) -> None:
        with world.database.transaction() as session:
            patients.add_record(
                session,
                patient_id=patients.ensure(session, connection_id="riverside-ehr", fhir_id="pat").id,
                connection_id="harbor-ehr",
                fhir_id="p-9",
            )
            _, harbors = invitations.create(
                session, agent=NOBODY, pharmacy_id="harbor", connection_id="harbor-ehr", fhir_id="p-9"
            )
            world.accounts["thief"] = add_account(session, "thief", Role.PATIENT)
        self.redeem(world, code)
        with pytest.raises(Unprocessable) as refused:
            self.redeem(world, harbors, name="thief", ehr=lambda connection, fhir_id: BORN)
        # In the words of any code that does not work; the try counts, and Harbor's officer finds it.
        assert (refused.value.code, refused.value.extra) == ("invitation-refused", {})
        assert world.actor("thief").acting == ()
        with world.database.reading() as session:
            assert sorted(session.scalars(select(RedeemFailure.failures))) == [0, 1, 1]
        assert actions(world.database, pharmacy_id="harbor", outcome="8") == ["invitation.refused"]

    def test_a_disabled_account_does_not_keep_pat_out(self, world: World, pat: str, code: str) -> None:
        first = self.redeem(world, code)
        with world.database.transaction() as session:
            session.get_one(Account, pat).disabled_at = clock.now()
            world.accounts["patty"] = add_account(session, "patty", Role.PATIENT)
            _, newer = invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id="pat"
            )
        assert self.redeem(world, newer, name="patty").patient_id == first.patient_id

    def test_a_login_that_claims_a_patient_who_has_an_account_is_joined_to_nobody(
        self, world: World, pat: str, code: str
    ) -> None:
        with world.database.transaction() as session:
            for name, claimed in (("twin", "Patient/alice"), ("own", "Patient/pat")):
                account = add_account(session, name, Role.PATIENT)
                came = SignIn(account, Role.PATIENT, created=True)
                match_claimed(session, came, claimed, agent=NOBODY)
                assert len(relations.live(session, account_id=account)) == (name == "own")
        with pytest.raises(Unprocessable):
            self.redeem(world, code)

    def test_many_logins_at_once_join_one_account_to_a_claimed_patient_once(self, world: World) -> None:
        with world.database.transaction() as session:
            people = [add_account(session, f"claims{number}", Role.PATIENT) for number in range(3)]
        acts = [
            partial(
                match_claimed, came=SignIn(account, Role.PATIENT, created=False), claimed="Patient/new", agent=NOBODY
            )
            for account in people * 2
        ]
        outcomes = at_once(world.database, acts)
        assert codes(outcomes) == []
        with world.database.reading() as session:
            joined = [one for account in people for one in relations.live(session, account_id=account)]
            known = patients.known_as(session, connection_id="harbor-ehr", fhir_id="new")
            known = known or patients.known_as(session, connection_id="riverside-ehr", fhir_id="new")
        assert known is not None
        assert [one.patient_id for one in joined] == [known.id]

    def test_an_old_code_that_waited_for_a_parting_joins_nobody_to_the_other_person(
        self, world: World, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = relations.is_somebody_else

        def parted_meanwhile(session: Session, **which: str) -> bool:
            patients.split(session, patient_id=which["patient_id"], connection_ids={"riverside-ehr"})
            return first(session, **which)

        monkeypatch.setattr(relations, "is_somebody_else", parted_meanwhile)
        with pytest.raises(Unprocessable) as refused:
            self.redeem(world, code)
        assert refused.value.code == "invitation-refused"
        assert world.actor("pat").acting == ()

    def test_a_silent_ehr_does_not_use_up_a_try(self, world: World, code: str) -> None:
        def down(connection: str, fhir_id: str) -> date:
            raise Unavailable("ehr-down")

        for _ in range(7):
            with pytest.raises(Unavailable):
                self.redeem(world, code, ehr=down)
        with world.database.reading() as session:
            assert {failure.failures for failure in session.scalars(select(RedeemFailure))} == {0}
        self.redeem(world, code)

    def test_staff_do_not_redeem_and_strangers_do_not_invite(self, world: World, code: str) -> None:
        with pytest.raises(Forbidden):
            self.redeem(world, code, name="frank")
        for stranger in ("carol", "alice", "ivan"):
            with world.database.transaction() as session, pytest.raises(NotFound):
                invitations.invite(
                    session,
                    actor=world.actor(stranger),
                    pharmacy_id="riverside",
                    connection_id="riverside-ehr",
                    fhir_id="pat",
                )

    def test_a_taken_back_invitation_is_worth_nothing(self, world: World, pat: str) -> None:
        with world.database.transaction() as session:
            invitation, code = invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id="pat"
            )
            for name, pharmacy in (("carol", "riverside"), ("carol", "harbor")):
                with pytest.raises(NotFound):
                    self.revoke(session, world, name, invitation, pharmacy)
            self.revoke(session, world, "bob", invitation)
            with pytest.raises(Conflict):
                self.revoke(session, world, "bob", invitation)
            with pytest.raises(NotFound):
                self.revoke(session, world, "bob", "unknown")
        with pytest.raises(Unprocessable):
            self.redeem(world, code)

    def revoke(self, session: Session, world: World, name: str, invitation: str, pharmacy: str = "riverside") -> None:
        invitations.revoke(session, actor=world.actor(name), pharmacy_id=pharmacy, invitation_id=invitation)

    def test_a_new_code_ends_the_one_before(self, world: World, pat: str, code: str) -> None:
        with world.database.transaction() as session:
            _, newer = invitations.invite(
                session,
                actor=world.actor("bob"),
                pharmacy_id="riverside",
                connection_id="riverside-ehr",
                fhir_id="pat",
            )
            rows, _ = invitations.listed(session, actor=world.actor("frank"), pharmacy_id="riverside")
            assert sorted(invitations.state_of(row) for row in rows) == ["open", "replaced"]
        with pytest.raises(Unprocessable):
            self.redeem(world, code)
        self.redeem(world, newer)

    def test_each_state_of_a_list_is_the_state_of_its_rows(self, world: World) -> None:
        with world.database.transaction() as session:
            for number in range(3):
                where = {"connection_id": "riverside-ehr", "fhir_id": f"p-{number}"}
                made, _ = invitations.create(session, agent=NOBODY, pharmacy_id="riverside", **where)
            self.revoke(session, world, "bob", made)
            invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id="p-0"
            )
            clock.shift(invitations.LIVES - timedelta(hours=1))
            invitations.create(
                session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id="p-9"
            )
            clock.shift(timedelta(hours=2))
            seen = {}
            for state in invitations.State:
                rows, _ = invitations.listed(session, actor=world.actor("bob"), pharmacy_id="riverside", state=state)
                assert {invitations.state_of(row) for row in rows} <= {state}
                seen[state.value] = len(rows)
        assert seen == {"open": 1, "used": 0, "revoked": 1, "replaced": 1, "expired": 2}

    def test_the_list_goes_on_where_it_stopped_and_is_the_pharmacys_own(self, world: World) -> None:
        with world.database.transaction() as session:
            made = [
                invitations.create(
                    session, agent=NOBODY, pharmacy_id="riverside", connection_id="riverside-ehr", fhir_id=f"p-{number}"
                )[0]
                for number in range(5)
            ]
            seen: list[str] = []
            after = None
            while True:
                rows, after = invitations.listed(
                    session, actor=world.actor("bob"), pharmacy_id="riverside", after=after, limit=2
                )
                seen += [row.id for row in rows]
                if after is None:
                    break
            assert sorted(seen) == sorted(made)
            with pytest.raises(NotFound):
                invitations.listed(session, actor=world.actor("carol"), pharmacy_id="harbor", after=made[0])
            with pytest.raises(Forbidden):
                invitations.listed(session, actor=world.actor("heidi"), pharmacy_id="riverside")

    def test_a_pharmacy_makes_so_many_codes_a_day(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invitations, "MOST_A_DAY", 2)

        def invite(number: int) -> None:
            with world.database.transaction() as session:
                invitations.invite(
                    session,
                    actor=world.actor("bob"),
                    pharmacy_id="riverside",
                    connection_id="riverside-ehr",
                    fhir_id=f"p-{number}",
                )

        invite(1)
        invite(2)
        with pytest.raises(TooMany):
            invite(3)
        clock.shift(timedelta(days=1, minutes=1))
        invite(3)

    def test_alice_cannot_become_pat_as_herself_but_can_as_her_parent(self, world: World, code: str) -> None:
        with pytest.raises(Conflict):
            self.redeem(world, code, name="alice")
        redeemed = self.redeem(world, code, name="alice", kind=Kind.PARENT)
        assert world.actor("alice").on_behalf(redeemed.patient_id) == "parent"

    def test_a_second_pharmacy_adds_its_record_to_the_same_patient(self, world: World, pat: str, code: str) -> None:
        first = self.redeem(world, code)
        with world.database.transaction() as session:
            _, harbors = invitations.create(
                session, agent=NOBODY, pharmacy_id="harbor", connection_id="harbor-ehr", fhir_id="p-9"
            )
        second = self.redeem(world, harbors, ehr=lambda connection, fhir_id: BORN)
        assert second.patient_id == first.patient_id
        with world.database.reading() as session:
            assert care.pharmacies_of(session, [first.patient_id]) == {first.patient_id: ["riverside", "harbor"]}
