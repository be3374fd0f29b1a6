"""Asking and answering, as people do it on the pages of threads."""

import re

from playwright.sync_api import Locator, Page, expect

THREAD = re.compile(r"/thread/[0-9a-f]{32}$")
# Milliseconds until something must have happened; two cores may be busy with other tests.
SOON = 30_000


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
    """Ask something for oneself; gives the path of the thread."""
    page.goto("/new?topic=other&for=me")
    say(page, words)
    page.wait_for_url(THREAD)
    hears(page, words)
    return "/thread/" + page.url.rsplit("/", 1)[1]
