"""A small memory for what the EHR said: at most five minutes, bounded in entries and bytes, never on disk.

Two callers who want the same thing at once ask the EHR once (single flight).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from portal.core import clock

LONGEST_SECONDS = 300.0
MAX_ENTRIES = 256
MAX_BYTES = 16 * 1024 * 1024

Value = TypeVar("Value")


@dataclass(frozen=True)
class Kept(Generic[Value]):
    """A remembered value. `age` counts in seconds."""

    value: Value
    size: int
    at: float

    @property
    def age(self) -> float:
        """Seconds since the EHR said so."""
        return clock.monotonic() - self.at


class BoundedCache(Generic[Value]):
    """The newest values by key; the oldest leave first. Thread-safe."""

    def __init__(
        self, *, entries: int = MAX_ENTRIES, octets: int = MAX_BYTES, seconds: float = LONGEST_SECONDS
    ) -> None:
        self._entries, self._octets, self._seconds = entries, octets, min(seconds, LONGEST_SECONDS)
        self._kept: OrderedDict[str, Kept[Value]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._flights: dict[str, tuple[threading.Lock, int]] = {}

    def get(self, key: str) -> Kept[Value] | None:
        """What is kept for `key`, if it is younger than the limit."""
        with self._lock:
            self._expire()
            return self._kept.get(key)

    def put(self, key: str, value: Value, size: int) -> None:
        """Keep `value`, which takes about `size` bytes. Values larger than the whole cache are not kept."""
        with self._lock:
            self._drop(key)
            if size > self._octets:
                return
            self._kept[key] = Kept(value, size, clock.monotonic())
            self._size += size
            self._expire()
            while len(self._kept) > self._entries or self._size > self._octets:
                self._drop(next(iter(self._kept)))

    def forget(self, matches: Callable[[str], bool]) -> None:
        """Drop every key for which `matches` is true."""
        with self._lock:
            for key in [key for key in self._kept if matches(key)]:
                self._drop(key)

    @contextmanager
    def flight(self, key: str) -> Iterator[None]:
        """Only one thread at a time works on `key`; the next looks into the cache again first."""
        with self._lock:
            lock, waiting = self._flights.get(key, (threading.Lock(), 0))
            self._flights[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._flights[key]
                if waiting == 1:
                    del self._flights[key]
                else:
                    self._flights[key] = (lock, waiting - 1)

    def _expire(self) -> None:
        for key in [key for key, kept in self._kept.items() if kept.age >= self._seconds]:
            self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size
