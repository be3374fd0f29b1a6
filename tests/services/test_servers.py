"""The servers that `make test-services` starts are what the other tests take them for."""

import base64
import hashlib
import json
import os
import shlex
import smtplib
import subprocess
import time
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
import redis
from joserfc import jwt
from joserfc.jwk import KeySet

pytestmark = pytest.mark.services
CLIENT = ("portal", "portal-test-secret")
PORTAL = "http://127.0.0.1:5000"


def setting(name: str) -> str:
    """What tests/services/run.sh says; its absence is an error and never a skip."""
    assert name in os.environ, f"{name} is not set: run `make test-services`"
    return os.environ[name]


class LoginForm(HTMLParser):
    """Where Keycloak's login form is sent."""

    action = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form" and named.get("id") == "kc-form-login":
            self.action = named["action"] or ""


def sign_in(login: str) -> dict[str, object]:
    """Sign in at Keycloak as a browser does and give the claims of the ID token."""
    issuer = setting("PORTAL_TEST_KEYCLOAK")
    verifier = "a" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    callback = f"{PORTAL}/login/callback"
    asked = {
        "response_type": "code",
        "client_id": CLIENT[0],
        "redirect_uri": callback,
        "scope": "openid profile email",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    with httpx.Client(timeout=20) as browser:
        known = browser.get(f"{issuer}/.well-known/openid-configuration").json()
        page = browser.get(known["authorization_endpoint"], params=asked)
        form = LoginForm()
        form.feed(page.text)
        # Browsers take Secure cookies from loopback over http; the client library does not send them back.
        cookies = {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        answer = browser.post(form.action, data={"username": login, "password": "demo"}, headers=header)
        given = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert given["state"] == ["state"]
        assert given["iss"] == [issuer]
        body = {
            "grant_type": "authorization_code",
            "code": given["code"][0],
            "redirect_uri": callback,
            "code_verifier": verifier,
        }
        tokens = browser.post(known["token_endpoint"], data=body, auth=CLIENT).json()
        keys = KeySet.import_key_set(browser.get(known["jwks_uri"]).json())
    return dict(jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims)


def test_keycloak_tells_role_and_pharmacy_of_bob() -> None:
    claims = sign_in("bob")
    assert "pharmacist" in claims["roles"]  # type: ignore[operator]
    assert claims["pharmacy"] == "riverside"
    assert claims["sid"]
    assert claims["nonce"] == "nonce"


def test_keycloak_tells_which_patient_alice_is() -> None:
    claims = sign_in("alice")
    assert "patient" in claims["roles"]  # type: ignore[operator]
    assert claims["patient"] == "alice"
    assert "pharmacy" not in claims


def test_the_portals_own_role_cannot_make_databases() -> None:
    address = setting("PORTAL_TEST_APP_DATABASE_URL").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("CREATE DATABASE nobody_may")


def test_the_database_is_as_durable_as_in_production() -> None:
    with psycopg.connect(setting("PORTAL_TEST_DATABASE_URL").replace("+psycopg", "")) as owner:
        assert owner.execute("SHOW fsync").fetchone() == ("on",)
        assert owner.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_redis_carries_a_message() -> None:
    with redis.Redis.from_url(setting("PORTAL_TEST_REDIS_URL")) as server, server.pubsub() as listener:
        listener.subscribe("people")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        assert server.publish("people", "alice") == 1


def test_the_mail_server_keeps_a_mail_and_refuses_who_is_gone() -> None:
    address = urlsplit(setting("PORTAL_TEST_SMTP_URL"))
    mail = EmailMessage()
    mail["Subject"] = "Something is waiting"
    mail["Message-ID"] = f"<{time.time_ns()}@portal.test>"
    mail.set_content("Sign in to read it.")
    with smtplib.SMTP(address.hostname or "", address.port or 0) as server:
        server.send_message(mail, "portal@portal.test", ["alice@example.test"])
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            server.send_message(mail, "portal@portal.test", ["refused@example.test"])
    kept = [path.read_text() for path in Path(setting("PORTAL_TEST_MAILS")).glob("*.eml")]
    (found,) = [text for text in kept if mail["Message-ID"] in text]
    assert "X-Envelope-To: alice@example.test" in found


def test_hapi_keeps_a_patient_and_refuses_a_stale_change() -> None:
    with httpx.Client(base_url=setting("PORTAL_TEST_HAPI"), timeout=60) as fhir:
        patient = {"resourceType": "Patient", "name": [{"family": "Larkin"}]}
        made = fhir.post("/Patient", json=patient, headers={"Content-Type": "application/fhir+json"})
        assert made.status_code == 201
        kept = made.json()
        headers = {"Content-Type": "application/fhir+json", "If-Match": 'W/"1"'}
        assert fhir.put(f"/Patient/{kept['id']}", json={**kept, "active": True}, headers=headers).status_code == 200
        stale = fhir.put(f"/Patient/{kept['id']}", json={**kept, "active": False}, headers=headers)
        assert stale.status_code in (409, 412)


def test_the_validator_tells_right_from_wrong(tmp_path: Path) -> None:
    right = {"resourceType": "Patient", "name": [{"family": "Larkin"}]}
    files = {"right.json": right, "wrong.json": {**right, "gender": "nonsense"}}
    for name, resource in files.items():
        (tmp_path / name).write_text(json.dumps(resource))
    command = [*shlex.split(setting("PORTAL_TEST_VALIDATOR")), *(str(tmp_path / name) for name in files)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert f"valid   {tmp_path / 'right.json'}" in said.stdout
    assert f"INVALID {tmp_path / 'wrong.json'}" in said.stdout
