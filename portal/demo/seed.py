"""The demo world's patients as FHIR: transaction Bundles relative to a day, the same for the same day.

Every entry is a conditional create on an identifier of its own, so the Bundles can be sent again, to the sandbox or to
any other R4 server (`SEED=1`), without doubling anything.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from portal.ehr.client import EhrClient
from portal.ehr.contract import LOINC, ORDER_STATE, RXNORM, SNOMED
from portal.ehr.names import table
from portal.ehr.transport import Deadline

Json = dict[str, Any]
LOGIN_SYSTEM = "urn:portal:demo-login"
RECORD_SYSTEM = "urn:portal:demo-record-number"
ORDER_SYSTEM = "urn:portal:order-number"
PHARMACY_SYSTEM = "urn:portal:pharmacy"
SEED_SYSTEM = "urn:portal:demo-seed"
SEED_SECONDS = 60.0
_UCUM = "http://unitsofmeasure.org"
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


def demo_bundles(today: date) -> dict[str, Json]:
    """A transaction Bundle for each demo patient, by login (or `merged`, `deceased`, `mia`)."""
    people = (_alice, _dave, _alicia, _rosa, _judy, _walt, _peggy, _trent, _nina, _mia, _pat, _merged, _deceased)
    chapters = [person(today) for person in people]
    return {chapter.key: chapter.bundle() for chapter in chapters}


def seed(client: EhrClient, today: date) -> None:
    """Put the demo patients into an EHR, each whole or not at all. Raises what the client raises."""
    for bundle in demo_bundles(today).values():
        client.transaction(bundle, deadline=Deadline(SEED_SECONDS))


@dataclass
class _Chapter:
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
            "daysSupply": _days(supply),
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
        quantity = {"value": value, "unit": unit, "system": _UCUM, "code": more.pop("ucum", unit)}
        self._observation(code, words, days, more, {"valueQuantity": quantity})

    def pressure(self, upper: int, lower: int, days: int) -> None:
        """One blood pressure."""
        unit = {"unit": "mmHg", "system": _UCUM, "code": "mm[Hg]"}
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


def _days(count: int) -> Json:
    return {"value": count, "unit": "days", "system": _UCUM, "code": "d"}


def _tablets(count: int) -> Json:
    return {"value": count, "unit": "tablets"}


def _take(amount: float = 1, unit: str = "tablet", route: str = "oral", **repeat: Any) -> Json:
    """A coded Dosage; without anything else, once a day."""
    rhythm = {"frequency": 1, "period": 1, "periodUnit": "d", **repeat}
    return {
        "route": _coded(SNOMED, _ROUTES[route]),
        "timing": {"repeat": rhythm},
        "doseAndRate": [{"doseQuantity": {"value": amount, "unit": unit}}],
    }


def _amount(amount: float, unit: str, route: str) -> Json:
    """A coded Dosage without a rhythm."""
    return {key: value for key, value in _take(amount, unit, route).items() if key != "timing"}


def _when_needed(dosage: Json, snomed: str) -> Json:
    return {**dosage, "asNeededCodeableConcept": _coded(SNOMED, snomed)}


def _alice(today: date) -> _Chapter:
    one = _Chapter("alice", today)
    one.patient("Alice", "Morgan", born(today, 52, 3, 14), "female")
    one.condition("44054006", "Type 2 diabetes mellitus", years=6)
    one.condition("38341003", "High blood pressure", years=8)
    twice = [_take(1, frequency=2, when=["CM", "CV"])]
    one.medicine("860975", twice, started=400, reason="Type 2 diabetes", fill=(21, 30, _tablets(60)))
    morning = [_take(when=["MORN"])]
    one.medicine(
        "314076", morning, form="contained", started=380, reason="High blood pressure", fill=(12, 30, _tablets(30))
    )
    one.medicine("312961", [_take(when=["HS"])], started=380, reason="High cholesterol", fill=(40, 90, _tablets(90)))
    one.medicine(
        "308192",
        [_take(frequency=3, boundsDuration=_days(7))],
        status="stopped",
        status_reason="Skin rash",
        started=700,
        repeats=0,
    )
    one.allergy("91936005", "Allergy to penicillin", reaction="Rash", criticality="low", category="medication")
    one.observe("4548-4", "Hemoglobin A1c", 7.1, "%", 33)
    one.observe("4548-4", "Hemoglobin A1c", 7.6, "%", 215)
    one.observe("33914-3", "eGFR", 68, "mL/min/1.73m2", 33, ucum="mL/min/{1.73_m2}")
    one.observe("29463-7", "Body weight", 78.4, "kg", 33, category="vital-signs")
    one.observe("8302-2", "Body height", 166, "cm", 215, category="vital-signs")
    for step in range(20):
        days = 58 - step * 3
        one.pressure(146 - step // 2 + (step % 3) * 2, 90 - step // 4 + step % 2, days)
    one.order("1042", "860975", "shipped", 5, _tablets(60))
    one.order("1038", "312961", "delivered", 42, _tablets(90))
    one.order("1051", "314076", "waiting_prescriber", 2, _tablets(30))
    one.coverage(starts=320, ends=-45)
    return one


def _dave(today: date) -> _Chapter:
    one = _Chapter("dave", today)
    one.patient("Dave", "Novak", born(today, 47, 9, 2), "male")
    one.condition("195967001", "Asthma", years=20)
    puffs = _take(2, "puff", "inhaled", period=4, periodMax=6, periodUnit="h")
    inhaler = [_when_needed(puffs, "56018004")]
    one.medicine("745679", inhaler, form="referenced", reason="Asthma", fill=(30, 50, {"value": 1, "unit": "inhaler"}))
    twice = [_take(1, "puff", "inhaled", frequency=2)]
    one.medicine("896209", twice, reason="Asthma", fill=(18, 30, {"value": 1, "unit": "inhaler"}))
    one.allergy("300913006", "Shellfish allergy", reaction="Hives", criticality="low", category="food")
    one.order("1043", "745679", "shipped", 4, {"value": 1, "unit": "inhaler"})
    return one


def _alicia(today: date) -> _Chapter:
    one = _Chapter("alicia", today)
    next_day = date.fromisoformat(born(today, 52, 3, 14)) + timedelta(days=1)
    one.patient("Alicia", "Morgan", next_day.isoformat(), "female")
    one.medicine("328670", [_take(when=["MORN"])], reason="Low mood", fill=(9, 30, _tablets(30)))
    one.allergy("716186003", "No known allergies")
    one.order("1044", "328670", "verified", 1, _tablets(30))
    return one


def _rosa(today: date) -> _Chapter:
    one = _Chapter("rosa", today)
    spanish = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}]
    # Judy's number too: they live together, and the phone alone does not tell them apart.
    phone = [{"system": "phone", "value": "+1 555 555 0147", "use": "home"}]
    one.patient("Rosa", "Delgado", born(today, 74, 5, 21), "female", communication=spanish, telecom=phone)
    one.condition("49436004", "Atrial fibrillation", years=5)
    one.condition("84114007", "Heart failure", years=3)
    evening = [_take(when=["EVE"])]
    one.medicine("855332", evening, started=800, reason="Atrial fibrillation", fill=(10, 30, _tablets(30)))
    one.medicine("197604", [_take(when=["MORN"])], started=800, reason="Heart failure", fill=(10, 30, _tablets(30)))
    one.medicine("315971", [_take(when=["MORN"])], started=500, reason="Heart failure", fill=(10, 30, _tablets(30)))
    one.medicine("966222", [_take(when=["ACM"])], started=1500, reason="Slow thyroid", fill=(10, 90, _tablets(90)))
    one.allergy("300916003", "Latex allergy", reaction="Skin swelling", criticality="high", category="environment")
    one.observe("6301-6", "INR", 2.4, "{INR}", 6)
    one.observe("6301-6", "INR", 2.9, "{INR}", 34)
    one.observe("2823-3", "Potassium", 4.1, "mmol/L", 6)
    one.observe("10535-3", "Digoxin level", 0.9, "ng/mL", 34)
    one.order("1047", "855332", "verified", 1, _tablets(30))
    return one


def _judy(today: date) -> _Chapter:
    one = _Chapter("judy", today)
    phone = [{"system": "phone", "value": "(555) 555-0147", "use": "home"}]
    one.patient("Judy", "Delgado", born(today, 45, 1, 30), "female", telecom=phone)
    return one


_WALT_NOW: tuple[tuple[str, Json, str], ...] = (
    ("197361", _take(when=["MORN"]), "High blood pressure"),
    ("309362", _take(when=["MORN"]), "Heart disease"),
    ("243670", _take(when=["MORN"]), "Heart disease"),
    ("866414", _take(when=["MORN"]), "Heart failure"),
    ("259255", _take(when=["HS"]), "High cholesterol"),
    ("315971", _take(frequency=2, when=["MORN", "NOON"]), "Heart failure"),
    ("314076", _take(when=["EVE"]), "High blood pressure"),
    ("860975", _take(when=["CV"]), "Type 2 diabetes"),
    ("106892", _take(14, "unit", "injected", frequency=2, when=["ACM", "ACV"]), "Type 2 diabetes"),
    ("197319", _take(when=["MORN"]), "Gout"),
    ("858069", _when_needed(_take(frequency=2), "22253000"), "Gout"),
    ("310325", _take(when=["NOON"]), "Low iron"),
    ("2001499", _take(0.2, "mL", "injected", periodUnit="mo"), "Low vitamin B12"),
    ("966222", _take(when=["ACM"]), "Slow thyroid"),
    ("997223", _take(when=["HS"]), "Memory"),
    ("996740", _take(5, "mL", frequency=2), "Memory"),
    ("904419", _take(when=["ACM"]), "Thin bones"),
    ("745679", _when_needed(_take(2, "puff", "inhaled", period=4, periodUnit="h"), "267036007"), "COPD"),
    ("895994", _take(2, "puff", "inhaled", frequency=2), "COPD"),
    ("705129", _when_needed(_amount(1, "spray", "tongue"), "29857009"), "Heart disease"),
    ("313782", _when_needed(_take(2, period=6, periodUnit="h"), "22253000"), "Arthritis"),
    ("311372", _take(), "Hay fever"),
    ("1014676", _when_needed(_take(when=["HS"]), "418290006"), "Itching"),
    ("106258", {"text": "Rub a thin layer on the sore skin. Stop after one week."}, "Eczema"),
)
_WALT_PAST = ("562251", "308182", "834061", "309097", "1652673", "312617", "310965", "849574", "833036", "316672")
_WALT_ORDERS = (
    *(("delivered", 20 + 30 * step) for step in range(6)),
    ("received", 0),
    ("verified", 1),
    ("dispensed", 2),
    ("shipped", 3),
    ("pickup", 3),
    ("on_hold", 6),
)


def _walt(today: date) -> _Chapter:
    one = _Chapter("walt", today)
    one.patient("Walt", "Brenner", born(today, 83, 11, 8), "male")
    one.condition("84114007", "Heart failure", years=7)
    one.condition("13645005", "Chronic obstructive lung disease", years=11)
    one.condition("44054006", "Type 2 diabetes mellitus", years=15)
    one.condition("90560007", "Gout", years=9)
    for position, (code, dosage, reason) in enumerate(_WALT_NOW):
        amount = 60 if dosage.get("timing", {}).get("repeat", {}).get("frequency") == 2 else 30
        fill = None if position % 5 == 4 else (position + 1, 30, {"value": amount, "unit": "pieces"})
        one.medicine(code, [dosage], started=300 + position * 20, reason=reason, fill=fill)
    week = _days(7)
    for step in range(60):
        code = _WALT_PAST[step % len(_WALT_PAST)]
        status = "stopped" if step % 7 == 0 else "completed"
        course = [_take(frequency=2, boundsDuration=week)]
        one.medicine(code, course, name=f"past-{step}", status=status, started=200 + step * 45, repeats=0)
    one.allergy("91939003", "Allergy to sulfonamide", reaction="Rash", criticality="low", category="medication")
    for step in range(15):
        weight = 80.2 + step * 0.28
        one.observe("29463-7", "Body weight", round(weight, 1), "kg", 58 - step * 4, category="vital-signs")
    one.observe("8302-2", "Body height", 174, "cm", 400, category="vital-signs")
    one.observe("8867-4", "Heart rate", 84, "/min", 2, category="vital-signs")
    one.pressure(128, 74, 2)
    one.observe("2160-0", "Creatinine", 1.7, "mg/dL", 12)
    one.observe("33914-3", "eGFR", 41, "mL/min/1.73m2", 12, ucum="mL/min/{1.73_m2}", interpretation=[_flag("L")])
    one.observe("2823-3", "Potassium", 5.2, "mmol/L", 12, interpretation=[_flag("H")])
    for step, (state, days) in enumerate(_WALT_ORDERS):
        reason = "Too early: the last box is not used up" if state == "on_hold" else ""
        one.order(str(1061 + step), _WALT_NOW[step][0], state, days, _tablets(30), reason=reason)
    one.coverage(starts=300, ends=-65)
    return one


def _flag(code: str) -> Json:
    return _coded(f"{_HL7}/v3-ObservationInterpretation", code)


def _peggy(today: date) -> _Chapter:
    one = _Chapter("peggy", today)
    one.patient("Peggy", "Lindqvist", born(today, 67, 8, 17), "female")
    one.condition("69896004", "Rheumatoid arthritis", years=6)
    weekly = [_take(1, periodUnit="wk", dayOfWeek=["mon"])]
    one.medicine("105586", weekly, reason="Rheumatoid arthritis", fill=(24, 28, _tablets(4)))
    taper = [
        {
            **_take(tablets, when=["CM"], boundsDuration={"value": 5, "unit": "days", "system": _UCUM, "code": "d"}),
            "sequence": step,
        }
        for step, tablets in enumerate((4, 3, 2, 1), start=1)
    ]
    one.medicine("312617", taper, started=4, repeats=0, reason="Joint flare", fill=(4, 20, _tablets(50)))
    one.medicine("904419", [_take(when=["ACM"])], reason="Thin bones", fill=(15, 30, _tablets(30)))
    one.observe("1742-6", "ALT", 31, "U/L", 20)
    one.observe("2160-0", "Creatinine", 0.8, "mg/dL", 20)
    one.order("1055", "105586", "damaged", 6, _tablets(4))
    return one


def _trent(today: date) -> _Chapter:
    one = _Chapter("trent", today)
    one.patient("Trent", "Osborne", born(today, 38, 2, 11), "male")
    one.condition("278860009", "Chronic low back pain", years=2)
    dose = _when_needed(_take(1, period=6, periodUnit="h"), "22253000")
    most = {
        "numerator": {"value": 4, "unit": "tablet"},
        "denominator": {"value": 24, "unit": "h", "system": _UCUM, "code": "h"},
    }
    dosage = [{**dose, "maxDosePerPeriod": most}]
    one.medicine("1049221", dosage, started=25, repeats=0, reason="Back pain", fill=(25, 10, _tablets(40)))
    one.coverage(starts=405, ends=40)
    one.order("1056", "1049221", "on_hold", 3, _tablets(40), reason="No refills left and the coverage has ended")
    return one


def _nina(today: date) -> _Chapter:
    one = _Chapter("nina", today)
    one.patient("Nina", "Castillo", born(today, 36, 12, 4), "female")
    return one


def _mia(today: date) -> _Chapter:
    one = _Chapter("mia", today)
    one.patient("Mia", "Castillo", born(today, 8, 6, 9), "female")
    one.consent("Luis", "Castillo", role="FTH", days=200)
    course = _days(10)
    one.medicine(
        "562251",
        [_take(frequency=2, boundsDuration=course)],
        started=2,
        repeats=0,
        reason="Ear infection",
        fill=(2, 10, _tablets(20)),
    )
    pen = {"text": "For a severe allergic reaction: press the pen into the outer thigh, then call 911."}
    one.medicine(
        "1870230", [pen], started=200, repeats=1, reason="Peanut allergy", fill=(200, 365, {"value": 2, "unit": "pens"})
    )
    one.allergy("91935009", "Allergy to peanuts", reaction="Anaphylaxis", criticality="high", category="food")
    one.observe("29463-7", "Body weight", 26.3, "kg", 2, category="vital-signs")
    one.order("1060", "562251", "pickup", 1, _tablets(20))
    return one


def _pat(today: date) -> _Chapter:
    one = _Chapter("pat", today)
    one.patient("Pat", "Sorensen", born(today, 58, 4, 25), "other")
    one.medicine("314076", [_take(when=["MORN"])], reason="High blood pressure", fill=(14, 30, _tablets(30)))
    one.medicine("617310", [_take(when=["HS"])], reason="High cholesterol", fill=(14, 30, _tablets(30)))
    return one


def _merged(today: date) -> _Chapter:
    """An old record of Alice: merged into hers, its request still says active."""
    one = _Chapter("merged", today)
    alice = _alice(today)
    own = next(entry for entry in alice.entries if entry["resource"]["resourceType"] == "Patient")
    one.entries.append(own)
    link = [{"other": {"reference": own["fullUrl"]}, "type": "replaced-by"}]
    one.patient("Alice", "Morgan", born(today, 52, 3, 14), "female", active=False, link=link)
    one.medicine("316672", [_take(when=["HS"])], started=900)
    return one


def _deceased(today: date) -> _Chapter:
    one = _Chapter("deceased", today)
    died = one.at(30, 4)
    one.patient("Harold", "Quinn", born(today, 79, 7, 3), "male", deceasedDateTime=died)
    one.medicine("316672", [_take(when=["HS"])], started=300, fill=(50, 30, _tablets(30)))
    return one
