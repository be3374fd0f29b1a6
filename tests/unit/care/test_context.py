"""Reading a patient's medicines: who may, what goes on record, what the desk sees."""

from dataclasses import replace
from datetime import date

import pytest
from ehr_fakes import FakeEhr, context_of, foreign
from sqlalchemy import select
from world import NOBODY, World, build

from portal.accounts import relations
from portal.accounts.patients import Status
from portal.accounts.roles import Kind, Scope
from portal.accounts.tables import Patient
from portal.audit.tables import AuditEvent
from portal.care.context import read_context
from portal.core.database import Database
from portal.core.errors import Forbidden, NotFound
from portal.ehr.errors import EhrUnavailable

TODAY = date(2026, 11, 24)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr({name: context_of(name) for name in ("alice", "dave", "rosa")})


def recorded(world: World) -> list[tuple[str, str, str | None]]:
    """(action, outcome, purpose) of the rows about Alice's context."""
    with world.database.reading() as session:
        rows = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.action.in_(["context.read", "ehr.fetched", "ehr.entry-dropped"]))
            .order_by(AuditEvent.seq)
        )
        return [(row.action, row.outcome, row.purpose) for row in rows]


def read(world: World, ehr: FakeEhr, who: str, whose: str = "alice", pharmacy: str = "riverside"):
    return read_context(
        world.database, ehr, actor=world.actor(who), patient_id=world.patients[whose], pharmacy_id=pharmacy
    )


def test_alice_reads_her_own_medicines_and_it_is_on_record(world: World, ehr: FakeEhr) -> None:
    panel = read(world, ehr, "alice").to_json("en", today=TODAY)
    assert [one["name"] for one in panel["medications"]["current"]] == ["Metformin 500 mg, slow-release tablet"]
    assert panel["sight"] == "whole"
    assert recorded(world) == [("ehr.fetched", "0", "PATRQT"), ("context.read", "0", "PATRQT")]


def test_bob_reads_them_for_treatment(world: World, ehr: FakeEhr) -> None:
    read(world, ehr, "bob")
    assert recorded(world) == [("ehr.fetched", "0", "TREAT"), ("context.read", "0", "TREAT")]


def test_judy_reads_her_mothers_and_the_record_says_in_whose_name(world: World, ehr: FakeEhr) -> None:
    read(world, ehr, "judy", "rosa")
    with world.database.reading() as session:
        row = session.scalars(select(AuditEvent).where(AuditEvent.action == "context.read")).one()
        assert row.on_behalf == "child"


@pytest.mark.parametrize(
    ("who", "pharmacy"), [("dave", "riverside"), ("carol", "riverside"), ("carol", "harbor"), ("ivan", "riverside")]
)
def test_nobody_else_learns_that_alice_exists(world: World, ehr: FakeEhr, who: str, pharmacy: str) -> None:
    with pytest.raises(NotFound) as known:
        read(world, ehr, who, pharmacy=pharmacy)
    with pytest.raises(NotFound) as unknown:
        read_context(world.database, ehr, actor=world.actor(who), patient_id="0" * 32, pharmacy_id=pharmacy)
    assert known.value.code == unknown.value.code == "not-found"
    assert ehr.asked == []
    assert [row[:2] for row in recorded(world)] == [("context.read", "8")] * 2


def test_the_privacy_officer_has_no_sight_of_medicines(world: World, ehr: FakeEhr) -> None:
    with pytest.raises(Forbidden):
        read(world, ehr, "heidi")
    assert ehr.asked == []


def test_frank_at_the_desk_sees_orders_but_no_medicine_by_any_way(world: World, ehr: FakeEhr) -> None:
    panel = read(world, ehr, "frank").to_json("en", today=TODAY)
    assert panel["sight"] == "desk"
    assert panel["medications"] == {"current": [], "past": []}
    assert panel["conditions"] == panel["labs"] == panel["vitals"] == []
    assert [one["title"] for one in panel["orders"]] == ["Order 1042"]
    assert "metformin" not in str(panel).lower()


@pytest.mark.parametrize("who", ["frank", "judy"])
def test_who_sees_orders_only_reads_neither_how_many_nor_why(world: World, ehr: FakeEhr, who: str) -> None:
    with world.database.transaction() as session:
        relations.bind(
            session,
            agent=NOBODY,
            account_id=world.accounts["judy"],
            patient_id=world.patients["alice"],
            kind=Kind.CARER,
            scope=Scope.ORDERS,
        )
    (order,) = ehr.contexts["alice"].orders
    told = {**order.resource, "quantity": {"value": 137, "unit": "tablets"}}
    telling = replace(order, quantity="137 tablets", state_reason="Metformin is short, 137 wanted", resource=told)
    ehr.contexts["alice"] = replace(ehr.contexts["alice"], orders=(telling,))
    assert "137" in str(read(world, ehr, "bob").to_json("en", today=TODAY))
    (shown,) = read(world, ehr, who).to_json("en", today=TODAY)["orders"]
    for hidden in ("137", "tablets", "Metformin", "short"):
        assert hidden not in str(shown)
    assert (shown["state"], shown["number"]) == ("shipped", "1042")


@pytest.mark.parametrize(("scope", "sees"), [(Scope.ORDERS, "orders"), (Scope.REFILLS, "refills")])
def test_a_helper_sees_what_the_scope_says_and_nothing_else_by_any_way(
    world: World, ehr: FakeEhr, scope: Scope, sees: str
) -> None:
    with world.database.transaction() as session:
        relations.bind(
            session,
            agent=NOBODY,
            account_id=world.accounts["dave"],
            patient_id=world.patients["alice"],
            kind=Kind.CARER,
            scope=scope,
        )
    panel = read(world, ehr, "dave").to_json("en", today=TODAY)
    whole = read(world, ehr, "alice").to_json("en", today=TODAY)
    assert panel["sight"] == sees
    assert [one["title"] for one in panel["orders"]] == ["Order 1042"]
    for hidden in ("conditions", "labs", "vitals", "coverage"):
        assert panel[hidden] == []
    # What is not shown must not read as "nothing recorded".
    assert panel["allergies"] == {"state": "unavailable", "state_key": "ehr.allergy.state.unavailable", "items": []}
    medicines = {one["name"] for one in whole["medications"]["current"]}
    assert medicines
    shown = {one["name"] for one in panel["medications"]["current"]}
    assert shown == (medicines if scope is Scope.REFILLS else set())
    if scope is Scope.ORDERS:
        assert "metformin" not in str(panel).lower()


def test_an_order_is_done_when_the_pharmacy_or_else_the_ehr_says_so(world: World, ehr: FakeEhr) -> None:
    (order,) = read(world, ehr, "alice").context.orders
    assert not order.is_done
    assert replace(order, state="delivered").is_done
    assert replace(order, state="", status="completed").is_done
    assert not replace(order, state="shipped", status="completed").is_done


def test_an_entry_of_another_patient_is_recorded_and_not_shown(world: World, ehr: FakeEhr) -> None:
    ehr.contexts["alice"] = context_of("alice", dropped=(foreign("MedicationRequest", "daves-rx"),))
    panel = read(world, ehr, "alice").to_json("en", today=TODAY)
    assert "daves-rx" not in str(panel)
    assert [row[0] for row in recorded(world)] == ["ehr.fetched", "ehr.entry-dropped", "context.read"]


def test_when_the_ehr_is_down_nothing_was_read(world: World, ehr: FakeEhr) -> None:
    ehr.down = True
    with pytest.raises(EhrUnavailable):
        read(world, ehr, "bob")
    assert recorded(world) == []


def test_a_pharmacy_whose_ehr_does_not_know_the_patient_says_so(world: World, ehr: FakeEhr) -> None:
    with pytest.raises(NotFound) as problem:
        read(world, ehr, "alice", pharmacy="harbor")
    assert problem.value.code == "no-ehr-record"


def test_a_death_in_the_ehr_closes_the_patient(world: World, ehr: FakeEhr) -> None:
    living = context_of("alice")
    ehr.contexts["alice"] = context_of(
        "alice", patient=living.patient.__class__(**{**living.patient.__dict__, "deceased": True})
    )
    read(world, ehr, "bob")
    with world.database.reading() as session:
        assert session.get_one(Patient, world.patients["alice"]).status == Status.DECEASED
