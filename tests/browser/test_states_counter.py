"""States of a device that others use too: whose it is, its PIN, and the screen that is locked."""

import pytest
from passkeys import USE, Authenticator
from playwright.sync_api import Page
from stage import Stage, shown
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
PIN = "402715"


def asked(stage: Stage, who: str) -> Page:
    """Somebody at a device that has no keys yet, at the question whose it is."""
    stage.page(f"counter of {who}", asked=True)
    page = stage.at(f"counter of {who}", "/setup", login=who)
    page.locator("[data-whose]").wait_for()
    return page


def choosing(stage: Stage, who: str) -> Page:
    """The same, where others use it too: a PIN is chosen."""
    page = asked(stage, who)
    page.locator("[data-whose] button").nth(1).click()
    page.locator("#pin-new").wait_for()
    return page


def set_pin(page: Page, pin: str = PIN) -> None:
    """Type a new PIN twice."""
    page.fill("#pin-new", pin)
    page.fill("#pin-again", pin)
    page.locator("form button[type=submit]").click()


def counter(stage: Stage, who: str) -> Page:
    """Somebody's page of devices at a shared one."""
    profile = f"shared by {who}"
    if profile not in stage.kept:
        stage.page(profile, asked=True)
        page = stage.at(profile, "/devices", login=who)
        page.locator("[data-whose] button").nth(1).click()
        set_pin(page)
        page.locator("[data-kind=shared]").wait_for()
        stage.kept[profile] = "yes"
    page = shown(stage.page(profile), "/devices")
    page.locator("[data-kind=shared], #pin").first.wait_for()
    if page.locator("#pin").count():
        page.fill("#pin", PIN)
        page.locator("form button[type=submit]").click()
        page.locator("[data-kind=shared]").wait_for()
    return page


def locked(stage: Stage, who: str) -> Page:
    """The same, locked by its one key."""
    page = counter(stage, who)
    page.locator(".reach__lock button").wait_for()
    page.keyboard.press("F8")
    page.locator("#pin").wait_for()
    return page


def with_others(stage: Stage, page: Page) -> None:
    """Bob shares this browser, too."""
    stage.at("bob", "/account")
    stage.write(
        "INSERT OR IGNORE INTO browser_tile (browser_hash, account_id, session_ref, seen_at) "
        "SELECT browser_hash, (SELECT id FROM account WHERE email = 'bob@demo.example'), 'gone', seen_at "
        "FROM browser_tile GROUP BY browser_hash"
    )
    page.reload()
    page.locator("[data-person]").first.wait_for()


@state("setup-whose", spanish=True)
def _(stage: Stage) -> Page:
    return asked(stage, "walt")


@state("setup-pin")
def _(stage: Stage) -> Page:
    return choosing(stage, "walt")


@state("setup-pin-easy")
def _(stage: Stage) -> Page:
    page = choosing(stage, "walt")
    set_pin(page, "123456")
    page.locator(".summary-errors").wait_for()
    return page


@state("devices-shared", spanish=True)
def _(stage: Stage) -> Page:
    return counter(stage, "pat")


@state("signed-in-again-shared", spanish=True)
def _(stage: Stage) -> Page:
    counter(stage, "pat")
    return stage.at("shared by pat", "/signed-in-again", login="pat")


@state("devices-pin")
def _(stage: Stage) -> Page:
    page = counter(stage, "pat")
    page.locator("[data-kind=shared] button").first.click()
    page.locator("#pin-new").wait_for()
    return page


@state("devices-forget", spanish=True)
def _(stage: Stage) -> Page:
    page = shown(counter(stage, "pat"), "/devices?kind=forget")
    page.locator("dialog").wait_for()
    return page


@state("devices-wrong-pins", spanish=True)
def _(stage: Stage) -> Page:
    page = counter(stage, "pat")
    stage.write(
        "UPDATE device_guard SET untold = 3, wrong_at = '2026-03-10 14:03:00.000000' WHERE device_id IN "
        "(SELECT device.id FROM device JOIN account ON account.id = device.account_id "
        "WHERE email = 'pat@demo.example')"
    )
    page.reload()
    page.locator("main .banner--warn, .banner--warn").first.wait_for()
    return page


@state("counter-locked", spanish=True)
def _(stage: Stage) -> Page:
    return locked(stage, "pat")


@state("counter-people", spanish=True)
def _(stage: Stage) -> Page:
    page = locked(stage, "pat")
    with_others(stage, page)
    return page


@state("counter-nobody", spanish=True)
def _(stage: Stage) -> Page:
    page = locked(stage, "walt")
    with_others(stage, page)
    stage.write(
        "UPDATE login_session SET ended_at = active_at, ended_by = 'idle' WHERE shared AND account_id = "
        "(SELECT id FROM account WHERE email = 'walt@demo.example')"
    )
    page.reload()
    page.locator("[data-person]").first.wait_for()
    return page


def guarded_by_passkey(stage: Stage) -> Page:
    """Judy's page of devices at a shared one, just after her security key was added to her PIN."""
    page = stage.page("shared by judy", asked=True)
    if "judy's key" not in stage.kept:
        Authenticator(page, transport="usb")
        counter(stage, "judy")
        page.goto("/recovery")
        page.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
        page.get_by_text("It is set").first.wait_for()
        stage.kept["judy's key"] = "yes"
    counter(stage, "judy")
    page.get_by_role("button", name="Unlock with my phone or security key too").click()
    page.get_by_text("now opens this device").first.wait_for()
    return page


@state("devices-passkey")
def _(stage: Stage) -> Page:
    return guarded_by_passkey(stage)


@state("counter-passkey", spanish=True)
def _(stage: Stage) -> Page:
    guarded_by_passkey(stage)
    return locked(stage, "judy")


@state("counter-pin-wrong")
def _(stage: Stage) -> Page:
    page = locked(stage, "pat")
    page.fill("#pin", "402716")
    page.locator("form button[type=submit]").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("counter-pin-gone", spanish=True)
def _(stage: Stage) -> Page:
    page = locked(stage, "peggy")
    stage.write(
        "UPDATE device_guard SET wrong = 4 WHERE device_id IN (SELECT device.id FROM device "
        "JOIN account ON account.id = device.account_id WHERE email = 'peggy@demo.example')"
    )
    page.fill("#pin", "402716")
    page.locator("form button[type=submit]").click()
    page.locator("#pin").wait_for(state="detached")
    return page


@state("recover-pin")
def _(stage: Stage) -> Page:
    page = counter(stage, "pat")
    page.goto("/recover?why=pin")
    page.get_by_role("heading", name="Open this device without your PIN").wait_for()
    return page


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
