"""Walt writes his numbers down every day: a thousand messages. And a conversation in a browser of some years ago."""

import re
from collections.abc import Callable, Iterator

import pytest
from complaints import Complaints
from demo_world import sign_in
from playwright.sync_api import Page, Route, expect
from running import SOON, start_portal, stop_portal
from test_vectors_in_chromium import BROWSERS

pytestmark = pytest.mark.browser
PASSPHRASE = "river lantern copper meadow violin"
# How many messages are drawn at once (client/views/components/message-list.tsx).
DRAWN = 50
# Milliseconds until a thousand messages were opened, or drawn, on a machine that is ten times slower.
MANY = 5 * SOON


@pytest.fixture(scope="module")
def portal_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running portal with the whole demo world."""
    process, address = start_portal(tmp_path_factory.mktemp("demo"))
    yield address
    stop_portal(process)


def test_the_newest_fifty_come_at_once_and_the_place_is_kept(
    person: Callable[..., Page], complaints: Complaints
) -> None:
    complaints.allow(r"status of (401|403|409)")
    walt = person("walt")
    sign_in(walt, "walt", "/messages")
    walt.wait_for_url(re.compile("/recover"))
    walt.locator("input[type=password]").first.fill(PASSPHRASE)
    walt.locator("form button[type=submit]").first.click()
    walt.locator(".queue__row").filter(has_text="My daily numbers").click()
    bubbles = walt.locator("article.bubble")
    expect(bubbles.last).to_be_visible()
    assert bubbles.count() <= DRAWN
    expect(walt.get_by_text("Checking earlier messages")).to_have_count(0, timeout=MANY)
    expect(walt.locator(".banner--urgent")).to_have_count(0)
    assert bubbles.count() <= DRAWN

    newest = bubbles.last.get_attribute("id")
    top = bubbles.first.get_attribute("id")
    drawn = bubbles.count()
    walt.locator(".messages").evaluate("box => { box.scrollTop = 0 }")
    walt.wait_for_function("(drawn) => document.querySelectorAll('article.bubble').length > drawn", arg=drawn)
    # What was on top stays in view while older ones are drawn above it.
    expect(walt.locator(f"[id='{top}']")).to_be_in_viewport()
    walt.wait_for_function(
        """() => {
          document.querySelector(".messages").scrollTop = 0;
          return document.querySelectorAll("article.bubble").length === 1000;
        }""",
        polling=100,
        timeout=MANY,
    )
    expect(walt.get_by_text("The conversation begins here")).to_be_visible()
    assert bubbles.last.get_attribute("id") == newest
    walt.locator(".composer textarea").press_sequentially("I can still type")
    expect(walt.locator(".composer textarea")).to_have_value("I can still type")


def test_a_browser_without_the_newer_algorithms_opens_and_answers(
    person: Callable[..., Page], complaints: Complaints
) -> None:
    """Page and worker have computed in a worker of its own what the browser has never heard of."""
    complaints.allow(r"status of (401|403|409)")
    older = BROWSERS["without Ed25519 too"]
    assert older is not None
    loaded: list[str] = []

    def lacking(route: Route) -> None:
        loaded.append(route.request.url)
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        route.fulfill(status=answer.status, headers=headers, body=older + answer.text())

    alice = person("alice")
    alice.add_init_script(older)
    alice.context.route("**/static/worker-*.js", lacking)
    sign_in(alice, "alice", "/messages")
    alice.wait_for_url(re.compile("/recover"))
    alice.locator("input[type=password]").first.fill(PASSPHRASE)
    alice.locator("form button[type=submit]").first.click()
    alice.locator(".queue__row").first.click()
    expect(alice.locator("article.bubble").last).to_be_visible()
    alice.locator(".composer textarea").fill("Written in an old browser")
    alice.locator(".composer textarea").press("Control+Enter")
    sent = alice.locator("article.bubble").filter(has_text="Written in an old browser")
    expect(sent).to_contain_text("Sent")
    assert any("worker-byhand" in url for url in loaded)
