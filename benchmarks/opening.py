"""Opening a conversation of a thousand messages in Chromium, against a bare page that does the same work (row 10)."""

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from benchmarks.figures import Figure, median_of
from benchmarks.stage import ROOT

sys.path.insert(0, str(ROOT / "tests/browser"))

from demo_world import sign_in
from running import launching, start_portal, stop_portal

FLOOR = ROOT / "benchmarks/floor.html"
PASSPHRASE = "river lantern copper meadow violin"
SUBJECT = "My daily numbers"
MESSAGES = 1000
PATIENCE_SECONDS = 120
# What the list itself still fetches is not part of opening.
REST_MILLISECONDS = 2000

# Notes when the messages came, seen from inside after painting, and the longest task that kept the page from listening
# (the browser names those beyond 50 ms).
WATCH = """
(() => {
  const seen = { began: performance.now(), newest: null, all: null, longest: 0 };
  globalThis.opening = seen;
  new PerformanceObserver((list) => {
    const tasks = list.getEntries().filter((one) => one.startTime > seen.began);
    seen.longest = Math.max(seen.longest, ...tasks.map((one) => one.duration));
  }).observe({ type: "longtask" });
  const painted = (name) => requestAnimationFrame(() => setTimeout(() => {
    seen[name] = performance.now() - seen.began;
  }));
  const state = { newest: false, checking: false, all: false };
  const watcher = new MutationObserver(() => {
    if (!state.newest) {
      if (document.querySelectorAll("article.bubble").length < 45) return;
      state.newest = true;
      painted("newest");
    }
    const banner = document.querySelector(".pane .banner p")?.textContent ?? "";
    const checking = banner.startsWith("Checking earlier messages");
    state.checking ||= checking;
    if (!state.checking || checking) return;
    watcher.disconnect();
    painted("all");
  });
  watcher.observe(document, { subtree: true, childList: true, characterData: true });
})();
"""
# How far, in pixels, the message at the upper edge moves while older ones are drawn above it, up to the beginning.
PLACE = """
async () => {
  const box = document.querySelector(".messages");
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const count = () => box.querySelectorAll("[data-key]").length;
  let worst = 0;
  for (let drawn = count(); ; drawn = count()) {
    box.scrollTop = Math.min(box.scrollTop, 400);
    const edge = box.getBoundingClientRect().top;
    const top = [...box.querySelectorAll("[data-key]")].find((one) => one.getBoundingClientRect().bottom > edge);
    const before = top.getBoundingClientRect().top;
    for (let tries = 0; tries < 30 && count() === drawn; tries += 1) await frame();
    await frame();
    if (count() === drawn) return { worst, drawn };
    worst = Math.max(worst, Math.abs(top.getBoundingClientRect().top - before));
  }
}
"""


def measure(*, quick: bool) -> Iterator[Figure]:
    """The floor, the pharmacist's workbench and the patient's page by turns; then once up to the beginning."""
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder, sync_playwright() as playwright:
        process, address = start_portal(Path(folder))
        try:
            browser = playwright.chromium.launch(**launching())
            walt, bob = (_profile(browser, address) for _ in range(2))
            thread = _come_in(walt, "walt", "/messages")
            _come_in(bob, "bob", "/inbox")
            rounds = [
                (_floor(bob, thread), _in_place(bob), _by_loading(walt, thread)) for _ in range(3 if quick else 9)
            ]
            place = _walk_up(walt, thread)
            browser.close()
        except PlaywrightError as problem:
            raise RuntimeError(f"the conversation was not opened: {problem}") from problem
        finally:
            stop_portal(process)
    # The first round warms everybody up.
    floor, chosen, loaded = (list(one) for one in zip(*rounds[1:], strict=True))
    for name, words, most in (("newest", "the newest page", 2.0), ("all", "all 1,000", 1.5)):
        yield median_of(f"floor: {words}", [one[name] for one in floor], "ms")
        yield median_of(f"workbench, row chosen: {words}", [one[name] for one in chosen], "ms")
        yield median_of(f"patient, page loaded: {words}", [one[name] for one in loaded], "ms")
        shares = [ours[name] / least[name] for ours, least in zip(chosen, floor, strict=True)]
        yield median_of(f"{words}: workbench / floor (row 10)", shares, "x", most=most)
    tasks = [one["longest"] for one in (*chosen, *loaded)]
    yield median_of("longest task while opening (row 10)", tasks, "ms", most=50.0, note="0: none beyond 50 ms")
    yield Figure("longest task on the way up to the beginning", place["longest"], "ms")
    yield Figure("place moved by older messages (row 10)", place["worst"], "px", most=1.0)


def _profile(browser: Browser, address: str) -> BrowserContext:
    # The floor stands at an address that the server does not have; the worker that keeps help would ask the server.
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900}, service_workers="block")
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    return context


def _come_in(context: BrowserContext, name: str, path: str) -> str:
    """Sign in on a device that thereby gets the keys, and open the conversation; gives its id."""
    page = context.new_page()
    sign_in(page, name, path)
    page.wait_for_url(re.compile("/recover"))
    page.locator("input[type=password]").first.fill(PASSPHRASE)
    page.locator("form button[type=submit]").first.click()
    _row(page).click()
    page.locator("article.bubble").last.wait_for()
    found = re.search(r"/thread/([0-9a-f]{32})", page.url)
    if found is None:
        raise RuntimeError(f"no conversation at {page.url}")
    page.close()
    return found[1]


def _floor(context: BrowserContext, thread: str) -> dict[str, float]:
    page = context.new_page()
    html = FLOOR.read_text("utf-8")
    page.route("**/benchmark-floor", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("/benchmark-floor")
    page.evaluate("id => prepare(id)", thread)
    found: dict[str, float] = page.evaluate("measure()")
    page.close()
    return found


def _in_place(context: BrowserContext) -> dict[str, float]:
    """Choose the row in a workbench that has come to rest."""
    page = context.new_page()
    page.goto("/inbox")
    row = _row(page)
    row.wait_for()
    page.wait_for_timeout(REST_MILLISECONDS)
    page.evaluate(WATCH)
    row.click()
    return _finished(page)


def _by_loading(context: BrowserContext, thread: str) -> dict[str, float]:
    """Load the page of the conversation, from the first byte on."""
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"/thread/{thread}")
    return _finished(page)


def _finished(page: Page) -> dict[str, float]:
    found = _wait(page)
    page.close()
    return found


def _wait(page: Page) -> dict[str, float]:
    page.locator("article.bubble").last.wait_for()
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := page.evaluate("opening"))["all"] is None:
        if time.monotonic() > end:
            raise RuntimeError("the conversation was not opened to its beginning")
        page.wait_for_timeout(50)
    opened: dict[str, float] = found
    return opened


def _walk_up(context: BrowserContext, thread: str) -> dict[str, float]:
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"/thread/{thread}")
    _wait(page)
    page.evaluate("opening.longest = 0")
    found: dict[str, float] = page.evaluate(PLACE)
    if found["drawn"] < MESSAGES:
        raise RuntimeError(f"only {found['drawn']} messages were drawn")
    longest: float = page.evaluate("opening.longest")
    page.close()
    return {**found, "longest": longest}


def _row(page: Page) -> Locator:
    return page.locator(".queue__row").filter(has_text=SUBJECT)
