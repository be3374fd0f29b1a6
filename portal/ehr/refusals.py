"""Whom a patient's Consents (R4) forbid: wherever a no stands in them, and whoever it may mean.

The other half of `consents.py`. What opens a record is read narrowly there; what closes it is read widely here. Only
what is surely about something else (research, an action that gives nothing out, kinds of data that are never shown
here) closes nobody. Codes: `fhir/consent.json`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from portal.ehr.contract import load
from portal.ehr.projection import Reader, name_words, patient
from portal.ehr.reading import Json, codings, day, folded_words, items, obj, partial_date, text

MAX_PERSONS = 20
TYPES = "http://hl7.org/fhir/resource-types"
# A record of the EHR by "Type/id": empty where there is none, None where it may not or cannot be read.
Record = Callable[[str], Json | None]
OLDEST = 1900
# So far may a day in one zone be from the same day in another, and the day after it.
_ANYWHERE = timedelta(days=2)
# Of what an actor may be, what is no person and no set of persons.
_NOBODY = frozenset({"Device", "Endpoint", "HealthcareService", "Location", "Organization"})
# Who is there for their work: a relative only where the name says so.
_AT_WORK = frozenset({"Practitioner", "PractitionerRole"})
_PERSONS = frozenset({"Patient", "RelatedPerson"})
_READABLE = _PERSONS | {"Practitioner"}


@dataclass(frozen=True)
class Called:
    """What somebody is called: each name that has more than one word, if any has, and the words of all of them."""

    forms: frozenset[frozenset[str]]
    words: frozenset[str]

    def may_be(self, other: "Called") -> bool:
        """Whether both may be one person: a name of one, also a shorter form of it or with initials, fits the other."""
        return any(_covers(other.words, one) for one in self.forms) or any(
            _covers(self.words, one) for one in other.forms
        )


@dataclass(frozen=True)
class Refusals:
    """Whom Consents forbid: by key, by what they are called; `everybody`, also where it is not said who; `unsure`: some
    record that says who may not be read, so that it may be anybody."""

    keys: frozenset[str]
    called: tuple[Called, ...]
    everybody: bool
    unsure: bool

    def meet(self, key: str, called: Called) -> bool:
        """Whether they forbid, or may forbid, the person with that key and those names."""
        return self.everybody or key in self.keys or any(one.may_be(called) for one in self.called)


@dataclass(frozen=True)
class _No:
    """Whom one rule forbids; `wide`: also those whom it names by a group, or not at all, or not well."""

    actors: tuple[Json, ...]
    wide: bool


@dataclass(frozen=True)
class _Outer:
    """What an inner rule has from those around it: an exception reaches no further than what it is an exception to."""

    actors: tuple[Json, ...] = ()
    elsewhere: bool = False
    treating: bool = False
    nested: bool = False


def refusals(reader: Reader, active: Iterable[Json], record: Record, today: date) -> Refusals:
    """Whom Consents forbid that are in force or may be, at any depth: an exception inside a permit is a no as well."""
    keys: set[str] = set()
    called: list[Called] = []
    everybody = unsure = False
    for consent in active:
        other = _of_something_else(consent)
        for rule in _forbidden(consent, today):
            actors = [one for one in rule.actors if _receives(reader, one)]
            wide = rule.wide and not other
            # A rule without actors is about all of them (R4, Consent.provision.actor).
            everybody |= (not actors and wide) or len(actors) > MAX_PERSONS
            for actor in actors[:MAX_PERSONS]:
                reference = text(obj(actor, "reference"), "reference")
                kind, person = _who(reader, consent, actor, record)
                if kind in _NOBODY:
                    continue
                found = called_by(person or {}, text(obj(actor, "reference"), "display"))
                keys.add(key_of(reader, consent, reference))
                called += [found] if found.forms else []
                # What a display says beside a person of no known name need not be a name: "her family", "Mother".
                nameless = kind not in _AT_WORK and not (kind in _PERSONS and called_by(person or {}).forms)
                unsure |= wide and nameless and person is None
                everybody |= wide and nameless and person is not None
    return Refusals(frozenset(keys - {""}), tuple(called), everybody, unsure)


def _of_something_else(consent: Json) -> bool:
    """Whether a Consent is about research, a treatment or what is to be done one day: it closes those whom it names,
    and nobody else."""
    if "modifierExtension" in consent or consent.get("implicitRules"):
        return False
    scope = obj(consent, "scope")
    other = one_of(scope, "other_scopes") and not one_of(scope, "scope")
    return other or _all(consent, "category", lambda one: one_of(one, "other_categories"))


def _forbidden(consent: Json, today: date) -> Iterator[_No]:
    """Each rule that forbids and may be in force; one inside another that names nobody is about whom that one names."""
    closes = one_of(obj(consent, "policyRule"), "closing_rules")
    root = not isinstance(consent.get("provision"), list)
    for provision in inner_of(consent):
        yield from _under(provision, _Outer(nested=not root), closes, today)


def _under(provision: Json, outer: _Outer, closes: bool, today: date) -> Iterator[_No]:
    elsewhere = outer.elsewhere or _elsewhere(provision)
    if elsewhere or not _may_be_in_force(provision, today):
        return
    own = tuple(items(provision, "actor"))
    actors = own or outer.actors
    receive = any(not _stands_behind(one) for one in actors)
    treating = outer.treating or _all(provision, "purpose", lambda one: _purpose(one, "care_purposes"))
    said = text(provision, "type")
    # R4 has no type on the outermost rule and needs one on each inner one. Without it the outermost is an exception to
    # the base, which its own examples read both ways: who is named there is neither let in nor safe from a no.
    unsaid = said != "deny" and not outer.nested
    forbids = said != "permit" and (not unsaid or ("actor" in provision and (receive or closes)))
    # Who treats is not who helps: where nobody is named, such a rule is about the clinics.
    if forbids and (receive or not treating):
        yield _No(actors, wide=closes or not unsaid)
    for inner in inner_of(provision):
        yield from _under(inner, _Outer(actors, elsewhere, treating, nested=True), closes, today)


def inner_of(holder: Json) -> list[Json]:
    """The rules right inside a Consent or a rule, also where one stands instead of a list of them."""
    value = holder.get("provision")
    return [value] if isinstance(value, dict) else list(items(holder, "provision"))


def _may_be_in_force(provision: Json, today: date) -> bool:
    period = obj(provision, "period")
    starts, ends = day_of(period, "start"), day_of(period, "end")
    over = ends is not None and ends.year >= OLDEST and ends < today - _ANYWHERE
    return not over and (starts is None or starts <= today + _ANYWHERE)


def _elsewhere(provision: Json) -> bool:
    """Whether a rule is about nothing that those who help a patient see here; one that may mean something else by an
    extension is not surely so."""
    return "modifierExtension" not in provision and (
        _all(provision, "purpose", lambda one: _purpose(one, "other_purposes"))
        or _all(provision, "action", lambda one: one_of(one, "other_actions") and not one_of(one, "actions"))
        or _all(provision, "class", lambda one: one_of({"coding": [one]}, "other_classes"))
        or _all(provision, "data", _never_shown)
    )


def _purpose(one: Json, table: str) -> bool:
    return one_of({"coding": [one]}, "other_purposes") or one_of({"coding": [one]}, table)


def _never_shown(data: Json) -> bool:
    """Whether it is one record alone, and of a kind that is never shown."""
    reference = text(obj(data, "reference"), "reference")
    kind = {"coding": [{"system": TYPES, "code": _kind_in(reference)}]}
    return text(data, "meaning") == "instance" and one_of(kind, "other_classes")


def _all(holder: Json, key: str, fits: Callable[[Json], bool]) -> bool:
    """Whether there is something in the list `key`, and all of it fits."""
    found = holder.get(key)
    return isinstance(found, list) and bool(found) and all(isinstance(one, dict) and fits(one) for one in found)


def _receives(reader: Reader, actor: Json) -> bool:
    """Whether an actor is who gets data: not whose data it is, not who agrees, not the patient herself."""
    return not _stands_behind(actor) and reader.reference(obj(actor, "reference")) != f"Patient/{reader.patient_id}"


def _stands_behind(actor: Json) -> bool:
    role = obj(actor, "role")
    return (one_of(role, "sources") or one_of(role, "grantors")) and not kinds_of(role)


def kinds_of(concept: Json) -> set[str]:
    """The ways of acting that a role or relationship names."""
    roles = load("consent.json")["roles"]
    return {roles.get(system, {}).get(code, "") for system, code, _ in codings(concept)} - {""}


def _who(reader: Reader, consent: Json, actor: Json, record: Record) -> tuple[str, Json | None]:
    """What kind of record an actor is, "" where that is not known, and the record: empty where there is none, None
    where it may not be read."""
    reference = text(obj(actor, "reference"), "reference")
    if reference.startswith("#"):
        found = contained(consent, reference)
        return text(found, "resourceType"), found
    if not reference:
        return text(obj(actor, "reference"), "type"), {}
    here = reader.reference(reference)
    kind = _kind_in(reference)
    return kind, record(here) if here and kind in _READABLE else {}


def _kind_in(reference: str) -> str:
    parts = reference.split("/_history/")[0].split("/")
    return "/".join(parts[-2:-1])


def _covers(words: frozenset[str], form: frozenset[str]) -> bool:
    return all(any(_same(one, other) for other in words) for one in form)


def _same(one: str, other: str) -> bool:
    """Whether two words may be the same part of a name: an initial stands for what begins with it."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) == 1 and long.startswith(short))


def called_by(person: Json, display: str = "") -> Called:
    """What a RelatedPerson, Patient or Practitioner is called, also formerly, and what `display` says beside it."""
    names = [patient({"name": [one]}).full_name for one in items(person, "name")]
    forms = {frozenset(folded_words(one)) for one in (*names, display)} - {frozenset()}
    words = frozenset(name_words(person)).union(*forms)
    # A family's name alone, as of before a wedding, would be all of the family.
    return Called(frozenset(one for one in forms if len(one) > 1) or frozenset(forms), words)


def contained(consent: Json, reference: str) -> Json:
    """What a Consent holds inside itself under "#id"; empty where there is none."""
    return next((one for one in items(consent, "contained") if f"#{one.get('id')}" == reference), {})


def key_of(reader: Reader, consent: Json, reference: str) -> str:
    """What a person is known by from one look to the next. A contained one has no id but in this version of the
    Consent, so that the name belongs to it: under the same id somebody else may stand next time."""
    if not reference.startswith("#"):
        return reader.reference(reference) or reference[:64]
    name = patient(contained(consent, reference)).full_name
    return f"{reference[:40]}|{sha256(name.encode()).hexdigest()[:24]}"


def one_of(concept: Json, table: str) -> bool:
    """Whether a concept has a code of that table."""
    known = load("consent.json")[table]
    return any(code in known.get(system, ()) for system, code, _ in codings(concept))


def day_of(period: Json, key: str) -> date | None:
    """The day that begins or ends a period, where it is known to the day."""
    return day(period, key) if len(partial_date(period, key)) == len("2000-01-01") else None
