"""A real Chromium for each test: one profile a person, and no complaint of the browser goes unnoticed.

    def test_alice_reads(person): page = person("alice"); page.goto("/") …

A console error, an uncaught exception, a broken content security policy or a request to anything but this machine
fails the test, unless it said before that it would happen: `complaints.allow(r"status of 404")`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from complaints import Complaints
from demo_world import Demo
from playwright.sync_api import Browser, BrowserContext, Page, expect
from running import SOON, launching, on_own_device, start_portal, stop_portal
from stage import Stage, on_stage

WIDE = {"width": 1280, "height": 900}
# How long a test may take, the start of its portal included, before it is taken for one that hangs; in seconds.
HANGS = 900
expect.set_options(timeout=SOON)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a browser does takes its time on a busy machine."""
    for item in items:
        if item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.timeout(HANGS))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The machine's own Chromium where there is one, else Playwright's."""
    return {**browser_type_launch_args, **launching()}


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """The browsers' complaints of this test; any that was not announced fails it."""
    kept = Complaints()
    yield kept
    assert kept.unexpected() == []


@pytest.fixture
def person(browser: Browser, complaints: Complaints, portal_url: str) -> Iterator[Callable[..., Page]]:
    """`person("alice")`: a page in a browser profile of that person's own; the same name gives the same profile.

    Which portal it is says the fixture `portal_url` of the module that asks.
    Further arguments are Playwright's context options (locale, viewport, color_scheme …) of a new profile. In one that
    is `asked` the person says whose device it is; in the others it is the person's own.
    """
    profiles: dict[str, BrowserContext] = {}

    def page_of(name: str, *, asked: bool = False, **options: Any) -> Page:
        if name not in profiles:
            settled = {"base_url": portal_url, "viewport": WIDE, "locale": "en-US", "timezone_id": "America/Chicago"}
            profiles[name] = browser.new_context(**{**settled, **options})
            profiles[name].set_default_timeout(SOON)
            if not asked:
                on_own_device(profiles[name])
            complaints.listen(profiles[name])
        return profiles[name].new_page()

    yield page_of
    for context in profiles.values():
        context.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A portal for this module alone, so that each story begins with nobody's keys."""
    folder = tmp_path_factory.mktemp("demo-portal")
    process, address = start_portal(folder, "--empty")
    yield Demo(address, folder / "demo-empty" / "portal.sqlite3")
    stop_portal(process)


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A stage for a module; refusals and broken lines are what many states are made of."""
    heard = Complaints()
    heard.allow(r"status of (4\d\d|503)")
    heard.allow(r"net::ERR_(FAILED|INTERNET_DISCONNECTED)")
    with on_stage(demo, browser, heard) as made:
        yield made
    assert heard.unexpected() == []
