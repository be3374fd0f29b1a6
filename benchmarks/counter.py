"""Three people who share a browser: from the press of "Unlock" until the own question and draft stand there again."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.figures import Figure, median_of
from benchmarks.stage import ROOT

sys.path.insert(0, str(ROOT / "tests/browser"))

from counter import STAFF, Turns, alice_asks, first_day, lock
from running import SOON, launching, start_portal, stop_portal

MOST_SECONDS = 5.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """Tile, PIN, own question and own draft, by turns; the choosing of the tile is not counted."""
    expect.set_options(timeout=SOON)
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder, sync_playwright() as playwright:
        process, address = start_portal(Path(folder), "--empty")
        try:
            browser = playwright.chromium.launch(**launching())
            context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
            context.set_default_timeout(SOON)
            rounds = _by_turns(context.new_page(), address, 2 if quick else 5)
            browser.close()
        except PlaywrightError as problem:
            raise RuntimeError(f"the counter did not open: {problem}") from problem
        finally:
            stop_portal(process)
    # The first of each person warms everybody up.
    unlocking = rounds[len(STAFF) :]
    yield median_of("unlocked by PIN, back at question and draft: median", unlocking, "s", most=MOST_SECONDS)
    yield Figure("unlocked by PIN, back at question and draft: worst", max(unlocking), "s", most=MOST_SECONDS)


def _by_turns(page: Page, address: str, times: int) -> list[float]:
    first_day(page, address)
    turns = Turns(page, alice_asks(address, len(STAFF)))
    for number in range(times + 2):
        for who in STAFF:
            turns.comes(who)
            if number == 0:
                turns.works(who, until=0)
            lock(page)
    return turns.unlocking
