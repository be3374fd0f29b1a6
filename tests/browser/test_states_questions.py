"""States of a patient's questions and conversations."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from demo_world import act
from playwright.sync_api import Page, Route
from stage import Stage, answer_with, cut, refuse, shown
from talking import THREAD, asked, said, say, sent, started_again
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
UNKNOWN = "0" * 32


@state("messages", spanish=True)
def _(stage: Stage) -> Page:
    asked(stage)
    page = stage.with_keys("alice", "/messages")
    page.get_by_text("kinder to your kidneys").first.wait_for()
    return page


@state("messages-none", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/messages")
    page.get_by_text("No conversations yet").first.wait_for()
    return page


@state("messages-keys-changed", spanish=True)
def _(stage: Stage) -> Page:
    asked(stage)
    page = stage.ready("alice")
    days = itertools.count(1)

    def changed(said: dict[str, Any]) -> dict[str, Any]:
        # Each look finds that the code was set anew since the one before.
        set_at = f"2026-01-{next(days) % 28 + 1:02}T10:00:00+00:00"
        return {
            **said,
            "recovery": [{"id": "code", "method": "code", "name": None, "set_at": set_at, "tried_at": None}],
        }

    # The tab that has the line looks again when it stands: this one, once no other of hers is open.
    for other in page.context.pages:
        if other != page:
            other.close()
    answer_with(page, "**/api/keys/me*", changed)
    page.goto("/messages")
    page.get_by_text("A way back to your messages was set or changed").first.wait_for()
    return page


@state("messages-unreachable")
def _(stage: Stage) -> Page:
    page = stage.ready("alice")
    cut(page, "**/api/threads?*")
    page.goto("/messages")
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


@state("new", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.with_keys("alice", "/new")
    page.get_by_text("Something else", exact=True).wait_for()
    return page


@state("new-whom", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("judy", "/new")
    page.get_by_text("Rosa Delgado", exact=True).wait_for()
    return page


@state("new-switch")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.with_keys("judy", "/new")
    page.goto("/new?topic=other&for=me")
    page.evaluate("""async () => {
        const session = await (await fetch("/api/session")).json();
        const other = session.patients.find((one) => one.kind !== "self");
        sessionStorage.setItem("portal-sent-for", other.patient);
    }""")
    say(page, "A question of my own")
    page.locator("dialog").wait_for()
    return page


@state("new-begun")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.with_keys("trent", "/new?topic=other")
    page.get_by_label("Your message").fill("May I take the tablets")
    page.get_by_text("Draft saved, locked").wait_for()
    page.goto("/new")
    page.get_by_role("button", name="Continue your draft").wait_for()
    return page


@state("new-pick", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/new?topic=side_effect")
    page.get_by_role("button", name="None of these").wait_for()
    return page


@state("new-no-team", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", "/new?topic=billing")
    page.get_by_text("Nobody reads these questions yet").first.wait_for()
    return page


@state("new-closed", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.ready("alice")
    shut(page)
    page.goto("/new?topic=other")
    page.get_by_text("Nobody reads this before").first.wait_for()
    return page


@state("new-urgent")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", "/new?topic=other")
    say(page, "I have bad chest pain since this morning")
    page.get_by_text("This may be an emergency").first.wait_for()
    return page


@state("new-helper")
def _(stage: Stage) -> Page:
    stage.at("walt", "/account")
    stage.joined("alicia", False)
    stage.helps("alicia", "walt", "refills")
    page = stage.with_keys("alicia", "/new")
    page.get_by_text("Messages are not open to you").first.wait_for()
    return page


@state("new-unjoined")
def _(stage: Stage) -> Page:
    stage.joined("alicia", False)
    page = stage.with_keys("alicia", "/new")
    page.get_by_text("not tied to a patient").first.wait_for()
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


@state("thread-closed", spanish=True)
def _(stage: Stage) -> Page:
    path = asked(stage)
    page = stage.ready("alice")
    shut(page)
    page.goto(path)
    page.get_by_text("Nobody reads this before").first.wait_for()
    return page


@state("thread-corrected")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    act(page.locator("article.bubble--mine").first, "Correct")
    say(page, "May I take ibuprofen 200 mg with my tablets?")
    page.get_by_text("Corrected").first.wait_for()
    return page


@state("thread-retract")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    act(page.locator("article.bubble--mine").first, "Take back")
    page.locator("dialog").wait_for()
    return page


def with_helper(stage: Stage) -> Page:
    """Walt's conversation; Trent helps him with messages, and has keys."""
    path = asked(stage, "walt")
    stage.with_keys("trent", "/devices")
    stage.helps("trent", "walt")
    page = stage.with_keys("walt", path)
    said(page, "May I take ibuprofen").first.wait_for()
    page.locator(".thread-head .more__button").click()
    return page


@state("thread-let-in")
def _(stage: Stage) -> Page:
    page = with_helper(stage)
    take = page.get_by_role("button", name="Take Trent Osborne out")
    let = page.get_by_role("button", name="Let Trent Osborne in")
    take.or_(let).wait_for()
    if take.is_visible():
        take.click()
        page.locator("dialog").get_by_role("button", name="Take out").click()
        page.locator("dialog").wait_for(state="detached")
        page.locator(".thread-head .more__button").click()
    let.click()
    page.locator("dialog").wait_for()
    return page


@state("thread-take-out")
def _(stage: Stage) -> Page:
    page = with_helper(stage)
    take = page.get_by_role("button", name="Take Trent Osborne out")
    let = page.get_by_role("button", name="Let Trent Osborne in")
    take.or_(let).wait_for()
    if let.is_visible():
        let.click()
        page.locator("dialog").get_by_role("button", name="From here on").click()
        page.locator("dialog").wait_for(state="detached")
        page.locator(".thread-head .more__button").click()
    take.click()
    page.locator("dialog").wait_for()
    return page


@state("thread-retracted")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    say(page, "Forget what I said")
    sent(page, "Forget what I said")
    act(said(page, "Forget what I said"), "Take back")
    page.locator("dialog").get_by_role("button", name="Take back").click()
    page.get_by_text("took this message back").first.wait_for()
    return page


@state("thread-unreadable", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    walt = stage.ready("walt")

    def broken(route: Route) -> None:
        # A client that derives another key than the protocol does: what it signs holds, what it says opens for nobody.
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"msg-key"', '"msg-kez"'))

    walt.route("**/static/worker-crypto-*.js", broken)
    walt.goto("/new?topic=other")
    say(walt, "Nobody can read this")
    walt.wait_for_url(THREAD)
    sent(walt, "Nobody can read this")
    path = walt.url.removeprefix(stage.demo.url)
    page = stage.with_keys("bob", path)
    page.get_by_text("cannot be read").first.wait_for()
    return page


@state("thread-withheld", spanish=True)
def _(stage: Stage) -> Page:
    def withhold(items: list[Any]) -> list[Any]:
        # Asked again, the server has nothing new to say.
        for one in items[-1:]:
            one["record"].pop("ct", None)
        return items

    page = records_of(stage, stage.ready("alice"), withhold)
    page.get_by_text("The server did not hand out this message").first.wait_for()
    return page


def records_of(stage: Stage, page: Page, change: Callable[[list[Any]], list[Any]]) -> Page:
    """The thread of Alice with records that were changed on the way."""
    path = asked(stage)
    answer_with(page, "**/records?*", lambda answer: answer | {"items": change(answer["items"])})
    page.goto(path)
    page.locator(".composer").wait_for()
    return page


@state("thread-refused", spanish=True)
def _(stage: Stage) -> Page:
    def forge(items: list[Any]) -> list[Any]:
        for one in items[-1:]:
            sig = one["record"]["sig"]
            one["record"]["sig"] = ("A" if sig[0] != "A" else "B") + sig[1:]
        return items

    page = records_of(stage, stage.ready("alice"), forge)
    page.get_by_text("Something is wrong with this conversation").first.wait_for()
    return page


@state("thread-rolled-back")
def _(stage: Stage) -> Page:
    page = records_of(stage, stage.ready("alice"), lambda items: items[:-1])
    page.get_by_text("Something is wrong with this conversation").first.wait_for()
    return page


@state("thread-started-again", spanish=True)
def _(stage: Stage) -> Page:
    path = started_again(stage)
    page = shown(stage.page("peggy's new phone"), path)
    page.get_by_text("You started again with new keys").first.wait_for()
    return page


@state("thread-missing", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("alice", f"/thread/{UNKNOWN}")
    page.get_by_text("We cannot find this conversation").first.wait_for()
    return page


@state("thread-unreachable")
def _(stage: Stage) -> Page:
    path = asked(stage)
    page = stage.ready("alice")
    cut(page, f"**/api{path.replace('thread', 'threads')}**")
    page.goto(path)
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


@state("thread-offline")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    stage.offline("dave")
    say(page, "Thank you, I will try that")
    page.get_by_text("Waiting to be sent").first.wait_for()
    page.get_by_text("You are offline").first.wait_for()
    return page


@state("thread-file-failed")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    refuse(page, "**/api/attachments", 413, "attachment-quota")
    page.set_input_files("input[type=file]", {"name": "list.txt", "mimeType": "text/plain", "buffer": b"one a day"})
    page.get_by_text("list.txt was not sent").first.wait_for()
    return page


@state("thread-not-sent")
def _(stage: Stage) -> Page:
    page = stage.with_keys("dave", asked(stage, "dave"))
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    refuse(page, "**/messages", 422, "refused")
    say(page, "And one more thing")
    page.get_by_text("Not sent").first.wait_for()
    return page


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
