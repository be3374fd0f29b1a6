"""The sealer puts every row into the log once, whatever the order in which rows became visible."""

import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from portal.audit import canonical, keys
from portal.audit import sealer as sealing
from portal.audit.keys import LogKeys
from portal.audit.sealer import LATEST_COMMIT, SWEEP_EVERY, SealBroken, Sealer
from portal.audit.tables import AuditEvent
from portal.audit.verify import Finding, verify_audit
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings
from portal.translog.checkpoints import open_checkpoint
from portal.translog.notes import SigningKey

Reads = Callable[[int], None]


def late_row(database: Database, seq: int) -> None:
    """A row whose transaction began long ago and commits only now."""
    with database.transaction() as session:
        session.execute(
            insert(AuditEvent).values(
                seq=seq,
                id=ids.random_id(),
                recorded=clock.now(),
                action="thread.read",
                outcome="0",
                purpose="TREAT",
                salt=ids.random_bytes(16),
            )
        )


def sealed_rows(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.execute(text("SELECT event_seq FROM audit_leaf ORDER BY leaf_index")).scalars())


def test_a_checkpoint_is_signed_laid_down_and_shown(
    database: Database, sealer: Sealer, log_keys: LogKeys, settings: Settings, bob_reads: Reads
) -> None:
    bob_reads(3)
    assert sealer.seal() == 3
    folder = settings.data_path / "checkpoints"
    note = (folder / "latest").read_text("utf-8")
    assert (folder / "3.txt").read_text("utf-8") == note
    assert open_checkpoint(note, log_keys.verifiers, origin="localhost/audit").size == 3
    with database.reading() as session:
        assert sealing.latest_note(session) == sealing.note_of(session, 3) == note
        assert sealing.note_of(session, 2) is None
    assert sealer.seal() == 0


def test_before_the_first_row_there_is_no_checkpoint(database: Database, sealer: Sealer, settings: Settings) -> None:
    assert sealer.seal() == 0
    assert not (settings.data_path / "checkpoints").exists()
    with database.reading() as session:
        assert sealing.latest_note(session) is None


def test_the_sealer_goes_on_from_its_frontier(
    database: Database, sealer: Sealer, log_keys: LogKeys, bob_reads: Reads, settings: Settings
) -> None:
    for times in (1, 2, 5, 11):
        bob_reads(times)
        Sealer(database, log_keys, settings.data_path / "checkpoints").seal()
    verdict = verify_audit(database, log_keys.verifiers)
    assert (verdict.finding, verdict.rows, verdict.checkpoints) == (Finding.GOOD, 19, 4)


def test_many_rows_are_sealed_in_several_steps(
    database: Database,
    sealer: Sealer,
    log_keys: LogKeys,
    bob_reads: Reads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "ROWS_AT_ONCE", 4)
    bob_reads(10)
    assert sealer.seal() == 10
    assert verify_audit(database, log_keys.verifiers).checkpoints == 3


def test_a_row_that_commits_late_with_a_lower_number_is_sealed_too(
    database: Database, sealer: Sealer, log_keys: LogKeys, bob_reads: Reads
) -> None:
    for seq in (10, 12):
        late_row(database, seq)
    sealer.seal()
    late_row(database, 11)
    assert sealer.seal() == 1
    assert sealed_rows(database) == [10, 12, 11]
    assert verify_audit(database, log_keys.verifiers).finding is Finding.GOOD


def test_a_row_that_commits_hours_late_is_found_by_the_daily_sweep(
    database: Database, sealer: Sealer, log_keys: LogKeys, tuesday: object
) -> None:
    late_row(database, 10)
    sealer.seal()
    clock.shift(LATEST_COMMIT + timedelta(minutes=1))
    late_row(database, 5)
    assert sealer.seal() == 0
    assert verify_audit(database, log_keys.verifiers).unsealed == 1
    clock.shift(SWEEP_EVERY)
    assert sealer.seal() == 1
    assert sealed_rows(database) == [10, 5]


def test_a_checkpoint_file_that_a_crash_left_out_is_laid_down_next_time(
    database: Database, sealer: Sealer, settings: Settings, bob_reads: Reads
) -> None:
    bob_reads(1)
    sealer.seal()
    latest = settings.data_path / "checkpoints" / "latest"
    latest.unlink()
    sealer.seal()
    assert latest.exists()


def test_two_sealers_at_once_seal_each_row_once(
    database: Database, log_keys: LogKeys, settings: Settings, bob_reads: Reads
) -> None:
    bob_reads(50)
    sealers = [Sealer(database, log_keys, settings.data_path / "checkpoints") for _ in range(3)]
    threads = [threading.Thread(target=one.seal) for one in sealers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sealed_rows(database)) == 50
    names = {path.name for path in (settings.data_path / "checkpoints").iterdir()}
    assert names == {"50.txt", "latest"}
    assert verify_audit(database, log_keys.verifiers).finding is Finding.GOOD


@pytest.mark.parametrize(
    "manipulation",
    ["SET root = :bytes", "SET frontier = :frontier", "SET note = 'x'", "SET note = replace(note, '3', '4')"],
)
def test_the_sealer_does_not_sign_on_top_of_a_broken_checkpoint(
    database: Database, sealer: Sealer, bob_reads: Reads, unlocked: None, manipulation: str
) -> None:
    bob_reads(3)
    sealer.seal()
    with database.transaction() as session:
        values = {"bytes": bytes(32), "frontier": '["00"]'}
        used = {name: value for name, value in values.items() if f":{name}" in manipulation}
        session.execute(text(f"UPDATE audit_checkpoint {manipulation}"), used)
    bob_reads(1)
    with pytest.raises(SealBroken):
        sealer.seal()


def test_the_key_is_made_once_and_only_its_owner_may_read_it(settings: Settings) -> None:
    first = keys.load(settings)
    assert keys.load(settings).signing.verifier == first.signing.verifier
    path = settings.data_path / "keys" / keys.SIGNING_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(UnsafeSettings, match="chmod 600"):
        keys.load(settings)


def test_an_exchanged_key_leaves_old_checkpoints_valid(
    database: Database, sealer: Sealer, settings: Settings, bob_reads: Reads
) -> None:
    bob_reads(2)
    sealer.seal()
    new = keys.rotate(settings)
    after = keys.load(settings)
    assert after.signing.verifier == new
    assert len(after.verifiers) == 2
    bob_reads(2)
    Sealer(database, after, settings.data_path / "checkpoints").seal()
    assert verify_audit(database, after.verifiers, folder=settings.data_path / "checkpoints").good


def test_the_key_may_come_from_the_settings_and_be_exchanged_there(settings: Settings) -> None:
    old, new = SigningKey("portal.test/audit", bytes(32)), SigningKey("portal.test/audit", bytes(range(32)))
    first = keys.load(replace(settings, audit_signing_key=old.secret_text()))
    assert first.origin == "portal.test/audit"
    for previous in (old.secret_text(), str(old.verifier)):
        given_ = replace(settings, audit_signing_key=new.secret_text(), audit_signing_key_previous=previous)
        assert set(keys.load(given_).verifiers) == {old.verifier, new.verifier}
        with pytest.raises(UnsafeSettings):
            keys.rotate(given_)
    with pytest.raises(UnsafeSettings) as problem:
        keys.load(replace(settings, audit_signing_key=new.secret_text()[:-3]))
    assert "PRIVATE" not in str(problem.value)


@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "seq", "reason", "detail"]), st.none() | st.integers() | st.text()))
def test_two_different_rows_are_never_spelled_alike(row: dict[str, object]) -> None:
    told = {name: value for name, value in row.items() if value is not None}
    assert canonical.spelled(row) == canonical.spelled(told)
    assert canonical.spelled({**told, "role": "x"}) != canonical.spelled(told)
    assert canonical.spelled(row).isascii()


def test_no_key_is_written_into_a_folder_others_may_enter(settings: Settings) -> None:
    keys.load(settings)
    assert stat.S_IMODE(Path(settings.data_path / "keys").stat().st_mode) == 0o700
