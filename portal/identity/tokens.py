"""Whether a token of the provider proves what it says. Everything not expected is refused, with one word why.

ID tokens: OpenID Connect Core 1.0 section 3.1.3.7. Logout tokens: OpenID Connect Back-Channel Logout 1.0 section 2.6.
Authlib's own client leaves a number of these checks out; they are written here, where they can be read.
"""

import base64
import hashlib
import hmac
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, RSAKey
from joserfc.jws import JWSRegistry

from portal.core import clock
from portal.identity.errors import LoginFailed
from portal.identity.provider import ProviderKeys

# Algorithm → (key type, curve). Nothing in a discovery document or a token header can add to it.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
LEEWAY_SECONDS = 30
AGE_SECONDS = 600
LOGOUT_AGE_SECONDS = 120
RSA_BITS = 2048
KEYS_TRIED = 8
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True)
class Expected:
    """What an ID token must fit: the request it answers."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None = None
    # Set when a fresh login was demanded (max_age=0): the person signed in no earlier than this.
    signed_in_after: datetime | None = None


@dataclass(frozen=True)
class LogoutToken:
    """Whose sessions the provider ended: one (`sid`) or all of a person (`subject`)."""

    jti: str
    sid: str | None
    subject: str | None


def verify_id_token(token: str, keys: ProviderKeys, expected: Expected) -> dict[str, Any]:
    """The claims of an ID token that fits. Raises LoginFailed (what does not fit), ProviderDown (no keys)."""
    header, claims = _signed(token, keys)
    if str(header.get("typ", "JWT")).lower() not in ("jwt", "id_token"):
        raise LoginFailed("typ")
    _check_issuer_and_audience(claims, expected.issuer, expected.client_id)
    _check_times(claims, AGE_SECONDS)
    _text(claims, "sub")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise LoginFailed("nonce")
    _check_access_token(claims, str(header["alg"]), expected.access_token)
    if expected.signed_in_after is not None:
        signed_in_at = moment(claims.get("auth_time"))
        if signed_in_at is None or (expected.signed_in_after - signed_in_at).total_seconds() > LEEWAY_SECONDS:
            raise LoginFailed("auth-time")
    return claims


def verify_logout_token(token: str, keys: ProviderKeys, issuer: str, client_id: str) -> LogoutToken:
    """What a back-channel logout token says. Raises LoginFailed, ProviderDown. The caller sees to `jti` being new."""
    header, claims = _signed(token, keys)
    if str(header.get("typ", "")).lower() != "logout+jwt":
        raise LoginFailed("typ")
    _check_issuer_and_audience(claims, issuer, client_id)
    _check_times(claims, LOGOUT_AGE_SECONDS)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise LoginFailed("events")
    if "nonce" in claims:
        raise LoginFailed("nonce")
    sid = _text(claims, "sid") if "sid" in claims else None
    subject = _text(claims, "sub") if "sub" in claims else None
    if sid is None and subject is None:
        raise LoginFailed("sub")
    return LogoutToken(jti=_text(claims, "jti"), sid=sid, subject=subject)


def moment(seconds: object) -> datetime | None:
    """A NumericDate claim as a moment; None when it is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 253402300800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _signed(token: str, keys: ProviderKeys) -> tuple[dict[str, Any], dict[str, Any]]:
    header = _header(token)
    claims = _open(token, header, keys.all())
    # A provider may swap a key under the same id, or sign with one newer than the set known here.
    if claims is None and keys.again():
        claims = _open(token, header, keys.all())
    if claims is None:
        raise LoginFailed("signature")
    return header, claims


def _header(token: str) -> dict[str, Any]:
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError, RecursionError) as problem:
        raise LoginFailed("not-a-token") from problem
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise LoginFailed("algorithm")
    return dict(header)


def _open(token: str, header: Mapping[str, Any], keys: list[dict[str, Any]]) -> dict[str, Any] | None:
    algorithm = header["alg"]
    # Headers that bring a key along (jwk, jku, x5u, x5c) are never followed: only the provider's own set counts.
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    fitting = [key for key in keys if _fits(key, header)]
    for key in fitting[:KEYS_TRIED]:
        try:
            public = JWKRegistry.import_key(key)
            if isinstance(public, RSAKey) and public.public_key.key_size < RSA_BITS:
                continue
            with warnings.catch_warnings():
                # RFC 9864 prefers the name Ed25519; providers still say EdDSA, and the curve is pinned above.
                warnings.simplefilter("ignore", SecurityWarning)
                return jwt.decode(token, public, algorithms=[algorithm], registry=registry).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            continue
    return None


def _fits(key: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    kind, curve = ALGORITHMS[header["alg"]]
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", header["alg"]) == header["alg"]
        and ("kid" not in header or key.get("kid") == header["kid"])
    )


def _check_issuer_and_audience(claims: Mapping[str, Any], issuer: str, client_id: str) -> None:
    if claims.get("iss") != issuer:
        raise LoginFailed("iss")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise LoginFailed("aud")
    if len(audiences) > 1 and "azp" not in claims:
        raise LoginFailed("azp")
    if "azp" in claims and claims["azp"] != client_id:
        raise LoginFailed("azp")


def _check_times(claims: Mapping[str, Any], age_seconds: int) -> None:
    now = clock.now().timestamp()
    expires, issued = moment(claims.get("exp")), moment(claims.get("iat"))
    if expires is None or now > expires.timestamp() + LEEWAY_SECONDS:
        raise LoginFailed("exp")
    if issued is None or issued.timestamp() > now + LEEWAY_SECONDS or now - issued.timestamp() > age_seconds:
        raise LoginFailed("iat")
    if "nbf" in claims:
        begins = moment(claims["nbf"])
        if begins is None or begins.timestamp() > now + LEEWAY_SECONDS:
            raise LoginFailed("nbf")


def _check_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str | None) -> None:
    if "at_hash" not in claims:
        return
    if not access_token or not isinstance(claims["at_hash"], str):
        raise LoginFailed("at-hash")
    # OpenID Connect Core 1.0, section 3.1.3.6: the left half of the hash that belongs to the algorithm.
    hashed = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).rstrip(b"=")
    if not hmac.compare_digest(claims["at_hash"].encode(), wanted):
        raise LoginFailed("at-hash")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise LoginFailed(name)
    return value
