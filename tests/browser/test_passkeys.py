"""Passkeys that open keys: first, with one tap and nothing typed; then code and passphrase where a device cannot.

And a second device, let in by a first one with a picture.
"""

import re
from collections.abc import Callable

import pytest
from complaints import Complaints
from demo_world import Demo, code_shown, confirm_with, get_code, give_password, sign_in
from passkeys import USE, Authenticator, new_profile, says_no_once
from playwright.sync_api import Page, expect
from test_counter import PIN, share_with_pin, unlock
from test_counter import lock as lock_by_key

pytestmark = pytest.mark.browser
Person = Callable[..., Page]


@pytest.fixture(scope="module")
def portal_url(demo: Demo) -> str:
    """These stories have a portal of their own."""
    return demo.url


@pytest.fixture(autouse=True)
def refusals_are_heard(complaints: Complaints) -> None:
    """Chromium says on the console that an answer was a refusal; a fresh sign-in is asked for on purpose."""
    complaints.allow(r"status of (401|403|404|409)")


def at(path: str) -> re.Pattern[str]:
    """The address of a page, whatever its query."""
    return re.compile(rf"^http://localhost:\d+{re.escape(path)}(\?.*)?$")


def first_sign_in(page: Page, login: str) -> None:
    """Sign in as somebody who wants nothing in particular: keys are made on the way."""
    page.goto("/login")
    give_password(page, login)


def ways(page: Page) -> list[tuple[str, bool]]:
    """The ways back that the server knows: method, and whether it was tried out."""
    own = page.evaluate("fetch('/api/keys/me?vault=0').then((answer) => answer.json())")
    return [(way["method"], way["tried_at"] is not None) for way in own["recovery"]]


def test_alice_protects_her_messages_with_one_tap_and_comes_back_with_one(person: Person) -> None:
    alice = person("alice")
    finger = Authenticator(alice)
    sign_in(alice, "alice", "/devices")
    expect(alice.locator("h1")).to_have_text("Protect your messages")
    alice.get_by_role("button", name=USE).click()
    alice.wait_for_url(at("/devices"))
    expect(alice.locator("[data-device]")).to_have_count(1)
    assert ways(alice) == [("passkey", False)]
    assert finger.passkeys() == 1
    # The root key no longer lies in the browser: one seed is left.
    assert (
        alice.evaluate(
            """async () => {
          const account = (await (await fetch("/api/session")).json()).account.id;
          const asked = indexedDB.open(`portal-${account}`);
          await new Promise((resolve) => { asked.onsuccess = resolve; });
          const counted = asked.result.transaction("seeds").objectStore("seeds").count();
          await new Promise((resolve) => { counted.onsuccess = resolve; });
          asked.result.close();
          return counted.result;
        }"""
        )
        == 1
    )

    alice.goto("/recovery")
    passkey = alice.locator("[data-passkey]")
    expect(passkey).to_contain_text("Not tried out yet")
    passkey.get_by_role("button", name="Try it now").click()
    alice.get_by_role("button", name=USE).click()
    expect(alice.get_by_text("It works", exact=True)).to_be_visible()
    assert ways(alice) == [("passkey", True)]
    # One device keeps one: a second would take the place of the first.
    alice.get_by_role("button", name="Add another one").click()
    alice.locator("dialog").get_by_role("button", name=USE).click()
    alice.locator("[data-new-passkey]").get_by_role("button", name=USE).click()
    expect(alice.get_by_text("This device has a passkey of yours already")).to_be_visible()
    assert finger.passkeys() == 1
    alice.get_by_role("button", name="Cancel").click()
    # The last way is never removed.
    expect(alice.locator("[data-passkey]").get_by_role("button", name="Remove")).to_have_count(0)

    new_profile(alice)
    sign_in(alice, "alice", "/devices")
    alice.wait_for_url(at("/recover"))
    says_no_once(alice)
    alice.get_by_role("button", name=USE).click()
    expect(alice.get_by_text("this device has none of your passkeys")).to_be_visible()
    alice.get_by_role("button", name=USE).click()
    alice.wait_for_url(at("/devices"))
    expect(alice.locator("[data-device]")).to_have_count(2)

    # An act that needs the root key takes the passkey, too; the wrong finger changes nothing.
    alice.get_by_role("button", name="End this device").click()
    says_no_once(alice)
    alice.locator("dialog").get_by_role("button", name=USE).click()
    expect(alice.locator("dialog")).to_contain_text("That did not work")
    alice.locator("dialog").get_by_role("button", name=USE).click()
    expect(alice.locator("[data-device]")).to_have_count(1)


def test_a_passkey_is_removed_and_the_code_stays(person: Person) -> None:
    dave = person("dave")
    finger = Authenticator(dave)
    sign_in(dave, "dave", "/recovery")
    dave.get_by_role("button", name="Get a recovery code instead").click()
    code = code_shown(dave)
    dave.goto("/recovery")
    dave.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
    confirm_with(dave, code)
    dave.locator("[data-new-passkey]").get_by_role("button", name=USE).click()
    expect(dave.get_by_text("It is set", exact=True)).to_be_visible()
    assert ways(dave) == [("code", False), ("passkey", False)]
    dave.get_by_role("button", name="Remove").click()
    dave.get_by_role("button", name="Use code or passphrase").click()
    confirm_with(dave, code)
    expect(dave.locator("[data-passkey]")).to_have_count(0)
    assert ways(dave) == [("code", False)]
    # The platform was told that it opens nothing any more.
    assert finger.passkeys() == 0
    dave.reload()
    expect(dave.locator("[data-way=code]")).to_be_visible()
    assert ways(dave) == [("code", False)]


def test_a_device_that_gives_no_secret_says_so_and_the_code_is_one_tap_away(person: Person) -> None:
    nina = person("nina")
    finger = Authenticator(nina, gives_secrets=False)
    first_sign_in(nina, "nina")
    nina.get_by_role("button", name=USE).click()
    expect(nina.get_by_text("cannot keep your keys that way")).to_be_visible()
    assert ways(nina) == []
    # What was made for nothing is not offered later.
    assert finger.passkeys() == 0
    nina.get_by_role("button", name="Get a recovery code instead").click()
    nina.wait_for_url(at("/recovery"))
    code = code_shown(nina)
    assert ways(nina) == [("code", False)]
    new_profile(nina)
    sign_in(nina, "nina", "/devices")
    nina.wait_for_url(at("/recover"))
    nina.locator("#secret-code").fill(code)
    nina.get_by_role("button", name="Get my messages back").click()
    nina.wait_for_url(at("/devices"))


def test_a_platform_that_stumbles_over_the_extension_is_asked_once_more_without(person: Person) -> None:
    walt = person("walt")
    Authenticator(walt)
    walt.add_init_script(
        """{
          const create = navigator.credentials.create.bind(navigator.credentials);
          window.asked = [];
          navigator.credentials.create = (options) => {
            const { prf } = options.publicKey.extensions ?? {};
            window.asked.push(prf === undefined ? "none" : prf.eval?.first?.byteLength);
            return prf === undefined ? create(options) : Promise.reject(new DOMException("no", "UnknownError"));
          };
        }"""
    )
    first_sign_in(walt, "walt")
    walt.get_by_role("button", name=USE).click()
    expect(walt.get_by_text("cannot keep your keys that way")).to_be_visible()
    # What is to be evaluated was always named.
    assert walt.evaluate("window.asked") == [32, "none"]
    walt.get_by_role("button", name="Later").click()
    walt.wait_for_url(at("/home"))
    expect(walt.get_by_role("link", name="Protect my messages")).to_be_visible()


def test_who_says_no_or_later_goes_on_and_is_asked_again(person: Person) -> None:
    pat = person("pat")
    finger = Authenticator(pat)
    finger.wrong_finger()
    first_sign_in(pat, "pat")
    pat.get_by_role("button", name=USE).click()
    expect(pat.get_by_text("Nothing has changed")).to_be_visible()
    pat.get_by_role("button", name="Later").click()
    pat.wait_for_url(at("/home"))
    finger.remove()
    Authenticator(pat)
    pat.get_by_role("link", name="Protect my messages").click()
    pat.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
    expect(pat.get_by_text("It is set", exact=True)).to_be_visible()
    pat.goto("/home")
    pat.get_by_role("link", name="Try it now").click()
    pat.get_by_role("button", name="Try it now").click()
    pat.get_by_role("button", name=USE).click()
    expect(pat.get_by_text("It works", exact=True)).to_be_visible()


def test_a_browser_without_passkeys_offers_what_works_everywhere(person: Person) -> None:
    judy = person("judy")
    judy.add_init_script("delete window.PublicKeyCredential")
    first_sign_in(judy, "judy")
    judy.wait_for_url(at("/home"))
    get_code(judy)
    judy.goto("/recovery")
    expect(judy.locator("[data-way=passkey]")).to_contain_text("This browser cannot open messages by fingerprint")
    expect(judy.locator("[data-way=passkey]").get_by_role("button")).to_have_count(0)


def test_on_a_shared_computer_only_a_key_of_ones_own_keeps_the_passkey(person: Person) -> None:
    peggy = person("peggy", asked=True)
    lock, ring = Authenticator(peggy), Authenticator(peggy, transport="usb")
    first_sign_in(peggy, "peggy")
    share_with_pin(peggy, PIN)
    # What opens its screen is everybody's: it is not offered.
    peggy.wait_for_url(at("/home"))
    peggy.goto("/recovery")
    expect(peggy.locator("[data-way=passkey]")).to_contain_text("its own lock is not yours")
    peggy.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
    expect(peggy.get_by_text("It is set", exact=True)).to_be_visible()
    assert (lock.passkeys(), ring.passkeys()) == (0, 1)

    # The same key opens the locked computer beside the PIN, at the place where she was.
    peggy.goto("/devices")
    peggy.get_by_role("button", name="Unlock with my phone or security key too").click()
    expect(peggy.get_by_text("now opens this device, beside your PIN")).to_be_visible()
    lock_by_key(peggy)
    says_no_once(peggy)
    peggy.get_by_role("button", name="Use my phone or security key").click()
    expect(peggy.get_by_text("Try again, or type your PIN")).to_be_visible()
    peggy.get_by_role("button", name="Use my phone or security key").click()
    peggy.wait_for_url(at("/devices"))
    expect(peggy.locator("[data-kind=shared]")).to_be_visible()
    # The PIN goes on opening it, and the key alone opens nothing for who has only the browser.
    lock_by_key(peggy)
    unlock(peggy, PIN)
    peggy.wait_for_url(at("/devices"))


def offer(page: Page) -> str:
    """Show the picture for another device; gives the code that stands in it, as who cannot scan reads it."""
    page.goto("/devices")
    page.get_by_role("link", name="Add a device").click()
    page.get_by_role("button", name="Show the picture").click()
    page.locator("dialog").get_by_role("button", name="Show the picture").click()
    page.locator("[data-offer=waiting] .qr").wait_for()
    page.locator("summary", has_text="I cannot scan it").click()
    return code_shown(page)


def test_a_picture_lets_the_telephone_in_and_its_code_is_in_no_request(person: Person) -> None:
    trent = person("trent")
    sign_in(trent, "trent", "/devices")
    code = offer(trent)
    phone = person("trent's phone")
    asked: list[str] = []
    phone.on("request", lambda one: asked.append(f"{one.url} {one.post_data} {one.headers}"))
    # What the camera opens.
    phone.goto(f"/recover#d={code}")
    give_password(phone, "trent")
    phone.wait_for_url(at("/home"))
    expect(trent.locator("[data-offer=done]")).to_contain_text("can now open your messages")
    assert trent.locator(".qr").count() == 0
    assert len(asked) > 10
    assert [one for one in asked if code in one or code.replace("-", "") in one] == []
    assert phone.evaluate("[sessionStorage.length, location.hash]") == [0, ""]
    phone.goto("/devices")
    expect(phone.locator("[data-device]")).to_have_count(2)

    # A picture works once.
    late = person("somebody's phone")
    late.goto(f"/recover#d={code}")
    give_password(late, "trent")
    expect(late.get_by_text("That picture is no longer good")).to_be_visible()
    assert late.evaluate("sessionStorage.length") == 0


def test_who_cannot_scan_types_and_a_picture_can_be_taken_back(person: Person) -> None:
    alicia = person("alicia")
    sign_in(alicia, "alicia", "/devices")
    first = offer(alicia)
    alicia.get_by_role("button", name="Take it back").click()
    expect(alicia.locator("[data-offer=ended]")).to_contain_text("It opens nothing any more")
    alicia.get_by_role("button", name="Show a new picture").click()
    alicia.locator("dialog").get_by_role("button", name="Show the picture").click()
    alicia.locator("[data-offer=waiting] .qr").wait_for()
    alicia.locator("summary", has_text="I cannot scan it").click()
    code = code_shown(alicia)
    tablet = person("alicia's tablet")
    sign_in(tablet, "alicia", "/devices")
    tablet.wait_for_url(at("/recover"))
    tablet.locator("summary", has_text="Use another device of mine").click()
    send = tablet.locator("form").filter(has=tablet.locator("#device-code")).get_by_role("button")
    for typed, said in ((code[:-1], "typing mistake"), (first, "It was taken back")):
        tablet.locator("#device-code").fill(typed)
        send.click()
        expect(tablet.locator(".summary-errors")).to_contain_text(said)
    tablet.locator("#device-code").fill(code.lower().replace("-", " "))
    send.click()
    tablet.wait_for_url(at("/devices"))
    expect(tablet.locator("[data-device]")).to_have_count(2)
    expect(alicia.locator("[data-offer=done]")).to_be_visible()
