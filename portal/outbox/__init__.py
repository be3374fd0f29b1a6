"""Jobs that follow from a transaction: leases, retry with back-off, dead letters."""

from portal.outbox.jobs import Job, Wanted, cancel, enqueue, enqueue_each
from portal.outbox.runner import Dead, Retry, Runner

__all__ = ["Dead", "Job", "Retry", "Runner", "Wanted", "cancel", "enqueue", "enqueue_each"]
