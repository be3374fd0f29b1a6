"""A town of members for every test of this folder."""

import pytest
from flask import Flask
from town import TEAM, Town

from portal.core.database import Database


@pytest.fixture
def town(app: Flask, database: Database) -> Town:
    """Riverside with its team of pharmacists, founded by Bob."""
    made = Town(app, database)
    made["bob"].teams.found(TEAM)
    return made
