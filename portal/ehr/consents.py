"""Whom a patient lets act for her, as Consents of an EHR (R4) say it: read narrowly, because it opens a record.

A Consent counts where all of it is understood: active, about privacy, a permit without exceptions, for a person who is
named, in a way that the portal knows, for a time that is now. Whatever else stands in it makes it narrower than the
portal can keep to, and then it says so and opens nothing. Whom other Consents forbid: `refusals.py`. Codes:
`fhir/consent.json`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta, timezone
from enum import StrEnum

from portal.ehr.contract import load
from portal.ehr.projection import Reader, patient
from portal.ehr.reading import Json, boolean, is_fhir_id, items, moment, obj, partial_date, text
from portal.ehr.refusals import (
    MAX_PERSONS,
    OLDEST,
    TYPES,
    Called,
    Record,
    called_by,
    contained,
    day_of,
    inner_of,
    key_of,
    kinds_of,
    one_of,
    refusals,
)

# What a provision may hold beside what is read: anything else narrows it.
_READ = frozenset({"id", "type", "period", "actor", "action", "class"})
_READ_OF_PERIOD = frozenset({"id", "start", "end"})
_READ_OF_ACTOR = frozenset({"id", "extension", "role", "reference"})
# People write a year from here on for "without an end".
_WITHOUT_END = 9000
# Where a day begins last: what is over there is over everywhere.
_LAST_ZONE = timezone(timedelta(hours=-12))
# The outermost rule in the form of R4: it says for how long, and the rules inside it say who may.
_READ_OF_FRAME = frozenset({"id", "period", "provision"})


class WhyNot(StrEnum):
    """Why nobody can be invited on a Consent."""

    NO = ""
    # It forbids, or does not say that it allows.
    NO_PERMIT = "no-permit"
    # Another one, as good, forbids this person, or everybody.
    DENIED = "denied"
    # Another one forbids somebody whom the EHR does not show: it may be this person.
    UNSURE = "unsure"
    # Exceptions, labels, purposes, kinds of data: narrower than the steps of the portal.
    NARROWER = "narrower"
    NOT_PRIVACY = "not-privacy"
    UNVERIFIED = "unverified"
    NOT_BEGUN = "not-begun"
    OVER = "over"
    # The period is not known to the day.
    NO_DAY = "no-day"
    NO_PERSON = "no-person"
    # The EHR has this person and does not show it.
    UNSHOWN = "unshown"
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


@dataclass(frozen=True)
class _Rule:
    """A rule that may let somebody in, with what is wrong with it and with its Consent, and its last day."""

    provision: Json
    why_not: WhyNot
    last_day: date | None


def grants(
    reader: Reader, consents: Iterable[Json], record: Record, *, today: date, doubtful: Iterable[Json] = ()
) -> tuple[Grant, ...]:
    """The persons in the active Consents among `consents`, each of which is this patient's.

    `record` gives a record of the EHR by "Type/id"; `today` is the pharmacy's day. What is in `doubtful` was given for
    this patient and does not say so in a way that is understood: it lets nobody in, and its no counts.
    """
    found: list[tuple[Grant, Called]] = []
    active = [consent for consent in consents if text(consent, "status") == "active"]
    for consent in active:
        rules = list(_rules(consent, today))
        named = [
            (rule, actor, _key(reader, consent, actor)) for rule in rules for actor in items(rule.provision, "actor")
        ]
        for rule, actor, key in named[:MAX_PERSONS]:
            # Nobody is asked about whom nothing is opened to.
            person = {} if rule.why_not else _person(reader, consent, actor, record, today)
            same = [one for of, one, its_key in named if its_key == key and of is rule]
            elsewhere = any(its_key == key and of is not rule for of, _, its_key in named)
            narrower = elsewhere or any(set(one) - _READ_OF_ACTOR for one in same)
            display = text(obj(actor, "reference"), "display")
            kind, step = _kind(same, person or {}), _step(rule.provision)
            why_not = (
                rule.why_not
                or (WhyNot.NARROWER if narrower else WhyNot.NO)
                or (WhyNot.UNSHOWN if person is None else WhyNot.NO if person else WhyNot.NO_PERSON)
                or (WhyNot.NO if kind else WhyNot.ROLE)
                or (WhyNot.NO if step else WhyNot.NARROWER)
            )
            version = text(obj(consent, "meta"), "versionId", 64)
            grant = Grant(
                consent_id=str(consent["id"]),
                version=version if is_fhir_id(version) else "",
                person=key,
                name=_name(person or {}) or display,
                kind=kind,
                step=step,
                last_day=rule.last_day,
                said_on=partial_date(consent, "dateTime"),
                why_not=why_not,
            )
            found.append((grant, called_by(person or {}, display)))
    if all(_stopped(one) for one, _ in found):
        return tuple(one for one, _ in found)
    forbidden = [*active, *(consent for consent in doubtful if text(consent, "status") == "active")]
    no = refusals(reader, forbidden, record, today)

    def weighed(one: Grant, called: Called) -> Grant:
        if not _stopped(one) and no.meet(one.person, called):
            return replace(one, why_not=WhyNot.DENIED)
        return replace(one, why_not=WhyNot.UNSURE) if one.why_not is WhyNot.NO and no.unsure else one

    return tuple(weighed(one, called) for one, called in found)


def _stopped(grant: Grant) -> bool:
    """Whether nobody is let in by it, whatever other Consents say."""
    return grant.why_not not in (WhyNot.NO, WhyNot.UNSHOWN)


def _rules(consent: Json, today: date) -> Iterator[_Rule]:
    """The rules of a Consent that name whom it lets in: the outermost one that permits, or those that permit inside
    one without a type, as R4 writes it. Any other rule beside them makes it narrower than can be kept to."""
    root = obj(consent, "provision")
    closed = _closed(consent, root)
    last_day, of_time = _time(root, today)
    inner = inner_of(root)
    if "type" in root or not inner:
        yield _Rule(root, closed or _of_permit(root) or of_time, last_day)
        return
    if set(root) - _READ_OF_FRAME or any(text(one, "type") != "permit" for one in inner):
        closed = closed or WhyNot.NARROWER
    for one in inner:
        its_day, of_its_time = _time(one, today)
        last = min((day for day in (last_day, its_day) if day is not None), default=None)
        yield _Rule(one, closed or _of_permit(one) or of_time or of_its_time, last)


def _key(reader: Reader, consent: Json, actor: Json) -> str:
    return key_of(reader, consent, text(obj(actor, "reference"), "reference"))


def _closed(consent: Json, root: Json) -> WhyNot:
    """What forbids to use a Consent as a whole."""
    if not one_of(obj(consent, "scope"), "scope"):
        return WhyNot.NOT_PRIVACY
    if any(boolean(one, "verified") is False for one in items(consent, "verification")):
        return WhyNot.UNVERIFIED
    if "modifierExtension" in consent or consent.get("implicitRules"):
        return WhyNot.NARROWER
    policy = obj(consent, "policyRule")
    # A rule for emergencies is not about all that the portal shows.
    if one_of(policy, "narrow_rules"):
        return WhyNot.NARROWER
    # The outermost rule has no type in R4. One that permits beside a base that refuses says both.
    return WhyNot.NO_PERMIT if "type" in root and one_of(policy, "closing_rules") else WhyNot.NO


def _of_permit(provision: Json) -> WhyNot:
    """What forbids to use one rule."""
    if text(provision, "type") != "permit":
        return WhyNot.NO_PERMIT
    if set(provision) - _READ:
        return WhyNot.NARROWER
    if "action" in provision and not any(one_of(action, "actions") for action in items(provision, "action")):
        return WhyNot.NARROWER
    # One that says whose data it is about is not about all that the portal shows.
    of_whom = (one_of(obj(actor, "role"), "sources") for actor in items(provision, "actor"))
    return WhyNot.NARROWER if any(of_whom) else WhyNot.NO


def _time(holder: Json, today: date) -> tuple[date | None, WhyNot]:
    """The last whole day of the period of `holder`, in any zone, and what is wrong with it now. A day is known to the
    day, or the doubt closes."""
    period = holder.get("period", {})
    if not isinstance(period, dict) or set(period) - _READ_OF_PERIOD:
        return None, WhyNot.NARROWER
    starts, ends = day_of(period, "start"), day_of(period, "end")
    if ("start" in period and starts is None) or ("end" in period and ends is None):
        return None, WhyNot.NO_DAY
    if ends is not None and ends.year < OLDEST:
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


def _person(reader: Reader, consent: Json, actor: Json, record: Record, today: date) -> Json | None:
    """The RelatedPerson whom a Consent names: contained, or of this EHR and this patient, and in force; else empty.
    None where the EHR does not show it."""
    reference = text(obj(actor, "reference"), "reference")
    found: Json | None = {}
    if reference.startswith("#"):
        found = contained(consent, reference)
    elif reader.reference(reference).startswith("RelatedPerson/"):
        found = record(reader.reference(reference))
    if found is None:
        return None
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
    by_role = [kinds_of(obj(actor, "role")) for actor in actors]
    said = set().union(*by_role, *(kinds_of(concept) for concept in items(person, "relationship")))
    known = all(by_role)
    return next((kind for kind in ("guardian", "parent", "child", "carer") if known and kind in said), "")


def _step(provision: Json) -> str:
    """The most that the classes of a provision cover, "" for nothing; one without classes covers all."""
    steps = load("consent.json")["steps"]
    classes = {text(one, "code") for one in items(provision, "class") if text(one, "system") == TYPES}
    if "class" not in provision:
        return str(list(steps)[-1])
    return next((step for step in reversed(list(steps)) if classes.issuperset(steps[step])), "")
