"""A whole context: one reading, bounded, remembered briefly, and nothing of anybody else."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from ehr_answers import bundle, capabilities, fhir, prescription
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from portal.core import clock, texts
from portal.ehr.client import EhrClient
from portal.ehr.context import ContextReader
from portal.ehr.errors import EhrNotFound, EhrProtocolError, EhrUnavailable
from portal.ehr.model import AllergyState, SectionState
from portal.ehr.panel import context_to_json, medication_chip, order_chip
from portal.ehr.reading import folded_words, words_fit
from portal.ehr.validation import validate

Json = dict[str, Any]
Answer = Callable[..., None]
TODAY = date(2026, 11, 24)
HERS = {"reference": "Patient/alice"}
TYPES = [
    "Patient",
    "MedicationRequest",
    "MedicationDispense",
    "AllergyIntolerance",
    "Condition",
    "SupplyRequest",
    "SupplyDelivery",
    "Task",
    "ServiceRequest",
    "Observation",
    "Coverage",
]


class Ehr:
    """An EHR that answers a batch of searches from a few resources."""

    def __init__(self) -> None:
        self.found: dict[str, list[Json]] = {
            "Patient": [
                {"resourceType": "Patient", "id": "alice", "name": [{"family": "Morgan"}], "birthDate": "1974-03-14"}
            ],
            "MedicationRequest": [prescription("m1")],
        }
        self.failing: dict[str, str] = {}
        self.asked = 0
        self.down = False
        # What it says instead of an answer.
        self.saying: Response | None = None

    def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.saying is not None:
            return self.saying
        if self.down:
            return fhir({}, 500)
        answers = []
        for entry in json.loads(request.data)["entry"]:
            kind = entry["request"]["url"].partition("?")[0]
            if kind in self.failing:
                answers.append({"response": {"status": self.failing[kind]}})
            else:
                answers.append({"resource": bundle(*self.found.get(kind, [])), "response": {"status": "200"}})
        return fhir({"resourceType": "Bundle", "type": "batch-response", "entry": answers})


@pytest.fixture
def hospital(answer: Answer) -> Ehr:
    made = Ehr()
    answer("/metadata", capabilities("batch", types=tuple(TYPES)))
    answer("", made, "POST")
    return made


@pytest.fixture
def reader(ehr: EhrClient) -> ContextReader:
    return ContextReader(ehr)


def test_one_batch_gives_it_all_with_source_and_time(hospital: Ehr, reader: ContextReader) -> None:
    at = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
    with clock.frozen(at):
        context = reader.read("alice")
    assert hospital.asked == 1
    assert (context.patient.full_name, context.source, context.as_of, context.stale) == ("Morgan", "EHR", at, False)
    assert [one.id for one in context.medication_requests] == ["m1"]
    assert set(context.sections.values()) == {SectionState.OK}
    assert context.allergy_state is AllergyState.NOTHING_RECORDED


def test_daves_entries_in_alices_answer_are_dropped_and_named(hospital: Ehr, reader: ContextReader) -> None:
    hospital.found["MedicationRequest"].append(prescription("daves", patient="dave"))
    hospital.found["AllergyIntolerance"] = [
        {"resourceType": "AllergyIntolerance", "id": "daves-too", "patient": {"reference": "Patient/dave"}}
    ]
    hospital.found["Patient"].append({"resourceType": "Patient", "id": "dave"})
    context = reader.read("alice")
    assert {(one.resource_type, one.id) for one in context.dropped_foreign} == {
        ("MedicationRequest", "daves"),
        ("AllergyIntolerance", "daves-too"),
        ("Patient", "dave"),
    }
    assert "dave" not in json.dumps(context_to_json(context, "en", today=TODAY))
    assert context.allergy_state is AllergyState.NOTHING_RECORDED


def test_another_patient_instead_of_alice_is_no_context(hospital: Ehr, reader: ContextReader) -> None:
    hospital.found["Patient"] = [{"resourceType": "Patient", "id": "dave"}]
    with pytest.raises(EhrProtocolError):
        reader.read("alice")
    hospital.found["Patient"] = []
    hospital.found["MedicationRequest"] = []
    with pytest.raises(EhrNotFound):
        reader.read("alice")
    with pytest.raises(EhrNotFound):
        reader.read("../metadata")


def test_a_part_that_fails_is_named_and_the_rest_stands(hospital: Ehr, reader: ContextReader) -> None:
    hospital.failing = {"AllergyIntolerance": "500", "Coverage": "403 Forbidden"}
    context = reader.read("alice")
    assert context.sections["allergies"] is SectionState.UNAVAILABLE
    assert context.sections["coverage"] is SectionState.UNAVAILABLE
    assert context.sections["medications"] is SectionState.OK
    # The most dangerous confusion of all: "could not be read" must not look like "none".
    assert context.allergy_state is AllergyState.UNAVAILABLE


def test_an_ehr_without_orders_says_so(answer: Answer, reader: ContextReader) -> None:
    answer("/metadata", capabilities("batch", types=("Patient", "MedicationRequest")))
    answer("", Ehr(), "POST")
    context = reader.read("alice")
    assert context.sections["orders"] is SectionState.NOT_OFFERED
    assert context.allergy_state is AllergyState.UNAVAILABLE


def test_more_than_the_bounds_allow_is_partial(hospital: Ehr, reader: ContextReader, httpserver: HTTPServer) -> None:
    real = hospital.__call__

    def with_next(request: Request) -> Response:
        body = json.loads(real(request).data)
        body["entry"][1]["resource"]["link"] = [{"relation": "next", "url": "https://evil.example/next"}]
        return fhir(body)

    httpserver.clear_all_handlers()
    httpserver.expect_request("/fhir/metadata").respond_with_response(fhir(capabilities("batch", types=tuple(TYPES))))
    httpserver.expect_request("/fhir", method="POST").respond_with_handler(with_next)
    assert reader.read("alice").sections["medications"] is SectionState.PARTIAL


def test_a_fresh_context_is_not_asked_for_again(hospital: Ehr, reader: ContextReader) -> None:
    reader.read("alice")
    reader.read("alice")
    assert hospital.asked == 1
    clock.shift(timedelta(seconds=16))
    reader.read("alice")
    reader.read("alice", max_age=0)
    assert hospital.asked == 3
    reader.forget("alice")
    reader.read("alice", max_age=300)
    assert hospital.asked == 4


def test_ten_readers_at_once_ask_once(hospital: Ehr, reader: ContextReader) -> None:
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: reader.read("alice"), range(10)))
    assert len({id(one) for one in found}) == hospital.asked == 1


def test_when_the_ehr_is_down_the_last_word_stands_for_five_minutes(hospital: Ehr, reader: ContextReader) -> None:
    first = reader.read("alice")
    hospital.down = True
    clock.shift(timedelta(minutes=2))
    stale = reader.read("alice")
    assert (stale.stale, stale.as_of) == (True, first.as_of)
    clock.shift(timedelta(minutes=3, seconds=1))
    with pytest.raises(EhrUnavailable):
        reader.read("alice")


@pytest.mark.parametrize("sign", ["cut", "busy"])
def test_nobody_waits_for_an_ehr_that_is_down_while_its_last_word_stands(
    hospital: Ehr, reader: ContextReader, pauses: list[float], sign: str
) -> None:
    first = reader.read("alice")
    clock.shift(timedelta(minutes=2))
    hospital.saying = Response("", 200) if sign == "cut" else Response("", 503, {"Retry-After": "3"})
    stale = reader.read("alice")
    assert (stale.stale, stale.as_of, pauses) == (True, first.as_of, [])
    # One object, so that what was made of it once need not be made again for every look.
    assert reader.read("alice") is stale
    hospital.saying = None
    assert not reader.read("alice").stale


def test_finding_by_identifier_takes_only_who_has_it(answer: Answer, reader: ContextReader) -> None:
    alice = {"resourceType": "Patient", "id": "alice", "identifier": [{"system": "urn:x", "value": "1"}]}
    dave = {"resourceType": "Patient", "id": "dave", "identifier": [{"system": "urn:x", "value": "2"}]}
    answer("/Patient", bundle(alice, dave))
    assert [one.id for one in reader.find_patients("urn:x", "1")] == ["alice"]


def somebody(name: str, *names: Json, born: str = "1974-03-14", phone: str = "") -> Json:
    telecom = [{"system": "phone", "value": phone}, {"system": "email", "value": "5550142@x.example"}]
    return {"resourceType": "Patient", "id": name, "name": list(names), "birthDate": born, "telecom": telecom}


@pytest.mark.parametrize("typed", ["María García-López", "garcia maria", "Lopez", "Mar Gar", "Peña"])
def test_people_are_found_by_name_and_birth_date_however_the_name_is_written(
    answer: Answer, reader: ContextReader, typed: str
) -> None:
    maria = {"family": "García López", "given": ["María"]}
    answer(
        "/Patient",
        bundle(
            somebody("maria", maria, {"use": "maiden", "family": "Peña"}),
            # What an EHR adds that does not fit is left out here.
            somebody("twin", {**maria}, {"family": "Pena"}, born="1974-03-15"),
            somebody("other", {"family": "Garcés", "given": ["Ana"]}),
        ),
    )
    assert [one.id for one in reader.find_by_name(typed, date(1974, 3, 14))] == ["maria"]
    assert reader.find_by_name(" - ", date(1974, 3, 14)) == ()


@pytest.mark.parametrize("typed", ["+1 555 555 0142", "555-555-0142", "(555) 555 0142", "15555550142"])
def test_people_are_found_by_phone_however_the_number_is_written(
    answer: Answer, reader: ContextReader, typed: str
) -> None:
    answer(
        "/Patient",
        bundle(
            somebody("rosa", phone="+1 (555) 555-0142"),
            somebody("judy", phone="555 555 0142"),
            somebody("dave", phone="555 555 0143"),
        ),
    )
    assert [one.id for one in reader.find_by_phone(typed)] == ["rosa", "judy"]


@pytest.mark.parametrize(
    ("typed", "known", "fits"),
    [
        ("N Hall", "Nora Hall", False),
        ("No Hall", "Nora Hall", False),
        ("Nor Hall", "Nora Hall", True),
        ("Mina O", "O Mina", True),
        ("Hanh Ng", "Hanh Nguyen", False),
        ("Hanh Ng", "Ng Thi Hanh", True),
        ("", "Nora Hall", False),
    ],
)
def test_a_letter_or_two_are_a_whole_name_or_nobodys(typed: str, known: str, fits: bool) -> None:
    assert words_fit(folded_words(typed), folded_words(known)) is fits


def test_what_is_typed_is_one_plain_value_of_a_search(answer: Answer, reader: ContextReader) -> None:
    asked: list[dict[str, str]] = []

    def mine(number: str, subject: str) -> Json:
        return prescription(
            f"m-{subject}",
            identifier=[{"system": "urn:rx", "value": number}],
            subject={"reference": f"Patient/{subject}"},
        )

    def say(*resources: Json) -> Callable[[Request], Response]:
        def heard(request: Request) -> Response:
            asked.append(request.args.to_dict())
            return fhir(bundle(*resources))

        return heard

    # An EHR that takes no notice of the escaping gives too much: another number does not count.
    answer("/MedicationRequest", say(mine("RX-77", "nora"), mine("rx-78", "dave")))
    assert reader.holders_of("rx-77") == {"nora"}
    assert reader.holders_of("urn:rx|") == frozenset()
    assert reader.holders_of("rx-77,rx-78") == frozenset()
    answer("/Patient", say())
    assert reader.find_by_name("Nora Hall,O|$\\", date(1974, 3, 9)) == ()
    assert reader.find_by_phone("555 555 0142|") == ()
    assert [one["identifier"] for one in asked[:3]] == ["rx-77", "urn:rx\\|", "rx-77\\,rx-78"]
    assert asked[3]["name"] == "Hall\\,O\\|\\$\\\\"
    assert asked[4]["phone"].startswith("555 555 0142\\|,")


def test_a_few_digits_find_nobody(reader: ContextReader) -> None:
    # No answer is laid out: the EHR is not asked.
    assert reader.find_by_phone("0142") == ()


def test_the_panel_is_json_with_known_words(hospital: Ehr, reader: ContextReader) -> None:
    coded = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "860975"}]}
    hospital.found["MedicationRequest"] = [
        prescription("m1", medicationCodeableConcept=coded),
        prescription("m2", status="stopped"),
        prescription("m3", status="something-new"),
    ]
    hospital.found["SupplyRequest"] = [
        {
            "resourceType": "SupplyRequest",
            "id": "o1",
            "identifier": [{"system": "urn:portal:order-number", "value": "1042"}],
            "status": "active",
            "itemCodeableConcept": coded,
            "quantity": {"value": 60},
            "deliverTo": HERS,
        }
    ]
    panel = context_to_json(reader.read("alice"), "en", today=TODAY)
    assert json.loads(json.dumps(panel)) == panel
    assert [one["name"] for one in panel["medications"]["current"]] == ["Metformin 500 mg, slow-release tablet"]
    past = {one["id"]: one["status_word"] for one in panel["medications"]["past"]}
    assert past["m2"] == {"key": "ehr.medication.status.stopped", "text": ""}
    assert past["m3"] == {"key": None, "text": "something-new"}
    assert (panel["patient"]["age"], panel["patient"]["silent"]) == (52, False)
    assert all(key in texts.catalogue("en") and key in texts.catalogue("es") for key in _keys(panel))


def test_chips_are_whole_resources_with_the_words_people_read(hospital: Ehr, reader: ContextReader) -> None:
    hospital.found["MedicationRequest"] = [prescription("m1", dosageInstruction=[{"text": "One at night"}])]
    hospital.found["SupplyRequest"] = [
        {
            "resourceType": "SupplyRequest",
            "id": "o1",
            "identifier": [{"system": "urn:portal:order-number", "value": "1042"}],
            "status": "active",
            "itemCodeableConcept": {"text": "Methotrexate"},
            "quantity": {"value": 4, "unit": "tablets"},
            "deliverTo": HERS,
        }
    ]
    context = reader.read("alice")
    medicine = medication_chip(context.medication_requests[0], "en")
    assert medicine["structureDefinition"] == "http://hl7.org/fhir/StructureDefinition/MedicationRequest"
    assert (medicine["fhirVersion"], medicine["text"]) == ("4.0.1", "m1. One at night")
    order, desk = (order_chip(context.orders[0], "es", with_medicine=flag) for flag in (True, False))
    assert (order["text"], desk["text"]) == ("Pedido 1042: Methotrexate", "Pedido 1042")
    for hidden in ("Methotrexate", "tablets", "4"):
        assert hidden not in json.dumps(desk["resource"]).replace("1042", "")
    for one in (medicine, order, desk):
        validate(one["resource"])
        assert one.keys() == {"structureDefinition", "fhirVersion", "text", "resource"}


def _keys(value: object) -> list[str]:
    """All catalogue keys in a panel."""
    if isinstance(value, dict):
        own = [one for name, one in value.items() if name.endswith("key") and isinstance(one, str)]
        return own + [key for one in value.values() for key in _keys(one)]
    return [key for one in value for key in _keys(one)] if isinstance(value, list) else []
