"""A provider on loopback whose single faults can be switched on, one at a time.

Without a fault it is a correct provider, so that each test shows that nothing but its fault is what gets refused.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from portal.core import clock, ids

CLIENT_ID, CLIENT_SECRET = "portal", "a client secret of the tests"
ALL_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "HS256", "RS512", "none"]
# Made once: an RSA key takes longer than a test.
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1", "use": "sig"})
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Faults:
    """What is wrong. A value of None in a dictionary removes the member."""

    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    token_answer: dict[str, Any] = field(default_factory=dict)
    callback: dict[str, str | None] = field(default_factory=dict)
    # Path → (status, headers, body) instead of the right answer.
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    # Path → seconds before anything is sent.
    slow: dict[str, float] = field(default_factory=dict)
    algorithm: str = "RS256"
    signed_with: Key | None = None
    cut_signature: bool = False


class MisbehavingProvider:
    """An OpenID provider for one test."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.rsa, self.ec, self.ed = RSA, EC, ED
        self.published: list[Key] = [self.rsa, self.ec, self.ed]
        self.asked: Counter[str] = Counter()
        self.person = {
            "sub": "alice",
            "name": "Alice Larkin",
            "email": "alice@example.test",
            "email_verified": True,
            "roles": ["patient"],
            "sid": "session-at-the-provider",
        }
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, url: str) -> dict[str, list[str]]:
        """What the browser brings back after signing in at `url`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        code = ids.token(16)
        self._codes[code] = asked
        said: dict[str, str | None] = {"code": code, "state": asked["state"], "iss": self.issuer}
        said |= self.faults.callback
        return {name: [value] for name, value in said.items() if value is not None}

    def claims(self, asked: dict[str, str], access_token: str) -> dict[str, Any]:
        """The claims of the ID token."""
        now = int(clock.now().timestamp())
        claims = {
            **self.person,
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": asked["nonce"],
            "at_hash": half_hash(access_token, self.faults.algorithm),
        }
        return _changed(claims, self.faults.claims)

    def logout_token(self, **changes: Any) -> str:
        """A back-channel logout token, right but for `changes` (and the faults of signature and header)."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": ids.random_id(),
            "sub": self.person["sub"],
            "sid": self.person["sid"],
            "events": {LOGOUT_EVENT: {}},
        }
        return self.sign(_changed(claims, changes), {"typ": "logout+jwt"})

    def sign(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        """A token under the algorithm and key of the faults."""
        faults = self.faults
        key = faults.signed_with or {"ES256": self.ec, "EdDSA": self.ed}.get(faults.algorithm, self.rsa)
        said = _changed({"alg": faults.algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}, faults.header)
        if faults.algorithm == "none":
            return f"{_b64(json.dumps(said).encode())}.{_b64(json.dumps(claims).encode())}."
        if faults.algorithm == "HS256":
            # The public key's own text as the secret: the classic confusion of algorithms.
            signed = f"{_b64(json.dumps(said).encode())}.{_b64(json.dumps(claims).encode())}"
            mark = hmac.new(self.rsa.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
            return f"{signed}.{_b64(mark)}"
        registry = JWSRegistry(algorithms=ALL_ALGORITHMS, strict_check_header=False)
        crit = said.pop("crit", None)
        if crit is not None:
            # The library refuses to write an unknown critical header, so it is written by hand.
            return _by_hand({**said, "crit": crit}, claims, key)
        token = jwt.encode(said, claims, key, registry=registry)
        return token[:-8] + "AAAAAAAA" if faults.cut_signature else token

    def _answers(self, path: str, form: dict[str, list[str]], authorization: str) -> tuple[int, dict[str, str], bytes]:
        self.asked[path] += 1
        time.sleep(self.faults.slow.get(path, 0))
        if path in self.faults.answers:
            return self.faults.answers[path]
        if path == "/.well-known/openid-configuration":
            return _json(200, _changed(self._metadata(), self.faults.metadata))
        if path == "/jwks":
            return _json(200, dict(KeySet(self.published).as_dict(private=False)))
        if path == "/token":
            return self._token(form, authorization)
        return _json(404, {})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "jwks_uri": self.issuer + "/jwks",
            "end_session_endpoint": self.issuer + "/logout",
            "id_token_signing_alg_values_supported": ALL_ALGORITHMS,
            "authorization_response_iss_parameter_supported": True,
        }

    def _token(self, form: dict[str, list[str]], authorization: str) -> tuple[int, dict[str, str], bytes]:
        asked = self._codes.pop(form.get("code", [""])[0], None)
        proof = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        verifier = form.get("code_verifier", [""])[0]
        challenge = _b64(hashlib.sha256(verifier.encode()).digest())
        if asked is None or not hmac.compare_digest(authorization, proof) or challenge != asked["code_challenge"]:
            return _json(400, {"error": "invalid_grant"})
        access_token = ids.token()
        said = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.sign(self.claims(asked, access_token)),
        }
        return _json(200, _changed(said, self.faults.token_answer))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self._send(parse_qs(body.decode()))

            def _send(self, form: dict[str, list[str]]) -> None:
                path = urlsplit(self.path).path
                status, headers, body = provider._answers(path, form, self.headers.get("Authorization", ""))
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    # The portal hung up, as it should on a provider that takes too long or sends too much.
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the tests look at what was asked."""

        return Handler


def half_hash(access_token: str, algorithm: str) -> str:
    """at_hash of an access token."""
    hashed = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    return _b64(hashed[: len(hashed) // 2])


def _by_hand(header: dict[str, Any], claims: dict[str, Any], key: Key) -> str:
    signed = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    signature = JWSRegistry.algorithms[header["alg"]].sign(signed.encode(), key)
    return f"{signed}.{_b64(signature)}"


def _changed(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def _json(status: int, value: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
