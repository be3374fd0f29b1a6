"""A colleague who starts alone comes in by a code on paper, in a real Chromium: Bob prints it, Erin reads at once.

Oscar, a relief pharmacist, has never even signed in: he has a mail without a secret, and the paper.
"""

import pytest
from demo_world import code_shown, confirm_with, team
from playwright.sync_api import expect
from stage import Stage
from talking import THREAD, ask, begin, hears, said, say, sent

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


def test_oscar_who_was_only_invited_by_mail_starts_alone_and_reads_and_answers_at_once(stage: Stage) -> None:
    stage.founded()
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "Is somebody there on Sunday?")
    stage.found_team("bob", "desk")
    alice.goto("/new?for=me")
    begin(alice, "My order", "Has my parcel come?")
    alice.wait_for_url(THREAD)
    sent(alice, "Has my parcel come?")
    order = alice.url
    alice.goto(thread)
    bob = stage.at("bob", "/inbox")
    bob.get_by_role("link", name="Colleagues").first.click()
    bob.get_by_role("link", name="Invite a colleague").click()
    bob.locator("#name").fill("Oscar Bell")
    bob.locator("#mail").fill("oscar@demo.example")
    bob.locator("#role-pharmacist").check()
    bob.get_by_label("Pharmacists").check()
    stage.just_now("bob")
    bob.get_by_role("button", name="Send the invitation").click()
    bob.get_by_role("status").filter(has_text="on its way").wait_for()
    # He cannot come before Sunday, so the key is sealed to a code that he gets by hand.
    bob.get_by_role("link", name="Let in with a code Oscar Bell").click()
    stage.just_now("bob")
    confirm_with(bob, stage.with_code("bob"))
    bob.locator("[data-handed] .code-groups").wait_for()
    # One code opens both teams in which Bob sits.
    expect(bob.locator("[data-handed] .recovery-sheet")).to_contain_text("Pharmacists · Service desk")
    code = code_shown(bob)
    bob.get_by_role("button", name="I have printed it").click()
    for kind in ("pharmacists", "desk"):
        expect(team(bob, kind).locator("[data-seat]").filter(has_text="Oscar Bell")).to_contain_text("has not come yet")
    bob.goto("/staff")
    expect(bob.locator("main")).to_contain_text("Bob Rivera has made a code on paper")
    stage.offline("bob")

    oscar = stage.at("oscar", "/inbox")
    oscar.locator("#secret-code").fill(code)
    oscar.get_by_role("button", name="Come in").click()
    oscar.wait_for_url("**/inbox")
    oscar.goto(thread)
    hears(oscar, "Is somebody there on Sunday?")
    say(oscar, "I am, from eight.")
    expect(said(alice, "I am, from eight.")).to_be_visible()
    oscar.goto(order)
    hears(oscar, "Has my parcel come?")

    # He is one of the people who work here now, and nobody is awaited any more.
    oscar.goto("/staff")
    colleagues = oscar.get_by_role("region", name="Colleagues")
    expect(colleagues.get_by_text("Oscar Bell")).to_be_visible()
    expect(oscar.get_by_text("Oscar Bell")).to_have_count(1)
