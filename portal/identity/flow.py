"""A login from the first redirect to the proven person: authorization code with PKCE (RFC 6749, RFC 7636, RFC 9700).

State, nonce and verifier stay on the server and work once; the browser only holds a random value that ties the
answer to the browser that asked. The client part of OAuth is Authlib's; the checks it leaves out are made here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from httpx import HTTPError, Response
from sqlalchemy import delete

from portal.core import clock, ids
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity import claims, tokens
from portal.identity.claims import SignedInClaims
from portal.identity.errors import LoginCancelled, LoginExpired, LoginFailed, ProviderDown
from portal.identity.fetching import Fetcher
from portal.identity.provider import Provider
from portal.identity.tables import LoginAttempt, LogoutTokenSeen
from portal.identity.tokens import LogoutToken

ATTEMPT_MINUTES = 15
_ERROR_WORD = re.compile(r"[a-z_]{1,40}")
# What a person can answer only by going on or not; everything else of a provider counts as its fault.
_CANCELLED = frozenset({"access_denied", "login_required", "interaction_required", "account_selection_required"})
_DOWN = frozenset({"server_error", "temporarily_unavailable"})


class Purpose(StrEnum):
    """Why somebody is sent to the provider."""

    LOGIN = "login"
    UNLOCK = "unlock"
    STEP_UP = "step-up"


@dataclass(frozen=True)
class Finished:
    """A login that succeeded, and what was agreed when it began."""

    person: SignedInClaims
    purpose: Purpose
    account_id: str | None
    next_path: str
    language: str
    # Whether the person signed in since it began: the provider did not merely remember somebody.
    anew: bool


class LoginFlow:
    """The portal as a client of its provider."""

    def __init__(self, settings: Settings, database: Database, fetcher: Fetcher | None = None) -> None:
        self._settings = settings
        self._database = database
        self.provider = Provider(settings.oidc_issuer, fetcher or Fetcher())
        self._callback = settings.origin + "/login/callback"

    def begin(
        self,
        purpose: Purpose,
        *,
        browser: str,
        next_path: str,
        language: str,
        account_id: str | None = None,
        second_factor: bool = False,
        login_hint: str | None = None,
        fresh: bool = False,
    ) -> str:
        """The provider's address to send the browser to. Raises ProviderDown.

        `login_hint` says for whom, as the provider knows the person. A `fresh` login is asked for and demanded
        (max_age=0), so that whom the provider still knows comes back with a password only; unlocking and step-up
        always are. `browser` is the random value of the browser's cookie.
        """
        fresh = fresh or purpose is not Purpose.LOGIN
        metadata = self.provider.metadata()
        state, nonce, verifier = ids.token(32), ids.token(32), ids.token(48)
        now = clock.now()
        with self._database.transaction() as session:
            # An hour after its time a row tells nothing any more, not even where the person wanted to go.
            session.execute(delete(LoginAttempt).where(LoginAttempt.created_at < now - timedelta(hours=1)))
            session.add(
                LoginAttempt(
                    state_hash=ids.digest(state),
                    browser_hash=ids.digest(browser),
                    nonce=nonce,
                    verifier=verifier,
                    purpose=purpose.value,
                    account_id=account_id,
                    next_path=next_path,
                    language=language,
                    fresh=fresh,
                    created_at=now,
                )
            )
        extra: dict[str, str] = {"nonce": nonce, "ui_locales": language}
        if fresh:
            # max_age makes the answer provable (auth_time), prompt makes it sure: within the second of a login some
            # providers find that nobody is older than zero seconds.
            extra |= {"max_age": "0", "prompt": "login"}
        if login_hint:
            extra["login_hint"] = login_hint
        if second_factor and self._settings.staff_acr:
            extra["acr_values"] = self._settings.staff_acr.replace(",", " ")
        url, _ = self._client(metadata.basic_authentication).create_authorization_url(
            metadata.authorization_endpoint, state=state, code_verifier=verifier, **extra
        )
        return str(url)

    def finish(self, answer: Mapping[str, Sequence[str]], *, browser: str | None) -> Finished:
        """Who came back. `answer` holds all values of each query parameter.

        Raises LoginExpired (the state is not this browser's, or is used), LoginCancelled, LoginFailed, ProviderDown.
        """
        attempt = self._consume(_single(answer, "state"), browser)
        metadata = self.provider.metadata()
        issuer = _single(answer, "iss")
        if issuer is None and metadata.names_itself:
            raise LoginFailed("iss-missing")
        if issuer is not None and issuer != metadata.issuer:
            raise LoginFailed("iss-other")
        if "error" in answer:
            raise _provider_said(_single(answer, "error"))
        code = _single(answer, "code")
        if not code:
            raise LoginFailed("no-code")
        token = self._exchange(code, attempt.verifier, metadata.token_endpoint, metadata.basic_authentication)
        id_token, access_token = token.get("id_token"), token.get("access_token")
        if not isinstance(id_token, str) or not id_token:
            raise LoginFailed("no-id-token")
        expected = tokens.Expected(
            issuer=metadata.issuer,
            client_id=self._settings.oidc_client_id,
            nonce=attempt.nonce,
            access_token=access_token if isinstance(access_token, str) else None,
            signed_in_after=attempt.created_at if attempt.fresh else None,
        )
        said = tokens.verify_id_token(id_token, self.provider.keys, expected)
        person = claims.read(said, self._settings, id_token)
        return Finished(
            person=person,
            purpose=Purpose(attempt.purpose),
            account_id=attempt.account_id,
            next_path=attempt.next_path,
            language=attempt.language,
            anew=person.auth_time is not None
            and person.auth_time >= attempt.created_at - timedelta(seconds=tokens.LEEWAY_SECONDS),
        )

    def logout_url(self, id_token: str | None, language: str | None = None) -> str | None:
        """Where to send a browser so that the provider signs out too (RP-initiated logout); None without a way."""
        try:
            endpoint = self.provider.metadata().end_session_endpoint
        except ProviderDown:
            return None
        if endpoint is None:
            return None
        query = {
            "client_id": self._settings.oidc_client_id,
            "post_logout_redirect_uri": self._settings.origin + "/logged-out",
        }
        if language:
            query["ui_locales"] = language
        if id_token:
            query["id_token_hint"] = id_token
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(query)

    def read_logout_token(self, token: str) -> LogoutToken:
        """What a back-channel logout token says. Raises LoginFailed, ProviderDown; each token works once."""
        said = tokens.verify_logout_token(
            token, self.provider.keys, self._settings.oidc_issuer, self._settings.oidc_client_id
        )
        now = clock.now()
        with self._database.transaction() as session:
            session.execute(delete(LogoutTokenSeen).where(LogoutTokenSeen.seen_at < now - timedelta(hours=1)))
            if session.get(LogoutTokenSeen, ids.digest(said.jti)) is not None:
                raise LoginFailed("jti")
            session.add(LogoutTokenSeen(jti_hash=ids.digest(said.jti), seen_at=now))
        return said

    def _consume(self, state: str | None, browser: str | None) -> LoginAttempt:
        if not state or not browser:
            raise LoginExpired()
        with self._database.transaction() as session:
            # One statement takes the row: of two callbacks with the same state, one finds nothing.
            attempt = session.scalars(
                delete(LoginAttempt)
                .where(LoginAttempt.state_hash == ids.digest(state), LoginAttempt.browser_hash == ids.digest(browser))
                .returning(LoginAttempt)
            ).one_or_none()
        if attempt is None or _age(attempt.created_at) > timedelta(minutes=ATTEMPT_MINUTES):
            raise LoginExpired()
        return attempt

    def _client(self, basic: bool) -> Any:
        method = "none"
        if self._settings.oidc_client_secret:
            method = "client_secret_basic" if basic else "client_secret_post"
        make: Any = OAuth2Client
        return make(
            _BoundedSession(self.provider.fetcher),
            client_id=self._settings.oidc_client_id,
            client_secret=self._settings.oidc_client_secret or None,
            token_endpoint_auth_method=method,
            scope="openid profile email",
            redirect_uri=self._callback,
            code_challenge_method="S256",
        )

    def _exchange(self, code: str, verifier: str, endpoint: str, basic: bool) -> dict[str, Any]:
        try:
            token = self._client(basic).fetch_token(
                endpoint,
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=self._callback,
            )
        except (OAuth2Error, HTTPError, ValueError) as problem:
            raise LoginFailed("code-refused") from problem
        return dict(token)


class _BoundedSession:
    """The HTTP session that Authlib's client asks for, over the bounded way out."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> Response:
        # Authlib's client authentication turns a request into one that carries the client's proof.
        prepare: Callable[..., tuple[str, dict[str, str], str]] = auth.prepare
        url, ready, body = prepare("POST", url, dict(headers), urlencode(data))
        return self._fetcher.request("POST", url, headers=ready, body=body.encode())

    def request(self, method: str, url: str, **rest: Any) -> Response:
        return self.post(url, data=rest["data"], headers=rest["headers"], auth=rest["auth"])


def _single(answer: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = answer.get(name, ())
    if len(values) > 1:
        raise LoginFailed("repeated-parameter")
    return values[0] if values else None


def _provider_said(error: str | None) -> LoginCancelled | LoginFailed | ProviderDown:
    # The words come through the browser, so anybody may have written them: none of them is repeated.
    word = error if error and _ERROR_WORD.fullmatch(error) else "unreadable"
    if word in _CANCELLED:
        return LoginCancelled()
    if word in _DOWN:
        return ProviderDown("provider-said")
    return LoginFailed("provider-refused")


def _age(since: datetime) -> timedelta:
    return clock.now() - since
