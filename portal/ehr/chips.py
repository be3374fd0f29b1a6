"""The resources that travel with a message: the least that says the same as the EHR's.

Without narrative, extensions, notes or anything that points outside.
"""

from typing import Any

from portal.ehr.model import Json
from portal.ehr.reading import clean, codings, items, obj, order_number, partial_date, text

MAX_DOSAGE = 16_000


def _concept(concept: Json) -> Json:
    coded: list[dict[str, Any]] = [
        {key: value for key, value in (("system", s), ("code", c), ("display", d)) if value}
        for s, c, d in codings(concept)[:5]
        if c or d
    ]
    words = text(concept, "text")
    return {**({"coding": coded} if coded else {}), **({"text": words} if words else {})}


def prescription(resource: Json, concept: Json, patient_id: str) -> Json:
    """A MedicationRequest of this patient with its medicine; a dosage that is too long is left out."""
    dosage = [_dosage(one) for one in list(items(resource, "dosageInstruction"))[:12]]
    if len(str(dosage)) > MAX_DOSAGE:
        dosage = []
    chip: Json = {
        "resourceType": "MedicationRequest",
        "id": resource["id"],
        "status": text(resource, "status", 40) or "unknown",
        "intent": text(resource, "intent", 40) or "order",
        "medicationCodeableConcept": _concept(concept) or {"text": "?"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    authored = partial_date(resource, "authoredOn")
    return {
        **chip,
        **({"authoredOn": authored} if authored else {}),
        **({"dosageInstruction": dosage} if dosage else {}),
    }


_DOSAGE_PARTS = frozenset(
    {"sequence", "text", "patientInstruction", "timing", "asNeededBoolean", "asNeededCodeableConcept", "route"}
    | {"doseAndRate", "maxDosePerPeriod", "additionalInstruction"}
)


def _dosage(step: Json) -> Json:
    """A Dosage for a chip. One with a modifier we cannot read keeps only the prescriber's words."""
    known = {"text", "patientInstruction"} if "modifierExtension" in step else _DOSAGE_PARTS
    kept = _plain({key: value for key, value in step.items() if key in known})
    return kept if isinstance(kept, dict) else {}


def _plain(value: Any) -> Any:
    """`value` without extensions, its texts cleaned."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if key not in ("extension", "id")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return clean(value) if isinstance(value, str) else value


def supply(resource: Json, concept: Json, patient_id: str) -> Json:
    """A SupplyRequest of this patient with what it orders."""
    quantity = {
        key: value for key, value in obj(resource, "quantity").items() if key in ("value", "unit", "system", "code")
    }
    return {
        **_order(resource),
        "itemCodeableConcept": _concept(concept) or {"text": "?"},
        "quantity": quantity or {"value": 1},
        "deliverTo": {"reference": f"Patient/{patient_id}"},
    }


def service(resource: Json, patient_id: str) -> Json:
    """A ServiceRequest of this patient."""
    return {
        **_order(resource),
        "intent": text(resource, "intent", 40) or "order",
        "code": _concept(obj(resource, "code")) or {"text": "?"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _order(resource: Json) -> Json:
    found = order_number(resource)
    authored = partial_date(resource, "authoredOn")
    return {
        "resourceType": resource["resourceType"],
        "id": resource["id"],
        "status": text(resource, "status", 40) or "unknown",
        **({"identifier": [{"value": found}]} if found else {}),
        **({"authoredOn": authored} if authored else {}),
    }
