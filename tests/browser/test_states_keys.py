"""States of first keys, ways back, devices, and sessions that end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from demo_world import code_shown, confirm_with, get_code, team
from passkeys import USE, Authenticator, new_profile, says_no_once
from playwright.sync_api import Page
from stage import Stage, answer_with, cut, refuse
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter


@state("setup", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.at("walt", "/account")
    # The keys are never taken: the page stays as it is while they are on their way.
    page.route("**/api/keys/enrol", lambda route: None)
    page.goto("/setup")
    page.get_by_text("Making your keys").first.wait_for()
    return page


def at_setup(stage: Stage, who: str, *, gives_secrets: bool = True) -> tuple[Page, Authenticator]:
    """The first visit of somebody whose device has a lock of its own."""
    page = stage.page(who)
    lock = Authenticator(page, gives_secrets=gives_secrets)
    stage.at(who, "/setup")
    page.get_by_role("button", name=USE).wait_for()
    return page, lock


@state("setup-protect")
def _(stage: Stage) -> Page:
    return at_setup(stage, "grace")[0]


@state("setup-protect-stopped")
def _(stage: Stage) -> Page:
    page, lock = at_setup(stage, "heidi")
    lock.wrong_finger()
    page.get_by_role("button", name=USE).click()
    page.get_by_text("That did not work").first.wait_for()
    return page


@state("setup-protect-cannot")
def _(stage: Stage) -> Page:
    page, _lock = at_setup(stage, "frank", gives_secrets=False)
    page.get_by_role("button", name=USE).click()
    page.get_by_text("cannot keep your keys that way").first.wait_for()
    return page


def with_passkey(stage: Stage) -> Page:
    """Ivan, who has a passkey on his device and a code on paper."""
    page = stage.page("ivan")
    if "ivan" not in stage.codes:
        page, _lock = at_setup(stage, "ivan")
        page.get_by_role("button", name="Get a recovery code instead").click()
        stage.codes["ivan"] = code_shown(page)
        page.goto("/recovery")
        page.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
        confirm_with(page, stage.codes["ivan"])
        page.locator("[data-new-passkey]").get_by_role("button", name=USE).click()
        page.get_by_text("It is set").first.wait_for()
    stage.write("DELETE FROM recovery_read")
    return page


def at_passkeys(stage: Stage) -> Page:
    """Ivan's ways back, in a browser with his keys."""
    with_passkey(stage)
    page = stage.at("ivan", "/recover?next=/recovery")
    page.get_by_role("button", name=USE).click()
    page.locator("[data-passkey]").first.wait_for()
    return page


@state("recovery-passkey")
def _(stage: Stage) -> Page:
    page, _lock = at_setup(stage, "carol")
    page.goto("/recovery")
    page.locator("[data-way=passkey]").get_by_role("button", name=USE).click()
    page.get_by_text("It is set").first.wait_for()
    return page


@state("recovery-passkey-second")
def _(stage: Stage) -> Page:
    page = at_passkeys(stage)
    page.get_by_role("button", name="Add another one").click()
    page.locator("dialog").get_by_role("button", name=USE).click()
    page.locator("[data-new-passkey]").get_by_role("button", name=USE).click()
    page.get_by_text("has a passkey of yours already").first.wait_for()
    return page


@state("recovery-passkey-try")
def _(stage: Stage) -> Page:
    page = at_passkeys(stage)
    page.locator("[data-passkey]").get_by_role("button", name="Try it now").first.click()
    page.get_by_role("button", name=USE).wait_for()
    return page


@state("recovery-passkey-remove")
def _(stage: Stage) -> Page:
    page = at_passkeys(stage)
    page.locator("[data-passkey]").get_by_role("button", name="Remove").first.click()
    page.locator("dialog").wait_for()
    return page


@state("recovery-passkey-shared")
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    page = stage.tab("pat")
    # In this tab alone: the mark is the browser's, and other states are of computers that are not shared.
    page.add_init_script(
        "Object.defineProperty(Document.prototype, 'cookie', { get: () => 'portal_shared=1', set: () => undefined })"
    )
    page.goto("/recovery")
    page.locator("[data-way=passkey]").wait_for()
    return page


@state("recovery-no-passkeys")
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    page = stage.tab("pat")
    page.add_init_script("delete window.PublicKeyCredential")
    page.goto("/recovery")
    page.locator("[data-way=passkey]").wait_for()
    return page


def at_recover_by_passkey(stage: Stage) -> Page:
    """Ivan in a browser without his keys; his passkey was carried over to it."""
    with_passkey(stage)
    stage.forget_login("ivan")
    new_profile(stage.page("ivan"))
    page = stage.at("ivan", "/recover")
    page.get_by_role("button", name=USE).wait_for()
    return page


@state("recover-passkey", spanish=True)
def _(stage: Stage) -> Page:
    return at_recover_by_passkey(stage)


@state("recover-passkey-stopped")
def _(stage: Stage) -> Page:
    page = at_recover_by_passkey(stage)
    says_no_once(page)
    page.get_by_role("button", name=USE).click()
    page.get_by_text("none of your passkeys").first.wait_for()
    return page


@state("setup-unreachable")
def _(stage: Stage) -> Page:
    page = stage.at("peggy", "/account")
    cut(page, "**/api/keys/enrol")
    page.goto("/setup")
    page.get_by_role("alert").wait_for()
    return page


@state("page-unreachable")
def _(stage: Stage) -> Page:
    page = stage.at("pat", "/account")
    cut(page, "**/api/session")
    page.goto("/devices")
    page.get_by_role("alert").wait_for()
    return page


@state("no-store")
def _(stage: Stage) -> Page:
    page = stage.page("private window")
    page.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); }")
    stage.at("private window", "/account", login="alicia")
    page.goto("/devices")
    page.get_by_role("alert").wait_for()
    return page


@state("recover-no-way", spanish=True)
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    page = stage.at("pat's library", "/recover", login="pat")
    page.get_by_text("No recovery code and no passphrase").first.wait_for()
    return page


@state("recover-again-untold")
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    page = stage.at("pat's library", "/recover", login="pat")
    page.get_by_role("button", name="Start again with new keys").click()
    page.get_by_text("First tick the box").first.wait_for()
    return page


def at_recover(stage: Stage, profile: str = "dave's new phone", path: str = "/recover") -> Page:
    """Dave in a browser without his keys, with a code set."""
    stage.with_code("dave")
    # A browser without keys may ask for a way back five times a day.
    stage.write("DELETE FROM recovery_read")
    page = stage.at(profile, path, login="dave")
    page.locator("#secret-code").wait_for()
    return page


def with_another_device(stage: Stage, profile: str) -> Page:
    """Dave's list of devices, with one more on it."""
    page = at_recover(stage, profile)
    page.locator("#secret-code").fill(stage.codes["dave"])
    page.get_by_role("button", name="Get my messages back").click()
    page.wait_for_url("**/home*")
    return stage.with_keys("dave", "/devices")


@state("devices-rename")
def _(stage: Stage) -> Page:
    page = stage.with_keys("pat", "/devices")
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_label("Name of this device").wait_for()
    return page


@state("devices-stopped")
def _(stage: Stage) -> Page:
    page = stage.ready("pat")
    stop = {"at": datetime.now(UTC).isoformat(), "ends_at": None}
    answer_with(page, "**/api/keys/me*", lambda said: {**said, "stopped": stop})
    page.goto("/devices")
    page.get_by_text("Everything is stopped").first.wait_for()
    return page


@state("wrong-lost", spanish=True)
def _(stage: Stage) -> Page:
    page = with_another_device(stage, "dave's lost phone")
    page.goto("/something-wrong")
    return page


@state("recover", spanish=True)
def _(stage: Stage) -> Page:
    return at_recover(stage)


@state("recover-typo")
def _(stage: Stage) -> Page:
    page = at_recover(stage)
    page.locator("#secret-code").fill(stage.codes["dave"][:-1])
    page.get_by_role("button", name="Get my messages back").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recover-wrong-code")
def _(stage: Stage) -> Page:
    other = stage.with_code("judy")
    page = at_recover(stage)
    page.locator("#secret-code").fill(other)
    page.get_by_role("button", name="Get my messages back").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recover-too-many")
def _(stage: Stage) -> Page:
    stage.with_code("dave")
    page = stage.at("dave's new phone", "/account", login="dave")
    refuse(page, "**/api/keys/recovery", 429, "recovery-reads")
    page.goto("/recover")
    page.get_by_text("Too many tries today").first.wait_for()
    return page


@state("recover-ahead", spanish=True)
def _(stage: Stage) -> Page:
    stage.at("olivia", "/account")
    stage.handed("Olivia Park")
    page = stage.at("olivia", "/recover")
    page.get_by_text("Bob Rivera has let you in").first.wait_for()
    return page


def with_oscar(stage: Stage, desk: str) -> Page:
    """Bob is about to make a code for Oscar, who is expected; at the desk, which is set up, sits `desk`."""
    stage.founded()
    code, page = stage.with_code("bob"), stage.ready("bob")
    assert code

    def expects(answer: Any) -> Any:
        pharmacists, service = answer["items"][:2]
        (bob,) = [seat for seat in pharmacists["seats"] if seat["name"] == "Bob Rivera"]
        oscar = {"account": "0" * 32, "name": "Oscar Bell", "role": "pharmacist"}
        sits = bob if desk == "Bob Rivera" else bob | {"account": "1" * 32, "name": desk, "role": "technician"}
        service |= {"gen": 1, "seats": [sits], "expected": [oscar]}
        pharmacists |= {"expected": [oscar]}
        return answer

    answer_with(page, "**/api/pharmacies/*/teams", expects)
    stage.just_now("bob")
    page.goto("/team")
    team(page).locator("summary").filter(has_text="not opened messages yet").click()
    team(page).get_by_role("button", name="Let in Oscar Bell with a code").click()
    page.get_by_role("dialog").get_by_text("The code opens").wait_for()
    return page


@state("team-code")
def _(stage: Stage) -> Page:
    return with_oscar(stage, "Bob Rivera")


@state("team-code-closed")
def _(stage: Stage) -> Page:
    return with_oscar(stage, "Frank Weber")


@state("team-handed")
def _(stage: Stage) -> Page:
    stage.at("erin", "/account")
    return stage.handed("Erin Walsh")


@state("refused-keys")
def _(stage: Stage) -> Page:
    page = stage.ready("dave")

    def older(answer: Any) -> Any:
        return answer | {"entries": []}

    answer_with(page, "**/api/keys/me*", older)
    page.goto("/devices")
    page.get_by_text("older keys").first.wait_for()
    return page


@state("recovery-none", spanish=True)
def _(stage: Stage) -> Page:
    return stage.with_keys("pat", "/recovery")


@state("recovery-code")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alicia", "/recovery")
    get_code(page)
    return page


@state("recovery-untried")
def _(stage: Stage) -> Page:
    return at_recovery(stage, "nina")


def at_recovery(stage: Stage, who: str) -> Page:
    """The ways back of somebody who has a code."""
    stage.with_code(who)
    return stage.with_keys(who, "/recovery")


@state("recovery-try-typo")
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "nina")
    page.get_by_role("button", name="Try it now").click()
    page.locator("#secret-code").fill("ABCD")
    page.get_by_role("button", name="Try it now").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recovery-tried")
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "judy")
    page.get_by_role("button", name="Try it now").click()
    page.locator("#secret-code").fill(stage.codes["judy"])
    page.get_by_role("button", name="Try it now").click()
    page.get_by_text("It works").first.wait_for()
    return page


@state("recovery-replace")
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "judy")
    page.get_by_role("button", name="Replace").click()
    page.locator("dialog").wait_for()
    return page


@state("recover-ways-lost", spanish=True)
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "judy")
    page.get_by_role("button", name="Replace").click()
    page.get_by_role("link", name="I have none of these any more").click()
    page.get_by_role("heading", name="Your ways back are lost").wait_for()
    page.locator("#again-sure").wait_for()
    return page


@state("recovery-weak-passphrase")
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "judy")
    page.get_by_role("button", name="Choose a passphrase").click()
    confirm_with(page, stage.codes["judy"])
    page.locator("#new-passphrase").fill("short")
    page.get_by_role("button", name="Save").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recovery-sign-in-again")
def _(stage: Stage) -> Page:
    page = at_recovery(stage, "judy")
    page.get_by_role("button", name="Choose a passphrase").click()
    confirm_with(page, stage.codes["judy"])
    page.get_by_role("button", name="Use these words").click()
    refuse(page, "**/api/keys/recovery/passphrase", 403, "step-up")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Sign in once more").first.wait_for()
    return page


@state("signed-in-again", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("judy", "/signed-in-again")


@state("signed-in-as-other", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("judy", "/signed-in-as")


@state("devices-one")
def _(stage: Stage) -> Page:
    stage.with_code("nina")
    return stage.with_keys("nina", "/devices")


def shown_offer(stage: Stage, state: str | None = None) -> Page:
    """Judy's picture for another device; `state`: what the server says of it."""
    code = stage.with_code("judy")
    page = stage.with_keys("judy", "/add-device")
    if state is not None:
        answer_with(page, "**/api/keys/offer", lambda answer: answer | {"state": state, "browser": "Firefox · Android"})
    page.get_by_role("button", name="Show the picture").click()
    confirm_with(page, code)
    page.locator(f"[data-offer={state or 'waiting'}]").wait_for()
    return page


@state("add-device", spanish=True)
def _(stage: Stage) -> Page:
    return stage.with_keys("judy", "/add-device")


@state("add-device-shown")
def _(stage: Stage) -> Page:
    return shown_offer(stage)


@state("add-device-given")
def _(stage: Stage) -> Page:
    return shown_offer(stage, "given")


@state("add-device-done")
def _(stage: Stage) -> Page:
    return shown_offer(stage, "done")


@state("add-device-over")
def _(stage: Stage) -> Page:
    return shown_offer(stage, "over")


@state("add-device-taken-back")
def _(stage: Stage) -> Page:
    page = shown_offer(stage)
    page.get_by_role("button", name="Take it back").click()
    page.locator("[data-offer=ended]").wait_for()
    return page


@state("recover-picture-over")
def _(stage: Stage) -> Page:
    page = at_recover(stage)
    page.goto("/recover#d=0123-4567-89AB-CDEF-GHJK-MNPQ-RS9")
    page.get_by_text("That picture is no longer good").first.wait_for()
    return page


@state("recover-device-code")
def _(stage: Stage) -> Page:
    page = at_recover(stage)
    page.locator("summary", has_text="Use another device of mine").click()
    page.locator("form").filter(has=page.locator("#device-code")).get_by_role("button").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("devices-end")
def _(stage: Stage) -> Page:
    page = with_another_device(stage, "dave's tablet")
    page.get_by_role("button", name="End").first.click()
    page.locator("dialog").wait_for()
    return page


@state("devices-ended")
def _(stage: Stage) -> Page:
    page = with_another_device(stage, "dave's watch")
    page.get_by_role("button", name="End").first.click()
    confirm_with(page, stage.codes["dave"])
    page.get_by_text("was ended").first.wait_for()
    return page


@state("recover-device-ended")
def _(stage: Stage) -> Page:
    return at_recover(stage, path="/recover?why=ended")


def session_at(stage: Stage, lock_at: Callable[[], datetime], words: str) -> Page:
    """Alice's page as it is when it will be, or was, locked at that time."""
    page = stage.ready("alice")
    answer_with(page, "**/api/session", lambda answer: answer | {"lock_at": lock_at().isoformat()})
    # Whoever presses a key is there, and the warning would go.
    cut(page, "**/api/session/activity")
    page.goto("/messages")
    page.get_by_text(words).first.wait_for()
    return page


@state("session-warning", spanish=True)
def _(stage: Stage) -> Page:
    # Each time the page asks there is as much time left.
    return session_at(stage, lambda: datetime.now(UTC) + timedelta(seconds=115), "You will be locked out at")


def locked(stage: Stage) -> Page:
    """Alice's page, locked in front of her."""
    moment = datetime.now(UTC) + timedelta(seconds=1)
    return session_at(stage, lambda: moment, "Your screen is locked")


@state("session-locked", spanish=True)
def _(stage: Stage) -> Page:
    return locked(stage)


@state("session-locked-offline")
def _(stage: Stage) -> Page:
    page = locked(stage)
    stage.offline("alice")
    page.get_by_text("signing in needs a connection").first.wait_for()
    return page


@state("session-covered")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/messages")
    page.evaluate(
        """() => {
          const now = Date.now;
          Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
          Date.now = () => now() + 130_000;
        }"""
    )
    page.get_by_text("Your messages are covered").first.wait_for()
    return page


@state("page-locked")
def _(stage: Stage) -> Page:
    page = stage.at("trent's library", "/account", login="trent")
    stage.demo.lock("trent")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Your screen is locked").first.wait_for()
    return page


@state("session-ended")
def _(stage: Stage) -> Page:
    page = stage.with_keys("trent", "/messages")
    other = stage.at("trent's other browser", "/account/sessions", login="trent")
    other.get_by_role("button", name="End all other sessions").click()
    page.get_by_text("You are signed out").first.wait_for()
    return page


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
