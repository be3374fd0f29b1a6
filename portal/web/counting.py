"""Counters of requests in the memory of one process, for the rate limits.

The library's own memory starts a thread beside nearly every request and walks all counters each time; a count has to
cost next to nothing. Several processes count in Redis instead.
"""

import threading
import time

from limits.storage import Storage

SCHEME = "portal-memory"
# So many counters may lie around expired before they are swept.
SWEEP_AT = 4096


class Counting(Storage):
    """Fixed windows: a count and the moment it ends, in Unix seconds. Chosen by the address `portal-memory://`."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._sweep_at = SWEEP_AT
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing can fail here."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more in the window of `key`, which lasts `expiry` seconds from its first count."""
        now = time.time()
        with self._lock:
            count, ends = self._counts.get(key, (0, 0.0))
            if ends <= now:
                count, ends = 0, now + expiry
            self._counts[key] = count + amount, ends
            if len(self._counts) > self._sweep_at:
                self._counts = {name: kept for name, kept in self._counts.items() if kept[1] > now}
                self._sweep_at = max(SWEEP_AT, 2 * len(self._counts))
            return count + amount

    def get(self, key: str) -> int:
        """The count of the present window."""
        count, ends = self._counts.get(key, (0, 0.0))
        return count if ends > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends; now for one that has not begun."""
        return max(self._counts.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        """Always there."""
        return True

    def reset(self) -> int | None:
        """Forget everything; how many counters that were."""
        with self._lock:
            count = len(self._counts)
            self._counts.clear()
            return count

    def clear(self, key: str) -> None:
        """Forget one counter."""
        with self._lock:
            self._counts.pop(key, None)
