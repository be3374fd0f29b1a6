"""Whom Alice's Consents name: read narrowly, and whatever is not understood opens nothing."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from ehr_answers import bundle, capabilities, fhir
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.core import resources, texts
from portal.ehr.client import EhrClient
from portal.ehr.consents import Grant, WhyNot, grants
from portal.ehr.context import ContextReader, searches
from portal.ehr.errors import EhrProtocolError, EhrUnavailable
from portal.ehr.projection import Reader
from portal.ehr.validation import validate

Json = dict[str, Any]
TODAY = date(2026, 11, 22)
READER = Reader("http://ehr.test/fhir", "alice")
TYPES = "http://hl7.org/fhir/resource-types"
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
PERSON: Json = {
    "resourceType": "RelatedPerson",
    "id": "judy",
    "active": True,
    "patient": {"reference": "Patient/alice"},
    "name": [{"given": ["Judy"], "family": "Hall"}],
}
CONSENT: Json = {
    "resourceType": "Consent",
    "id": "c1",
    "meta": {"versionId": "3"},
    "status": "active",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "patient": {"reference": "Patient/alice"},
    "dateTime": "2026-03-01",
    "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
    "provision": {
        "type": "permit",
        "period": {"start": "2026-03-01", "end": "2027-03-01"},
        "actor": [
            {
                "role": {"coding": [{"system": ROLE, "code": "HPOWATT"}]},
                "reference": {"reference": "RelatedPerson/judy"},
            }
        ],
    },
}


def changed(path: str, value: Any) -> Json:
    """The Consent with one element set; `...` removes it."""
    made = deepcopy(CONSENT)
    *steps, last = path.split(".")
    at: Any = made
    for step in steps:
        at = at[int(step) if step.isdigit() else step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return made


def read(consent: Json, person: Json | None = None) -> Grant:
    (found,) = grants(READER, [consent], lambda name: PERSON if person is None else person, today=TODAY)
    return found


def why(found: tuple[Grant, ...]) -> WhyNot:
    """What is wrong with the first of the grants."""
    return found[0].why_not


def beside(no: Json, records: dict[str, Json | None] | None = None, consent: Json = CONSENT) -> WhyNot:
    """What is wrong with Judy's Consent when `no` stands beside it, in an EHR that holds `records` and Judy."""
    known: dict[str, Json | None] = {"RelatedPerson/judy": PERSON, **(records or {})}
    return why(grants(READER, [consent, {**no, "id": "c2"}], lambda name: known.get(name, {}), today=TODAY))


def deny(*actors: Json, **more: Any) -> Json:
    """A Consent that forbids."""
    return {**CONSENT, "provision": {"type": "deny", **({"actor": list(actors)} if actors else {}), **more}}


def actor(reference: str = "", display: str = "", *, role: tuple[str, str] = (ROLE, "HPOWATT")) -> Json:
    """Whom a rule names, in a role (system and code)."""
    at = {"reference": reference} if reference else {}
    named = {"display": display} if display else {}
    return {"role": {"coding": [{"system": role[0], "code": role[1]}]}, "reference": {**at, **named}}


def person(*names: Json, **more: Any) -> Json:
    """A RelatedPerson of Alice with these names."""
    return {**PERSON, "name": list(names), **more}


def coded(system: str, *codes: str) -> list[Json]:
    return [{"coding": [{"system": system, "code": code}]} for code in codes]


def classes(*names: str) -> list[Json]:
    return [{"system": TYPES, "code": name} for name in names]


def test_a_plain_consent_names_judy_until_its_last_day() -> None:
    validate(CONSENT)
    validate(PERSON)
    assert read(CONSENT) == Grant(
        consent_id="c1",
        version="3",
        person="RelatedPerson/judy",
        name="Judy Hall",
        kind="carer",
        step="messages",
        last_day=date(2027, 3, 1),
        said_on="2026-03-01",
        why_not=WhyNot.NO,
    )


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error", "", None])
def test_one_that_is_not_active_is_none(status: str | None) -> None:
    assert grants(READER, [changed("status", status)], lambda name: PERSON, today=TODAY) == ()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("provision.type", "deny", WhyNot.NO_PERMIT),
        ("provision.type", ..., WhyNot.NO_PERMIT),
        ("provision.provision", [{"type": "deny"}], WhyNot.NARROWER),
        ("provision.purpose", [{"code": "TREAT"}], WhyNot.NARROWER),
        ("provision.securityLabel", [{"code": "R"}], WhyNot.NARROWER),
        ("provision.data", [{"meaning": "instance"}], WhyNot.NARROWER),
        ("provision.dataPeriod", {"start": "2026-01-01"}, WhyNot.NARROWER),
        ("provision.extension", [{"url": "urn:x"}], WhyNot.NARROWER),
        ("modifierExtension", [{"url": "urn:x"}], WhyNot.NARROWER),
        ("provision.action", [{"coding": [{"system": "urn:x", "code": "access"}]}], WhyNot.NARROWER),
        ("provision.class", [], WhyNot.NARROWER),
        ("provision.class", classes("Patient"), WhyNot.NARROWER),
        ("provision.class", [{"system": "urn:x", "code": "SupplyRequest"}], WhyNot.NARROWER),
        ("scope", {"text": "privacy"}, WhyNot.NOT_PRIVACY),
        ("verification", [{"verified": True}, {"verified": False}], WhyNot.UNVERIFIED),
        ("provision.period", {"start": "2026-11-23"}, WhyNot.NOT_BEGUN),
        ("provision.period", {"end": "2026-11-21"}, WhyNot.OVER),
        # It ends in the middle of today: yesterday was the last whole day.
        ("provision.period", {"end": "2026-11-22T12:00:00Z"}, WhyNot.OVER),
        ("provision.period", {"end": "2027-03"}, WhyNot.NO_DAY),
        ("provision.period", {"end": "soon"}, WhyNot.NO_DAY),
        ("provision.period", {"start": 5}, WhyNot.NO_DAY),
        ("provision.actor.0.role", {"text": "her daughter"}, WhyNot.ROLE),
        ("provision.actor.0.reference", {"reference": "Practitioner/x"}, WhyNot.NO_PERSON),
        ("provision.actor.0.reference", {"reference": "http://other.test/RelatedPerson/judy"}, WhyNot.NO_PERSON),
        ("provision.actor.0.reference", {"display": "Judy"}, WhyNot.NO_PERSON),
        ("provision.actor.0.reference", {"reference": "#nobody"}, WhyNot.NO_PERSON),
    ],
)
def test_what_is_not_wholly_understood_opens_nothing_and_says_why(path: str, value: Any, why: WhyNot) -> None:
    assert read(changed(path, value)).why_not is why


@pytest.mark.parametrize(
    "person",
    [
        {},
        {**PERSON, "patient": {"reference": "Patient/dave"}},
        {**PERSON, "active": False},
        {**PERSON, "period": {"end": "2026-01-01"}},
        {**PERSON, "name": []},
        {**PERSON, "resourceType": "Patient", "id": "alice"},
    ],
)
def test_a_person_who_is_not_hers_or_not_any_more_is_nobody(person: Json) -> None:
    assert read(CONSENT, person).why_not is WhyNot.NO_PERSON


def test_a_person_inside_the_consent_counts_too() -> None:
    inside = {**changed("provision.actor.0.reference", {"reference": "#r"}), "contained": [{**PERSON, "id": "r"}]}
    judy = read(inside, {})
    assert (judy.name, judy.why_not) == ("Judy Hall", WhyNot.NO)
    # Its id is good for this version only: another name under it is another person.
    inside["contained"][0]["name"] = [{"given": ["Mallory"], "family": "Hall"}]
    assert read(inside, {}).person != judy.person


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("9999-12-31", WhyNot.NO),
        ("9999-12-31T23:59:59Z", WhyNot.NO),
        ("0001-01-01T00:00:00Z", WhyNot.OVER),
        ("1000-01-01", WhyNot.OVER),
    ],
)
def test_years_that_people_write_for_never_and_for_always_are_no_trouble(end: str, why: WhyNot) -> None:
    found = read(changed("provision.period", {"end": end}))
    assert (found.last_day, found.why_not) == (None, why)


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("2027-03-01T00:00:00Z", date(2027, 2, 27)),
        ("2027-03-01T23:00:00-12:00", date(2027, 2, 28)),
        ("2027-03-01T10:00:00+14:00", date(2027, 2, 27)),
    ],
)
def test_an_end_within_a_day_ends_before_that_day_begins_anywhere(end: str, last: date) -> None:
    assert read(changed("provision.period", {"end": end})).last_day == last


@pytest.mark.parametrize("period", ["2027", [], {"_end": {"extension": []}}, {"end": "2027-03-01", "until": 1}])
def test_a_period_that_is_not_understood_is_not_taken_for_none(period: Any) -> None:
    assert read(changed("provision.period", period)).why_not is WhyNot.NARROWER


def test_a_no_beside_a_yes_is_a_no() -> None:
    no = changed("provision.type", "deny")
    found = grants(READER, [CONSENT, {**no, "id": "c2"}], lambda name: PERSON, today=TODAY)
    assert [one.why_not for one in found] == [WhyNot.DENIED, WhyNot.NO_PERMIT]
    over = {**no, "id": "c2", "provision": {**no["provision"], "period": {"end": "2026-01-01"}}}
    found = grants(READER, [CONSENT, over], lambda name: PERSON, today=TODAY)
    assert found[0].why_not is WhyNot.NO


ACTOR: Json = CONSENT["provision"]["actor"][0]
BY_NAME = {"role": ACTOR["role"], "reference": {"display": "HALL, Judy"}}
SOURCE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]}
ELSEWHERE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


@pytest.mark.parametrize(
    ("provision", "why"),
    [
        # Nobody named: it is about everybody.
        ({"type": "deny"}, WhyNot.DENIED),
        ({"type": "deny", "actor": "x"}, WhyNot.DENIED),
        ({"type": "deny", "actor": [{"reference": {"identifier": {"value": "7"}}}]}, WhyNot.DENIED),
        ({"type": "deny", "actor": [{"reference": {"reference": "Group/family"}}]}, WhyNot.DENIED),
        ({"type": "deny", "actor": [{"reference": {"reference": "Group/f", "display": "Her family"}}]}, WhyNot.DENIED),
        (
            {
                "type": "deny",
                "actor": [{"reference": {"reference": "http://other/RelatedPerson/1", "display": "Mother"}}],
            },
            WhyNot.DENIED,
        ),
        # A clinic that gives out nothing: whose data it is, said of nobody who would get them.
        ({"type": "deny", "actor": [{"role": SOURCE, "reference": {"reference": "Organization/x"}}]}, WhyNot.DENIED),
        # An exception inside another rule is a rule; it is about whom the outer one names, or it names somebody.
        ({"provision": [{"type": "deny", "actor": [ACTOR]}]}, WhyNot.DENIED),
        ({"type": "permit", "actor": [ACTOR], "provision": [{"type": "deny"}]}, WhyNot.DENIED),
        # The same person under another id of the record, or by name alone.
        ({"type": "deny", "actor": [{"reference": {"reference": "RelatedPerson/judy-2"}}]}, WhyNot.DENIED),
        ({"type": "deny", "actor": [BY_NAME]}, WhyNot.DENIED),
        # It may still be in force somewhere, or it does not say until when.
        ({"type": "deny", "actor": [ACTOR], "period": {"end": "2026-11-22T23:00:00Z"}}, WhyNot.DENIED),
        ({"type": "deny", "actor": [ACTOR], "period": {"start": "2026-11-23"}}, WhyNot.DENIED),
        ({"type": "deny", "actor": [ACTOR], "period": {"end": "0001-01-01"}}, WhyNot.DENIED),
        ({"type": "deny", "actor": [ACTOR], "period": {"end": "2026"}}, WhyNot.DENIED),
        # What is not about her, not now, or not about those who help.
        ({"type": "deny", "actor": [{"reference": {"reference": "Organization/x"}}]}, WhyNot.NO),
        ({"type": "deny", "actor": [{"reference": {"reference": "Location/x", "display": "Hall"}}]}, WhyNot.NO),
        ({"type": "deny", "actor": [{"reference": {"reference": "http://other/Organization/x"}}]}, WhyNot.NO),
        ({"type": "deny", "actor": [ACTOR], "period": {"start": "2026-12-24"}}, WhyNot.NO),
        ({"type": "deny", "purpose": [{"system": ELSEWHERE, "code": "HRESCH"}]}, WhyNot.NO),
        ({"type": "deny", "purpose": [{"system": ELSEWHERE, "code": "FAMRQT"}]}, WhyNot.DENIED),
    ],
)
def test_a_no_counts_wherever_it_stands_and_whoever_it_may_mean(provision: Json, why: WhyNot) -> None:
    found = grants(READER, [CONSENT, {**CONSENT, "id": "c2", "provision": provision}], lambda name: PERSON, today=TODAY)
    assert found[0].why_not is why


HL7 = "http://terminology.hl7.org/CodeSystem"
PARTICIPATION = f"{HL7}/v3-ParticipationType"
RELATED = "RelatedPerson/x"
BOB_HALL = person({"given": ["Bob"], "family": "Hall"})


@pytest.mark.parametrize(
    ("role", "reference"),
    [
        ((PARTICIPATION, "CST"), "Organization/clinic"),
        ((PARTICIPATION, "AUT"), "Practitioner/doctor"),
        ((ROLE, "GRANTOR"), "Patient/alice"),
        ((ROLE, "CONSENTER"), "RelatedPerson/x"),
        ((f"{HL7}/v3-ParticipationFunction", "CONSENTER"), "RelatedPerson/x"),
        # The patient herself, whatever she is called there.
        ((PARTICIPATION, "PRCP"), "Patient/alice"),
    ],
)
def test_a_no_that_names_only_who_agrees_or_whose_data_it_is_is_about_everybody(
    role: tuple[str, str], reference: str
) -> None:
    named = actor(reference, role=role)
    assert beside(deny(named), {"RelatedPerson/x": BOB_HALL}) is WhyNot.DENIED
    # The same where an inner rule has its actors from the outer one.
    outer = {**CONSENT, "provision": {"type": "permit", "actor": [named], "provision": [{"type": "deny"}]}}
    assert beside(outer, {"RelatedPerson/x": BOB_HALL}) is WhyNot.DENIED
    # Beside somebody who would get them, the no is about that one.
    both = deny(named, actor("RelatedPerson/bob"))
    assert beside(both, {"RelatedPerson/x": PERSON, "RelatedPerson/bob": BOB_HALL}) is WhyNot.NO


def ruled(code: str, provision: Json) -> Json:
    return {**CONSENT, "policyRule": coded(f"{HL7}/v3-ActCode", code)[0], "provision": provision}


@pytest.mark.parametrize(
    ("no", "why"),
    [
        # R4 has no type on the outermost rule: it is an exception to the base, and its examples read both ways.
        (ruled("OPTOUT", {"actor": [actor("RelatedPerson/judy")]}), WhyNot.DENIED),
        (ruled("OPTIN", {"actor": [actor("RelatedPerson/judy")]}), WhyNot.DENIED),
        (ruled("OPTOUTE", {"actor": [actor("CareTeam/family")]}), WhyNot.DENIED),
        (ruled("OPTOUT", {"actor": [actor("Organization/x", role=(PARTICIPATION, "CST"))]}), WhyNot.DENIED),
        # An inner rule needs a type.
        ({**CONSENT, "provision": {"type": "permit", "provision": [{"actor": [actor(RELATED)]}]}}, WhyNot.DENIED),
        (ruled("OPTIN", {"provision": [{"actor": [actor("RelatedPerson/judy")]}]}), WhyNot.DENIED),
        # One rule where a list of them belongs, or a list where one does.
        (ruled("OPTIN", {"provision": {"type": "deny", "actor": [actor("RelatedPerson/judy")]}}), WhyNot.DENIED),
        ({**CONSENT, "provision": [{"type": "deny"}]}, WhyNot.DENIED),
        # A base alone, an opening to a care team or about a source, a named clinic: nothing about those who help.
        (ruled("OPTOUT", {}), WhyNot.NO),
        (ruled("OPTIN", {"period": {"start": "2026-01-01"}}), WhyNot.NO),
        (ruled("OPTIN", {"actor": [actor("CareTeam/ward")]}), WhyNot.NO),
        (ruled("OPTIN", {"actor": [actor("Organization/x", role=(PARTICIPATION, "CST"))]}), WhyNot.NO),
        (ruled("OPTOUT", {"actor": [actor("Organization/x")]}), WhyNot.NO),
        (
            ruled(
                "OPTOUT",
                {
                    "actor": [actor("Organization/x", role=(PARTICIPATION, "CST"))],
                    "purpose": [{"system": ELSEWHERE, "code": "ETREAT"}],
                    "provision": [{"type": "deny", "actor": [actor("Organization/x", role=(PARTICIPATION, "CST"))]}],
                },
            ),
            WhyNot.NO,
        ),
    ],
)
def test_a_no_in_the_form_of_r4_is_one(no: Json, why: WhyNot) -> None:
    assert beside(no, {RELATED: PERSON}) is why


def test_the_form_of_r4_names_whom_it_lets_in_inside_and_nowhere_else() -> None:
    permit = CONSENT["provision"]
    frame = {"period": {"start": "2026-01-01", "end": "2027-01-31"}, "provision": [permit]}
    for base in ("OPTOUT", "OPTIN"):
        judy = read(ruled(base, frame))
        # Both periods bind: the outer one ends first.
        assert (judy.why_not, judy.step, judy.last_day) == (WhyNot.NO, "messages", date(2027, 1, 31))
    for wrong in (
        {**frame, "actor": [actor("Organization/x")]},
        {**frame, "provision": [permit, {"type": "deny", "class": classes("Condition")}]},
        {**frame, "provision": [{**permit, "securityLabel": [{"code": "R"}]}]},
        {**frame, "provision": [{**permit, "provision": [{"type": "permit"}]}]},
        # Twice in one Consent, in two rules.
        {**frame, "provision": [permit, {**permit, "class": classes("SupplyRequest")}]},
        {**frame, "purpose": [{"system": ELSEWHERE, "code": "FAMRQT"}]},
    ):
        assert why(grants(READER, [ruled("OPTOUT", wrong)], lambda name: PERSON, today=TODAY)) is WhyNot.NARROWER
    over = {**frame, "period": {"end": "2026-01-31"}}
    assert read(ruled("OPTOUT", over)).why_not is WhyNot.OVER


def test_a_permit_on_top_beside_a_base_that_refuses_says_both_and_opens_nothing() -> None:
    for code in ("OPTOUT", "OPTOUTE"):
        assert read(ruled(code, CONSENT["provision"])).why_not is WhyNot.NO_PERMIT
    # And the outermost rule without a type lets nobody in on either base.
    for code in ("OPTOUT", "OPTIN"):
        assert read(ruled(code, {"actor": [ACTOR]})).why_not is WhyNot.NO_PERMIT


@pytest.mark.parametrize(
    ("named", "found", "why"),
    [
        # There is none, or it has no name: it may have been anybody's, whatever stands beside it.
        (actor(RELATED), {}, WhyNot.DENIED),
        (actor(RELATED, "Mother"), {}, WhyNot.DENIED),
        (actor(RELATED, "Bob Hall"), person(), WhyNot.DENIED),
        (actor("", "All relatives"), {}, WhyNot.DENIED),
        # Somebody of the family who is a patient there too, or works there.
        (actor("Patient/x"), {**PERSON, "resourceType": "Patient"}, WhyNot.DENIED),
        (actor("Patient/x"), {}, WhyNot.DENIED),
        (actor("Practitioner/x"), {**PERSON, "resourceType": "Practitioner"}, WhyNot.DENIED),
        (actor("PractitionerRole/x", "Hall, Judy"), {}, WhyNot.DENIED),
        # Known, and somebody else; or there for their work.
        (actor(RELATED), BOB_HALL, WhyNot.NO),
        (actor("Patient/x"), {**BOB_HALL, "resourceType": "Patient"}, WhyNot.NO),
        (actor("Practitioner/x", "Fictive Nurse"), {}, WhyNot.NO),
        (actor("Practitioner/x"), None, WhyNot.NO),
        # Initials, a shorter form, names of before.
        (actor(RELATED), person({"given": ["Judy", "M."], "family": "Hall"}), WhyNot.DENIED),
        (actor(RELATED), person({"given": ["J."], "family": "Hall"}), WhyNot.DENIED),
        (actor(RELATED), person({"text": "Judy Smith"}, {"use": "old", "text": "Judy Hall"}), WhyNot.DENIED),
        (actor(RELATED), person({"given": ["Judy", "Ann"], "family": "Hall"}), WhyNot.NO),
        # A family's name of before is all of the family's.
        (
            actor(RELATED),
            person({"given": ["Bob"], "family": "Ward"}, {"use": "maiden", "family": "Hall"}),
            WhyNot.NO,
        ),
    ],
)
def test_a_no_meets_whom_it_may_mean(named: Json, found: Json | None, why: WhyNot) -> None:
    marie = person({"given": ["Judy", "Marie"], "family": "Hall"}, {"use": "maiden", "family": "Smith"})
    records = {"RelatedPerson/judy": marie, named["reference"].get("reference", ""): found}
    assert beside(deny(named), records) is why


@pytest.mark.parametrize("scope", ["adr", "treatment", "research"])
def test_a_no_about_something_else_is_about_those_whom_it_names(scope: str) -> None:
    other = {"scope": {"coding": [{**CONSENT["scope"]["coding"][0], "code": scope}]}}
    for of in (other, {"category": coded(f"{HL7}/consentcategorycodes", "research")}):
        assert beside({**deny(actor("RelatedPerson/judy")), **of}) is WhyNot.DENIED
        assert beside({**deny(actor(RELATED)), **of}, {RELATED: PERSON}) is WhyNot.DENIED
        assert beside({**deny(), **of}) is WhyNot.NO
        assert beside({**deny(actor("CareTeam/surgery")), **of}) is WhyNot.NO
    assert beside({**deny(), "category": coded(f"{HL7}/consentcategorycodes", "research", "npp")}) is WhyNot.DENIED
    assert beside({**deny(), **other, "modifierExtension": [{"url": "urn:x"}]}) is WhyNot.DENIED


def purposes(*codes: str) -> list[Json]:
    return [{"system": ELSEWHERE, "code": code} for code in codes]


ACTION = f"{HL7}/consentaction"
REPORT = {"meaning": "instance", "reference": {"reference": "DiagnosticReport/1"}}


@pytest.mark.parametrize(
    ("provision", "why"),
    [
        # An exception reaches no further than what it is an exception to.
        (
            {
                "type": "permit",
                "purpose": purposes("HRESCH"),
                "provision": [{"type": "deny", "class": classes("Patient")}],
            },
            WhyNot.NO,
        ),
        (
            {"type": "permit", "purpose": purposes("PATRQT"), "provision": [{"type": "deny"}]},
            WhyNot.DENIED,
        ),
        ({"type": "deny", "purpose": purposes("COVAUTH", "CLMATTCH", "ELIGDTRM")}, WhyNot.NO),
        ({"type": "deny", "purpose": purposes("COVAUTH", "FAMRQT")}, WhyNot.DENIED),
        # Who treats is not who helps, unless somebody is named.
        ({"type": "deny", "purpose": purposes("TREAT", "ETREAT", "HRESCH")}, WhyNot.NO),
        ({"type": "deny", "purpose": purposes("TREAT"), "actor": [ACTOR]}, WhyNot.DENIED),
        ({"type": "deny", "purpose": purposes("TREAT"), "actor": [actor("Group/family")]}, WhyNot.DENIED),
        (
            {"type": "deny", "purpose": purposes("TREAT"), "provision": [{"type": "deny", "actor": [ACTOR]}]},
            WhyNot.DENIED,
        ),
        # What gives nothing out, or only what is never shown here.
        ({"type": "deny", "action": coded(ACTION, "collect")}, WhyNot.NO),
        ({"type": "deny", "action": coded(ACTION, "correct", "collect"), "actor": [ACTOR]}, WhyNot.NO),
        ({"type": "deny", "action": coded(ACTION, "collect", "access")}, WhyNot.DENIED),
        ({"type": "deny", "action": coded(ACTION, "use")}, WhyNot.DENIED),
        ({"type": "deny", "action": [{"text": "collect"}]}, WhyNot.DENIED),
        ({"type": "deny", "action": []}, WhyNot.DENIED),
        ({"type": "deny", "class": classes("DiagnosticReport")}, WhyNot.NO),
        ({"type": "deny", "class": classes("DiagnosticReport"), "actor": [ACTOR]}, WhyNot.NO),
        ({"type": "deny", "class": classes("DiagnosticReport", "Condition")}, WhyNot.DENIED),
        ({"type": "deny", "class": classes("Nonsense")}, WhyNot.DENIED),
        ({"type": "deny", "data": [REPORT]}, WhyNot.NO),
        ({"type": "deny", "data": [{**REPORT, "meaning": "related"}]}, WhyNot.DENIED),
        ({"type": "deny", "data": [REPORT, {"meaning": "instance"}]}, WhyNot.DENIED),
        ({"type": "deny", "securityLabel": [{"code": "R"}]}, WhyNot.DENIED),
        (
            {"type": "deny", "class": classes("DiagnosticReport"), "modifierExtension": [{"url": "urn:x"}]},
            WhyNot.DENIED,
        ),
    ],
)
def test_a_no_that_is_surely_about_nothing_shown_here_shuts_nobody_out(provision: Json, why: WhyNot) -> None:
    assert beside({**CONSENT, "provision": provision}) is why


def test_what_a_no_may_leave_out_is_nothing_that_the_portal_reads_or_a_step_opens() -> None:
    table = json.loads((resources.directory("fhir") / "consent.json").read_text("utf-8"))
    shown = {kind for _, kind, _ in searches("alice")}.union(*table["steps"].values(), {"Medication", "Patient"})
    assert not shown.intersection(table["other_classes"][TYPES])
    assert not set(table["other_purposes"][ELSEWHERE]).intersection(
        table["care_purposes"][ELSEWHERE], {"PATRQT", "FAMRQT", "PWATRNY", "SUPNWK"}
    )


@pytest.mark.parametrize(
    ("role", "relationship", "kind"),
    [
        ((PARTICIPATION, "PRCP"), "MTH", "parent"),
        ((PARTICIPATION, "PRCP"), "FRND", "carer"),
        ((ROLE, "GRNDCHILD"), "GRNDDAU", "carer"),
        ((ROLE, "DAUINLAW"), "DAUINLAW", "carer"),
        ((ROLE, "SONINLAW"), "SONINLAW", "carer"),
        ((ROLE, "DAUFOST"), "DAUFOST", "child"),
    ],
)
def test_a_recipient_and_the_wider_family_are_known(role: tuple[str, str], relationship: str, kind: str) -> None:
    related = {**PERSON, "relationship": coded(ROLE, relationship)}
    found = read(changed("provision.actor", [actor("RelatedPerson/judy", role=role)]), related)
    assert (found.kind, found.why_not) == (kind, WhyNot.NO)


def test_one_person_who_may_not_be_read_silences_nobody_else() -> None:
    bob = {**CONSENT, "id": "c3", "provision": {**CONSENT["provision"], "actor": [actor("RelatedPerson/bob")]}}
    records: dict[str, Json | None] = {"RelatedPerson/judy": PERSON, "RelatedPerson/bob": None}

    def found(*consents: Json) -> list[WhyNot]:
        return [one.why_not for one in grants(READER, consents, lambda name: records.get(name, {}), today=TODAY)]

    assert found(CONSENT, bob) == [WhyNot.NO, WhyNot.UNSHOWN]
    # A no about somebody who is not shown is that one's, and may be anybody's: nobody is let in anew.
    no = {**deny(actor("RelatedPerson/bob", "Bob")), "id": "c4"}
    assert found(CONSENT, bob, no) == [WhyNot.UNSURE, WhyNot.DENIED, WhyNot.NO_PERMIT]
    # Known by the name beside it, it is hers.
    assert beside(deny(actor("RelatedPerson/bob", "Judy Hall")), {"RelatedPerson/bob": None}) is WhyNot.DENIED
    # About something else, or over, it is not asked for.
    assert (
        beside(deny(actor("RelatedPerson/bob"), period={"end": "2026-01-01"}), {"RelatedPerson/bob": None}) is WhyNot.NO
    )


def test_what_may_not_be_hers_opens_nothing_and_its_no_counts() -> None:
    def found(doubtful: Json) -> list[WhyNot]:
        some = grants(READER, [CONSENT], lambda name: PERSON, today=TODAY, doubtful=[doubtful])
        return [one.why_not for one in some]

    assert found({**CONSENT, "id": "c2"}) == [WhyNot.NO]
    assert found(deny(ACTOR)) == [WhyNot.DENIED]
    assert found({**deny(ACTOR), "status": "inactive"}) == [WhyNot.NO]


@pytest.fixture
def clinic(ehr: EhrClient, answer: Callable[..., None]) -> Callable[..., list[WhyNot]]:
    """What is wrong with Alice's grants, asked of an EHR that gives these Consents and tells of Judy and Bob."""
    answer("/metadata", capabilities(types=("Consent", "RelatedPerson")))
    answer("/RelatedPerson/judy", PERSON)
    answer("/RelatedPerson/secret", fhir({}, 403))
    answer("/RelatedPerson/odd", {"resourceType": "Patient", "id": "odd"})

    def asked(*consents: Json) -> list[WhyNot]:
        answer("/Consent", bundle(*consents))
        found = ContextReader(ehr).consents("alice", today=TODAY)
        assert found is not None
        return [one.why_not for one in found]

    return asked


@pytest.mark.parametrize(
    "patient",
    [
        {"reference": "http://alias.test/fhir/Patient/alice"},
        {"identifier": {"value": "A-7"}},
        {"reference": "Patient/alice-before-the-merge"},
        {},
    ],
)
def test_a_consent_whose_patient_is_not_surely_alice_is_not_dropped_in_silence(
    clinic: Callable[..., list[WhyNot]], patient: Json
) -> None:
    assert clinic(CONSENT, {**deny(ACTOR), "id": "c2", "patient": patient}) == [WhyNot.DENIED]


@pytest.mark.parametrize("name", ["c1", "no id of FHIR", 5])
def test_a_no_without_an_id_or_with_that_of_a_yes_is_one(clinic: Callable[..., list[WhyNot]], name: Any) -> None:
    assert clinic(CONSENT, {**deny(ACTOR), "id": name}) == [WhyNot.DENIED]


def test_what_is_not_hers_lets_nobody_in(clinic: Callable[..., list[WhyNot]]) -> None:
    assert clinic({**CONSENT, "patient": {"reference": "Patient/dave"}}) == []


@pytest.mark.parametrize("person_id", ["secret", "odd"])
def test_one_record_that_the_ehr_refuses_is_no_silence_about_the_others(
    clinic: Callable[..., list[WhyNot]], person_id: str
) -> None:
    named = changed("provision.actor.0.reference", {"reference": f"RelatedPerson/{person_id}"})
    assert clinic(CONSENT, {**named, "id": "c2"}) == [WhyNot.NO, WhyNot.UNSHOWN]


def test_an_ehr_that_is_down_while_it_tells_who_somebody_is_has_said_nothing(
    clinic: Callable[..., list[WhyNot]], answer: Callable[..., None]
) -> None:
    answer("/RelatedPerson/late", fhir({}, 503))
    with pytest.raises(EhrUnavailable):
        clinic(CONSENT, {**deny(actor("RelatedPerson/late")), "id": "c2"})


def test_consents_that_name_a_crowd_are_no_answer(
    clinic: Callable[..., list[WhyNot]], answer: Callable[..., None]
) -> None:
    names = [[f"RelatedPerson/p{number}-{one}" for one in range(20)] for number in range(6)]
    for name in (one for some in names for one in some):
        answer(f"/{name}", fhir({}, 404))
    crowd = [{**deny(*map(actor, some)), "id": f"n{number}"} for number, some in enumerate(names)]
    with pytest.raises(EhrProtocolError):
        clinic(CONSENT, *crowd)


CODES = st.sampled_from(["OPTIN", "OPTOUT", "EMRGONLY"])
ACTORS = st.lists(
    st.sampled_from(
        [
            ACTOR,
            BY_NAME,
            actor("RelatedPerson/bob"),
            actor("RelatedPerson/gone"),
            actor("RelatedPerson/secret"),
            actor("Organization/x", role=(PARTICIPATION, "CST")),
            actor("Patient/alice"),
            actor("Group/family"),
            {},
        ]
    ),
    max_size=3,
)
RULES = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["permit", "deny", "both"]),
            "actor": ACTORS,
            "purpose": st.lists(st.sampled_from(purposes("TREAT", "HRESCH", "FAMRQT")), max_size=2),
            "action": st.lists(st.sampled_from(coded(ACTION, "collect", "access")), max_size=2),
            "class": st.lists(st.sampled_from(classes("SupplyRequest", "DiagnosticReport")), max_size=2),
            "period": st.sampled_from([{"end": "2026-01-01"}, {"start": "2026-01-01"}, {"end": "2027-01-01"}, "x"]),
        },
    ),
    lambda inner: st.tuples(inner, st.lists(inner, max_size=2)).map(lambda two: {**two[0], "provision": two[1]}),
    max_leaves=4,
)
CONSENTS = st.lists(st.builds(ruled, CODES, RULES), max_size=3)
WORLD: dict[str, Json | None] = {
    "RelatedPerson/judy": PERSON,
    "RelatedPerson/bob": {**BOB_HALL, "id": "bob"},
    "RelatedPerson/secret": None,
}


def opened(consents: list[Json], doubtful: list[Json]) -> set[tuple[str, str, str, date | None]]:
    numbered = [{**one, "id": f"c{number}"} for number, one in enumerate(consents)]
    found = grants(READER, numbered, lambda name: WORLD.get(name, {}), today=TODAY, doubtful=doubtful)
    return {(one.consent_id, one.person, one.step, one.last_day) for one in found if one.why_not is WhyNot.NO}


@settings(max_examples=60, deadline=None)
@given(CONSENTS, st.builds(ruled, CODES, RULES))
def test_one_more_consent_opens_nothing_of_the_others_and_doubt_opens_nothing(some: list[Json], more: Json) -> None:
    before = opened([CONSENT, *some], [])
    theirs = {one for one in opened([CONSENT, *some, more], []) if one[0] != f"c{len(some) + 1}"}
    assert theirs <= before
    # As a no it closes the same whether it is surely hers or not.
    assert opened([CONSENT, *some], [more]) == theirs


@settings(max_examples=60, deadline=None)
@given(CONSENTS, ACTORS)
def test_a_rule_that_forbids_leaves_no_more_open_and_no_one_whom_it_names(some: list[Json], named: list[Json]) -> None:
    no = deny(*named)
    before, after = opened([CONSENT, *some], []), opened([CONSENT, *some, no], [])
    assert after <= before
    assert named or not after
    assert ACTOR not in named or not any(one[1] == "RelatedPerson/judy" for one in after)


def test_a_no_about_research_is_none_about_those_who_help() -> None:
    research = {"coding": [{**CONSENT["scope"]["coding"][0], "code": "research"}]}
    no = {**CONSENT, "id": "c2", "scope": research, "provision": {"type": "deny"}}
    found = grants(READER, [CONSENT, no], lambda name: PERSON, today=TODAY)
    assert found[0].why_not is WhyNot.NO


def test_who_agrees_for_a_child_is_not_thereby_let_in() -> None:
    mother = {**PERSON, "relationship": [{"coding": [{"system": ROLE, "code": "MTH"}]}]}
    for code in ("GRANTOR", "CONSENTER", "DELEGATOR"):
        role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleClass", "code": code}]}
        assert read(changed("provision.actor.0.role", role), mother).why_not is WhyNot.ROLE


def test_somebody_who_stands_there_twice_is_read_at_the_strictest() -> None:
    mother = {**ACTOR, "role": {"coding": [{"system": ROLE, "code": "MTH"}]}}
    both = grants(READER, [changed("provision.actor", [ACTOR, mother])], lambda name: PERSON, today=TODAY)
    assert [(one.kind, one.why_not) for one in both] == [("parent", WhyNot.NO)] * 2
    unknown = {**ACTOR, "role": {"text": "agrees"}}
    crowd = [*(actor(f"RelatedPerson/p{number}") for number in range(25)), unknown]
    many = grants(READER, [changed("provision.actor", [ACTOR, *crowd])], lambda name: PERSON, today=TODAY)
    assert (len(many), many[0].why_not) == (20, WhyNot.ROLE)
    both = grants(READER, [changed("provision.actor", [ACTOR, unknown])], lambda name: PERSON, today=TODAY)
    assert [one.why_not for one in both] == [WhyNot.ROLE] * 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("provision.action", [5]),
        ("provision.action", "access"),
        (
            "policyRule",
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "EMRGONLY"}]},
        ),
        (
            "provision.actor",
            [
                ACTOR,
                {
                    "role": {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}
                        ]
                    },
                    "reference": {"reference": "Organization/clinic"},
                },
            ],
        ),
    ],
)
def test_a_rule_for_emergencies_of_one_source_or_with_odd_actions_is_narrower(path: str, value: Any) -> None:
    found = grants(READER, [changed(path, value)], lambda name: PERSON, today=TODAY)
    assert found[0].why_not is WhyNot.NARROWER


def test_what_changes_the_meaning_of_an_actor_or_a_person_closes() -> None:
    meant = [{"url": "http://ehr.test/not", "valueBoolean": True}]
    actor = {**CONSENT["provision"]["actor"][0], "modifierExtension": meant}
    assert read(changed("provision.actor", [actor])).why_not is WhyNot.NARROWER
    assert read(CONSENT, {**PERSON, "modifierExtension": meant}).why_not is WhyNot.NO_PERSON


@pytest.mark.parametrize(
    ("names", "step"),
    [
        (("SupplyRequest",), "orders"),
        (("SupplyRequest", "MedicationRequest"), "refills"),
        (("MedicationRequest",), ""),
        (
            (
                "SupplyRequest",
                "MedicationRequest",
                "AllergyIntolerance",
                "Condition",
                "Observation",
                "Coverage",
                "Communication",
            ),
            "messages",
        ),
    ],
)
def test_the_classes_say_how_far_it_goes(names: tuple[str, ...], step: str) -> None:
    found = read(changed("provision.class", classes(*names)))
    assert (found.step, found.why_not) == (step, WhyNot.NO if step else WhyNot.NARROWER)


def test_who_is_called_a_parent_anywhere_is_one_so_that_it_ends_by_age() -> None:
    mother = {**PERSON, "relationship": [{"coding": [{"system": ROLE, "code": "MTH"}]}]}
    assert read(CONSENT, mother).kind == "parent"


def test_every_way_of_acting_is_one_the_portal_knows() -> None:
    table = json.loads((resources.directory("fhir") / "consent.json").read_text("utf-8"))
    kinds = {kind for codes in table["roles"].values() for kind in codes.values()}
    assert kinds == {"parent", "guardian", "child", "carer"}
    assert list(table["steps"]) == ["orders", "refills", "messages"]


def test_each_reason_has_its_words() -> None:
    for language in ("en", "es"):
        assert all(texts.get(f"consents.why.{why}", language) for why in WhyNot if why)
