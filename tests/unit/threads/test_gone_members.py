"""Whose account was closed, or who acts for the patient no longer, gets nothing newer and stops nobody else."""

from dataclasses import replace

import pytest
from world import NOBODY, add_account
from world_threads import Threads, body

from portal.accounts import relations
from portal.accounts.roles import Kind, Scope
from portal.accounts.roles import Role as AccountRole
from portal.accounts.tables import Account
from portal.core import clock
from portal.core.errors import Conflict, NotFound, Unprocessable
from portal.e2ee.records import Role
from portal.e2ee.seal import Party
from portal.threads import notices
from portal.threads.sharing import who_shares

TEAM = "riverside_pharmacists"


@pytest.fixture
def family(threads: Threads) -> tuple[Threads, str]:
    """Rosa, her daughter Judy and her son Kim in one thread with the pharmacists."""
    with threads.world.database.transaction() as session:
        threads.world.accounts["kim"] = add_account(session, "kim", AccountRole.PATIENT)
        relations.bind(
            session,
            agent=NOBODY,
            account_id=threads.world.accounts["kim"],
            patient_id=threads.world.patients["rosa"],
            kind=Kind.CARER,
        )
    threads.keys.enrol("rosa", "judy", "kim")
    thread = threads.start("bob", "rosa", "For all of you.").thread_id
    threads.post("bob", thread, [threads.writer("bob", thread).epoch(parties(threads), clock.now_ms())])
    return threads, thread


def parties(threads: Threads, *names: str, shut: tuple[str, ...] = ()) -> list[Party]:
    people = names or ("rosa", "judy", "kim")
    roles = {"rosa": Role.PATIENT}
    listed = [replace(threads.party(name, roles.get(name, Role.PROXY)), shut=name in shut) for name in people]
    return [threads.party(TEAM, Role.TEAM), *listed]


def send(threads: Threads, by: str, thread: str, text: str, members: list[Party]) -> None:
    """A message under a new epoch."""
    writer = threads.writer(by, thread)
    content, key = body(text)
    made = [writer.epoch(members, clock.now_ms()), writer.message(content, clock.now_ms())]
    threads.post(by, thread, made, key=key)


def close(threads: Threads, name: str, *, closed: bool = True) -> None:
    with threads.world.database.transaction() as session:
        session.get_one(Account, threads.world.accounts[name]).disabled_at = clock.now() if closed else None


def part(threads: Threads, name: str) -> None:
    """The relation to Rosa ends."""
    with threads.world.database.transaction() as session:
        (found,) = relations.live(session, account_id=threads.world.accounts[name])
        relations.end(session, agent=NOBODY, relation_id=found.id)


def narrow(threads: Threads, name: str) -> None:
    """From now on medicines only, no messages."""
    with threads.world.database.transaction() as session:
        relations.bind(
            session,
            agent=NOBODY,
            account_id=threads.world.accounts[name],
            patient_id=threads.world.patients["rosa"],
            kind=Kind.CHILD,
            scope=Scope.REFILLS,
        )


def demanded(threads: Threads, by: str, thread: str) -> list[str]:
    with pytest.raises(Conflict) as refused:
        threads.send(by, thread, "Not like this.")
    assert refused.value.code == "rekey"
    ids = {account: name for name, account in threads.world.accounts.items()}
    return [ids[id] for id in refused.value.extra["ended"]]


@pytest.mark.parametrize("go", [close, part, narrow])
@pytest.mark.parametrize("writer", ["bob", "rosa"])
def test_a_carer_who_is_gone_is_left_out_by_the_next_who_writes(
    family: tuple[Threads, str],
    writer: str,
    go,  # type: ignore[no-untyped-def]
) -> None:
    threads, thread = family
    go(threads, "judy")
    assert demanded(threads, writer, thread) == ["judy"]
    with pytest.raises(Conflict) as refused:
        send(threads, writer, thread, "She is still listed.", parties(threads, shut=("judy",)))
    assert refused.value.extra["ended"] == [threads.world.accounts["judy"]]
    send(threads, writer, thread, "Without Judy.", parties(threads, "rosa", "kim"))
    threads.send("kim", thread, "Fine.")
    assert threads.world.accounts["judy"] not in threads.members("bob", thread)
    assert threads.texts("rosa", thread) == ["For all of you.", "Without Judy.", "Fine."]


def test_whose_access_ended_can_still_be_looked_up_by_who_must_verify_the_thread(family: tuple[Threads, str]) -> None:
    threads, thread = family
    part(threads, "judy")
    send(threads, "bob", thread, "Without Judy.", parties(threads, "rosa", "kim"))
    judy = frozenset({threads.world.accounts["judy"]})
    with threads.world.database.reading() as session:
        seen = {
            name: who_shares(session, threads.keys.actor(name), judy)
            for name in ("rosa", "kim", "bob", "dave", "carol")
        }
    assert seen == {"rosa": judy, "kim": judy, "bob": judy, "dave": frozenset(), "carol": frozenset()}


def test_a_carer_cannot_leave_another_one_out_and_seals_nothing_to_him(family: tuple[Threads, str]) -> None:
    threads, thread = family
    part(threads, "kim")
    assert demanded(threads, "judy", thread) == ["kim"]
    with pytest.raises(Unprocessable) as refused:
        send(threads, "judy", thread, "Out with him.", parties(threads, "rosa", "judy"))
    assert refused.value.code == "membership"
    send(threads, "judy", thread, "Kim, are you there?", parties(threads, shut=("kim",)))
    threads.send("judy", thread, "And so on.")
    records, _ = threads.fetch("bob", thread)
    assert [one.opened for one in threads.opened("kim", records).messages][1:] == [None, None]
    # Who may leave him out does so at the next occasion, which need not be now.
    threads.send("bob", thread, "I read you.")
    threads.keys.team(TEAM, "bob", "bob", "erin")
    assert demanded(threads, "bob", thread) == ["kim"]
    send(threads, "bob", thread, "Without Kim.", parties(threads, "rosa", "judy"))


def test_a_patient_whose_account_is_closed_stays_listed_reads_nothing_and_stops_nobody(
    family: tuple[Threads, str],
) -> None:
    threads, thread = family
    close(threads, "rosa")
    assert demanded(threads, "bob", thread) == ["rosa"]
    # Leaving her out is what no reader would accept: it looks the same as being put out by a dishonest server.
    with pytest.raises(Unprocessable) as refused:
        send(threads, "bob", thread, "Without Rosa?", parties(threads, "judy", "kim"))
    assert refused.value.code == "membership"
    send(threads, "bob", thread, "While she is away.", parties(threads, shut=("rosa",)))
    threads.send("judy", thread, "Thank you.")
    # A colleague joins: the new key comes without a halt, and Rosa again gets none.
    threads.keys.team(TEAM, "bob", "bob", "erin")
    assert demanded(threads, "judy", thread) == ["rosa"]
    send(threads, "judy", thread, "Hello Erin.", parties(threads, shut=("rosa",)))
    assert threads.texts("erin", thread) == ["For all of you.", "While she is away.", "Thank you.", "Hello Erin."]
    close(threads, "rosa", closed=False)
    # What was said meanwhile is closed to her, as a fault of hers alone, until somebody hands it over.
    assert threads.texts("rosa", thread) == ["For all of you.", None, None, None]
    assert demanded(threads, "bob", thread) == []
    send(threads, "bob", thread, "Welcome back.", parties(threads))
    assert threads.texts("rosa", thread) == ["For all of you.", None, None, None, "Welcome back."]
    writer = threads.writer("bob", thread)
    threads.post("bob", thread, [writer.history(threads.party("rosa", Role.PATIENT).entry, 3, 4, clock.now_ms())])
    assert threads.texts("rosa", thread)[1:] == ["While she is away.", "Thank you.", "Hello Erin.", "Welcome back."]


def test_who_is_gone_gets_no_newer_key_and_starting_again_does_not_help(family: tuple[Threads, str]) -> None:
    threads, thread = family
    threads.keys.start_again("rosa")
    close(threads, "rosa")
    with pytest.raises(Unprocessable) as refused:
        send(threads, "bob", thread, "To her new key.", parties(threads))
    assert refused.value.code == "member-key"
    old = threads.fetch("bob", thread)[1].seat(threads.world.accounts["rosa"])
    assert old is not None
    chained = threads.party("rosa", Role.PATIENT).entry
    first = replace(chained, gen=old.gen, kem=threads_first_key(threads))
    members = [threads.party(TEAM, Role.TEAM), Party(first, Role.PATIENT, shut=True), *parties(threads)[2:]]
    send(threads, "bob", thread, "Nobody is held up by her.", members)
    close(threads, "rosa", closed=False)
    with pytest.raises(Conflict) as held:
        threads.send("bob", thread, "Is it she?")
    assert held.value.code == "reset"


def threads_first_key(threads: Threads) -> bytes:
    """The key that Rosa had first, as the directory knows it."""
    from portal.pharmacies.keys import ServerDirectory

    with threads.world.database.reading() as session:
        entry = ServerDirectory(session).user(threads.world.accounts["rosa"], 1)
    assert entry is not None
    return entry.kem


def test_who_is_gone_is_sent_no_mail_and_sees_nothing_of_the_thread(family: tuple[Threads, str]) -> None:
    threads, thread = family
    with threads.world.database.transaction() as session:
        for name in ("judy", "kim"):
            row = session.get_one(Account, threads.world.accounts[name])
            row.email, row.email_verified = f"{name}@example.org", True
    part(threads, "judy")
    with threads.world.database.reading() as session:
        told = [notices.who_waits(session, threads.world.accounts[name], thread) for name in ("judy", "kim")]
    assert told[0] is None
    assert told[1] is not None
    with pytest.raises(NotFound):
        threads.fetch("judy", thread)


def test_a_thread_goes_on_when_nobody_acts_for_the_patient_any_more(family: tuple[Threads, str]) -> None:
    threads, thread = family
    for name in ("rosa", "judy", "kim"):
        part(threads, name)
    assert sorted(demanded(threads, "bob", thread)) == ["judy", "kim", "rosa"]
    send(threads, "bob", thread, "For the file.", parties(threads, "rosa", shut=("rosa",)))
    assert threads.texts("bob", thread)[-1] == "For the file."
