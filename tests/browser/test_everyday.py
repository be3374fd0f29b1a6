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


def test_judy_writes_for_rosa_and_everybody_sees_for_whom(stage: Stage) -> None:
    judy, bob = stage.with_keys("judy", "/home"), stage.with_keys("bob", "/inbox")
    judy.goto("/new")
    expect(judy.get_by_role("heading", name="Who is it for?")).to_be_visible(timeout=SOON)
    assert axe(judy) == []
    judy.get_by_text("Rosa Delgado", exact=True).click()
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    judy.get_by_text("My medicine", exact=True).click()
    # What Rosa takes, not what Judy takes.
    judy.get_by_role("button", name=re.compile("Warfarin")).click(timeout=SOON)
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    say(judy, "She forgot one tablet yesterday.")
    judy.wait_for_url(THREAD)
    hears(judy, "She forgot one tablet")
    expect(judy.locator(".thread-head .for-whom")).to_have_text("For Rosa Delgado")
    assert axe(judy) == []

    row(bob, "She forgot one tablet").click()
    message = said(bob, "She forgot one tablet")
    expect(message).to_contain_text("Judy Delgado")
    expect(message).to_contain_text("writes for Rosa Delgado", timeout=SOON)
    expect(bob.locator(".patient__name")).to_have_text(re.compile("Rosa"))
    say(bob, "Take the next one as usual.")
    hears(judy, "Take the next one as usual.")


def test_judys_own_conversations_do_not_mix_with_rosas(stage: Stage) -> None:
    judy = stage.with_keys("judy", "/home")
    judy.goto("/new?topic=other&for=me")
    judy.locator(".composer textarea").fill("Begun for me")
    expect(judy.get_by_text("Draft saved, locked")).to_be_visible(timeout=SOON)
    judy.goto("/new?topic=other")
    judy.get_by_text("Rosa Delgado", exact=True).click(timeout=SOON)
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    # What was begun for one is no draft for the other.
    say(judy, "Her ankles are swollen")
    judy.wait_for_url(THREAD)
    judy.goto("/new?topic=other&for=me")
    expect(judy.locator(".composer textarea")).to_have_value("Begun for me", timeout=SOON)
    say(judy, "A question of my own")
    judy.wait_for_url(THREAD)
    expect(judy.locator(".thread-head .for-whom")).to_have_text("For me")
    judy.goto("/messages")
    sections = judy.locator("main section")
    expect(sections.filter(has_text="For me").locator(".queue__row")).to_contain_text(
        ["A question of my own"], timeout=SOON
    )
    rosas = sections.filter(has_text="For Rosa Delgado")
    expect(rosas.locator(".queue__row").filter(has_text="Her ankles are swollen")).to_be_visible(timeout=SOON)
    assert rosas.get_by_text("A question of my own").count() == 0
    assert axe(judy) == []


def test_rosa_reads_what_is_written_for_her_once_she_has_keys(stage: Stage) -> None:
    rosa, judy = stage.with_keys("rosa", "/messages"), stage.with_keys("judy", "/home")
    judy.goto("/new?topic=other")
    judy.get_by_text("Rosa Delgado", exact=True).click(timeout=SOON)
    say(judy, "We come on Friday")
    judy.wait_for_url(THREAD)
    expect(judy.locator(".readers")).to_contain_text("Rosa Delgado", timeout=SOON)
    rosa.goto("/thread/" + judy.url.rsplit("/", 1)[1])
    hears(rosa, "We come on Friday")
    expect(said(rosa, "We come on Friday")).to_contain_text("escribe por usted")
    say(rosa, "Yo también voy")
    hears(judy, "Yo también voy")
    expect(said(judy, "Yo también voy")).to_contain_text("Rosa Delgado")
    for name in ("dave", "carol"):
        other = stage.with_keys(name, "/account")
        other.goto("/thread/" + judy.url.rsplit("/", 1)[1])
        expect(other.get_by_text("We cannot find this conversation")).to_be_visible(timeout=SOON)
