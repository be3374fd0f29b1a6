"""The server's own pages in a real browser with JavaScript off, and under axe-core: each role, both themes, 320 px."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from checks import axe, axe_by_night
from complaints import Complaints
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect
from running import SOON
from werkzeug.serving import make_server
from world import World, build
from world_web import Browser as SignedIn

from portal.core.database import Database
from portal.core.settings import Settings

pytestmark = pytest.mark.browser
PUBLIC = [("nobody", path) for path in ("/", "/contact", "/help", "/privacy-policy", "/nothing-here")]
OWN = [("alice", path) for path in ("/home", "/medicines", "/medicines/print", "/orders", "/record", "/account")]
STAFF = [("heidi", "/privacy-office?outcome=0"), ("heidi", "/privacy-office?patient=x"), ("ivan", "/operator")]
PAGES = [*PUBLIC, *OWN, ("judy", "/home"), ("dave", "/home"), *STAFF]


@pytest.fixture
def portal(settings: Settings, database: Database) -> Iterator[tuple[str, Flask, World]]:
    """A running portal with the tests' world; Dave's record is not to be had, as if the EHR were down."""
    from portal.app import create_app

    world = build(database)
    ehr = FakeEhr({name: context_of(name) for name in ("alice", "rosa")})
    app = create_app(settings, database=database, adapters={"ehr": ehr})
    app.config["TRUSTED_HOSTS"] = None
    server = make_server("localhost", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}", app, world
    server.shutdown()
    thread.join()


@pytest.fixture
def visit(browser: Browser, portal: tuple[str, Flask, World], complaints: Complaints) -> Iterator[Callable[..., Page]]:
    """`visit("alice", "/home", width=320)`: the page in the browser of hers that is so wide, and so on."""
    address, app, world = portal
    contexts: dict[str, BrowserContext] = {}
    complaints.allow(r"status of 404")

    def go(who: str, path: str, *, width: int = 1280, large: bool = False, **options: Any) -> Page:
        name = repr((who, width, large, options))
        if name not in contexts:
            contexts[name] = opened(who, width=width, large=large, **options)
        page = contexts[name].new_page()
        page.goto(address + path)
        return page

    def opened(who: str, *, width: int, large: bool, **options: Any) -> BrowserContext:
        context = browser.new_context(viewport={"width": width, "height": 800}, **{"locale": "en-US", **options})
        context.set_default_timeout(SOON)
        complaints.listen(context)
        cookies = [{"name": "portal_text", "value": "large", "url": address}] if large else []
        if who != "nobody":
            kept = SignedIn(app, world, who).client.get_cookie("portal_session", domain="localhost")
            assert kept is not None
            cookies.append({"name": "portal_session", "value": kept.value, "url": address})
        if cookies:
            context.add_cookies(cookies)
        return context

    yield go
    for context in contexts.values():
        context.close()


def test_axe_finds_nothing_on_any_page(visit: Callable[..., Page]) -> None:
    findings = {}
    for who, path in PAGES:
        page = visit(who, path)
        findings[path] = axe(page) + axe_by_night(page)
        page.close()
    assert {path: found for path, found in findings.items() if found} == {}


@pytest.mark.parametrize("locale", ["en-US", "es-ES"])
def test_nothing_is_cut_off_at_320_px_with_doubled_text(visit: Callable[..., Page], locale: str) -> None:
    widths = {}
    for who, path in PAGES:
        page = visit(who, path, width=320, large=True, locale=locale)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")
        page.close()
    assert {path: width for path, width in widths.items() if width > 320} == {}


def test_alice_finds_her_medicines_and_the_phone_without_javascript(visit: Callable[..., Page]) -> None:
    page = visit("alice", "/home", java_script_enabled=False)
    expect(page.get_by_text("Metformin 500 mg, slow-release tablet").first).to_be_visible()
    page.get_by_role("link", name="Open", exact=False).or_(page.get_by_role("link", name="Closed", exact=False)).click()
    expect(page.get_by_role("heading", name="Phone and hours")).to_be_visible()


def test_language_and_large_text_are_one_click_without_javascript(visit: Callable[..., Page]) -> None:
    page = visit("nobody", "/contact", java_script_enabled=False)
    page.get_by_role("button", name="Español").click()
    expect(page.get_by_role("heading", name="Teléfono y horario")).to_be_visible()
    page.get_by_role("button", name="Letra más grande").click()
    page.wait_for_selector("html[data-text=large]")


def test_the_first_tab_stop_skips_to_the_main_part(visit: Callable[..., Page]) -> None:
    page = visit("alice", "/medicines")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_the_menu_of_a_phone_opens_without_javascript(visit: Callable[..., Page]) -> None:
    page = visit("alice", "/home", width=390, java_script_enabled=False)
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("navigation").get_by_role("link", name="Who looked").click()
    expect(page.get_by_role("heading", name="Who looked at my data")).to_be_visible()
