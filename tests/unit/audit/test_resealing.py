"""Who has all rights on the database, but not the key, waits for the sealer to sign what was changed: it does not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from portal.audit.keys import LogKeys
from portal.audit.sealer import SealBroken, Sealer
from portal.audit.verify import Finding, verify_audit
from portal.core.database import Database
from portal.core.settings import Settings

pytestmark = pytest.mark.usefixtures("unlocked")


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.data_path / "checkpoints"


@pytest.fixture
def taken_back(database: Database, sealer: Sealer, bob_reads: Callable[[int], None]) -> Callable[[int], None]:
    """Nine rows under three checkpoints; then row 4 is changed and what was sealed behind `size` rows is unsealed."""
    for times in (2, 3, 4):
        bob_reads(times)
        sealer.seal()

    def take_back(size: int) -> None:
        with database.transaction() as session:
            session.execute(text("UPDATE audit_event SET account_id = 'carol' WHERE seq = 4"))
            session.execute(text(f"DELETE FROM audit_leaf WHERE leaf_index >= {size}"))
            session.execute(text(f"DELETE FROM audit_checkpoint WHERE size > {size}"))

    return take_back


@pytest.mark.parametrize("size", [0, 2])
def test_the_sealer_never_goes_back_behind_what_it_laid_down(
    sealer: Sealer, taken_back: Callable[[int], None], folder: Path, size: int
) -> None:
    before = (folder / "latest").read_text("utf-8")
    taken_back(size)
    with pytest.raises(SealBroken):
        sealer.seal()
    assert (folder / "latest").read_text("utf-8") == before


def test_nor_signs_on_top_of_another_record_of_the_same_size(
    database: Database,
    log_keys: LogKeys,
    sealer: Sealer,
    bob_reads: Callable[[int], None],
    taken_back: Callable[[int], None],
    tmp_path: Path,
) -> None:
    taken_back(2)
    Sealer(database, log_keys, tmp_path / "elsewhere").seal()
    bob_reads(1)
    with pytest.raises(SealBroken):
        sealer.seal()


def test_every_checkpoint_of_the_folder_counts_not_the_newest_alone(
    database: Database, log_keys: LogKeys, taken_back: Callable[[int], None], folder: Path, tmp_path: Path
) -> None:
    taken_back(2)
    # Another sealer with the key and an empty folder, which then writes its own newest checkpoint over the kept one.
    Sealer(database, log_keys, tmp_path / "elsewhere").seal()
    (folder / "latest").write_text((tmp_path / "elsewhere" / "latest").read_text("utf-8"), "utf-8")
    (folder / "9.txt").unlink()
    verdict = verify_audit(database, log_keys.verifiers, folder=folder)
    assert (verdict.finding, verdict.size) == (Finding.KEPT_DIFFERS, 5)
