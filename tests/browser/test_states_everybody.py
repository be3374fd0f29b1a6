"""States of the pages for everybody, and of those that stay when something behind the portal is down."""

import pytest
from playwright.sync_api import Page
from stage import Stage, shown
from walk import States, walk

from portal.demo.run import KEPT_IN
from portal.notify.one_tap import OneTap

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter


@state("landing", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/")


@state("contact", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/contact")


@state("help")
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/help")


@state("offline-help")
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/offline-help")


@state("privacy-policy", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/privacy-policy")


@state("not-found", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/nothing-here")


@state("not-signed-in")
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/home")


@state("no-script")
def _(stage: Stage) -> Page:
    return shown(stage.page("without scripts", java_script_enabled=False), "/messages")


def stop_link(stage: Stage) -> str:
    """The link in a mail that Alice got, as the portal makes it."""
    ((alice,),) = stage.read("SELECT id FROM account WHERE email = 'alice@demo.example'")
    secret = (stage.demo.database.parent / KEPT_IN).read_text("utf-8")
    return OneTap([secret], stage.demo.url).link(alice, "message", "mail")


@state("stop-notices", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM notice_choice")
    return shown(stage.page("nobody"), stop_link(stage))


@state("stop-notices-done")
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM notice_choice")
    page = shown(stage.page("nobody"), stop_link(stage))
    page.get_by_role("button", name="Stop these e-mails").click()
    page.get_by_role("status").wait_for()
    return page


@state("stop-notices-again")
def _(stage: Stage) -> Page:
    page = shown(stage.page("nobody"), stop_link(stage))
    if page.get_by_role("button", name="Stop these e-mails").count():
        page.get_by_role("button", name="Stop these e-mails").click()
    page.get_by_role("button", name="Undo: have these e-mails again").click()
    page.get_by_text("You get them as before.").wait_for()
    return page


@state("old-form")
def _(stage: Stage) -> Page:
    page = shown(stage.page("nobody"), "/contact")
    page.evaluate("for (const one of document.querySelectorAll('[name=csrf_token]')) one.value = 'old'")
    page.get_by_role("button", name="Español").first.click()
    page.get_by_text("This form was open too long").first.wait_for()
    return page


def problem(code: str) -> None:
    """The page of one problem at the login."""

    @state(f"login-{code}", spanish=code == "expired")
    def _(stage: Stage) -> Page:
        return shown(stage.page("nobody"), f"/login/problem/login-{code}")


for _code in (
    "expired",
    "cancelled",
    "failed",
    "no-role",
    "no-pharmacy",
    "disabled",
    "ended",
    "two-invitations",
    "second-factor",
    "other-person",
    "provider-down",
):
    problem(_code)


@state("provider")
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/login?next=/home")


@state("provider-wrong")
def _(stage: Stage) -> Page:
    page = shown(stage.page("nobody"), "/login?next=/home")
    page.locator("#login").fill("alice")
    page.locator("#password").fill("not demo")
    page.locator("form").filter(has=page.locator("#password")).get_by_role("button").click()
    page.locator(".problem").wait_for()
    return page


@state("demo-room")
def _(stage: Stage) -> Page:
    return shown(stage.page("control room"), "/demo")


@state("signed-out", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/logged-out")


@state("database-down")
def _(stage: Stage) -> Page:
    page = stage.at("heidi", "/account")
    stage.write("ALTER TABLE login_session RENAME TO login_session_away")
    try:
        page.goto("/account")
    finally:
        stage.write("ALTER TABLE login_session_away RENAME TO login_session")
    return page


def without_ehr(stage: Stage, path: str) -> Page:
    """A page of Trent's while the EHR is down.

    Nobody looks at his medicines while it answers: what was seen is kept for some minutes. And nobody else asks for
    anybody's in these stories: after a failure the portal leaves the EHR alone for a while.
    """
    page = stage.at("trent", "/account")
    stage.ehr("down")
    try:
        page.goto(path)
    finally:
        stage.ehr("normal")
    return page


@state("home-ehr-down")
def _(stage: Stage) -> Page:
    return without_ehr(stage, "/home")


@state("medicines-ehr-down")
def _(stage: Stage) -> Page:
    return without_ehr(stage, "/medicines")


@state("orders-ehr-down")
def _(stage: Stage) -> Page:
    return without_ehr(stage, "/orders")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
