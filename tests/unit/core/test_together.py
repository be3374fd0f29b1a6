"""Questions and changes in one trip: the same answers and rows on both databases, in fewer statements."""

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.database import Database
from portal.core.together import Questions, Together, among, at_once
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
    with database.transaction() as session:
        session.execute(insert(POSITIONS), [position("alice", 1), position("bob", 1)])
        later = Together(session)
        later.execute(move, {"reader": "alice", "sequence": 7})
        later.execute(insert(JOBS), [job(1), job(2)])
        later.execute(insert(POSITIONS), [])
        assert session.execute(select(JOBS.c.id)).all() == []
        later.write()
        later.write()
        assert session.execute(select(POSITIONS.c.read_seq).order_by(POSITIONS.c.account_id)).all() == [(7,), (1,)]
        assert [row.payload["number"] for row in session.execute(select(JOBS).order_by(JOBS.c.id))] == [1, 2]


def test_changes_of_one_table_are_made_in_their_order(database: Database) -> None:
    move = update(POSITIONS).where(POSITIONS.c.account_id == bindparam("reader")).values(read_seq=bindparam("sequence"))
    with database.transaction() as session:
        later = Together(session)
        later.execute(insert(POSITIONS), position("alice", 1))
        for number in range(2, 6):
            later.execute(insert(JOBS), job(number))
            later.execute(move, {"reader": "alice", "sequence": number})
        later.write()
        assert session.scalars(select(POSITIONS.c.read_seq)).all() == [5]
        assert len(session.execute(select(JOBS.c.id)).all()) == 4


def test_a_count_comes_back_for_each_row(database: Database) -> None:
    statements = tell._STATEMENTS.of(Session(database.engine))
    rows = [{"pharmacy_id": "riverside", "reader_id": reader, "change_no": 1} for reader in ("alice", "team")]
    with database.transaction() as session:
        assert sorted(map(tuple, at_once(session, statements.count, rows))) == [("alice", 1), ("team", 1)]
        assert list(map(tuple, at_once(session, statements.count, rows[:1]))) == [("alice", 2)]
