"""Jobs that follow from a transaction: leases, retry with back-off, dead letters."""

from portal.outbox.jobs import Job, cancel, enqueue

__all__ = ["Job", "cancel", "enqueue"]
