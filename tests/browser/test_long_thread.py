"""A conversation of a thousand messages: Walt writes his numbers down every day."""

import re
from collections.abc import Callable

import pytest
from complaints import Complaints
from demo_world import sign_in
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PASSPHRASE = "river lantern copper meadow violin"
# How many messages are drawn at once (client/views/components/message-list.tsx).
DRAWN = 50


@pytest.fixture(scope="module")
def portal_url(demo_url: str) -> str:
    """The whole demo world."""
    return demo_url


def test_the_newest_fifty_come_at_once_and_the_place_is_kept(
    person: Callable[..., Page], complaints: Complaints
) -> None:
    complaints.allow(r"status of (401|403|409)")
    walt = person("walt")
    sign_in(walt, "walt", "/messages")
    walt.wait_for_url(re.compile("/recover"), timeout=30_000)
    walt.locator("input[type=password]").first.fill(PASSPHRASE)
    walt.locator("form button[type=submit]").first.click()
    walt.locator(".queue__row").filter(has_text="My daily numbers").click(timeout=60_000)
    bubbles = walt.locator("article.bubble")
    expect(bubbles.last).to_be_visible(timeout=30_000)
    assert bubbles.count() <= DRAWN
    expect(walt.get_by_text("Checking earlier messages")).to_have_count(0, timeout=120_000)
    expect(walt.locator(".banner--urgent")).to_have_count(0)
    assert bubbles.count() <= DRAWN

    newest = bubbles.last.inner_text()
    top = bubbles.first.get_attribute("id")
    walt.locator(".messages").evaluate("box => { box.scrollTop = 0 }")
    expect(bubbles).not_to_have_count(DRAWN - 1, timeout=10_000)
    # What was on top stays in view while older ones are drawn above it.
    expect(walt.locator(f"[id='{top}']")).to_be_in_viewport()
    begun = walt.get_by_text("The conversation begins here")
    for _ in range(60):
        if begun.count() > 0:
            break
        walt.locator(".messages").evaluate("box => { box.scrollTop = 0 }")
        walt.wait_for_timeout(100)
    expect(begun).to_be_visible(timeout=20_000)
    assert bubbles.count() == 1000
    assert bubbles.last.inner_text() == newest
    walt.locator(".composer textarea").press_sequentially("I can still type", timeout=20_000)
    expect(walt.locator(".composer textarea")).to_have_value("I can still type")
