"""Everything the panel beside a thread shows, read in one go and kept for at most five minutes in memory.

One batch (or a few searches side by side) for each patient; the same question asked twice at once is asked of the EHR
once. When the EHR is down, what it said within the last five minutes is given again and says that it is stale.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from portal.core import clock
from portal.ehr import contract, findings, projection
from portal.ehr.cache import BoundedCache
from portal.ehr.client import EhrClient
from portal.ehr.consents import Grant, grants
from portal.ehr.contract import observation_names
from portal.ehr.errors import EhrNotFound, EhrProtocolError, EhrRefused, EhrUnavailable, ProtocolFault
from portal.ehr.model import (
    FEWEST_DIGITS,
    AllergyState,
    Dropped,
    Identifier,
    Json,
    Patient,
    PatientContext,
    PharmacyRef,
    SectionState,
    digits_of,
)
from portal.ehr.paging import SearchResult
from portal.ehr.reading import escaped, folded_words, is_fhir_id, items, obj, text, words_fit
from portal.ehr.transport import Deadline

IDS_AT_ONCE = 50
FRESH_SECONDS = 15.0
# So many people may the Consents of one patient name, before they are no answer.
RECORDS_AT_MOST = 100
LABS_EACH = 5
VITALS_EACH = 90
# Digits of a phone number of North America without the country's code.
_NATIONAL = 10
_PAGE = ("_count", "200")


@dataclass(frozen=True)
class _Part:
    """One search of a context: its name in `sections`, the type it must answer with, and its parameters."""

    name: str
    resource_type: str
    params: tuple[tuple[str, str], ...]


def _parts(patient_id: str) -> tuple[_Part, ...]:
    of = ("patient", patient_id)
    labs, vitals = (",".join(f"{contract.LOINC}|{c}" for c in observation_names(g)) for g in ("labs", "vitals"))
    newest = ("_sort", "-date")
    return (
        _Part("patient", "Patient", (("_id", patient_id),)),
        _Part("medications", "MedicationRequest", (of, ("_include", "MedicationRequest:medication"), _PAGE)),
        _Part("dispenses", "MedicationDispense", (of, ("_include", "MedicationDispense:medication"), _PAGE)),
        _Part("allergies", "AllergyIntolerance", (of, _PAGE)),
        _Part("conditions", "Condition", (of, _PAGE)),
        _Part("orders", "SupplyRequest", (("subject", f"Patient/{patient_id}"), _PAGE)),
        _Part("deliveries", "SupplyDelivery", (of, _PAGE)),
        _Part("tasks", "Task", (of, _PAGE)),
        _Part("services", "ServiceRequest", (of, _PAGE)),
        _Part("labs", "Observation", (of, ("code", labs), newest, _PAGE)),
        _Part("vitals", "Observation", (of, ("code", vitals), newest, _PAGE)),
        _Part("coverage", "Coverage", (of, _PAGE)),
    )


def searches(patient_id: str) -> list[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """The searches that a patient's context is made of: (name of the part, resource type, parameters)."""
    return [(part.name, part.resource_type, part.params) for part in _parts(patient_id)]


def finding_searches(number: str) -> list[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """The searches by which people are found who are invited or ask to be found, in the form of `searches`.

    `number` is asked for as a prescription's, and finds nothing where nobody has it.
    """
    return [
        ("by-name", "Patient", (("name", number), ("birthdate", "1900-01-01"), ("_count", "1"))),
        ("by-phone", "Patient", (("phone", "0000000"), ("_count", "1"))),
        ("by-number", "MedicationRequest", (("identifier", number), ("_count", "1"))),
    ]


class _Remembered:
    """A context, and the same one marked as old once the EHR was found down: one object, however often it is shown."""

    def __init__(self, context: PatientContext) -> None:
        self.context = context
        self._stale: PatientContext | None = None

    def stale(self) -> PatientContext:
        """The context as it is given while the EHR is down."""
        if self._stale is None:
            self._stale = replace(self.context, stale=True)
        return self._stale


class ContextReader:
    """Reads and remembers contexts from one EHR. Thread-safe; make one for each connection."""

    def __init__(self, client: EhrClient) -> None:
        self._client = client
        self._cache: BoundedCache[_Remembered] = BoundedCache(entries=200)

    def read(self, patient_id: str, *, max_age: float = FRESH_SECONDS) -> PatientContext:
        """The context of one patient, at most `max_age` seconds old (0 asks the EHR now).

        Raises EhrUnavailable only when nothing younger than five minutes is remembered, EhrNotFound when the EHR has
        no such patient, EhrRefused and EhrProtocolError as the client does. Parts that could not be read are named in
        `sections`; the others stand.
        """
        if not is_fhir_id(patient_id):
            raise EhrNotFound(404)
        asked = clock.monotonic()
        with self._cache.flight(patient_id):
            kept = self._cache.get(patient_id)
            # Whoever waited for another's reading takes it, however fresh was asked for.
            if kept is not None and (kept.age <= max_age or kept.at >= asked):
                return kept.value.context
            try:
                context = self._fetch(patient_id, Deadline(hurried=kept is not None))
            except (EhrUnavailable, EhrProtocolError):
                # Down, or answering nonsense: the last word stands, and says that it is old.
                if kept is None:
                    raise
                return kept.value.stale()
            self._cache.put(patient_id, _Remembered(context), _weight(context))
            return context

    def forget(self, patient_id: str) -> None:
        """Drop what is remembered of a patient: the EHR told us of a change, or a relation ended."""
        self._cache.forget(lambda key: key == patient_id)

    def find_patients(self, system: str, value: str) -> tuple[Patient, ...]:
        """The patients with that identifier (at most two pages): one is a match, more is a question for people."""
        found = self._client.search("Patient", (("identifier", f"{escaped(system)}|{escaped(value)}"),), max_pages=2)
        return tuple(
            patient
            for patient in (projection.patient(one) for one in found.matches if one.get("resourceType") == "Patient")
            if Identifier(system, value) in {replace(one, label="") for one in patient.identifiers}
        )

    def find_by_name(self, name: str, born: date) -> tuple[Patient, ...]:
        """The people with that birth date whose names, also earlier ones, have all the words of `name`."""
        wanted = folded_words(name)
        if not wanted:
            return ()
        # One word is asked for, the longest: EHRs differ in what several words mean. The others are looked for here.
        longest = max(name.split(), key=len)
        found = self._people((("name", escaped(longest)), ("birthdate", born.isoformat())))
        return tuple(
            projection.patient(one)
            for one in found
            if one.get("birthDate") == born.isoformat() and words_fit(wanted, projection.name_words(one))
        )

    def find_by_phone(self, phone: str) -> tuple[Patient, ...]:
        """The people with that phone number, however either side writes it; no EHR is asked with less than 7 digits."""
        digits = digits_of(phone)
        if len(digits) < FEWEST_DIGITS:
            return ()
        # EHRs compare the characters (`phone` is a token): each way in which people write the number is asked for.
        asked = ",".join(escaped(one) for one in dict.fromkeys((phone.strip(), *_spellings(digits))))
        people = [projection.patient(one) for one in self._people((("phone", asked),))]
        return tuple(one for one in people if one.has_phone(phone))

    def holders_of(self, prescription: str) -> frozenset[str] | None:
        """The ids of the people who have a prescription with that number; None where the EHR cannot look for it."""
        try:
            found = self._client.search("MedicationRequest", (("identifier", escaped(prescription)),), max_pages=2)
        except EhrRefused:
            return None
        # An EHR that knows no escaping may give more: what has another number does not count.
        asked = prescription.strip().casefold()
        having = (one for one in found.matches if asked in _numbers(one))
        subjects = (str(obj(one, "subject").get("reference", "")) for one in having)
        return frozenset(one.removeprefix("Patient/") for one in subjects if one.startswith("Patient/"))

    def consents(self, patient_id: str, *, today: date) -> tuple[Grant, ...] | None:
        """Whom this patient's active Consents name (`consents.grants`); None where the EHR keeps no Consents.

        Asked anew each time: a Consent that was withdrawn must not be remembered. Raises as the client does.
        """
        if not is_fhir_id(patient_id):
            raise EhrNotFound(404)
        if "Consent" not in self._client.capabilities().resource_types:
            return None
        reader = projection.Reader(self._client.base_url, patient_id)
        found = self._client.search("Consent", (("patient", patient_id), _PAGE))
        if found.truncated:
            # What is missing may be the one that counts, or one that forbids.
            raise EhrProtocolError(ProtocolFault.TOO_LARGE)
        kept, _ = reader.sift("Consent", found.matches)
        # What was given for her and is not surely hers, or comes twice, opens nothing; its no may be hers.
        doubtful = [
            one
            for one in found.matches
            if one.get("resourceType") == "Consent" and not any(one is other for other in kept)
        ]
        known: dict[str, Json | None] = {}

        def record(reference: str) -> Json | None:
            if reference not in known:
                if len(known) >= RECORDS_AT_MOST:
                    raise EhrProtocolError(ProtocolFault.TOO_LARGE)
                known[reference] = self._record(reference)
            return known[reference]

        return grants(reader, kept, record, today=today, doubtful=doubtful)

    def _record(self, reference: str) -> Json | None:
        """The record "Type/id"; empty where there is none, None where it may not be read or is no such record: that is
        no reason to be silent about the others. An EHR that does not answer at all raises."""
        kind, _, name = reference.partition("/")
        try:
            return self._client.read(kind, name)
        except EhrNotFound:
            return {}
        except (EhrRefused, EhrProtocolError):
            return None

    def _people(self, params: tuple[tuple[str, str], ...]) -> list[Json]:
        found = self._client.search("Patient", (*params, ("_count", "50")), max_pages=2)
        return [
            one for one in found.matches if one.get("resourceType") == "Patient" and is_fhir_id(str(one.get("id", "")))
        ]

    def patients(self, patient_ids: Sequence[str]) -> dict[str, Patient]:
        """Who these ids are, by id, those the EHR knows; a few searches for many ids, never one for each."""
        wanted = [patient_id for patient_id in patient_ids if is_fhir_id(patient_id)]
        found: dict[str, Patient] = {}
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            answer = self._client.search("Patient", (("_id", ",".join(some)), ("_count", str(IDS_AT_ONCE))))
            for one in answer.matches:
                if one.get("resourceType") == "Patient" and one.get("id") in some:
                    found[str(one["id"])] = projection.patient(one)
        return found

    def patient(self, patient_id: str) -> Patient:
        """The Patient alone, straight from the EHR (login, before sending: is this record still open?)."""
        return projection.patient(self._client.read("Patient", patient_id))

    def _fetch(self, patient_id: str, deadline: Deadline) -> PatientContext:
        offered = self._client.capabilities(deadline=deadline).resource_types
        parts = _parts(patient_id)
        asked = [part for part in parts if part.resource_type in offered or part.name == "patient"]
        answers = self._client.search_many([(part.resource_type, part.params) for part in asked], deadline=deadline)
        sections = {part.name: SectionState.NOT_OFFERED for part in parts}
        reader = projection.Reader(self._client.base_url, patient_id)
        kept: dict[str, list[Json]] = {part.name: [] for part in parts}
        included: dict[str, Json] = {}
        dropped: list[Dropped] = []
        for part, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, SearchResult):
                if part.name == "patient":
                    raise answer
                sections[part.name] = SectionState.UNAVAILABLE
                continue
            sections[part.name] = SectionState.PARTIAL if answer.truncated else SectionState.OK
            kept[part.name], refused = reader.sift(part.resource_type, answer.matches)
            dropped += refused
            more, refused = _included(answer.included, reader)
            included.update(more)
            dropped += refused
        if not kept["patient"]:
            if dropped:
                raise EhrProtocolError(ProtocolFault.WRONG_RESOURCE)
            raise EhrNotFound(404)
        return _context(reader, kept, included, sections, tuple(dropped), self._client.connection.source)


def _numbers(resource: Json) -> set[str]:
    return {text(one, "value").casefold() for one in items(resource, "identifier")}


def _spellings(digits: str) -> tuple[str, ...]:
    """A number as people write it: as it is, and of ten digits the usual forms of North America (code 1)."""
    plain = (digits, f"+{digits}")
    if len(digits) < _NATIONAL:
        return plain
    national = digits[-_NATIONAL:]
    area, exchange, line = national[:3], national[3:6], national[6:]
    spoken = (f"{area}-{exchange}-{line}", f"({area}) {exchange}-{line}", f"{area} {exchange} {line}")
    return (*plain, national, f"1{national}", f"+1{national}", *spoken, *(f"+1 {one}" for one in spoken))


def _included(resources: Iterable[Json], reader: projection.Reader) -> tuple[dict[str, Json], list[Dropped]]:
    """Only Medications are asked for; anything else that rides along is not shown."""
    found: dict[str, Json] = {}
    dropped = []
    for resource in resources:
        kind, name = str(resource.get("resourceType"))[:64], resource.get("id")
        known = isinstance(name, str) and is_fhir_id(name)
        if kind == "Medication" and known:
            found[f"Medication/{name}"] = resource
        else:
            foreign = kind in projection.SUBJECT and not reader.is_ours(resource)
            dropped.append(Dropped(kind, str(name) if known else "", "foreign" if foreign else "unexpected"))
    return found, dropped


def _context(
    reader: projection.Reader,
    kept: dict[str, list[Json]],
    included: dict[str, Json],
    sections: dict[str, SectionState],
    dropped: tuple[Dropped, ...],
    source: str,
) -> PatientContext:
    fills = reader.dispenses(kept["dispenses"], included)
    requests, other = reader.medication_requests(kept["medications"], fills, included)
    allergies, state = findings.allergies(kept["allergies"])
    if sections["allergies"] not in (SectionState.OK, SectionState.PARTIAL) and state is not AllergyState.RECORDED:
        state = AllergyState.UNAVAILABLE
    named = [request.pharmacy for request in requests if request.is_current] + [fill.pharmacy for fill in fills]
    return PatientContext(
        patient=projection.patient(kept["patient"][0]),
        medication_requests=requests,
        other_dispenses=other,
        allergies=allergies,
        allergy_state=state,
        conditions=findings.conditions(kept["conditions"]),
        orders=reader.orders(kept["orders"], kept["tasks"], kept["deliveries"], kept["services"], included),
        labs=reader.observations(kept["labs"], "labs", LABS_EACH),
        vitals=reader.observations(kept["vitals"], "vitals", VITALS_EACH),
        coverages=findings.coverages(kept["coverage"]),
        sections=sections,
        dropped=dropped,
        source=source,
        as_of=clock.now(),
        dispensers=tuple(dict.fromkeys(one for one in named if one != PharmacyRef())),
    )


def _weight(context: PatientContext) -> int:
    """A rough size in bytes: the text of the chips, which is most of it, and a kilobyte for every other entry."""
    entries = len(context.medication_requests) + len(context.orders) + len(context.labs) + len(context.vitals)
    chips = [request.resource for request in context.medication_requests]
    chips += [order.resource for order in context.orders]
    return sum(len(str(chip)) for chip in chips) + 1024 * (entries + len(context.conditions)) + sys.getsizeof(context)
