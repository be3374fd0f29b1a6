"""Who may what, as stories about Alice's thread and data; and the whole table for everyone, so that no line is lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portal.accounts import policy
from portal.accounts.actor import ActingFor, Actor
from portal.accounts.roles import Kind, Role, Scope
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


def test_a_carer_for_messages_reads_the_thread_but_not_the_medicines() -> None:
    judy = person(Role.PATIENT, None, ActingFor("rosa", Kind.CARER, Scope.MESSAGES))
    policy.allow_read_thread(
        judy, patient_id="rosa", pharmacy_id="riverside", in_care=True, is_member=True, in_team=False
    )
    with pytest.raises(NotFound):
        policy.allow_context(judy, patient_id="rosa", pharmacy_id="riverside", in_care=True)
    with pytest.raises(NotFound):
        policy.allow_start_care(judy, patient_id="rosa")


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


def test_only_staff_hand_over_history() -> None:
    policy.allow_history(BOB)
    with pytest.raises(Forbidden):
        policy.allow_history(ALICE)


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
