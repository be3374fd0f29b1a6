"""Until which birthday parents act for a child: by country, earlier where a pharmacy says so, the lowest of several."""

from dataclasses import replace

import pytest
from world import HARBOR, NOBODY, RIVERSIDE, World, build

from portal.core.database import Database
from portal.core.errors import BadInput
from portal.pharmacies import ages, emergency, profiles


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def age_of(world: World, name: str) -> int:
    with world.database.reading() as session:
        return ages.of_patient(session, world.patients[name], 18)


def settle(world: World, profile: profiles.Profile) -> None:
    with world.database.transaction() as session:
        profiles.change(session, agent=NOBODY, profile=profile)


def test_a_country_has_its_age_and_an_unknown_one_the_servers() -> None:
    assert (ages.of_country("us", 21), ages.of_country("NO", 18), ages.of_country("ZZ", 17)) == (18, 16, 17)
    assert all(ages.YOUNGEST <= ages.of_country(country, 0) <= 18 for country in emergency.NUMBERS)


def test_a_pharmacy_says_an_earlier_one_and_never_a_later_one(world: World) -> None:
    assert age_of(world, "alice") == 18
    settle(world, replace(RIVERSIDE, parents_until_age=14))
    assert age_of(world, "alice") == 14
    for wrong in (11, 19, 0):
        with pytest.raises(BadInput) as refused:
            settle(world, replace(RIVERSIDE, parents_until_age=wrong))
        assert refused.value.extra["field"] == "parents_until_age"
    assert age_of(world, "alice") == 14


def test_of_several_pharmacies_the_lowest_counts(world: World) -> None:
    settle(world, replace(HARBOR, country="ES"))
    assert (age_of(world, "dave"), age_of(world, "alice")) == (16, 18)
    # It moved to a country with a lower age than it had said for itself.
    settle(world, replace(RIVERSIDE, parents_until_age=17))
    with pytest.raises(BadInput):
        settle(world, replace(RIVERSIDE, parents_until_age=17, country="GB"))
    assert ages.of_pharmacy("GB", 17, 18) == 16
