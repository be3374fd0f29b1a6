"""The portal signs people in and out at both providers: the embedded one and Keycloak."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from person import PersonAtBrowser
from providers import PASSWORD, Embedded, Keycloak, Provider, Served
from sqlalchemy import select
from waiting import until
from world import build

from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity.tables import LoginSession


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@pytest.fixture
def portal_port(request: pytest.FixtureRequest) -> int:
    """Keycloak is told in advance where the portal will be."""
    return int(os.environ.get("PORTAL_TEST_PORTAL_PORT", "0")) or free_port()


@pytest.fixture(params=["embedded", pytest.param("keycloak", marks=pytest.mark.services)])
def provider(request: pytest.FixtureRequest, tmp_path: Path, portal_port: int) -> Iterator[Provider]:
    origin = f"http://127.0.0.1:{portal_port}"
    made: Provider = Embedded(tmp_path, free_port(), origin) if request.param == "embedded" else Keycloak()
    yield made
    made.close()


@pytest.fixture
def portal(settings: Settings, database: Database, provider: Provider, portal_port: int) -> Iterator[str]:
    """The whole portal, served; its address."""
    from portal.app import create_app

    address = f"http://127.0.0.1:{portal_port}"
    build(database)
    known = replace(settings, base_url=address, oidc_issuer=provider.issuer, oidc_client_secret=provider.client_secret)
    served = Served(create_app(known, database=database), portal_port)
    yield address
    served.close()


@pytest.fixture
def person() -> Iterator[PersonAtBrowser]:
    made = PersonAtBrowser()
    yield made
    made.close()


def session_of(person: PersonAtBrowser, portal: str) -> dict[str, object]:
    """GET /api/session."""
    return dict(person.go(f"{portal}/api/session").json())


def account_of(person: PersonAtBrowser, portal: str) -> dict[str, object]:
    account = session_of(person, portal)["account"]
    assert isinstance(account, dict)
    return account


class TestLoginContract:
    """What the portal needs of a provider."""

    def test_both_roles_sign_in_and_land_where_they_wanted_to_go(
        self, portal: str, person: PersonAtBrowser, database: Database
    ) -> None:
        for login, role, pharmacy in (("alice", "patient", None), ("bob", "pharmacist", "riverside")):
            browser = PersonAtBrowser()
            browser.go(f"{portal}/login?next=/account/sessions")
            page = browser.sign_in_here(login, PASSWORD)
            assert (page.status_code, page.url.path) == (200, "/account/sessions")
            account = account_of(browser, portal)
            assert (account["role"], account["pharmacy"]) == (role, pharmacy)
            assert str(account["name"]).startswith(login.capitalize())
            browser.close()
        with database.reading() as session:
            assert all(one.idp_sid for one in session.scalars(select(LoginSession)))

    def test_a_wrong_password_stays_outside(self, portal: str, person: PersonAtBrowser) -> None:
        person.go(f"{portal}/login")
        person.sign_in_here("alice", "not the password")
        assert person.asked_to_sign_in()
        assert session_of(person, portal)["state"] == "anonymous"

    def test_an_unknown_role_gets_a_page_and_no_session(self, portal: str, person: PersonAtBrowser) -> None:
        person.go(f"{portal}/login")
        page = person.sign_in_here("mallory", PASSWORD)
        assert (page.status_code, page.url.path) == (403, "/login/problem/login-no-role")
        assert session_of(person, portal)["state"] == "anonymous"

    def test_signing_out_here_signs_out_there(self, portal: str, person: PersonAtBrowser) -> None:
        person.go(f"{portal}/login")
        person.sign_in_here("alice", PASSWORD)
        token = str(session_of(person, portal)["csrf"])
        page = person.press(f"{portal}/logout", {"csrf_token": token})
        # Our own page first, whatever the provider does; it goes on there by itself, and comes back.
        assert str(page.url) == f"{portal}/logged-out"
        assert 'content="1;url=/logged-out/provider"' in page.text
        assert session_of(person, portal)["state"] == "anonymous"
        page = person.go(f"{portal}/logged-out/provider")
        assert str(page.url).startswith(f"{portal}/logged-out")
        assert "/logged-out/provider" not in page.text
        person.go(f"{portal}/login")
        assert person.asked_to_sign_in()

    def test_a_second_login_needs_no_password_but_a_step_up_does(self, portal: str, person: PersonAtBrowser) -> None:
        person.go(f"{portal}/login")
        person.sign_in_here("alice", PASSWORD)
        assert person.go(f"{portal}/login?next=/account/sessions").url.path == "/account/sessions"
        person.go(f"{portal}/step-up?next=/account/sessions")
        assert person.asked_to_sign_in()
        page = person.sign_in_here("alice", PASSWORD)
        assert (page.status_code, page.url.path) == (200, "/account/sessions")
        assert session_of(person, portal)["state"] == "active"

    def test_the_provider_ends_a_session_from_server_to_server(
        self, portal: str, person: PersonAtBrowser, provider: Provider
    ) -> None:
        person.go(f"{portal}/login")
        person.sign_in_here("bob", PASSWORD)
        assert session_of(person, portal)["state"] == "active"
        provider.sign_out("bob")
        until(lambda: session_of(person, portal)["state"] == "anonymous", "the session is over")

    def test_keys_rotate_without_anyone_noticing(
        self, portal: str, person: PersonAtBrowser, provider: Provider
    ) -> None:
        person.go(f"{portal}/login")
        person.sign_in_here("alice", PASSWORD)
        provider.rotate()
        other = PersonAtBrowser()
        other.go(f"{portal}/login?next=/account/sessions")
        assert other.sign_in_here("bob", PASSWORD).url.path == "/account/sessions"
        other.close()
        assert session_of(person, portal)["state"] == "active"
