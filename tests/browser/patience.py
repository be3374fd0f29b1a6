"""Waiting beside a page, which goes on living meanwhile: for what Playwright's own waits cannot see."""

from collections.abc import Callable
from typing import Any

import waiting
from playwright.sync_api import Page
from running import SOON


def until(page: Page, true: Callable[[], Any], otherwise: str) -> Any:
    """What `true()` gives, once it is truthy. Fails with `otherwise`."""
    return waiting.until(
        true, otherwise, seconds=SOON / 1000, rest=lambda seconds: page.wait_for_timeout(seconds * 1000)
    )


def reload_until(page: Page, words: str) -> None:
    """Ask the server for its page again, without what was asked of it before, until it says these words.

    For pages that do not change by themselves when the worker has done something.
    """
    told = page.get_by_text(words).first

    def says() -> bool:
        if told.count() == 0:
            page.goto(page.url.partition("?")[0])
        return told.count() > 0

    until(page, says, f"{page.url} says {words!r}")
