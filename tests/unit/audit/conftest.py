"""People and a sealed record for the tests of this folder."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from portal import audit
from portal.audit import Action, Agent, Entity, keys
from portal.audit.keys import LogKeys
from portal.audit.sealer import Sealer
from portal.core.database import Database
from portal.core.settings import Settings

ALICE, DAVE = "a" * 32, "d" * 32
BOB = Agent("b" * 32, "pharmacist", session_ref="5e55", address="192.0.2.7", request_id="req-1")


@pytest.fixture
def log_keys(settings: Settings) -> LogKeys:
    return keys.load(settings)


@pytest.fixture
def sealer(database: Database, settings: Settings, log_keys: LogKeys) -> Sealer:
    return Sealer(database, log_keys, settings.data_path / "checkpoints")


@pytest.fixture
def bob_reads(database: Database) -> Callable[[int], None]:
    """Bob reads Alice's thread so many times."""

    def reads(times: int) -> None:
        with database.transaction() as session:
            for number in range(times):
                audit.record(
                    session,
                    Action.THREAD_READ,
                    agent=BOB,
                    patient_id=ALICE,
                    pharmacy_id="riverside",
                    entity=Entity("Thread", f"thread-{number}"),
                    detail={"records": number},
                )

    return reads


@pytest.fixture
def unlocked(database: Database) -> None:
    """What someone with all rights on the database does first: the triggers are gone."""
    with database.transaction() as session:
        for table in ("audit_event", "audit_leaf", "audit_checkpoint"):
            if database.sqlite:
                for act in ("update", "delete", "replace"):
                    session.execute(text(f"DROP TRIGGER {table}_no_{act}"))
            else:
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
