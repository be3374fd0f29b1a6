"""One demo patient's resources in FHIR, as the words of a story: a medicine, an allergy, an order so many days ago.

Every entry is a conditional create on an identifier of its own, so that a Bundle can be sent again without doubling.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from portal.ehr.contract import LOINC, ORDER_STATE, RXNORM, SNOMED
from portal.ehr.names import table

Json = dict[str, Any]
LOGIN_SYSTEM = "urn:portal:demo-login"
RECORD_SYSTEM = "urn:portal:demo-record-number"
ORDER_SYSTEM = "urn:portal:order-number"
PHARMACY_SYSTEM = "urn:portal:pharmacy"
SEED_SYSTEM = "urn:portal:demo-seed"
UCUM = "http://unitsofmeasure.org"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_ROUTES = {"oral": "26643006", "inhaled": "447694001", "injected": "34206005", "skin": "6064005", "tongue": "37839007"}
_SIGNS = {"Rash": "271807003", "Hives": "126485001", "Anaphylaxis": "39579001", "Skin swelling": "65124004"}
_TASK_STATUS = {
    "received": "requested",
    "verified": "accepted",
    "waiting_prescriber": "on-hold",
    "on_hold": "on-hold",
    "dispensed": "in-progress",
    "shipped": "in-progress",
    "delivered": "completed",
    "damaged": "failed",
    "pickup": "ready",
}
_DONE = ("delivered", "damaged")


@dataclass
class Chapter:
    """The resources of one patient, growing while the story is told."""

    key: str
    today: date
    entries: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key, name, phone in (
            ("riverside", "Riverside Pharmacy", "+1 555 0100"),
            ("harbor", "Harbor Pharmacy", "+1 555 0200"),
        ):
            number = {"system": PHARMACY_SYSTEM, "value": key}
            telecom = [{"system": "phone", "value": phone}]
            self._shared(
                "Organization", key, {"identifier": [number], "name": name, "telecom": telecom, "active": True}
            )
        self._shared("Practitioner", "lang", {"name": [{"family": "Lang", "given": ["Maria"], "prefix": ["Dr."]}]})

    def bundle(self) -> Json:
        """Everything as one transaction."""
        return {"resourceType": "Bundle", "type": "transaction", "entry": self.entries}

    def ago(self, days: int) -> str:
        """The day `days` before today, as FHIR date."""
        return (self.today - timedelta(days=days)).isoformat()

    def at(self, days: int, hour: int = 9, minute: int = 0) -> str:
        """A moment of that day, as FHIR dateTime in UTC."""
        day = datetime.combine(self.today - timedelta(days=days), time(hour, minute), tzinfo=UTC)
        return day.isoformat().replace("+00:00", "Z")

    def add(self, kind: str, name: str, content: Json) -> str:
        """A resource of this patient; returns how others refer to it."""
        return self._put(kind, f"{self.key}-{kind}-{name}", content)

    def patient(self, given: str, family: str, birth: str, gender: str, **more: Any) -> None:
        """The Patient itself."""
        number = str(100000 + int(uuid.uuid5(uuid.NAMESPACE_URL, self.key).hex[:6], 16) % 900000)
        mark = {"coding": [{"system": f"{_HL7}/v2-0203", "code": "MR", "display": "Medical record number"}]}
        identifiers = [
            {"system": LOGIN_SYSTEM, "value": self.key},
            {"type": mark, "system": RECORD_SYSTEM, "value": number},
        ]
        name = [{"use": "official", "family": family, "given": given.split()}]
        content = {
            "identifier": identifiers,
            "name": name,
            "birthDate": birth,
            "gender": gender,
            "active": True,
            **more,
        }
        self.add("Patient", "self", content)

    @property
    def me(self) -> Json:
        """A Reference to this patient."""
        return {"reference": self._url(f"{self.key}-Patient-self")}

    def medicine(self, code: str, dosage: list[Json], **more: Any) -> str:
        """A prescription of `code` by Dr. Lang, to be filled at Riverside. `started` in days ago; `status`, `name`,
        `repeats`, `reason`, `form` (coded, contained, referenced) and `fill`=(days ago, days supply, quantity)."""
        name = more.pop("name", code)
        form, fill = more.pop("form", "coded"), more.pop("fill", None)
        started, repeats, reason = more.pop("started", 120), more.pop("repeats", 3), more.pop("reason", "")
        stopped = more.pop("status_reason", "")
        concept = _rxnorm(code)
        content: Json = {"status": "active", "intent": "order", "subject": self.me, "authoredOn": self.ago(started)}
        if form == "contained":
            content["contained"] = [{"resourceType": "Medication", "id": "med", "code": concept}]
            content["medicationReference"] = {"reference": "#med"}
        elif form == "referenced":
            content["medicationReference"] = {"reference": self.add("Medication", name, {"code": concept})}
        else:
            content["medicationCodeableConcept"] = concept
        content |= {
            "requester": {"reference": self._url("shared-Practitioner-lang"), "display": "Dr. Lang"},
            "dosageInstruction": dosage,
            "dispenseRequest": {"numberOfRepeatsAllowed": repeats, "performer": self.pharmacy()},
            **({"reasonCode": [{"text": reason}]} if reason else {}),
            **({"statusReason": {"text": stopped}} if stopped else {}),
            **more,
        }
        request = self.add("MedicationRequest", name, content)
        if fill:
            self.fill(name, request, concept, *fill)
        return request

    def fill(self, name: str, request: str, concept: Json, days_ago: int, supply: int, quantity: Json) -> None:
        """A completed hand-over at Riverside."""
        content = {
            "status": "completed",
            "medicationCodeableConcept": concept,
            "subject": self.me,
            "performer": [{"actor": self.pharmacy()}],
            "authorizingPrescription": [{"reference": request}],
            "quantity": quantity,
            "daysSupply": days_of(supply),
            "whenHandedOver": self.at(days_ago, 15),
        }
        self.add("MedicationDispense", f"{name}-{days_ago}", content)

    def allergy(self, code: str, words: str, *, reaction: str = "", criticality: str = "", category: str = "") -> None:
        """An active, confirmed allergy; or the statement that none is known."""
        content: Json = {
            "clinicalStatus": _coded(f"{_HL7}/allergyintolerance-clinical", "active"),
            "verificationStatus": _coded(f"{_HL7}/allergyintolerance-verification", "confirmed"),
            "code": {**_coded(SNOMED, code, words), "text": words},
            "patient": self.me,
            "recordedDate": self.ago(900),
        }
        if reaction:
            content["reaction"] = [
                {"manifestation": [{**_coded(SNOMED, _SIGNS[reaction], reaction), "text": reaction}]}
            ]
        if criticality:
            content["criticality"] = criticality
        if category:
            content |= {"type": "allergy", "category": [category]}
        self.add("AllergyIntolerance", code, content)

    def condition(self, code: str, words: str, *, years: int = 4) -> None:
        """An active problem."""
        content = {
            "clinicalStatus": _coded(f"{_HL7}/condition-clinical", "active"),
            "verificationStatus": _coded(f"{_HL7}/condition-ver-status", "confirmed"),
            "code": {**_coded(SNOMED, code, words), "text": words},
            "subject": self.me,
            "onsetDateTime": str(self.today.year - years),
            "recordedDate": self.ago(365 * years),
        }
        self.add("Condition", code, content)

    def observe(self, code: str, words: str, value: float, unit: str, days: int, **more: Any) -> None:
        """One value. `ucum` where the code differs from the unit, `category` (laboratory by default)."""
        quantity = {"value": value, "unit": unit, "system": UCUM, "code": more.pop("ucum", unit)}
        self._observation(code, words, days, more, {"valueQuantity": quantity})

    def pressure(self, upper: int, lower: int, days: int) -> None:
        """One blood pressure."""
        unit = {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        parts = [
            {"code": _coded(LOINC, code, words), "valueQuantity": {"value": value, **unit}}
            for code, words, value in (
                ("8480-6", "Systolic blood pressure", upper),
                ("8462-4", "Diastolic blood pressure", lower),
            )
        ]
        self._observation("85354-9", "Blood pressure panel", days, {"category": "vital-signs"}, {"component": parts})

    def _observation(self, code: str, words: str, days: int, more: Json, value: Json) -> None:
        category = _coded(f"{_HL7}/observation-category", more.pop("category", "laboratory"))
        content = {
            "status": "final",
            "category": [category],
            "code": {**_coded(LOINC, code, words), "text": words},
            "subject": self.me,
            "effectiveDateTime": self.at(days, 7, 30),
            **value,
            **more,
        }
        self.add("Observation", f"{code}-{days}", content)

    def order(self, number: str, code: str, state: str, days: int, quantity: Json, *, reason: str = "") -> None:
        """An order placed `days` ago: SupplyRequest, the Task with its state, and its parcel once it was sent."""
        done = state in _DONE
        request = self.add(
            "SupplyRequest",
            number,
            {
                "identifier": [{"system": ORDER_SYSTEM, "value": number}],
                "status": "completed" if state == "delivered" else "suspended" if state == "on_hold" else "active",
                "itemCodeableConcept": _rxnorm(code),
                "quantity": quantity,
                "authoredOn": self.at(days, 10),
                "supplier": [self.pharmacy()],
                "deliverTo": self.me,
            },
        )
        task: Json = {
            "status": _TASK_STATUS[state],
            "businessStatus": _coded(ORDER_STATE, state),
            "intent": "order",
            "code": _coded(f"{_HL7}/task-code", "fulfill"),
            "focus": {"reference": request},
            "for": self.me,
            "authoredOn": self.at(days, 10),
            "lastModified": self.at(max(0, days - 2), 8),
            "owner": self.pharmacy(),
        }
        if reason:
            task["statusReason"] = {"text": reason}
        self.add("Task", number, task)
        if done or state == "shipped":
            parcel = {
                "identifier": [
                    {
                        "system": "urn:portal:tracking",
                        "value": f"DEMO{number}7731",
                        "assigner": {"display": "Demo Post"},
                    }
                ],
                "status": "completed" if done else "in-progress",
                "basedOn": [{"reference": request}],
                "patient": self.me,
                "suppliedItem": {"quantity": quantity, "itemCodeableConcept": _rxnorm(code)},
                "occurrenceDateTime": self.at(max(0, days - 3), 12),
                "supplier": self.pharmacy(),
            }
            self.add("SupplyDelivery", number, parcel)

    def coverage(self, *, starts: int, ends: int) -> None:
        """An insurance from `starts` to `ends` days ago (negative: in the future)."""
        period = {"start": self.ago(starts), "end": self.ago(ends)}
        content = {"status": "active", "beneficiary": self.me, "payor": [{"display": "Plains Health Plan"}]}
        self.add("Coverage", "plan", {**content, "period": period})

    def consent(self, given: str, family: str, *, role: str, days: int) -> None:
        """A Consent of `days` ago: somebody who is `role` (HL7 v3 RoleCode) to the patient may see the record."""
        coded = _coded("http://terminology.hl7.org/CodeSystem/v3-RoleCode", role)
        person = self.add(
            "RelatedPerson",
            role,
            {
                "active": True,
                "patient": self.me,
                "relationship": [coded],
                "name": [{"family": family, "given": given.split()}],
            },
        )
        content = {
            "status": "active",
            "scope": _coded(f"{_HL7}/consentscope", "patient-privacy"),
            "category": [_coded(LOINC, "59284-0", "Consent Document")],
            "patient": self.me,
            "dateTime": self.ago(days),
            "policyRule": _coded(f"{_HL7}/v3-ActCode", "OPTIN"),
            "provision": {
                "type": "permit",
                "period": {"start": self.ago(days)},
                "actor": [{"role": coded, "reference": {"reference": person}}],
            },
        }
        self.add("Consent", role, content)

    def pharmacy(self) -> Json:
        """A Reference to Riverside that also says its business identifier."""
        number = {"system": PHARMACY_SYSTEM, "value": "riverside"}
        reference = self._url("shared-Organization-riverside")
        return {"reference": reference, "identifier": number, "display": "Riverside Pharmacy"}

    def _shared(self, kind: str, name: str, content: Json) -> None:
        self._put(kind, f"shared-{kind}-{name}", content)

    def _put(self, kind: str, mark: str, content: Json) -> str:
        identifiers = [] if kind == "Organization" else [{"system": SEED_SYSTEM, "value": mark}]
        known = [*content.get("identifier", []), *identifiers]
        # Its own seed mark; an Organization is found by the name of the pharmacy.
        own = known[-1]
        condition = f"identifier={own['system']}|{own['value']}"
        resource = {"resourceType": kind, **content, "identifier": known}
        request = {"method": "POST", "url": kind, "ifNoneExist": condition}
        self.entries.append({"fullUrl": self._url(mark), "resource": resource, "request": request})
        return self._url(mark)

    @staticmethod
    def _url(mark: str) -> str:
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, SEED_SYSTEM + mark)}"


def born(today: date, age: int, month: int, day: int) -> str:
    """The birth date of somebody who is `age` on `today`, born on that month and day."""
    had_it = (month, day) <= (today.month, today.day)
    return date(today.year - age - (0 if had_it else 1), month, day).isoformat()


def _coded(system: str, code: str, display: str = "") -> Json:
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def _rxnorm(code: str) -> Json:
    name = table()[code]["rxnorm_name"]
    return {**_coded(RXNORM, code, name), "text": name}


def days_of(count: int) -> Json:
    """A Quantity of days."""
    return {"value": count, "unit": "days", "system": UCUM, "code": "d"}


def tablets(count: int) -> Json:
    """A Quantity of tablets."""
    return {"value": count, "unit": "tablets"}


def take(amount: float = 1, unit: str = "tablet", route: str = "oral", **repeat: Any) -> Json:
    """A coded Dosage; without anything else, once a day."""
    rhythm = {"frequency": 1, "period": 1, "periodUnit": "d", **repeat}
    return {
        "route": _coded(SNOMED, _ROUTES[route]),
        "timing": {"repeat": rhythm},
        "doseAndRate": [{"doseQuantity": {"value": amount, "unit": unit}}],
    }


def amount_of(amount: float, unit: str, route: str) -> Json:
    """A coded Dosage without a rhythm."""
    return {key: value for key, value in take(amount, unit, route).items() if key != "timing"}


def when_needed(dosage: Json, snomed: str) -> Json:
    """The same Dosage, taken only for this complaint (a SNOMED CT code)."""
    return {**dosage, "asNeededCodeableConcept": _coded(SNOMED, snomed)}


def flag(code: str) -> Json:
    """How a value is interpreted: `H`, `L` … of HL7."""
    return _coded(f"{_HL7}/v3-ObservationInterpretation", code)
