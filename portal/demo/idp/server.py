"""The OAuth part, on Authlib's authorization server, with what it leaves open closed.

PKCE S256 is demanded at the authorization endpoint of every client (Authlib takes `plain` and asks only public
clients, at the token endpoint); codes work once within a minute, and a second use revokes what the first one gave.
"""

# Authlib carries no types of its own.
# mypy: disable-error-code="no-untyped-call"

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authlib.integrations.flask_oauth2.authorization_server import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import OpenIDCode
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import select, update

from portal.core import clock, ids
from portal.core.database import Database
from portal.demo.idp.keys import ALGORITHM, Keys
from portal.demo.idp.people import DemoAccount, Person
from portal.demo.idp.store import AccessToken, Code

CODE_SECONDS = 60
TOKEN_SECONDS = 300
SCOPES = ("openid", "profile", "email")


@dataclass(frozen=True)
class Client(ClientMixin):
    """The one registered client: the portal. Addresses are compared whole."""

    client_id: str
    secret: str
    redirect_uri: str
    post_logout_redirect_uri: str
    backchannel_logout_uri: str

    @property
    def client_metadata(self) -> dict[str, Any]:
        return {"post_logout_redirect_uris": [self.post_logout_redirect_uri]}

    @property
    def id_token_signed_response_alg(self) -> str:
        return ALGORITHM

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        asked = (scope or "").split()
        return " ".join(one for one in asked if one in SCOPES) if "openid" in asked else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and ids.digest(client_secret) == ids.digest(self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in (("client_secret_basic", "client_secret_post") if self.secret else ("none",))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass(frozen=True)
class GivenCode:
    """A code that has just been redeemed, as Authlib asks for it."""

    row: Code
    account: DemoAccount
    code_challenge_method: str = "S256"

    @property
    def code_challenge(self) -> str:
        return self.row.challenge

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.row.scope

    def get_nonce(self) -> str | None:
        return self.row.nonce

    def get_auth_time(self) -> int:
        return self.row.auth_time

    def get_acr(self) -> str:
        return self.account.acr

    def get_amr(self) -> list[str]:
        return list(self.account.amr)


class S256Only(CodeChallenge):
    """PKCE for every client, with S256 and nothing else."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge with code_challenge_method S256 is required")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        if not grant.request.form.get("code_verifier"):
            raise InvalidRequestError("code_verifier is required")
        super().validate_code_verifier(grant, result)


class CodeGrant(AuthorizationCodeGrant):
    """Codes in the provider's database."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]  # noqa: RUF012

    def save_authorization_code(self, code: str, request: Any) -> None:
        person: Person = request.user
        data = request.payload.data
        with self.server.store.transaction() as session:
            session.add(
                Code(
                    code_hash=ids.digest(code),
                    client_id=request.client.client_id,
                    redirect_uri=data["redirect_uri"],
                    scope=request.scope,
                    nonce=data.get("nonce"),
                    challenge=data["code_challenge"],
                    login=person.account.login,
                    sid=person.sid,
                    auth_time=person.auth_time,
                    created_at=clock.now(),
                )
            )

    def query_authorization_code(self, code: str, client: Client) -> GivenCode | None:
        now = clock.now()
        with self.server.store.transaction() as session:
            row = session.scalars(
                update(Code)
                .where(
                    Code.code_hash == ids.digest(code),
                    Code.client_id == client.client_id,
                    Code.used_at.is_(None),
                    Code.created_at > now - timedelta(seconds=CODE_SECONDS),
                )
                .values(used_at=now)
                .returning(Code)
            ).one_or_none()
            if row is None:
                # Somebody has the code who should not: whatever it gave before is worth nothing from now on.
                session.execute(
                    update(AccessToken).where(AccessToken.code_hash == ids.digest(code)).values(revoked_at=now)
                )
                return None
        account = self.server.people.get(row.login)
        return GivenCode(row, account) if account is not None else None

    def delete_authorization_code(self, authorization_code: GivenCode) -> None:
        """Used codes stay, so that a second use is seen."""

    def authenticate_user(self, authorization_code: GivenCode) -> Person:
        row = authorization_code.row
        return Person(authorization_code.account, row.sid, row.auth_time)


class IdTokens(OpenIDCode):
    """ID tokens with ES256 under the key of the day."""

    def __init__(self, issuer: str, keys: Keys, store: Database) -> None:
        super().__init__(require_nonce=True)
        self._issuer = issuer
        self._keys = keys
        self._store = store

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        with self._store.reading() as session:
            return session.scalar(select(Code.code_hash).where(Code.nonce == nonce)) is not None

    def resolve_client_private_key(self, client: Client) -> ECKey:
        return self._keys.signing()

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": ALGORITHM, "kid": str(self._keys.signing().kid)}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        now = int(clock.now().timestamp())
        return {"iss": self._issuer, "aud": client.client_id, "iat": now, "exp": now + TOKEN_SECONDS}

    def generate_user_info(self, user: Person, scope: str) -> dict[str, Any]:
        return user.claims(scope) | {"sid": user.sid}


class NamesItself(IssuerParameter):
    """RFC 9207."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer


class Leaving(EndSessionEndpoint):
    """RP-initiated logout; the redirect is made by the view, after the session has ended."""

    def get_server_jwks(self) -> KeySet:
        keys: KeySet = self.server.keys.published()
        return keys

    def get_algorithms(self) -> list[str]:
        return [ALGORITHM]

    def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
        """Ours when the signature is: its times may lie ahead, since the demo's clock is moved to and fro."""
        try:
            return dict(jwt.decode(id_token_hint, self.get_server_jwks(), algorithms=self.get_algorithms()).claims)
        except (JoseError, ValueError) as problem:
            raise InvalidRequestError("id_token_hint") from problem

    def end_session(self, end_session_request: Any) -> None:
        """The view ends it: it knows the browser."""


class Server(AuthorizationServer):
    """Authlib's server with this provider's store, people and keys."""

    def __init__(self, app: Flask, *, issuer: str, client: Client, store: Database, keys: Keys) -> None:
        self.store = store
        self.keys = keys
        self.client = client
        self.people: dict[str, DemoAccount] = {}
        super().__init__(app, query_client=self._client_named, save_token=self._save)
        self.register_grant(CodeGrant, [S256Only(required=True), IdTokens(issuer, keys, store)])
        self.register_extension(NamesItself(issuer))
        self.register_endpoint(Leaving)

    def _client_named(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else None

    def _save(self, token: dict[str, Any], request: Any) -> None:
        person: Person = request.user
        with self.store.transaction() as session:
            session.add(
                AccessToken(
                    token_hash=ids.digest(token["access_token"]),
                    code_hash=request.authorization_code.row.code_hash,
                    login=person.account.login,
                    sid=person.sid,
                    auth_time=person.auth_time,
                    scope=token["scope"],
                    expires_at=clock.now() + timedelta(seconds=TOKEN_SECONDS),
                )
            )

    def bearer(self, token: str) -> tuple[Person, str] | None:
        """Whose access token this is, and its scope; None when it is unknown, old or revoked."""
        with self.store.reading() as session:
            row = session.get(AccessToken, ids.digest(token))
        if row is None or row.revoked_at is not None or row.expires_at <= clock.now():
            return None
        account = self.people.get(row.login)
        return (Person(account, row.sid, row.auth_time), row.scope) if account is not None else None
