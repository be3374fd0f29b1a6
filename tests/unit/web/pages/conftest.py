"""The pages in front of the shared world, with an EHR that answers at once and a built client that has every file."""

from collections.abc import Callable

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from world import World, build
from world_web import Browser, portal_app

from portal.core.database import Database
from portal.core.settings import Settings


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr({name: context_of(name) for name in ("alice", "dave", "rosa")})


@pytest.fixture
def app(settings: Settings, database: Database, ehr: FakeEhr, world: World) -> Flask:
    return portal_app(settings, database, ehr=ehr)


@pytest.fixture
def browser_of(app: Flask, world: World) -> Callable[[str], Browser]:
    """`browser_of("alice")`: her browser, signed in."""
    return lambda name: Browser(app, world, name)
