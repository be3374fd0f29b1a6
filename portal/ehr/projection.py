"""From FHIR R4 JSON to the values of `model`: tolerant of what is missing, strict about whose it is.

Nothing here raises on odd data. An entry whose subject is not exactly this patient is dropped and named; what was
entered in error is dropped; unknown codes keep the EHR's own words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from portal.ehr import chips
from portal.ehr.contract import LOINC, ORDER_STATE, RXNORM, observation_names, order_states
from portal.ehr.findings import observation
from portal.ehr.model import (
    Delivery,
    Dispense,
    Dropped,
    Identifier,
    Json,
    Medication,
    MedicationRequest,
    Observation,
    Order,
    OrderKind,
    Patient,
    PharmacyRef,
)
from portal.ehr.reading import (
    boolean,
    clean,
    code_in,
    codings,
    day,
    first,
    folded_words,
    is_fhir_id,
    items,
    local_reference,
    moment,
    number,
    obj,
    order_number,
    partial_date,
    quantity_words,
    text,
    whole,
    words_of,
)

# Which element names the patient, for each type that belongs to one (R4).
SUBJECT = {
    "MedicationRequest": "subject",
    "MedicationDispense": "subject",
    "AllergyIntolerance": "patient",
    "Condition": "subject",
    "Observation": "subject",
    "ServiceRequest": "subject",
    "SupplyRequest": "deliverTo",
    "SupplyDelivery": "patient",
    "Task": "for",
    "Coverage": "beneficiary",
    "Consent": "patient",
    "RelatedPerson": "patient",
}
# Numbers that open other doors than the pharmacy's: never shown, never in a chip.
_PRIVATE_IDENTIFIERS = frozenset({"SS", "SB", "NI", "DL", "PPN", "TAX"})


_SHOWN_INTENTS = frozenset(
    {"order", "original-order", "reflex-order", "filler-order", "instance-order", "plan", "directive"}
)


@dataclass(frozen=True)
class Reader:
    """Reads what belongs to one patient of one EHR."""

    base_url: str
    patient_id: str

    def sift(self, expected: str, resources: Iterable[Json]) -> tuple[list[Json], list[Dropped]]:
        """The resources of type `expected` that are exactly this patient's, once each; and the others, named."""
        kept: dict[str, Json] = {}
        dropped: list[Dropped] = []
        for resource in resources:
            kind = text(resource, "resourceType", 64)
            found = resource.get("id")
            name = found if is_fhir_id(found) and isinstance(found, str) else ""
            if kind != expected:
                dropped.append(Dropped(kind, name, "unexpected"))
            elif not self.is_ours(resource):
                dropped.append(Dropped(kind, name, "foreign"))
            elif not name:
                dropped.append(Dropped(kind, "", "nameless"))
            else:
                kept.setdefault(name, resource)
        return list(kept.values()), dropped

    def is_ours(self, resource: Json) -> bool:
        """Whether the resource's subject is exactly this patient."""
        kind = resource.get("resourceType")
        if kind == "Patient":
            return resource.get("id") == self.patient_id
        element = SUBJECT.get(str(kind))
        return element is not None and self.reference(resource.get(element)) == f"Patient/{self.patient_id}"

    def reference(self, value: object) -> str:
        """`Type/id`, or ""."""
        return local_reference(value, self.base_url)

    # Medicines ---------------------------------------------------------------------------------------------------

    def medication(self, resource: Json, included: Mapping[str, Json]) -> tuple[Medication, Json]:
        """The medicine of a request or dispense, coded, contained or referenced; and its CodeableConcept."""
        concept = obj(resource, "medicationCodeableConcept")
        reference = obj(resource, "medicationReference")
        if not concept and reference:
            target = text(reference, "reference")
            if target.startswith("#"):
                contained = (part for part in items(resource, "contained") if part.get("id") == target[1:])
                concept = obj(next(contained, {}), "code")
            else:
                concept = obj(included.get(self.reference(reference), {}), "code")
        words = words_of(concept) or text(reference, "display")
        return Medication(words, code_in(concept, RXNORM)), concept or ({"text": words} if words else {})

    def medication_requests(
        self, resources: Iterable[Json], dispenses: Iterable[Dispense], included: Mapping[str, Json]
    ) -> tuple[tuple[MedicationRequest, ...], tuple[Dispense, ...]]:
        """Prescriptions with their fills, newest first; and the fills that belong to none of them."""
        fills: dict[str, list[Dispense]] = {}
        for dispense in dispenses:
            fills.setdefault(dispense.prescription, []).append(dispense)
        requests = [
            self._medication_request(resource, fills.pop(f"MedicationRequest/{resource['id']}", []), included)
            for resource in resources
            if resource.get("status") not in ("entered-in-error", "draft")
            and text(resource, "intent") in _SHOWN_INTENTS
            and boolean(resource, "doNotPerform") is not True
        ]
        requests.sort(key=lambda request: (str(request.authored_on or ""), request.id), reverse=True)
        return tuple(requests), tuple(fill for rest in fills.values() for fill in rest)

    def _medication_request(
        self, resource: Json, fills: list[Dispense], included: Mapping[str, Json]
    ) -> MedicationRequest:
        medication, concept = self.medication(resource, included)
        supply = obj(resource, "dispenseRequest")
        reason = words_of(first(resource, "reasonCode")) or text(first(resource, "reasonReference"), "display")
        return MedicationRequest(
            id=resource["id"],
            status=text(resource, "status", 40) or "unknown",
            status_reason=words_of(obj(resource, "statusReason")),
            intent=text(resource, "intent", 40),
            medication=medication,
            dosage=tuple(items(resource, "dosageInstruction")),
            authored_on=day(resource, "authoredOn"),
            prescriber=text(obj(resource, "requester"), "display", 120),
            reason=reason,
            note=text(first(resource, "note"), "text"),
            repeats_allowed=whole(supply, "numberOfRepeatsAllowed"),
            pharmacy=self._pharmacy(obj(supply, "performer")),
            fills=tuple(fills),
            qualified="modifierExtension" in resource or "implicitRules" in resource,
            resource=chips.prescription(resource, concept, self.patient_id),
        )

    def dispenses(self, resources: Iterable[Json], included: Mapping[str, Json]) -> tuple[Dispense, ...]:
        """Hand-overs, newest first."""
        found = [
            Dispense(
                id=resource["id"],
                status=text(resource, "status", 40) or "unknown",
                medication=self.medication(resource, included)[0],
                prescription=self.reference(first(resource, "authorizingPrescription")),
                prepared_on=day(resource, "whenPrepared"),
                handed_over_on=day(resource, "whenHandedOver"),
                days_supply=_days(obj(resource, "daysSupply")),
                quantity=quantity_words(obj(resource, "quantity")),
                pharmacy=self._performing_pharmacy(resource),
            )
            for resource in resources
            if resource.get("status") != "entered-in-error"
        ]
        return tuple(sorted(found, key=lambda fill: (str(fill.handed_over_on or ""), fill.id), reverse=True))

    def _performing_pharmacy(self, resource: Json) -> PharmacyRef:
        for performer in items(resource, "performer"):
            found = self._pharmacy(obj(performer, "actor"))
            if found.reference.startswith("Organization/") or found.value:
                return found
        return PharmacyRef()

    def _pharmacy(self, reference: Json) -> PharmacyRef:
        identifier = obj(reference, "identifier")
        return PharmacyRef(
            reference=self.reference(reference),
            system=text(identifier, "system"),
            value=text(identifier, "value", 120),
            name=text(reference, "display", 120),
        )

    # Orders ------------------------------------------------------------------------------------------------------

    def orders(
        self,
        supply_requests: Iterable[Json],
        tasks: Iterable[Json],
        deliveries: Iterable[Json],
        service_requests: Iterable[Json],
        included: Mapping[str, Json],
    ) -> tuple[Order, ...]:
        """Orders at the pharmacy with state and parcels, and the EHR's service requests; newest first."""
        newest: dict[str, Json] = {}
        for task in tasks:
            focus = self.reference(obj(task, "focus"))
            if task.get("status") != "entered-in-error" and focus:
                known = newest.get(focus)
                if known is None or _changed(task) >= _changed(known):
                    newest[focus] = task
        parcels: dict[str, list[Delivery]] = {}
        for resource in deliveries:
            if resource.get("status") != "entered-in-error":
                for based_on in items(resource, "basedOn"):
                    parcels.setdefault(self.reference(based_on), []).append(_delivery(resource))
        found = [
            self._supply_order(resource, newest, parcels, included)
            for resource in supply_requests
            if resource.get("status") not in ("entered-in-error", "draft")
        ]
        found += [
            self._service_order(resource, newest)
            for resource in service_requests
            if resource.get("status") not in ("entered-in-error", "draft")
            and text(resource, "intent") in _SHOWN_INTENTS
            and boolean(resource, "doNotPerform") is not True
        ]
        return tuple(sorted(found, key=lambda order: (str(order.ordered_on or ""), order.number), reverse=True))

    def _supply_order(
        self,
        resource: Json,
        tasks: Mapping[str, Json],
        parcels: Mapping[str, list[Delivery]],
        included: Mapping[str, Json],
    ) -> Order:
        reference = f"SupplyRequest/{resource['id']}"
        concept = obj(resource, "itemCodeableConcept")
        if not concept:
            concept = obj(included.get(self.reference(obj(resource, "itemReference")), {}), "code")
        words = words_of(concept) or text(obj(resource, "itemReference"), "display")
        item = Medication(words, code_in(concept, RXNORM))
        order = self._order(resource, OrderKind.SUPPLY, item, tasks.get(reference, {}))
        sent = tuple(sorted(parcels.get(reference, ()), key=lambda parcel: (str(parcel.occurred_on or ""), parcel.id)))
        return replace(
            order,
            quantity=quantity_words(obj(resource, "quantity")),
            deliveries=sent,
            resource=chips.supply(resource, concept or {"text": words or order.number}, self.patient_id),
        )

    def _service_order(self, resource: Json, tasks: Mapping[str, Json]) -> Order:
        item = Medication(words_of(obj(resource, "code")))
        task = tasks.get(f"ServiceRequest/{resource['id']}", {})
        return replace(
            self._order(resource, OrderKind.SERVICE, item, task),
            resource=chips.service(resource, self.patient_id),
        )

    def _order(self, resource: Json, kind: OrderKind, item: Medication, task: Json) -> Order:
        state = obj(task, "businessStatus")
        code = code_in(state, ORDER_STATE)
        return Order(
            id=resource["id"],
            kind=kind,
            number=order_number(resource),
            status=text(resource, "status", 40) or "unknown",
            state=code if code in order_states() else "",
            state_words=words_of(state),
            state_reason=words_of(obj(task, "statusReason")),
            changed_at=moment(task, "lastModified") or moment(obj(task, "meta"), "lastUpdated"),
            ordered_on=day(resource, "authoredOn"),
            item=item,
            quantity="",
            deliveries=(),
            resource={},
        )

    # Findings ----------------------------------------------------------------------------------------------------

    def observations(self, resources: Iterable[Json], group: str, each: int) -> tuple[Observation, ...]:
        """The newest `each` of every known kind in `group` (`labs` or `vitals`), newest first."""
        names = observation_names(group)
        found = [
            observation(resource, name)
            for resource in resources
            if resource.get("status") not in ("entered-in-error", "cancelled", "registered")
            and (
                name := next((names[c] for s, c, _ in codings(obj(resource, "code")) if s == LOINC and c in names), "")
            )
        ]
        found.sort(key=lambda one: (one.taken_on, str(one.taken_at or ""), one.id), reverse=True)
        counted: dict[str, int] = {}
        kept = []
        for one in found:
            counted[one.name] = counted.get(one.name, 0) + 1
            if counted[one.name] <= each:
                kept.append(one)
        return tuple(kept)


def patient(resource: Json) -> Patient:
    """The Patient behind a record. A merged record names its successor (`link` of type replaced-by)."""
    names = list(items(resource, "name"))
    rank = {"official": 0, "usual": 1, "": 2, "nickname": 3, "anonymous": 4, "maiden": 5, "temp": 6, "old": 7}
    best = min(names, key=lambda name: rank.get(text(name, "use"), 6), default={})
    given = " ".join(clean(part, 80) for part in _texts(best, "given"))[:200]
    family = text(best, "family", 120)
    successor = next((link for link in items(resource, "link") if link.get("type") == "replaced-by"), {})
    preferred = sorted(items(resource, "communication"), key=lambda one: one.get("preferred") is not True)
    return Patient(
        id=text(resource, "id", 64),
        full_name=" ".join(part for part in (given, family) if part) or text(best, "text", 200),
        family=family,
        given=given,
        birth_date=partial_date(resource, "birthDate"),
        sex=text(resource, "gender", 20),
        identifiers=_identifiers(resource),
        # Patient.active is true unless it says otherwise (R4: systems may treat a missing value so).
        active=boolean(resource, "active") is not False,
        deceased=boolean(resource, "deceasedBoolean") is True or "deceasedDateTime" in resource,
        replaced_by=text(obj(successor, "other"), "reference", 200) or ("unknown" if successor else ""),
        language=next((code for _, code, _ in codings(obj(first({"c": preferred}, "c"), "language")) if code), "")[:12],
        phones=tuple(
            text(point, "value", 40)
            for point in items(resource, "telecom")
            if text(point, "system", 20) in ("phone", "sms") and text(point, "use", 20) != "old"
        )[:8],
    )


def name_words(resource: Json) -> list[str]:
    """The words of all names of a Patient, also of earlier ones, as `folded_words` writes them."""
    parts = [
        part
        for name in items(resource, "name")
        for part in (*_texts(name, "given"), text(name, "family", 120), text(name, "text", 200))
    ]
    return [word for part in parts for word in folded_words(part)]


def _identifiers(resource: Json) -> tuple[Identifier, ...]:
    found = []
    for identifier in items(resource, "identifier"):
        kind = next((code for _, code, _ in codings(obj(identifier, "type")) if code), "")
        value, system = text(identifier, "value", 120), text(identifier, "system", 200)
        if not value or kind in _PRIVATE_IDENTIFIERS or identifier.get("use") == "old" or "us-ssn" in system:
            continue
        found.append(Identifier(system, value, kind))
    return tuple(found[:20])


def _delivery(resource: Json) -> Delivery:
    identifier = first(resource, "identifier")
    return Delivery(
        id=resource["id"],
        status=text(resource, "status", 40) or "unknown",
        occurred_on=day(resource, "occurrenceDateTime") or day(obj(resource, "occurrencePeriod"), "start"),
        tracking=text(identifier, "value", 80),
        carrier=text(obj(identifier, "assigner"), "display", 80) or text(obj(resource, "supplier"), "display", 80),
    )


def _changed(task: Json) -> str:
    at = moment(task, "lastModified") or moment(obj(task, "meta"), "lastUpdated")
    return at.isoformat() if at else ""


def _days(quantity: Json) -> int | None:
    value = number(quantity, "value")
    unit = (text(quantity, "code") or text(quantity, "unit") or "d").lower()
    factor = {"d": 1, "day": 1, "days": 1, "wk": 7, "week": 7, "weeks": 7}.get(unit)
    return int(value * factor) if value is not None and factor is not None and 0 <= value * factor < 3650 else None


def _texts(value: Json, key: str) -> list[str]:
    found = value.get(key)
    return [part for part in found if isinstance(part, str)] if isinstance(found, list) else []
