"""A circuit breaker: an EHR that fails is left alone for a while, so that it can recover and nobody waits for it.

| state     | event                        | next      |
|-----------|------------------------------|-----------|
| closed    | 5 failures in a row          | open      |
| closed    | a success                    | closed, counter 0 |
| open      | 30 s passed, next request    | half-open: that one request goes through |
| half-open | it succeeds                  | closed    |
| half-open | it fails, or is lost for 30 s| open, or another try |
"""

import threading

from portal.core import clock
from portal.ehr.errors import DownReason, EhrUnavailable

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0


class CircuitBreaker:
    """Counts failed requests to one EHR. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at: float | None = None

    def ask(self) -> None:
        """Permission for one request. Raises EhrUnavailable (breaker-open) with the seconds to wait."""
        with self._lock:
            if self._retry_at is None:
                return
            left = self._retry_at - clock.monotonic()
            if left > 0:
                raise EhrUnavailable(DownReason.BREAKER_OPEN, retry_after=int(left) + 1)
            # Half-open: this request tries, all others go on waiting until it has answered.
            self._retry_at = clock.monotonic() + OPEN_SECONDS

    def succeeded(self) -> None:
        """The EHR answered as it should."""
        with self._lock:
            self._failures = 0
            self._retry_at = None

    def failed(self) -> None:
        """A time-out, a lost connection, a server error, an unusable answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._retry_at = clock.monotonic() + OPEN_SECONDS

    @property
    def is_open(self) -> bool:
        """Whether requests are refused now (for `portal doctor` and the control room)."""
        with self._lock:
            return self._retry_at is not None and self._retry_at > clock.monotonic()
