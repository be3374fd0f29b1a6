"""HTTP to the identity provider: bounded in time and size, without redirects, behind a circuit breaker.

Loss of the provider must cost a worker thread seconds, not minutes, and a second visitor nothing at all.
"""

import json
import threading
from collections.abc import Mapping

import httpx

from portal.core import clock
from portal.identity.errors import ProviderDown

# A person waits for the page: a host that swallows packets is given up before three seconds are over.
CONNECT_SECONDS = 2.5
INTERACTIVE_SECONDS = 2.5
TOTAL_SECONDS = 10.0
SIZE_LIMIT = 512 * 1024
OPEN_SECONDS = 5.0


class Breaker:
    """Opens when the provider did not answer in time; after `OPEN_SECONDS` one request may try again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened_at: float | None = None

    def check(self) -> None:
        """Raises ProviderDown at once while the breaker is open."""
        with self._lock:
            if self._opened_at is None:
                return
            if clock.monotonic() - self._opened_at < OPEN_SECONDS:
                raise ProviderDown("breaker-open")
            # Half open: this caller tries, the others keep being refused until it is known how that went.
            self._opened_at = clock.monotonic()

    def succeeded(self) -> None:
        """The provider answered."""
        with self._lock:
            self._opened_at = None

    def failed(self) -> None:
        """The provider did not answer within its time."""
        with self._lock:
            self._opened_at = clock.monotonic()


class Fetcher:
    """The one way out to the provider."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self._client = httpx.Client(
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        )

    def get_json(self, url: str, *, within: float) -> dict[str, object]:
        """The JSON object at `url`. Raises ProviderDown for anything else, or after `within` seconds."""
        response = self.request("GET", url, within=within)
        if response.status_code != 200:
            raise ProviderDown("status")
        return _json_object(response.content)

    def request(
        self,
        method: str,
        url: str,
        *,
        within: float = TOTAL_SECONDS,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> httpx.Response:
        """One bounded exchange. Raises ProviderDown; a redirect counts as a failure, because nothing asked for it."""
        self.breaker.check()
        try:
            response = self._bounded(method, url, within, headers, body)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            self.breaker.failed()
            raise ProviderDown(type(problem).__name__) from problem
        self.breaker.succeeded()
        return response

    def _bounded(
        self, method: str, url: str, within: float, headers: Mapping[str, str] | None, body: bytes | None
    ) -> httpx.Response:
        end = clock.monotonic() + within
        timeout = httpx.Timeout(within, connect=min(CONNECT_SECONDS, within))
        with self._client.stream(method, url, headers=headers, content=body, timeout=timeout) as response:
            if response.is_redirect:
                raise ProviderDown("redirect")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ProviderDown("encoded")
            content = bytearray()
            for part in response.iter_raw(16 * 1024):
                content += part
                if len(content) > SIZE_LIMIT:
                    raise ProviderDown("too-large")
                if clock.monotonic() > end:
                    raise httpx.ReadTimeout("more than the time for the whole answer")
            if response.status_code >= 500:
                raise ProviderDown("status")
            return httpx.Response(
                response.status_code, headers=response.headers, content=bytes(content), request=response.request
            )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def _json_object(content: bytes) -> dict[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise ProviderDown("not-json") from problem
    if not isinstance(value, dict):
        raise ProviderDown("not-json")
    return value
