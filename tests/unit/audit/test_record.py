"""What is recorded, what is refused, and that refusals cannot flood the record."""

import json
import sys
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from portal import audit
from portal.audit import Action, Agent, Entity
from portal.audit.record import MOST_WINDOWS, REFUSALS_A_MINUTE, _folding
from portal.core import clock
from portal.core.database import Database

ALICE = "a" * 32
BOB = Agent("b" * 32, "pharmacist", session_ref="5e55", address="192.0.2.7", request_id="req-1")


def rows(database: Database) -> list[dict[str, object]]:
    with database.reading() as session:
        found = session.execute(text("SELECT * FROM audit_event ORDER BY seq")).mappings().all()
    return [dict(row) | {"detail": _loaded(row["detail"])} for row in found]


def _loaded(detail: object) -> object:
    return json.loads(detail) if isinstance(detail, str) else detail


def refuse(database: Database, times: int, agent: Agent = BOB) -> None:
    for _ in range(times):
        audit.record_refusal(
            database,
            Action.THREAD_READ,
            agent=agent,
            patient_id=ALICE,
            entity=Entity("Thread", "f" * 32),
            reason="foreign",
        )


def test_a_row_says_who_did_what_to_whose_data_and_when(database: Database, tuesday: object) -> None:
    with database.transaction() as session:
        audit.record(
            session,
            Action.THREAD_READ,
            agent=BOB,
            patient_id=ALICE,
            pharmacy_id="riverside",
            entity=Entity("Thread", "f" * 32),
            detail={"records": 3, "kinds": ["msg", "epoch"]},
        )
    (row,) = rows(database)
    assert (row["account_id"], row["role"], row["session_ref"]) == ("b" * 32, "pharmacist", "5e55")
    assert (row["action"], row["outcome"], row["purpose"]) == ("thread.read", "0", "TREAT")
    assert (row["patient_id"], row["pharmacy_id"]) == (ALICE, "riverside")
    assert (row["entity_kind"], row["entity_id"]) == ("Thread", "f" * 32)
    assert row["detail"] == {"records": 3, "kinds": ["msg", "epoch"]}


def test_no_act_without_its_row_and_no_row_without_its_act(database: Database) -> None:
    def fails() -> None:
        with database.transaction() as session:
            audit.record(session, Action.THREAD_READ, agent=BOB, patient_id=ALICE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert rows(database) == []


def test_a_search_records_one_row_for_each_patient_found(database: Database) -> None:
    with database.transaction() as session:
        audit.record_each(session, Action.PATIENT_LOOKED_UP, agent=BOB, patient_ids=[ALICE, "d" * 32])
        audit.record_each(session, Action.PATIENT_LOOKED_UP, agent=BOB, patient_ids=[])
    assert [row["patient_id"] for row in rows(database)] == [ALICE, "d" * 32]


def test_recording_is_one_statement(database: Database) -> None:
    seen: list[str] = []
    with database.transaction() as session:
        audit.record(session, Action.THREAD_READ, agent=BOB)
        listen = lambda *given: seen.append(given[2])  # noqa: E731
        event.listen(database.engine, "before_cursor_execute", listen)
        audit.record(session, Action.THREAD_READ, agent=BOB)
        event.remove(database.engine, "before_cursor_execute", listen)
    assert len(seen) == 1
    assert seen[0].startswith("INSERT")


@pytest.mark.parametrize(
    "given",
    [
        {"reason": "Alice takes metformin"},
        {"reason": "x" * 65},
        {"reason": ""},
        {"entity": Entity("Thread", "metformin 500 mg")},
        {"entity": Entity("Thread", "x" * 129)},
        {"agent": Agent("Bob Miller", "pharmacist")},
        {"agent": Agent("b", "pharmacist", request_id="1\r\n2")},
        {"detail": {"text": "my pills"}},
        {"detail": {"text": "línea"}},
        {"detail": {"result": 7.1}},
        {"detail": {"nested": {"a": 1}}},
        {"detail": {"list": ["fine", "not fine"]}},
    ],
)
def test_names_sentences_and_results_cannot_enter(database: Database, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="audit row"), database.transaction() as session:
        audit.record(session, Action.THREAD_READ, **{"agent": BOB, **given})  # type: ignore[arg-type]
    assert rows(database) == []


def test_refusals_are_written_one_by_one_up_to_ten_a_minute(database: Database, tuesday: object) -> None:
    refuse(database, REFUSALS_A_MINUTE)
    written = rows(database)
    assert len(written) == REFUSALS_A_MINUTE
    assert {row["outcome"] for row in written} == {"8"}
    assert {(row["reason"], row["patient_id"]) for row in written} == {("foreign", ALICE)}


def test_more_refusals_are_counted_and_none_is_lost(database: Database, tuesday: object) -> None:
    refuse(database, 500)
    clock.shift(timedelta(seconds=61))
    audit.flush_refusals(database)
    written = rows(database)
    folded = [row for row in written if row["reason"] == "folded"]
    assert len(written) < 20
    assert sum(row["detail"]["count"] for row in folded) + REFUSALS_A_MINUTE == 500  # type: ignore[index]
    # A count stands for many things and people, so it names none of them.
    assert {(row["patient_id"], row["entity_id"]) for row in folded} == {(None, None)}
    assert len({row["id"] for row in written}) == len(written)
    audit.flush_refusals(database)
    assert len(rows(database)) == len(written)


def test_a_process_that_stops_writes_all_its_counts(database: Database, tuesday: object) -> None:
    refuse(database, 13)
    audit.flush_refusals(database)
    assert len(rows(database)) == REFUSALS_A_MINUTE
    audit.flush_refusals(database, stopping=True)
    assert rows(database)[-1]["detail"] == {"count": 3}


def test_after_a_minute_refusals_are_written_one_by_one_again(database: Database, tuesday: object) -> None:
    refuse(database, 12)
    clock.shift(timedelta(seconds=61))
    refuse(database, 1)
    assert [row["reason"] for row in rows(database)[-2:]] == ["folded", "foreign"]


def test_one_person_does_not_fold_another_away(database: Database) -> None:
    refuse(database, 30)
    refuse(database, 1, Agent(None, None, address="198.51.100.1"))
    refuse(database, 1, Agent("c" * 32, "pharmacist", address="192.0.2.7"))
    assert [row["reason"] for row in rows(database)[-2:]] == ["foreign", "foreign"]


def test_foreign_and_unknown_take_the_same_statements(database: Database) -> None:
    statements: list[list[str]] = []
    for patient_id, entity in ((ALICE, Entity("Thread", "f" * 32)), (None, Entity("Thread", "0" * 32))):
        seen: list[str] = []
        listen = lambda *given, seen=seen: seen.append(given[2])  # noqa: E731
        event.listen(database.engine, "before_cursor_execute", listen)
        audit.record_refusal(
            database, Action.THREAD_READ, agent=BOB, patient_id=patient_id, entity=entity, reason="not-found"
        )
        event.remove(database.engine, "before_cursor_execute", listen)
        statements.append([statement for statement in seen if not statement.startswith("BEGIN")])
    assert statements[0] == statements[1]
    assert len(statements[0]) == 1


def test_a_flood_from_everywhere_does_not_fill_the_memory(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_WINDOWS == 10_000
    monkeypatch.setattr(sys.modules["portal.audit.record"], "MOST_WINDOWS", 3)
    for number in range(9):
        refuse(database, 11, Agent(None, None, address=f"192.0.2.{number}"))
    assert len(_folding(database)._windows) <= 3
    assert len([row for row in rows(database) if row["reason"] == "folded"]) >= 6


def test_refusals_of_many_threads_are_all_counted(database: Database, tuesday: object) -> None:
    threads = [threading.Thread(target=refuse, args=(database, 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.shift(timedelta(seconds=61))
    audit.flush_refusals(database)
    written = rows(database)
    counted = sum(row["detail"]["count"] for row in written if row["reason"] == "folded")  # type: ignore[index]
    assert counted + len([row for row in written if row["reason"] == "foreign"]) == 200
