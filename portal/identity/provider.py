"""What is known of the identity provider: its discovery document and its keys, each for a limited time.

The issuer is pinned to PORTAL_OIDC_ISSUER; a document that names another one is refused (OpenID Connect Discovery 1.0,
section 4.3), as is an endpoint that leaves TLS where the issuer has it.
"""

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from portal.core import clock
from portal.identity.errors import ProviderDown
from portal.identity.fetching import INTERACTIVE_SECONDS, Fetcher

METADATA_SECONDS = 3600.0
KEYS_SECONDS = 600.0
REFETCH_COOL_DOWN_SECONDS = 30.0
FETCHES_A_MINUTE = 2


@dataclass(frozen=True)
class Metadata:
    """The parts of the discovery document that the portal uses."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    # RFC 9207: the provider promises to name itself in every authorization response.
    names_itself: bool
    basic_authentication: bool


class Provider:
    """The one provider people sign in with."""

    def __init__(self, issuer: str, fetcher: Fetcher) -> None:
        self.issuer = issuer
        self.fetcher = fetcher
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._metadata_at = 0.0
        self.keys = ProviderKeys(self)

    def metadata(self) -> Metadata:
        """The discovery document, at most an hour old. Raises ProviderDown."""
        with self._lock:
            if self._metadata is not None and clock.monotonic() - self._metadata_at < METADATA_SECONDS:
                return self._metadata
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            document = self.fetcher.get_json(url, within=INTERACTIVE_SECONDS)
            self._metadata = self._read(document)
            self._metadata_at = clock.monotonic()
            return self._metadata

    def _read(self, document: dict[str, object]) -> Metadata:
        if document.get("issuer") != self.issuer:
            raise ProviderDown("other-issuer")
        end_session = document.get("end_session_endpoint")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Metadata(
            issuer=self.issuer,
            authorization_endpoint=self._endpoint(document.get("authorization_endpoint")),
            token_endpoint=self._endpoint(document.get("token_endpoint")),
            jwks_uri=self._endpoint(document.get("jwks_uri")),
            end_session_endpoint=self._endpoint(end_session) if end_session is not None else None,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            basic_authentication=not isinstance(methods, list) or "client_secret_basic" in methods,
        )

    def _endpoint(self, url: object) -> str:
        if not isinstance(url, str):
            raise ProviderDown("no-endpoint")
        parts, issuer = urlsplit(url), urlsplit(self.issuer)
        if parts.scheme not in ("https", issuer.scheme) or parts.scheme not in ("https", "http") or not parts.hostname:
            raise ProviderDown("unsafe-endpoint")
        return url


class ProviderKeys:
    """The provider's public keys (JWK set), at most ten minutes old, so that a withdrawn key stops working."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._keys: list[dict[str, Any]] = []
        self._fetched_at: float | None = None
        self._forced_at: float | None = None
        self._fetches: list[float] = []

    def all(self) -> list[dict[str, Any]]:
        """All keys. Raises ProviderDown when they are too old and cannot be had now."""
        with self._lock:
            if self._fetched_at is None or clock.monotonic() - self._fetched_at >= KEYS_SECONDS:
                self._fetch()
            return self._keys

    def again(self) -> bool:
        """Fetch once more because a token did not fit the known keys; False while that is not due.

        Tokens with made-up key ids must not turn the portal into a hammer: forced fetches lie 30 seconds apart, and
        there are never more than two fetches a minute.
        """
        with self._lock:
            moment = clock.monotonic()
            if self._forced_at is not None and moment - self._forced_at < REFETCH_COOL_DOWN_SECONDS:
                return False
            self._fetches = [at for at in self._fetches if moment - at < 60]
            if len(self._fetches) >= FETCHES_A_MINUTE:
                return False
            self._forced_at = moment
            self._fetch()
            return True

    def _fetch(self) -> None:
        moment = clock.monotonic()
        self._fetches = [*(at for at in self._fetches if moment - at < 60), moment]
        url = self._provider.metadata().jwks_uri
        found = self._provider.fetcher.get_json(url, within=INTERACTIVE_SECONDS).get("keys")
        if not isinstance(found, list):
            raise ProviderDown("no-keys")
        self._keys = [key for key in found if isinstance(key, dict)]
        self._fetched_at = clock.monotonic()
