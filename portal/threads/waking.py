"""Threads that a patient may be let into: when she enrols, the members' open browsers hear of it."""

from sqlalchemy import select

from portal.accounts.relations import live
from portal.core.bus import Bus
from portal.core.database import Database
from portal.outbox import Job
from portal.threads import tell
from portal.threads.joining import open_to
from portal.threads.tables import Thread


class Waking:
    """The handler of `directory.CHANGED_JOB`. Running twice only tells twice."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    def __call__(self, job: Job) -> None:
        """Touch every thread that this account may be let into, and tell its readers."""
        if job.payload["what"] != "entry":
            return
        with self._database.transaction() as session:
            kinds = {one.patient_id: one.kind for one in live(session, account_id=str(job.payload["account"]))}
            threads = session.scalars(select(Thread).where(Thread.patient_id.in_(kinds)).order_by(Thread.id))
            waiting = [one for one in threads if open_to(one, kinds[one.patient_id])]
            told = [tell.touch(session, pharmacy_id=one.pharmacy_id, thread_id=one.id) for one in waiting]
        for one in told:
            one.publish(self._bus)
