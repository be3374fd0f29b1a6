"""Jobs run after their transaction, in order, once where all goes well, and again where it did not."""

import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import text

from portal import outbox
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import NotFound, Unavailable
from portal.outbox import Dead, Job, Retry, Runner, dead_letters
from portal.outbox.runner import FIRST_PAUSE_SECONDS, LEASE, LONGEST_PAUSE_SECONDS, MOST_ATTEMPTS, pause_after


class Told:
    """A handler that keeps what it was given and does as it is told."""

    def __init__(self, *problems: BaseException) -> None:
        self.jobs: list[Job] = []
        self.problems = list(problems)

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        if self.problems:
            raise self.problems.pop(0)


def put(database: Database, *names: str, **more: object) -> None:
    with database.transaction() as session:
        for name in names:
            outbox.enqueue(session, "mail", {"to": name}, **more)  # type: ignore[arg-type]


def later(seconds: float) -> None:
    clock.shift(timedelta(seconds=seconds))


def test_jobs_run_in_the_order_in_which_they_are_due(database: Database) -> None:
    told = Told()
    put(database, "rosa", due_at=clock.now() + timedelta(minutes=2))
    put(database, "alice")
    put(database, "bob")
    runner = Runner(database, {"mail": told})
    assert runner.run_due() == 2
    later(121)
    assert runner.run_due() == 1
    assert [job.payload["to"] for job in told.jobs] == ["alice", "bob", "rosa"]
    assert runner.run_due() == 0


def test_a_job_of_a_transaction_that_failed_never_runs(database: Database) -> None:
    told = Told()

    def sends_and_fails() -> None:
        with database.transaction() as session:
            outbox.enqueue(session, "mail", {"to": "alice"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        sends_and_fails()
    assert Runner(database, {"mail": told}).run_due() == 0


def test_one_name_waits_once_and_is_free_when_its_run_begins(database: Database) -> None:
    put(database, "alice", "bob", dedupe="notice:alice")
    ran: list[str] = []

    def again(job: Job) -> None:
        ran.append(job.payload["to"])
        if len(ran) == 1:
            put(database, "carol", dedupe="notice:alice")

    runner = Runner(database, {"mail": again})
    assert runner.run_due() == 2
    assert ran == ["alice", "carol"]


def test_a_job_can_be_taken_back_before_it_runs(database: Database) -> None:
    told = Told()
    put(database, "alice", dedupe="notice:alice")
    with database.transaction() as session:
        outbox.cancel(session, "notice:alice")
        outbox.cancel(session, "notice:alice")
    assert Runner(database, {"mail": told}).run_due() == 0


def test_a_failing_job_comes_back_and_lets_the_others_pass(database: Database) -> None:
    told = Told(ValueError("Alice takes metformin"), Unavailable("smtp-down"))
    put(database, "alice", "bob")
    runner = Runner(database, {"mail": told})
    assert runner.run_due() == 2
    with database.reading() as session:
        kept = session.execute(text("SELECT last_error FROM outbox_job ORDER BY created_at")).scalars().all()
    assert kept == ["ValueError", "smtp-down"]
    assert runner.run_due() == 0
    later(FIRST_PAUSE_SECONDS * 1.3)
    assert runner.run_due() == 2
    assert [job.attempt for job in told.jobs] == [1, 1, 2, 2]


def test_a_handler_may_say_when(database: Database) -> None:
    told = Told(Retry(300, reason="quiet-hours"))
    put(database, "alice")
    runner = Runner(database, {"mail": told})
    runner.run_due()
    later(299)
    assert runner.run_due() == 0
    later(2)
    assert runner.run_due() == 1


def test_after_the_last_attempt_a_job_is_a_dead_letter_that_an_operator_brings_back(database: Database) -> None:
    told = Told(*[ValueError()] * MOST_ATTEMPTS)
    put(database, "alice")
    runner = Runner(database, {"mail": told})
    for _ in range(MOST_ATTEMPTS):
        assert runner.run_due() == 1
        later(2 * LONGEST_PAUSE_SECONDS)
    assert runner.run_due() == 0
    with database.transaction() as session:
        (letter,) = dead_letters.find(session)
        assert (letter.kind, letter.attempts, letter.last_error) == ("mail", MOST_ATTEMPTS, "ValueError")
        assert dead_letters.backlog(session).dead == 1
        dead_letters.retry(session, letter.id)
    assert runner.run_due() == 1
    with database.reading() as session:
        assert dead_letters.find(session) == []


def test_a_job_without_hope_is_dead_at_once_and_can_be_given_up(database: Database) -> None:
    put(database, "alice")
    Runner(database, {"mail": Told(Dead("no-such-mailbox"))}).run_due()
    with database.transaction() as session:
        (letter,) = dead_letters.find(session)
        dead_letters.give_up(session, letter.id)
        assert dead_letters.find(session) == []
        for act in (dead_letters.retry, dead_letters.give_up):
            with pytest.raises(NotFound):
                act(session, letter.id)
    later(dead_letters.KEEP_FINISHED.total_seconds() + 1)
    with database.transaction() as session:
        dead_letters.prune(session)
        assert session.execute(text("SELECT count(*) FROM outbox_job")).scalar_one() == 0


def test_kinds_without_a_handler_wait_for_a_worker_that_knows_them(database: Database) -> None:
    put(database, "alice")
    assert Runner(database, {"push": Told()}).run_due() == 0
    assert Runner(database, {"mail": Told()}).run_due() == 1


def test_the_backlog_says_how_long_the_oldest_has_waited(database: Database, tuesday: object) -> None:
    with database.reading() as session:
        assert dead_letters.backlog(session) == dead_letters.Backlog(0, 0.0, 0)
    put(database, "alice", "bob")
    later(90)
    with database.reading() as session:
        assert dead_letters.backlog(session) == dead_letters.Backlog(2, 90.0, 0)


KILLED = """
import os, signal, sys
from portal.core.database import Database
from portal.outbox import Runner
Runner(Database(sys.argv[1]), {"mail": lambda job: os.kill(os.getpid(), signal.SIGKILL)}).run_due()
"""


def test_the_job_of_a_killed_worker_runs_when_its_lease_is_over(database: Database, database_url: str) -> None:
    told = Told()
    put(database, "alice")
    killed = subprocess.run([sys.executable, "-c", KILLED, database_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    runner = Runner(database, {"mail": told})
    assert runner.run_due() == 0
    later(LEASE.total_seconds() + 1)
    assert runner.run_due() == 1
    assert runner.run_due() == 0
    assert [job.attempt for job in told.jobs] == [2]


def test_a_job_that_kills_every_worker_ends_as_a_dead_letter(database: Database) -> None:
    put(database, "alice")
    told = Told(*[KeyboardInterrupt()] * MOST_ATTEMPTS)
    runner = Runner(database, {"mail": told})
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            runner.run_due()
        later(LEASE.total_seconds() + 1)
    assert runner.run_due() == 1
    with database.reading() as session:
        assert [letter.last_error for letter in dead_letters.find(session)] == ["worker-lost"]


def test_a_run_that_outlives_its_lease_does_not_close_the_job_of_another(database: Database) -> None:
    put(database, "alice")
    second = Told(Retry(60))

    def slow(job: Job) -> None:
        later(LEASE.total_seconds() + 1)
        Runner(database, {"mail": second}).run_due()

    Runner(database, {"mail": slow}).run_due()
    later(61)
    assert Runner(database, {"mail": second}).run_due() == 1


def test_pauses_double_up_to_an_hour_and_are_spread() -> None:
    for attempt in range(1, MOST_ATTEMPTS + 1):
        least = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        assert least <= pause_after(attempt) <= least * 1.25


def test_payloads_are_small(database: Database) -> None:
    with pytest.raises(ValueError), database.transaction() as session:
        outbox.enqueue(session, "mail", {"text": ids.token(20_000)})
