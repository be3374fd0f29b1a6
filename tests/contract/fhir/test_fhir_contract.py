"""One contract for every FHIR server: our sandbox, sekmet-fhir (nobody here wrote it), and HAPI where one runs.

`LACKS` names the steps a server does not pass, and what it does instead; such a step is asserted to fail, so that the
row goes as soon as the server can do it.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from fhir_servers import SERVERS, Server, hook, running
from waiting import until

from portal.core import ids
from portal.core.errors import PortalError
from portal.demo import chapter, seed
from portal.ehr.client import EhrClient
from portal.ehr.consents import WhyNot
from portal.ehr.context import ContextReader
from portal.ehr.errors import EditConflict, EhrNotFound, EhrRefused
from portal.ehr.model import AllergyState, SectionState
from portal.ehr.transport import Deadline

Json = dict[str, Any]
_NO_ORDERS = "sekmet-fhir 0.1.1 has no search parameter `identifier` for SupplyRequest and answers 400"
LACKS: dict[tuple[str, str], str] = {
    ("sekmet", "the_demo_patients_twice_are_the_demo_patients_once"): _NO_ORDERS,
    ("sekmet", "the_whole_context_of_alice"): _NO_ORDERS,
}
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server in turn."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


def new_patient(client: EhrClient, family: str = "Morgan") -> str:
    number = ids.random_id()
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": number}], "active": True}
    return client.create({**patient, "name": [{"family": family, "given": ["Alice"]}]}).id


def request_for(patient: str, **more: Any) -> Json:
    coded = {"coding": [{"system": RXNORM, "code": "314076", "display": "lisinopril 10 MG Oral Tablet"}]}
    base = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    content = {**base, "subject": {"reference": f"Patient/{patient}"}, "medicationCodeableConcept": coded, **more}
    return {key: value for key, value in content.items() if value is not None}


class FhirContract:
    """The steps. Each takes a server and asserts what the portal relies on."""

    def says_what_it_can(self, server: Server) -> None:
        found = server.client.capabilities()
        assert found.fhir_version.startswith("4.0")
        assert {"Patient", "MedicationRequest", "AllergyIntolerance"} <= found.resource_types

    def read(self, server: Server) -> None:
        patient = new_patient(server.client)
        assert server.client.read("Patient", patient)["name"][0]["family"] == "Morgan"

    def read_of_nothing_is_not_found(self, server: Server) -> None:
        with pytest.raises(EhrNotFound):
            server.client.read("Patient", "nobody-by-this-name")

    def search_gives_only_this_patients(self, server: Server) -> None:
        alice, dave = new_patient(server.client), new_patient(server.client, "Novak")
        mine = server.client.create(request_for(alice)).id
        server.client.create(request_for(dave))
        found = server.client.search("MedicationRequest", [("patient", alice)])
        assert [one["id"] for one in found.matches] == [mine]

    def search_by_identifier(self, server: Server) -> None:
        mark = ids.random_id()
        number = [{"system": "urn:test:order", "value": mark}]
        made = server.client.create(request_for(new_patient(server.client), identifier=number)).id
        found = server.client.search("MedicationRequest", [("identifier", f"urn:test:order|{mark}")])
        assert [one["id"] for one in found.matches] == [made]

    def include_brings_the_medication(self, server: Server) -> None:
        alice = new_patient(server.client)
        code = {"coding": [{"system": RXNORM, "code": "745679"}], "text": "Albuterol inhaler"}
        medication = server.client.create({"resourceType": "Medication", "code": code}).id
        reference = {"reference": f"Medication/{medication}"}
        server.client.create(request_for(alice, medicationReference=reference, medicationCodeableConcept=None))
        found = server.client.search(
            "MedicationRequest", [("patient", alice), ("_include", "MedicationRequest:medication")]
        )
        assert [one["resourceType"] for one in found.matches] == ["MedicationRequest"]
        assert [one["id"] for one in found.included] == [medication]

    def revinclude_brings_the_dispense(self, server: Server) -> None:
        alice = new_patient(server.client)
        request = server.client.create(request_for(alice)).id
        dispense = {
            "resourceType": "MedicationDispense",
            "status": "completed",
            "medicationCodeableConcept": {"text": "lisinopril"},
            "subject": {"reference": f"Patient/{alice}"},
            "authorizingPrescription": [{"reference": f"MedicationRequest/{request}"}],
        }
        made = server.client.create(dispense).id
        found = server.client.search(
            "MedicationRequest", [("patient", alice), ("_revinclude", "MedicationDispense:prescription")]
        )
        assert [one["id"] for one in found.included] == [made]

    def pages_are_followed_to_the_end(self, server: Server) -> None:
        alice = new_patient(server.client)
        made = {server.client.create(request_for(alice)).id for _ in range(7)}
        found = server.client.search("MedicationRequest", [("patient", alice), ("_count", "3")])
        assert {one["id"] for one in found.matches} == made
        assert len(found.matches) == 7
        assert not found.truncated

    def several_searches_at_once(self, server: Server) -> None:
        alice = new_patient(server.client)
        server.client.create(request_for(alice))
        one, other = server.client.search_many(
            [("MedicationRequest", [("patient", alice)]), ("AllergyIntolerance", [("patient", alice)])]
        )
        assert (len(one.matches), len(other.matches)) == (1, 0)

    def create_tells_id_and_version(self, server: Server) -> None:
        made = server.client.create(request_for(new_patient(server.client)))
        assert made.created
        assert server.client.read("MedicationRequest", made.id)["meta"]["versionId"] == made.version

    def conditional_create_makes_one(self, server: Server) -> None:
        mark = ids.random_id()
        request = request_for(new_patient(server.client), identifier=[{"system": "urn:test", "value": mark}])
        condition = [("identifier", f"urn:test|{mark}")]
        first = server.client.create(request, if_none_exist=condition)
        second = server.client.create(request, if_none_exist=condition)
        assert (first.created, second.created, second.id) == (True, False, first.id)

    def a_stale_update_is_a_conflict(self, server: Server) -> None:
        made = server.client.create(request_for(new_patient(server.client)))
        resource = server.client.read("MedicationRequest", made.id)
        newer = server.client.update({**resource, "status": "on-hold"}, if_match=made.version)
        assert newer.version != made.version
        with pytest.raises(EditConflict):
            server.client.update({**resource, "status": "stopped"}, if_match=made.version)
        assert server.client.read("MedicationRequest", made.id)["status"] == "on-hold"

    def an_unchanged_resource_is_304(self, server: Server) -> None:
        address = f"{server.base_url}/Patient/{new_patient(server.client)}"
        etag = server.raw.send("GET", address, deadline=Deadline()).headers["etag"]
        again = server.raw.send("GET", address, deadline=Deadline(), headers={"If-None-Match": etag})
        assert (again.status, again.body) == (304, b"")

    def history_has_every_version(self, server: Server) -> None:
        made = server.client.create(request_for(new_patient(server.client)))
        resource = server.client.read("MedicationRequest", made.id)
        server.client.update({**resource, "status": "completed"}, if_match=made.version)
        assert [one["status"] for one in server.client.history("MedicationRequest", made.id)] == ["completed", "active"]

    def a_transaction_resolves_its_references(self, server: Server) -> None:
        alice, request = self._pair()
        places = server.client.transaction({"resourceType": "Bundle", "type": "transaction", "entry": [alice, request]})
        found = server.client.read("MedicationRequest", places[1].partition("/")[2])
        assert found["subject"]["reference"] == places[0]

    def a_failing_transaction_leaves_nothing(self, server: Server) -> None:
        alice, request = self._pair()
        mark = alice["resource"]["identifier"][0]["value"]
        request["resource"]["subject"] = {"reference": f"Patient?identifier=urn:test|{ids.random_id()}"}
        with pytest.raises((EhrRefused, EditConflict)):
            server.client.transaction({"resourceType": "Bundle", "type": "transaction", "entry": [alice, request]})
        assert server.client.search("Patient", [("identifier", f"urn:test|{mark}")]).matches == ()

    def a_subscription_calls(self, server: Server) -> None:
        alice = new_patient(server.client)
        with hook() as listener:
            header = ["Authorization: Bearer shared-secret"]
            channel = {
                "type": "rest-hook",
                "endpoint": listener.url,
                "payload": "application/fhir+json",
                "header": header,
            }
            subscription = server.client.create(
                {
                    "resourceType": "Subscription",
                    "status": "requested",
                    "reason": "test",
                    "criteria": "MedicationRequest?status=on-hold",
                    "channel": channel,
                }
            ).id
            until(
                lambda: server.client.read("Subscription", subscription)["status"] == "active",
                "the subscription is active",
            )
            unasked = server.client.create(request_for(alice)).id
            wanted = server.client.create(request_for(alice, status="on-hold")).id
            # A server may still work off what earlier steps wrote: only these two requests count.
            heard = until(lambda: [one for one in listener.notices if one[1].endswith(f"/{wanted}")], "a notice comes")
            _, _, said, body = heard[0]
            server.client.delete("Subscription", subscription)
        assert said == "Bearer shared-secret"
        assert not [one for one in listener.notices if one[1].endswith(f"/{unasked}")]
        assert (body["resourceType"], body["status"]) == ("MedicationRequest", "on-hold")

    def the_demo_patients_twice_are_the_demo_patients_once(self, server: Server) -> None:
        today = date(2026, 11, 24)
        bundle = seed.demo_bundles(today)["alice"]
        assert server.client.transaction(bundle, deadline=Deadline(60)) == server.client.transaction(
            bundle, deadline=Deadline(60)
        )

    def people_are_found_by_name_and_birth_date_and_by_phone(self, server: Server) -> None:
        family, number = f"Aguirre{ids.random_id()[:8]}", str(5_550_000_000 + int(ids.random_id()[:6], 16))
        made = [
            server.client.create(
                {
                    "resourceType": "Patient",
                    "name": [{"family": f"{family} Peña", "given": [given]}],
                    "birthDate": "1968-03-27",
                    "telecom": [{"system": "phone", "value": f"+1{number}"}],
                }
            ).id
            for given in ("Marta", "Marco")
        ]
        reader = ContextReader(server.client)
        until(lambda: len(reader.find_by_phone(number)) == 2, "both are found")
        assert {one.id for one in reader.find_by_phone(f"+1 {number[:3]} {number[3:6]} {number[6:]}")} == set(made)
        assert [one.id for one in reader.find_by_name(f"{family} marta", date(1968, 3, 27))] == made[:1]
        assert reader.find_by_name(f"{family} Marta", date(1968, 3, 28)) == ()

    def a_consent_names_whom_a_patient_lets_act_until_it_is_withdrawn(self, server: Server) -> None:
        today, alice = date(2026, 11, 24), new_patient(server.client)
        father = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "FTH"}]}
        luis = server.client.create(
            {
                "resourceType": "RelatedPerson",
                "active": True,
                "patient": {"reference": f"Patient/{alice}"},
                "relationship": [father],
                "name": [{"family": "Castillo", "given": ["Luis"]}],
            }
        )
        scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
        said = {
            "resourceType": "Consent",
            "status": "active",
            "scope": {"coding": [scope]},
            "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
            "patient": {"reference": f"Patient/{alice}"},
            "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
            "provision": {
                "type": "permit",
                "period": {"end": "2027-03-01"},
                "actor": [{"role": father, "reference": {"reference": f"RelatedPerson/{luis.id}"}}],
            },
        }
        made = server.client.create(said)
        reader = ContextReader(server.client)
        until(lambda: reader.consents(alice, today=today), "the Consent is found")
        (found,) = reader.consents(alice, today=today) or ()
        assert (found.consent_id, found.name, found.kind, found.step) == (
            made.id,
            "Luis Castillo",
            "parent",
            "messages",
        )
        assert (found.last_day, found.why_not, found.version) == (date(2027, 3, 1), WhyNot.NO, made.version)
        server.client.update({**said, "id": made.id, "status": "inactive"}, if_match=made.version)
        until(lambda: reader.consents(alice, today=today) == (), "the Consent is withdrawn")
        assert reader.consents(new_patient(server.client), today=today) == ()

    def the_whole_context_of_alice(self, server: Server) -> None:
        today = date(2026, 11, 24)
        server.client.transaction(seed.demo_bundles(today)["alice"], deadline=Deadline(60))
        reader = ContextReader(server.client)
        (alice,) = reader.find_patients(chapter.LOGIN_SYSTEM, "alice")
        context = reader.read(alice.id)
        metformin = next(one for one in context.medication_requests if one.medication.rxnorm == "860975")
        assert metformin.days_left(today) == 9
        assert metformin.days_left(today + timedelta(days=9)) == 0
        assert {one.number: one.state for one in context.orders} == {
            "1042": "shipped",
            "1038": "delivered",
            "1051": "waiting_prescriber",
        }
        assert context.allergy_state is AllergyState.RECORDED
        assert len([one for one in context.vitals if one.name == "blood_pressure"]) == 20
        assert context.labs[0].measure.value in (7.1, 68)
        assert set(context.sections.values()) == {SectionState.OK}
        assert context.dropped == ()
        assert [one.value for one in context.dispensers] == ["riverside"]

    @staticmethod
    def _pair() -> tuple[Json, Json]:
        mark = ids.random_id()
        here = "urn:uuid:00000000-0000-4000-8000-000000000001"
        patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": mark}]}
        request = {**request_for("x"), "subject": {"reference": here}}
        return (
            {"fullUrl": here, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
            {
                "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000002",
                "resource": request,
                "request": {"method": "POST", "url": "MedicationRequest"},
            },
        )


STEPS = [name for name in vars(FhirContract) if not name.startswith("_")]


@pytest.mark.parametrize("step", STEPS)
def test_contract(server: Server, step: str) -> None:
    run: Callable[[Server], None] = getattr(FhirContract(), step)
    if (server.kind, step) not in LACKS:
        run(server)
        return
    with pytest.raises((AssertionError, PortalError)):
        run(server)


def test_every_lacking_step_exists_and_has_a_reason() -> None:
    assert all(step in STEPS and reason for (_, step), reason in LACKS.items())


def test_our_sandbox_lacks_nothing() -> None:
    assert not [step for kind, step in LACKS if kind == "sandbox"]
