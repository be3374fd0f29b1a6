"""An EHR that answers at once, for tests that are not about FHIR: contexts by FHIR id, or down."""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from portal.core import clock
from portal.ehr.consents import Grant
from portal.ehr.errors import DownReason, EhrNotFound, EhrUnavailable
from portal.ehr.model import (
    AllergyState,
    Condition,
    Dispense,
    Dropped,
    Identifier,
    Medication,
    MedicationRequest,
    Order,
    OrderKind,
    Patient,
    PatientContext,
    PharmacyRef,
    SectionState,
)

METFORMIN = Medication("24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet", "860975")


def context_of(name: str, **changes: Any) -> PatientContext:
    """A patient with metformin, one order and one condition; `changes` replace members."""
    fill = Dispense(
        "fill-1",
        "completed",
        METFORMIN,
        "rx-1",
        None,
        date(2026, 11, 3),
        30,
        "60 tablets",
        PharmacyRef(name="Riverside"),
    )
    request = MedicationRequest(
        id="rx-1",
        status="active",
        status_reason="",
        intent="order",
        medication=METFORMIN,
        dosage=({"text": "one with breakfast"},),
        authored_on=date(2026, 10, 1),
        prescriber="Dr. Lang",
        reason="",
        note="",
        repeats_allowed=2,
        pharmacy=PharmacyRef(),
        fills=(fill,),
        resource={"resourceType": "MedicationRequest", "id": "rx-1", "subject": {"reference": f"Patient/{name}"}},
    )
    order = Order(
        id="order-1",
        kind=OrderKind.SUPPLY,
        number="1042",
        status="active",
        state="shipped",
        state_words="",
        state_reason="",
        changed_at=clock.now(),
        ordered_on=date(2026, 11, 20),
        item=METFORMIN,
        quantity="60 tablets",
        deliveries=(),
        resource={"resourceType": "SupplyRequest", "id": "order-1", "itemCodeableConcept": {"text": "Metformin"}},
    )
    made = PatientContext(
        patient=Patient(
            name, f"{name.capitalize()} Ward", "Ward", name.capitalize(), "1974-03-12", "female", (), True, False
        ),
        medication_requests=(request,),
        other_dispenses=(),
        allergies=(),
        allergy_state=AllergyState.NOTHING_RECORDED,
        conditions=(Condition("c-1", "Type 2 diabetes", "active", "", "2019", ""),),
        orders=(order,),
        labs=(),
        vitals=(),
        coverages=(),
        sections={"medications": SectionState.OK},
        dropped=(),
        source="Riverside Pharmacy",
        as_of=clock.now(),
    )
    return replace(made, **changes)


def foreign(resource_type: str, resource_id: str) -> Dropped:
    """An entry of somebody else that the EHR mixed in."""
    return Dropped(resource_type, resource_id, "foreign")


@dataclass
class FakeEhr:
    """Stands in for `EhrReaders` and its reader at once."""

    contexts: dict[str, PatientContext] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)
    # What Consents name whom, by FHIR id of the patient; None: this EHR keeps none.
    grants: dict[str, tuple[Grant, ...]] | None = field(default_factory=dict)

    def reader(self, address: object) -> "FakeEhr":
        """The reader of any connection."""
        return self

    def read(self, fhir_id: str, *, max_age: float = 15.0) -> PatientContext:
        """The context of a patient, as if fetched now."""
        self.asked.append(fhir_id)
        if self.down:
            raise EhrUnavailable(DownReason.CONNECTION)
        if fhir_id not in self.contexts:
            raise EhrNotFound(404)
        return replace(self.contexts[fhir_id], as_of=clock.now())

    def patient(self, fhir_id: str) -> Patient:
        """The Patient alone."""
        return self.read(fhir_id).patient

    def consents(self, fhir_id: str, *, today: date) -> tuple[Grant, ...] | None:
        """Whom the patient's active Consents name."""
        if self.down:
            raise EhrUnavailable(DownReason.CONNECTION)
        return None if self.grants is None else self.grants.get(fhir_id, ())


NORA = Patient(
    "nora", "Nora Hall", "Hall", "Nora", "1974-03-09", "female", (Identifier("u", "100", "MR"),), True, False
)


@dataclass
class PeopleOfEhr(FakeEhr):
    """An EHR in which people are looked for: Nora alone, unless a test says otherwise. Every prescription is hers."""

    people: list[Patient] = field(default_factory=lambda: [NORA])

    def reader(self, address: object) -> "PeopleOfEhr":
        if self.down:
            raise EhrUnavailable(DownReason.TIMEOUT)
        return self

    def find_by_name(self, name: str, born: date) -> tuple[Patient, ...]:
        return tuple(self.people)

    def holders_of(self, prescription: str) -> frozenset[str]:
        return frozenset({"nora"})

    def patient(self, fhir_id: str) -> Patient:
        return next(one for one in self.people if one.id == fhir_id)

    def patients(self, fhir_ids: list[str]) -> dict[str, Patient]:
        return {one.id: one for one in self.people if one.id in fhir_ids}
