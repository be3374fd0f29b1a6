"""Checking the sealed record: recompute every leaf and every root, and say the first thing that does not fit.

Who changes a row, deletes one in the middle or swaps two is found by the leaves; who changes the leaves too, by the
signed checkpoints; who rewrites everything and holds the signing key, only by a checkpoint that somebody kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.audit import canonical, keys
from portal.audit.tables import AuditCheckpoint, AuditEvent, AuditLeaf
from portal.core import texts
from portal.core.database import Database, table_of
from portal.core.settings import Settings, UnsafeSettings
from portal.translog.checkpoints import Checkpoint, open_checkpoint
from portal.translog.merkle import EMPTY_ROOT, CompactRange
from portal.translog.notes import NoteRefused, VerifierKey

ROWS_AT_ONCE = 5_000

_EVENT = table_of(AuditEvent)
_LEAF = table_of(AuditLeaf)
_CHECKPOINT = table_of(AuditCheckpoint)
_EVENT_COLUMNS = tuple(column.name for column in _EVENT.columns)


class Finding(StrEnum):
    """What verification can find; each has its sentence in the catalogue (`audit.verify.<finding>`)."""

    GOOD = "good"
    NOTHING_SEALED = "nothing-sealed"
    ROW_CHANGED = "row-changed"
    ROW_MISSING = "row-missing"
    LEAF_MISSING = "leaf-missing"
    ROWS_REWRITTEN = "rows-rewritten"
    TAIL_CUT = "tail-cut"
    CHECKPOINT_FORGED = "checkpoint-forged"
    KEPT_DIFFERS = "kept-differs"
    KEPT_UNREADABLE = "kept-unreadable"


@dataclass(frozen=True)
class Verdict:
    """What was found. `first` is the number (seq) of the first row concerned, `last` ends a stretch of rows."""

    finding: Finding
    rows: int = 0
    checkpoints: int = 0
    unsealed: int = 0
    first: int | None = None
    last: int | None = None
    size: int | None = None

    @property
    def good(self) -> bool:
        """Whether the record is as it was sealed."""
        return self.finding in (Finding.GOOD, Finding.NOTHING_SEALED)

    @property
    def exit_code(self) -> int:
        """0 for a good record, 1 for one that was tampered with, 2 when the kept checkpoint cannot be used."""
        return 0 if self.good else 2 if self.finding is Finding.KEPT_UNREADABLE else 1

    def line(self, language: str = texts.DEFAULT_LANGUAGE) -> str:
        """The one line for the operator."""
        numbers = {name: value for name, value in vars(self).items() if name != "finding"}
        return texts.get(f"audit.verify.{self.finding.value}", language, **numbers)


class _Found(Exception):
    def __init__(self, finding: Finding, **numbers: int) -> None:
        self.verdict = Verdict(finding, **numbers)


def verify_portal(settings: Settings, database: Database, checkpoint_file: Path | None = None) -> Verdict:
    """`portal verify-audit [--checkpoint FILE]`: check the record with the keys and checkpoints of this portal.

    Raises UnsafeSettings when checkpoints are stored and no key is known, OSError for a file that cannot be read.
    """
    known = keys.known(settings)
    kept = None if checkpoint_file is None else checkpoint_file.read_text("utf-8", errors="replace")
    if not known:
        with database.reading() as session:
            if kept is not None or session.execute(select(func.count()).select_from(_CHECKPOINT)).scalar():
                raise UnsafeSettings(["no key of the audit log is known: run this where PORTAL_DATA_DIR/keys lies"])
            return Verdict(Finding.NOTHING_SEALED, unsealed=_unsealed(session))
    return verify_audit(database, known, kept=kept, folder=settings.data_path / "checkpoints")


def verify_audit(
    database: Database,
    verifiers: tuple[VerifierKey, ...],
    *,
    kept: str | None = None,
    folder: Path | None = None,
) -> Verdict:
    """Check the whole record against its checkpoints, against `kept` (the text of a checkpoint that somebody kept)
    and against all those the sealer laid into `folder`. Raises Unavailable when the database does not answer.
    """
    try:
        # Read before the database, so that what a sealer at work adds meanwhile is not missed there.
        outside = _outside(kept, verifiers, folder)
    except _Found as found:
        return found.verdict
    with database.reading() as session:
        unsealed = _unsealed(session)
        checkpoints = session.execute(select(_CHECKPOINT).order_by(_CHECKPOINT.c.size)).all()
        try:
            stored = [_opened(row, verifiers) for row in checkpoints]
            rows = _recompute(session, stored, outside)
        except _Found as found:
            return replace(found.verdict, checkpoints=len(checkpoints), unsealed=unsealed)
    finding = Finding.GOOD if stored else Finding.NOTHING_SEALED
    return Verdict(finding, rows=rows, checkpoints=len(stored), unsealed=unsealed)


def _recompute(session: Session, stored: list[Checkpoint], outside: list[Checkpoint]) -> int:
    """Walk through all leaves; the number of rows. Raises _Found."""
    tree, stretch = CompactRange(), _Stretch()
    due = iter([*stored, None])
    checkpoint = next(due)
    kept: dict[int, bytes] = {}
    for other in outside:
        if kept.setdefault(other.size, other.root) != other.root:
            raise _Found(Finding.KEPT_DIFFERS, size=other.size)
    if kept.pop(0, EMPTY_ROOT) != EMPTY_ROOT:
        raise _Found(Finding.KEPT_DIFFERS, size=0)
    for row in _leaves(session):
        if row["leaf_index"] != tree.size:
            raise _Found(Finding.LEAF_MISSING, first=tree.size)
        if row["seq"] is None:
            raise _Found(Finding.ROW_MISSING, first=row["event_seq"])
        if not _fits(row):
            raise _Found(Finding.ROW_CHANGED, first=row["seq"])
        tree.append(row["leaf_hash"])
        stretch.add(row["seq"])
        if checkpoint is not None and checkpoint.size == tree.size:
            if checkpoint.root != tree.root():
                raise _Found(Finding.ROWS_REWRITTEN, first=stretch.first, last=stretch.last, size=tree.size)
            checkpoint, stretch = next(due), _Stretch()
        if kept.pop(tree.size, None) not in (None, tree.root()):
            raise _Found(Finding.KEPT_DIFFERS, size=tree.size)
    beyond = [*kept] if checkpoint is None else [*kept, stored[-1].size]
    if beyond:
        raise _Found(Finding.TAIL_CUT, size=max(beyond), rows=tree.size)
    if stretch.first:
        # Leaves are only ever written together with their checkpoint.
        raise _Found(Finding.ROWS_REWRITTEN, first=stretch.first, last=stretch.last, size=tree.size)
    return tree.size


@dataclass
class _Stretch:
    """The row numbers since the last good checkpoint."""

    first: int = 0
    last: int = 0

    def add(self, seq: int) -> None:
        self.first = min(self.first or seq, seq)
        self.last = max(self.last, seq)


def _fits(row: Mapping[str, Any]) -> bool:
    try:
        return bool(canonical.sealed({name: row[name] for name in _EVENT_COLUMNS}) == row["leaf_hash"])
    except (TypeError, ValueError):
        # A value of another type than the column's: SQLite lets that happen.
        return False


def _leaves(session: Session) -> Iterator[Mapping[str, Any]]:
    """All leaves with their rows, in the order of the log, a few thousand at a time."""
    after = -1
    while True:
        try:
            batch = _batch(session, after, ROWS_AT_ONCE)
        except (TypeError, ValueError):
            # Somewhere in this batch stands what is no moment or no JSON; one by one it is found.
            yield from _one_by_one(session, after)
            return
        yield from batch
        if len(batch) < ROWS_AT_ONCE:
            return
        after = batch[-1]["leaf_index"]


def _one_by_one(session: Session, after: int) -> Iterator[Mapping[str, Any]]:
    leaves = session.execute(select(_LEAF).where(_LEAF.c.leaf_index > after).order_by(_LEAF.c.leaf_index))
    for leaf in leaves.all():
        try:
            yield from _batch(session, leaf.leaf_index - 1, 1)
        except (TypeError, ValueError) as problem:
            raise _Found(Finding.ROW_CHANGED, first=leaf.event_seq) from problem


def _batch(session: Session, after: int, limit: int) -> list[Mapping[str, Any]]:
    rows = session.execute(
        select(_LEAF, _EVENT)
        .outerjoin(_EVENT, _EVENT.c.seq == _LEAF.c.event_seq)
        .where(_LEAF.c.leaf_index > after)
        .order_by(_LEAF.c.leaf_index)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def _unsealed(session: Session) -> int:
    waiting = select(func.count()).select_from(_EVENT.outerjoin(_LEAF, _LEAF.c.event_seq == _EVENT.c.seq))
    return session.execute(waiting.where(_LEAF.c.event_seq.is_(None))).scalar_one()


def _opened(row: Any, verifiers: tuple[VerifierKey, ...]) -> Checkpoint:
    try:
        signed = open_checkpoint(row.note, verifiers, origin=verifiers[0].name)
    except NoteRefused as problem:
        raise _Found(Finding.CHECKPOINT_FORGED, size=row.size) from problem
    if (signed.size, signed.root) != (row.size, row.root):
        raise _Found(Finding.CHECKPOINT_FORGED, size=row.size)
    return signed


def _outside(kept: str | None, verifiers: tuple[VerifierKey, ...], folder: Path | None) -> list[Checkpoint]:
    """The checkpoints that lie outside of the database."""
    notes = [] if kept is None else [kept]
    if folder is not None:
        laid_down = [folder / "latest", *sorted(folder.glob("*.txt"))]
        notes += [path.read_text("utf-8", errors="replace") for path in laid_down if path.exists()]
    try:
        return [open_checkpoint(note, verifiers, origin=verifiers[0].name) for note in notes]
    except NoteRefused as problem:
        raise _Found(Finding.KEPT_UNREADABLE) from problem
