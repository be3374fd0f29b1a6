"""A person in control, in a real Chromium: keys lost and begun again, a lost telephone ended, a screen locked."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from checks import axe
from demo_world import Demo, confirm_with, give_password, sign_in_apart
from patience import until
from playwright.sync_api import Browser, Dialog, Page, expect
from stage import Stage, founded_stage
from talking import ask, hears, said, say

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    with founded_stage(demo, browser, r"status of (401|403|404|409)", "net::ERR_FAILED") as made:
        yield made


def epochs(page: Page, path: str) -> list[Any]:
    """The headers of a thread's epochs, as the server gives them."""
    info = page.evaluate("(id) => fetch(`/api/threads/${id}`).then((answer) => answer.json())", path.rsplit("/", 1)[1])
    headers = [json.loads(urlsafe_b64decode(one["record"]["h"] + "==")) for one in info["epochs"]]
    return [one for one in headers if one["t"] == "epoch"]


def test_who_lost_everything_asks_at_once_and_reads_the_past_once_a_pharmacist_made_sure(stage: Stage) -> None:
    alice, bob = stage.with_keys("alice", "/home"), stage.with_keys("bob", "/inbox")
    first, second = ask(alice, "Asked before all was lost"), ask(alice, "Another old question")
    bob.goto(first)
    hears(bob, "Asked before all was lost")
    stage.forget("alice")

    alice = stage.at("alice's new telephone", "/messages", login="alice")
    alice.get_by_text("I understand that this cannot be taken back").click()
    alice.get_by_role("button", name="Start again with new keys").click()
    alice.wait_for_url("**/messages")
    # What is new goes out at once.
    fresh = ask(alice, "I lost my telephone")
    alice.goto(first)
    expect(alice.locator(".composer, .banner").filter(has_text="You started again with new keys").first).to_be_visible()
    assert alice.get_by_text("Asked before all was lost").count() == 0
    assert axe(alice) == []

    # Bob reads what is new; his answer waits, there too, until he has made sure who wrote it.
    bob.goto(fresh)
    hears(bob, "I lost my telephone")
    banner = bob.locator(".banner").filter(has_text="Alice Morgan has new keys since")
    expect(banner).to_be_visible()
    assert axe(bob) == []
    say(bob, "I have called you, all is well")
    expect(said(bob, "I have called you")).to_contain_text("Waiting to be sent")
    assert alice.get_by_text("I have called you").count() == 0
    bob.goto(first)
    expect(banner).to_be_visible()
    bob.get_by_role("radio", name="By a call to the number in the pharmacy's record").check()
    stage.just_now("bob")
    bob.get_by_role("button", name="I made sure that it is Alice Morgan").click()
    expect(
        bob.locator(".system-line").filter(has_text="Alice Morgan has new keys. Bob Rivera made sure")
    ).to_be_visible()
    expect(banner).to_have_count(0)

    # Without another act of hers all of it opens, the conversation that Bob did not have open too.
    hears(alice, "Asked before all was lost")
    alice.goto(second)
    hears(alice, "Another old question")
    alice.goto(fresh)
    hears(alice, "I have called you, all is well")
    say(alice, "Thank you")
    bob.goto(fresh)
    hears(bob, "Thank you")


def test_a_device_that_is_ended_is_out_at_once_and_opens_nothing_newer(stage: Stage) -> None:
    dave, bob = stage.with_keys("dave", "/home"), stage.with_keys("bob", "/inbox")
    code = stage.with_code("dave")
    path = ask(dave, "Before my telephone was stolen")
    lost = stage.at("dave's telephone", path, login="dave")
    lost.locator("#secret-code").fill(code)
    lost.get_by_role("button", name="Get my messages back").click()
    hears(lost, "Before my telephone was stolen")
    # The page that was open elsewhere says at once that there is one more.
    news = dave.locator(".banner").filter(has_text="A new device can open your messages now")
    expect(news.get_by_role("link", name="Something is wrong")).to_be_visible()
    device = lost.evaluate("fetch('/api/session').then((a) => a.json())")["device"]
    before = epochs(dave, path)[-1]

    # Three taps from any page: something is wrong, this one, and yes.
    dave.get_by_role("link", name="Something is wrong").first.click()
    dave.locator(f"a[href='/devices?end={device}']").click()
    confirm_with(dave, code)
    # Nobody touched the stolen telephone: its page is empty by itself.
    expect(lost.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert lost.get_by_text("Before my telephone was stolen").count() == 0

    bob.goto(path)
    hears(bob, "Before my telephone was stolen")
    say(bob, "Only your computer reads this")
    dave.goto(path)
    hears(dave, "Only your computer reads this")
    # The pharmacy is told, without a word of what was on it.
    expect(bob.locator(".system-line").filter(has_text="A device was ended by its owner")).to_be_visible()
    after = epochs(dave, path)[-1]
    assert after["epoch"] == before["epoch"] + 1
    assert after["revoked"] == [device]
    mine = {one["id"]: one for one in after["members"]}
    old = {one["id"]: one for one in before["members"]}
    me = dave.evaluate("fetch('/api/session').then((a) => a.json())")["account"]["id"]
    # Another key than the one that lay on the telephone; and that one has lost what opened its store.
    assert mine[me]["gen"] == old[me]["gen"] + 1
    assert mine[me]["kid"] != old[me]["kid"]
    assert stage.read("SELECT share FROM device WHERE id = ?", device) == [(None,)]
    lost = stage.at("dave's telephone", path)
    assert lost.get_by_text("Only your computer reads this").count() == 0


def test_locking_one_tab_locks_all_and_unlocking_brings_all_back_to_their_places(stage: Stage) -> None:
    trent = stage.with_keys("trent", "/home")
    path = ask(trent, "\n".join(["The top of a long story"] + [f"line {number}" for number in range(1, 80)]))
    say(trent, "\n".join(f"more {number}" for number in range(1, 80)))
    hears(trent, "more 79")
    second = trent.context.new_page()
    second.goto(path)
    hears(second, "more 79")
    box = trent.locator(".messages")
    box.evaluate("(one) => { one.scrollTop = 400; }")
    trent.locator(".composer textarea").fill("As I was about to sa")
    expect(trent.get_by_text("Draft saved, locked")).to_be_visible()
    stood = box.evaluate("(one) => one.scrollTop")

    stage.demo.lock("trent")
    trent.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    for page in (trent, second):
        expect(page.get_by_role("heading", name="Your screen is locked")).to_be_visible()
        assert page.get_by_text("line 12").count() == 0
    trent.get_by_role("link", name="Unlock").click()
    give_password(trent, "trent")
    trent.wait_for_url(f"**{path}")
    hears(trent, "more 79")
    expect(trent.locator(".composer textarea")).to_have_value("As I was about to sa")
    trent.wait_for_function(
        "(stood) => Math.abs(document.querySelector('.messages').scrollTop - stood) < 40", arg=stood
    )
    # The other tab, which nobody touched, is back too.
    hears(second, "more 79")
    second.close()


def test_a_shared_computer_keeps_nothing_of_who_left_by_any_page(stage: Stage) -> None:
    pat = stage.with_keys("pat", "/devices")
    # Somebody else who uses this computer too has said so.
    pat.context.add_cookies([{"name": "portal_shared", "value": "1", "url": stage.demo.url}])
    path = ask(pat, "Written at the library")
    expect(pat.get_by_text("Shared computer: sign out when you leave")).to_be_visible()
    pat.route("**/messages", lambda route: route.abort())
    say(pat, "This one does not get through")
    expect(said(pat, "This one does not get through")).to_contain_text("Waiting to be sent")
    pat.goto("/home")
    expect(pat.get_by_text("Shared computer: sign out when you leave")).to_be_visible()
    assert axe(pat) == []
    stores = (
        "indexedDB.databases().then((all) => all.map((one) => one.name).filter((name) => name.startsWith('portal-')))"
    )
    assert len(pat.evaluate(stores)) == 1
    leave = pat.get_by_role("button", name="Sign out").locator("visible=true")
    asked_about: list[str] = []

    def no(dialog: Dialog) -> None:
        asked_about.append(dialog.message)
        dialog.dismiss()

    pat.once("dialog", no)
    leave.click()
    until(pat, lambda: asked_about, "the page asks before somebody leaves")
    assert "Some messages were not sent yet" in asked_about[0]
    assert len(pat.evaluate(stores)) == 1
    pat.once("dialog", lambda dialog: dialog.accept())
    leave.click()
    pat.wait_for_url("**/logged-out")
    assert pat.evaluate(stores) == []
    assert stage.read("SELECT head_seq FROM thread WHERE id = ?", path.rsplit("/", 1)[1]) == [(2,)]


def test_a_fresh_sign_in_on_the_way_loses_nothing_that_was_typed(stage: Stage) -> None:
    code = stage.with_code("alicia")
    page = stage.with_keys("alicia", "/recovery")
    # Before anything is typed the way leads through the sign-in and back to what was begun.
    stage.grow_old("alicia")
    page.get_by_role("button", name="Choose a passphrase").click()
    give_password(page, "alicia")
    page.wait_for_url("**/recovery*")
    page.locator("dialog #secret-code").fill(code)
    page.locator("dialog button[type=submit]").click()
    page.locator("#new-passphrase").fill("my grandmother had seven green umbrellas")
    # While something is typed it stays where it is.
    stage.grow_old("alicia")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Sign in once more")).to_be_visible()
    assert axe(page) == []
    sign_in_apart(page, "alicia")
    expect(page.locator("#new-passphrase")).to_have_value("my grandmother had seven green umbrellas")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#secret-passphrase")).to_be_visible()


def test_finding_the_code_may_take_longer_than_a_sign_in_stays_fresh(stage: Stage) -> None:
    code = stage.with_code("alicia")
    page = stage.at("alicia's new tablet", "/recover?next=/devices", login="alicia")
    page.locator("#secret-code").fill(code)
    stage.grow_old("alicia")
    page.get_by_role("button", name="Get my messages back").click()
    expect(page.get_by_text("Sign in once more")).to_be_visible()
    sign_in_apart(page, "alicia")
    expect(page.locator("#secret-code")).to_have_value(code)
    page.get_by_role("button", name="Get my messages back").click()
    page.wait_for_url("**/devices")
    expect(page.get_by_text("This device", exact=True)).to_be_visible()
