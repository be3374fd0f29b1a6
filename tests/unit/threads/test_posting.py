"""Sending: what is accepted, what is refused, and that nothing is written by halves."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from world_threads import Threads, body

from portal.accounts import names
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, Unprocessable
from portal.e2ee.encoding import b64
from portal.e2ee.records import ReceiptKind, Role, read_record
from portal.outbox.tables import OutboxJob
from portal.pharmacies.topics import Topic
from portal.threads import inbox, reading
from portal.threads.tables import AcceptedKey, InboxRow, Record, Thread

COUNTED = (Thread, Record, AcceptedKey, AuditEvent, OutboxJob)


def counts(threads: Threads) -> list[int]:
    with threads.world.database.reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in COUNTED]


def test_alice_asks_and_bob_answers(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "May I take it with milk?")
    threads.send("bob", posted.thread_id, "Yes, you may.")
    assert threads.texts("alice", posted.thread_id) == ["May I take it with milk?", "Yes, you may."]
    assert threads.texts("bob", posted.thread_id) == ["May I take it with milk?", "Yes, you may."]


def test_nothing_of_the_text_is_in_the_database(threads: Threads) -> None:
    threads.start("alice", "alice", "zebra-canary-text")
    with threads.world.database.reading() as session:
        for record in session.scalars(select(Record)):
            assert b"zebra-canary" not in (record.ct or b"")
            assert "zebra" not in record.h


@pytest.mark.parametrize("outsider", ["dave", "carol"])
def test_outsiders_get_nothing(threads: Threads, outsider: str) -> None:
    posted = threads.start("alice", "alice", "Only for Riverside.")
    with pytest.raises(NotFound):
        threads.fetch(outsider, posted.thread_id)
    with pytest.raises(NotFound):
        threads.fetch(outsider, ids.random_id())
    writer = threads.writer("bob", posted.thread_id)
    made = [writer.message(body("hello")[0], clock.now_ms())]
    with pytest.raises(NotFound):
        threads.post(outsider, posted.thread_id, made)


def test_frank_at_the_desk_cannot_read_what_pharmacists_are_asked(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "About my pills.")
    with pytest.raises(NotFound):
        threads.fetch("frank", posted.thread_id)
    order = threads.start("alice", "alice", "Where is order 1042?", topic=Topic.ORDER)
    assert threads.texts("frank", order.thread_id) == ["Where is order 1042?"]


def test_the_same_request_again_gives_the_same_answer_and_changes_nothing(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Once.")
    first = threads.send("alice", posted.thread_id, "Twice sent, once kept.")
    before = counts(threads)
    again = threads.post_again("alice")
    assert (again.sequence, again.received_at) == (first.sequence, first.received_at)
    assert again.told is None
    assert counts(threads) == before


def test_the_same_key_with_other_bytes_is_refused(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Once.")
    writer = threads.writer("alice", posted.thread_id)
    content, key = body("one")
    threads.post("alice", posted.thread_id, [writer.message(content, clock.now_ms())], key=key)
    with pytest.raises(Conflict) as refused:
        threads.post("alice", posted.thread_id, [writer.message(content, clock.now_ms())], key=key)
    assert refused.value.code == "already-accepted"
    assert refused.value.extra == {"seq": 3}


def test_who_seals_on_an_old_head_hears_where_the_thread_is(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    alice, bob = threads.writer("alice", posted.thread_id), threads.writer("bob", posted.thread_id)
    threads.post("alice", posted.thread_id, [alice.message(body("first")[0], clock.now_ms())])
    with pytest.raises(Conflict) as refused:
        threads.post("bob", posted.thread_id, [bob.message(body("second")[0], clock.now_ms())])
    assert refused.value.code == "moved-head"
    assert refused.value.extra["seq"] == 3
    assert refused.value.extra["head"] == b64(alice.state.head)


def test_a_refused_append_leaves_nothing_behind(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    writer = threads.writer("alice", posted.thread_id)
    before = counts(threads)
    record = writer.message(body("forged")[0], clock.now_ms()).to_json()
    forged = read_record({**record, "sig": b64(bytes(64))})
    with pytest.raises(Unprocessable) as refused:
        threads.post("alice", posted.thread_id, [forged])
    assert refused.value.code == "signature"
    assert counts(threads) == before


def test_one_cannot_post_what_another_signed(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    writer = threads.writer("bob", posted.thread_id)
    with pytest.raises(Forbidden):
        threads.post("alice", posted.thread_id, [writer.message(body("as Bob")[0], clock.now_ms())])


def test_bob_cannot_start_a_thread_about_a_patient_of_another_pharmacy(threads: Threads) -> None:
    with pytest.raises(NotFound):
        threads.start("carol", "alice", "Hello Alice.", pharmacy="harbor", with_patient=False)


def test_dave_cannot_write_as_alice(threads: Threads) -> None:
    with pytest.raises(NotFound):
        threads.start("dave", "alice", "I am Alice.")


def test_a_stranger_in_the_epoch_is_refused(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    writer = threads.writer("bob", posted.thread_id)
    parties = [
        threads.party("alice", Role.PATIENT),
        threads.party("riverside_pharmacists", Role.TEAM),
        threads.party("dave", Role.PROXY),
    ]
    with pytest.raises(Unprocessable) as refused:
        threads.post("bob", posted.thread_id, [writer.epoch(parties, clock.now_ms())])
    assert refused.value.code == "membership-policy"


def test_another_pharmacys_team_is_refused(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    writer = threads.writer("bob", posted.thread_id)
    parties = [
        threads.party("alice", Role.PATIENT),
        threads.party("riverside_pharmacists", Role.TEAM),
        threads.party("harbor_pharmacists", Role.TEAM),
    ]
    with pytest.raises(Unprocessable):
        threads.post("bob", posted.thread_id, [writer.epoch(parties, clock.now_ms())])


def test_after_a_new_team_generation_the_next_sender_makes_a_new_epoch(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    with pytest.raises(Conflict) as refused:
        threads.send("alice", posted.thread_id, "Still the old epoch.")
    assert refused.value.code == "rekey"
    assert refused.value.extra["members"] == ["riverside_pharmacists"]
    writer = threads.writer("alice", posted.thread_id)
    parties = [threads.party("alice", Role.PATIENT), threads.party("riverside_pharmacists", Role.TEAM)]
    made = [writer.epoch(parties, clock.now_ms()), writer.message(body("New epoch.")[0], clock.now_ms())]
    threads.post("alice", posted.thread_id, made)
    assert threads.texts("erin", posted.thread_id) == ["Hello.", "New epoch."]


def test_an_epoch_must_name_the_newest_generations(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    old = threads.party("riverside_pharmacists", Role.TEAM)
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    writer = threads.writer("alice", posted.thread_id)
    with pytest.raises(Unprocessable) as refused:
        threads.post(
            "alice", posted.thread_id, [writer.epoch([threads.party("alice", Role.PATIENT), old], clock.now_ms())]
        )
    assert refused.value.code == "member-key"


def test_who_left_the_team_reads_nothing_newer(threads: Threads) -> None:
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    posted = threads.start("alice", "alice", "Erin may read this.")
    assert threads.texts("erin", posted.thread_id) == ["Erin may read this."]
    threads.keys.team("riverside_pharmacists", "bob", "bob")
    with pytest.raises(NotFound):
        threads.fetch("erin", posted.thread_id)


def test_alice_retracts_what_nobody_at_the_pharmacy_has_read(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    sent = threads.send("alice", posted.thread_id, "Please forget this.")
    writer = threads.writer("alice", posted.thread_id)
    threads.post("alice", posted.thread_id, [writer.redact(sent.sequence, "mistake", clock.now_ms())])
    with threads.world.database.reading() as session:
        assert session.get_one(Record, (posted.thread_id, sent.sequence)).ct is None
    assert threads.texts("bob", posted.thread_id) == ["Hello.", None]


def test_what_bob_had_read_stays_for_staff_and_is_hidden_from_alice(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    sent = threads.send("alice", posted.thread_id, "I took two by mistake.")
    threads.receipt("bob", posted.thread_id, ReceiptKind.READ)
    writer = threads.writer("alice", posted.thread_id)
    threads.post("alice", posted.thread_id, [writer.redact(sent.sequence, "mistake", clock.now_ms())])
    with threads.world.database.reading() as session:
        assert session.get_one(Record, (posted.thread_id, sent.sequence)).ct is not None
    records, _ = threads.fetch("alice", posted.thread_id)
    assert records[sent.sequence - 1].ct is None
    records, _ = threads.fetch("bob", posted.thread_id)
    assert records[sent.sequence - 1].ct is not None


def test_bob_cannot_retract_alices_words(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Mine.")
    writer = threads.writer("bob", posted.thread_id)
    with pytest.raises(Unprocessable) as refused:
        threads.post("bob", posted.thread_id, [writer.redact(2, "no", clock.now_ms())])
    assert refused.value.code == "redact"


def test_a_patient_without_keys_finds_the_thread_when_she_enrols(threads: Threads) -> None:
    posted = threads.start("bob", "rosa", "Your INR is fine.", with_patient=False)
    with threads.world.database.reading() as session:
        waiting = session.get_one(Thread, posted.thread_id)
        assert waiting.waits_for_keys
        rows = session.scalars(select(InboxRow.reader_id).where(InboxRow.thread_id == posted.thread_id)).all()
        assert threads.world.accounts["rosa"] in rows
    threads.keys.enrol("rosa")
    writer = threads.writer("bob", posted.thread_id)
    parties = [threads.party("riverside_pharmacists", Role.TEAM), threads.party("rosa", Role.PATIENT)]
    rosa = threads.party("rosa", Role.PATIENT).entry
    made = [writer.epoch(parties, clock.now_ms())]
    made.append(writer.history(rosa, 1, 1, clock.now_ms()))
    threads.post("bob", posted.thread_id, made)
    assert threads.texts("rosa", posted.thread_id) == ["Your INR is fine."]


@pytest.mark.parametrize(
    "sealed",
    [
        [],
        [{"h": "x"}],
        [{"h": "!!", "sig": "!!"}],
        [{"h": 1, "sig": 2}],
    ],
)
def test_malformed_records_are_bad_input(threads: Threads, sealed: list[dict[str, object]]) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    threads.sealed = {"thread_id": posted.thread_id, "sealed": sealed, "key": ids.random_id(), "urgent": False}
    with pytest.raises(BadInput):
        threads.post_again("alice")


def test_plaintext_in_place_of_ciphertext_is_refused_by_its_size(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    writer = threads.writer("alice", posted.thread_id)
    record = writer.message(body("x")[0], clock.now_ms()).to_json()
    with pytest.raises(Unprocessable) as refused:
        threads.post("alice", posted.thread_id, [read_record({**record, "ct": b64(b"plain text here")})])
    assert refused.value.code == "padding"


def test_a_new_epoch_must_name_the_devices_that_were_ended(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    lost = threads.keys.lose_device("alice")
    writer = threads.writer("bob", posted.thread_id)
    parties = [threads.party("alice", Role.PATIENT), threads.party("riverside_pharmacists", Role.TEAM)]
    with pytest.raises(Conflict) as refused:
        threads.post("bob", posted.thread_id, [writer.epoch(parties, clock.now_ms())])
    assert (refused.value.code, refused.value.extra["revoked"]) == ("rekey", [lost])
    writer = threads.writer("bob", posted.thread_id)
    threads.post("bob", posted.thread_id, [writer.epoch(parties, clock.now_ms(), [lost])])
    assert threads.texts("bob", posted.thread_id) == ["Hello."]


def test_what_was_handled_before_somebody_joined_is_not_new_to_that_one(threads: Threads) -> None:
    waits = threads.start("alice", "alice", "One.")
    threads.send("alice", waits.thread_id, "Two.")
    handled = threads.start("dave", "dave", "Hello.")
    threads.send("bob", handled.thread_id, "Hello, Dave.")
    clock.shift(timedelta(hours=1))
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    # What still waits for an answer is one thing to see to, however long the talk was.
    assert (threads.unread("erin", waits.thread_id), threads.unread("bob", waits.thread_id)) == (1, 2)
    assert threads.unread("erin", handled.thread_id) == 0
    # That it reached her browser does not make it new.
    threads.receipt("erin", handled.thread_id, ReceiptKind.DELIVERED)
    assert threads.unread("erin", handled.thread_id) == 0
    clock.shift(timedelta(hours=1))
    writer = threads.writer("dave", handled.thread_id)
    parties = [threads.party("dave", Role.PATIENT), threads.party("riverside_pharmacists", Role.TEAM)]
    threads.post("dave", handled.thread_id, [writer.epoch(parties, clock.now_ms())])
    threads.send("dave", handled.thread_id, "Thank you.")
    assert threads.unread("erin", handled.thread_id) == 1


def test_unread_counts_messages_of_others_only(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "One.")
    assert (threads.unread("alice", posted.thread_id), threads.unread("bob", posted.thread_id)) == (0, 1)
    threads.send("alice", posted.thread_id, "Two.")
    assert (threads.unread("alice", posted.thread_id), threads.unread("bob", posted.thread_id)) == (0, 2)
    threads.receipt("bob", posted.thread_id, ReceiptKind.READ)
    threads.send("bob", posted.thread_id, "Three.")
    assert (threads.unread("alice", posted.thread_id), threads.unread("bob", posted.thread_id)) == (1, 0)
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    writer = threads.writer("bob", posted.thread_id)
    parties = [threads.party("alice", Role.PATIENT), threads.party("riverside_pharmacists", Role.TEAM)]
    threads.post("bob", posted.thread_id, [writer.epoch(parties, clock.now_ms())])
    assert (threads.unread("alice", posted.thread_id), threads.unread("bob", posted.thread_id)) == (1, 0)


def test_a_message_sent_blindly_leaves_what_came_before_unread(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "One.")
    threads.send("bob", posted.thread_id, "Two, not yet seen by Alice.")
    threads.send("alice", posted.thread_id, "Three, written before Two arrived.")
    assert threads.unread("alice", posted.thread_id) == 2


def test_who_joined_the_team_later_reads_what_was_said_before_and_it_counts_as_read(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Before Erin came.")
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    assert threads.unread("erin", posted.thread_id) == 1
    for kind in (ReceiptKind.DELIVERED, ReceiptKind.READ):
        threads.receipt("erin", posted.thread_id, kind)
    assert threads.unread("erin", posted.thread_id) == 0
    # The epoch of that place names the team without Erin, so no reader could verify a receipt of hers: none is kept.
    with threads.world.database.transaction() as session:
        opened = reading.open_for_reading(session, actor=threads.keys.actor("alice"), thread_id=posted.thread_id)
    assert opened.receipts == ()


def test_a_list_names_the_patient_also_when_the_account_was_closed(threads: Threads) -> None:
    threads.start("alice", "alice", "Hello.")
    with threads.world.database.transaction() as session:
        session.get_one(Account, threads.world.accounts["alice"]).disabled_at = clock.now()
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor("bob")
        (head,) = inbox.page(session, actor=actor, reader=None, pharmacy_id=None, after=None).items
        assert head.patient_name == "Alice"
        assert names.selves(session, [threads.world.patients["alice"]]) == {}


def test_changes_come_in_portions_and_say_when_there_are_more(threads: Threads) -> None:
    for text in ("One.", "Two."):
        threads.start("alice", "alice", text)
    team = "riverside_pharmacists"
    with threads.world.database.transaction() as session:
        actor = threads.keys.actor("bob")
        first = inbox.changes(session, actor=actor, since={team: 0}, limit=1)
        rest = inbox.changes(session, actor=actor, since=first.cursor, limit=1)
    assert (len(first.items), first.cursor[team], first.more) == (1, 1, True)
    assert (len(rest.items), rest.cursor[team], rest.more) == (1, 2, False)
