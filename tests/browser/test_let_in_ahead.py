"""A colleague who starts alone comes in by a code on paper, in a real Chromium: Bob prints it, Erin reads at once."""

from collections.abc import Iterator

import pytest
from checks import axe, lasting, narrow
from complaints import Complaints
from demo_world import Demo, confirm_with, team
from playwright.sync_api import Browser, Page, expect
from stage import Stage, on_stage
from talking import ask, hears, said, say

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists; Alice has asked something."""
    heard = Complaints()
    heard.allow(r"status of (401|403|404|409)")
    heard.allow("net::ERR_INTERNET_DISCONNECTED")
    with on_stage(demo, browser, heard) as made:
        made.founded()
        yield made
    assert heard.unexpected() == []


def expected(stage: Stage, login: str) -> None:
    """Somebody of Riverside is expected at work: an account, a seat that was asked for, and no keys yet."""
    stage.at(login, "/account")
    stage.write(
        "INSERT INTO team_seat (pharmacy_id, kind, account_id, state, since) "
        "SELECT 'riverside', 'pharmacists', id, 'waiting', created_at FROM account WHERE email = ?",
        f"{login}@demo.example",
    )


def sheet(page: Page) -> str:
    """The code on the sheet, as a person copies it."""
    groups = page.locator("[data-handed] .code-groups")
    groups.wait_for()
    return "-".join(groups.locator("li > span[aria-hidden]").all_inner_texts())


def test_erin_starts_alone_and_reads_and_answers_at_once(stage: Stage) -> None:
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "May I take it with milk?")
    expected(stage, "erin")
    bob = stage.with_keys("bob", "/team")
    generation = int(team(bob).get_attribute("data-gen") or 0)
    team(bob).get_by_role("button", name="Let in Erin Walsh with a code").click()
    confirm_with(bob, stage.with_code("bob"))
    code = sheet(bob)
    expect(bob.get_by_role("heading", name="This code is shown once")).to_be_visible()
    assert axe(bob) + lasting(bob, narrow) == []
    bob.get_by_role("button", name="I have printed it").click()
    expect(team(bob).locator("[data-seat]").filter(has_text="Erin Walsh")).to_contain_text("has not come yet")
    expect(bob.locator(".code-groups")).to_have_count(0)
    stage.offline("bob")

    erin = stage.at("erin", "/inbox")
    expect(erin.get_by_role("heading", name="Bob Rivera has let you in")).to_be_visible()
    assert axe(erin) + lasting(erin, narrow) == []
    erin.locator("#secret-code").fill(code)
    erin.get_by_role("button", name="Come in").click()
    erin.wait_for_url("**/inbox")
    erin.goto(thread)
    hears(erin, "May I take it with milk?")
    say(erin, "Better with water.")
    expect(said(alice, "Better with water.")).to_be_visible()

    # The code is used up, and what Bob made is no more.
    erin.goto("/team")
    expect(team(erin)).to_have_attribute("data-gen", str(generation + 1))
    expect(team(erin).locator("[data-seat]").filter(has_text="Erin Walsh")).not_to_contain_text("has not come yet")
    assert stage.read(
        "SELECT count(*) FROM recovery_wrap JOIN account ON account.id = account_id WHERE email = 'erin@demo.example'"
    ) == [(0,)]


def test_a_wrong_code_opens_nothing_and_she_may_try_again(stage: Stage) -> None:
    expected(stage, "olivia")
    bob = stage.with_keys("bob", "/team")
    team(bob).get_by_role("button", name="Let in Olivia").click()
    confirm_with(bob, stage.with_code("bob"))
    code = sheet(bob)
    olivia = stage.at("olivia", "/inbox")
    olivia.locator("#secret-code").fill(stage.with_code("bob"))
    olivia.get_by_role("button", name="Come in").click()
    expect(olivia.locator("#secret-code")).to_have_attribute("aria-invalid", "true")
    olivia.locator("#secret-code").fill(code)
    olivia.get_by_role("button", name="Come in").click()
    olivia.wait_for_url("**/inbox")
    expect(olivia.locator(".queue, .inbox, main h1").first).to_be_visible()
