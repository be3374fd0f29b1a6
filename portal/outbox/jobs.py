"""Putting jobs into the outbox, in the transaction that makes them necessary."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from portal.core import clock, ids
from portal.core.database import InEachDialect, table_of
from portal.core.lives import Life, Step
from portal.core.together import Writing
from portal.outbox.tables import OutboxJob

_TABLE = table_of(OutboxJob)
# A job says what is to be done by ids; whoever wants to send more has the wrong tool.
LARGEST_PAYLOAD = 16_384


class State(StrEnum):
    """Where a job stands. `done` is also what an operator gave up."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to a job."""

    ENQUEUED = "enqueued"
    TAKEN = "taken by a worker"
    LEASE_OVER = "lease over, taken by another"
    SUCCEEDED = "succeeded"
    FAILED = "failed, comes back"
    WORN_OUT = "failed for good"
    RETRIED = "tried again by an operator"
    GIVEN_UP = "given up by an operator"
    CANCELLED = "taken back"


LIFE: Life[State, Event] = Life(
    "outbox job",
    (
        Step(None, Event.ENQUEUED, State.WAITING),
        Step(State.WAITING, Event.CANCELLED, State.CANCELLED),
        Step(State.WAITING, Event.TAKEN, State.RUNNING),
        Step(State.RUNNING, Event.LEASE_OVER, State.RUNNING),
        Step(State.RUNNING, Event.FAILED, State.WAITING),
        Step(State.RUNNING, Event.SUCCEEDED, State.DONE),
        Step(State.RUNNING, Event.WORN_OUT, State.DEAD),
        Step(State.DEAD, Event.RETRIED, State.WAITING),
        Step(State.DEAD, Event.GIVEN_UP, State.DONE),
    ),
)
_INSERT = InEachDialect(lambda insert: insert(_TABLE).on_conflict_do_nothing(index_elements=["dedupe"]))


@dataclass(frozen=True)
class Wanted:
    """A job to be put in: see `enqueue`."""

    payload: Mapping[str, Any]
    dedupe: str | None = None
    pharmacy_id: str | None = None


@dataclass(frozen=True)
class Job:
    """A job as its handler sees it. `attempt` counts from 1."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    pharmacy_id: str | None
    attempt: int
    created_at: datetime


def enqueue(
    session: Writing,
    kind: str,
    payload: dict[str, Any],
    *,
    due_at: datetime | None = None,
    dedupe: str | None = None,
    pharmacy_id: str | None = None,
) -> None:
    """Add a job to the caller's transaction: it runs once that is committed, at `due_at` (now) or later.

    A job runs at least once; its handler must bear a second run. With `dedupe` (at most 120 characters) the call
    does nothing while a job of that name waits for its first run: the first one's time and payload stand. The name
    is free again as soon as that run begins, since what happens then may need another one.
    Payloads hold ids, never text of people. Raises ValueError for one that is too large.
    """
    enqueue_each(session, kind, [Wanted(payload, dedupe, pharmacy_id)], due_at=due_at)


def enqueue_each(session: Writing, kind: str, wanted: Iterable[Wanted], *, due_at: datetime | None = None) -> None:
    """Add several jobs of one kind, each as `enqueue` does, in one statement."""
    now = clock.now()
    rows = [
        {
            "id": ids.random_id(),
            "pharmacy_id": job.pharmacy_id,
            "kind": kind,
            "payload": job.payload,
            "dedupe": job.dedupe,
            "created_at": now,
            "due_at": due_at or now,
            "attempts": 0,
        }
        for job in wanted
    ]
    if any(len(json.dumps(row["payload"])) > LARGEST_PAYLOAD for row in rows):
        raise ValueError(f"the payload of a {kind} job is larger than {LARGEST_PAYLOAD} characters")
    if rows:
        session.execute(_INSERT.of(session), rows)


def cancel(session: Session, dedupe: str) -> None:
    """Take back the open job named `dedupe`, if there is one and nobody is at it."""
    session.execute(
        _TABLE.delete().where(
            _TABLE.c.dedupe == dedupe,
            _TABLE.c.done_at.is_(None),
            _TABLE.c.dead_at.is_(None),
            _TABLE.c.lease_owner.is_(None),
        )
    )
