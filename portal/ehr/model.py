"""What the portal knows about a patient's care: small frozen values, made from FHIR by `projection`.

Texts are the EHR's own, cleaned and cut; dates are calendar days or UTC-aware instants. `None` or "" always means
"the EHR does not say". `resource` fields hold the exact minimal FHIR resource that a chip carries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

Json = dict[str, Any]
# Fewer digits are no phone number that could tell people apart.
FEWEST_DIGITS = 7


class AllergyState(StrEnum):
    """The four answers to "any allergies?", which must never look the same."""

    RECORDED = "recorded"
    NONE_KNOWN = "none_known"
    NOTHING_RECORDED = "nothing_recorded"
    UNAVAILABLE = "unavailable"


class SectionState(StrEnum):
    """How the reading of one part of the context went."""

    OK = "ok"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"
    NOT_OFFERED = "not_offered"


class OrderKind(StrEnum):
    """A SupplyRequest is an order at the pharmacy; a ServiceRequest is listed as the EHR gives it."""

    SUPPLY = "supply"
    SERVICE = "service"


@dataclass(frozen=True)
class Identifier:
    """A number the EHR gives a person. Social security, licence and passport numbers never come this far."""

    system: str
    value: str
    label: str = ""


@dataclass(frozen=True)
class Patient:
    """Who the record is about."""

    id: str
    full_name: str
    family: str
    given: str
    birth_date: str
    sex: str
    identifiers: tuple[Identifier, ...]
    active: bool
    deceased: bool
    replaced_by: str = ""
    language: str = ""
    phones: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Nothing is ever sent to this record: the person has died, or the record is closed or merged away."""
        return self.deceased or not self.active or bool(self.replaced_by)

    @property
    def record_number(self) -> Identifier | None:
        """The one more identifier beside name and birth date: the medical record number where there is one."""
        marked = (number for number in self.identifiers if number.label == "MR")
        return next(marked, self.identifiers[0] if self.identifiers else None)

    @property
    def number_line(self) -> str:
        """The record number with its label: it tells apart two people of one name and birth date. "" without one."""
        number = self.record_number
        return f"{number.label} {number.value}".strip() if number is not None else ""

    def has_phone(self, phone: str) -> bool:
        """Whether `phone` is one of the person's numbers, however either side writes it; never with under 7 digits."""
        wanted = digits_of(phone)
        return any(same_phone(wanted, digits_of(known)) for known in self.phones)

    def age(self, today: date) -> int | None:
        """Full years on `today`, if the EHR knows the day of birth."""
        try:
            born = date.fromisoformat(self.birth_date)
        except ValueError:
            return None
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def digits_of(phone: str) -> str:
    """The digits of a phone number as somebody wrote it."""
    return "".join(one for one in phone if one.isascii() and one.isdigit())


def same_phone(one: str, other: str) -> bool:
    """Whether two numbers, as digits, are one phone: one of them may lack the country's code."""
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= FEWEST_DIGITS and longer.endswith(shorter)


@dataclass(frozen=True)
class Medication:
    """A medicine as coded. `words` is the EHR's own name for it."""

    words: str
    rxnorm: str = ""


@dataclass(frozen=True)
class PharmacyRef:
    """An organisation the EHR names as dispenser: its reference here, its business identifier, its name."""

    reference: str = ""
    system: str = ""
    value: str = ""
    name: str = ""


@dataclass(frozen=True)
class Dispense:
    """Medicine handed over. `days_supply` in days; `quantity` as the EHR writes it ("60 tablets")."""

    id: str
    status: str
    medication: Medication
    prescription: str
    prepared_on: date | None
    handed_over_on: date | None
    days_supply: int | None
    quantity: str
    pharmacy: PharmacyRef


@dataclass(frozen=True)
class MedicationRequest:
    """One prescription. `dosage` holds the coded Dosage elements for `portal.ehr.dosage`.

    `qualified`: the EHR marks it with a rule we do not know (modifierExtension, implicitRules), which may change what
    it means; it is shown with a warning and without a sentence of ours.
    """

    id: str
    status: str
    status_reason: str
    intent: str
    medication: Medication
    dosage: tuple[Json, ...]
    authored_on: date | None
    prescriber: str
    reason: str
    note: str
    repeats_allowed: int | None
    pharmacy: PharmacyRef
    fills: tuple[Dispense, ...]
    resource: Json
    qualified: bool = False

    @property
    def is_current(self) -> bool:
        """Whether it belongs to the list of what the patient takes now ("unknown" too: better seen than missed)."""
        return self.status in ("active", "on-hold", "unknown")

    @property
    def last_fill(self) -> Dispense | None:
        """The newest completed hand-over."""
        done = [fill for fill in self.fills if fill.status == "completed" and fill.handed_over_on is not None]
        return max(done, key=lambda fill: (fill.handed_over_on or date.min, fill.id), default=None)

    def days_left(self, today: date) -> int | None:
        """Days of supply left on `today`: last hand-over plus days of supply. Zero once used up."""
        fill = self.last_fill
        if not self.is_current or fill is None or fill.handed_over_on is None or fill.days_supply is None:
            return None
        return max(0, fill.days_supply - max(0, (today - fill.handed_over_on).days))

    @property
    def repeats_left(self) -> int | None:
        """Repeats not yet filled. The first fill is not a repeat (MedicationRequest.dispenseRequest)."""
        if self.repeats_allowed is None:
            return None
        done = sum(1 for fill in self.fills if fill.status in ("completed", "in-progress"))
        return max(0, self.repeats_allowed - max(0, done - 1))


@dataclass(frozen=True)
class Allergy:
    """An allergy or intolerance. `none_known` marks the statement that there is none (`scope` says of what)."""

    id: str
    words: str
    criticality: str
    reactions: tuple[str, ...]
    severity: str
    kind: str
    verification: str
    is_active: bool
    recorded_on: str
    none_known: str = ""
    # The SNOMED CT code of its words and of its reactions, where the EHR gives one.
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """A diagnosis or problem."""

    id: str
    words: str
    clinical_status: str
    verification: str
    onset: str
    recorded_on: str

    @property
    def is_active(self) -> bool:
        """Whether it counts now. An EHR that does not say counts as active: better seen than missed."""
        return self.clinical_status in ("active", "recurrence", "relapse", "")


@dataclass(frozen=True)
class Delivery:
    """One parcel of an order. `tracking` is a number to read, never an address to open."""

    id: str
    status: str
    occurred_on: date | None
    tracking: str
    carrier: str


_DONE = frozenset({"delivered", "cancelled", "completed", "revoked", "entered-in-error"})


@dataclass(frozen=True)
class Order:
    """An order: `number` is what patient and pharmacy call it, `state` the Task's business status."""

    id: str
    kind: OrderKind
    number: str
    status: str
    state: str
    state_words: str
    state_reason: str
    changed_at: datetime | None
    ordered_on: date | None
    item: Medication
    quantity: str
    deliveries: tuple[Delivery, ...]
    resource: Json

    @property
    def is_done(self) -> bool:
        """Whether nothing more happens to it: by the pharmacy's state, else by the EHR's status of it."""
        return (self.state or self.status) in _DONE


@dataclass(frozen=True)
class Measure:
    """A number with its unit, as the EHR gives it; or words; or the reason why there is none."""

    value: float | None = None
    unit: str = ""
    comparator: str = ""
    words: str = ""
    absent_reason: str = ""


@dataclass(frozen=True)
class Observation:
    """A laboratory value or vital sign. `name` is ours (`hba1c`, `blood_pressure`), `words` the EHR's."""

    id: str
    name: str
    words: str
    taken_at: datetime | None
    taken_on: str
    measure: Measure
    components: tuple[tuple[str, Measure], ...]
    flag: str
    reference_range: str
    preliminary: bool


@dataclass(frozen=True)
class Coverage:
    """An insurance. Days are inclusive."""

    id: str
    status: str
    payor: str
    starts_on: date | None
    ends_on: date | None

    def is_in_force(self, today: date) -> bool:
        """Whether it pays on `today`, as far as the EHR knows."""
        started = self.starts_on is None or self.starts_on <= today
        return self.status == "active" and started and (self.ends_on is None or today <= self.ends_on)


@dataclass(frozen=True)
class Dropped:
    """An entry that was not this patient's, or not what was asked for: dropped, and named for the audit record."""

    resource_type: str
    id: str
    reason: str


@dataclass(frozen=True)
class PatientContext:
    """All of it, with where it came from and when. `stale`: the EHR is down, this is what it said at `as_of`."""

    patient: Patient
    medication_requests: tuple[MedicationRequest, ...]
    other_dispenses: tuple[Dispense, ...]
    allergies: tuple[Allergy, ...]
    allergy_state: AllergyState
    conditions: tuple[Condition, ...]
    orders: tuple[Order, ...]
    labs: tuple[Observation, ...]
    vitals: tuple[Observation, ...]
    coverages: tuple[Coverage, ...]
    sections: dict[str, SectionState]
    dropped: tuple[Dropped, ...]
    source: str
    as_of: datetime
    stale: bool = False
    dispensers: tuple[PharmacyRef, ...] = field(default=())

    @property
    def dropped_foreign(self) -> tuple[Dropped, ...]:
        """Entries of other patients that the EHR mixed in: for the audit record, never for a page."""
        return tuple(entry for entry in self.dropped if entry.reason == "foreign")
