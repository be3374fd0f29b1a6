"""What an operator does with jobs: see dead letters, try them again, give them up; and how much is waiting."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.database import table_of
from portal.core.errors import NotFound
from portal.outbox.tables import OutboxJob

# Finished jobs are kept this long, so that "was it sent?" can be answered (docs/operations.md, retention).
KEEP_FINISHED = timedelta(days=7)

_TABLE = table_of(OutboxJob)
_DEAD = and_(_TABLE.c.dead_at.is_not(None), _TABLE.c.done_at.is_(None))


@dataclass(frozen=True)
class DeadLetter:
    """A job that nobody tries any more. Its payload is left out: an operator sees no ids of patients."""

    id: str
    kind: str
    pharmacy_id: str | None
    created_at: datetime
    dead_at: datetime
    attempts: int
    last_error: str | None


@dataclass(frozen=True)
class Backlog:
    """How the outbox stands: jobs due now, seconds the oldest of them has waited, dead letters."""

    due: int
    oldest_seconds: float
    dead: int


def find(session: Session, *, after: str = "", limit: int = 50) -> list[DeadLetter]:
    """Dead letters by id, those after `after` (keyset)."""
    names = ("id", "kind", "pharmacy_id", "created_at", "dead_at", "attempts", "last_error")
    rows = session.execute(
        select(*(_TABLE.c[name] for name in names)).where(_DEAD, _TABLE.c.id > after).order_by(_TABLE.c.id).limit(limit)
    )
    return [DeadLetter(**row._mapping) for row in rows]


def retry(session: Session, job_id: str) -> str:
    """Bring a dead letter back, with all its attempts anew. Gives its kind. Raises NotFound."""
    return _change(session, job_id, dead_at=None, attempts=0, due_at=clock.now(), lease_owner=None, lease_until=None)


def give_up(session: Session, job_id: str) -> str:
    """Put a dead letter aside for good. Gives its kind. Raises NotFound."""
    return _change(session, job_id, done_at=clock.now())


def backlog(session: Session) -> Backlog:
    """What waits, for metrics and the doctor."""
    now = clock.now()
    waiting: ColumnElement[bool] = and_(_TABLE.c.done_at.is_(None), _TABLE.c.dead_at.is_(None), _TABLE.c.due_at <= now)
    due, oldest = session.execute(select(func.count(), func.min(_TABLE.c.due_at)).where(waiting)).one()
    dead = session.execute(select(func.count()).where(_DEAD)).scalar_one()
    return Backlog(due, (now - oldest).total_seconds() if oldest else 0.0, dead)


def prune(session: Session) -> None:
    """Delete finished and given-up jobs that are older than `KEEP_FINISHED`."""
    session.execute(delete(_TABLE).where(_TABLE.c.done_at < clock.now() - KEEP_FINISHED))


def _change(session: Session, job_id: str, **values: object) -> str:
    kind: str | None = session.scalar(
        update(_TABLE).where(_TABLE.c.id == job_id, _DEAD).values(**values).returning(_TABLE.c.kind)
    )
    if kind is None:
        raise NotFound()
    return kind
