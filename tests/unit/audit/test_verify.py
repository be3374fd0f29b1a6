"""Each way to manipulate the record is made here by someone with all rights, and must be named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.audit import keys, verify
from portal.audit.keys import LogKeys
from portal.audit.sealer import Sealer
from portal.audit.verify import Finding, Verdict, verify_audit, verify_portal
from portal.core import texts
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings
from portal.translog.checkpoints import Checkpoint
from portal.translog.notes import SigningKey

pytestmark = pytest.mark.usefixtures("unlocked")

Reads = Callable[[int], None]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "ROWS_AT_ONCE", 4)


@pytest.fixture
def sealed(sealer: Sealer, bob_reads: Reads) -> None:
    """Nine rows under three checkpoints, and two that are still young."""
    for times in (2, 3, 4):
        bob_reads(times)
        sealer.seal()
    bob_reads(2)


def change(database: Database, *statements: str) -> None:
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def found(database: Database, log_keys: LogKeys, **more: object) -> Verdict:
    verdict = verify_audit(database, log_keys.verifiers, **more)  # type: ignore[arg-type]
    assert verdict.good == (verdict.exit_code == 0)
    for language in texts.LANGUAGES:
        assert "\n" not in verdict.line(language)
    return verdict


@pytest.mark.usefixtures("sealed")
class TestManipulations:
    def test_an_untouched_record_is_intact(self, database: Database, log_keys: LogKeys, settings: Settings) -> None:
        folder = settings.data_path / "checkpoints"
        kept = (folder / "5.txt").read_text("utf-8")
        verdict = found(database, log_keys, kept=kept, folder=folder)
        assert verdict == Verdict(Finding.GOOD, rows=9, checkpoints=3, unsealed=2)
        assert "9 rows fit 3 signed checkpoints" in verdict.line()
        assert "2 younger rows" in verdict.line()

    @pytest.mark.parametrize(
        "edit",
        [
            "account_id = 'carol'",
            "recorded = '2026-01-01 00:00:00.000000'",
            "outcome = '8'",
            "patient_id = NULL",
            "detail = '{\"records\": 99}'",
            "salt = id",
        ],
    )
    def test_an_edited_row_is_named(self, database: Database, log_keys: LogKeys, edit: str) -> None:
        if not database.sqlite:
            edit = edit.replace("salt = id", "salt = decode(id, 'hex')")
        change(database, f"UPDATE audit_event SET {edit} WHERE seq = 4")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first) == (Finding.ROW_CHANGED, 4)
        assert "row 4 " in verdict.line()

    def test_a_row_edited_into_what_cannot_be_read_is_named(self, database: Database, log_keys: LogKeys) -> None:
        if not database.sqlite:
            return  # PostgreSQL keeps its types.
        for broken in ("detail = 'no json'", "recorded = 'yesterday'", "recorded = 5"):
            change(database, f"UPDATE audit_event SET {broken} WHERE seq = 7")
            verdict = found(database, log_keys)
            assert (verdict.finding, verdict.first) == (Finding.ROW_CHANGED, 7)

    def test_a_row_deleted_in_the_middle_is_named(self, database: Database, log_keys: LogKeys) -> None:
        _without_foreign_keys(database, "DELETE FROM audit_event WHERE seq = 4")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first) == (Finding.ROW_MISSING, 4)

    def test_a_row_deleted_with_its_leaf_is_named_by_its_place(self, database: Database, log_keys: LogKeys) -> None:
        change(database, "DELETE FROM audit_leaf WHERE event_seq = 4", "DELETE FROM audit_event WHERE seq = 4")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first) == (Finding.LEAF_MISSING, 3)

    def test_a_row_deleted_with_its_leaf_and_the_gap_closed_is_found_by_the_checkpoint(
        self, database: Database, log_keys: LogKeys
    ) -> None:
        change(database, "DELETE FROM audit_leaf WHERE event_seq = 4", "DELETE FROM audit_event WHERE seq = 4")
        for index in range(4, 9):
            change(database, f"UPDATE audit_leaf SET leaf_index = {index - 1} WHERE leaf_index = {index}")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first, verdict.last, verdict.size) == (Finding.ROWS_REWRITTEN, 3, 6, 5)

    def test_two_swapped_rows_are_named(self, database: Database, log_keys: LogKeys) -> None:
        _without_foreign_keys(
            database,
            "UPDATE audit_event SET seq = 1000 WHERE seq = 3",
            "UPDATE audit_event SET seq = 3 WHERE seq = 6",
            "UPDATE audit_event SET seq = 6 WHERE seq = 1000",
        )
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first) == (Finding.ROW_CHANGED, 3)

    def test_two_rows_swapped_in_the_log_are_found_by_the_checkpoint(
        self, database: Database, log_keys: LogKeys
    ) -> None:
        change(
            database,
            "UPDATE audit_leaf SET leaf_index = 1000 WHERE leaf_index = 3",
            "UPDATE audit_leaf SET leaf_index = 3 WHERE leaf_index = 4",
            "UPDATE audit_leaf SET leaf_index = 4 WHERE leaf_index = 1000",
        )
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first, verdict.last) == (Finding.ROWS_REWRITTEN, 3, 5)

    def test_a_row_edited_together_with_its_leaf_is_found_by_the_checkpoint(
        self, database: Database, log_keys: LogKeys
    ) -> None:
        change(database, "UPDATE audit_event SET account_id = 'carol' WHERE seq = 4")
        _hash_anew(database)
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first, verdict.last, verdict.size) == (Finding.ROWS_REWRITTEN, 3, 5, 5)

    def test_a_tail_cut_from_rows_and_log_is_named(self, database: Database, log_keys: LogKeys) -> None:
        change(database, "DELETE FROM audit_leaf WHERE event_seq > 7", "DELETE FROM audit_event WHERE seq > 7")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.size, verdict.rows) == (Finding.TAIL_CUT, 9, 7)

    def test_a_tail_cut_everywhere_is_named_by_a_kept_checkpoint(
        self, database: Database, log_keys: LogKeys, settings: Settings
    ) -> None:
        folder = settings.data_path / "checkpoints"
        change(
            database,
            "DELETE FROM audit_checkpoint WHERE size > 5",
            "DELETE FROM audit_leaf WHERE event_seq > 5",
            "DELETE FROM audit_event WHERE seq > 5",
        )
        assert found(database, log_keys).good
        kept = (folder / "9.txt").read_text("utf-8")
        for verdict in (found(database, log_keys, kept=kept), found(database, log_keys, folder=folder)):
            assert (verdict.finding, verdict.size, verdict.rows) == (Finding.TAIL_CUT, 9, 5)

    def test_a_full_recompute_with_the_signing_key_is_named_by_a_kept_checkpoint(
        self, database: Database, log_keys: LogKeys, settings: Settings, tmp_path: Path
    ) -> None:
        kept = (settings.data_path / "checkpoints" / "5.txt").read_text("utf-8")
        change(
            database,
            "UPDATE audit_event SET account_id = 'carol' WHERE seq = 4",
            "DELETE FROM audit_checkpoint",
            "DELETE FROM audit_leaf",
        )
        # The portal's own sealer would see its folder; who holds the key has a folder of the own.
        Sealer(database, log_keys, tmp_path / "elsewhere").seal()
        assert found(database, log_keys).good
        verdict = found(database, log_keys, kept=kept)
        assert (verdict.finding, verdict.size) == (Finding.KEPT_DIFFERS, 5)

    def test_a_recompute_without_the_signing_key_is_a_forged_checkpoint(
        self, database: Database, log_keys: LogKeys
    ) -> None:
        thief = SigningKey(log_keys.origin, bytes(32))
        with database.transaction() as session:
            size, root = session.execute(text("SELECT size, root FROM audit_checkpoint WHERE size = 9")).one()
            note = Checkpoint(log_keys.origin, size, bytes(root)).signed(thief)
            session.execute(text("UPDATE audit_checkpoint SET note = :note WHERE size = 9"), {"note": note})
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.size) == (Finding.CHECKPOINT_FORGED, 9)

    def test_a_checkpoint_moved_to_another_size_is_forged(self, database: Database, log_keys: LogKeys) -> None:
        change(database, "UPDATE audit_checkpoint SET size = 8 WHERE size = 9")
        assert found(database, log_keys).finding is Finding.CHECKPOINT_FORGED

    def test_leaves_added_without_a_checkpoint_are_found(self, database: Database, log_keys: LogKeys) -> None:
        change(database, "DELETE FROM audit_checkpoint WHERE size = 9")
        verdict = found(database, log_keys)
        assert (verdict.finding, verdict.first, verdict.last) == (Finding.ROWS_REWRITTEN, 6, 9)

    @pytest.mark.parametrize("kept", ["", "hello", "portal.example/kt\n70\nAAAA\n\n— portal.example/kt AAAAAAAA\n"])
    def test_a_kept_file_that_is_no_checkpoint_is_said_to_be_unusable(
        self, database: Database, log_keys: LogKeys, kept: str
    ) -> None:
        verdict = found(database, log_keys, kept=kept)
        assert (verdict.finding, verdict.exit_code) == (Finding.KEPT_UNREADABLE, 2)

    def test_two_signed_checkpoints_of_one_size_that_differ_are_found(
        self, database: Database, log_keys: LogKeys, settings: Settings
    ) -> None:
        folder = settings.data_path / "checkpoints"
        other = Checkpoint(log_keys.origin, 9, bytes(32)).signed(log_keys.signing)
        assert found(database, log_keys, kept=other, folder=folder).finding is Finding.KEPT_DIFFERS
        empty = Checkpoint(log_keys.origin, 0, bytes(32)).signed(log_keys.signing)
        assert found(database, log_keys, kept=empty).finding is Finding.KEPT_DIFFERS


def test_a_record_that_was_never_sealed_says_so(database: Database, settings: Settings, bob_reads: Reads) -> None:
    bob_reads(2)
    verdict = found(database, keys.load(settings), folder=Path(settings.data_path / "checkpoints"))
    assert verdict == Verdict(Finding.NOTHING_SEALED, unsealed=2)


class TestTheCommand:
    def test_it_uses_the_keys_and_checkpoints_of_the_portal(
        self, database: Database, settings: Settings, sealed: None
    ) -> None:
        assert verify_portal(settings, database).finding is Finding.GOOD
        kept = settings.data_path / "checkpoints" / "5.txt"
        assert verify_portal(settings, database, kept).finding is Finding.GOOD
        kept.write_bytes(b"\xff\xfe")
        assert verify_portal(settings, database, kept).finding is Finding.KEPT_UNREADABLE

    def test_the_list_of_keys_is_enough(self, database: Database, settings: Settings, sealed: None) -> None:
        (settings.data_path / "keys" / keys.SIGNING_FILE).unlink()
        assert verify_portal(settings, database).finding is Finding.GOOD
        assert not (settings.data_path / "keys" / keys.SIGNING_FILE).exists()

    def test_without_any_key_it_does_not_guess(self, database: Database, settings: Settings, sealed: None) -> None:
        elsewhere = replace(settings, data_dir=str(settings.data_path / "elsewhere"))
        with pytest.raises(UnsafeSettings, match="no key"):
            verify_portal(elsewhere, database)
        with pytest.raises(UnsafeSettings, match="cannot be used"):
            verify_portal(replace(elsewhere, audit_signing_key_previous="nonsense"), database)

    def test_a_portal_that_never_sealed_says_so(self, database: Database, settings: Settings, bob_reads: Reads) -> None:
        bob_reads(1)
        assert verify_portal(settings, database) == Verdict(Finding.NOTHING_SEALED, unsealed=1)


def test_every_finding_has_its_sentence() -> None:
    for language in texts.LANGUAGES:
        for finding in Finding:
            assert f"audit.verify.{finding}" in texts.catalogue(language)


def _without_foreign_keys(database: Database, *statements: str) -> None:
    with database.engine.connect() as connection:
        if database.sqlite:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute("PRAGMA foreign_keys = OFF")  # type: ignore[attr-defined]
            for statement in statements:
                raw.execute(statement)  # type: ignore[attr-defined]
            raw.execute("PRAGMA foreign_keys = ON")  # type: ignore[attr-defined]
            return
        connection.exec_driver_sql("ALTER TABLE audit_leaf DROP CONSTRAINT IF EXISTS fk_audit_leaf_event_seq")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()


def _hash_anew(database: Database) -> None:
    """What a thorough forger does: make every leaf fit the changed rows."""
    with database.transaction() as session:
        for leaf in list(verify._batch(session, -1, 100)):
            event = {name: leaf[name] for name in verify._EVENT_COLUMNS}
            session.execute(
                text("UPDATE audit_leaf SET leaf_hash = :hash WHERE event_seq = :seq"),
                {"hash": verify.canonical.sealed(event), "seq": leaf["event_seq"]},
            )
