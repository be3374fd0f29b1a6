"""A colleague who starts alone comes in by a code on paper, in a real Chromium: Bob prints it, Erin reads at once."""

import pytest
from demo_world import code_shown, team
from playwright.sync_api import expect
from stage import Stage
from talking import ask, hears, said, say

pytestmark = pytest.mark.browser


def test_erin_starts_alone_and_reads_and_answers_at_once(stage: Stage) -> None:
    stage.founded()
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "May I take it with milk?")
    stage.at("erin", "/account")
    bob = stage.handed("Erin Walsh")
    code = code_shown(bob)
    bob.get_by_role("button", name="I have printed it").click()
    expect(team(bob).locator("[data-seat]").filter(has_text="Erin Walsh")).to_contain_text("has not come yet")
    expect(bob.locator(".code-groups")).to_have_count(0)
    # Bob is the only one who has come: he cannot leave yet.
    expect(team(bob).get_by_role("button", name="Leave this team")).to_have_count(0)
    stage.offline("bob")

    # A wrong code opens nothing, and she may try again.
    erin = stage.at("erin", "/inbox")
    erin.locator("#secret-code").fill(stage.codes["bob"])
    erin.get_by_role("button", name="Come in").click()
    expect(erin.locator("#secret-code")).to_have_attribute("aria-invalid", "true")
    erin.locator("#secret-code").fill(code)
    erin.get_by_role("button", name="Come in").click()
    erin.wait_for_url("**/inbox")
    erin.goto(thread)
    hears(erin, "May I take it with milk?")
    say(erin, "Better with water.")
    expect(said(alice, "Better with water.")).to_be_visible()

    # The code is used up, and what Bob made is no more.
    erin.goto("/team")
    expect(team(erin)).to_have_attribute("data-gen", "2")
    expect(team(erin).locator("[data-seat]").filter(has_text="Erin Walsh")).not_to_contain_text("has not come yet")
    wraps = "SELECT count(*) FROM recovery_wrap JOIN account ON account.id = account_id WHERE email = ?"
    assert stage.read(wraps, "erin@demo.example") == [(0,)]
