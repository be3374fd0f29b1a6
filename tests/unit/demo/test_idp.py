"""The embedded provider is strict: each thing that OAuth's security advice forbids is refused."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from argon2 import extract_parameters
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import text
from werkzeug.test import TestResponse

from portal.core import clock, ids
from portal.core.settings import Settings, UnsafeSettings
from portal.demo.idp import DemoAccount, create_idp, passwords, rotate_keys, withdraw_key
from portal.demo.idp.app import Idp
from portal.demo.idp.browsers import Ended
from portal.demo.idp.passwords import HASHER

PORTAL, SELF, SECRET = "http://localhost:5000", "http://localhost", "a client secret of the tests"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ALICE = DemoAccount("alice", "Alice Larkin", "patient", "alice@example.test", claims={"fhir_patient": "alice"})
BOB = DemoAccount("bob", "Bob Miller", "pharmacist", None, "riverside", language="es", acr="2", amr=("pwd", "otp"))


@pytest.fixture
def idp(tmp_path: Path) -> Flask:
    """The provider, with deliveries kept instead of sent."""
    made = create_idp(
        Settings(oidc_client_secret=SECRET),
        database_path=str(tmp_path / "idp.sqlite3"),
        base_url=SELF,
        portal_origin=PORTAL,
        accounts=[ALICE, BOB],
    )
    made.testing = True
    return made


@pytest.fixture
def told(idp: Flask, monkeypatch: pytest.MonkeyPatch) -> list[Ended]:
    """The sessions whose end the portal is told."""
    heard: list[Ended] = []
    monkeypatch.setattr(inside(idp).herald, "tell", heard.append)
    return heard


@pytest.fixture
def client(idp: Flask, told: list[Ended]) -> FlaskClient:
    """A browser at the provider."""
    return idp.test_client()


def inside(idp: Flask) -> Idp:
    found: Idp = idp.extensions["idp"]
    return found


def asked(**changes: str | None) -> str:
    """An authorization request, right but for `changes`."""
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "portal",
        "redirect_uri": PORTAL + "/login/callback",
        "scope": "openid profile email",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return "/authorize?" + urlencode({name: value for name, value in (parameters | changes).items() if value})


def form_token(page: TestResponse) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.get_data(as_text=True))
    assert found is not None
    return found[1]


def sign_in(client: FlaskClient, login: str = "alice", password: str = "demo", url: str | None = None) -> TestResponse:
    """Fill in the login form."""
    url = url or asked()
    page = client.get(url)
    return client.post(url, data={"form": form_token(page), "login": login, "password": password})


def back(answer: TestResponse) -> dict[str, str]:
    """The parameters with which the browser is sent back to the portal."""
    assert answer.status_code == 303, answer.get_data(as_text=True)
    assert answer.headers["Location"].startswith(PORTAL + "/login/callback?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def redeem(client: FlaskClient, code: str, **changes: str | None) -> TestResponse:
    """Redeem a code as the portal does."""
    body: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": PORTAL + "/login/callback",
        "code_verifier": VERIFIER,
    }
    secret = changes.pop("secret", SECRET)
    proof = base64.b64encode(f"portal:{secret}".encode()).decode()
    return client.post(
        "/token",
        data={name: value for name, value in (body | changes).items() if value is not None},
        headers={"Authorization": f"Basic {proof}"},
    )


def id_token(client: FlaskClient, login: str = "alice", url: str | None = None) -> dict[str, Any]:
    """Sign in and give the claims of the ID token, its signature checked against the published keys."""
    answer = redeem(client, back(sign_in(client, login, url=url))["code"]).get_json()
    keys = KeySet.import_key_set(client.get("/jwks.json").get_json())
    return dict(jwt.decode(answer["id_token"], keys, algorithms=["ES256"]).claims)


def test_it_is_refused_in_production(tmp_path: Path) -> None:
    with pytest.raises(UnsafeSettings):
        create_idp(
            Settings(env="production"),
            database_path=str(tmp_path / "idp.sqlite3"),
            base_url=SELF,
            portal_origin=PORTAL,
            accounts=[],
        )
    assert not (tmp_path / "idp.sqlite3").exists()


def test_the_discovery_document_promises_what_is_kept(client: FlaskClient) -> None:
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["issuer"] == SELF
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    assert document["id_token_signing_alg_values_supported"] == ["ES256"]


def test_alice_signs_in(client: FlaskClient) -> None:
    with clock.frozen(clock.now()):
        said = back(sign_in(client))
        assert (said["state"], said["iss"]) == ("the-state", SELF)
        claims = id_token(client, url=asked(max_age="0", nonce="another"))
        assert claims["iss"] == SELF
        assert claims["aud"] == "portal"
        assert claims["sub"] == "alice"
        assert claims["nonce"] == "another"
        assert claims["auth_time"] == claims["iat"] == int(clock.now().timestamp())
        assert claims["exp"] - claims["iat"] == 300
        assert (claims["acr"], claims["amr"]) == ("1", ["pwd"])
        assert claims["roles"] == ["patient"]
        assert claims["fhir_patient"] == "alice"
        assert claims["sid"]
        assert claims["at_hash"]


def test_bobs_claims_follow_his_account(client: FlaskClient) -> None:
    claims = id_token(client, "bob")
    assert (claims["pharmacy"], claims["acr"], claims["amr"]) == ("riverside", "2", ["pwd", "otp"])
    assert "email" not in claims


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": PORTAL + "/login/callback/"},
        {"redirect_uri": PORTAL + "/login/callback?x=1"},
        {"redirect_uri": PORTAL + "/LOGIN/callback"},
        {"redirect_uri": "http://localhost:5000.evil.test/login/callback"},
        {"redirect_uri": 'http://evil.test/"\\\u00e9'},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    client: FlaskClient, change: dict[str, str | None]
) -> None:
    answer = client.get(asked(**change))
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"nonce": None}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "http://evil.test/"}, "request_not_supported"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_a_wrong_request_goes_back_as_an_error_that_names_us(
    client: FlaskClient, change: dict[str, str | None], error: str
) -> None:
    said = back(client.get(asked(**change)))
    assert said == {"error": error, "state": "the-state", "iss": SELF}


def test_a_repeated_parameter_is_refused(client: FlaskClient) -> None:
    assert client.get(asked() + "&redirect_uri=http://evil.test/").status_code == 400
    assert client.get(asked() + "&code_challenge_method=plain").status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": None},
        {"code_verifier": ""},
        {"code_verifier": "w" * 64},
        {"code_verifier": CHALLENGE},
        {"redirect_uri": None},
        {"redirect_uri": PORTAL + "/other"},
        {"secret": "wrong"},
        {"grant_type": "password"},
        {"grant_type": "client_credentials"},
        {"grant_type": "refresh_token"},
    ],
)
def test_a_code_is_worth_nothing_without_the_rest(client: FlaskClient, change: dict[str, str | None]) -> None:
    code = back(sign_in(client))["code"]
    answer = redeem(client, code, **change)
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.get_json()


def test_a_code_works_once_and_its_second_use_revokes_what_it_gave(client: FlaskClient) -> None:
    code = back(sign_in(client))["code"]
    token = redeem(client, code).get_json()["access_token"]
    header = {"Authorization": f"Bearer {token}"}
    assert client.get("/userinfo", headers=header).get_json()["sub"] == "alice"
    again = redeem(client, code)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert client.get("/userinfo", headers=header).status_code == 401


def test_a_code_is_good_for_a_minute(client: FlaskClient) -> None:
    code = back(sign_in(client))["code"]
    clock.shift(timedelta(seconds=61))
    assert redeem(client, code).get_json()["error"] == "invalid_grant"


def test_an_access_token_is_good_for_five_minutes(client: FlaskClient) -> None:
    token = redeem(client, back(sign_in(client))["code"]).get_json()["access_token"]
    clock.shift(timedelta(seconds=301))
    assert client.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert client.get("/userinfo").status_code == 401


def test_a_nonce_is_used_once(client: FlaskClient) -> None:
    sign_in(client)
    assert back(client.get(asked()))["error"] == "invalid_request"


def test_tokens_are_never_cached_and_pages_never_framed(client: FlaskClient) -> None:
    answer = redeem(client, back(sign_in(client))["code"])
    assert answer.headers["Cache-Control"] == "no-store"
    page = client.get(asked(nonce="n2", max_age="0"))
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert f"form-action 'self' {PORTAL}" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


def test_secrets_lie_in_the_file_only_as_hashes(client: FlaskClient, idp: Flask, tmp_path: Path) -> None:
    code = back(sign_in(client))["code"]
    token = redeem(client, code).get_json()["access_token"]
    cookie = client.get_cookie("idp_session")
    assert cookie is not None
    with inside(idp).server.store.engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("idp.sqlite3*"))
    for secret in (code, token, cookie.value):
        assert secret.encode() not in kept


# --- passwords


def test_passwords_are_argon2id_of_at_least_19_mib_and_two_passes() -> None:
    parameters = extract_parameters(HASHER.hash("demo"))
    assert parameters.type.name == "ID"
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2


def test_a_wrong_password_and_an_unknown_name_look_the_same(client: FlaskClient) -> None:
    pages = []
    for login in ("alice", "nobody"):
        page = sign_in(client, login, "wrong")
        assert page.status_code == 401
        body = page.get_data(as_text=True).split('class="people"')[0].replace(login, "somebody")
        pages.append(re.sub(r'name="form" value="[^"]+"', "", body))
    assert pages[0] == pages[1]
    assert "Name or password is wrong" in pages[0]
    assert client.get_cookie("idp_session") is None


def test_a_hundred_wrong_tries_are_the_end_for_strangers_and_never_for_alice(
    client: FlaskClient, idp: Flask, told: list[Ended]
) -> None:
    alices = idp.test_client()
    back(sign_in(alices))
    page = client.get(asked(nonce="n2"))
    looked_at = 0
    for _ in range(400):
        answer = client.post(asked(nonce="n2"), data={"form": form_token(page), "login": "alice", "password": "guess"})
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) <= 3601
            if looked_at >= 100:
                break
            clock.shift(timedelta(seconds=int(answer.headers["Retry-After"])))
            page = client.get(asked(nonce="n2"))
        else:
            looked_at += 1
    assert looked_at == 100
    # The right password does not help the stranger now, and its being right is not told.
    right = client.post(asked(nonce="n2"), data={"form": form_token(page), "login": "alice", "password": "demo"})
    assert right.status_code == 429
    assert back(sign_in(alices, url=asked(nonce="n3", max_age="0")))["code"]
    clock.shift(timedelta(hours=1, seconds=1))
    assert back(sign_in(client, url=asked(nonce="n4")))["code"]


def guess(idp: Flask, login: str, address: str, password: str = "guess") -> int:
    """One try in a fresh browser at an address."""
    browser = idp.test_client()
    browser.environ_base["REMOTE_ADDR"] = address
    url = asked(nonce=ids.random_id())
    form = {"form": form_token(browser.get(url)), "login": login, "password": password}
    return browser.post(url, data=form).status_code


def test_a_guesser_with_ever_new_cookies_is_slowed_down_and_alice_elsewhere_is_not(idp: Flask) -> None:
    with clock.frozen(clock.now()):
        assert [guess(idp, "alice", "192.0.2.1") for _ in range(7)] == [401] * 5 + [429] * 2
        assert guess(idp, "alice", "192.0.2.2", "demo") == 303
        assert guess(idp, "bob", "192.0.2.1") == 401


def test_one_password_is_not_tried_on_everybody_from_one_address(idp: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwords.ADDRESS.free >= 30 * passwords.HERE.free, "thirty people may mistype behind one address"
    monkeypatch.setattr(passwords, "ADDRESS", replace(passwords.ADDRESS, free=12))
    with clock.frozen(clock.now()):
        for login in ("alice", "dave"):
            assert [guess(idp, login, "192.0.2.1") for _ in range(3)] == [401] * 3
        assert guess(idp, "alice", "192.0.2.1", "demo") == 303
        tried = [guess(idp, f"somebody{number}", "192.0.2.1") for number in range(8)]
        assert tried == [401] * 6 + [429] * 2
        assert guess(idp, "bob", "192.0.2.1", "demo") == 429
        assert guess(idp, "bob", "192.0.2.2", "demo") == 303
        clock.shift(timedelta(hours=1, seconds=1))
        assert guess(idp, "bob", "192.0.2.1", "demo") == 303


def test_a_browser_that_is_known_is_not_held_up_by_its_neighbours(idp: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ADDRESS", replace(passwords.ADDRESS, free=3))
    alices = idp.test_client()
    back(sign_in(alices))
    with clock.frozen(clock.now()):
        assert [guess(idp, f"somebody{number}", "127.0.0.1") for number in range(4)] == [401] * 3 + [429]
        assert guess(idp, "bob", "127.0.0.1", "demo") == 429
        assert back(sign_in(alices, url=asked(nonce="n3", max_age="0")))["code"]


def test_the_form_works_only_in_the_browser_that_got_it(client: FlaskClient, idp: Flask) -> None:
    token = form_token(client.get(asked()))
    other = idp.test_client()
    other.get(asked())
    for data in ({"form": token}, {"form": ""}, {}):
        answer = other.post(asked(), data={"login": "alice", "password": "demo", **data})
        assert answer.status_code == 400
        assert other.get_cookie("idp_session") is None


def test_the_page_offers_everyone_with_one_tap_in_two_languages(client: FlaskClient) -> None:
    page = client.get(asked(ui_locales="es")).get_data(as_text=True)
    assert '<html lang="es">' in page
    assert "Alice Larkin" in page
    assert "Bob Miller" in page
    assert "<script" not in page
    assert client.get("/idp.css").content_type.startswith("text/css")


# --- sessions


def test_somebody_signed_in_is_not_asked_again(client: FlaskClient) -> None:
    first = id_token(client)
    clock.shift(timedelta(minutes=2))
    answer = client.get(asked(nonce="n2"))
    again = redeem(client, back(answer)["code"]).get_json()["id_token"]
    keys = KeySet.import_key_set(client.get("/jwks.json").get_json())
    claims = jwt.decode(again, keys, algorithms=["ES256"]).claims
    assert (claims["sid"], claims["auth_time"]) == (first["sid"], first["auth_time"])


@pytest.mark.parametrize(
    "change", [{"max_age": "0"}, {"max_age": "60"}, {"prompt": "login"}, {"prompt": "select_account"}]
)
def test_a_fresh_login_is_demanded_when_asked_for(client: FlaskClient, change: dict[str, str]) -> None:
    first = id_token(client)
    clock.shift(timedelta(minutes=2))
    assert client.get(asked(nonce="n2", **change)).status_code == 200
    before = client.get_cookie("idp_session")
    claims = id_token(client, url=asked(nonce="n3", **change))
    after = client.get_cookie("idp_session")
    assert claims["auth_time"] > first["auth_time"]
    assert claims["sid"] == first["sid"]
    assert before is not None
    assert after is not None
    assert before.value != after.value


def test_prompt_none_never_shows_a_page(client: FlaskClient) -> None:
    assert back(client.get(asked(prompt="none")))["error"] == "login_required"
    sign_in(client, url=asked(nonce="n2"))
    assert "code" in back(client.get(asked(prompt="none", nonce="n3")))
    assert back(client.get(asked(prompt="none", max_age="0", nonce="n4")))["error"] == "login_required"


def test_bob_at_alices_browser_ends_her_session(client: FlaskClient, told: list[Ended]) -> None:
    first = id_token(client)
    id_token(client, "bob", url=asked(nonce="n2", max_age="0"))
    assert told == [Ended("alice", first["sid"])]


def test_where_the_password_is_asked_for_anyway_several_people_share_a_browser(
    client: FlaskClient, told: list[Ended]
) -> None:
    id_token(client)
    id_token(client, "bob", url=asked(nonce="n2", prompt="login"))
    assert told == []


def test_who_answers_for_another_leaves_that_ones_session_alone(client: FlaskClient, told: list[Ended]) -> None:
    first = id_token(client)
    page = client.get(asked(nonce="n2", max_age="0", login_hint="alice"))
    assert 'value="alice"' in page.text
    id_token(client, "bob", url=asked(nonce="n3", max_age="0", login_hint="alice"))
    assert told == []
    # Alice is still the one this browser is signed in as.
    again = back(client.get(asked(nonce="n4", prompt="none")))["code"]
    claims = jwt.decode(
        redeem(client, again).get_json()["id_token"], KeySet.import_key_set(client.get("/jwks.json").json)
    )
    assert claims.claims["sid"] == first["sid"]


def test_its_own_token_is_good_after_the_clock_moved(client: FlaskClient, told: list[Ended]) -> None:
    clock.shift(timedelta(hours=3))
    hint = redeem(client, back(sign_in(client))["code"]).get_json()["id_token"]
    clock.reset()
    answer = client.get(
        "/logout?" + urlencode({"id_token_hint": hint, "post_logout_redirect_uri": PORTAL + "/logged-out"})
    )
    assert (answer.status_code, len(told)) == (303, 1)


def test_signing_out_with_our_token_ends_the_session_and_goes_back(client: FlaskClient, told: list[Ended]) -> None:
    code = back(sign_in(client))["code"]
    hint = redeem(client, code).get_json()["id_token"]
    out = {"id_token_hint": hint, "client_id": "portal", "post_logout_redirect_uri": PORTAL + "/logged-out"}
    answer = client.get("/logout?" + urlencode(out))
    assert (answer.status_code, answer.headers["Location"]) == (303, PORTAL + "/logged-out")
    assert len(told) == 1
    assert client.get(asked(nonce="n2")).status_code == 200


def test_signing_out_goes_back_to_registered_addresses_only(client: FlaskClient) -> None:
    hint = redeem(client, back(sign_in(client))["code"]).get_json()["id_token"]
    for address in ("http://evil.test/", PORTAL + "/logged-out/", PORTAL + "/other"):
        answer = client.get("/logout?" + urlencode({"id_token_hint": hint, "post_logout_redirect_uri": address}))
        assert "Location" not in answer.headers


def test_without_a_token_of_ours_signing_out_asks_first(client: FlaskClient, told: list[Ended]) -> None:
    sign_in(client)
    page = client.get(
        "/logout?" + urlencode({"post_logout_redirect_uri": PORTAL + "/logged-out", "client_id": "portal"})
    )
    assert page.status_code == 200
    assert told == []
    assert client.post("/logout", data={"form": "forged"}).status_code == 200
    assert told == []
    assert client.post("/logout", data={"form": form_token(page)}).status_code == 200
    assert len(told) == 1


def test_a_forged_hint_signs_nobody_out(client: FlaskClient, told: list[Ended]) -> None:
    claims = id_token(client)
    stranger = ECKey.generate_key("P-256", {"kid": client.get("/jwks.json").get_json()["keys"][0]["kid"]})
    forged = jwt.encode({"alg": "ES256", "kid": stranger.kid}, claims, stranger)
    assert client.get("/logout?" + urlencode({"id_token_hint": forged})).status_code == 400
    assert told == []


# --- keys


def test_a_rotated_key_signs_and_the_old_one_is_published_until_its_tokens_are_old(
    client: FlaskClient, idp: Flask
) -> None:
    before = client.get("/jwks.json").get_json()["keys"]
    rotate_keys(idp)
    both = client.get("/jwks.json").get_json()["keys"]
    assert len(both) == 2
    assert before[0] in both
    assert all("d" not in key for key in both)
    assert id_token(client)["sub"] == "alice"
    clock.shift(timedelta(hours=1, seconds=1))
    assert before[0] not in client.get("/jwks.json").get_json()["keys"]


def test_a_withdrawn_key_is_gone_at_once(client: FlaskClient, idp: Flask) -> None:
    before = client.get("/jwks.json").get_json()["keys"]
    withdraw_key(idp)
    after = client.get("/jwks.json").get_json()["keys"]
    assert len(after) == 1
    assert after != before


def test_keys_survive_a_restart(idp: Flask, client: FlaskClient, tmp_path: Path) -> None:
    again = create_idp(
        Settings(oidc_client_secret=SECRET),
        database_path=str(tmp_path / "idp.sqlite3"),
        base_url=SELF,
        portal_origin=PORTAL,
        accounts=[ALICE],
    )
    assert again.test_client().get("/jwks.json").get_json() == client.get("/jwks.json").get_json()
