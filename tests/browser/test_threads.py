"""Threads in a real Chromium: Alice asks, Bob answers, and nobody else sees anything of it."""

import re
from collections.abc import Callable, Iterator

import pytest
from complaints import Complaints
from demo_world import Demo, confirm_with, demo, get_code, sign_in, team
from playwright.sync_api import Page, expect

__all__ = ["demo"]
pytestmark = pytest.mark.browser
Person = Callable[..., Page]
THREAD = re.compile(r"/thread/[0-9a-f]{32}$")


@pytest.fixture(scope="module")
def portal_url(demo: Demo) -> Iterator[str]:
    """These stories have a portal of their own."""
    yield demo.url


@pytest.fixture(autouse=True)
def refusals_are_heard(complaints: Complaints) -> None:
    """Chromium says on the console that an answer was a refusal; the stories below provoke some on purpose."""
    complaints.allow(r"status of (403|404|409)")


def found_team(bob: Page) -> None:
    """Bob opens the pharmacy for messages, unless he has done so before."""
    sign_in(bob, "bob", "/team")
    code = get_code(bob)
    bob.goto("/team")
    team(bob).get_by_role("button", name="Found this team").click()
    confirm_with(bob, code)
    expect(team(bob)).to_have_attribute("data-gen", "1")


def ask(page: Page, words: str, topic: str = "Something else") -> str:
    """Ask a question; gives the address of its thread."""
    page.goto("/new")
    page.get_by_text(topic, exact=True).click()
    page.get_by_label("Your message").fill(words)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url(THREAD, timeout=20_000)
    return page.url


def write(page: Page, words: str) -> None:
    """Write into the thread that is open."""
    page.get_by_label("Your message").fill(words)
    page.get_by_role("button", name="Send").click()


def test_alice_asks_and_bob_answers(person: Person) -> None:
    bob = person("bob")
    found_team(bob)
    alice = person("alice")
    sign_in(alice, "alice", "/new")
    ask(alice, "May I take ibuprofen with lisinopril?")
    expect(alice.get_by_text("May I take ibuprofen with lisinopril?")).to_be_visible()
    bob.goto("/inbox")
    bob.locator(".queue__row").first.click()
    expect(bob.locator(".bubble__text").get_by_text("May I take ibuprofen with lisinopril?")).to_be_visible()
    write(bob, "Better paracetamol.")
    expect(alice.locator(".bubble__text").get_by_text("Better paracetamol.")).to_be_visible(timeout=10_000)
