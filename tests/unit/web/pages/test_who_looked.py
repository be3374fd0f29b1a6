"""Who may read who looked: Dave everything, Riverside's privacy officer what happened at Riverside."""

from collections.abc import Callable

import pytest
from world import World
from world_web import Browser

from portal.audit import Action, Agent, record


@pytest.fixture
def looked(world: World) -> None:
    """Dave is in the care of Riverside and Harbor; a pharmacist of each opened his record."""
    with world.database.transaction() as session:
        for name, pharmacy in (("bob", "riverside"), ("carol", "harbor")):
            record(
                session,
                Action.CONTEXT_READ,
                agent=Agent(world.accounts[name], "pharmacist"),
                patient_id=world.patients["dave"],
                pharmacy_id=pharmacy,
            )


def people(browser: Browser, world: World) -> set[str]:
    answer = browser.get("/api/audit", patient=world.patients["dave"])
    assert answer.status_code == 200
    return {line["who"] for line in answer.get_json()["items"] if line["what"] and line["role"]}


@pytest.mark.usefixtures("looked")
def test_the_privacy_officer_sees_nothing_of_another_pharmacy(
    world: World, browser_of: Callable[[str], Browser]
) -> None:
    names = {name: world.actor(name).name for name in ("bob", "carol")}
    assert set(names.values()) <= people(browser_of("dave"), world)
    seen = people(browser_of("heidi"), world)
    assert names["bob"] in seen
    assert names["carol"] not in seen
