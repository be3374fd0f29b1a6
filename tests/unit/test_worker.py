"""The worker's loops run what is due, survive what fails, and end when asked."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from portal import audit, outbox, worker
from portal.audit import Action, Agent
from portal.core import clock
from portal.core.bus import open_bus
from portal.core.database import Database
from portal.core.settings import Settings
from portal.notify.mail import Mail
from portal.notify.notices import KIND
from portal.web.wiring import Services
from portal.worker import LONGEST_PAUSE_SECONDS, Loop, Task, Worker


@pytest.fixture
def services(settings: Settings, database: Database) -> Services:
    class Nobody:
        def send(self, mail: Mail) -> None:
            raise AssertionError

    bus = open_bus(settings)
    return Services(settings, database, bus, {"mailer": Nobody()})


class Count:
    """A task that counts its runs and fails when told to."""

    def __init__(self, *problems: Exception | None, done: int = 0) -> None:
        self.runs = 0
        self.problems = list(problems)
        self.done = done
        self.ran = threading.Event()

    def __call__(self) -> int:
        self.runs += 1
        self.ran.set()
        if self.problems and (problem := self.problems.pop(0)):
            raise problem
        return self.done


def test_each_task_runs_when_it_is_due(tuesday: object) -> None:
    often, seldom = Count(), Count()
    loop = Loop("t", [Task("often", timedelta(minutes=1), often), Task("seldom", timedelta(hours=1), seldom)])
    for _ in range(180):
        loop.turn()
        clock.shift(timedelta(minutes=1, milliseconds=1))
    assert (often.runs, seldom.runs) == (180, 3)


def test_a_failing_task_pauses_longer_and_longer_and_lets_the_others_run(tuesday: object) -> None:
    bad, good = Count(*[ValueError("metformin")] * 1000), Count()
    every = timedelta(seconds=1)
    loop = Loop("t", [Task("bad", every, bad), Task("good", every, good)])
    for _ in range(300):
        loop.turn()
        clock.shift(timedelta(seconds=1, milliseconds=1))
    assert good.runs == 300
    assert 5 <= bad.runs <= 15
    bad.problems.clear()
    clock.shift(timedelta(seconds=LONGEST_PAUSE_SECONDS))
    before = bad.runs
    for _ in range(10):
        loop.turn()
        clock.shift(timedelta(seconds=1, milliseconds=1))
    assert bad.runs == before + 10


def test_a_greedy_task_goes_on_while_it_finds_something(tuesday: object) -> None:
    count = Count(done=50)
    loop = Loop("t", [Task("outbox", timedelta(hours=1), count, greedy=True)])
    for _ in range(3):
        loop.turn()
    assert count.runs == 3
    count.done = 0
    for _ in range(3):
        loop.turn()
    assert count.runs == 4


def test_a_clock_set_back_puts_no_task_to_sleep(tuesday: object) -> None:
    count = Count()
    loop = Loop("t", [Task("t", timedelta(seconds=10), count)])
    clock.shift(timedelta(days=3))
    loop.turn()
    clock.shift(timedelta(days=-3))
    loop.turn()
    clock.shift(timedelta(seconds=LONGEST_PAUSE_SECONDS + 1))
    loop.turn()
    assert count.runs == 2


def test_a_loop_ends_when_asked_and_the_task_under_way_ends_first() -> None:
    entered, leave, left = threading.Event(), threading.Event(), []

    def slow() -> int:
        entered.set()
        leave.wait(20)
        left.append(1)
        return 0

    loop = Loop("t", [Task("slow", timedelta(hours=1), slow)])
    loop.start()
    assert entered.wait(20)
    loop.ask_to_stop()
    assert not loop.wait(0.01)
    leave.set()
    assert loop.wait(20)
    assert left == [1]


def test_the_whole_worker_seals_runs_jobs_and_stops(services: Services) -> None:
    with services.database.transaction() as session:
        audit.record(session, Action.LOGIN_SUCCEEDED, agent=Agent("alice", "patient"))
        outbox.enqueue(session, KIND, {"account": "a" * 32, "thread": "f" * 32})
    for _ in range(12):
        audit.record_refusal(services.database, Action.ACCESS_REFUSED, agent=Agent("dave", "patient"), reason="foreign")
    running = Worker(services)
    running.start()
    latest = services.settings.data_path / "checkpoints" / "latest"
    again = threading.Event()
    for _ in range(200):
        with services.database.reading() as session:
            done = session.execute(text("SELECT count(*) FROM outbox_job WHERE done_at IS NOT NULL")).scalar_one()
        if done and latest.exists():
            break
        again.wait(0.1)
    running.stop()
    assert done == 1
    assert latest.exists()
    with services.database.reading() as session:
        folded = session.execute(text("SELECT count(*) FROM audit_event WHERE reason = 'folded'")).scalar_one()
    assert folded == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("portal-")]


def test_every_task_of_the_worker_runs_on_an_empty_database(services: Services) -> None:
    for tasks in worker.loops(services).values():
        for task in tasks:
            task.run()
