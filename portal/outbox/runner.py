"""Running jobs after their transaction: one worker at a time holds a job by a lease, failures come back later.

A worker that dies keeps its lease until it runs out; then another one takes the job. So a job runs at least once,
and a handler must bear a second run. Only the name of an error is kept, since its text could hold patient data.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update

from portal.core import clock, ids
from portal.core.database import Database, table_of
from portal.core.errors import Unavailable
from portal.outbox.jobs import Job
from portal.outbox.tables import OutboxJob

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=120)
# Back-off doubles from five seconds to an hour: sixteen attempts reach over about seven hours.
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0
MOST_ATTEMPTS = 16

_TABLE = table_of(OutboxJob)
_OPEN = and_(_TABLE.c.done_at.is_(None), _TABLE.c.dead_at.is_(None))

Handler = Callable[[Job], None]


class Retry(Exception):
    """Raised by a handler: not now. `after` is in seconds; without it the back-off decides."""

    def __init__(self, after: float | None = None, *, reason: str = "retry") -> None:
        self.after, self.reason = after, reason
        super().__init__(reason)


class Dead(Exception):
    """Raised by a handler: never again by itself; an operator looks at it. `reason` is a code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Runner:
    """Runs due jobs of the kinds it has handlers for; any number of runners may share a database."""

    def __init__(self, database: Database, handlers: Mapping[str, Handler], *, lease: timedelta = LEASE) -> None:
        self._database = database
        self._handlers = dict(handlers)
        self._lease = lease

    def run_due(self, limit: int = 50) -> int:
        """Run up to `limit` due jobs, oldest first; how many there were. Raises Unavailable without a database."""
        for count in range(limit):
            if not self._run_one():
                return count
        return limit

    def _run_one(self) -> bool:
        with self._database.reading() as session:
            # Looking first keeps an idle worker away from the write lock of SQLite.
            if session.execute(self._due(clock.now())).first() is None:
                return False
        taken = self._take()
        if taken is None:
            return False
        job, owner = taken
        if job.attempt > MOST_ATTEMPTS:
            self._close(job, owner, dead_at=clock.now(), last_error="worker-lost")
            return True
        try:
            self._handlers[job.kind](job)
        except Retry as problem:
            self._put_off(job, owner, problem.reason, problem.after)
        except Dead as problem:
            log.warning("outbox job is dead", extra={"job": job.id, "kind": job.kind, "reason": problem.reason})
            self._close(job, owner, dead_at=clock.now(), last_error=problem.reason[:200])
        except Unavailable as problem:
            self._put_off(job, owner, problem.code, None)
        except Exception as problem:  # a handler's fault must not stop the others; it is kept and tried again
            self._put_off(job, owner, type(problem).__name__, None)
        else:
            self._close(job, owner, done_at=clock.now(), last_error=None)
        return True

    def _due(self, now: datetime) -> Any:
        return (
            select(_TABLE.c.id)
            .where(
                _OPEN,
                _TABLE.c.due_at <= now,
                _TABLE.c.kind.in_(self._handlers),
                or_(_TABLE.c.lease_until.is_(None), _TABLE.c.lease_until <= now),
            )
            .order_by(_TABLE.c.due_at, _TABLE.c.created_at, _TABLE.c.id)
            .limit(1)
        )

    def _take(self) -> tuple[Job, str] | None:
        now, owner = clock.now(), ids.random_id()
        due = self._due(now)
        if not self._database.sqlite:
            due = due.with_for_update(skip_locked=True)
        with self._database.transaction() as session:
            row = session.execute(
                update(_TABLE)
                .where(_TABLE.c.id == due.scalar_subquery())
                .values(lease_owner=owner, lease_until=now + self._lease, attempts=_TABLE.c.attempts + 1, dedupe=None)
                .returning(*_TABLE.c)
            ).first()
        if row is None:
            return None
        return Job(row.id, row.kind, row.payload, row.pharmacy_id, row.attempts, row.created_at), owner

    def _put_off(self, job: Job, owner: str, reason: str, after: float | None) -> None:
        if job.attempt >= MOST_ATTEMPTS:
            log.warning("outbox job is dead", extra={"job": job.id, "kind": job.kind, "reason": reason})
            self._close(job, owner, dead_at=clock.now(), last_error=reason[:200])
            return
        pause = pause_after(job.attempt) if after is None else after
        log.info("outbox job comes back", extra={"job": job.id, "kind": job.kind, "reason": reason})
        self._close(job, owner, due_at=clock.now() + timedelta(seconds=pause), last_error=reason[:200])

    def _close(self, job: Job, owner: str, **values: object) -> None:
        with self._database.transaction() as session:
            kept = session.execute(
                update(_TABLE)
                .where(_TABLE.c.id == job.id, _TABLE.c.lease_owner == owner)
                .values(lease_owner=None, lease_until=None, **values)
                .returning(_TABLE.c.id)
            ).first()
        if kept is None:
            # Somebody else has it by now, because this run took longer than the lease.
            log.warning("outbox job outlived its lease", extra={"job": job.id, "kind": job.kind})


def pause_after(attempt: int) -> float:
    """Seconds until the next attempt: doubling, capped, spread by up to a quarter so that failures do not march."""
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
    return pause * (1 + ids.jitter() / 4)
