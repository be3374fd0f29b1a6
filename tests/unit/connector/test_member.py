"""Stories of members written in Python: what browsers do, over the portal's own routes."""

from dataclasses import replace
from typing import Any

import pytest
from town import PASSPHRASE, TEAM, Town
from world import NOBODY

from portal.accounts import relations
from portal.accounts.tables import Account
from portal.connector.client import ServerRefused
from portal.connector.directory import ConfirmFirst
from portal.connector.member import Member, OpenThread
from portal.connector.messages import Correction, Message
from portal.core import clock, ids
from portal.e2ee import seal
from portal.e2ee.identity import EncryptionKey, Identity
from portal.e2ee.open import Shown
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import EpochHeader, Role
from portal.e2ee.verify import Head


def ask(town: Town, message: Message, *, by: str = "alice", thread: str | None = None) -> OpenThread:
    """A patient's question to the pharmacists of Riverside."""
    return town[by].start_thread(
        message,
        pharmacy="riverside",
        patient=town.world.patients[by],
        topic="medicine",
        team=TEAM,
        people={town[by].person.id: Role.PATIENT},
        thread=thread,
    )


def texts(member: Member, thread_id: str) -> list[str | None]:
    """What somebody reads."""
    return [line.text for line in member.read(member.thread(thread_id))]


def test_alice_asks_and_bob_answers(town: Town) -> None:
    asked = ask(town, Message("May I take both?", subject="Two pills", fhir=[{"text": "Metformin"}]))
    bob = town["bob"]
    thread = bob.thread(asked.id)
    [line] = bob.read(thread)
    assert (line.subject, line.text, line.fhir) == ("Two pills", "May I take both?", ({"text": "Metformin"},))
    bob.send(thread, Message("Yes.", in_reply_to=line.id))
    bob.confirm(thread)
    assert texts(town["alice"], asked.id) == ["May I take both?", "Yes."]
    opened = town["alice"].client.get(f"/api/threads/{asked.id}")
    assert {receipt["account"] for receipt in opened["receipts"]} == {bob.person.id}


def test_carol_cannot_open_alices_thread(town: Town) -> None:
    asked = ask(town, Message("private"))
    with pytest.raises(ServerRefused) as refused:
        town["carol"].thread(asked.id)
    assert refused.value.http_status == 404


def test_a_message_that_was_overtaken_is_sealed_again(town: Town) -> None:
    asked = ask(town, Message("first"))
    bob_sees = town["bob"].thread(asked.id)
    town["alice"].send(asked, Message("second"))
    assert town["bob"].send(bob_sees, Message("third")).sequence == 4
    assert texts(town["alice"], asked.id) == ["first", "second", "third"]


def test_the_same_message_arrives_once(town: Town) -> None:
    asked = ask(town, Message("first"))
    message = Message("only once")
    there = town["alice"].send(asked, message)
    # The answer was lost: the outbox tries again, sealed anew.
    assert town["alice"].send(asked, message) == there
    assert texts(town["bob"], asked.id) == ["first", "only once"]


def test_a_correction_stands_in_its_place_and_only_by_its_author(town: Town) -> None:
    first = Message("two puffs")
    asked = ask(town, first)
    town["bob"].send(town["bob"].thread(asked.id), Correction(first.id, "not mine to change"))
    alice_sees = town["alice"].thread(asked.id)
    town["alice"].send(alice_sees, Correction(first.id, "one puff"))
    [line] = town["bob"].read(town["bob"].thread(asked.id))
    assert (line.text, line.corrected) == ("one puff", True)


def test_a_retracted_message_is_not_read(town: Town) -> None:
    asked = ask(town, Message("first"))
    sent = town["alice"].send(asked, Message("wrong person"))
    town["alice"].retract(asked, sent.sequence, "sent too early")
    lines = town["bob"].read(town["bob"].thread(asked.id))
    assert [(line.shown, line.text) for line in lines] == [(Shown.READ, "first"), (Shown.RETRACTED, None)]


def test_a_photo_comes_through_sealed(town: Town) -> None:
    thread_id, content = ids.random_id(), ids.random_bytes(40_000)
    file = town["alice"].upload(thread_id, "riverside", name="parcel.png", type="image/png", content=content)
    ask(town, Message("look", files=[file]), thread=thread_id)
    bob = town["bob"]
    thread = bob.thread(thread_id)
    [line] = bob.read(thread)
    assert line.files[0]["name"] == "parcel.png"
    assert bob.fetch_file(thread, line) == content


def test_a_file_that_the_message_does_not_name_is_not_fetched(town: Town) -> None:
    thread_id = ids.random_id()
    file = town["alice"].upload(thread_id, "riverside", name="a", type="text/plain", content=b"a")
    ask(town, Message("look", files=[file]), thread=thread_id)
    bob = town["bob"]
    thread = bob.thread(thread_id)
    [line] = bob.read(thread)
    forged = replace(line, files=({**line.files[0], "id": ids.random_id()},))
    with pytest.raises(Refused) as refused:
        bob.fetch_file(thread, forged)
    assert refused.value.reason is Reason.ATTACHMENT


def test_alice_comes_back_on_a_new_device(town: Town) -> None:
    asked = ask(town, Message("first"))
    again = Member.recover(town.client("alice"), secret=PASSPHRASE, device_name="phone")
    assert again.person.device.dev != town["alice"].person.device.dev
    assert texts(again, asked.id) == ["first"]
    again.send(again.thread(asked.id), Message("from my phone"))
    assert texts(town["bob"], asked.id) == ["first", "from my phone"]


def test_a_wrong_passphrase_opens_nothing(town: Town) -> None:
    assert town["alice"].person
    with pytest.raises(Refused) as refused:
        Member.recover(town.client("alice"), secret="five other words that are wrong", device_name="phone")
    assert refused.value.reason is Reason.AEAD


def test_erin_is_let_in_and_reads_what_was_before(town: Town) -> None:
    asked = ask(town, Message("first"))
    erin = town["erin"]
    erin.teams.ask(TEAM)
    with pytest.raises(ServerRefused):
        erin.thread(asked.id)
    town["bob"].teams.admit(TEAM, erin.person.id)
    assert texts(erin, asked.id) == ["first"]
    erin.send(erin.thread(asked.id), Message("Erin here."))
    assert texts(town["alice"], asked.id) == ["first", "Erin here."]


def test_a_team_is_not_sealed_to_a_member_whose_keys_were_begun_anew(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(town, Message("first"))
    bob, erin = town["bob"], town["erin"].person
    town["erin"].teams.ask(TEAM)
    bob.teams.admit(TEAM, erin.id)
    entry = bob.directory.chains[erin.id][-1].entry
    anew = seal.reset_entry(entry, Identity.new(), EncryptionKey.new(entry.gen + 1)).to_json()
    real = bob.directory._look_up

    def pretended(ids: list[str]) -> list[dict[str, Any]]:
        items = real(ids)
        return [it | {"entries": [*it["entries"], anew]} if it["id"] == erin.id else it for it in items]

    monkeypatch.setattr(bob.directory, "_look_up", pretended)
    bob.memory.pins.clear()  # As if Bob had never seen her.
    with pytest.raises(ConfirmFirst):
        bob.teams.change(TEAM, [bob.person.id, erin.id])
    bob.teams.change(TEAM, [bob.person.id])


def test_after_the_team_has_a_new_key_the_next_message_makes_an_epoch(town: Town) -> None:
    asked = ask(town, Message("first"))
    town["bob"].teams.change(TEAM, [town["bob"].person.id])
    town["alice"].send(asked, Message("second"))
    epochs = [record.header for record in asked.records if isinstance(record.header, EpochHeader)]
    assert [{seat.id: seat.gen for seat in epoch.members}[TEAM] for epoch in epochs] == [1, 2]
    assert texts(town["bob"], asked.id) == ["first", "second"]


def test_rosa_is_taken_in_with_all_that_was_written(town: Town) -> None:
    bob = town["bob"]
    waiting = bob.start_thread(
        Message("Your result is fine."),
        pharmacy="riverside",
        patient=town.world.patients["rosa"],
        topic="medicine",
        team=TEAM,
        people={},
    )
    rosa = town["rosa"]
    bob.welcome(waiting, rosa.person.id, Role.PATIENT, Message("Welcome."))
    assert texts(rosa, waiting.id) == ["Your result is fine.", "Welcome."]


def test_a_daughter_who_acts_no_longer_is_left_out_and_a_patient_who_is_away_reads_nothing_newer(town: Town) -> None:
    bob, rosa, judy = town["bob"], town["rosa"], town["judy"]
    thread = bob.start_thread(
        Message("For both of you."),
        pharmacy="riverside",
        patient=town.world.patients["rosa"],
        topic="medicine",
        team=TEAM,
        people={rosa.person.id: Role.PATIENT, judy.person.id: Role.PROXY},
    )
    with town.world.database.transaction() as session:
        (acting,) = relations.live(session, account_id=judy.person.id)
        relations.end(session, agent=NOBODY, relation_id=acting.id)
        session.get_one(Account, rosa.person.id).disabled_at = clock.now()
    bob.send(thread, Message("For nobody but the file."))
    assert {seat.id for seat in thread.state.members} == {TEAM, rosa.person.id}
    with town.world.database.transaction() as session:
        session.get_one(Account, rosa.person.id).disabled_at = None
    bob.send(thread, Message("Welcome back."))
    assert texts(rosa, thread.id) == ["For both of you.", None, "Welcome back."]
    assert texts(bob, thread.id) == ["For both of you.", "For nobody but the file.", "Welcome back."]


def test_a_thread_that_was_replaced_is_refused(town: Town) -> None:
    asked = ask(town, Message("first"))
    bob = town["bob"]
    bob.memory.heads[asked.id] = Head(asked.state.seq, b"\0" * 32)
    with pytest.raises(Refused) as refused:
        bob.thread(asked.id)
    assert refused.value.reason is Reason.FORK


def test_a_thread_that_lost_its_end_is_refused(town: Town) -> None:
    asked = ask(town, Message("first"))
    bob = town["bob"]
    bob.memory.heads[asked.id] = Head(asked.state.seq + 1, b"\0" * 32)
    with pytest.raises(Refused) as refused:
        bob.thread(asked.id)
    assert refused.value.reason is Reason.ROLLBACK


def test_a_draft_is_kept_for_its_writer_alone(town: Town) -> None:
    alice = town["alice"]
    assert alice.objects.kept("draft", "new") is None
    assert [alice.objects.keep("draft", "new", text) for text in (b"one", b"two")] == [1, 2]
    assert alice.objects.kept("draft", "new") == b"two"


def test_a_recovery_code_is_a_way_back_too(town: Town) -> None:
    from portal.e2ee.recovery import Method

    code = town["alice"].set_code()
    again = Member.recover(town.client("alice"), secret=code, device_name="phone", method=Method.CODE)
    assert again.person.urk == town["alice"].person.urk
