"""Who may read who looked: patients all but other patients' names, a privacy officer what happened there."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from world import World
from world_web import Browser

from portal.audit import Action, Agent, Entity, Outcome, record
from portal.core import clock


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


def lines(browser: Browser, world: World, patient: str) -> list[dict[str, object]]:
    answer = browser.get("/api/audit", patient=world.patients[patient])
    assert answer.status_code == 200
    return [line for line in answer.get_json()["items"] if "conversation" in line["what"]]


def test_alice_sees_how_often_her_conversation_stood_in_bobs_list(
    world: World, browser_of: Callable[[str], Browser]
) -> None:
    for _ in range(14):
        with world.database.transaction() as session:
            record(
                session,
                Action.THREAD_LISTED,
                agent=Agent(world.accounts["bob"], "pharmacist"),
                patient_id=world.patients["alice"],
                pharmacy_id="riverside",
            )
    alice = browser_of("alice")
    (line,) = lines(alice, world, "alice")
    assert (line["who"], line["what"], line["count"]) == ("Bob", "Saw your conversation in a list", 14)
    page = alice.client.get("/record").get_data(as_text=True)
    assert page.count("Saw your conversation in a list") == 1
    assert "(14 times)" in page


def test_a_neighbour_who_tried_is_named_to_the_privacy_officer_only(
    world: World, browser_of: Callable[[str], Browser]
) -> None:
    for name in ("dave", "judy"):
        with world.database.transaction() as session:
            record(
                session,
                Action.THREAD_READ,
                agent=Agent(world.accounts[name], "patient"),
                patient_id=world.patients["rosa"],
                pharmacy_id="riverside",
                outcome=Outcome.SERIOUS if name == "dave" else Outcome.SUCCESS,
                reason="not-found" if name == "dave" else None,
            )
    for reader in ("rosa", "judy"):
        browser = browser_of(reader)
        shown = lines(browser, world, "rosa")
        assert [(line["refused"], "Dave" in str(line)) for line in shown] == [(False, False), (True, False)]
        assert shown[1]["who"] == "Somebody with a patient account"
        page = browser.client.get("/record").get_data(as_text=True)
        assert "Dave" not in page
        assert "Somebody with a patient account" in page
    # Whoever acts for Rosa has a name for her.
    assert lines(browser_of("rosa"), world, "rosa")[0]["who"] == "Judy"
    officers = lines(browser_of("heidi"), world, "rosa")
    assert [line["who"] for line in officers if line["refused"]] == ["Dave"]


def at_chat(world: World, action: Action, name: str, minute: int, thread: str = "t1") -> None:
    role = "patient" if name == "alice" else "pharmacist"
    with clock.at(datetime(2026, 11, 20, 16, minute, tzinfo=UTC)), world.database.transaction() as session:
        record(
            session,
            action,
            agent=Agent(world.accounts[name], role),
            patient_id=world.patients["alice"],
            pharmacy_id="riverside",
            entity=Entity("Communication", thread),
        )


def test_a_talk_is_one_line_for_each_who_took_part(world: World, browser_of: Callable[[str], Browser]) -> None:
    for minute in range(0, 20, 2):
        for name in ("alice", "bob"):
            at_chat(world, Action.THREAD_READ, name, minute)
            at_chat(world, Action.MESSAGE_READ, name, minute)
    at_chat(world, Action.MESSAGE_SENT, "bob", 5)
    at_chat(world, Action.MESSAGE_SENT, "bob", 7)
    at_chat(world, Action.THREAD_READ, "bob", 9, "t2")
    page = browser_of("alice").client.get("/record").get_data(as_text=True)
    # The pages that were open fetched again and again: two conversations were opened, two messages sent.
    bob = page[page.index(">Bob<") :].split("</li>")[0]
    assert page.count(">Bob<") == 1
    assert bob.count("(2 times)") == 2
    assert "(11 times)" not in page


def test_own_acts_can_be_left_out(world: World, browser_of: Callable[[str], Browser]) -> None:
    at_chat(world, Action.MESSAGE_SENT, "alice", 1)
    at_chat(world, Action.MESSAGE_SENT, "bob", 2)
    at_chat(world, Action.THREAD_LISTED, "alice", 3)
    alice = browser_of("alice").client
    everyone = alice.get("/record").get_data(as_text=True)
    assert "log__row--own" in everyone
    # By the link of the page itself, as a browser reads it.
    link = re.search(r'href="(\?[^"]*who=others)"', everyone)
    assert link is not None
    others = alice.get(f"/record{html.unescape(link[1])}").get_data(as_text=True)
    assert "log__row--own" not in others
    assert ">Bob<" in others
