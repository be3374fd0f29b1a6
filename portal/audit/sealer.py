"""Sealing the audit record: every minute, rows that are not yet in the Merkle log go in, and a checkpoint is signed.

No act waits for this: the log is built beside the acts. Rows younger than the last checkpoint are not yet protected.
"""

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from portal.audit import canonical
from portal.audit.keys import LogKeys
from portal.audit.tables import AuditCheckpoint, AuditEvent, AuditLeaf
from portal.core import clock, ids
from portal.core.database import Database, table_of
from portal.translog.checkpoints import Checkpoint, open_checkpoint
from portal.translog.merkle import CompactRange
from portal.translog.notes import NoteRefused

log = logging.getLogger(__name__)

SEAL_EVERY = timedelta(seconds=60)
ROWS_AT_ONCE = 2_000
# Rows become visible out of the order of their numbers. A transaction that takes longer than this is found by the
# full sweep, which looks at all rows.
LATEST_COMMIT = timedelta(hours=1)
SWEEP_EVERY = timedelta(days=1)
# Any number does, as long as nothing else in this database uses the same: "only one sealer at a time".
_LOCK = 7_025_962

_EVENT = table_of(AuditEvent)
_LEAF = table_of(AuditLeaf)
_CHECKPOINT = table_of(AuditCheckpoint)


class SealBroken(Exception):
    """The last checkpoint does not fit its own signature or frontier, or the log does not go on from the one in the
    folder: the sealer stops rather than sign on top.
    """


class Sealer:
    """Seals one database's record with one set of keys, and lays checkpoints into a folder."""

    def __init__(self, database: Database, keys: LogKeys, folder: Path) -> None:
        self._database = database
        self._keys = keys
        self._folder = folder
        self._next_sweep = clock.now()

    def seal(self) -> int:
        """Seal everything that waits; how many rows that were. Zero also while another process seals.

        Raises SealBroken, and Unavailable when the database cannot be written.
        """
        sweep = clock.now() >= self._next_sweep
        total = 0
        while count := self._seal_some(sweep=sweep):
            total += count
        if sweep:
            self._next_sweep = clock.now() + SWEEP_EVERY
        self._publish()
        return total

    def _seal_some(self, *, sweep: bool) -> int:
        with self._database.reading() as session:
            # Looking first keeps an idle sealer away from the write lock of SQLite.
            if session.execute(self._waiting(0 if sweep else _floor(session)).limit(1)).first() is None:
                return 0
        with self._database.transaction() as session:
            if not self._alone(session):
                return 0
            tree = self._tree(session)
            rows = session.execute(self._waiting(0 if sweep else _floor(session)).limit(ROWS_AT_ONCE)).mappings().all()
            if not rows:
                return 0
            leaves = []
            for row in rows:
                leaf = canonical.sealed(dict(row))
                leaves.append({"leaf_index": tree.size, "event_seq": row["seq"], "leaf_hash": leaf})
                tree.append(leaf)
            checkpoint = Checkpoint(self._keys.origin, tree.size, tree.root())
            session.execute(insert(_LEAF), leaves)
            session.execute(
                insert(_CHECKPOINT),
                {
                    "size": checkpoint.size,
                    "root": checkpoint.root,
                    "note": checkpoint.signed(self._keys.signing),
                    "frontier": [node.hex() for node in tree.frontier],
                    "signed_at": clock.now(),
                },
            )
            return len(rows)

    def _waiting(self, floor: int) -> Any:
        return (
            select(_EVENT)
            .outerjoin(_LEAF, _LEAF.c.event_seq == _EVENT.c.seq)
            .where(_EVENT.c.seq > floor, _LEAF.c.event_seq.is_(None))
            .order_by(_EVENT.c.seq)
        )

    def _alone(self, session: Session) -> bool:
        # SQLite has one writing process and one writer at a time; PostgreSQL is asked.
        return self._database.sqlite or bool(session.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar())

    def _tree(self, session: Session) -> CompactRange:
        tree = self._stored_tree(session)
        self._require_to_go_on(tree)
        return tree

    def _require_to_go_on(self, tree: CompactRange) -> None:
        # Who has all rights on the database could unseal rows, change them, and have them sealed anew: what was signed
        # is known from outside of the database. A folder that is behind is one that a crash left so.
        note = _read(self._folder / "latest")
        if note is None:
            return
        try:
            shown = open_checkpoint(note, self._keys.verifiers, origin=self._keys.origin)
        except NoteRefused as problem:
            raise SealBroken("the checkpoint in the folder cannot be read") from problem
        if shown.size > tree.size or (shown.size == tree.size and shown.root != tree.root()):
            raise SealBroken("the audit log does not go on from the checkpoint in the folder")

    def _stored_tree(self, session: Session) -> CompactRange:
        last = session.execute(select(_CHECKPOINT).order_by(_CHECKPOINT.c.size.desc()).limit(1)).first()
        if last is None:
            return CompactRange()
        try:
            signed = open_checkpoint(last.note, self._keys.verifiers, origin=self._keys.origin)
            tree = CompactRange(last.size, [bytes.fromhex(node) for node in last.frontier])
        except (NoteRefused, ValueError) as problem:
            raise SealBroken("the last checkpoint of the audit log cannot be read") from problem
        if (signed.size, signed.root) != (last.size, last.root) or tree.root() != last.root:
            raise SealBroken("the last checkpoint of the audit log does not fit its signature")
        return tree

    def _publish(self) -> None:
        """Lay the newest checkpoint into the folder, also when an earlier run died before it could."""
        with self._database.reading() as session:
            note = latest_note(session)
            size = session.execute(select(func.max(_CHECKPOINT.c.size))).scalar()
        if note is None or _read(self._folder / "latest") == note:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self._folder / f"{size}.txt", note)
        _write(self._folder / "latest", note)


def latest_note(session: Session) -> str | None:
    """The newest signed checkpoint, as `/checkpoints/latest` shows it; None before the first."""
    return session.execute(select(_CHECKPOINT.c.note).order_by(_CHECKPOINT.c.size.desc()).limit(1)).scalar()


def note_of(session: Session, size: int) -> str | None:
    """The checkpoint of exactly `size` rows, for `/checkpoints/<size>`; None when there was none."""
    return session.execute(select(_CHECKPOINT.c.note).where(_CHECKPOINT.c.size == size)).scalar()


def _floor(session: Session) -> int:
    """A row number below which nothing new is expected, but by the full sweep."""
    settled = (
        select(func.max(_CHECKPOINT.c.size))
        .where(_CHECKPOINT.c.signed_at < clock.now() - LATEST_COMMIT)
        .scalar_subquery()
    )
    return session.execute(select(_LEAF.c.event_seq).where(_LEAF.c.leaf_index == settled - 1)).scalar() or 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.{ids.random_id()}")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
