"""States of the recovery sheets: making, trying and using them, and the page on which two people agree."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from demo_world import team
from playwright.sync_api import Page
from sheets import PAGE, afresh, beginning, finish, made, printing, type_two
from stage import Stage, answer_with
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
# The database's own way to write a moment.
MOMENT = "%Y-%m-%d %H:%M:%S.%f"


def act(stage: Stage, standing: str, by: str, *, who: str = "erin", ended_by: str | None = None) -> None:
    """Somebody has asked to be let in with the sheets, and that is how it stands."""
    for login in filter(None, (by, who, "grace", ended_by)):
        stage.at(login, "/account")
    now = datetime.now(UTC)
    stage.write("DELETE FROM recovery_act")
    stage.write(
        "INSERT INTO recovery_act (id, pharmacy_id, account_id, teams, reason, asked_by, asked_at, state, expires_at) "
        "SELECT lower(hex(randomblob(16))), 'riverside', who.id, ?, ?, doer.id, ?, ?, ? "
        "FROM account AS who, account AS doer WHERE who.email = ? AND doer.email = ?",
        json.dumps(["pharmacists"]),
        "Bob has lost his phone and his code",
        (now - timedelta(minutes=9)).strftime(MOMENT),
        standing,
        (now + timedelta(minutes=50)).strftime(MOMENT),
        f"{who}@demo.example",
        f"{by}@demo.example",
    )
    for column, login in (("decided_by", "grace" if standing == "confirmed" else None), ("ended_by", ended_by)):
        if login is not None:
            moment = column.removesuffix("by") + "at"
            stage.write(
                f"UPDATE recovery_act SET {column} = (SELECT id FROM account WHERE email = ?), {moment} = ?",
                f"{login}@demo.example",
                now.strftime(MOMENT),
            )


def nothing_asked(stage: Stage) -> None:
    stage.write("DELETE FROM recovery_act")


def sheets_made(stage: Stage) -> list[str]:
    """There are sheets, and nobody is to be let in with them."""
    nothing_asked(stage)
    return made(stage)


@state("sheets-none", spanish=True)
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    stage.write("DELETE FROM recovery_sheets")
    stage.kept.pop("sheets", None)
    return stage.at("heidi", PAGE)


@state("sheets-standing", spanish=True)
def _(stage: Stage) -> Page:
    sheets_made(stage)
    stage.with_keys("bob", "/devices")
    return stage.at("bob", PAGE)


@state("sheets-ask-wrong")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    stage.with_keys("bob", "/devices")
    page = afresh(stage, "bob")
    page.get_by_label("Bob Rivera").check()
    page.get_by_label("Why").fill("Everything is lost")
    page.get_by_role("button", name="Ask, and tell everybody").click()
    page.get_by_role("alert").wait_for()
    return page


@state("sheets-ask-stale")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    stage.with_keys("bob", "/devices")
    page = stage.at("bob", PAGE)
    stage.write(
        "UPDATE login_session SET auth_time = datetime(auth_time, '-1 hour') || '.000000' "
        "WHERE account_id = (SELECT id FROM account WHERE email = 'bob@demo.example')"
    )
    page.get_by_label("Bob Rivera").check()
    page.get_by_label("Pharmacists", exact=True).check()
    page.get_by_label("Why").fill("Everything is lost")
    page.get_by_role("button", name="Ask, and tell everybody").click()
    page.get_by_role("alert").wait_for()
    return page


@state("sheets-asked")
def _(stage: Stage) -> Page:
    act(stage, "asked", "bob")
    return stage.at("bob", PAGE)


@state("sheets-second", spanish=True)
def _(stage: Stage) -> Page:
    act(stage, "asked", "erin")
    return stage.at("grace", PAGE)


@state("sheets-operator")
def _(stage: Stage) -> Page:
    act(stage, "asked", "erin")
    return stage.at("ivan", PAGE)


@state("sheets-confirmed")
def _(stage: Stage) -> Page:
    act(stage, "confirmed", "bob", who="bob")
    return stage.at("bob", PAGE)


@state("sheets-refused")
def _(stage: Stage) -> Page:
    act(stage, "refused", "erin", ended_by="grace")
    return stage.at("grace", PAGE)


@state("sheets-cancelled")
def _(stage: Stage) -> Page:
    act(stage, "cancelled", "erin", ended_by="frank")
    return stage.at("grace", PAGE)


@state("sheets-expired")
def _(stage: Stage) -> Page:
    act(stage, "confirmed", "erin")
    stage.write("UPDATE recovery_act SET expires_at = datetime(expires_at, '-2 hours') || '.000000'")
    return stage.at("grace", PAGE)


@state("sheets-used")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    act(stage, "used", "erin", ended_by="erin")
    return stage.at("grace", PAGE)


@state("operator-sheets")
def _(stage: Stage) -> Page:
    act(stage, "asked", "erin")
    return stage.at("ivan", "/operator")


@state("office-sheets")
def _(stage: Stage) -> Page:
    act(stage, "asked", "erin")
    return stage.at("heidi", "/privacy-office")


@state("sheets-make", spanish=True)
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    stage.founded()
    return stage.with_keys("bob", "/sheets")


@state("sheets-make-not-now")
def _(stage: Stage) -> Page:
    stage.founded()
    act(stage, "asked", "erin")
    return stage.with_keys("bob", "/sheets")


@state("sheets-holders")
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    page = beginning(stage)
    page.get_by_role("button", name="Make them now").click()
    page.get_by_role("alert").wait_for()
    return page


@state("sheets-print")
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    return printing(stage)


@state("sheets-check")
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    page = printing(stage)
    page.get_by_role("button", name="type two back").click()
    type_two(page, "7K4D-9QWX-M2RT-5HBN-8", "")
    page.get_by_role("alert").wait_for()
    return page


@state("sheets-made")
def _(stage: Stage) -> Page:
    nothing_asked(stage)
    page = printing(stage)
    stage.kept["sheets"] = json.dumps(finish(stage, page))
    return page


@state("sheets-try", spanish=True)
def _(stage: Stage) -> Page:
    sheets_made(stage)
    page = stage.with_keys("bob", "/sheets?do=try")
    page.locator("#sheet-1").wait_for()
    return page


@state("sheets-tried")
def _(stage: Stage) -> Page:
    sheets = sheets_made(stage)
    page = stage.with_keys("bob", "/sheets?do=try")
    page.locator("#sheet-1").wait_for()
    type_two(page, sheets[0], sheets[1])
    page.get_by_text("The two sheets fit").wait_for()
    return page


@state("sheets-use")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    stage.with_keys("erin", "/devices")
    act(stage, "confirmed", "bob")
    page = stage.with_keys("bob", "/sheets?do=use")
    page.get_by_text("Compare the number with Erin Walsh first").wait_for()
    return page


@state("team-sheets")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    page = stage.with_keys("bob", "/team")
    team(page).get_by_text("Three sheets, two needed").wait_for()
    return page


@state("team-sheets-not-in")
def _(stage: Stage) -> Page:
    sheets_made(stage)
    act(stage, "asked", "erin")
    page = stage.ready("bob")

    def not_in(answer: Any) -> Any:
        return answer | {"teams": {"pharmacists": False}}

    answer_with(page, "**/recovery-key", not_in)
    page.goto("/team")
    page.get_by_text("The recovery sheets do not open this team").wait_for()
    return page


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
