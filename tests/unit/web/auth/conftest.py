"""The whole portal with a provider on loopback; browsers that sign in there."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from browsing import Browser
from flask import Flask
from misbehaving import CLIENT_ID, CLIENT_SECRET, MisbehavingProvider
from sqlalchemy import update
from world import World, build

from portal.accounts import policy
from portal.accounts.tables import Account
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.settings import Settings
from portal.web.acting import current_actor


@pytest.fixture
def provider() -> Iterator[MisbehavingProvider]:
    """A provider without faults yet."""
    made = MisbehavingProvider()
    yield made
    made.close()


@pytest.fixture
def settings(settings: Settings, provider: MisbehavingProvider) -> Settings:
    """The portal's settings with that provider."""
    return replace(settings, oidc_issuer=provider.issuer, oidc_client_id=CLIENT_ID, oidc_client_secret=CLIENT_SECRET)


@pytest.fixture
def world(database: Database, provider: MisbehavingProvider) -> World:
    """The people of the tests, known by this provider."""
    made = build(database)
    with database.transaction() as session:
        session.execute(update(Account).values(issuer=provider.issuer))
    return made


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def app(settings: Settings, database: Database, world: World, bus: MemoryBus) -> Flask:
    from portal.app import create_app

    made = create_app(settings, database=database, bus=bus)
    made.testing = True
    # Two routes of the tests: one that needs a fresh login, one that says who asks.
    made.add_url_rule("/needs-step-up", view_func=needs_step_up)
    made.add_url_rule("/who", view_func=who)
    return made


def needs_step_up() -> str:
    policy.needs_step_up(current_actor())
    return "done"


def who() -> str:
    actor = current_actor()
    return json.dumps(
        {
            "account": actor.account_id,
            "role": actor.role,
            "fresh": actor.auth_time is not None,
            "session": actor.agent.session_ref,
        }
    )


@pytest.fixture
def new_browser(app: Flask, provider: MisbehavingProvider) -> Callable[[], Browser]:
    """Makes browsers."""
    return lambda: Browser(app.test_client(), provider)


@pytest.fixture
def alice(new_browser: Callable[[], Browser]) -> Browser:
    """Alice's browser, signed in."""
    made = new_browser()
    assert made.sign_in("alice").status_code == 303
    return made


@pytest.fixture
def bob(new_browser: Callable[[], Browser]) -> Browser:
    """Bob's browser, signed in."""
    made = new_browser()
    assert made.sign_in("bob").status_code == 303
    return made
