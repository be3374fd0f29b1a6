"""Idempotency keys are kept as long as a browser may repeat a send, and no longer."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from portal.core import clock
from portal.core.database import Database
from portal.threads.retention import KEEP_ACCEPTED_KEYS, forget_accepted_keys
from portal.threads.tables import AcceptedKey


def test_accepted_keys_are_forgotten_after_thirty_days(database: Database, tuesday: datetime) -> None:
    with database.transaction() as session:
        for number, age in enumerate((timedelta(), KEEP_ACCEPTED_KEYS, KEEP_ACCEPTED_KEYS + timedelta(seconds=1))):
            session.add(
                AcceptedKey(
                    pharmacy_id="riverside",
                    account_id="a" * 32,
                    thread_id="f" * 32,
                    key=str(number),
                    digest=bytes(32),
                    seq=1,
                    accepted_at=clock.now() - age,
                )
            )
    with database.transaction() as session:
        forget_accepted_keys(session)
        assert session.scalar(select(func.count()).select_from(AcceptedKey)) == 2
