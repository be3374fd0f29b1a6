"""The demo world's patients: as demo people know them, and the same on every day."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from portal.demo import seed
from portal.demo.sandbox import create_sandbox
from portal.ehr import findings, projection
from portal.ehr.contract import order_states
from portal.ehr.dosage import DirectionsFrom, directions
from portal.ehr.model import AllergyState
from portal.ehr.validation import validate

Json = dict[str, Any]
DAYS = [date(2026, 11, 24), date(2028, 2, 29), date(2027, 1, 1), date(2026, 3, 14)]
AGES = {
    "alice": 52,
    "dave": 47,
    "rosa": 74,
    "judy": 45,
    "walt": 83,
    "peggy": 67,
    "trent": 38,
    "nina": 36,
    "mia": 8,
    "pat": 58,
}


def resources(today: date, login: str, kind: str) -> list[Json]:
    entries = seed.demo_bundles(today)[login]["entry"]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == kind]


def the_patient(today: date, login: str) -> Any:
    return projection.patient(resources(today, login, "Patient")[-1])


@pytest.mark.parametrize("today", DAYS)
def test_everything_is_valid_r4_and_created_only_once(today: date) -> None:
    for bundle in seed.demo_bundles(today).values():
        conditions = [entry["request"]["ifNoneExist"] for entry in bundle["entry"]]
        assert len(set(conditions)) == len(conditions)
        for entry in bundle["entry"]:
            validate(entry["resource"])


@pytest.mark.parametrize("today", DAYS)
def test_people_are_as_old_as_they_are_said_to_be(today: date) -> None:
    assert {login: the_patient(today, login).age(today) for login in AGES} == AGES


@pytest.mark.parametrize("today", DAYS)
def test_alicia_looks_like_alice_and_is_a_day_younger(today: date) -> None:
    alice, alicia = the_patient(today, "alice"), the_patient(today, "alicia")
    assert alice.family == alicia.family
    assert (date.fromisoformat(alicia.birth_date) - date.fromisoformat(alice.birth_date)).days == 1


def test_the_same_day_gives_the_same_world() -> None:
    assert json.dumps(seed.demo_bundles(DAYS[0])) == json.dumps(seed.demo_bundles(DAYS[0]))


def test_walt_has_long_lists() -> None:
    found = resources(DAYS[0], "walt", "MedicationRequest")
    assert len([one for one in found if one["status"] == "active"]) == 24
    assert len([one for one in found if one["status"] != "active"]) == 60
    assert len(resources(DAYS[0], "walt", "SupplyRequest")) == 12
    weights = [one for one in resources(DAYS[0], "walt", "Observation") if one["code"]["text"] == "Body weight"]
    by_day = sorted(weights, key=lambda one: one["effectiveDateTime"])
    values = [one["valueQuantity"]["value"] for one in by_day]
    assert values == sorted(values)
    assert values[-1] - values[0] > 3


def test_orders_have_the_numbers_and_states_of_the_story() -> None:
    told = {}
    for bundle in seed.demo_bundles(DAYS[0]).values():
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Task":
                number = entry["request"]["ifNoneExist"].rpartition("-")[2]
                told[number] = entry["resource"]["businessStatus"]["coding"][0]["code"]
    story = {
        "1042": "shipped",
        "1038": "delivered",
        "1051": "waiting_prescriber",
        "1043": "shipped",
        "1044": "verified",
        "1047": "verified",
        "1055": "damaged",
        "1056": "on_hold",
        "1060": "pickup",
    }
    assert story.items() <= told.items()
    assert set(told.values()) == order_states()


def test_allergies_tell_recorded_from_none_known_from_nothing() -> None:
    states = {
        login: findings.allergies(resources(DAYS[0], login, "AllergyIntolerance"))[1]
        for login in ("alice", "alicia", "judy", "pat", "mia")
    }
    assert states == {
        "alice": AllergyState.RECORDED,
        "alicia": AllergyState.NONE_KNOWN,
        "judy": AllergyState.NOTHING_RECORDED,
        "pat": AllergyState.NOTHING_RECORDED,
        "mia": AllergyState.RECORDED,
    }


def test_trents_coverage_ended_forty_days_ago() -> None:
    (coverage,) = findings.coverages(resources(DAYS[0], "trent", "Coverage"))
    assert coverage.ends_on is not None
    assert (DAYS[0] - coverage.ends_on).days == 40
    assert not coverage.is_in_force(DAYS[0])


@pytest.mark.parametrize("login", ["merged", "deceased"])
def test_who_must_stay_silent_has_an_active_request(login: str) -> None:
    assert the_patient(DAYS[0], login).silent
    assert [one["status"] for one in resources(DAYS[0], login, "MedicationRequest")] == ["active"]


def test_peggys_methotrexate_is_weekly_in_so_many_words() -> None:
    dosage = next(
        one["dosageInstruction"]
        for one in resources(DAYS[0], "peggy", "MedicationRequest")
        if "105586" in json.dumps(one)
    )
    assert "once a WEEK, on Monday" in directions(dosage, "en").words


def test_almost_every_direction_is_a_sentence() -> None:
    for login in seed.demo_bundles(DAYS[0]):
        for one in resources(DAYS[0], login, "MedicationRequest"):
            found = directions(one["dosageInstruction"], "es")
            assert found.origin is DirectionsFrom.CODED or found.words == one["dosageInstruction"][0]["text"]


def test_every_reference_leads_somewhere(tmp_path: Path) -> None:
    app = create_sandbox(tmp_path / "fhir.sqlite3", "http://localhost:5002/fhir")
    for bundle in seed.demo_bundles(DAYS[0]).values():
        known = {entry["fullUrl"] for entry in bundle["entry"]}
        assert (
            set(re.findall(r"urn:uuid:[0-9a-f-]+", json.dumps([entry["resource"] for entry in bundle["entry"]])))
            <= known
        )
        first, second = (app.sandbox.load(bundle) for _ in range(2))
        places = [[entry["response"]["location"] for entry in one["entry"]] for one in (first, second)]
        assert places[0] == places[1]
    app.sandbox.close()
