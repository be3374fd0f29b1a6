"""Questions and changes in one trip: the same answers and rows on both databases, in fewer statements."""

from sqlalchemy import bindparam, event, insert, select, update
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.database import Database
from portal.core.together import MOST_PARAMETERS, Questions, Together, among, at_once
from portal.outbox.tables import OutboxJob
from portal.threads import tell
from portal.threads.tables import InboxCounter, ReadPosition

JOBS = OutboxJob.__table__
POSITIONS = ReadPosition.__table__
COUNTERS = InboxCounter.__table__


def job(number: int) -> dict[str, object]:
    now = clock.now()
    return {
        "id": f"job-{number}",
        "kind": "test",
        "payload": {"number": number, "nothing": None},
        "created_at": now,
        "due_at": now,
        "attempts": 0,
    }


def position(account_id: str, read: int) -> dict[str, object]:
    whose = {"pharmacy_id": "p", "account_id": account_id, "thread_id": "t"}
    return {**whose, "delivered_seq": read, "read_seq": read, "read_messages": read}


def test_each_question_gets_its_own_rows_in_its_own_types(database: Database) -> None:
    asked = Questions(
        jobs=select(JOBS.c.payload, JOBS.c.due_at).where(among(JOBS.c.id, "jobs")),
        positions=select(POSITIONS.c.read_seq).where(POSITIONS.c.account_id == bindparam("reader")),
        nothing=select(POSITIONS.c.thread_id, POSITIONS.c.account_id).where(POSITIONS.c.thread_id == "other"),
    )
    first, second = job(1), job(2)
    with database.transaction() as session:
        session.execute(insert(JOBS), [first, second, job(3)])
        session.execute(insert(POSITIONS), position("alice", 4))
    with database.reading() as session:
        answers = asked.ask(session, {"jobs": ["job-1", "job-2"], "reader": "alice"})
        none = asked.ask(session, {"jobs": [], "reader": "dave"})
    assert sorted(answers["jobs"], key=lambda row: row[0]["number"]) == [
        ({"number": 1, "nothing": None}, first["due_at"]),
        ({"number": 2, "nothing": None}, second["due_at"]),
    ]
    assert answers["positions"] == [(4,)]
    assert answers["nothing"] == []
    assert none == {"jobs": [], "positions": [], "nothing": []}


def test_changes_wait_until_they_are_written_and_then_all_are_there(database: Database) -> None:
    move = update(POSITIONS).where(POSITIONS.c.account_id == bindparam("reader")).values(read_seq=bindparam("sequence"))
    seen: list[str] = []
    note = lambda *args: seen.append(args[2])  # noqa: E731
    with database.transaction() as session:
        session.execute(insert(POSITIONS), [position("alice", 1), position("bob", 1)])
        later = Together(session)
        later.execute(move, {"reader": "alice", "sequence": 7})
        later.execute(insert(JOBS), [job(1), job(2)])
        later.execute(insert(POSITIONS), [])
        assert session.execute(select(JOBS.c.id)).all() == []
        event.listen(database.engine, "before_cursor_execute", note)
        later.write()
        event.remove(database.engine, "before_cursor_execute", note)
        later.write()
        assert session.execute(select(POSITIONS.c.read_seq).order_by(POSITIONS.c.account_id)).all() == [(7,), (1,)]
        assert [row.payload["number"] for row in session.execute(select(JOBS).order_by(JOBS.c.id))] == [1, 2]
    assert len(seen) == (2 if database.sqlite else 1)


def test_more_changes_than_one_statement_takes_go_in_several(database: Database) -> None:
    with database.transaction() as session:
        later = Together(session)
        for number in range(MOST_PARAMETERS):
            later.execute(insert(JOBS), job(number))
        later.write()
        assert len(session.execute(select(JOBS.c.id)).all()) == MOST_PARAMETERS


def test_a_count_comes_back_for_each_row(database: Database) -> None:
    statements = tell._STATEMENTS.of(Session(database.engine))
    rows = [{"pharmacy_id": "riverside", "reader_id": reader, "change_no": 1} for reader in ("alice", "team")]
    with database.transaction() as session:
        assert sorted(at_once(session, statements.count, rows)) == [("alice", 1), ("team", 1)]
        assert at_once(session, statements.count, rows[:1]) == [("alice", 2)]
