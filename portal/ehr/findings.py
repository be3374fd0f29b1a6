"""Allergies, problems, insurances and values, from FHIR R4 JSON to the values of `model`.

Whose they are has been asked before (`projection.Reader.sift`); nothing here raises on odd data.
"""

from collections.abc import Iterable

from portal.ehr.contract import LOINC, SNOMED, observation_names
from portal.ehr.model import Allergy, AllergyState, Condition, Coverage, Json, Measure, Observation
from portal.ehr.reading import (
    code_in,
    codings,
    day,
    first,
    items,
    moment,
    number,
    obj,
    partial_date,
    quantity_words,
    text,
    words_of,
)

# SNOMED CT: "no known allergy" and its narrower kin; 160244002 is the retired situation that older records carry.
_NONE_KNOWN = {
    "716186003": "all",
    "160244002": "all",
    "409137002": "medicine",
    "429625007": "food",
    "428607008": "environment",
}
# UCUM as people write it; all other units stay as the EHR has them.
_UNIT_WORDS = {
    "mm[Hg]": "mmHg",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "mL/min/1.73m2": "mL/min/1.73 m²",
    "10*3/uL": "10³/µL",
    "{INR}": "",
    "Cel": "°C",
}


def allergies(resources: Iterable[Json]) -> tuple[tuple[Allergy, ...], AllergyState]:
    """Allergies, the dangerous first, and the answer to "any allergies?". "No known allergies" is an entry of its
    own and counts only while nothing active contradicts it."""
    found = sorted(
        (_allergy(resource) for resource in resources),
        key=lambda one: (not one.is_active, one.criticality != "high", one.words.casefold(), one.id),
    )
    found = [one for one in found if one.verification not in ("entered-in-error", "refuted")]
    real = tuple(one for one in found if not one.none_known)
    if any(one.is_active for one in real):
        return real, AllergyState.RECORDED
    statements = tuple(one for one in found if one.none_known and one.is_active)
    if any(one.none_known == "all" for one in statements):
        return (*real, *statements), AllergyState.NONE_KNOWN
    return (*real, *statements), AllergyState.RECORDED if real or statements else AllergyState.NOTHING_RECORDED


def _allergy(resource: Json) -> Allergy:
    concept = obj(resource, "code")
    clinical = next((code for _, code, _ in codings(obj(resource, "clinicalStatus")) if code), "")
    verification = next((code for _, code, _ in codings(obj(resource, "verificationStatus")) if code), "")
    reactions = list(items(resource, "reaction"))
    severities = [text(reaction, "severity", 20) for reaction in reactions]
    signs = [sign for reaction in reactions for sign in items(reaction, "manifestation")]
    named = words_of(concept) or words_of(first(first(resource, "reaction"), "substance"))
    return Allergy(
        id=text(resource, "id", 64),
        words=named,
        criticality=text(resource, "criticality", 40),
        reactions=tuple(dict.fromkeys(words for sign in signs if (words := words_of(sign))))[:10],
        severity=next((level for level in ("severe", "moderate", "mild") if level in severities), ""),
        kind=text(resource, "type", 20),
        verification=verification,
        is_active=clinical not in ("inactive", "resolved"),
        recorded_on=partial_date(resource, "recordedDate"),
        none_known=_NONE_KNOWN.get(code_in(concept, SNOMED), ""),
        codes={words_of(one): code for one in (*signs, concept) if (code := code_in(one, SNOMED))},
    )


def conditions(resources: Iterable[Json]) -> tuple[Condition, ...]:
    """Problems, the active first, newest first."""
    found = []
    for resource in resources:
        verification = next((code for _, code, _ in codings(obj(resource, "verificationStatus")) if code), "")
        if verification in ("entered-in-error", "refuted"):
            continue
        found.append(
            Condition(
                id=text(resource, "id", 64),
                words=words_of(obj(resource, "code")),
                clinical_status=next((code for _, code, _ in codings(obj(resource, "clinicalStatus")) if code), ""),
                verification=verification,
                onset=partial_date(resource, "onsetDateTime"),
                recorded_on=partial_date(resource, "recordedDate"),
            )
        )
    found.sort(key=lambda one: (one.onset or one.recorded_on, one.id), reverse=True)
    return tuple(sorted(found, key=lambda one: not one.is_active))


def coverages(resources: Iterable[Json]) -> tuple[Coverage, ...]:
    """Insurances, the one that ends last first."""
    found = [
        Coverage(
            id=text(resource, "id", 64),
            status=text(resource, "status", 40),
            payor=text(first(resource, "payor"), "display", 120),
            starts_on=day(obj(resource, "period"), "start"),
            ends_on=day(obj(resource, "period"), "end"),
        )
        for resource in resources
        if resource.get("status") not in ("entered-in-error", "draft")
    ]
    return tuple(sorted(found, key=lambda one: (str(one.ends_on or "9999"), one.id), reverse=True))


def observation(resource: Json, name: str) -> Observation:
    """One value or group of values, under our name for its code."""
    names = observation_names("components")
    parts = []
    for component in items(resource, "component"):
        part = next((names[c] for s, c, _ in codings(obj(component, "code")) if s == LOINC and c in names), "")
        if part:
            parts.append((part, _measure(component)))
    limits = first(resource, "referenceRange")
    low, high = quantity_words(obj(limits, "low")), quantity_words(obj(limits, "high"))
    return Observation(
        id=resource["id"],
        name=name,
        words=words_of(obj(resource, "code")),
        taken_at=moment(resource, "effectiveDateTime") or moment(resource, "effectiveInstant"),
        taken_on=partial_date(resource, "effectiveDateTime") or partial_date(obj(resource, "effectivePeriod"), "start"),
        measure=_measure(resource),
        components=tuple(sorted(parts, key=lambda part: part[0] != "systolic")),
        flag=next((code for _, code, _ in codings(first(resource, "interpretation")) if code), "")[:10],
        reference_range=text(limits, "text", 80) or " – ".join(part for part in (low, high) if part),
        preliminary=resource.get("status") == "preliminary",
    )


def _measure(resource: Json) -> Measure:
    quantity = obj(resource, "valueQuantity")
    reason = next((code for _, code, _ in codings(obj(resource, "dataAbsentReason")) if code), "")
    unit = text(quantity, "unit", 40) or text(quantity, "code", 40)
    return Measure(
        value=number(quantity, "value"),
        unit=_UNIT_WORDS.get(unit, unit),
        comparator=text(quantity, "comparator", 2),
        words=text(resource, "valueString", 120) or words_of(obj(resource, "valueCodeableConcept")),
        absent_reason=reason[:40],
    )
