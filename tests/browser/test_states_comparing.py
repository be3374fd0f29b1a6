"""States of comparing a pharmacy's keys with its poster, and of what is held by it."""

from typing import Any

import pytest
from paper import TEAM, at_least_two, false_poster, other_way, poster
from playwright.sync_api import Page
from stage import Stage, answer_with
from talking import asked, say
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter


def scanned(stage: Stage, who: str, address: str | None = None, outcome: str = "fits") -> Page:
    """Somebody's phone has read a picture; without an address that of the team's own poster."""
    stage.founded()
    page = stage.ready(who)
    page.goto(address or poster(stage).address)
    page.locator(f"[data-outcome={outcome}]").wait_for()
    return page


def compared(stage: Stage, who: str) -> Page:
    """Somebody has said that the picture was read in the pharmacy."""
    page = scanned(stage, who)
    page.get_by_role("button", name="Yes, in the pharmacy").click()
    page.locator("[data-outcome=same]").wait_for()
    return page


def not_the_same(stage: Stage, who: str, address: str, outcome: str = "other") -> Page:
    """Somebody has said that a picture which differs is the pharmacy's."""
    page = scanned(stage, who, address, "differs")
    page.get_by_role("button", name="It is from the pharmacy").click()
    page.locator(f"[data-outcome={outcome}]").wait_for()
    return page


def without_the_newest(answer: dict[str, Any]) -> dict[str, Any]:
    """The server shows teams as they were before their newest record."""
    items = [one | ({"records": one["records"][:-1]} if "records" in one else {}) for one in answer["items"]]
    return answer | {"items": items}


def without_teams(answer: dict[str, Any]) -> dict[str, Any]:
    """No pharmacy has founded a team."""
    items = [one | {"teams": dict.fromkeys(one["teams"])} for one in answer["items"]]
    return answer | {"items": items}


@state("compare", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.with_keys("nina", "/compare")
    page.locator(f"[data-team={TEAM}]").wait_for()
    return page


@state("compare-same")
def _(stage: Stage) -> Page:
    return compared(stage, "walt")


@state("compare-fits")
def _(stage: Stage) -> Page:
    return scanned(stage, "nina")


@state("compare-other")
def _(stage: Stage) -> Page:
    stage.founded()
    return not_the_same(stage, "dave", false_poster(stage).address)


@state("compare-differs")
def _(stage: Stage) -> Page:
    stage.founded()
    return scanned(stage, "walt", false_poster(stage).address, "differs")


@state("compare-aside")
def _(stage: Stage) -> Page:
    stage.founded()
    page = scanned(stage, "walt", false_poster(stage).address, "differs")
    page.get_by_role("button", name="From somewhere else").click()
    page.locator("[data-outcome=aside]").wait_for()
    return page


@state("compare-none", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.ready("walt")
    answer_with(page, "**/api/pharmacies", without_teams)
    page.goto("/compare")
    page.get_by_text("has keys yet").wait_for()
    return page


@state("compare-fork")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.ready("alice")
    other_way(stage, page)
    page.goto("/compare")
    page.get_by_text("The number alone cannot settle that").wait_for()
    return page


@state("compare-old")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.ready("pat")
    before = other_way(stage, page)
    page.goto(before.address)
    page.locator("[data-outcome=old]").wait_for()
    return page


@state("compare-behind")
def _(stage: Stage) -> Page:
    stage.founded()
    return not_the_same(stage, "alicia", poster(stage, later=1).address, "behind")


@state("compare-broken")
def _(stage: Stage) -> Page:
    at_least_two(stage)
    compared(stage, "trent")
    page = stage.ready("trent")
    answer_with(page, "**/api/directory/lookup", without_the_newest)
    page.goto(poster(stage).address)
    page.locator("[data-outcome=broken]").wait_for()
    return page


@state("compare-elsewhere")
def _(stage: Stage) -> Page:
    stage.founded()
    return scanned(stage, "nina", poster(stage).address.replace("riverside", "elsewhere"), "elsewhere")


@state("compare-unreadable")
def _(stage: Stage) -> Page:
    return scanned(stage, "nina", "/compare#c=nothing", "unreadable")


@state("thread-not-the-same", spanish=True)
def _(stage: Stage) -> Page:
    path = asked(stage, "judy")
    page = not_the_same(stage, "judy", false_poster(stage).address)
    page.goto(path)
    page.get_by_text("were not the same").first.wait_for()
    return page


@state("new-not-verified")
def _(stage: Stage) -> Page:
    at_least_two(stage)
    compared(stage, "peggy")
    page = stage.ready("peggy")
    answer_with(page, "**/api/directory/lookup", without_the_newest)
    page.goto("/new?topic=other&for=me")
    say(page, "Does this reach you?")
    page.get_by_text("does not pass the check").first.wait_for()
    return page


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
