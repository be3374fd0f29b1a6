"""Alice signs in; every way in which the provider, or somebody between, can be wrong ends before the door."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey, RSAKey
from misbehaving import LOGOUT_EVENT, MisbehavingProvider
from sqlalchemy import select

from portal.core import clock
from portal.core.database import Database
from portal.identity import fetching
from portal.identity import provider as provider_module
from portal.identity.errors import LoginCancelled, LoginExpired, LoginFailed, ProviderDown
from portal.identity.flow import Finished, LoginFlow, Purpose
from portal.identity.tables import LoginAttempt

BROWSER, OTHER_BROWSER = "b" * 43, "c" * 43
SignIn = Callable[..., Finished]


def refused(sign_in: SignIn, *arguments: Any) -> str:
    """The word for why a login failed."""
    with pytest.raises(LoginFailed) as problem:
        sign_in(*arguments)
    return problem.value.reason


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_alice_signs_in_with_each_allowed_algorithm(
    sign_in: SignIn, provider: MisbehavingProvider, algorithm: str
) -> None:
    provider.faults.algorithm = algorithm
    finished = sign_in()
    assert (finished.person.issuer, finished.person.subject) == (provider.issuer, "alice")
    assert finished.person.roles == {"patient"}
    assert finished.person.sid == "session-at-the-provider"
    assert finished.next_path == "/messages"


def test_the_redirect_carries_s256_and_random_values_of_at_least_128_bits(
    flow: LoginFlow, provider: MisbehavingProvider
) -> None:
    urls = [flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="es") for _ in range(2)]
    first, second = (parse_qs(urlsplit(url).query) for url in urls)
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == ["http://localhost/login/callback"]
    assert first["ui_locales"] == ["es"]
    assert "max_age" not in first
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name][0]) >= 43


def test_unlocking_and_step_up_demand_a_fresh_login(flow: LoginFlow) -> None:
    for purpose in (Purpose.UNLOCK, Purpose.STEP_UP):
        url = flow.begin(purpose, browser=BROWSER, next_path="/", language="en", account_id="a" * 32)
        query = parse_qs(urlsplit(url).query)
        assert (query["max_age"], query["prompt"]) == (["0"], ["login"])


def test_a_healthy_login_costs_two_calls_once_the_provider_is_known(
    sign_in: SignIn, provider: MisbehavingProvider
) -> None:
    sign_in()
    provider.asked.clear()
    sign_in()
    assert provider.asked == {"/token": 1}


# --- state, browser, one-time use


def test_a_callback_works_once(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    answer = provider.answer(flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en"))
    flow.finish(answer, browser=BROWSER)
    with pytest.raises(LoginExpired):
        flow.finish(answer, browser=BROWSER)


def test_carols_browser_cannot_finish_what_alices_began(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    answer = provider.answer(flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en"))
    for browser in (OTHER_BROWSER, None, ""):
        with pytest.raises(LoginExpired):
            flow.finish(answer, browser=browser)
    # Nor has she spoiled it for Alice.
    assert flow.finish(answer, browser=BROWSER).person.subject == "alice"


@pytest.mark.parametrize("state", [None, "", "made-up"])
def test_a_made_up_state_is_refused_before_anything_else_is_read(
    flow: LoginFlow, provider: MisbehavingProvider, state: str | None
) -> None:
    answer = {"code": ["x"], "error": ["access_denied"], "iss": ["http://evil.test"]}
    if state is not None:
        answer["state"] = [state]
    with pytest.raises(LoginExpired):
        flow.finish(answer, browser=BROWSER)
    assert provider.asked == {}


def test_an_old_attempt_is_refused(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    answer = provider.answer(flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en"))
    clock.shift(timedelta(minutes=16))
    with pytest.raises(LoginExpired):
        flow.finish(answer, browser=BROWSER)


def test_state_nonce_and_verifier_of_attempts_are_forgotten(flow: LoginFlow, database: Database) -> None:
    flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en")
    clock.shift(timedelta(hours=2))
    flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en")
    with database.reading() as session:
        assert len(session.scalars(select(LoginAttempt)).all()) == 1


def test_a_parameter_given_twice_is_refused(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    answer = provider.answer(flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en"))
    with pytest.raises(LoginFailed, match="login-failed"):
        flow.finish({**answer, "iss": [*answer["iss"], "http://evil.test"]}, browser=BROWSER)


# --- the authorization response


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "http://evil.test"}, "iss-other"),
        ({"iss": None}, "iss-missing"),
        ({"code": None}, "no-code"),
        ({"code": "a-code-of-somebody-else"}, "code-refused"),
        ({"error": "invalid_scope"}, "provider-refused"),
        ({"error": "x\r\nSet-Cookie: a=b", "error_description": "<script>"}, "provider-refused"),
    ],
)
def test_a_wrong_authorization_response_is_refused(
    sign_in: SignIn, provider: MisbehavingProvider, change: dict[str, str | None], reason: str
) -> None:
    provider.faults.callback = change
    assert refused(sign_in) == reason


def test_the_issuer_may_be_silent_only_when_it_never_promised_to_name_itself(
    sign_in: SignIn, provider: MisbehavingProvider
) -> None:
    provider.faults.metadata = {"authorization_response_iss_parameter_supported": None}
    provider.faults.callback = {"iss": None}
    assert sign_in().person.subject == "alice"


def test_a_person_who_says_no_is_not_a_fault(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.callback = {"error": "access_denied", "code": None}
    with pytest.raises(LoginCancelled):
        sign_in()


def test_a_provider_that_says_it_is_down_is_down(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.callback = {"error": "temporarily_unavailable", "code": None}
    with pytest.raises(ProviderDown):
        sign_in()


# --- the ID token


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "http://evil.test"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": "other", "azp": "portal"}, "aud"),
        ({"aud": ["other"], "azp": "portal"}, "aud"),
        ({"aud": ["portal", "other"]}, "azp"),
        ({"aud": "portal", "azp": "other"}, "azp"),
        ({"aud": None}, "aud"),
        ({"aud": {"portal": 1}}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"nonce": "of another login"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at-hash"),
        ({"at_hash": 1}, "at-hash"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"iat": None}, "iat"),
    ],
)
def test_an_id_token_with_a_wrong_claim_is_refused(
    sign_in: SignIn, provider: MisbehavingProvider, change: dict[str, Any], reason: str
) -> None:
    provider.faults.claims = change
    assert refused(sign_in) == reason


@pytest.mark.parametrize(
    ("claim", "seconds", "reason"),
    [("exp", -31, "exp"), ("iat", -601, "iat"), ("iat", 31, "iat"), ("nbf", 31, "nbf")],
)
def test_thirty_seconds_of_leeway_and_ten_minutes_of_age_are_the_limit(
    sign_in: SignIn, provider: MisbehavingProvider, claim: str, seconds: int, reason: str
) -> None:
    with clock.frozen(clock.now()):
        now = int(clock.now().timestamp())
        inside = seconds + 2 if seconds < 0 else seconds - 2
        provider.faults.claims = {claim: now + inside}
        assert sign_in().person.subject == "alice"
        provider.faults.claims = {claim: now + seconds + (-1 if seconds < 0 else 1)}
        assert refused(sign_in) == reason


def test_several_audiences_are_fine_when_the_token_was_made_for_us(
    sign_in: SignIn, provider: MisbehavingProvider
) -> None:
    provider.faults.claims = {"aud": ["portal", "other"], "azp": "portal"}
    assert sign_in().person.subject == "alice"


@pytest.mark.parametrize("missing", [{"id_token": None}, {"id_token": ""}, {"id_token": 5}])
def test_an_access_token_alone_signs_nobody_in(
    sign_in: SignIn, provider: MisbehavingProvider, missing: dict[str, Any]
) -> None:
    provider.faults.token_answer = missing
    assert refused(sign_in) == "no-id-token"


def test_a_hash_of_an_access_token_that_is_not_there_is_refused(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.token_answer = {"access_token": None}
    assert refused(sign_in) in ("at-hash", "code-refused")


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "é.é.é", "e30.e30.", "." * 100, "A" * 200_000])
def test_what_is_no_token_is_refused(sign_in: SignIn, provider: MisbehavingProvider, token: str) -> None:
    provider.faults.token_answer = {"id_token": token}
    assert refused(sign_in) in ("not-a-token", "algorithm", "no-id-token")


# --- signatures and keys


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512"])
def test_algorithms_that_are_not_allowed_are_refused_although_the_provider_lists_them(
    sign_in: SignIn, provider: MisbehavingProvider, algorithm: str
) -> None:
    provider.faults.algorithm = algorithm
    assert refused(sign_in) == "algorithm"


def test_a_signature_of_a_stranger_is_refused(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.signed_with = RSAKey.generate_key(2048, {"kid": "rsa-1"})
    assert refused(sign_in) == "signature"


def test_a_changed_signature_is_refused(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.cut_signature = True
    assert refused(sign_in) == "signature"


def test_the_key_of_one_algorithm_does_not_serve_another(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.header = {"kid": "ec-1"}
    assert refused(sign_in) == "signature"


def test_a_key_for_encryption_does_not_sign(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.published = [RSAKey.import_key(provider.rsa.as_dict(private=True) | {"use": "enc"})]
    assert refused(sign_in) == "signature"


def test_a_short_rsa_key_is_refused(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    short = RSAKey.generate_key(1024, {"kid": "short"})
    provider.faults.signed_with = short
    provider.published = [short]
    assert refused(sign_in) == "signature"


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_keys_that_come_with_the_token_are_never_used_or_fetched(
    sign_in: SignIn, provider: MisbehavingProvider, name: str
) -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "stranger"})
    value: Any = provider.issuer + "/stranger-keys"
    if name == "jwk":
        value = stranger.as_dict(private=False)
    elif name == "x5c":
        value = [base64.b64encode(b"a certificate").decode()]
    provider.faults.algorithm, provider.faults.signed_with = "ES256", stranger
    provider.faults.header = {name: value}
    assert refused(sign_in) == "signature"
    assert provider.asked["/stranger-keys"] == 0


def test_an_unknown_critical_header_is_refused(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.header = {"crit": ["unheard-of"]}
    assert refused(sign_in) == "signature"


def test_a_logout_token_is_no_id_token(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.header = {"typ": "logout+jwt"}
    assert refused(sign_in) == "typ"


def test_a_rotated_key_with_a_new_id_works_at_once(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    sign_in()
    provider.rsa = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    provider.published = [provider.rsa]
    assert sign_in().person.subject == "alice"


def test_a_rotated_key_under_the_same_id_works_at_once(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    sign_in()
    provider.rsa = RSAKey.generate_key(2048, {"kid": "rsa-1"})
    provider.published = [provider.rsa]
    assert sign_in().person.subject == "alice"


def test_a_provider_without_key_ids_may_rotate_too(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.header = {"kid": None}
    sign_in()
    provider.rsa = RSAKey.generate_key(2048, {"kid": "another"})
    provider.published = [provider.rsa]
    assert sign_in().person.subject == "alice"


def test_a_withdrawn_key_is_trusted_for_ten_minutes_at_most(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    sign_in()
    provider.published = [provider.ec]
    assert sign_in().person.subject == "alice"
    clock.shift(timedelta(minutes=10, seconds=1))
    assert refused(sign_in) == "signature"


def test_made_up_key_ids_do_not_make_the_portal_hammer_the_provider(
    sign_in: SignIn, provider: MisbehavingProvider
) -> None:
    sign_in()
    provider.asked.clear()
    stranger = RSAKey.generate_key(2048, {"kid": "x"})
    provider.faults.signed_with = stranger
    for number in range(20):
        provider.faults.header = {"kid": f"made-up-{number}"}
        assert refused(sign_in) == "signature"
    assert provider.asked["/jwks"] == 1
    clock.shift(timedelta(seconds=29))
    refused(sign_in)
    assert provider.asked["/jwks"] == 1
    # Two fetches lie within the last minute; the next one is due when the first of them is older than that.
    clock.shift(timedelta(seconds=2))
    refused(sign_in)
    assert provider.asked["/jwks"] == 1
    clock.shift(timedelta(seconds=31))
    refused(sign_in)
    assert provider.asked["/jwks"] == 2


# --- fresh logins


@pytest.mark.parametrize("purpose", [Purpose.UNLOCK, Purpose.STEP_UP])
@pytest.mark.parametrize("auth_time", [None, -31, "now", True])
def test_an_old_or_missing_login_time_does_not_unlock_or_step_up(
    sign_in: SignIn, provider: MisbehavingProvider, purpose: Purpose, auth_time: Any
) -> None:
    with clock.frozen(clock.now()):
        moved = int(clock.now().timestamp()) + auth_time - 1 if isinstance(auth_time, int) else auth_time
        provider.faults.claims = {"auth_time": True if auth_time is True else moved}
        assert refused(sign_in, purpose) == "auth-time"


def test_a_fresh_login_time_unlocks(sign_in: SignIn) -> None:
    assert sign_in(Purpose.UNLOCK).purpose is Purpose.UNLOCK


def test_a_login_time_in_the_future_counts_as_now(sign_in: SignIn, provider: MisbehavingProvider) -> None:
    provider.faults.claims = {"auth_time": int(clock.now().timestamp()) + 86_400}
    finished = sign_in()
    assert finished.person.auth_time is not None
    assert finished.person.auth_time <= clock.now()


# --- discovery and the way to the provider


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://evil.test"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
)
def test_a_discovery_document_that_is_not_the_pinned_issuers_is_refused(
    sign_in: SignIn, provider: MisbehavingProvider, change: dict[str, Any]
) -> None:
    provider.faults.metadata = change
    with pytest.raises(ProviderDown):
        sign_in()


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "/elsewhere"}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"),
        (200, {}, b'{"keys": [' + b" " * 10_000_000 + b"]}"),
        (200, {}, b"[" * 100_000),
        (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        (200, {}, b"[]"),
        (500, {}, b"{}"),
        (404, {}, b"{}"),
    ],
)
def test_odd_answers_of_the_provider_close_the_door_and_are_not_followed(
    sign_in: SignIn,
    provider: MisbehavingProvider,
    path: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    provider.faults.answers[path] = (status, headers, body)
    with pytest.raises(ProviderDown):
        sign_in()
    assert provider.asked["/elsewhere"] == 0


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "text/html"}, b"<html>"),
        (400, {}, b'{"error": "invalid_grant", "error_description": "<b>no</b>"}'),
        (429, {}, b"slow down"),
        (200, {}, b"[]"),
    ],
)
def test_a_token_endpoint_without_tokens_signs_nobody_in(
    sign_in: SignIn, provider: MisbehavingProvider, status: int, headers: dict[str, str], body: bytes
) -> None:
    provider.faults.answers["/token"] = (status, headers, body)
    assert refused(sign_in) == "code-refused"


def test_the_discovery_document_is_asked_for_again_after_an_hour(
    sign_in: SignIn, provider: MisbehavingProvider
) -> None:
    sign_in()
    clock.shift(timedelta(minutes=59))
    sign_in()
    assert provider.asked["/.well-known/openid-configuration"] == 1
    clock.shift(timedelta(minutes=2))
    sign_in()
    assert provider.asked["/.well-known/openid-configuration"] == 2


def test_a_provider_that_is_down_is_tried_once_and_then_left_alone_for_a_while(
    flow: LoginFlow, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "INTERACTIVE_SECONDS", 0.1)
    provider.faults.slow["/.well-known/openid-configuration"] = 0.6
    for _ in range(5):
        with pytest.raises(ProviderDown) as problem:
            flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en")
    assert problem.value.reason == "breaker-open"
    assert provider.asked["/.well-known/openid-configuration"] == 1
    provider.faults.slow.clear()
    clock.shift(timedelta(seconds=fetching.OPEN_SECONDS + 1))
    monkeypatch.setattr(provider_module, "INTERACTIVE_SECONDS", 5.0)
    assert flow.begin(Purpose.LOGIN, browser=BROWSER, next_path="/", language="en")


def test_time_outs_give_a_page_within_three_seconds_and_never_hold_a_thread_longer_than_ten() -> None:
    assert fetching.CONNECT_SECONDS <= 3
    assert fetching.INTERACTIVE_SECONDS < 3
    assert fetching.TOTAL_SECONDS <= 10


# --- logout tokens


def test_a_logout_token_names_session_and_person_and_works_once(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    token = provider.logout_token()
    said = flow.read_logout_token(token)
    assert (said.sid, said.subject) == ("session-at-the-provider", "alice")
    with pytest.raises(LoginFailed) as problem:
        flow.read_logout_token(token)
    assert problem.value.reason == "jti"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "http://evil.test"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"iat": None}, "iat"),
        ({"exp": None}, "exp"),
        ({"jti": None}, "jti"),
        ({"events": None}, "events"),
        ({"events": {"http://other.event": {}}}, "events"),
        ({"events": {LOGOUT_EVENT: True}}, "events"),
        ({"nonce": "n"}, "nonce"),
        ({"sub": None, "sid": None}, "sub"),
        ({"sid": ""}, "sid"),
    ],
)
def test_a_logout_token_with_a_wrong_claim_is_refused(
    flow: LoginFlow, provider: MisbehavingProvider, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LoginFailed) as problem:
        flow.read_logout_token(provider.logout_token(**change))
    assert problem.value.reason == reason


def test_a_logout_token_of_another_type_age_or_key_is_refused(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    old = provider.logout_token(iat=int(clock.now().timestamp()) - 125)
    provider.faults.header = {"typ": "JWT"}
    typed = provider.logout_token()
    provider.faults.header = {}
    provider.faults.algorithm = "none"
    unsigned = provider.logout_token()
    provider.faults.algorithm = "RS256"
    provider.faults.signed_with = RSAKey.generate_key(2048, {"kid": "rsa-1"})
    forged = provider.logout_token()
    reasons = []
    for token in (old, typed, unsigned, forged):
        with pytest.raises(LoginFailed) as problem:
            flow.read_logout_token(token)
        reasons.append(problem.value.reason)
    assert reasons == ["iat", "typ", "algorithm", "signature"]


def test_the_way_out_names_the_session_and_comes_back_to_a_fixed_page(
    flow: LoginFlow, provider: MisbehavingProvider
) -> None:
    url = flow.logout_url("the-id-token")
    assert url is not None
    assert url.startswith(provider.issuer + "/logout?")
    query = parse_qs(urlsplit(url).query)
    assert query["id_token_hint"] == ["the-id-token"]
    assert query["post_logout_redirect_uri"] == ["http://localhost/logged-out"]


def test_without_a_provider_signing_out_stays_here(flow: LoginFlow, provider: MisbehavingProvider) -> None:
    provider.faults.answers["/.well-known/openid-configuration"] = (503, {}, b"")
    assert flow.logout_url("the-id-token") is None
