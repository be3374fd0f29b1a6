"""States of the emergency stop: "Something is wrong", how it ends, and the staff's list of who is stopped."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page
from stage import Stage, shown
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
# The database's own way to write a moment.
MOMENT = "%Y-%m-%d %H:%M:%S.%f"


def stop(stage: Stage, login: str, *, asked: bool = False) -> None:
    """Somebody is stopped since an hour ago, and maybe has asked for the end."""
    stage.at(login, "/account")
    since = datetime.now(UTC) - timedelta(hours=1)
    stage.write("DELETE FROM account_stop")
    stage.write(
        "INSERT INTO account_stop (id, account_id, at, asked_at) "
        "SELECT lower(hex(randomblob(16))), id, ?, ? FROM account WHERE email = ?",
        since.strftime(MOMENT),
        since.strftime(MOMENT) if asked else None,
        f"{login}@demo.example",
    )


@state("wrong", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM account_stop")
    return stage.at("peggy", "/something-wrong")


@state("wrong-signed-out", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/something-wrong")


@state("wrong-locked")
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM account_stop")
    page = stage.at("walt", "/account")
    stage.demo.lock("walt")
    page.goto("/something-wrong")
    stage.forget_login("walt")
    return page


@state("wrong-pressed")
def _(stage: Stage) -> Page:
    page = stage.at("pat", "/something-wrong")
    page.get_by_role("button", name="Stop everything now").click()
    page.wait_for_url("**/something-wrong?done=1")
    stage.forget_login("pat")
    return page


@state("wrong-alone", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), "/something-wrong?done=alone")


@state("wrong-stopped", spanish=True)
def _(stage: Stage) -> Page:
    stop(stage, "peggy")
    return stage.at("peggy", "/something-wrong")


@state("wrong-ending", spanish=True)
def _(stage: Stage) -> Page:
    stop(stage, "peggy", asked=True)
    return stage.at("peggy", "/something-wrong")


def notice(stage: Stage, made: str, objected: str | None) -> str:
    """The path of a notice's link: somebody began to wait at `made`, somebody said no at `objected`."""
    stage.write("DELETE FROM identity_check")
    stage.write(
        "INSERT INTO identity_check (id, account_id, pharmacy_id, gen, how, made_by, made_at, objection, objected_at) "
        "SELECT lower(hex(randomblob(16))), ?, id, 2, 'waited', ?, ?, ?, ? FROM pharmacy WHERE id = 'riverside'",
        "f" * 32,
        "f" * 32,
        made,
        "k" * 43,
        objected,
    )
    return f"/objection/{'k' * 43}"


@state("objection", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("nobody"), notice(stage, datetime.now(UTC).strftime(MOMENT), None))


@state("objection-done")
def _(stage: Stage) -> Page:
    now = datetime.now(UTC).strftime(MOMENT)
    return shown(stage.page("nobody"), notice(stage, now, now))


@state("objection-late")
def _(stage: Stage) -> Page:
    before = datetime.now(UTC) - timedelta(days=2)
    return shown(stage.page("nobody"), notice(stage, before.strftime(MOMENT), None))


@state("stops-none")
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM account_stop")
    return stage.at("heidi", "/stops")


@state("stops", spanish=True)
def _(stage: Stage) -> Page:
    stop(stage, "frank", asked=True)
    return stage.at("heidi", "/stops")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
