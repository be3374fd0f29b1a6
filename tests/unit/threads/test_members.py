"""Who may be in a thread, who gets in again, and that every change of its keys is on record."""

import pytest
from sqlalchemy import select
from world_threads import Threads, body

from portal.accounts import relations
from portal.accounts.roles import Kind, Scope
from portal.audit import Agent
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.errors import NotFound, Unprocessable
from portal.e2ee.records import Role
from portal.pharmacies import care
from portal.threads import inbox, reading

OFFICE = Agent(account_id=None, role="operator")


def changes(threads: Threads, thread_id: str) -> list[tuple[str | None, dict[str, object] | None]]:
    """Rows about who can read the thread: who did it, and what it was."""
    with threads.world.database.reading() as session:
        rows = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.action == "thread.members-changed", AuditEvent.entity_id == thread_id)
            .order_by(AuditEvent.seq)
        )
        return [(row.account_id, row.detail) for row in rows]


def test_a_new_key_for_the_same_members_is_on_record(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    writer = threads.writer("alice", posted.thread_id)
    parties = [threads.party("alice", Role.PATIENT), threads.party("riverside_pharmacists", Role.TEAM)]
    made = [writer.epoch(parties, clock.now_ms()), writer.message(body("New epoch.")[0], clock.now_ms())]
    threads.post("alice", posted.thread_id, made)
    assert changes(threads, posted.thread_id) == [
        (threads.world.accounts["alice"], {"added": [], "removed": [], "epoch": 2})
    ]


def test_handing_over_earlier_keys_is_on_record(threads: Threads) -> None:
    posted = threads.start("bob", "rosa", "Your INR is fine.", with_patient=False)
    threads.keys.enrol("rosa")
    writer = threads.writer("bob", posted.thread_id)
    rosa = threads.party("rosa", Role.PATIENT)
    parties = [threads.party("riverside_pharmacists", Role.TEAM), rosa]
    made = [writer.epoch(parties, clock.now_ms()), writer.history(rosa.entry, 1, 1, clock.now_ms())]
    threads.post("bob", posted.thread_id, made)
    bob, rosa_id = threads.world.accounts["bob"], threads.world.accounts["rosa"]
    assert changes(threads, posted.thread_id) == [
        (bob, {"added": [rosa_id], "removed": [], "epoch": 2}),
        (bob, {"to": rosa_id, "from": 1, "upto": 1}),
    ]


def test_the_team_of_the_topic_cannot_be_put_out_of_its_thread(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "About my pills.")
    alice, desk = threads.party("alice", Role.PATIENT), threads.party("riverside_desk", Role.TEAM)
    writer = threads.writer("bob", posted.thread_id)
    both = [alice, threads.party("riverside_pharmacists", Role.TEAM), desk]
    threads.post("bob", posted.thread_id, [writer.epoch(both, clock.now_ms())])
    writer = threads.writer("frank", posted.thread_id)
    parties = [alice, desk]
    with pytest.raises(Unprocessable) as refused:
        threads.post("frank", posted.thread_id, [writer.epoch(parties, clock.now_ms())])
    assert refused.value.code == "membership-policy"


def test_a_carer_who_was_put_out_is_not_let_in_again_by_itself(threads: Threads) -> None:
    threads.keys.enrol("judy")
    posted = threads.start("bob", "rosa", "For Rosa's daughter.", with_patient=False)
    team = threads.party("riverside_pharmacists", Role.TEAM)
    writer = threads.writer("bob", posted.thread_id)
    judy = threads.party("judy", Role.PROXY)
    threads.post("bob", posted.thread_id, [writer.epoch([team, judy], clock.now_ms())])
    threads.fetch("judy", posted.thread_id)
    writer = threads.writer("bob", posted.thread_id)
    threads.post("bob", posted.thread_id, [writer.epoch([team], clock.now_ms())])
    with pytest.raises(NotFound):
        threads.fetch("judy", posted.thread_id)
    threads.keys.enrol("rosa")
    with threads.world.database.transaction() as session:
        opened = reading.open_for_reading(session, actor=threads.keys.actor("bob"), thread_id=posted.thread_id)
    assert opened.joinable == ((threads.world.accounts["rosa"], "patient"),)


def test_rosa_is_let_into_what_her_daughter_began_before_she_had_keys(threads: Threads) -> None:
    threads.keys.enrol("judy")
    posted = threads.start("bob", "rosa", "For Rosa's daughter.", with_patient=False)
    team, judy = threads.party("riverside_pharmacists", Role.TEAM), threads.party("judy", Role.PROXY)
    writer = threads.writer("bob", posted.thread_id)
    threads.post("bob", posted.thread_id, [writer.epoch([team, judy], clock.now_ms())])
    assert joinable_for(threads, "bob", posted.thread_id) == (False, ())
    threads.keys.enrol("rosa")
    rosa = (threads.world.accounts["rosa"], "patient")
    assert joinable_for(threads, "bob", posted.thread_id) == (True, (rosa,))
    # It is the pharmacy that lets her in: to her daughter's inbox it is no news.
    assert joinable_for(threads, "judy", posted.thread_id)[0] is False
    with pytest.raises(NotFound):
        threads.fetch("rosa", posted.thread_id)
    writer = threads.writer("bob", posted.thread_id)
    her = threads.party("rosa", Role.PATIENT)
    threads.post("bob", posted.thread_id, [writer.epoch([her, judy, team], clock.now_ms())])
    threads.fetch("rosa", posted.thread_id)
    assert joinable_for(threads, "bob", posted.thread_id) == (False, ())


def joinable_for(threads: Threads, name: str, thread_id: str) -> tuple[bool, tuple[tuple[str, str], ...]]:
    """What a person's inbox line and the open thread say of who may be let in."""
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor(name)
        page = inbox.page(session, actor=actor, reader=None, pharmacy_id=None, after=None)
        opened = reading.open_for_reading(session, actor=actor, thread_id=thread_id)
        return next(head.joinable for head in page.items if head.thread.id == thread_id), opened.joinable


def test_an_inbox_gives_the_conversations_of_one_patient(threads: Threads) -> None:
    hers, other = threads.start("alice", "alice", "About my pills."), threads.start("dave", "dave", "My inhaler.")
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor("bob")
        found = {
            name: inbox.page(
                session,
                actor=actor,
                reader=None,
                pharmacy_id=None,
                after=None,
                patient_id=threads.world.patients.get(name, "0" * 32),
            )
            for name in ("alice", "dave", "nobody")
        }
    shown = {name: [head.thread.id for head in page.items] for name, page in found.items()}
    assert shown == {"alice": [hers.thread_id], "dave": [other.thread_id], "nobody": []}


def test_who_may_see_medicines_only_has_no_messages_in_the_inbox(threads: Threads) -> None:
    threads.start("alice", "alice", "Hello.")
    with threads.world.database.transaction() as session:
        relations.bind(
            session,
            agent=OFFICE,
            account_id=threads.world.accounts["alice"],
            patient_id=threads.world.patients["alice"],
            kind=Kind.SELF,
            scope=Scope.REFILLS,
        )
    with threads.world.database.transaction() as session:
        page = inbox.page(session, actor=threads.keys.actor("alice"), reader=None, pharmacy_id=None, after=None)
    assert page.items == ()


def test_writing_to_a_pharmacy_begins_its_care_again_so_that_somebody_reads_it(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    where = {"patient_id": threads.world.patients["alice"], "pharmacy_id": "riverside"}
    with threads.world.database.transaction() as session:
        care.end(session, actor=threads.keys.actor("alice"), **where)
    with pytest.raises(NotFound):
        threads.fetch("bob", posted.thread_id)
    threads.send("alice", posted.thread_id, "One more question.")
    assert threads.texts("bob", posted.thread_id) == ["Hello.", "One more question."]
    with threads.world.database.reading() as session:
        assert care.in_care(session, **where)
