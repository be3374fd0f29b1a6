"""The one place time comes from, so that tests and the demo's control room can move it.

Everything inside is UTC; a person's own zone is applied only where a sentence is shown.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_offset = timedelta()
_frozen: datetime | None = None
# How far away one thread of the process lives, while the others stay where they are.
_away: ContextVar[timedelta] = ContextVar("clock_away", default=timedelta())


def now() -> datetime:
    """The current moment, timezone-aware in UTC, moved by `shift` or `at`, or held still by `frozen`."""
    base = _frozen if _frozen is not None else datetime.now(UTC)
    return base + _offset + _away.get()


def now_ms() -> int:
    """The current moment as Unix milliseconds, the unit of `ts` in docs/protocol.md section 1."""
    return int(now().timestamp() * 1000)


def monotonic() -> float:
    """Seconds that never go back; moves with `shift` so that time-outs can be tested too."""
    return time.monotonic() + _offset.total_seconds()


def shift(by: timedelta) -> None:
    """Move the clock of this process by `by` (tests and the demo's control room only)."""
    global _offset
    _offset += by


def offset() -> timedelta:
    """How far the clock has been moved."""
    return _offset


def reset() -> None:
    """Put the clock back to real time."""
    global _offset, _frozen
    _offset, _frozen = timedelta(), None


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold the clock at `at` (timezone-aware); `shift` still moves it. Restores everything afterwards."""
    global _frozen, _offset
    before = (_frozen, _offset)
    _frozen, _offset = at, timedelta()
    try:
        yield
    finally:
        _frozen, _offset = before


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Let this thread alone live at `moment` (timezone-aware) and on from there: how the demo's past is told."""
    token = _away.set(_away.get() + moment - now())
    try:
        yield
    finally:
        _away.reset(token)
