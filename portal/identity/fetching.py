"""HTTP to the identity provider: bounded in time and size, without redirects, behind a circuit breaker.

Loss of the provider must cost a worker thread seconds, not minutes, and a second visitor nothing at all.
"""

import json
from collections.abc import Mapping

import httpx

from portal.core import clock
from portal.core.breaker import BreakerOpen, CircuitBreaker
from portal.identity.errors import ProviderDown

# A person waits for the page: a host that swallows packets is given up before three seconds are over.
CONNECT_SECONDS = 2.5
INTERACTIVE_SECONDS = 2.5
TOTAL_SECONDS = 10.0
SIZE_LIMIT = 512 * 1024
OPEN_SECONDS = 5.0


class Fetcher:
    """The one way out to the provider."""

    def __init__(self) -> None:
        # One time-out is enough: a person waits for the page.
        self.breaker = CircuitBreaker(failures=1, seconds=OPEN_SECONDS)
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
        try:
            self.breaker.ask()
        except BreakerOpen as alone:
            raise ProviderDown("breaker-open") from alone
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
