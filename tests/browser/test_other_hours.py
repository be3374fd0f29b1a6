"""What people find at other hours, in a real Chromium: the way in from a mail, a question at night."""

import re
from collections.abc import Iterator

import pytest
from demo_world import Demo, give_password
from patience import until
from playwright.sync_api import Browser, expect
from stage import Stage, founded_stage
from talking import THREAD, ask, hears, say, sent

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people, whose clock is moved. Bob has founded the pharmacists."""
    with founded_stage(demo, browser, r"status of (401|403|404|409)") as made:
        yield made


def clock(stage: Stage, act: str) -> None:
    """Move the clock of the demo in its control room: to `night`, by an `hour`, or back to `now`."""
    page = stage.page("control room")
    page.goto("/demo")
    page.locator(f"button[name=act][value={act}]").click()
    page.wait_for_load_state()


def test_from_the_mail_to_the_read_answer_it_is_one_tap_and_one_login(stage: Stage) -> None:
    dave = stage.with_keys("dave", "/home")
    path = ask(dave, "Is my inhaler empty?")
    # He goes away: the page is closed, the session runs into its lock.
    dave.goto("about:blank")
    bob = stage.with_keys("bob", path)
    hears(bob, "Is my inhaler empty?")
    say(bob, "Shake it. If you feel nothing move, it is.")
    sent(bob, "Shake it.")
    clock(stage, "hour")
    try:
        link = mailed(stage, "dave@demo.example", path)
        page = stage.page("dave")
        # The one tap.
        page.goto(link)
        give_password(page, "dave")
        hears(page, "If you feel nothing move, it is.")
    finally:
        clock(stage, "now")


def mailed(stage: Stage, address: str, path: str) -> str:
    """The link of the mail about a thread, once the worker has sent it; the mail says nothing of what is in it."""
    page = stage.page("control room")

    def arrived() -> tuple[str, str] | None:
        page.goto("/demo")
        texts = page.locator("li", has_text=address).locator("pre").all_text_contents()
        links = [(found.group(), text) for text in texts if (found := re.search(r"https?://\S+", text))]
        return next(((link, text) for link, text in links if path in link), None)

    link, text = until(page, arrived, f"a mail to {address} about {path}")
    assert "inhaler" not in text.lower()
    return str(link)


def test_a_message_written_at_three_in_the_morning_says_when_it_is_read(stage: Stage) -> None:
    clock(stage, "night")
    try:
        peggy = stage.page("peggy")
        peggy.goto("/login?next=/new%3Ftopic=other")
        give_password(peggy, "peggy")
        expect(peggy.get_by_text(re.compile("Nobody reads this before .*8:00.AM"))).to_be_visible()
        say(peggy, "I took my weekly pill twice this week")
        peggy.wait_for_url(THREAD)
        hears(peggy, "I took my weekly pill twice")
        # Under the message itself.
        notice = peggy.locator(".messages").get_by_text(re.compile("Nobody reads this before .*8:00.AM"))
        expect(notice).to_be_visible()
        expect(peggy.locator("a[href='tel:+15550101']").first).to_be_visible()
    finally:
        clock(stage, "now")
