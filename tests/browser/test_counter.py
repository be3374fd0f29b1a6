"""The counter's computer: several people of the pharmacy share one browser, each behind a PIN of their own."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from checks import axe
from complaints import Complaints
from counter import lock, share_with_pin, unlock
from demo_world import Demo, get_code, give_password, sign_in
from patience import until
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser
PIN = "402715"


@pytest.fixture(scope="module")
def portal_url(demo: Demo) -> str:
    """These stories have a portal of their own."""
    return demo.url


@pytest.fixture(autouse=True)
def refusals_are_heard(complaints: Complaints) -> None:
    """A PIN that is deleted and a device that has to be opened first are answers like others."""
    complaints.allow(r"status of 4(01|03|09)")


# Everything that lies in the browser, with what can be read out of its keys.
LIES_HERE = """async () => {
  const found = [];
  const done = (asked) => new Promise((resolve) => { asked.onsuccess = () => resolve(asked.result); });
  const shown = (value) => {
    if (value instanceof CryptoKey) return { key: value.algorithm.name, extractable: value.extractable };
    if (value instanceof Uint8Array) return btoa(String.fromCharCode(...value));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shown(one)]));
  };
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const place = () => database.transaction(store).objectStore(store);
      const [keys, values] = [await done(place().getAllKeys()), await done(place().getAll())];
      keys.forEach((key, index) => found.push([store, String(key), shown(values[index])]));
    }
    database.close();
  }
  return { found, caches: await caches.keys(), local: { ...localStorage }, session: { ...sessionStorage } };
}"""


def test_a_pin_opens_the_counter_again_and_nothing_else_does(person: Callable[..., Page], demo: Demo) -> None:
    counter = person("counter", asked=True)
    sign_in(counter, "walt", "/devices")
    expect(counter.get_by_role("heading", name="Whose device is this?")).to_be_visible()
    assert axe(counter) == []
    share_with_pin(counter, "123456")
    expect(counter.get_by_text("This PIN is too easy to guess. Choose another one.").first).to_be_visible()
    counter.fill("#pin-new", PIN)
    counter.fill("#pin-again", PIN)
    counter.get_by_role("button", name="Use this PIN").click()
    expect(counter.locator("[data-kind=shared]")).to_be_visible()

    lies = counter.evaluate(LIES_HERE)
    kinds = {(store, key.partition(":")[0]) for store, key, _ in lies["found"]}
    assert ("keys", "stay") in kinds
    counter.reload()
    expect(counter.locator("[data-kind=shared]")).to_be_visible()

    lock(counter)
    assert axe(counter) == []
    lies = counter.evaluate(LIES_HERE)
    named = {f"{store} {key.partition(':')[0]}": value for store, key, value in lies["found"]}
    assert {"keys device", "keys guard", "seeds puk", "seeds urk"} <= named.keys() <= {
        "keys device", "keys guard", "seeds puk", "seeds urk", "pins own", "keys place",
    }  # fmt: skip
    assert named["keys device"]["signing"]["kind"] == "guarded"
    assert named["keys device"]["wrapping"] == {
        "key": "AES-GCM", "extractable": False
    }  # fmt: skip
    # The help page for when the line is down is the same for everybody.
    assert set(lies["caches"]) <= {"portal-help"}
    assert (lies["local"], lies["session"]) == ({}, {})

    unlock(counter, "402716")
    expect(counter.get_by_text("This PIN is wrong. You can try 4 more times.").first).to_be_visible()
    unlock(counter, PIN)
    expect(counter.locator("[data-kind=shared]")).to_be_visible()
    # Who comes back is told, on every page until it was seen.
    counter.reload()
    told = counter.get_by_text("1 wrong PIN was tried here since you last looked")
    expect(told).to_be_visible()
    assert axe(counter) == []
    counter.get_by_role("button", name="I have seen it").click()
    expect(told).to_have_count(0)
    with counter.expect_response("**/api/session"):
        counter.reload()
    expect(counter.locator("[data-kind=shared]")).to_be_visible()
    expect(told).to_have_count(0)


def test_after_five_wrong_pins_only_the_code_helps(person: Callable[..., Page], demo: Demo) -> None:
    counter = person("counter of grace", asked=True)
    sign_in(counter, "grace", "/recovery")
    share_with_pin(counter, PIN)
    counter.wait_for_url("**/recovery")
    code = get_code(counter)
    counter.goto("/devices")
    counter.locator("[data-kind=shared]").wait_for()
    lock(counter)
    for left in (4, 3, 2, 1):
        unlock(counter, "402716")
        expect(counter.get_by_text(f"You can try {left} more time").first).to_be_visible()
    unlock(counter, "402716")
    expect(counter.get_by_text("The PIN was wrong five times")).to_be_visible()
    assert axe(counter) == []
    # Nor does the right one help now: there is nothing left to type it into.
    counter.reload()
    expect(counter.get_by_text("The PIN was wrong five times")).to_be_visible()
    expect(counter.locator("#pin")).to_have_count(0)
    counter.get_by_role("link", name="Sign in again").click()
    give_password(counter, "grace")
    expect(counter.get_by_role("heading", name="Open this device without your PIN")).to_be_visible()
    counter.fill("#secret-code", code)
    counter.fill("#pin-new", "918273")
    counter.fill("#pin-again", "918273")
    counter.get_by_role("button", name="Get my messages back").click()
    expect(counter.locator("[data-kind=shared]")).to_be_visible()
    expect(counter.get_by_text("Devices that were ended")).to_be_visible()
    lock(counter)
    unlock(counter, "918273")
    expect(counter.locator("[data-kind=shared]")).to_be_visible()

    # Her last day at this counter: nothing of hers stays, neither here nor as a device.
    demo.just_now("grace")
    forget(counter)
    counter.wait_for_url("**/logged-out*")
    lies = counter.evaluate(LIES_HERE)
    assert lies["found"] == []
    assert counter.evaluate("fetch('/api/browser').then((answer) => answer.json())") == {"items": []}


def test_nobody_is_forgotten_without_another_way_back(person: Callable[..., Page], demo: Demo) -> None:
    counter = person("counter of pat", asked=True)
    sign_in(counter, "pat", "/devices")
    share_with_pin(counter, PIN)
    counter.locator("[data-kind=shared]").wait_for()
    demo.just_now("pat")
    forget(counter)
    expect(counter.get_by_text("This is your only way back to your messages")).to_be_visible()
    counter.reload()
    expect(counter.locator("[data-kind=shared]")).to_be_visible()


def forget(counter: Page) -> None:
    """The person takes everything of the own off this browser."""
    counter.locator("[data-kind=shared]").get_by_role("button", name="Forget me on this device").click()
    assert axe(counter) == []
    counter.locator("dialog").get_by_role("button", name="Forget me on this device").click()


def test_an_own_device_becomes_shared_and_back_again(person: Callable[..., Page], demo: Demo) -> None:
    peggy = person("peggy's desk")
    sign_in(peggy, "peggy", "/devices")
    peggy.locator("[data-kind=mine]").get_by_role("button", name="Others use it too").click()
    peggy.fill("#pin-new", PIN)
    peggy.fill("#pin-again", PIN)
    peggy.get_by_role("button", name="Use this PIN").click()
    peggy.locator("dialog").get_by_role("button", name="Others use it too").click()
    expect(peggy.locator("[data-kind=shared]")).to_be_visible()
    expect(peggy.get_by_text("Devices that were ended")).to_be_visible()
    peggy.reload()
    lock(peggy)
    unlock(peggy, PIN)
    peggy.locator("[data-kind=shared]").get_by_role("button", name="Change the PIN").click()
    peggy.fill("#pin-new", "918273")
    peggy.fill("#pin-again", "918273")
    peggy.get_by_role("button", name="Save the new PIN").click()
    expect(peggy.get_by_text("Your PIN is changed")).to_be_visible()
    lock(peggy)
    unlock(peggy, PIN)
    expect(peggy.get_by_text("This PIN is wrong").first).to_be_visible()
    unlock(peggy, "918273")
    expect(peggy.locator("[data-kind=shared]")).to_be_visible()
    # Who steps away while the page still opens is heard, too.
    held: list[Route] = []
    peggy.route("**/api/pharmacies", lambda route: held.append(route))
    peggy.reload(wait_until="commit")
    until(peggy, lambda: bool(held), "the page asks for its pharmacies")
    peggy.keyboard.press("F8")
    held[0].continue_()
    peggy.locator("#pin").wait_for()
    peggy.unroute("**/api/pharmacies")
    unlock(peggy, "918273")
    peggy.locator("[data-kind=shared]").get_by_role("button", name="Only I use it now").click()
    peggy.locator("dialog").get_by_role("button", name="Only I use it now").click()
    expect(peggy.locator("[data-kind=mine]")).to_be_visible()
    peggy.keyboard.press("F8")
    peggy.reload()
    expect(peggy.locator("[data-kind=mine]")).to_be_visible()


def test_the_page_locks_by_itself_and_the_other_tab_with_it(person: Callable[..., Page], demo: Demo) -> None:
    counter = person("counter of erin", asked=True)
    sign_in(counter, "erin", "/devices")
    share_with_pin(counter, PIN)
    counter.locator("[data-kind=shared]").wait_for()
    second = counter.context.new_page()
    second.goto("/account/sessions")
    expect(second.get_by_role("button", name="Lock (F8)").locator("visible=true")).to_be_visible()
    assert axe(second) == []
    lock(counter)
    second.wait_for_url("**/lock?**")
    unlock(counter, PIN)
    counter.locator("[data-kind=shared]").wait_for()
    second.goto("/account/sessions")
    second.keyboard.press("F8")
    second.locator("#pin").wait_for()
    expect(counter.get_by_role("heading", name="Your screen is locked")).to_be_visible()


def test_a_page_of_the_server_stays_open_while_somebody_reads_it(person: Callable[..., Page], demo: Demo) -> None:
    counter = person("counter of judy", asked=True)
    sign_in(counter, "judy", "/devices")
    share_with_pin(counter, PIN)
    counter.locator("[data-kind=shared]").wait_for()
    counter.goto("/account/sessions")
    warning = counter.locator("[data-lock-warning]")
    expect(warning).to_be_hidden()
    demo.idle("judy", timedelta(minutes=2, seconds=40))
    look = "document.dispatchEvent(new Event('visibilitychange'))"
    counter.evaluate(look)
    expect(warning).to_be_visible()
    assert axe(counter) == []
    counter.mouse.wheel(0, 100)
    expect(warning).to_be_hidden()
    # What only opens a page, without a person, does not count; what was not read for three minutes locks.
    demo.idle("judy", timedelta(minutes=4))
    counter.evaluate(look)
    counter.locator("#pin").wait_for()
