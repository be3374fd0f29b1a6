"""The walk through the states of docs/states.md: each says what is promised there, leads on, and is fit for everyone.

A file of states (test_states_*.py) enters a function for each, which says on its own what it needs: any of them runs
alone, and in any order.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from checks import WIDE, axe, axe_by_night, keyboard, lasting, narrow, small_targets
from playwright.sync_api import Page, TimeoutError
from stage import Stage

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "var" / "screens" / "states"
ROW = re.compile(r"^\| `(?P<name>[a-z-]+)` \| (?P<says>.+?) \| (?P<ways>.+?) \| (?P<how>.+?) \|$", re.MULTILINE)
QUOTED = re.compile(r"“(.+?)”")
# A browser that draws many pages at once sometimes forgets a picture; in milliseconds.
PICTURE_TIMEOUT = 10_000
Go = Callable[[Stage], Page]


@dataclass(frozen=True)
class State:
    """One state: its name in docs/states.md and how to get there; `spanish`: it stays the same when loaded anew."""

    name: str
    go: Go
    spanish: bool = False


class States(dict[str, State]):
    """The states of one file, by name."""

    def enter(self, name: str, *, spanish: bool = False) -> Callable[[Go], Go]:
        """Enter a function under the name of its state."""

        def enter(go: Go) -> Go:
            assert name not in self
            self[name] = State(name, go, spanish)
            return go

        return enter


@dataclass(frozen=True)
class Promise:
    """What docs/states.md says of a state: words on the page, and the names of links and buttons that lead on."""

    says: list[str]
    ways: list[str]


@cache
def promises() -> dict[str, Promise]:
    """The states of the document."""
    rows = ROW.finditer((ROOT / "docs" / "states.md").read_text("utf-8"))
    return {row["name"]: Promise(QUOTED.findall(row["says"]), QUOTED.findall(row["ways"])) for row in rows}


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
    PICTURES.mkdir(parents=True, exist_ok=True)
    try:
        page.screenshot(path=path, full_page=True, timeout=PICTURE_TIMEOUT)
    except TimeoutError:
        page.bring_to_front()
        page.screenshot(path=path, full_page=True)


def in_spanish(stage: Stage, page: Page) -> list[str]:
    """What axe-core or the narrow screen find when the person reads Spanish."""
    stage.speak(page, "es")
    try:
        page.reload()
        page.locator("html[lang=es] main h1:visible").first.wait_for()
        return [f"in Spanish: {one}" for one in axe(page) + lasting(page, narrow)]
    finally:
        stage.speak(page, "en")


def walk(stage: Stage, state: State) -> None:
    """Words and ways on, axe-core by day and night, the keyboard, 320 px with doubled text, targets, forced colours."""
    promise = promises().get(state.name, Promise([], []))
    page = state.go(stage)
    found = lasting(page, lambda page: missing(page, promise))
    picture(page, PICTURES / f"{state.name}.png")
    # Without scripts the checks cannot run; the page is the same as with them.
    if state.name != "no-script":
        found += axe(page) + axe_by_night(page) + lasting(page, keyboard)
        found += lasting(page, narrow) + lasting(page, small_targets)
        page.emulate_media(forced_colors="active")
        picture(page, PICTURES / f"{state.name}-320.png")
        page.emulate_media(forced_colors="none")
        if state.spanish:
            found += in_spanish(stage, page)
        page.set_viewport_size(WIDE)
    found += stage.complaints.unexpected()
    stage.complaints.heard.clear()
    assert not found, "\n".join(found)
