"""Who the portal is towards an EHR: nobody (sandbox), or a SMART Backend Services client.

SMART App Launch 2.2, Backend Services: a signed assertion (`private_key_jwt`, RS384 or ES384) is exchanged for a short
access token. Authlib's own signer lives 3600 s and freezes `jti`, so the twenty lines are here.
"""

import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from portal.core import clock, ids
from portal.ehr.errors import DownReason, EhrProtocolError, EhrRefused, EhrUnavailable, ProtocolFault
from portal.ehr.transport import Deadline, Transport

ASSERTION_SECONDS = 240
_RENEW_BEFORE_SECONDS = 30
_LONGEST_TOKEN_SECONDS = 3600
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Algorithm(StrEnum):
    """The two algorithms SMART asks every server to support."""

    RS384 = "RS384"
    ES384 = "ES384"


class Auth(Protocol):
    """What a client adds to its requests."""

    def headers(self, transport: Transport, base_url: str, deadline: Deadline) -> dict[str, str]:
        """The headers for one request; may fetch a token first."""

    def refused(self) -> bool:
        """The EHR answered 401. Returns True when new headers are worth one more try."""


@dataclass(frozen=True)
class NoAuth:
    """An EHR that asks for nothing: the sandbox, a test server on loopback."""

    def headers(self, transport: Transport, base_url: str, deadline: Deadline) -> dict[str, str]:
        """No headers."""
        return {}

    def refused(self) -> bool:
        """Nothing to renew."""
        return False


@dataclass(frozen=True)
class ClientKey:
    """The portal's private key towards one EHR. `kid` is how the EHR finds the public half."""

    pem: str = field(repr=False)
    kid: str
    algorithm: Algorithm

    def private(self) -> RSAKey | ECKey:
        """The key, checked against its algorithm: RSA for RS384, P-384 for ES384. Raises ValueError otherwise."""
        if self.algorithm is Algorithm.RS384:
            return RSAKey.import_key(self.pem)
        key = ECKey.import_key(self.pem)
        if key.curve_name != "P-384":
            raise ValueError("ES384 needs a P-384 key")
        return key

    def public_jwk(self) -> dict[str, Any]:
        """What the EHR's administrator registers, or fetches from the portal's JWKS address."""
        public = self.private().as_dict(private=False)
        return {**public, "kid": self.kid, "alg": str(self.algorithm), "use": "sig", "key_ops": ["verify"]}

    def assertion(self, client_id: str, audience: str) -> str:
        """A signed statement of who we are: 240 s, a `jti` of its own."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": ids.random_id(),
        }
        header = {"alg": str(self.algorithm), "kid": self.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self.private(), algorithms=[str(self.algorithm)])


class BackendServices:
    """A SMART Backend Services client. Any number of threads share one token and one renewal.

    The token address comes from the EHR's `.well-known/smart-configuration` and must lie on the EHR's own origin or
    on one of `token_origins` (`https://auth.example`), else the discovery is refused: a hostile document must not
    send our assertion elsewhere. `token_url` skips discovery.
    """

    def __init__(
        self,
        *,
        client_id: str,
        key: ClientKey,
        scope: str = "system/*.rs",
        token_url: str | None = None,
        token_origins: frozenset[str] = frozenset(),
    ) -> None:
        key.private()
        self._client_id = client_id
        self._key = key
        self._scope = scope
        self._token_url = token_url
        self._token_origins = token_origins
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def headers(self, transport: Transport, base_url: str, deadline: Deadline) -> dict[str, str]:
        """The bearer token, renewed by whichever thread comes first while the others wait for it."""
        with self._lock:
            if not self._token or clock.monotonic() >= self._until:
                self._renew(transport, base_url, deadline)
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> bool:
        """Forget the token: the EHR ended it early."""
        with self._lock:
            self._token = ""
        return True

    def _renew(self, transport: Transport, base_url: str, deadline: Deadline) -> None:
        address = self._token_url or self._discover(transport, base_url, deadline)
        self._token_url = address
        form = {
            "grant_type": "client_credentials",
            "scope": self._scope,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._key.assertion(self._client_id, address),
        }
        reply = transport.send(
            "POST",
            address,
            deadline=deadline,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            content=urlencode(form).encode(),
        )
        if reply.status >= 500 or reply.status == 429:
            raise EhrUnavailable(DownReason.SERVER_ERROR)
        if reply.status != 200:
            raise EhrRefused(reply.status)
        answer = _json_object(reply.body, ProtocolFault.TOKEN)
        token, kind, seconds = answer.get("access_token"), answer.get("token_type"), answer.get("expires_in")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise EhrProtocolError(ProtocolFault.TOKEN)
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise EhrProtocolError(ProtocolFault.TOKEN)
        lifetime = min(seconds, _LONGEST_TOKEN_SECONDS) if isinstance(seconds, int) and seconds > 0 else 60
        self._token = token
        self._until = clock.monotonic() + max(1, lifetime - _RENEW_BEFORE_SECONDS)

    def _discover(self, transport: Transport, base_url: str, deadline: Deadline) -> str:
        reply = transport.send(
            "GET",
            f"{base_url}/.well-known/smart-configuration",
            deadline=deadline,
            headers={"Accept": "application/json"},
        )
        if reply.status >= 500 or reply.status == 429:
            raise EhrUnavailable(DownReason.SERVER_ERROR)
        if reply.status != 200:
            raise EhrProtocolError(ProtocolFault.DISCOVERY)
        address = _json_object(reply.body, ProtocolFault.DISCOVERY).get("token_endpoint")
        if not isinstance(address, str) or origin(address) not in {origin(base_url), *self._token_origins}:
            raise EhrProtocolError(ProtocolFault.DISCOVERY)
        return address


def origin(url: str) -> str:
    """Scheme, host and port of a web address, lower case, default ports left out; "" for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return ""
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}" + ("" if port in (None, default) else f":{port}")


def _json_object(body: bytes, fault: ProtocolFault) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EhrProtocolError(fault) from error
    if not isinstance(value, dict):
        raise EhrProtocolError(fault)
    return value
