"""Every state of docs/states.md in a real Chromium: it says what is promised, leads on, is fit for everyone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from checks import WIDE, axe, axe_in_both_themes, keyboard, narrow, small_targets
from complaints import Complaints
from demo_world import Demo, demo
from playwright.sync_api import Browser, Page, TimeoutError
from stage import Stage, on_stage
from states import STATES

__all__ = ["demo"]
pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "var" / "screens" / "states"
ROW = re.compile(r"^\| `(?P<name>[a-z-]+)` \| (?P<says>.+?) \| (?P<ways>.+?) \| (?P<how>.+?) \|$", re.MULTILINE)
QUOTED = re.compile(r"“(.+?)”")


@dataclass(frozen=True)
class Promise:
    """What docs/states.md says of a state: words on the page, and the names of links and buttons that lead on."""

    says: list[str]
    ways: list[str]


def promises() -> dict[str, Promise]:
    """The states of the document."""
    rows = ROW.finditer((ROOT / "docs" / "states.md").read_text("utf-8"))
    return {row["name"]: Promise(QUOTED.findall(row["says"]), QUOTED.findall(row["ways"])) for row in rows}


@pytest.fixture(scope="module")
def heard() -> Complaints:
    """What the browsers of the stage complain about; refusals are what many states are made of."""
    kept = Complaints()
    kept.allow(r"status of (4\d\d|503)")
    kept.allow(r"net::ERR_(FAILED|INTERNET_DISCONNECTED)")
    return kept


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser, heard: Complaints) -> Iterator[Stage]:
    """One stage for all states."""
    with on_stage(demo, browser, heard) as made:
        yield made


def missing(page: Page, promise: Promise) -> list[str]:
    """What the page was to say or to offer, and does not."""
    found = []
    # What stands in <noscript> is seen by people, not by the locators.
    whole = " ".join(page.locator("body").inner_text().split())
    for words in promise.says:
        if words not in whole and not any(one.is_visible() for one in page.get_by_text(words).all()):
            found.append(f"does not say: {words}")
    for way in promise.ways:
        places = page.get_by_role("link", name=way).or_(page.get_by_role("button", name=way))
        places = places.or_(page.get_by_role("radio", name=way))
        if not any(one.is_visible() and one.is_enabled() for one in places.all()):
            found.append(f"no way on: {way}")
    return found


def picture(page: Page, path: Path) -> None:
    """Keep a picture of the whole page; a browser that is busy elsewhere gets a second chance."""
    try:
        page.screenshot(path=path, full_page=True, timeout=10_000)
    except TimeoutError:
        page.bring_to_front()
        page.screenshot(path=path, full_page=True)


def in_spanish(stage: Stage, page: Page) -> list[str]:
    """What axe-core or the narrow screen find when the person reads Spanish."""
    stage.speak(page, "es")
    try:
        page.reload()
        page.locator("html[lang=es] main h1:visible").first.wait_for()
        return axe(page) + narrow(page)
    finally:
        stage.speak(page, "en")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, heard: Complaints, name: str) -> None:
    """Words and ways on, axe-core by day and night, the keyboard, 320 px with doubled text, targets, forced colours."""
    promise = promises().get(name, Promise([], []))
    page = STATES[name].go(stage)
    found = missing(page, promise)
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture(page, PICTURES / f"{name}.png")
    # Without scripts the checks cannot run; the page is the same as with them.
    if name != "no-script":
        found += axe_in_both_themes(page) + keyboard(page)
        found += narrow(page) + small_targets(page)
        page.emulate_media(forced_colors="active")
        picture(page, PICTURES / f"{name}-320.png")
        page.emulate_media(forced_colors="none")
        if STATES[name].spanish:
            found += [f"in Spanish: {one}" for one in in_spanish(stage, page)]
        page.set_viewport_size(WIDE)
    unheard, heard.heard[:] = heard.unexpected(), []
    assert not found + unheard, "\n".join(found + unheard)
