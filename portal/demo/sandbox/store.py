"""The sandbox's memory: every version of every resource as JSON in one SQLite file, with an index for searches."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.core import clock, ids
from portal.demo.sandbox.index import rows_of

Json = dict[str, Any]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS version (
  type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, updated TEXT NOT NULL, method TEXT NOT NULL,
  body TEXT, PRIMARY KEY (type, id, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS current (
  type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, updated TEXT NOT NULL, deleted INTEGER NOT NULL,
  PRIMARY KEY (type, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
  type TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, system TEXT NOT NULL,
  high TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entry_value ON entry (type, name, value);
CREATE INDEX IF NOT EXISTS entry_owner ON entry (type, id);
CREATE INDEX IF NOT EXISTS entry_target ON entry (value) WHERE system = 'reference';
"""


@dataclass(frozen=True)
class Stored:
    """One version. `resource` is None for a deletion."""

    type: str
    id: str
    version: int
    updated: str
    method: str
    resource: Json | None


class Store:
    """Thread-safe: one connection, one lock. `listeners` hear of each change after its commit."""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._depth = 0
        self._changes: list[Stored] = []
        self.listeners: list[Callable[[Stored], None]] = []

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen, or none. May be nested; the outermost decides."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                    self._changes.clear()
                raise
            self._depth -= 1
            if self._depth:
                return
            self._connection.execute("COMMIT")
            changes, self._changes = self._changes, []
        for change in changes:
            for listener in self.listeners:
                listener(change)

    def put(self, resource: Json, *, method: str = "PUT") -> Stored:
        """Write a new version of `resource` (a fresh id where it has none) and index it."""
        with self.transaction():
            kind, name = resource["resourceType"], resource.get("id") or ids.random_id()
            version, updated = self._next(kind, name)
            meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": updated}
            kept = {**resource, "id": name, "meta": meta}
            stored = Stored(kind, name, version, updated, method, kept)
            self._write(stored)
            self._connection.executemany(
                "INSERT INTO entry (type, id, name, value, system, high) VALUES (?, ?, ?, ?, ?, ?)",
                [(kind, name, *row) for row in rows_of(kept)],
            )
            return stored

    def delete(self, kind: str, name: str) -> Stored:
        """Write a deletion as the newest version."""
        with self.transaction():
            version, updated = self._next(kind, name)
            stored = Stored(kind, name, version, updated, "DELETE", None)
            self._write(stored)
            return stored

    def get(self, kind: str, name: str, version: int | None = None) -> Stored | None:
        """A version, the newest by default."""
        columns = "SELECT type, id, version, updated, method, body FROM version WHERE type = ? AND id = ?"
        if version is None:
            found = self.query(f"{columns} ORDER BY version DESC LIMIT 1", [kind, name])
        else:
            found = self.query(f"{columns} AND version = ?", [kind, name, version])
        return _stored(found[0]) if found else None

    def history(self, kind: str, name: str) -> list[Stored]:
        """All versions, newest first."""
        rows = self.query(
            "SELECT type, id, version, updated, method, body FROM version"
            " WHERE type = ? AND id = ? ORDER BY version DESC",
            [kind, name],
        )
        return [_stored(row) for row in rows]

    def query(self, sql: str, values: list[Any]) -> list[Any]:
        """Rows of a SELECT."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _next(self, kind: str, name: str) -> tuple[int, str]:
        newest = self.query("SELECT version FROM current WHERE type = ? AND id = ?", [kind, name])
        return (newest[0][0] if newest else 0) + 1, clock.now().isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        )

    def _write(self, stored: Stored) -> None:
        body = None if stored.resource is None else json.dumps(stored.resource, ensure_ascii=False)
        self._connection.execute(
            "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?)",
            (stored.type, stored.id, stored.version, stored.updated, stored.method, body),
        )
        self._connection.execute(
            "INSERT INTO current VALUES (?, ?, ?, ?, ?) ON CONFLICT (type, id) DO UPDATE"
            " SET version = excluded.version, updated = excluded.updated, deleted = excluded.deleted",
            (stored.type, stored.id, stored.version, stored.updated, int(stored.resource is None)),
        )
        self._connection.execute("DELETE FROM entry WHERE type = ? AND id = ?", (stored.type, stored.id))
        self._changes.append(stored)


def _stored(row: Any) -> Stored:
    kind, name, version, updated, method, body = row
    return Stored(kind, name, version, updated, method, None if body is None else json.loads(body))
