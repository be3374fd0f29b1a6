"""What of a thread is kept for a while only (docs/operations.md, retention)."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from portal.core import clock
from portal.threads.tables import AcceptedKey

# A browser's outbox repeats a send for at most this long after it first went out.
KEEP_ACCEPTED_KEYS = timedelta(days=30)


def forget_accepted_keys(session: Session) -> None:
    """Delete idempotency keys that no browser repeats any more. Run by the worker."""
    session.execute(delete(AcceptedKey).where(AcceptedKey.accepted_at < clock.now() - KEEP_ACCEPTED_KEYS))
