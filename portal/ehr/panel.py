"""The context as JSON for the browser: names and sentences in the reader's language, statuses as catalogue keys,
dates as ISO, and for every medicine and order the chip that can be attached to a message (docs/protocol.md section 4).

Nothing here is an address to open, and nothing of another patient is left to show.
"""

from datetime import date
from typing import Any

from portal.core import texts
from portal.ehr.dosage import Directions, DirectionsFrom, directions, quantity_in_words
from portal.ehr.model import (
    Allergy,
    Condition,
    Coverage,
    Dispense,
    Json,
    Measure,
    MedicationRequest,
    Observation,
    Order,
    OrderKind,
    Patient,
    PatientContext,
)
from portal.ehr.names import finding_name, medicine_name
from portal.ehr.reading import plain_number

FHIR_VERSION = "4.0.1"
_MASKED = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]}
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


def context_to_json(context: PatientContext, language: str, *, today: date) -> Json:
    """What the panel shows. `today` is the reader's calendar day (age, days left, coverage)."""
    requests = [_medication(request, language, today) for request in context.medication_requests]
    return {
        "source": context.source,
        "as_of": context.as_of.isoformat(timespec="seconds"),
        "stale": context.stale,
        "sections": {name: str(state) for name, state in context.sections.items()},
        "patient": _patient(context.patient, today),
        "medications": {
            "current": [one for one in requests if one["current"]],
            "past": [one for one in requests if not one["current"]],
        },
        "other_dispenses": [_dispense(fill, language) for fill in context.other_dispenses],
        "allergies": {
            "state": str(context.allergy_state),
            "state_key": f"ehr.allergy.state.{context.allergy_state}",
            "items": [_allergy(one, language) for one in context.allergies],
        },
        "conditions": [_condition(one) for one in context.conditions],
        "orders": [_order(order, language) for order in context.orders],
        "labs": [_observation(one) for one in context.labs],
        "vitals": [_observation(one) for one in context.vitals],
        "coverage": [_coverage(one, today) for one in context.coverages],
    }


def chip(resource: Json, words: str) -> Json:
    """The element of a message body's `fhir` list: the words a person reads and the resource itself."""
    return {
        "structureDefinition": _STRUCTURE + resource["resourceType"],
        "fhirVersion": FHIR_VERSION,
        "text": words,
        "resource": resource,
    }


def medication_chip(request: MedicationRequest, language: str) -> Json:
    """The chip of a prescription: name and directions, readable without the EHR."""
    name, how = (
        medicine_name(request.medication, language).shown,
        directions(request.dosage, language, trusted=not request.qualified).words,
    )
    return chip(request.resource, f"{name}. {how}" if how else name)


def order_chip(order: Order, language: str, *, with_medicine: bool = True) -> Json:
    """The chip of an order. Without its medicine (for the desk) the item is only the order's own name."""
    title = _order_title(order, language)
    if with_medicine:
        item = medicine_name(order.item, language).shown
        return chip(order.resource, f"{title}: {item}" if item else title)
    if order.kind is OrderKind.SERVICE:
        return chip({**order.resource, "code": {"text": title}}, title)
    # How many of what says what it is. R4 wants a quantity there, and has a word for one that is not told.
    return chip({**order.resource, "itemCodeableConcept": {"text": title}, "quantity": _MASKED}, title)


def _order_title(order: Order, language: str) -> str:
    key = "ehr.chip.order" if order.number else "ehr.chip.order_unnumbered"
    return texts.get(key, language, number=order.number)


def _word(area: str, code: str, own_words: str = "") -> Json:
    """A code as catalogue key, or the EHR's own words where the catalogue has none."""
    key = f"{area}.{code}"
    return {"key": key, "text": ""} if key in texts.catalogue("en") else {"key": None, "text": own_words or code}


def _patient(patient: Patient, today: date) -> Json:
    number = patient.record_number
    return {
        "id": patient.id,
        "full_name": patient.full_name,
        "family": patient.family,
        "given": patient.given,
        "birth_date": patient.birth_date,
        "age": patient.age(today),
        "sex": _word("ehr.sex", patient.sex) if patient.sex else None,
        "record_number": {"value": number.value, "label": number.label} if number else None,
        "deceased": patient.deceased,
        "active": patient.active,
        "merged": bool(patient.replaced_by),
        "silent": patient.silent,
    }


def _medication(request: MedicationRequest, language: str, today: date) -> Json:
    name = medicine_name(request.medication, language)
    how = directions(request.dosage, language, trusted=not request.qualified)
    last = request.last_fill
    return {
        "id": request.id,
        "name": name.shown,
        "name_reviewed": name.reviewed,
        "rxnorm": {"code": name.rxnorm, "name": name.rxnorm_name} if name.rxnorm else None,
        "ingredient": name.ingredient,
        "current": request.is_current,
        "status": request.status,
        "status_word": _word("ehr.medication.status", request.status),
        "status_reason": request.status_reason,
        "qualified_key": "ehr.medication.qualified" if request.qualified else None,
        **_how(how, request),
        "authored_on": _iso(request.authored_on),
        "prescriber": request.prescriber,
        "reason": request.reason,
        "pharmacy": request.pharmacy.name,
        "last_fill": _dispense(last, language) if last else None,
        "fills": len(request.fills),
        "days_left": request.days_left(today),
        "repeats_left": request.repeats_left,
        "chip": chip(request.resource, f"{name.shown}. {how.words}" if how.words else name.shown),
    }


def _how(how: Directions, request: MedicationRequest) -> Json:
    written = [words for step in request.dosage if isinstance(words := step.get("text"), str)]
    return {
        "dosage": how.words,
        "dosage_from": str(how.origin),
        "dosage_key": "ehr.dosage.none_recorded" if how.origin is DirectionsFrom.NONE else None,
        "dosage_extra": list(how.extra),
        "prescriber_words": " ".join(written)[:500] if how.origin is DirectionsFrom.CODED else "",
    }


def _dispense(fill: Dispense, language: str) -> Json:
    return {
        "id": fill.id,
        "name": medicine_name(fill.medication, language).shown,
        "status": fill.status,
        "status_word": _word("ehr.dispense.status", fill.status),
        "handed_over_on": _iso(fill.handed_over_on),
        "days_supply": fill.days_supply,
        "quantity": quantity_in_words(fill.quantity, language),
        "pharmacy": fill.pharmacy.name,
    }


def _allergy(allergy: Allergy, language: str) -> Json:
    none_known = f"ehr.allergy.none_known.{allergy.none_known}" if allergy.none_known else None
    return {
        "id": allergy.id,
        "text": finding_name(allergy.words, allergy.codes.get(allergy.words, ""), language),
        "none_known_key": none_known,
        "criticality": _word("ehr.allergy.criticality", allergy.criticality) if allergy.criticality else None,
        "high_risk": allergy.criticality == "high" or allergy.severity == "severe",
        "severity": _word("ehr.allergy.severity", allergy.severity) if allergy.severity else None,
        "reactions": [finding_name(sign, allergy.codes.get(sign, ""), language) for sign in allergy.reactions],
        "active": allergy.is_active,
        "verification": allergy.verification,
        "recorded_on": allergy.recorded_on or None,
    }


def _condition(condition: Condition) -> Json:
    status = condition.clinical_status
    return {
        "id": condition.id,
        "text": condition.words,
        "active": condition.is_active,
        "status_word": _word("ehr.condition.status", status) if status else None,
        "onset": condition.onset or None,
        "recorded_on": condition.recorded_on or None,
    }


def _order(order: Order, language: str) -> Json:
    shown = _word("ehr.order.state", order.state) if order.state else None
    if shown is None and order.state_words:
        shown = {"key": None, "text": order.state_words}
    name = medicine_name(order.item, language)
    return {
        "id": order.id,
        "kind": str(order.kind),
        "number": order.number,
        "title": _order_title(order, language),
        "state": order.state or order.status,
        "done": order.is_done,
        "state_word": shown or _word("ehr.order.status", order.status),
        "state_reason": order.state_reason,
        "changed_at": order.changed_at.isoformat(timespec="seconds") if order.changed_at else None,
        "ordered_on": _iso(order.ordered_on),
        "item": name.shown,
        "quantity": quantity_in_words(order.quantity, language),
        "deliveries": [
            {
                "id": parcel.id,
                "status_word": _word("ehr.delivery.status", parcel.status),
                "on": _iso(parcel.occurred_on),
                "tracking": parcel.tracking,
                "carrier": parcel.carrier,
            }
            for parcel in order.deliveries
        ],
        "chip": order_chip(order, language),
        "chip_without_medicine": order_chip(order, language, with_medicine=False),
    }


def _observation(one: Observation) -> Json:
    flag = _word("ehr.observation.flag", one.flag) if one.flag else None
    return {
        "id": one.id,
        "name": one.name,
        "name_key": f"ehr.observation.name.{one.name}",
        "text": one.words,
        "taken_at": one.taken_at.isoformat(timespec="seconds") if one.taken_at else None,
        "taken_on": one.taken_on or None,
        **_measure(one.measure),
        "components": [
            {"name": name, "name_key": f"ehr.observation.name.{name}", **_measure(measure)}
            for name, measure in one.components
        ],
        "flag": flag,
        "reference_range": one.reference_range,
        "preliminary": one.preliminary,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    shown = " ".join(part for part in (measure.comparator + _rounded(measure.value), measure.unit) if part)
    return {
        "value": measure.value,
        "unit": measure.unit,
        "shown": shown if measure.value is not None else measure.words,
        "absent_key": "ehr.observation.absent" if measure.value is None and not measure.words else None,
    }


def _rounded(value: float | None) -> str:
    """At most three decimals: EHRs fed by formulas send fifteen."""
    return "" if value is None else plain_number(round(value, 3))


def _coverage(coverage: Coverage, today: date) -> Json:
    if coverage.is_in_force(today):
        state = "active"
    elif coverage.status == "cancelled":
        state = "cancelled"
    else:
        state = "not_started" if coverage.starts_on is not None and coverage.starts_on > today else "ended"
    return {
        "id": coverage.id,
        "payor": coverage.payor,
        "in_force": state == "active",
        "status_word": _word("ehr.coverage.status", state),
        "starts_on": _iso(coverage.starts_on),
        "ends_on": _iso(coverage.ends_on),
    }


def _iso(value: date | None) -> str | None:
    return value.isoformat() if value else None
