"""The pages that need no login, in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_the_first_page_loads_without_a_complaint(
    person: Callable[..., Page], screens: Callable[..., list[Path]]
) -> None:
    page = person("alice")
    answer = page.goto("/")
    assert answer is not None
    assert answer.status == 200
    assert page.locator("h1").count() == 1
    assert all(picture.stat().st_size > 0 for picture in screens(page, "first-page"))


def test_the_first_page_fits_a_narrow_screen(person: Callable[..., Page]) -> None:
    page = person("alice", viewport={"width": 320, "height": 640})
    page.goto("/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
