"""Rosa lets her helper Kim into a conversation, from here on or with all of it, takes him out, narrows and ends."""

import pytest
from world import add_account
from world_threads import Threads, body

from portal.accounts import carer_invitations, carers, relations
from portal.accounts.carer_invitations import Newcomer
from portal.accounts.carers import Circumstances
from portal.accounts.roles import Role as AccountRole
from portal.accounts.roles import Scope
from portal.core import clock
from portal.core.errors import Conflict, NotFound, Unprocessable
from portal.e2ee.records import Role
from portal.e2ee.seal import Party
from portal.threads import inbox, reading

TEAM = "riverside_pharmacists"
HERE = Circumstances(zone="UTC", of_age=18, born=None)


@pytest.fixture
def thread(threads: Threads) -> str:
    """Rosa and Bob talk; Kim helps Rosa with refills, and has keys as she has."""
    world = threads.world
    with world.database.transaction() as session:
        world.accounts["kim"] = add_account(session, "kim", AccountRole.PATIENT)
    threads.keys.enrol("rosa", "kim", "judy")
    with world.database.transaction() as session:
        made, code = carer_invitations.invite(
            session,
            actor=world.actor("rosa"),
            patient_id=world.patients["rosa"],
            newcomer=Newcomer("Kim", None, "carer", "refills"),
            where=HERE,
        )
    with world.database.transaction() as session:
        carer_invitations.accept(session, actor=world.actor("kim"), invitation_id=made, code=code)
    return threads.start("rosa", "rosa", "For Bob alone.").thread_id


def scope(threads: Threads, wanted: str) -> None:
    """Rosa widens or narrows what Kim may do."""
    world = threads.world
    with world.database.transaction() as session:
        (found,) = relations.live(session, account_id=world.accounts["kim"])
        carers.change(session, actor=world.actor("rosa"), relation_id=found.id, scope=wanted, last_day=None, where=HERE)


def parties(threads: Threads, *more: str) -> list[Party]:
    people = [threads.party(name, Role.PROXY) for name in more]
    return [threads.party("rosa", Role.PATIENT), *people, threads.party(TEAM, Role.TEAM)]


def let_in(threads: Threads, thread: str, *more: str, by: str = "rosa", history: bool = False) -> None:
    """A new epoch with these carers; with `history` the first of them gets all that was said before."""
    writer = threads.writer(by, thread)
    made = [writer.epoch(parties(threads, *more), clock.now_ms())]
    if history:
        upto = writer.state.epoch - 1
        made.append(writer.history(threads.party(more[0], Role.PROXY).entry, 1, upto, clock.now_ms()))
    threads.post(by, thread, made)


def offered(threads: Threads, by: str, thread: str) -> tuple[str, ...]:
    with threads.world.database.transaction() as session:
        opened = reading.open_for_reading(session, actor=threads.keys.actor(by), thread_id=thread)
    names = {account: name for name, account in threads.world.accounts.items()}
    return tuple(names[id] for id in opened.carers)


@pytest.mark.parametrize("narrow", [Scope.ORDERS, Scope.REFILLS])
def test_without_the_step_of_messages_nobody_can_let_kim_in(threads: Threads, thread: str, narrow: Scope) -> None:
    scope(threads, narrow)
    # Judy, her daughter, acts for Rosa in everything; Kim is not offered.
    assert offered(threads, "rosa", thread) == ("judy",)
    for by in ("rosa", "bob"):
        with pytest.raises(Unprocessable) as refused:
            let_in(threads, thread, "kim", by=by)
        assert refused.value.code == "membership-policy"
    with pytest.raises(NotFound):
        threads.fetch("kim", thread)
    with threads.world.database.transaction() as session:
        lines = inbox.page(session, actor=threads.keys.actor("kim"), reader=None, pharmacy_id=None, after=None)
    assert lines.items == ()


def test_widening_alone_opens_nothing_and_rosa_lets_him_in_from_here_on(threads: Threads, thread: str) -> None:
    scope(threads, "messages")
    with pytest.raises(NotFound):
        threads.fetch("kim", thread)
    assert offered(threads, "rosa", thread) == ("judy", "kim")
    # Whom Rosa may let in is nobody else's to know.
    assert offered(threads, "bob", thread) == ()
    let_in(threads, thread, "kim")
    threads.send("bob", thread, "Welcome, Kim.")
    assert threads.texts("kim", thread) == [None, "Welcome, Kim."]
    threads.send("kim", thread, "Thank you.")
    assert threads.texts("bob", thread) == ["For Bob alone.", "Welcome, Kim.", "Thank you."]
    assert offered(threads, "rosa", thread) == ("judy",)


def test_rosa_may_hand_over_all_that_was_said_and_kim_may_not_hand_it_on(threads: Threads, thread: str) -> None:
    scope(threads, "messages")
    let_in(threads, thread, "kim", history=True)
    assert threads.texts("kim", thread) == ["For Bob alone."]
    let_in(threads, thread, "kim", "judy")
    # No reader would take it from him, and so the server does not either.
    judy = threads.party("judy", Role.PROXY).entry
    handed_on = [threads.writer("kim", thread).history(judy, 1, 2, clock.now_ms())]
    with pytest.raises(Unprocessable) as refused:
        threads.post("kim", thread, handed_on)
    assert refused.value.code == "history"


@pytest.mark.parametrize("end", ["orders", "refills", "ended", "given up"])
@pytest.mark.parametrize("writer", ["rosa", "bob"])
def test_after_narrowing_or_ending_the_next_message_is_under_a_new_key(
    threads: Threads, thread: str, end: str, writer: str
) -> None:
    scope(threads, "messages")
    let_in(threads, thread, "kim")
    threads.send("bob", thread, "Kim reads this.")
    world = threads.world
    secrets = threads.opened("kim", threads.fetch("bob", thread)[0]).secrets
    if end in ("ended", "given up"):
        with world.database.transaction() as session:
            if end == "ended":
                (found,) = relations.live(session, account_id=world.accounts["kim"])
                carers.end(session, actor=world.actor("rosa"), relation_id=found.id)
            else:
                carers.give_up(session, actor=world.actor("kim"), patient_id=world.patients["rosa"])
    else:
        scope(threads, end)
    with pytest.raises(NotFound):
        threads.fetch("kim", thread)
    with pytest.raises(Conflict) as refused:
        threads.send(writer, thread, "Not under the old key.")
    assert refused.value.extra["ended"] == [world.accounts["kim"]]
    fresh = threads.writer(writer, thread)
    content, key = body("Without Kim.")
    made = [fresh.epoch(parties(threads), clock.now_ms()), fresh.message(content, clock.now_ms())]
    threads.post(writer, thread, made, key=key)
    # Whoever hands Kim all the records gives him nothing newer: his old secrets are the only ones he has.
    records, _ = threads.fetch("bob", thread)
    after = threads.opened("kim", records)
    assert after.secrets.keys() == secrets.keys()
    assert [message.opened is not None for message in after.messages] == [False, True, False]


def test_widened_again_he_is_let_in_anew_and_misses_what_was_said_in_between(threads: Threads, thread: str) -> None:
    scope(threads, "messages")
    let_in(threads, thread, "kim")
    scope(threads, "refills")
    let_in(threads, thread)
    threads.send("rosa", thread, "Between us.")
    scope(threads, "messages")
    with pytest.raises(NotFound):
        threads.fetch("kim", thread)
    assert offered(threads, "rosa", thread) == ("judy", "kim")
    let_in(threads, thread, "kim")
    threads.send("bob", thread, "Kim is back.")
    assert threads.texts("kim", thread) == [None, None, "Kim is back."]


def test_rosa_takes_him_out_of_one_conversation_while_he_goes_on_helping(threads: Threads, thread: str) -> None:
    scope(threads, "messages")
    let_in(threads, thread, "kim")
    let_in(threads, thread)
    with pytest.raises(NotFound):
        threads.fetch("kim", thread)
    threads.send("rosa", thread, "About a surprise for Kim.")
    assert threads.world.actor("kim").relation(threads.world.patients["rosa"]) is not None
    assert offered(threads, "rosa", thread) == ("judy", "kim")


def test_a_carer_lets_nobody_in_and_puts_nobody_out(threads: Threads, thread: str) -> None:
    scope(threads, "messages")
    let_in(threads, thread, "kim")
    for members in (("kim", "judy"), ()):
        with pytest.raises(Unprocessable) as refused:
            let_in(threads, thread, *members, by="kim")
        assert refused.value.code in ("membership", "creator")
    assert offered(threads, "kim", thread) == ()


def test_a_helper_for_orders_does_not_hold_up_letting_in_whom_a_conversation_waits_for(threads: Threads) -> None:
    """Somebody acts for Ann, who has no account, with orders only: the thread that waits is not open to him."""
    posted = threads.start("bob", "ann", "For Ann.", with_patient=False)
    threads.keys.enrol("judy")
    with threads.world.database.transaction() as session:
        relations.bind(
            session,
            agent=threads.keys.actor("bob").agent,
            account_id=threads.world.accounts["judy"],
            patient_id=threads.world.patients["ann"],
            kind=carers.Kind.CARER,
            scope=Scope.ORDERS,
        )
    with threads.world.database.transaction() as session:
        opened = reading.open_for_reading(session, actor=threads.keys.actor("bob"), thread_id=posted.thread_id)
    assert opened.joinable == ()
    with pytest.raises(NotFound):
        threads.fetch("judy", posted.thread_id)
