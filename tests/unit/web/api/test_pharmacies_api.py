"""The routes of pharmacies and of the patients in their care."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select
from world import World, build
from world_keys import Keys
from world_web import Browser

from portal.accounts import patients
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import Unavailable
from portal.ehr.model import Identifier
from portal.ehr.model import Patient as EhrPatient


def in_ehr(id: str, given: str, family: str, born: str, number: str, **more) -> EhrPatient:
    facts = {"active": True, "deceased": False} | more
    return EhrPatient(
        id=id,
        full_name=f"{given} {family}",
        family=family,
        given=given,
        birth_date=born,
        sex="female",
        identifiers=(Identifier("urn:mrn", number, "MR"),),
        **facts,
    )


EHR = {
    "alice": in_ehr("alice", "Alice", "Moreno", "1974-03-09", "A-1042"),
    "ann": in_ehr("ann", "Ann", "Moreno", "1980-11-30", "B-2000"),
    "dave": in_ehr("dave", "Dave", "Reed", "1979-07-01", "A-1043"),
    "rosa": in_ehr("rosa", "Rosa", "Vega", "1952-02-02", "C-3000"),
}


def ask_ehr(connection: str, fhir_ids):
    assert connection in ("riverside-ehr", "harbor-ehr")
    return {id: EHR[id] for id in fhir_ids if id in EHR}


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def app(app: Flask) -> Flask:
    app.extensions["portal"].adapters["patients"] = ask_ehr
    return app


class TestPharmacies:
    """How to reach a pharmacy, and being in its care."""

    def test_alice_sees_both_and_which_one_cares_for_her(
        self, app: Flask, database: Database, tuesday: datetime
    ) -> None:
        # Tuesday nine in the morning in Chicago; the world is built at that moment.
        keys = Keys(build(database))
        keys.enrol("bob")
        keys.team("riverside_pharmacists", "bob", "bob")
        harbor, riverside = Browser(app, keys.world, "alice").get("/api/pharmacies").get_json()["items"]
        assert (riverside["id"], riverside["phone"], riverside["on_call_phone"]) == (
            "riverside",
            "+1 555 0100",
            "+1 555 0101",
        )
        assert riverside["teams"] == {
            "pharmacists": "riverside_pharmacists",
            "desk": None,
            "supervisors": None,
            "privacy": None,
        }
        assert riverside["in_care"] == [keys.world.patients["alice"]]
        assert (harbor["in_care"], harbor["open_now"], harbor["open_until"]) == ([], True, None)
        assert (riverside["open_now"], riverside["nobody_reads_before"]) == (True, None)
        assert riverside["open_until"] == "2026-11-25T01:00:00.000Z"
        assert riverside["emergency"] == {"emergency": "911", "poison": "1-800-222-1222"}

    def test_at_night_it_says_when_somebody_reads(self, app: Flask, database: Database, tuesday: datetime) -> None:
        world = build(database)
        clock.shift(timedelta(hours=-6))
        _, riverside = Browser(app, world, "alice").get("/api/pharmacies").get_json()["items"]
        assert (riverside["open_now"], riverside["nobody_reads_before"]) == (False, "2026-11-24T14:00:00.000Z")

    def test_a_patient_picks_and_leaves_a_pharmacy(self, app: Flask, world: World) -> None:
        alice, patient = Browser(app, world, "alice"), {"patient": world.patients["alice"]}
        assert alice.post("/api/pharmacies/harbor/care", patient).status_code == 204
        caring = {one["id"]: one["in_care"] for one in alice.get("/api/pharmacies").get_json()["items"]}
        assert caring == {"harbor": [world.patients["alice"]], "riverside": [world.patients["alice"]]}
        assert alice.post("/api/pharmacies/harbor/care/end", patient).status_code == 204
        assert alice.post("/api/pharmacies/harbor/care/end", patient).status_code == 404
        assert alice.post("/api/pharmacies/nowhere/care", patient).status_code == 404
        assert alice.post("/api/pharmacies/harbor/care", {"patient": 1}).status_code == 400

    def test_nobody_else_does_it_for_her(self, app: Flask, world: World) -> None:
        for name in ("dave", "bob", "carol", "ivan"):
            browser = Browser(app, world, name)
            foreign = browser.post("/api/pharmacies/harbor/care", {"patient": world.patients["alice"]})
            unknown = browser.post("/api/pharmacies/harbor/care", {"patient": "0" * 32})
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.get_data() == unknown.get_data()


class TestPatients:
    """The pharmacy's list of patients."""

    def listed(self, app: Flask, world: World, name: str = "bob", **query: str) -> list[dict]:
        answer = Browser(app, world, name).get("/api/patients", **{"pharmacy": "riverside"} | query)
        assert answer.status_code == 200
        found: list[dict] = answer.get_json()["items"]
        return found

    def test_bob_finds_his_patients_with_look_alikes(self, app: Flask, world: World) -> None:
        keys = Keys(world)
        keys.enrol("alice")
        lines = {line["name"]: line for line in self.listed(app, world)}
        assert lines.keys() == {"Alice Moreno", "Ann Moreno", "Dave Reed", "Rosa Vega"}
        alice = lines["Alice Moreno"]
        assert (alice["birth_date"], alice["has_keys"], alice["status"]) == ("1974-03-09", True, "active")
        assert alice["account"] == world.accounts["alice"]
        assert {(one["name"], *one["why"]) for one in alice["look_alikes"]} == {
            ("Ann Moreno", "surname"),
            ("Dave Reed", "number"),
        }
        assert (lines["Ann Moreno"]["account"], lines["Ann Moreno"]["has_keys"]) == (None, False)
        assert lines["Rosa Vega"]["look_alikes"] == []

    def test_a_record_number_tells_two_of_one_name_apart(self, app: Flask, world: World) -> None:
        lines = {line["name"]: line for line in self.listed(app, world)}
        assert lines["Alice Moreno"]["number"] == "MR A-1042"
        assert {one["number"] for one in lines["Alice Moreno"]["look_alikes"]} == {"MR A-1043", "MR B-2000"}
        assert [line["name"] for line in self.listed(app, world, q="b-2000")] == ["Ann Moreno"]

    def test_a_record_that_was_merged_is_no_look_alike_of_its_own_person(
        self, app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(
            EHR, "ann", in_ehr("ann", "Alice", "Moreno", "1974-03-09", "B-2000", replaced_by="Patient/alice")
        )
        for line in self.listed(app, world):
            assert "MR B-2000" not in [one["number"] for one in line["look_alikes"]]
            if line["patient"] == world.patients["ann"]:
                assert line["look_alikes"] == []

    def test_who_is_shown_beside_another_has_a_row_too(self, app: Flask, world: World) -> None:
        (alice,) = self.listed(app, world, q="alice")
        shown = {alice["patient"], *(one["patient"] for one in alice["look_alikes"])}
        with world.database.reading() as session:
            rows = session.scalars(select(AuditEvent.patient_id).where(AuditEvent.action == "patient.looked-up")).all()
        assert sorted(map(str, rows)) == sorted(shown)
        assert shown == {world.patients[name] for name in ("alice", "ann", "dave")}

    def test_who_is_shown_is_recorded_and_nobody_else(self, app: Flask, world: World) -> None:
        assert [line["name"] for line in self.listed(app, world, q="vega 1952")] == ["Rosa Vega"]
        with world.database.reading() as session:
            looked_up = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.looked-up")).all()
        assert [(row.patient_id, row.account_id) for row in looked_up] == [
            (world.patients["rosa"], world.accounts["bob"])
        ]

    def test_pages_go_on_where_the_last_one_ended(self, app: Flask, world: World) -> None:
        browser = Browser(app, world, "bob")
        first = browser.get("/api/patients", pharmacy="riverside", limit=3).get_json()
        rest = browser.get("/api/patients", pharmacy="riverside", limit=3, after=first["next"]).get_json()
        assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
        shown = {line["patient"] for line in first["items"] + rest["items"]}
        assert shown == set(world.patients.values())

    def test_the_status_is_learned_from_the_ehr(
        self, app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(EHR, "ann", in_ehr("ann", "Ann", "Moreno", "1980-11-30", "B-2000", deceased=True))
        monkeypatch.setitem(EHR, "rosa", in_ehr("rosa", "Rosa", "Vega", "1952-02-02", "C", replaced_by="x"))
        monkeypatch.setitem(EHR, "dave", in_ehr("dave", "Dave", "Reed", "1979-07-01", "D", active=False))
        statuses = {line["patient"]: line["status"] for line in self.listed(app, world)}
        assert statuses == {
            world.patients["alice"]: "active",
            world.patients["ann"]: "deceased",
            world.patients["rosa"]: "merged",
            world.patients["dave"]: "inactive",
        }
        with world.database.reading() as session:
            assert not patients.is_active(session, world.patients["ann"])

    def test_while_the_ehr_is_silent_accounts_have_names(self, app: Flask, world: World) -> None:
        def down(connection: str, fhir_ids: object) -> dict[str, EhrPatient]:
            raise Unavailable("ehr-unavailable")

        for adapter in (down, None):
            app.extensions["portal"].adapters["patients"] = adapter
            answer = Browser(app, world, "bob").get("/api/patients", pharmacy="riverside").get_json()
            assert answer["stale"] is True
            assert {line["name"] for line in answer["items"]} == {"Alice", "Dave", "Rosa", None}

    def test_other_roles_and_pharmacies_get_no_list(self, app: Flask, world: World) -> None:
        for name, status in (("carol", 404), ("alice", 404), ("ivan", 404), ("heidi", 403)):
            assert Browser(app, world, name).get("/api/patients", pharmacy="riverside").status_code == status
        assert Browser(app, world, "bob").get("/api/patients", pharmacy="harbor").status_code == 404
        assert Browser(app, world, "bob").get("/api/patients").status_code == 400
        assert Browser(app, world, "bob").get("/api/patients", pharmacy="riverside", limit=0).status_code == 400
        assert Browser(app, world, "bob").get("/api/patients", pharmacy="riverside", q="x" * 101).status_code == 400
        harbors = self.listed(app, world, "carol", pharmacy="harbor")
        assert [line["patient"] for line in harbors] == [world.patients["dave"]]

    def test_many_patients_cost_as_many_queries_as_one(self, app: Flask, world: World) -> None:
        def count(name: str, pharmacy: str) -> int:
            browser = Browser(app, world, name)
            statements: list[str] = []
            listener = lambda *args: statements.append(args[2])  # noqa: E731
            event.listen(world.database.engine, "before_cursor_execute", listener)
            assert browser.get("/api/patients", pharmacy=pharmacy).status_code == 200
            event.remove(world.database.engine, "before_cursor_execute", listener)
            return len(statements)

        assert count("bob", "riverside") == count("carol", "harbor")
