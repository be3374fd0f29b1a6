"""Every component in every state: nothing for axe-core to find, nothing cut off at 320 px with doubled text."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from checks import axe, axe_by_night
from complaints import Complaints
from playwright.sync_api import Browser, Page, expect
from running import SOON
from werkzeug.serving import make_server

from portal.core.database import Database
from portal.core.settings import Settings

pytestmark = pytest.mark.browser
VIEWS = ("", "?view=thread", "?view=thread&closed=1&urgent=1&blocked=1", "?view=work", "?dialog=1&toast=1")


@pytest.fixture
def gallery(settings: Settings, database: Database) -> Iterator[str]:
    """The address of a portal that shows the gallery, as the demo's control room does."""
    from portal.app import create_app
    from portal.web.pages import key_page

    app = create_app(settings, database=database)
    app.config["TRUSTED_HOSTS"] = None
    app.add_url_rule("/demo/gallery", view_func=lambda: key_page("gallery"))
    server = make_server("localhost", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}/demo/gallery"
    server.shutdown()
    thread.join()


@pytest.fixture
def show(browser: Browser, gallery: str, complaints: Complaints) -> Iterator[Callable[..., Page]]:
    """`show("?view=work", width=320)`: the gallery in a fresh profile."""
    contexts = []

    def opened(view: str, *, width: int = 1280, height: int = 900, large: bool = False, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US", **options)
        context.set_default_timeout(SOON)
        contexts.append(context)
        complaints.listen(context)
        if large:
            context.add_cookies([{"name": "portal_text", "value": "large", "url": gallery}])
        page = context.new_page()
        page.goto(gallery + view)
        page.wait_for_selector(".masthead .brand__name >> text=Riverside")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(show: Callable[..., Page], view: str) -> None:
    page = show(view)
    assert axe(page) + axe_by_night(page) == []


@pytest.mark.parametrize("language", ["en-US", "es-ES"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_cut_off_at_320_px_with_doubled_text(show: Callable[..., Page], view: str, language: str) -> None:
    page = show(view, width=320, height=640, large=True, extra_http_headers={"Accept-Language": language})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_targets_are_large_enough_for_patients(show: Callable[..., Page]) -> None:
    page = show("?view=thread", width=390, height=844)
    small = page.evaluate(
        """[...document.querySelectorAll('button, .masthead a, .reach a, summary')]
           .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 43.5)
           .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert small == []


def test_each_message_says_who_when_and_its_state_to_a_screen_reader(show: Callable[..., Page]) -> None:
    page = show("?view=thread")
    names = page.locator("article[aria-label]").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert len(names) == 14
    assert any(name.startswith("You, Patient, ") and "Read by Bob Baker" in name for name in names)
    assert any(name.startswith("Bob Baker, Pharmacist, ") and name.endswith("Received") for name in names)
    assert any("Its lock does not fit the key" in name for name in names)
    assert any("took this message back" in name for name in names)


def test_a_thousand_messages_open_at_once_and_keep_the_place(show: Callable[..., Page]) -> None:
    page = show("?view=thousand")
    box = page.locator(".messages")
    expect(page.locator(".messages article")).to_have_count(50)
    expect(page.locator(".messages article").last).to_be_visible()
    text_in_view = """() => {
      const box = document.querySelector('.messages'), top = box.getBoundingClientRect().top;
      const first = [...box.querySelectorAll('[data-key]')].find(one => one.getBoundingClientRect().bottom > top + 40);
      return [first.dataset.key, Math.round(first.getBoundingClientRect().top - top)];
    }"""
    box.evaluate("one => { one.scrollTop = 1200 }")
    # What is drawn for the new place is drawn by the second frame.
    for _ in range(2):
        page.evaluate("new Promise((drawn) => { requestAnimationFrame(drawn); })")
    before = page.evaluate(text_in_view)
    page.locator(".messages__older button").evaluate("one => one.click()")
    page.wait_for_function("document.querySelectorAll('.messages article').length >= 100")
    kept = "([key, top]) => { const [now, at] = (IN_VIEW)(); return now === key && Math.abs(at - top) <= 2; }"
    page.wait_for_function(kept.replace("IN_VIEW", text_in_view), arg=before)


def test_j_and_k_walk_the_queue_but_not_while_writing(show: Callable[..., Page]) -> None:
    page = show("?view=work")
    current = page.locator(".queue__row[aria-current=true] .queue__who")
    expect(current).to_have_text("Alice Adams")
    page.keyboard.press("j")
    expect(current).to_have_text("Rosa Ruiz")
    page.keyboard.press("k")
    expect(current).to_have_text("Alice Adams")
    page.locator(".composer textarea").click()
    page.keyboard.type("jk")
    assert current.inner_text() == "Alice Adams"


def test_a_dialog_holds_the_focus_and_gives_it_back(show: Callable[..., Page]) -> None:
    page = show("")
    opener = page.get_by_role("button", name="Open a dialog")
    opener.click()
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(opener).to_be_focused()


def test_words_in_the_composer_are_kept_from_translation_and_writing_aids(show: Callable[..., Page]) -> None:
    area = show("?view=thread").locator(".composer textarea")
    assert area.get_attribute("translate") == "no"
    assert area.get_attribute("spellcheck") == "false"
    assert area.get_attribute("writingsuggestions") == "false"
    assert area.get_attribute("autocomplete") == "off"
