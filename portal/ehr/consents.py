"""Whom a patient lets act for her, as Consents of an EHR (R4) say it: read narrowly, because it opens a record.

A Consent counts where all of it is understood: active, about privacy, a permit without exceptions, for a person who is
named, in a way that the portal knows, for a time that is now. Whatever else stands in it makes it narrower than the
portal can keep to, and then it says so and opens nothing. Codes: `fhir/consent.json`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from enum import StrEnum
from hashlib import sha256

from portal.ehr.contract import load
from portal.ehr.projection import Reader, patient
from portal.ehr.reading import Json, boolean, codings, day, is_fhir_id, items, moment, obj, partial_date, text

# What a provision may hold beside what is read: anything else narrows it.
_READ = frozenset({"id", "type", "period", "actor", "action", "class"})
_READ_OF_PERIOD = frozenset({"id", "start", "end"})
_READ_OF_ACTOR = frozenset({"id", "extension", "role", "reference"})
# People write a year from here on for "without an end".
_WITHOUT_END = 9000
_OLDEST = 1900
# Where a day begins last: what is over there is over everywhere.
_LAST_ZONE = timezone(timedelta(hours=-12))
MAX_PERSONS = 20
_TYPES = "http://hl7.org/fhir/resource-types"


class WhyNot(StrEnum):
    """Why nobody can be invited on a Consent."""

    NO = ""
    # It forbids, or does not say that it allows.
    NO_PERMIT = "no-permit"
    # Another one, as good, forbids this person.
    DENIED = "denied"
    # Exceptions, labels, purposes, kinds of data: narrower than the steps of the portal.
    NARROWER = "narrower"
    NOT_PRIVACY = "not-privacy"
    UNVERIFIED = "unverified"
    NOT_BEGUN = "not-begun"
    OVER = "over"
    # The period is not known to the day.
    NO_DAY = "no-day"
    NO_PERSON = "no-person"
    ROLE = "role"


@dataclass(frozen=True)
class Grant:
    """One person in one Consent. `kind`: how that person stands to the patient; `step`: the most it opens; `last_day`:
    the last day on which all of it holds, None without an end; `said_on`: as the EHR has it, "" if it does not."""

    consent_id: str
    version: str
    person: str
    name: str
    kind: str
    step: str
    last_day: date | None
    said_on: str
    why_not: WhyNot


def grants(
    reader: Reader, consents: Iterable[Json], related: Callable[[str], Json], *, today: date
) -> tuple[Grant, ...]:
    """The persons in the active Consents among `consents`, each of which is this patient's.

    `related` gives a RelatedPerson by id, an empty object where the EHR has none; `today` is the pharmacy's day.
    """
    found = []
    active = [consent for consent in consents if text(consent, "status") == "active"]
    denied = _denied(reader, active, today)
    for consent in active:
        provision = obj(consent, "provision")
        closed = _closed(consent, provision)
        last_day, of_time = _time(provision, today)
        version = text(obj(consent, "meta"), "versionId", 64)
        for actor in _some(provision, "actor"):
            reference = text(obj(actor, "reference"), "reference")
            # Nobody is asked about whom nothing is opened to.
            person = {} if closed or of_time else _person(reader, consent, reference, related, today)
            key = _key(reader, consent, reference)
            kind = _kind(actor, person)
            step = _step(provision)
            why_not = (
                closed
                or of_time
                or (WhyNot.NARROWER if set(actor) - _READ_OF_ACTOR else WhyNot.NO)
                or (WhyNot.NO if person else WhyNot.NO_PERSON)
                or (WhyNot.NO if kind else WhyNot.ROLE)
                or (WhyNot.NO if step else WhyNot.NARROWER)
                or (WhyNot.DENIED if denied & {key, _name(person)} else WhyNot.NO)
            )
            found.append(
                Grant(
                    consent_id=str(consent["id"]),
                    version=version if is_fhir_id(version) else "",
                    person=key,
                    name=_name(person) or text(obj(actor, "reference"), "display"),
                    kind=kind,
                    step=step,
                    last_day=last_day,
                    said_on=partial_date(consent, "dateTime"),
                    why_not=why_not,
                )
            )
    return tuple(found)


def _denied(reader: Reader, active: Iterable[Json], today: date) -> set[str]:
    """Whom a Consent forbids that is in force or may be: by key, and by name where it is said."""
    found = set()
    for consent in active:
        provision = obj(consent, "provision")
        if text(provision, "type") != "deny" or _time(provision, today)[1] in (WhyNot.OVER, WhyNot.NOT_BEGUN):
            continue
        for actor in items(provision, "actor"):
            reference = text(obj(actor, "reference"), "reference")
            inside = _name(_contained(consent, reference))
            found |= {_key(reader, consent, reference), inside, text(obj(actor, "reference"), "display")}
    return found - {""}


def _contained(consent: Json, reference: str) -> Json:
    return next((one for one in items(consent, "contained") if f"#{one.get('id')}" == reference), {})


def _key(reader: Reader, consent: Json, reference: str) -> str:
    """What a person is known by from one look to the next. A contained one has no id but in this version of the
    Consent, so that the name belongs to it: under the same id somebody else may stand next time."""
    if not reference.startswith("#"):
        return reader.reference(reference) or reference[:64]
    name = _name(_contained(consent, reference))
    return f"{reference[:40]}|{sha256(name.encode()).hexdigest()[:24]}"


def _some(value: Json, key: str) -> list[Json]:
    return list(items(value, key))[:MAX_PERSONS]


def _closed(consent: Json, provision: Json) -> WhyNot:
    """What forbids to use a Consent as a whole."""
    if not _one_of(obj(consent, "scope"), "scope"):
        return WhyNot.NOT_PRIVACY
    if any(boolean(one, "verified") is False for one in items(consent, "verification")):
        return WhyNot.UNVERIFIED
    if text(provision, "type") != "permit":
        return WhyNot.NO_PERMIT
    actions = _some(provision, "action")
    if set(provision) - _READ or "modifierExtension" in consent or consent.get("implicitRules"):
        return WhyNot.NARROWER
    if actions and not any(_one_of(action, "actions") for action in actions):
        return WhyNot.NARROWER
    return WhyNot.NO


def _one_of(concept: Json, table: str) -> bool:
    known = load("consent.json")[table]
    return any(code in known.get(system, ()) for system, code, _ in codings(concept))


def _time(holder: Json, today: date) -> tuple[date | None, WhyNot]:
    """The last whole day of the period of `holder`, in any zone, and what is wrong with it now. A day is known to the
    day, or the doubt closes."""
    period = holder.get("period", {})
    if not isinstance(period, dict) or set(period) - _READ_OF_PERIOD:
        return None, WhyNot.NARROWER
    starts, ends = _day(period, "start"), _day(period, "end")
    if ("start" in period and starts is None) or ("end" in period and ends is None):
        return None, WhyNot.NO_DAY
    if ends is not None and ends.year < _OLDEST:
        return None, WhyNot.OVER
    if ends is not None and ends.year >= _WITHOUT_END:
        ends = None
    elif ends is not None and len(text(period, "end")) > len("2000-01-01"):
        # It ends within that day, so that the day before is the last whole one.
        at = moment(period, "end")
        ends = (ends if at is None else at.astimezone(_LAST_ZONE).date()) - timedelta(days=1)
    if starts is not None and starts > today:
        return ends, WhyNot.NOT_BEGUN
    return ends, WhyNot.OVER if ends is not None and ends < today else WhyNot.NO


def _day(period: Json, key: str) -> date | None:
    return day(period, key) if len(partial_date(period, key)) == len("2000-01-01") else None


def _person(reader: Reader, consent: Json, reference: str, related: Callable[[str], Json], today: date) -> Json:
    """The RelatedPerson whom a Consent names: contained, or of this EHR and this patient, and in force; else empty."""
    if reference.startswith("#"):
        found = _contained(consent, reference)
    else:
        kind, _, name = reader.reference(reference).partition("/")
        found = related(name) if kind == "RelatedPerson" else {}
    if found.get("resourceType") != "RelatedPerson" or not reader.is_ours(found):
        return {}
    if "modifierExtension" in found or found.get("implicitRules"):
        return {}
    over = _time(found, today)[1] is not WhyNot.NO
    return {} if over or boolean(found, "active") is False or not _name(found) else found


def _name(person: Json) -> str:
    """What a RelatedPerson is called; it has names in the form of a Patient's."""
    return patient(person).full_name


def _kind(actor: Json, person: Json) -> str:
    """How the person stands to the patient. Who is called a parent or guardian anywhere is one: that ends by age."""
    roles = load("consent.json")["roles"]
    concepts = [obj(actor, "role"), *items(person, "relationship")]
    said = [roles.get(system, {}).get(code, "") for concept in concepts for system, code, _ in codings(concept)]
    return next((kind for kind in ("guardian", "parent", "child", "carer") if kind in said), "")


def _step(provision: Json) -> str:
    """The most that the classes of a provision cover, "" for nothing; one without classes covers all."""
    steps = load("consent.json")["steps"]
    classes = {text(one, "code") for one in items(provision, "class") if text(one, "system") == _TYPES}
    if "class" not in provision:
        return str(list(steps)[-1])
    return next((step for step in reversed(list(steps)) if classes.issuperset(steps[step])), "")
