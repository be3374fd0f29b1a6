"""The one spelling of an audit row that its leaf commits to.

leaf = SHA-256(salt ‖ canonical row), hashed as an RFC 6962 leaf. The salt keeps a published hash from being guessed.
The row is JSON: keys sorted, ASCII, no blanks, empty columns left out (so that a later column changes no old leaf).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from portal.translog.merkle import leaf_hash


def spelled(row: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a row, given by its column names; the salt is not part of it."""
    told = {name: _value(value) for name, value in row.items() if value is not None and name != "salt"}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sealed(row: Mapping[str, Any]) -> bytes:
    """The RFC 6962 leaf hash of a row."""
    return leaf_hash(hashlib.sha256(row["salt"] + spelled(row)).digest())


def moment(value: datetime) -> str:
    """A moment in UTC to the microsecond, always in the same length."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _value(value: object) -> object:
    return moment(value) if isinstance(value, datetime) else value
