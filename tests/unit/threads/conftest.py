"""Riverside and Harbor with keys: Alice, Dave, Bob, Erin, Frank and Carol have enrolled, the teams are founded."""

import pytest
import world
from world_keys import Keys
from world_threads import Threads

from portal.core.database import Database


@pytest.fixture
def threads(database: Database) -> Threads:
    """A world in which threads can begin."""
    keys = Keys(world.build(database))
    keys.enrol("alice", "dave", "bob", "erin", "frank", "carol")
    keys.team("riverside_pharmacists", "bob", "bob")
    keys.team("riverside_desk", "bob", "bob", "frank")
    keys.team("harbor_pharmacists", "carol", "carol")
    return Threads(keys)
