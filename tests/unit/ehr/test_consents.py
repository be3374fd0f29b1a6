"""Whom Alice's Consents name: read narrowly, and whatever is not understood opens nothing."""

import json
from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from portal.core import resources
from portal.ehr.consents import Grant, WhyNot, grants
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
        ({"type": "deny", "actor": [{"reference": {"reference": "http://other/Organization/x"}}]}, WhyNot.NO),
        ({"type": "deny", "actor": [ACTOR], "period": {"start": "2026-12-24"}}, WhyNot.NO),
        ({"type": "deny", "purpose": [{"system": ELSEWHERE, "code": "HRESCH"}]}, WhyNot.NO),
        ({"type": "deny", "purpose": [{"system": ELSEWHERE, "code": "FAMRQT"}]}, WhyNot.DENIED),
    ],
)
def test_a_no_counts_wherever_it_stands_and_whoever_it_may_mean(provision: Json, why: WhyNot) -> None:
    found = grants(READER, [CONSENT, {**CONSENT, "id": "c2", "provision": provision}], lambda name: PERSON, today=TODAY)
    assert found[0].why_not is why


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
