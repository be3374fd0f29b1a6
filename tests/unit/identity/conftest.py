"""A provider, and the portal as its client."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from misbehaving import CLIENT_ID, CLIENT_SECRET, MisbehavingProvider

from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity.flow import Finished, LoginFlow, Purpose

BROWSER = "b" * 43


@pytest.fixture
def provider() -> Iterator[MisbehavingProvider]:
    """A provider without faults yet."""
    made = MisbehavingProvider()
    yield made
    made.close()


@pytest.fixture
def flow(provider: MisbehavingProvider, settings: Settings, database: Database) -> Iterator[LoginFlow]:
    """The portal's side."""
    known = replace(settings, oidc_issuer=provider.issuer, oidc_client_id=CLIENT_ID, oidc_client_secret=CLIENT_SECRET)
    made = LoginFlow(known, database)
    yield made
    made.provider.fetcher.close()


@pytest.fixture
def sign_in(flow: LoginFlow, provider: MisbehavingProvider) -> Callable[..., Finished]:
    """Alice signs in from the first redirect to the end."""

    def whole(purpose: Purpose = Purpose.LOGIN, browser: str = BROWSER) -> Finished:
        url = flow.begin(purpose, browser=browser, next_path="/messages", language="en")
        return flow.finish(provider.answer(url), browser=browser)

    return whole
