"""A patient who started again is let in by somebody who may say who she is; the server and every reader hold to it."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from world_threads import Readers, Threads, body

from portal.core import clock
from portal.core.errors import Conflict, Unprocessable
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import Role
from portal.e2ee.seal import Writer
from portal.e2ee.verify import advance
from portal.pharmacies import identity_checks
from portal.pharmacies.identity_checks import Check, How, State
from portal.pharmacies.tables import IdentityCheck
from portal.pharmacies.topics import Topic

PHARMACISTS, DESK, PRIVACY = "riverside_pharmacists", "riverside_desk", "riverside_privacy"


@pytest.fixture
def offices(threads: Threads) -> Threads:
    """The privacy office too, and Grace, who supervises and sits in a team of her own."""
    threads.keys.enrol("heidi", "grace")
    threads.keys.team(PRIVACY, "heidi", "heidi")
    return threads


def made_sure(threads: Threads, by: str, how: How = How.IN_PERSON) -> Check:
    """Somebody says how it was made sure who Alice is."""
    with threads.world.database.transaction() as session:
        return identity_checks.make(
            session, actor=threads.keys.actor(by), account_id=threads.world.accounts["alice"], how=how
        )


def let_in(threads: Threads, by: str, thread: str, team: str) -> None:
    """An epoch with Alice's new key, and all that was said before."""
    writer = threads.writer(by, thread)
    alice = threads.party("alice", Role.PATIENT)
    made = [writer.epoch([alice, threads.party(team, Role.TEAM)], clock.now_ms())]
    made.append(writer.history(alice.entry, 1, made[0].header.epoch - 1, clock.now_ms()))
    threads.post(by, thread, made)


def held(threads: Threads, by: str, thread: str) -> bool:
    with pytest.raises(Conflict) as refused:
        threads.send(by, thread, "Not yet.")
    return refused.value.code == "reset"


def say_no(threads: Threads) -> None:
    """Whoever has the link of a notice uses it."""
    with threads.world.database.transaction() as session:
        (objection,) = session.scalars(select(IdentityCheck.objection).where(IdentityCheck.objection.is_not(None)))
        identity_checks.object_to(session, objection=str(objection), address=None, request_id=None)


@pytest.mark.parametrize(
    ("topic", "team", "may", "may_not"),
    [
        (Topic.MEDICINE, PHARMACISTS, "bob", None),
        (Topic.ORDER, DESK, "bob", "frank"),
        (Topic.PRIVACY, PRIVACY, "heidi", None),
    ],
)
def test_a_pharmacist_lets_alice_in_again_and_the_privacy_office_in_its_own_threads(
    offices: Threads, topic: Topic, team: str, may: str, may_not: str | None
) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=topic).thread_id
    offices.keys.start_again("alice")
    assert held(offices, may, thread)
    if may_not is not None:
        assert held(offices, may_not, thread)
        with pytest.raises(Conflict) as refused:
            let_in(offices, may_not, thread, team)
        assert refused.value.code == "reset"
    with pytest.raises(Conflict) as refused:
        let_in(offices, may, thread, team)
    assert refused.value.code == "reset", "nobody has said how it was made sure"
    made_sure(offices, may)
    let_in(offices, may, thread, team)
    offices.send(may_not or may, thread, "Good to have you back.")
    assert offices.texts("alice", thread) == ["Before.", "Good to have you back."]


def test_alice_does_not_let_herself_in(offices: Threads) -> None:
    thread = offices.start("alice", "alice", "Before.").thread_id
    offices.keys.start_again("alice")
    writer = offices.writer("alice", thread)
    parties = [offices.party("alice", Role.PATIENT), offices.party(PHARMACISTS, Role.TEAM)]
    with pytest.raises(Conflict) as refused:
        offices.post("alice", thread, [writer.epoch(parties, clock.now_ms())])
    assert refused.value.code == "reset"


@pytest.mark.parametrize("by", ["frank", "alice"])
def test_readers_do_not_believe_a_server_that_lets_anybody_vouch(offices: Threads, by: str) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    writer = offices.writer(by, thread)
    offices.keys.start_again("alice")
    writer = Writer(offices.keys.people[by].device, writer.state, writer.secrets)
    epoch = writer.epoch([offices.party("alice", Role.PATIENT), offices.party(DESK, Role.TEAM)], clock.now_ms())
    _, state = offices.fetch("bob", thread)
    with offices.world.database.reading() as session, pytest.raises(Refused) as refused:
        advance(state, epoch, Readers(session), lambda seq: None)
    assert refused.value.reason is Reason.MEMBERSHIP


def test_a_later_key_does_not_hide_that_alice_started_again(offices: Threads) -> None:
    """The hold asks for any reset since the epoch, not only for the newest entry."""
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    offices.keys.start_again("alice")
    offices.keys.start_again("alice")
    made_sure(offices, "bob")
    with pytest.raises(Conflict) as refused:
        let_in(offices, "frank", thread, DESK)
    assert refused.value.code == "reset"
    let_in(offices, "bob", thread, DESK)


def test_a_check_counts_for_the_keys_it_was_made_for(offices: Threads) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    offices.keys.start_again("alice")
    made_sure(offices, "bob")
    offices.keys.start_again("alice")
    with pytest.raises(Conflict) as refused:
        let_in(offices, "bob", thread, DESK)
    assert refused.value.code == "reset"
    made_sure(offices, "bob", How.CALL_BACK)
    let_in(offices, "bob", thread, DESK)


def test_whoever_cannot_be_seen_or_called_waits_a_day(offices: Threads) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    offices.keys.start_again("alice")
    assert made_sure(offices, "bob", How.WAITED).state is State.WAITING
    with pytest.raises(Conflict):
        let_in(offices, "bob", thread, DESK)
    with clock.at(clock.now() + timedelta(hours=24, seconds=1)):
        let_in(offices, "bob", thread, DESK)
        assert offices.texts("alice", thread) == ["Before."]


def test_an_objection_closes_the_wait_and_leaves_the_counter(offices: Threads) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    offices.keys.start_again("alice")
    made_sure(offices, "bob", How.WAITED)
    say_no(offices)
    with clock.at(clock.now() + timedelta(days=3)):
        with pytest.raises(Conflict):
            let_in(offices, "bob", thread, DESK)
        with pytest.raises(Conflict) as refused:
            made_sure(offices, "bob", How.WAITED)
        assert refused.value.code == "check-objected"
        made_sure(offices, "bob", How.IN_PERSON)
        let_in(offices, "bob", thread, DESK)


def test_an_ordinary_new_key_needs_nobodys_word(offices: Threads) -> None:
    thread = offices.start("alice", "alice", "Before.", topic=Topic.ORDER).thread_id
    offices.keys.team(DESK, "bob", "bob", "frank", "erin")
    writer = offices.writer("frank", thread)
    content, key = body("New key.")
    parties = [offices.party("alice", Role.PATIENT), offices.party(DESK, Role.TEAM)]
    made = [writer.epoch(parties, clock.now_ms()), writer.message(content, clock.now_ms())]
    offices.post("frank", thread, made, key=key)
    with pytest.raises(Unprocessable):
        offices.post("frank", thread, [writer.redact(1, "", clock.now_ms())])
