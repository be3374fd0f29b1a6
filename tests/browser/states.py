"""How each state of docs/states.md comes about: one function a state, named as there; test_states.py walks them.

They share one stage and run in this order; each says on its own what it needs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from demo_world import act, confirm_with, team
from playwright.sync_api import Page, Route, expect
from stage import Stage, answer_with, cut, refuse
from talking import THREAD, say

UNKNOWN = "0" * 32
Go = Callable[[Stage], Page]


@dataclass(frozen=True)
class State:
    """One state: its name in docs/states.md and how to get there; `spanish`: it stays the same when loaded anew."""

    name: str
    go: Go
    spanish: bool = False


STATES: dict[str, State] = {}


def state(name: str, *, spanish: bool = False) -> Callable[[Go], Go]:
    """Enter a function under the name of its state."""

    def enter(go: Go) -> Go:
        assert name not in STATES
        STATES[name] = State(name, go, spanish)
        return go

    return enter


def asked(stage: Stage, who: str = "alice") -> str:
    """The path of a thread of somebody with the pharmacists: a question, an answer of Bob."""
    key = f"thread of {who}"
    if key not in stage.kept:
        founded(stage)
        page = stage.with_keys(who, "/new?for=me")
        begin(page, "Something else", "May I take ibuprofen with my tablets?")
        page.wait_for_url(THREAD)
        stage.kept[key] = page.url.removeprefix(stage.demo.url)
        bob = stage.with_keys("bob", stage.kept[key])
        say(bob, "Better take paracetamol. It is kinder to your kidneys.")
        sent(bob, "It is kinder to your kidneys.")
    return stage.kept[key]


def founded(stage: Stage) -> None:
    """Bob has founded the pharmacists of Riverside."""
    if "founded" not in stage.kept:
        stage.found_team("bob")
        stage.kept["founded"] = "yes"


def begin(page: Page, topic: str, words: str) -> None:
    """Pick a topic and write; where something is to be picked, pick nothing."""
    page.get_by_text(topic, exact=True).click()
    none = page.get_by_role("button", name="None of these")
    box = page.locator(".composer textarea")
    none.or_(box).first.wait_for()
    if none.is_visible():
        none.click()
    say(page, words)


def sent(page: Page, words: str) -> None:
    """Wait until a message is in the thread and no longer in the outbox."""
    bubble = page.locator("article, .bubble").filter(has_text=words).last
    expect(bubble).to_contain_text(re.compile("Sent|Delivered|Read by"))


# --- for everybody ---------------------------------------------------------------------------------------------------


@state("landing", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/")


@state("contact", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/contact")


@state("help")
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/help")


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


@state("old-form")
def _(stage: Stage) -> Page:
    page = shown(stage.page("nobody"), "/contact")
    page.evaluate("for (const one of document.querySelectorAll('[name=csrf_token]')) one.value = 'old'")
    page.get_by_role("button", name="Español").first.click()
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


def shown(page: Page, path: str) -> Page:
    """The page at a path."""
    page.goto(path)
    return page


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


@state("database-down")
def _(stage: Stage) -> Page:
    page = stage.at("heidi", "/account")
    stage.write("ALTER TABLE login_session RENAME TO login_session_away")
    try:
        page.goto("/account")
    finally:
        stage.write("ALTER TABLE login_session_away RENAME TO login_session")
    return page


# --- the EHR is down and nothing was kept -----------------------------------------------------------------------------


# Before anybody has looked at Trent's medicines: what was seen is kept for some minutes.
@state("home-ehr-down")
def _(stage: Stage) -> Page:
    return with_ehr(stage, "down", "trent", "/home")


@state("medicines-ehr-down")
def _(stage: Stage) -> Page:
    return with_ehr(stage, "down", "trent", "/medicines")


@state("orders-ehr-down")
def _(stage: Stage) -> Page:
    return with_ehr(stage, "down", "trent", "/orders")


# --- first keys, and a browser without keys --------------------------------------------------------------------------


@state("setup", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.at("walt", "/account")
    # The keys are never taken: the page stays as it is while they are on their way.
    page.route("**/api/keys/enrol", lambda route: None)
    page.goto("/setup")
    page.get_by_text("Making your keys").first.wait_for()
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
    page.get_by_role("alert").wait_for(timeout=30_000)
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


def at_recover(stage: Stage) -> Page:
    """Dave in a browser without his keys, with a code set."""
    stage.with_code("dave")
    page = stage.at("dave's new phone", "/recover", login="dave")
    page.locator("#secret-code").wait_for()
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
    other = stage.with_code("bob")
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


@state("refused-keys")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", "/devices")

    def older(answer: Any) -> Any:
        return answer | {"entries": []}

    answer_with(page, "**/api/keys/me*", older)
    page.goto("/devices")
    page.get_by_text("older keys").first.wait_for()
    return page


# --- recovery and devices --------------------------------------------------------------------------------------------


@state("recovery-none", spanish=True)
def _(stage: Stage) -> Page:
    return stage.with_keys("judy", "/recovery")


@state("recovery-code")
def _(stage: Stage) -> Page:
    stage.with_code("judy")
    return stage.page("judy")


@state("recovery-untried")
def _(stage: Stage) -> Page:
    return stage.with_keys("judy", "/recovery")


@state("recovery-try-typo")
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/recovery")
    page.get_by_role("button", name="Try it now").click()
    page.locator("#secret-code").fill("ABCD")
    page.get_by_role("button", name="Try it now").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recovery-tried")
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/recovery")
    page.get_by_role("button", name="Try it now").click()
    page.locator("#secret-code").fill(stage.codes["judy"])
    page.get_by_role("button", name="Try it now").click()
    page.get_by_text("It works").first.wait_for()
    return page


@state("recovery-replace")
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/recovery")
    page.get_by_role("button", name="Replace").click()
    page.locator("dialog").wait_for()
    return page


@state("recovery-weak-passphrase")
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/recovery")
    page.get_by_role("button", name="Choose a passphrase").click()
    confirm_with(page, stage.codes["judy"])
    page.locator("#new-passphrase").fill("short")
    page.get_by_role("button", name="Save").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("recovery-sign-in-again")
def _(stage: Stage) -> Page:
    stage.with_code("judy")
    page = stage.with_keys("judy", "/recovery")
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
    stage.with_code("judy")
    return stage.with_keys("judy", "/devices")


@state("devices-end")
def _(stage: Stage) -> Page:
    code = stage.with_code("dave")
    page = at_recover(stage)
    page.locator("#secret-code").fill(code)
    page.get_by_role("button", name="Get my messages back").click()
    page.wait_for_url("**/home*")
    page = stage.with_keys("dave", "/devices")
    page.get_by_role("button", name="End").first.click()
    page.locator("dialog").wait_for()
    return page


@state("devices-ended")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", "/devices")
    page.get_by_role("button", name="End").first.click()
    confirm_with(page, stage.codes["dave"])
    page.get_by_text("was ended").first.wait_for()
    return page


@state("recover-device-ended")
def _(stage: Stage) -> Page:
    page = stage.at("dave's new phone", "/recover?why=ended", login="dave")
    page.locator("#secret-code").wait_for()
    return page


# --- teams of a pharmacy ---------------------------------------------------------------------------------------------


@state("team-not-staff")
def _(stage: Stage) -> Page:
    return stage.with_keys("judy", "/team")


@state("team-recovery-first")
def _(stage: Stage) -> Page:
    page = stage.with_keys("erin", "/team")
    page.get_by_text("First a way back").first.wait_for()
    return page


@state("team-not-founded", spanish=True)
def _(stage: Stage) -> Page:
    stage.with_code("carol")
    page = stage.with_keys("carol", "/team")
    page.get_by_text("Nobody has founded this team yet").first.wait_for()
    return page


@state("inbox-no-team")
def _(stage: Stage) -> Page:
    page = stage.with_keys("erin", "/inbox")
    page.get_by_text("You are not in a team yet").first.wait_for()
    return page


@state("new-no-team", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/new?topic=billing")
    page.get_by_text("Not open for messages yet").first.wait_for()
    return page


@state("team-sole")
def _(stage: Stage) -> Page:
    founded(stage)
    page = stage.with_keys("bob", "/team")
    page.get_by_text("You are the only one").first.wait_for()
    return page


@state("team-waiting")
def _(stage: Stage) -> Page:
    stage.with_code("erin")
    page = stage.with_keys("erin", "/team")
    team(page).get_by_role("button", name="Ask to join").click()
    page.get_by_text("You asked to join").first.wait_for()
    return page


@state("team-asked", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/team")
    page.get_by_text("Waiting to be let in").first.wait_for()
    return page


# --- a patient's own pages -------------------------------------------------------------------------------------------


@state("home", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/home")


@state("home-protect")
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    return stage.at("pat", "/home")


@state("home-tryout")
def _(stage: Stage) -> Page:
    stage.with_code("nina")
    return stage.at("nina", "/home")


@state("home-shared", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.at("nina", "/account")
    page.context.add_cookies([{"name": "portal_shared", "value": "1", "url": stage.demo.url}])
    return shown(page, "/home")


@state("home-nothing", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("judy", "/home")


def unjoined(stage: Stage, path: str) -> Page:
    """Alicia, whose account is joined to no patient any more."""
    page = stage.at("alicia", "/account")
    stage.write(
        "UPDATE relation SET ends_at = ? WHERE account_id = (SELECT id FROM account WHERE email = ?)",
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "alicia@demo.example",
    )
    return shown(page, path)


def joined(stage: Stage, path: str) -> Page:
    """Alicia, whose account is joined to its patient, whatever was before."""
    page = stage.at("alicia", "/account")
    stage.write(
        "UPDATE relation SET ends_at = NULL WHERE account_id = (SELECT id FROM account WHERE email = ?)",
        "alicia@demo.example",
    )
    return shown(page, path)


@state("home-unjoined", spanish=True)
def _(stage: Stage) -> Page:
    return unjoined(stage, "/home")


@state("invitation")
def _(stage: Stage) -> Page:
    return stage.at("alicia", "/invitation")


@state("invitation-empty")
def _(stage: Stage) -> Page:
    page = stage.at("alicia", "/invitation")
    page.locator("form.stack").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_role("button", name="Join").click()
    page.locator(".summary-errors").wait_for()
    return page


def join(page: Page) -> None:
    """Try a code that nobody gave."""
    page.locator("#code").fill("AAAA-BBBB-CCCC-DDDD")
    for name, value in (("day", "3"), ("month", "4"), ("year", "1970")):
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name="Join").click()
    page.wait_for_load_state()


@state("invitation-refused")
def _(stage: Stage) -> Page:
    page = stage.at("alicia", "/invitation")
    join(page)
    page.locator(".summary-errors").wait_for()
    return page


@state("invitation-later")
def _(stage: Stage) -> Page:
    page = stage.at("alicia", "/invitation")
    for _ in range(8):
        join(page)
        if page.get_by_text("Wait 15 minutes").count() > 0:
            break
    return page


@state("too-many")
def _(stage: Stage) -> Page:
    page = stage.at("alicia", "/invitation")
    # As often as somebody who guesses would, within an hour.
    send = "(form) => fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) })"
    for _ in range(20):
        page.locator("form.stack").evaluate(send)
    page.locator("form.stack").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_role("button", name="Join").click()
    page.get_by_text("Too many tries").first.wait_for()
    return page


@state("medicines", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/medicines")


@state("medicines-none")
def _(stage: Stage) -> Page:
    return stage.at("judy", "/medicines")


@state("medicines-no-allergies", spanish=True)
def _(stage: Stage) -> Page:
    return joined(stage, "/medicines")


@state("medicines-print")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/medicines/print")


@state("orders", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/orders")


@state("orders-none")
def _(stage: Stage) -> Page:
    return stage.at("judy", "/orders")


@state("orders-on-hold")
def _(stage: Stage) -> Page:
    return stage.at("trent", "/orders")


@state("record", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/record")


@state("account", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/account")


@state("account-saved")
def _(stage: Stage) -> Page:
    page = stage.at("alice", "/account")
    page.get_by_role("button", name="Save").click()
    return page


@state("account-wrong")
def _(stage: Stage) -> Page:
    page = stage.at("alice", "/account")
    page.evaluate("document.querySelector('#time_zone').append(new Option('Nowhere/Land', 'Nowhere/Land', true, true))")
    page.get_by_role("button", name="Save").click()
    return page


@state("sessions")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/account/sessions")


@state("forbidden")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/privacy-office")


@state("foreign-patient")
def _(stage: Stage) -> Page:
    return stage.at("alice", f"/medicines?for={UNKNOWN}")


# --- questions and conversations of a patient ------------------------------------------------------------------------


@state("messages-none", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/messages")
    page.get_by_text("No conversations yet").first.wait_for()
    return page


@state("new", spanish=True)
def _(stage: Stage) -> Page:
    founded(stage)
    page = stage.with_keys("alice", "/new")
    page.get_by_text("Something else", exact=True).wait_for()
    return page


@state("new-whom", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/new")
    page.get_by_text("Rosa Delgado", exact=True).wait_for()
    return page


@state("new-pick", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/new?topic=side_effect")
    page.get_by_role("button", name="None of these").wait_for()
    return page


@state("new-unjoined")
def _(stage: Stage) -> Page:
    page = unjoined(stage, "/new")
    page.get_by_text("not tied to a patient").first.wait_for()
    return page


@state("new-begun")
def _(stage: Stage) -> Page:
    founded(stage)
    page = stage.with_keys("trent", "/new?topic=other")
    page.get_by_label("Your message").fill("May I take the tablets")
    page.get_by_text("Draft saved, locked").wait_for()
    page.goto("/new")
    page.get_by_role("button", name="Continue your draft").wait_for()
    return page


@state("new-closed", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/account")
    shut(page)
    page.goto("/new?topic=other")
    page.get_by_text("Nobody reads this before").first.wait_for()
    return page


@state("new-urgent")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/new?topic=other")
    say(page, "I have bad chest pain since this morning")
    page.get_by_text("This may be an emergency").first.wait_for()
    return page


def shut(page: Page) -> None:
    """Riverside is closed until tomorrow at eight."""
    opens = (datetime.now(UTC) + timedelta(hours=14)).isoformat(timespec="seconds")

    def closed(answer: Any) -> Any:
        for one in answer["items"]:
            if one["id"] == "riverside":
                one |= {"open_now": False, "open_until": None, "next_open": opens, "nobody_reads_before": opens}
        return answer

    answer_with(page, "**/api/pharmacies", closed)


@state("thread", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    return page


@state("messages", spanish=True)
def _(stage: Stage) -> Page:
    asked(stage)
    page = stage.with_keys("alice", "/messages")
    page.get_by_text("kinder to your kidneys").first.wait_for()
    return page


@state("messages-unreachable")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/account")
    cut(page, "**/api/threads?*")
    page.goto("/messages")
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


@state("thread-missing", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", f"/thread/{UNKNOWN}")
    page.get_by_text("We cannot find this conversation").first.wait_for()
    return page


@state("thread-unreachable")
def _(stage: Stage) -> Page:
    path = asked(stage)
    page = stage.with_keys("alice", "/account")
    cut(page, f"**/api{path.replace('thread', 'threads')}**")
    page.goto(path)
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


def records_of(stage: Stage, page: Page, change: Callable[[list[Any]], list[Any]]) -> Page:
    """The thread of Alice with records that were changed on the way."""
    path = asked(stage)
    answer_with(page, "**/records?*", lambda answer: answer | {"items": change(answer["items"])})
    page.goto(path)
    page.locator(".composer").wait_for()
    return page


@state("thread-withheld", spanish=True)
def _(stage: Stage) -> Page:
    def withhold(items: list[Any]) -> list[Any]:
        # Asked again, the server has nothing new to say.
        for one in items[-1:]:
            one["record"].pop("ct", None)
        return items

    page = records_of(stage, stage.with_keys("alice", "/account"), withhold)
    page.get_by_text("The server did not hand out this message").first.wait_for()
    return page


@state("thread-refused", spanish=True)
def _(stage: Stage) -> Page:
    def forge(items: list[Any]) -> list[Any]:
        for one in items[-1:]:
            sig = one["record"]["sig"]
            one["record"]["sig"] = ("A" if sig[0] != "A" else "B") + sig[1:]
        return items

    page = records_of(stage, stage.with_keys("alice", "/account"), forge)
    page.get_by_text("Something is wrong with this conversation").first.wait_for()
    return page


@state("thread-rolled-back")
def _(stage: Stage) -> Page:
    page = records_of(stage, stage.with_keys("alice", "/account"), lambda items: items[:-1])
    page.get_by_text("Something is wrong with this conversation").first.wait_for()
    return page


def started_again(stage: Stage) -> str:
    """The path of a thread of Peggy, who has lost her keys since and started again."""
    path = asked(stage, "peggy")
    if "peggy began again" not in stage.kept:
        page = stage.at("peggy's new phone", "/recover", login="peggy")
        page.get_by_text("I understand that this cannot be taken back").click()
        page.get_by_role("button", name="Start again with new keys").click()
        page.wait_for_url("**/home*")
        stage.kept["peggy began again"] = "yes"
    return path


@state("thread-started-again", spanish=True)
def _(stage: Stage) -> Page:
    path = started_again(stage)
    page = shown(stage.page("peggy's new phone"), path)
    page.get_by_text("You started again with new keys").first.wait_for()
    return page


@state("thread-reset-hold", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", started_again(stage))
    page.get_by_text("has new keys since").first.wait_for()
    return page


@state("thread-closed", spanish=True)
def _(stage: Stage) -> Page:
    path = asked(stage)
    page = stage.with_keys("alice", "/account")
    shut(page)
    page.goto(path)
    page.get_by_text("Nobody reads this before").first.wait_for()
    return page


@state("thread-corrected")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    act(page.locator("article.bubble--mine").first, "Correct")
    say(page, "May I take ibuprofen 200 mg with my tablets?")
    page.get_by_text("Corrected").first.wait_for()
    return page


@state("thread-retract")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    act(page.locator("article.bubble--mine").first, "Take back")
    page.locator("dialog").wait_for()
    return page


@state("thread-retracted")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    say(page, "Forget what I said")
    sent(page, "Forget what I said")
    act(page.locator("article.bubble--mine").last, "Take back")
    page.locator("dialog").get_by_role("button", name="Take back").click()
    page.get_by_text("took this message back").first.wait_for()
    return page


@state("thread-offline")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    stage.offline("alice")
    say(page, "Thank you, I will try that")
    page.get_by_text("Waiting to be sent").first.wait_for()
    page.get_by_text("You are offline").first.wait_for(timeout=30_000)
    return page


@state("thread-not-sent")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    sent(page, "Thank you, I will try that")
    refuse(page, "**/messages", 422, "refused")
    say(page, "And one more thing")
    page.get_by_text("Not sent").first.wait_for()
    return page


@state("thread-unreadable", spanish=True)
def _(stage: Stage) -> Page:
    founded(stage)
    walt = stage.with_keys("walt", "/account")

    def broken(route: Route) -> None:
        # A client that derives another key than the protocol does: what it signs holds, what it says opens for nobody.
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"msg-key"', '"msg-kez"'))

    walt.route("**/static/worker-crypto-*.js", broken)
    walt.goto("/new?topic=other")
    say(walt, "Nobody can read this")
    walt.wait_for_url(THREAD)
    path = walt.url.removeprefix(stage.demo.url)
    page = stage.with_keys("bob", path)
    page.get_by_text("cannot be read").first.wait_for()
    return page


@state("thread-file-failed")
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", asked(stage))
    refuse(page, "**/api/attachments", 413, "attachment-quota")
    page.set_input_files("input[type=file]", {"name": "list.txt", "mimeType": "text/plain", "buffer": b"one a day"})
    page.get_by_text("list.txt was not sent").first.wait_for()
    return page


@state("session-warning", spanish=True)
def _(stage: Stage) -> Page:
    return session_at(stage, timedelta(seconds=100), "You will be locked out at")


def session_at(stage: Stage, left: timedelta, words: str) -> Page:
    """Alice's page as it is when so much time is left before the lock."""
    page = stage.with_keys("alice", "/account")
    page.goto("/messages")
    page.locator("main h1").wait_for()
    lock_at = (datetime.now(UTC) + left).isoformat()
    answer_with(page, "**/api/session", lambda answer: answer | {"lock_at": lock_at})
    # Whoever presses a key is there, and the warning would go.
    cut(page, "**/api/session/activity")
    page.goto("/messages")
    page.get_by_text(words).first.wait_for(timeout=15_000)
    return page


@state("session-locked", spanish=True)
def _(stage: Stage) -> Page:
    return session_at(stage, timedelta(seconds=4), "Your screen is locked")


@state("session-locked-offline")
def _(stage: Stage) -> Page:
    page = session_at(stage, timedelta(seconds=4), "Your screen is locked")
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
    page.get_by_text("Your messages are covered").first.wait_for(timeout=15_000)
    return page


@state("page-locked")
def _(stage: Stage) -> Page:
    page = stage.at("alice", "/account")
    stage.demo.lock("alice")
    page.get_by_role("button", name="Save").click()
    return page


@state("session-ended")
def _(stage: Stage) -> Page:
    page = stage.at("trent", "/account")
    page.goto("/messages")
    page.locator("main h1").wait_for()
    other = stage.at("trent's other browser", "/account/sessions", login="trent")
    other.get_by_role("button", name="End all other sessions").click()
    page.get_by_text("You are signed out").first.wait_for(timeout=15_000)
    return page


@state("signed-out", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/logged-out")


# --- the EHR ---------------------------------------------------------------------------------------------------------


def with_ehr(stage: Stage, mode: str, who: str, path: str) -> Page:
    """A page that is asked for while the EHR is in that mode."""
    page = stage.at(who, "/account")
    stage.ehr(mode)
    try:
        page.goto(path, timeout=60_000)
    finally:
        stage.ehr("normal")
    return page


# --- the pharmacist's workbench --------------------------------------------------------------------------------------


@state("inbox", spanish=True)
def _(stage: Stage) -> Page:
    asked(stage)
    page = stage.with_keys("bob", "/inbox")
    page.locator(".queue__row").first.wait_for()
    return page


@state("inbox-all-answered")
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/account")
    answer_with(page, "**/api/threads?*", lambda answer: answer | {"items": [], "next": None, "awaiting": 0})
    page.goto("/inbox")
    page.get_by_role("button", name="Needs an answer").click()
    page.get_by_text("Nobody waits for an answer").first.wait_for()
    return page


@state("inbox-unreachable")
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/account")
    cut(page, "**/api/threads**")
    page.goto("/inbox")
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


@state("workbench", spanish=True)
def _(stage: Stage) -> Page:
    page = workbench(stage)
    page.get_by_text("Penicillin").first.wait_for()
    return page


def workbench(stage: Stage, prepare: Callable[[Page], None] = lambda page: None) -> Page:
    """Bob before the thread of Alice."""
    path = asked(stage)
    page = stage.with_keys("bob", "/account")
    prepare(page)
    page.goto(path)
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    return page


@state("context-down")
def _(stage: Stage) -> Page:
    page = workbench(stage, lambda page: refuse(page, "**/context?*", 503, "ehr-unavailable"))
    page.get_by_text("The health record cannot be reached").first.wait_for(timeout=30_000)
    return page


@state("context-stale")
def _(stage: Stage) -> Page:
    page = workbench(stage, lambda page: answer_with(page, "**/context?*", lambda answer: answer | {"stale": True}))
    page.get_by_text("Not fresh").first.wait_for()
    return page


@state("context-slow")
def _(stage: Stage) -> Page:
    # The answer is on its way and stays there.
    page = workbench(stage, lambda page: page.route("**/context?*", lambda route: None))
    page.get_by_text("Fetching the record").first.wait_for()
    return page


@state("context-partial", spanish=True)
def _(stage: Stage) -> Page:
    def partly(answer: Any) -> Any:
        return answer | {"labs": [], "sections": answer["sections"] | {"labs": "unavailable"}}

    page = workbench(stage, lambda page: answer_with(page, "**/context?*", partly))
    page.get_by_text("One part did not answer").first.wait_for()
    return page


@state("context-no-allergies")
def _(stage: Stage) -> Page:
    joined(stage, "/account")
    path = asked(stage, "alicia")
    page = stage.with_keys("bob", "/account")
    page.goto(path)
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    page.get_by_text("No known allergies").first.wait_for()
    return page


@state("workbench-deceased", spanish=True)
def _(stage: Stage) -> Page:
    def died(answer: Any) -> Any:
        return answer | {"patient": answer["patient"] | {"deceased": True, "silent": True}}

    path = asked(stage)
    page = stage.with_keys("bob", "/account")
    answer_with(page, "**/context?*", died)
    closed = re.compile(r"/api/threads/[0-9a-f]{32}$")
    page.route(closed, lambda route: closing(route))
    page.goto(path)
    page.get_by_text("This person has died").first.wait_for()
    return page


def closing(route: Route) -> None:
    """A thread as it is told of a patient to whom nothing is sent any more."""
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"patient_active": False})


@state("context-nothing", spanish=True)
def _(stage: Stage) -> Page:
    path = asked(stage, "judy")
    page = stage.with_keys("bob", path)
    page.get_by_text("Nothing recorded about allergies").first.wait_for()
    page.locator("article .more__button").first.wait_for()
    return page


@state("write-to-patient", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.get_by_text("Alice Morgan").first.wait_for()
    return page


@state("write-to-deceased", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.get_by_text("Harold Quinn").first.wait_for()
    return page


@state("write-to-nobody")
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.locator("#find").fill("Zzyzx")
    page.get_by_text("No patient in care fits").first.wait_for()
    return page


@state("waits-for-keys", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.locator("#find").fill("Delgado")
    page.get_by_role("button", name="Rosa Delgado").click()
    begin(page, "Something else", "Su valor de INR es 2,4. Siga con la misma dosis.")
    page.wait_for_url(THREAD)
    stage.kept["thread of rosa"] = page.url.removeprefix(stage.demo.url)
    page.get_by_text("It opens at the first sign-in").first.wait_for()
    return page


@state("privacy-office", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("heidi", "/privacy-office")


@state("privacy-office-none")
def _(stage: Stage) -> Page:
    return stage.at("heidi", f"/privacy-office?patient={UNKNOWN}")


@state("privacy-office-wrong")
def _(stage: Stage) -> Page:
    return stage.at("heidi", "/privacy-office?patient=12")


@state("pharmacies", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/pharmacies")


@state("pharmacy-checklist", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/pharmacies/newtown")


@state("pharmacy-hours-wrong")
def _(stage: Stage) -> Page:
    page = stage.at("grace", "/pharmacies/riverside/hours")
    page.locator("#mon-1-until").fill("07:00")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()
    return page


@state("pharmacy-connection-untested", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/pharmacies/newtown/connection")


@state("operator", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/operator")
