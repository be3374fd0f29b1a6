"""The portal that the tests of this folder kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import DATABASES, Served, portal_at_work


@pytest.fixture(params=DATABASES)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A portal on SQLite, and where there is a server one on PostgreSQL."""
    with portal_at_work(request.param, tmp_path) as portal:
        yield portal
