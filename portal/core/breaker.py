"""A circuit breaker: a server that fails is left alone for a while, so that it can recover and nobody waits for it.

| state     | event                                   | next                      |
|-----------|-----------------------------------------|---------------------------|
| closed    | `failures` failures in a row            | open                      |
| closed    | a success                               | closed, counter 0         |
| open      | `seconds` passed, next request          | half-open: that one request goes through |
| half-open | it succeeds                             | closed                    |
| half-open | it fails, or is lost for `seconds`      | open, or another try      |
"""

import threading

from portal.core import clock


class BreakerOpen(Exception):
    """The server is left alone now, for `seconds` more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"{seconds:.0f} s")


class CircuitBreaker:
    """Counts failed requests to one server. Thread-safe."""

    def __init__(self, *, failures: int, seconds: float) -> None:
        self._failures_to_open, self._open_seconds = failures, seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at: float | None = None

    def ask(self) -> None:
        """Permission for one request. Raises BreakerOpen."""
        with self._lock:
            if self._retry_at is None:
                return
            left = self._retry_at - clock.monotonic()
            if left > 0:
                raise BreakerOpen(left)
            # Half-open: this request tries, all others go on waiting until it has answered.
            self._retry_at = clock.monotonic() + self._open_seconds

    def succeeded(self) -> None:
        """The server answered as it should."""
        with self._lock:
            self._failures = 0
            self._retry_at = None

    def failed(self) -> None:
        """A time-out, a lost connection, a server error, an unusable answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._failures_to_open:
                self._retry_at = clock.monotonic() + self._open_seconds

    @property
    def is_open(self) -> bool:
        """Whether requests are refused now."""
        with self._lock:
            return self._retry_at is not None and self._retry_at > clock.monotonic()
