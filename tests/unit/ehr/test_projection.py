"""From FHIR to what people see: whose it is, what it says, and what it does not say."""

from datetime import date
from typing import Any

import pytest
from ehr_answers import prescription

from portal.ehr import findings, projection
from portal.ehr.contract import LOINC, ORDER_STATE, RXNORM, SNOMED
from portal.ehr.model import AllergyState, Dropped, OrderKind
from portal.ehr.panel import medication_chip
from portal.ehr.projection import Reader
from portal.ehr.validation import validate

Json = dict[str, Any]
BASE = "https://ehr.example/fhir"
TODAY = date(2026, 11, 24)
READER = Reader(BASE, "alice")
HERS = {"reference": "Patient/alice"}


def coded(system: str, code: str, display: str = "") -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


# Whose it is


@pytest.mark.parametrize(
    ("reference", "hers"),
    [
        ("Patient/alice", True),
        (f"{BASE}/Patient/alice", True),
        ("Patient/alice/_history/3", True),
        ("Patient/dave", False),
        ("Patient/alice2", False),
        ("Patient/ALICE", False),
        ("https://other.example/fhir/Patient/alice", False),
        ("Group/alice", False),
        ("#alice", False),
        ("urn:uuid:alice", False),
        ("alice", False),
        ("", False),
        (None, False),
        (7, False),
        ({"reference": "Patient/alice"}, False),
    ],
)
def test_only_what_is_exactly_hers_is_kept(reference: Any, hers: bool) -> None:
    entry = prescription("m1") | {"subject": {"reference": reference}}
    kept, dropped = READER.sift("MedicationRequest", [entry])
    assert (len(kept), len(dropped)) == ((1, 0) if hers else (0, 1))
    if not hers:
        assert dropped == [Dropped("MedicationRequest", "m1", "foreign")]


@pytest.mark.parametrize("kind", sorted(projection.SUBJECT))
def test_every_kind_of_entry_is_checked(kind: str) -> None:
    element = projection.SUBJECT[kind]
    assert READER.is_ours({"resourceType": kind, element: HERS})
    assert not READER.is_ours({"resourceType": kind, element: {"reference": "Patient/dave"}})
    assert not READER.is_ours({"resourceType": kind})


def test_a_wrong_type_a_missing_id_and_a_repeat_are_dropped() -> None:
    nameless = prescription("x") | {"id": "../x"}
    entries = [prescription("m1"), prescription("m1"), nameless, {"resourceType": "Practitioner", "id": "p"}]
    kept, dropped = READER.sift("MedicationRequest", entries)
    assert [one["id"] for one in kept] == ["m1"]
    assert dropped == [Dropped("MedicationRequest", "", "nameless"), Dropped("Practitioner", "p", "unexpected")]


# The patient


def test_a_patient_with_names_numbers_and_secrets() -> None:
    kind = "http://terminology.hl7.org/CodeSystem/v2-0203"
    found = projection.patient(
        {
            "resourceType": "Patient",
            "id": "alice",
            "name": [
                {"use": "maiden", "family": "Hale"},
                {"use": "official", "family": "Morgan", "given": ["Alice", "B."]},
            ],
            "birthDate": "1974-03-14",
            "gender": "female",
            "identifier": [
                {"type": coded(kind, "SS"), "system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-44-3396"},
                {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-44-3397"},
                {"type": coded(kind, "DL"), "value": "S1"},
                {"system": "urn:x", "value": "77"},
                {"type": coded(kind, "MR"), "system": "urn:mrn", "value": "RX-1"},
            ],
        }
    )
    assert (found.full_name, found.birth_date, found.sex) == ("Alice B. Morgan", "1974-03-14", "female")
    assert found.age(TODAY) == 52
    assert found.age(date(2026, 3, 13)) == 51
    assert [one.value for one in found.identifiers] == ["77", "RX-1"]
    assert found.record_number is not None
    assert found.record_number.value == "RX-1"
    assert not found.silent


@pytest.mark.parametrize(
    "more",
    [
        {"deceasedBoolean": True},
        {"deceasedDateTime": "2026-01-01"},
        {"active": False},
        {"link": [{"type": "replaced-by", "other": {"reference": "Patient/alice-new"}}]},
        {"link": [{"type": "replaced-by"}]},
    ],
)
def test_the_dead_the_closed_and_the_merged_stay_silent(more: Json) -> None:
    assert projection.patient({"resourceType": "Patient", "id": "x", **more}).silent


@pytest.mark.parametrize(
    "more",
    [
        {"deceasedBoolean": False},
        {"active": True},
        {"link": [{"type": "replaces", "other": {"reference": "Patient/o"}}]},
        {},
    ],
)
def test_the_living_do_not(more: Json) -> None:
    assert not projection.patient({"resourceType": "Patient", "id": "x", **more}).silent


def test_an_empty_patient_is_empty_not_an_error() -> None:
    found = projection.patient({"resourceType": "Patient", "name": "Alice", "identifier": [3], "birthDate": 1974})
    assert (found.full_name, found.birth_date, found.age(TODAY), found.record_number) == ("", "", None, None)
    assert projection.patient({"birthDate": "1974"}).age(TODAY) is None


def test_names_cannot_turn_the_page_around() -> None:
    found = projection.patient({"name": [{"family": "Mor\u202egan\u0007\u2066", "given": ["A" * 500]}]})
    assert found.family == "Morgan"
    assert len(found.given) <= 200


# Medicines


def requests(*resources: Json, dispenses: tuple[Json, ...] = (), included: dict[str, Json] | None = None) -> Any:
    fills = READER.dispenses(dispenses, included or {})
    return READER.medication_requests(resources, fills, included or {})


def dispense(name: str, days_ago_day: str, supply: int = 30, request: str = "m1", **more: Any) -> Json:
    return {
        "resourceType": "MedicationDispense",
        "id": name,
        "status": "completed",
        "subject": HERS,
        "authorizingPrescription": [{"reference": f"MedicationRequest/{request}"}],
        "whenHandedOver": days_ago_day,
        "daysSupply": {"value": supply, "unit": "days"},
        **more,
    }


def test_a_medicine_coded_contained_or_referenced_is_the_same_medicine() -> None:
    concept = {"coding": [{"system": RXNORM, "code": "314076", "display": "lisinopril 10 MG Oral Tablet"}]}
    medication = {"resourceType": "Medication", "code": concept}
    bare = {key: value for key, value in prescription("m1").items() if key != "medicationCodeableConcept"}
    ways = [
        bare | {"medicationCodeableConcept": concept},
        bare | {"contained": [medication | {"id": "med"}], "medicationReference": {"reference": "#med"}},
        bare | {"medicationReference": {"reference": "Medication/m"}},
        bare | {"medicationReference": {"reference": f"{BASE}/Medication/m/_history/2"}},
    ]
    for way in ways:
        ((found,), _) = requests(way, included={"Medication/m": medication | {"id": "m"}})
        assert (found.medication.rxnorm, found.medication.words) == ("314076", "lisinopril 10 MG Oral Tablet")
        assert found.resource["medicationCodeableConcept"]["coding"][0]["code"] == "314076"
        assert "contained" not in found.resource
        validate(found.resource)


@pytest.mark.parametrize("reference", ["#nowhere", "Medication/gone", "https://evil.example/Medication/1", "#m1"])
def test_a_medicine_that_leads_nowhere_shows_the_words_there_are(reference: str) -> None:
    bare = {key: value for key, value in prescription("m1").items() if key != "medicationCodeableConcept"}
    contained = [{"resourceType": "MedicationRequest", "id": "m1", "medicationReference": {"reference": "#m1"}}]
    way = bare | {"contained": contained, "medicationReference": {"reference": reference, "display": "Some pill"}}
    ((found,), _) = requests(way)
    assert found.medication.words == "Some pill"
    validate(found.resource)


def test_nine_left_after_twenty_one_days_of_thirty() -> None:
    ((found,), _) = requests(prescription("m1"), dispenses=(dispense("d1", "2026-11-03T15:00:00Z"),))
    assert found.days_left(TODAY) == 9
    assert found.days_left(date(2026, 12, 24)) == 0


def test_the_newest_completed_hand_over_counts() -> None:
    fills = (
        dispense("d1", "2026-10-01"),
        dispense("d2", "2026-11-20"),
        dispense("d3", "2026-11-23", status="in-progress"),
        dispense("d4", "2026-11-24", status="entered-in-error"),
    )
    ((found,), _) = requests(prescription("m1", dispenseRequest={"numberOfRepeatsAllowed": 5}), dispenses=fills)
    assert found.last_fill is not None
    assert found.last_fill.id == "d2"
    assert found.days_left(TODAY) == 26
    assert found.repeats_left == 3


def test_no_days_left_are_invented() -> None:
    for fill in (dispense("d", "2026-11"), dispense("d", "2026-11-01", daysSupply={"value": 1, "unit": "box"})):
        ((found,), _) = requests(prescription("m1"), dispenses=(fill,))
        assert found.days_left(TODAY) is None
    ((stopped,), _) = requests(prescription("m1", status="stopped"), dispenses=(dispense("d", "2026-11-20"),))
    assert stopped.days_left(TODAY) is None


@pytest.mark.parametrize(
    ("more", "shown", "current"),
    [
        ({"status": "active"}, True, True),
        ({"status": "on-hold"}, True, True),
        ({"status": "unknown"}, True, True),
        ({"status": "completed"}, True, False),
        ({"status": "stopped"}, True, False),
        ({"status": "cancelled"}, True, False),
        ({"status": "entered-in-error"}, False, False),
        ({"status": "draft"}, False, False),
        ({"intent": "proposal"}, False, False),
        ({"intent": "plan"}, True, True),
        ({"doNotPerform": True}, False, False),
    ],
)
def test_what_counts_as_taken_now(more: Json, shown: bool, current: bool) -> None:
    found, _ = requests(prescription("m1", **more))
    assert len(found) == shown
    assert not shown or found[0].is_current == current


def test_a_hand_over_without_its_prescription_is_not_lost() -> None:
    _, other = requests(dispenses=(dispense("d1", "2026-11-20", request="elsewhere"),))
    assert [one.id for one in other] == ["d1"]


def test_the_chip_holds_what_was_meant_and_nothing_else() -> None:
    resource = prescription(
        "m1",
        text={"div": "<script>alert(1)</script>"},
        extension=[{"url": "javascript:alert(1)", "valueUrl": "javascript:alert(1)"}],
        note=[{"text": "private"}],
        insurance=[{"reference": "Coverage/1"}],
        dosageInstruction=[{"text": "as told", "extension": [{"url": "urn:x", "valueString": "y"}]}],
    )
    ((found,), _) = requests(resource)
    assert found.resource.keys() == {
        "resourceType",
        "id",
        "status",
        "intent",
        "medicationCodeableConcept",
        "subject",
        "dosageInstruction",
    }
    assert found.resource["dosageInstruction"] == [{"text": "as told"}]
    assert "javascript" not in str(found.resource)


def test_a_rule_we_do_not_know_silences_our_own_sentences() -> None:
    dosage = [{"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}, "asNeededBoolean": True}]
    for mark in ({"modifierExtension": [{"url": "urn:not-really"}]}, {"implicitRules": "urn:other-rules"}):
        ((found,), _) = requests(prescription("m1", dosageInstruction=dosage, **mark))
        assert found.qualified
        assert "day" not in medication_chip(found, "en")["text"]
    ((plain,), _) = requests(prescription("m1", dosageInstruction=dosage))
    assert not plain.qualified


def test_a_chip_stays_small_and_clean() -> None:
    wordy = [{"text": "x" * 400_000, "additionalInstruction": [{"text": "a\u202eb"}]}]
    ((found,), _) = requests(prescription("m1", dosageInstruction=wordy * 5))
    assert len(str(found.resource)) < 20_000
    assert "\u202e" not in str(found.resource)
    ((huge,), _) = requests(prescription("m1", dosageInstruction=[{"timing": {"event": ["2026-01-01"] * 9000}}]))
    assert "dosageInstruction" not in huge.resource
    marked = [{"text": "as told", "route": {"text": "x"}, "modifierExtension": [{"url": "urn:not"}]}]
    ((odd,), _) = requests(prescription("m1", dosageInstruction=marked))
    assert odd.resource["dosageInstruction"] == [{"text": "as told"}]


# Allergies


def allergy(code: str = "91936005", **more: Any) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"a{code}",
        "patient": HERS,
        "code": coded(SNOMED, code, "Penicillin"),
        "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"),
        **more,
    }


VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([], AllergyState.NOTHING_RECORDED),
        ([allergy()], AllergyState.RECORDED),
        ([allergy("716186003")], AllergyState.NONE_KNOWN),
        ([allergy("160244002")], AllergyState.NONE_KNOWN),
        ([allergy("716186003"), allergy()], AllergyState.RECORDED),
        ([allergy("409137002")], AllergyState.RECORDED),
        ([allergy(verificationStatus=coded(VERIFICATION, "entered-in-error"))], AllergyState.NOTHING_RECORDED),
        ([allergy(verificationStatus=coded(VERIFICATION, "refuted"))], AllergyState.NOTHING_RECORDED),
        ([allergy(clinicalStatus=coded(CLINICAL, "resolved"))], AllergyState.RECORDED),
        ([allergy("716186003", clinicalStatus=coded(CLINICAL, "inactive"))], AllergyState.NOTHING_RECORDED),
    ],
)
def test_the_answers_to_any_allergies(entries: list[Json], state: AllergyState) -> None:
    assert findings.allergies(entries)[1] is state


def test_a_statement_that_there_is_none_gives_way_to_an_allergy() -> None:
    found, _ = findings.allergies([allergy("716186003"), allergy()])
    assert [one.words for one in found] == ["Penicillin"]
    assert not found[0].none_known


def test_dangerous_allergies_come_first_with_their_reactions() -> None:
    reaction = [{"manifestation": [{"text": "Anaphylaxis"}, {"text": "Hives"}], "severity": "severe"}]
    found, _ = findings.allergies(
        [
            allergy("1"),
            allergy("2", criticality="high", reaction=reaction),
            allergy("3", clinicalStatus=coded(CLINICAL, "resolved")),
        ]
    )
    assert [(one.id, one.is_active) for one in found] == [("a2", True), ("a1", True), ("a3", False)]
    assert (found[0].reactions, found[0].severity) == (("Anaphylaxis", "Hives"), "severe")


def test_an_allergy_keeps_the_codes_of_its_words_and_signs() -> None:
    rash = {"manifestation": [{**coded(SNOMED, "271807003", "Eruption of skin"), "text": "Rash"}, {"text": "Hives"}]}
    found, _ = findings.allergies([allergy("91936005", reaction=[rash])])
    assert found[0].codes == {found[0].words: "91936005", "Rash": "271807003"}


# Orders


def order(number: str = "1042", **more: Any) -> Json:
    return {
        "resourceType": "SupplyRequest",
        "id": f"o{number}",
        "identifier": [{"system": "urn:other", "value": "x"}, {"system": "urn:portal:order-number", "value": number}],
        "status": "active",
        "itemCodeableConcept": coded(RXNORM, "860975", "metformin"),
        "quantity": {"value": 60, "unit": "tablets"},
        "authoredOn": "2026-11-20",
        "deliverTo": HERS,
        **more,
    }


def task(state: str, at: str, **more: Any) -> Json:
    return {
        "resourceType": "Task",
        "id": f"t{at}",
        "status": "in-progress",
        "businessStatus": coded(ORDER_STATE, state),
        "focus": {"reference": "SupplyRequest/o1042"},
        "for": HERS,
        "lastModified": at,
        **more,
    }


def orders(*, tasks: tuple[Json, ...] = (), parcels: tuple[Json, ...] = (), services: tuple[Json, ...] = ()) -> Any:
    return READER.orders([order()], tasks, parcels, services, {})


def test_the_newest_task_says_how_the_order_stands() -> None:
    (found,) = orders(
        tasks=(
            task("verified", "2026-11-20T08:00:00Z"),
            task("on_hold", "2026-11-22T08:00:00Z", statusReason={"text": "Too early"}),
            task("received", "2026-11-21T08:00:00Z"),
            task("shipped", "2026-11-23T08:00:00Z", status="entered-in-error"),
        )
    )
    assert (found.number, found.state, found.state_reason, found.quantity) == (
        "1042",
        "on_hold",
        "Too early",
        "60 tablets",
    )


def test_an_unknown_state_keeps_the_words_of_the_ehr() -> None:
    (found,) = orders(tasks=(task("lost_at_sea", "2026-11-22T08:00:00Z", businessStatus={"text": "Lost at sea"}),))
    assert (found.state, found.state_words) == ("", "Lost at sea")
    (without,) = orders()
    assert (without.state, without.state_words, without.status) == ("", "", "active")


def test_a_parcel_has_a_number_and_no_address() -> None:
    parcel = {
        "resourceType": "SupplyDelivery",
        "id": "p1",
        "status": "in-progress",
        "basedOn": [{"reference": "SupplyRequest/o1042"}],
        "patient": HERS,
        "identifier": [{"system": "javascript:alert(1)", "value": "TRACK-1", "assigner": {"display": "Post"}}],
        "occurrenceDateTime": "2026-11-21T12:00:00Z",
    }
    (found,) = orders(parcels=(parcel, parcel | {"id": "p2", "status": "entered-in-error"}))
    (sent,) = found.deliveries
    assert (sent.tracking, sent.carrier, sent.occurred_on) == ("TRACK-1", "Post", date(2026, 11, 21))
    assert "javascript" not in repr(found)


def test_service_requests_are_listed_as_given() -> None:
    service = {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": "active",
        "intent": "order",
        "code": {"text": "Blood test"},
        "subject": HERS,
        "authoredOn": "2026-11-22",
    }
    found = orders(services=(service, service | {"id": "s2", "status": "entered-in-error"}))
    assert [(one.kind, one.item.words) for one in found] == [
        (OrderKind.SERVICE, "Blood test"),
        (OrderKind.SUPPLY, "metformin"),
    ]
    for one in found:
        validate(one.resource)


# Findings


def observation(code: str, value: float | None, day: str, **more: Any) -> Json:
    quantity = {} if value is None else {"valueQuantity": {"value": value, "unit": "%"}}
    return {
        "resourceType": "Observation",
        "id": f"{code}-{day}",
        "status": "final",
        "code": coded(LOINC, code, "x"),
        "subject": HERS,
        "effectiveDateTime": day,
        **quantity,
        **more,
    }


def test_only_known_labs_and_the_newest_of_each() -> None:
    entries = [observation("4548-4", 7.0 + step / 10, f"2026-0{step}-01") for step in range(1, 8)]
    entries += [observation("99999-9", 1, "2026-11-01"), observation("6301-6", 2.4, "2026-11-02")]
    found = READER.observations(entries, "labs", 3)
    assert [(one.name, one.measure.value) for one in found] == [
        ("inr", 2.4),
        ("hba1c", 7.7),
        ("hba1c", 7.6),
        ("hba1c", 7.5),
    ]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered"])
def test_values_that_do_not_stand_are_not_shown(status: str) -> None:
    assert READER.observations([observation("4548-4", 7.1, "2026-01-01", status=status)], "labs", 3) == ()


def test_a_missing_value_says_so_and_a_preliminary_one_too() -> None:
    absent = coded("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-performed")
    entry = observation("4548-4", None, "2026-01-01", dataAbsentReason=absent, status="preliminary")
    (found,) = READER.observations([entry], "labs", 3)
    assert (found.measure.value, found.measure.absent_reason, found.preliminary) == (None, "not-performed", True)


def test_blood_pressure_has_the_upper_value_first() -> None:
    parts = [
        {"code": coded(LOINC, "8462-4"), "valueQuantity": {"value": 82, "code": "mm[Hg]"}},
        {"code": coded(LOINC, "8480-6"), "valueQuantity": {"value": 131, "code": "mm[Hg]"}},
    ]
    (found,) = READER.observations([observation("85354-9", None, "2026-11-01", component=parts)], "vitals", 9)
    assert [(name, one.value, one.unit) for name, one in found.components] == [
        ("systolic", 131, "mmHg"),
        ("diastolic", 82, "mmHg"),
    ]


@pytest.mark.parametrize(
    ("period", "status", "in_force"),
    [
        ({"start": "2026-01-01", "end": "2026-11-24"}, "active", True),
        ({"start": "2026-01-01", "end": "2026-11-23"}, "active", False),
        ({"start": "2026-11-25"}, "active", False),
        ({}, "active", True),
        ({}, "cancelled", False),
    ],
)
def test_coverage(period: Json, status: str, in_force: bool) -> None:
    entry = {"resourceType": "Coverage", "id": "c", "status": status, "beneficiary": HERS, "period": period}
    assert findings.coverages([entry])[0].is_in_force(TODAY) is in_force


def test_conditions_keep_what_is_active_first_and_drop_errors() -> None:
    clinical, verification = (
        f"http://terminology.hl7.org/CodeSystem/condition-{one}" for one in ("clinical", "ver-status")
    )
    entries = [
        {
            "id": "old",
            "code": {"text": "Flu"},
            "clinicalStatus": coded(clinical, "resolved"),
            "onsetDateTime": "2026-10-01",
        },
        {"id": "now", "code": {"text": "Gout"}, "clinicalStatus": coded(clinical, "active"), "onsetDateTime": "2019"},
        {"id": "err", "code": {"text": "x"}, "verificationStatus": coded(verification, "entered-in-error")},
        {"id": "silent", "code": {"text": "Asthma"}},
    ]
    assert [(one.id, one.is_active) for one in findings.conditions(entries)] == [
        ("now", True),
        ("silent", True),
        ("old", False),
    ]


@pytest.mark.parametrize("junk", [None, 7, "text", [], {}, [[]], {"coding": "x"}, {"coding": [None, 3, {"code": {}}]}])
def test_junk_in_any_element_is_missing_not_an_error(junk: Any) -> None:
    fields = [
        "status",
        "intent",
        "medicationCodeableConcept",
        "medicationReference",
        "dosageInstruction",
        "dispenseRequest",
        "reasonCode",
        "identifier",
        "quantity",
        "daysSupply",
        "performer",
        "authorizingPrescription",
        "code",
        "component",
        "valueQuantity",
        "interpretation",
        "clinicalStatus",
        "reaction",
        "period",
        "payor",
        "businessStatus",
        "focus",
        "basedOn",
        "occurrenceDateTime",
        "authoredOn",
        "name",
        "birthDate",
        "effectiveDateTime",
        "referenceRange",
        "link",
        "communication",
    ]
    broken = dict.fromkeys(fields, junk)
    made = prescription("m1") | broken
    READER.medication_requests([made | {"intent": "order"}], READER.dispenses([broken | {"id": "d"}], {}), {})
    READER.orders([broken | {"id": "o", "resourceType": "SupplyRequest"}], [broken], [broken | {"id": "p"}], [], {})
    READER.observations([broken | {"id": "x"}, observation("4548-4", 1, "2026-01-01") | {"component": junk}], "labs", 3)
    findings.allergies([broken])
    findings.conditions([broken])
    findings.coverages([broken])
    projection.patient(broken)
