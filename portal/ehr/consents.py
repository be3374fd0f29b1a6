"""Whom a patient lets act for her, as Consents of an EHR (R4) say it: read narrowly, because it opens a record.

A Consent counts where all of it is understood: active, about privacy, a permit without exceptions, for a person who is
named, in a way that the portal knows, for a time that is now. Whatever else stands in it makes it narrower than the
portal can keep to, and then it says so and opens nothing. Codes: `fhir/consent.json`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta, timezone
from enum import StrEnum
from hashlib import sha256

from portal.ehr.contract import load
from portal.ehr.projection import Reader, patient
from portal.ehr.reading import (
    Json,
    boolean,
    codings,
    day,
    folded_words,
    is_fhir_id,
    items,
    moment,
    obj,
    partial_date,
    text,
)

# What a provision may hold beside what is read: anything else narrows it.
_READ = frozenset({"id", "type", "period", "actor", "action", "class"})
_READ_OF_PERIOD = frozenset({"id", "start", "end"})
_READ_OF_ACTOR = frozenset({"id", "extension", "role", "reference"})
# People write a year from here on for "without an end".
_WITHOUT_END = 9000
_OLDEST = 1900
# Where a day begins last: what is over there is over everywhere.
_LAST_ZONE = timezone(timedelta(hours=-12))
# So far may a day in one zone be from the same day in another, and the day after it.
_ANYWHERE = timedelta(days=2)
# Of what an actor may be (R4), what is no relative of the patient, and no set of people with relatives among them.
_NO_RELATIVES = frozenset({"Device", "Organization", "Patient", "Practitioner", "PractitionerRole"})
MAX_PERSONS = 20
_TYPES = "http://hl7.org/fhir/resource-types"


class WhyNot(StrEnum):
    """Why nobody can be invited on a Consent."""

    NO = ""
    # It forbids, or does not say that it allows.
    NO_PERMIT = "no-permit"
    # Another one, as good, forbids this person, or everybody.
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
            same = [
                one
                for one in items(provision, "actor")
                if _key(reader, consent, text(obj(one, "reference"), "reference")) == key
            ]
            kind = _kind(same, person)
            step = _step(provision)
            why_not = (
                closed
                or of_time
                or (WhyNot.NARROWER if any(set(one) - _READ_OF_ACTOR for one in same) else WhyNot.NO)
                or (WhyNot.NO if person else WhyNot.NO_PERSON)
                or (WhyNot.NO if kind else WhyNot.ROLE)
                or (WhyNot.NO if step else WhyNot.NARROWER)
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
    if all(one.why_not is not WhyNot.NO for one in found):
        return tuple(found)
    no = _denied(reader, active, related, today)
    return tuple(
        replace(one, why_not=WhyNot.DENIED) if one.why_not is WhyNot.NO and no.meets(one) else one for one in found
    )


@dataclass(frozen=True)
class _No:
    """Whom Consents forbid: by key and by the words of a name; or `everybody`, also where it is not said who."""

    keys: frozenset[str] = frozenset()
    names: frozenset[frozenset[str]] = frozenset()
    everybody: bool = False

    def meets(self, grant: Grant) -> bool:
        """Whether it may be the person of `grant`: a shorter form of a name may be the same one's."""
        words = frozenset(folded_words(grant.name))
        return self.everybody or grant.person in self.keys or any(one <= words or words <= one for one in self.names)


def _denied(reader: Reader, active: Iterable[Json], related: Callable[[str], Json], today: date) -> _No:
    """Whom Consents forbid that are in force or may be, at any depth: an exception inside a permit is a no as well."""
    keys, called = set(), set()
    everybody = False
    for consent in active:
        if _one_of(obj(consent, "scope"), "other_scopes") and not _one_of(obj(consent, "scope"), "scope"):
            continue
        for named in _forbidden(obj(consent, "provision"), (), today):
            # Who is a source says whose data it is, not who gets them.
            actors = [actor for actor in named if not _one_of(obj(actor, "role"), "sources")]
            # A rule without actors is about all of them (R4, Consent.provision.actor).
            everybody |= not actors or len(actors) > MAX_PERSONS
            for actor in actors[:MAX_PERSONS]:
                reference = text(obj(actor, "reference"), "reference")
                display = text(obj(actor, "reference"), "display")
                relative, person = _relative(reader, consent, reference, related)
                said = {frozenset(folded_words(one)) for one in (display, _name(person))} - {frozenset()}
                keys.add(_key(reader, consent, reference))
                called |= said
                # A name beside a group, or beside a record of somewhere else, need not be a person's.
                everybody |= relative is None and (reference != "" or not said)
    return _No(frozenset(keys - {""}), frozenset(called), everybody)


def _forbidden(provision: Json, of_outer: Sequence[Json], today: date) -> Iterator[Sequence[Json]]:
    """The actors of each rule in and under `provision` that forbids and may be in force; one inside another that names
    nobody is about those of the outer one."""
    period = obj(provision, "period")
    starts, ends = _day(period, "start"), _day(period, "end")
    over = ends is not None and ends.year >= _OLDEST and ends < today - _ANYWHERE
    if over or (starts is not None and starts > today + _ANYWHERE):
        return
    actors = list(items(provision, "actor")) or of_outer
    purposes = list(items(provision, "purpose"))
    elsewhere = bool(purposes) and all(_one_of({"coding": [one]}, "other_purposes") for one in purposes)
    if text(provision, "type") == "deny" and not elsewhere:
        yield actors
    for inner in items(provision, "provision"):
        yield from _forbidden(inner, actors, today)


def _relative(
    reader: Reader, consent: Json, reference: str, related: Callable[[str], Json]
) -> tuple[bool | None, Json]:
    """Whether an actor who is forbidden is a relative of the patient, None where that is not known; and who it is."""
    if reference.startswith("#"):
        person = _contained(consent, reference)
        kind = text(person, "resourceType")
        return True if kind == "RelatedPerson" else False if kind in _NO_RELATIVES else None, person
    kind, _, name = reader.reference(reference).partition("/")
    if kind == "RelatedPerson":
        return True, related(name)
    return (False if (kind or "/".join(reference.split("/")[-2:-1])) in _NO_RELATIVES else None), {}


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
    if set(provision) - _READ or "modifierExtension" in consent or consent.get("implicitRules"):
        return WhyNot.NARROWER
    if "action" in provision and not any(_one_of(action, "actions") for action in items(provision, "action")):
        return WhyNot.NARROWER
    # A rule for emergencies, or one that says whose data it is about, is not about all that the portal shows.
    of_whom = (_one_of(obj(actor, "role"), "sources") for actor in items(provision, "actor"))
    if _one_of(obj(consent, "policyRule"), "narrow_rules") or any(of_whom):
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


def _kind(actors: Iterable[Json], person: Json) -> str:
    """How the person stands to the patient, "" unless each entry for them says in which role: a mother may stand there
    as who agrees for the child and not as who is let in. Who is called a parent or guardian anywhere is one: that ends
    by age."""
    roles = load("consent.json")["roles"]

    def kinds(concept: Json) -> set[str]:
        return {roles.get(system, {}).get(code, "") for system, code, _ in codings(concept)} - {""}

    by_role = [kinds(obj(actor, "role")) for actor in actors]
    said = set().union(*by_role, *(kinds(concept) for concept in items(person, "relationship")))
    known = all(by_role)
    return next((kind for kind in ("guardian", "parent", "child", "carer") if known and kind in said), "")


def _step(provision: Json) -> str:
    """The most that the classes of a provision cover, "" for nothing; one without classes covers all."""
    steps = load("consent.json")["steps"]
    classes = {text(one, "code") for one in items(provision, "class") if text(one, "system") == _TYPES}
    if "class" not in provision:
        return str(list(steps)[-1])
    return next((step for step in reversed(list(steps)) if classes.issuperset(steps[step])), "")
