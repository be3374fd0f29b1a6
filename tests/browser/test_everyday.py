"""What patients and carers do every day, in a real Chromium: their list, writing for somebody, files, a bad line."""

import re
from collections.abc import Iterator

import pytest
from checks import NARROW, axe
from complaints import Complaints
from demo_world import Demo, demo
from playwright.sync_api import Browser, Locator, Page, expect
from stage import Stage, on_stage

__all__ = ["demo"]
pytestmark = pytest.mark.browser
THREAD = re.compile(r"/thread/[0-9a-f]{32}$")
SOON = 30_000


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    heard = Complaints()
    heard.allow(r"status of (401|403|404|409)")
    with on_stage(demo, browser, heard) as made:
        made.found_team("bob")
        yield made
    assert heard.unexpected() == []


def say(page: Page, words: str) -> None:
    """Write into the box and send."""
    page.locator(".composer textarea").fill(words, timeout=SOON)
    page.locator(".composer button[type=submit]").click()


def said(page: Page, words: str) -> Locator:
    """The message with these words."""
    return page.locator("article.bubble").filter(has_text=words)


def hears(page: Page, words: str) -> None:
    """Wait for a message."""
    expect(said(page, words)).to_be_visible(timeout=SOON)


def ask(page: Page, words: str) -> str:
    """Ask something; gives the path of the thread."""
    page.goto("/new?topic=other")
    say(page, words)
    page.wait_for_url(THREAD)
    hears(page, words)
    return "/thread/" + page.url.rsplit("/", 1)[1]


def row(page: Page, words: str) -> Locator:
    """The line of a list with these words."""
    return page.locator(".queue__row").filter(has_text=words)


def test_a_patients_list_says_whose_turn_it_is(stage: Stage) -> None:
    alice = stage.with_keys("alice", "/home")
    path = ask(alice, "May I drink coffee with it?")
    alice.goto("/messages")
    expect(row(alice, "May I drink coffee")).to_contain_text("Waiting for the pharmacy", timeout=SOON)
    bob = stage.with_keys("bob", path)
    hears(bob, "May I drink coffee")
    expect(row(bob, "May I drink coffee")).to_contain_text("Needs an answer", timeout=SOON)
    say(bob, "One cup does no harm.")
    expect(row(alice, "One cup does no harm.")).to_contain_text("Answered", timeout=SOON)
    assert alice.get_by_text("Needs an answer").count() == 0
    assert axe(alice) == []


def test_on_a_telephone_the_box_is_small_until_somebody_writes(stage: Stage) -> None:
    path = ask(stage.with_keys("alice", "/home"), "Is there room to read?")
    page = stage.page("alice")
    page.set_viewport_size(NARROW)
    page.goto(path)
    hears(page, "Is there room to read?")
    send = page.locator(".composer button[type=submit]")
    expect(send).to_be_hidden()
    # Who reads is said all the same.
    expect(page.locator(".readers")).to_contain_text("the pharmacists of Riverside Pharmacy")
    small = page.locator(".composer").bounding_box()
    assert small is not None
    assert small["height"] <= NARROW["height"] / 4
    page.locator(".composer textarea").click()
    expect(send).to_be_visible()
    assert axe(page) == []
    # Whoever taps on the conversation reads again, but not with words begun.
    page.locator(".messages").click(position={"x": 5, "y": 5})
    expect(send).to_be_hidden()
    page.locator(".composer textarea").fill("Ample room")
    page.locator(".messages").click(position={"x": 5, "y": 5})
    expect(send).to_be_visible()
    send.click()
    hears(page, "Ample room")
