"""Small shapes that several JSON routes share."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Nothing:
    """A body without members."""


def stamp(moment: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC with milliseconds; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
