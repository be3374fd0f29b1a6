"""Who may what, as stories about Alice's thread and data; and the whole table for everyone, so that no line is lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.accounts import policy
from portal.accounts.actor import ActingFor, Actor
from portal.accounts.roles import Kind, Role, Scope, scopes_reaching
from portal.audit import Agent
from portal.core.errors import Forbidden, NotFound, StepUpNeeded, Unprocessable

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def person(role: Role, pharmacy_id: str | None = None, *acting: ActingFor) -> Actor:
    return Actor(
        account_id=f"{role}-account",
        role=role,
        pharmacy_id=pharmacy_id,
        acting=acting,
        agent=Agent(account_id=f"{role}-account", role=role),
        auth_time=NOW,
        device_id=None,
        language="en",
    )


ALICE = person(Role.PATIENT, None, ActingFor("alice", Kind.SELF, Scope.ALL))
DAVE = person(Role.PATIENT, None, ActingFor("dave", Kind.SELF, Scope.ALL))
BOB = person(Role.PHARMACIST, "riverside")
CAROL = person(Role.PHARMACIST, "harbor")
FRANK = person(Role.TECHNICIAN, "riverside")
GRACE = person(Role.SUPERVISOR, "riverside")
HEIDI = person(Role.PRIVACY, "riverside")
IVAN = person(Role.OPERATOR)
EVERYONE = {
    "alice": ALICE,
    "dave": DAVE,
    "bob": BOB,
    "carol": CAROL,
    "frank": FRANK,
    "grace": GRACE,
    "heidi": HEIDI,
    "ivan": IVAN,
}


def answers(rule, **facts):
    """What each person gets: `yes`, or the name of the refusal."""
    found = {}
    for name, actor in EVERYONE.items():
        try:
            result = rule(actor, **facts)
            found[name] = str(result) if result is not None else "yes"
        except (NotFound, Forbidden, Unprocessable) as refusal:
            found[name] = type(refusal).__name__
    return found


NOT_FOUND = dict.fromkeys(EVERYONE, "NotFound")


def test_alices_context_is_seen_by_her_and_by_clinical_staff_of_her_pharmacy() -> None:
    seen = answers(policy.allow_context, patient_id="alice", pharmacy_id="riverside", in_care=True)
    assert seen == NOT_FOUND | {
        "alice": "whole",
        "bob": "whole",
        "grace": "whole",
        "frank": "desk",
        "heidi": "Forbidden",
    }


def test_no_pharmacy_sees_a_patient_who_is_not_in_its_care() -> None:
    seen = answers(policy.allow_context, patient_id="alice", pharmacy_id="riverside", in_care=False)
    assert seen == NOT_FOUND | {"alice": "whole"}


def test_carol_cannot_name_another_pharmacy_to_see_its_patient() -> None:
    with pytest.raises(NotFound):
        policy.allow_context(CAROL, patient_id="alice", pharmacy_id="riverside", in_care=True)


def test_a_thread_is_started_by_the_patient_or_by_a_member_of_the_topics_team() -> None:
    facts = {"patient_id": "alice", "pharmacy_id": "riverside", "patient_active": True}
    assert answers(policy.allow_start_thread, in_care=True, in_team=True, **facts) == NOT_FOUND | dict.fromkeys(
        ("alice", "bob", "frank", "grace", "heidi"), "yes"
    )
    assert answers(policy.allow_start_thread, in_care=True, in_team=False, **facts) == NOT_FOUND | {
        "alice": "yes"
    } | dict.fromkeys(("bob", "frank", "grace", "heidi"), "Forbidden")
    assert answers(policy.allow_start_thread, in_care=False, in_team=True, **facts) == NOT_FOUND | {"alice": "yes"}


def test_nothing_is_sent_to_a_patient_who_has_died() -> None:
    facts = {"patient_id": "alice", "pharmacy_id": "riverside", "in_care": True, "patient_active": False}
    for actor in (ALICE, BOB):
        with pytest.raises(Unprocessable):
            policy.allow_start_thread(actor, in_team=True, **facts)
        with pytest.raises(Unprocessable):
            policy.allow_post(actor, is_member=True, in_team=True, **facts)


def test_a_thread_is_read_with_a_key_and_never_with_a_role_alone() -> None:
    facts = {"patient_id": "alice", "pharmacy_id": "riverside", "in_care": True}
    assert answers(policy.allow_read_thread, is_member=False, in_team=False, **facts) == NOT_FOUND
    by_team = answers(policy.allow_read_thread, is_member=False, in_team=True, **facts)
    assert by_team == NOT_FOUND | dict.fromkeys(("bob", "frank", "grace", "heidi"), "yes")
    alone = answers(policy.allow_read_thread, is_member=True, in_team=False, **facts)
    assert alone["alice"] == "yes"
    assert alone["dave"] == alone["carol"] == alone["ivan"] == "NotFound"


def test_staff_lose_the_thread_when_the_care_ends_and_alice_keeps_it() -> None:
    facts = {"patient_id": "alice", "pharmacy_id": "riverside", "in_care": False, "is_member": True, "in_team": True}
    assert answers(policy.allow_read_thread, **facts) == NOT_FOUND | {"alice": "yes"}


def test_posting_asks_the_same_as_reading() -> None:
    facts = {"patient_id": "alice", "pharmacy_id": "riverside", "in_care": True, "is_member": False, "in_team": True}
    assert answers(policy.allow_post, patient_active=True, **facts) == answers(policy.allow_read_thread, **facts)


ACTS = {
    "orders": lambda carer: policy.allow_context(carer, patient_id="rosa", pharmacy_id="riverside", in_care=True),
    "messages": lambda carer: policy.allow_read_thread(
        carer, patient_id="rosa", pharmacy_id="riverside", in_care=True, is_member=True, in_team=False
    ),
    "write": lambda carer: policy.allow_start_thread(
        carer, patient_id="rosa", pharmacy_id="riverside", in_care=True, in_team=False, patient_active=True
    ),
    "who looked": lambda carer: policy.allow_patient_audit(carer, patient_id="rosa"),
    "start care": lambda carer: policy.allow_start_care(carer, patient_id="rosa"),
    "end care": lambda carer: policy.allow_end_care(carer, patient_id="rosa", pharmacy_id="riverside", in_care=True),
}


def carer(scope: Scope, kind: Kind = Kind.CARER) -> Actor:
    return person(Role.PATIENT, None, ActingFor("rosa", kind, scope))


def may(scope: Scope) -> set[str]:
    """What a carer of this scope may do, as words; what of the context is seen counts as one word each."""
    found = {f"sees {policy.allow_context(carer(scope), patient_id='rosa', pharmacy_id='riverside', in_care=True)}"}
    for name, act in ACTS.items():
        try:
            act(carer(scope))
            found.add(name)
        except NotFound:
            pass
    return found


def test_each_scope_of_a_carer_opens_what_it_says_and_nothing_else() -> None:
    assert {scope.value: may(scope) for scope in Scope} == {
        "orders": {"sees orders", "orders"},
        "refills": {"sees refills", "orders"},
        "messages": {"sees whole", "orders", "messages", "write"},
        "all": {"sees whole", *ACTS},
    }


@given(st.sampled_from(list(Scope)), st.sampled_from(list(Scope)), st.sampled_from(list(Scope)))
def test_scopes_are_steps_and_a_wider_one_never_opens_less(one: Scope, other: Scope, third: Scope) -> None:
    assert one.reaches(one)
    assert one.reaches(other) or other.reaches(one)
    assert (one.reaches(other) and other.reaches(one)) == (one is other)
    if one.reaches(other) and other.reaches(third):
        assert one.reaches(third)
    if one.reaches(other):
        acts = {word for word in may(other) if not word.startswith("sees")}
        assert acts <= may(one)
    assert (one.value in scopes_reaching(other)) == one.reaches(other)


def test_only_the_patient_in_person_says_who_acts_for_her() -> None:
    for kind in Kind:
        asked = carer(Scope.ALL, kind)
        if kind is Kind.SELF:
            policy.allow_carers(asked, patient_id="rosa")
        else:
            with pytest.raises(NotFound):
                policy.allow_carers(asked, patient_id="rosa")
    assert answers(policy.allow_carers, patient_id="alice") == NOT_FOUND | {"alice": "yes"}


def test_a_relation_of_staff_gives_no_patients_rights() -> None:
    # Bob may have been bound to a patient before he was hired; at work he is staff only.
    bob = replace(BOB, acting=(ActingFor("alice", Kind.SELF, Scope.ALL),), pharmacy_id="harbor")
    with pytest.raises(NotFound):
        policy.allow_context(bob, patient_id="alice", pharmacy_id="riverside", in_care=True)


def test_keys_are_shown_only_to_those_with_something_in_common() -> None:
    nothing = {"shares_thread": False, "shares_pharmacy": False, "shares_care": False}
    assert answers(policy.allow_directory, owner="x", **nothing) == NOT_FOUND
    for fact in nothing:
        seen = answers(policy.allow_directory, owner="x", **nothing | {fact: True})
        assert seen == dict.fromkeys(EVERYONE, "yes") | {"ivan": "NotFound"}
    policy.allow_directory(IVAN, owner=IVAN.account_id, **nothing)


def test_teams_are_seen_and_changed_by_the_pharmacys_own_staff() -> None:
    staff = dict.fromkeys(("bob", "frank", "grace", "heidi"), "yes")
    assert answers(policy.allow_see_teams, pharmacy_id="riverside") == NOT_FOUND | staff
    assert answers(policy.allow_team_act, pharmacy_id="riverside", role_fits=True) == NOT_FOUND | staff
    unfit = answers(policy.allow_team_act, pharmacy_id="riverside", role_fits=False)
    assert unfit == NOT_FOUND | dict.fromkeys(staff, "Forbidden")


def test_patients_are_listed_and_invited_by_those_who_serve_them() -> None:
    expected = NOT_FOUND | dict.fromkeys(("bob", "frank", "grace"), "yes") | {"heidi": "Forbidden"}
    assert answers(policy.allow_patients, pharmacy_id="riverside") == expected
    assert answers(policy.allow_invite, pharmacy_id="riverside") == expected


def test_care_is_ended_by_either_side() -> None:
    ended = answers(policy.allow_end_care, patient_id="alice", pharmacy_id="riverside", in_care=True)
    assert ended == NOT_FOUND | {
        "alice": "yes",
        "bob": "yes",
        "grace": "yes",
        "frank": "Forbidden",
        "heidi": "Forbidden",
    }
    assert answers(policy.allow_end_care, patient_id="alice", pharmacy_id="riverside", in_care=False) == NOT_FOUND


def test_who_looked_is_shown_to_the_patient_and_to_the_privacy_officer() -> None:
    seen = answers(policy.allow_patient_audit, patient_id="alice", pharmacy_ids=frozenset({"riverside"}))
    assert seen == NOT_FOUND | {"alice": "yes", "heidi": "yes"}
    foreign = answers(policy.allow_patient_audit, patient_id="alice", pharmacy_ids=frozenset({"harbor"}))
    assert foreign == NOT_FOUND | {"alice": "yes"}
    assert answers(policy.allow_pharmacy_audit, pharmacy_id="riverside") == NOT_FOUND | {
        "heidi": "yes",
        "bob": "Forbidden",
        "frank": "Forbidden",
        "grace": "Forbidden",
    }


def test_sealed_objects_belong_to_their_owner_or_to_those_who_sit_in_the_team() -> None:
    assert answers(policy.allow_sealed_objects, owner="riverside_desk", in_team=False) == NOT_FOUND
    policy.allow_sealed_objects(FRANK, owner="riverside_desk", in_team=True)
    policy.allow_sealed_objects(ALICE, owner=ALICE.account_id, in_team=False)


def test_staff_and_the_patient_in_person_hand_over_history_and_a_carer_never() -> None:
    policy.allow_history(BOB, patient_id="alice")
    policy.allow_history(ALICE, patient_id="alice")
    for other in (DAVE, carer(Scope.MESSAGES), carer(Scope.ALL, Kind.PARENT)):
        with pytest.raises(Forbidden):
            policy.allow_history(other, patient_id="rosa")


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5, seconds=1), False),
        (timedelta(seconds=-30), True),
        (timedelta(seconds=-31), False),
    ],
)
def test_step_up_is_a_login_of_at_most_five_minutes(age: timedelta, fresh: bool) -> None:
    if fresh:
        policy.needs_step_up(ALICE, at=NOW + age)
    else:
        with pytest.raises(StepUpNeeded):
            policy.needs_step_up(ALICE, at=NOW + age)


def test_without_a_login_time_nothing_is_fresh() -> None:
    with pytest.raises(StepUpNeeded):
        policy.needs_step_up(replace(ALICE, auth_time=None), at=NOW)
