"""Profiles, care relations, topics and emergency numbers."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import select
from world import NOBODY, RIVERSIDE, World, build

from portal.audit.tables import AuditEvent
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound
from portal.pharmacies import care, emergency, profiles
from portal.pharmacies.tables import CareRelation
from portal.pharmacies.topics import TEAM_OF_TOPIC, TeamKind, Topic, split_team_id, team_id, team_of


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def test_alice_ends_the_care_and_picks_riverside_again(world: World) -> None:
    alice = world.patients["alice"]
    with world.database.transaction() as session:
        care.end(session, actor=world.actor("alice"), patient_id=alice, pharmacy_id="riverside")
        assert not care.in_care(session, patient_id=alice, pharmacy_id="riverside")
        with pytest.raises(NotFound):
            care.end(session, actor=world.actor("alice"), patient_id=alice, pharmacy_id="riverside")
        care.choose(session, actor=world.actor("alice"), patient_id=alice, pharmacy_id="riverside")
        care.choose(session, actor=world.actor("alice"), patient_id=alice, pharmacy_id="riverside")
        assert care.in_care(session, patient_id=alice, pharmacy_id="riverside")
        rows = session.scalars(select(CareRelation).where(CareRelation.patient_id == alice)).all()
        assert sorted((row.source, row.ended_by) for row in rows) == [("dispenser", "patient"), ("patient", None)]
        events = session.scalars(
            select(AuditEvent.action).where(AuditEvent.patient_id == alice).order_by(AuditEvent.seq)
        )
        assert list(events)[-2:] == ["care.ended", "care.started"]


def test_only_the_two_sides_end_a_care_relation(world: World) -> None:
    alice = world.patients["alice"]
    with world.database.transaction() as session:
        for stranger in ("dave", "carol", "ivan"):
            with pytest.raises(NotFound):
                care.end(session, actor=world.actor(stranger), patient_id=alice, pharmacy_id="riverside")
        with pytest.raises(Forbidden):
            care.end(session, actor=world.actor("frank"), patient_id=alice, pharmacy_id="riverside")
        care.end(session, actor=world.actor("bob"), patient_id=alice, pharmacy_id="riverside")
        assert care.ever_cared(session, alice) == {"riverside"}


def test_nobody_else_puts_alice_into_care(world: World) -> None:
    alice = world.patients["alice"]
    with world.database.transaction() as session:
        for stranger in ("dave", "carol", "bob", "ivan"):
            with pytest.raises(NotFound):
                care.choose(session, actor=world.actor(stranger), patient_id=alice, pharmacy_id="harbor")
        with pytest.raises(NotFound):
            care.choose(session, actor=world.actor("alice"), patient_id=alice, pharmacy_id="nowhere")


def test_each_pharmacy_lists_its_own_patients_page_by_page(world: World) -> None:
    with world.database.reading() as session:
        bob, carol = world.actor("bob"), world.actor("carol")
        everyone = [one.id for one in care.patients_in_care(session, actor=bob, pharmacy_id="riverside")]
        assert sorted(everyone) == everyone == sorted(world.patients.values())
        first = care.patients_in_care(session, actor=bob, pharmacy_id="riverside", limit=3)
        rest = care.patients_in_care(session, actor=bob, pharmacy_id="riverside", after=first[-1].id, limit=3)
        assert [one.id for one in [*first, *rest]] == everyone
        harbors = care.patients_in_care(session, actor=carol, pharmacy_id="harbor")
        assert [one.id for one in harbors] == [world.patients["dave"]]
        with pytest.raises(NotFound):
            care.patients_in_care(session, actor=carol, pharmacy_id="riverside")
        with pytest.raises(Forbidden):
            care.patients_in_care(session, actor=world.actor("heidi"), pharmacy_id="riverside")
        assert care.in_care_of(session, pharmacy_id="harbor", patient_ids=everyone) == {world.patients["dave"]}


def test_profiles_are_kept_as_given(world: World) -> None:
    holiday = date(2026, 12, 25)
    with world.database.transaction() as session:
        assert profiles.get(session, "riverside") == replace(RIVERSIDE, holidays={})
        changed = replace(RIVERSIDE, phone="+1 555 0199", holidays={holiday: "Christmas"})
        profiles.change(session, agent=NOBODY, profile=changed)
        assert profiles.get(session, "riverside") == changed
        assert profiles.get(session, "riverside").opening.holidays == {holiday}
        assert [one.id for one in profiles.everyone(session)] == ["harbor", "riverside"]
        with pytest.raises(Conflict):
            profiles.create(session, agent=NOBODY, profile=RIVERSIDE)
        with pytest.raises(NotFound):
            profiles.get(session, "nowhere")
        with pytest.raises(NotFound):
            profiles.change(session, agent=NOBODY, profile=replace(RIVERSIDE, id="nowhere"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": "River_side"}, "id"),
        ({"name": " "}, "name"),
        ({"address": "x" * 201}, "address"),
        ({"phone": "call us"}, "phone"),
        ({"on_call_phone": "<b>"}, "phone"),
        ({"country": "us"}, "country"),
        ({"languages": ()}, "languages"),
        ({"languages": ("tlh",)}, "languages"),
    ],
)
def test_a_profile_nobody_could_use_is_refused(database: Database, wrong: dict[str, object], field: str) -> None:
    with database.transaction() as session, pytest.raises(BadInput) as refusal:
        profiles.create(session, agent=NOBODY, profile=replace(RIVERSIDE, **wrong))
    assert refusal.value.extra == {"field": field}


def test_a_profile_with_wrong_hours_or_zone_is_refused(database: Database) -> None:
    for wrong in ({"time_zone": "Mars/Olympus"}, {"week": {"mon": [["19:00", "08:00"]]}}):
        with database.transaction() as session, pytest.raises(BadInput):
            profiles.create(session, agent=NOBODY, profile=replace(RIVERSIDE, **wrong))


def test_every_topic_names_a_team_and_medicines_never_the_desk() -> None:
    assert set(TEAM_OF_TOPIC) == set(Topic)
    assert team_of("riverside", Topic.SIDE_EFFECT) == "riverside_pharmacists"
    assert team_of("riverside", Topic.BILLING) == "riverside_desk"
    assert {topic for topic, kind in TEAM_OF_TOPIC.items() if kind is TeamKind.DESK} == {
        Topic.ORDER,
        Topic.BILLING,
        Topic.ACCOUNT,
    }


def test_team_ids_are_read_back() -> None:
    for kind in TeamKind:
        assert split_team_id(team_id("riverside", kind)) == ("riverside", kind)
    for wrong in ("riverside", "_desk", "riverside_", "riverside_boss", "", "a_b_desk"):
        assert split_team_id(wrong) is None


def test_emergency_numbers_follow_the_pharmacys_country() -> None:
    assert emergency.numbers("us") == emergency.Numbers("911", "1-800-222-1222")
    assert emergency.numbers("ES") is not None
    assert emergency.numbers("MX") == emergency.Numbers("911")
    assert emergency.numbers("ZZ") is None
    assert all(code.isupper() and len(code) == 2 for code in emergency.NUMBERS)
