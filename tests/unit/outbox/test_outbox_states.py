"""Whatever happens to jobs and workers, in any order: nothing is lost, nothing runs twice without a reason."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from portal import outbox
from portal.core import clock, migrating
from portal.core.database import Database
from portal.outbox import Dead, Job, Retry, Runner, dead_letters
from portal.outbox.runner import LEASE, LONGEST_PAUSE_SECONDS


class Outbox(RuleBasedStateMachine):
    """Compares the outbox with a plain dictionary of what should have happened.

    Thirty steps are too few to wear out a job, so only a handler makes dead letters here.
    """

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.held = clock.frozen(datetime(2026, 11, 24, 15, tzinfo=UTC))
        self.held.__enter__()
        self.database = Database(f"sqlite:///{Path(self.folder.name) / 'outbox.sqlite3'}", pool_size=1)
        migrating.upgrade(self.database, "0001")
        self.runner = Runner(self.database, {"job": self.handle})
        self.plan = "done"
        self.state: dict[int, str] = {}
        self.attempts: dict[int, int] = {}
        self.waiting_names: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.held.__exit__(None, None, None)
            self.folder.cleanup()

    def handle(self, job: Job) -> None:
        number = job.payload["number"]
        assert self.state[number] == "open", "a finished job ran again"
        self.attempts[number] += 1
        assert job.attempt == self.attempts[number]
        self.waiting_names = {name: other for name, other in self.waiting_names.items() if other != number}
        if self.plan == "killed":
            raise KeyboardInterrupt
        if self.plan == "dead":
            self.state[number] = "dead"
        elif self.plan == "done":
            self.state[number] = "done"
        if self.plan == "dead":
            raise Dead("planned")
        if self.plan == "retry":
            raise Retry

    @rule(name=st.sampled_from([None, "a", "b"]), delay=st.sampled_from([0, 120]), kept=st.booleans())
    def put(self, name: str | None, delay: int, kept: bool) -> None:
        number = len(self.state)
        try:
            with self.database.transaction() as session:
                due_at = clock.now() + timedelta(seconds=delay)
                outbox.enqueue(session, "job", {"number": number}, due_at=due_at, dedupe=name)
                if not kept:
                    raise RuntimeError
        except RuntimeError:
            return
        if name in self.waiting_names:
            return
        self.state[number], self.attempts[number] = "open", 0
        if name:
            self.waiting_names[name] = number

    @rule(plan=st.sampled_from(["done", "retry", "dead", "killed"]))
    def run(self, plan: str) -> None:
        self.plan = plan
        try:
            self.runner.run_due(limit=3)
        except KeyboardInterrupt:
            assert plan == "killed"

    @rule(seconds=st.sampled_from([1.0, 10.0, LEASE.total_seconds(), 2 * LONGEST_PAUSE_SECONDS]))
    def wait(self, seconds: float) -> None:
        clock.shift(timedelta(seconds=seconds))

    @precondition(lambda self: "dead" in self.state.values())
    @rule()
    def bring_back(self) -> None:
        with self.database.transaction() as session:
            for letter in dead_letters.find(session):
                dead_letters.retry(session, letter.id)
        for number, state in self.state.items():
            if state == "dead":
                self.state[number], self.attempts[number] = "open", 0

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.reading() as session:
            dead = len(dead_letters.find(session))
        assert dead == list(self.state.values()).count("dead")

    @rule()
    def in_the_end_all_open_jobs_run(self) -> None:
        self.plan = "done"
        clock.shift(timedelta(seconds=2 * LONGEST_PAUSE_SECONDS))
        while self.runner.run_due():
            pass
        assert "open" not in self.state.values()


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
