"""What goes on beside the requests: the outbox, the sealer and the timers, as threads of one process.

With SQLite they live in the portal's own process, otherwise in `portal worker`; several of those may run. A task
that fails is tried again after a growing pause and stops nobody else.
"""

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import Flask

from portal import audit
from portal.accounts import carer_invitations, carers, directory, offers
from portal.accounts.notices import KEYS_JOB, KeyNotice
from portal.audit import keys
from portal.audit.sealer import SEAL_EVERY, Sealer
from portal.care import asking, checking, consenting
from portal.core import clock, logs
from portal.core.ids import random_id
from portal.identity import sessions
from portal.notify.mail import Mailer, mailer
from portal.notify.notices import KIND, MessageNotice
from portal.notify.one_tap import OneTap
from portal.outbox import Runner, dead_letters
from portal.outbox.runner import Handler
from portal.pharmacies import identity_checks, recovery_key, staff, staff_invitations
from portal.privacy import stopping
from portal.threads import attachments, notices, retention
from portal.threads.waking import Waking
from portal.web.wiring import Services, readers_of

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 60.0
# How often a loop looks at the clock, which the demo's control room may move.
LOOK_SECONDS = 1.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Task:
    """Something to do again and again. `run` says how much it did; if `greedy` and that is above 0, at once again."""

    name: str
    every: timedelta
    run: Callable[[], int | None]
    greedy: bool = False


class Loop:
    """A thread that runs some tasks, each when it is due."""

    def __init__(self, name: str, tasks: Sequence[Task]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._due = dict.fromkeys(self._tasks, clock.monotonic())
        self._failures = dict.fromkeys(self._tasks, 0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go, name=f"portal-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the task under way end, and begin no other."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Whether the thread has ended within `seconds`."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def turn(self) -> None:
        """Run each task that is due now, once."""
        for name, task in self._tasks.items():
            if self._stopping.is_set():
                return
            now = clock.monotonic()
            # A clock that was set back must not put a task to sleep.
            self._due[name] = min(self._due[name], now + max(LONGEST_PAUSE_SECONDS, task.every.total_seconds()))
            if self._due[name] <= now:
                self._due[name] = clock.monotonic() + self._run(task)

    def _run(self, task: Task) -> float:
        """Run a task; seconds until it is due again."""
        token = logs.request_id.set(random_id())
        try:
            done = task.run()
        except Exception as problem:  # whatever it is, the other tasks go on and this one is tried again
            self._failures[task.name] += 1
            pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** self._failures[task.name])
            log.exception("worker task failed", extra={"task": task.name, "kind": type(problem).__name__})
            return max(pause, task.every.total_seconds())
        finally:
            logs.request_id.reset(token)
        self._failures[task.name] = 0
        return 0.0 if task.greedy and done else task.every.total_seconds()

    def _go(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            rest = min(self._due.values()) - clock.monotonic()
            self._stopping.wait(min(LOOK_SECONDS, max(0.0, rest)))


class Worker:
    """All loops of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._loops = [Loop(name, tasks) for name, tasks in loops(services).items()]

    def start(self) -> None:
        """Start all loops."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End all loops: what is under way gets some seconds; a job that does not end in time comes back later."""
        for loop in self._loops:
            loop.ask_to_stop()
        until = clock.monotonic() + STOP_SECONDS
        ended = [loop.wait(max(0.0, until - clock.monotonic())) for loop in self._loops]
        if not all(ended):
            log.warning("a worker loop did not end in time")
        audit.flush_refusals(self._services.database, stopping=True)


def start_beside(app: Flask) -> Callable[[], None]:
    """Start the worker in the portal's own process; call what is returned to stop it."""
    worker = Worker(app.extensions["portal"])
    worker.start()
    return worker.stop


def run_until_signal(app: Flask) -> None:
    """`portal worker`: work until SIGTERM or SIGINT, then end what is under way."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end = start_beside(app)
    log.info("worker started")
    stop.wait()
    end()
    log.info("worker stopped")


def handlers(services: Services) -> Mapping[str, Handler]:
    """Kind of job → what runs it."""
    given: Mailer = services.adapters.get("mailer") or mailer(services.settings)
    base_url = services.settings.base_url
    one_tap = OneTap(services.settings.secret_keys, base_url)
    return {
        KIND: MessageNotice(services.database, given, notices.who_waits, base_url, one_tap),
        KEYS_JOB: KeyNotice(services.database, given, base_url),
        identity_checks.NOTICE_JOB: identity_checks.IdentityNotice(services.database, given, base_url),
        stopping.OFFICE_JOB: stopping.OfficeNotice(services.database, given, base_url),
        recovery_key.NOTICE_JOB: recovery_key.SheetsNotice(services.database, given, base_url),
        staff_invitations.MAIL_JOB: staff_invitations.InvitationMail(services.database, given, base_url),
        carer_invitations.MAIL_JOB: carer_invitations.InvitationMail(services.database, given, base_url),
        carers.NOTICE_JOB: carers.CarerNotice(services.database, given, base_url, one_tap),
        directory.CHANGED_JOB: Waking(services.database, services.bus),
        asking.ANSWER_JOB: asking.AnswerNotice(services.database, given, base_url),
        checking.JOB: checking.CheckConnection(services.database, readers_of(services)),
    }


def loops(services: Services) -> Mapping[str, Sequence[Task]]:
    """Every loop with its tasks: outbox, sealer, housekeeping and the asking of EHRs do not wait for each other."""
    database = services.database
    runner = Runner(database, handlers(services))
    sealer = Sealer(database, keys.load(services.settings), services.settings.data_path / "checkpoints")

    def orphans() -> int:
        with database.transaction() as session:
            return attachments.remove_orphans(session)

    def offers_over() -> int:
        with database.transaction() as session:
            return offers.forget_over(session)

    def ends_of_carers() -> int:
        with database.transaction() as session:
            return carers.warn_of_ends(session)

    def old_rows() -> None:
        with database.transaction() as session:
            dead_letters.prune(session)
            retention.forget_accepted_keys(session)
            staff_invitations.forget_unused(session)
            carer_invitations.forget_unused(session)
            asking.forget_typed(session)

    return {
        "outbox": [Task("outbox", timedelta(seconds=1), runner.run_due, greedy=True)],
        "sealer": [Task("sealer", SEAL_EVERY, sealer.seal)],
        "housekeeping": [
            Task("sessions", timedelta(seconds=3), lambda: sessions.sweep(database, services.bus)),
            Task("last-days", timedelta(seconds=20), lambda: staff.close_past(database, services.bus), greedy=True),
            Task(
                "invitations",
                timedelta(seconds=20),
                lambda: staff.close_uninvited(database, services.bus),
                greedy=True,
            ),
            Task("refusals", timedelta(minutes=1), lambda: audit.flush_refusals(database)),
            Task("offers", timedelta(minutes=1), offers_over),
            Task("orphans", timedelta(minutes=10), orphans, greedy=True),
            Task("carers", timedelta(hours=1), ends_of_carers),
            Task("old-rows", timedelta(hours=1), old_rows),
        ],
        # A slow EHR holds up nobody's sign-out.
        "consents": [
            Task("consents", timedelta(minutes=10), lambda: consenting.ask_again(database, readers_of(services)))
        ],
    }
