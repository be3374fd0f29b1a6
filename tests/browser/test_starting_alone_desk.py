"""One code opens each team its maker chooses: Oscar reads what waits at the desk, Olivia is told that it does.

Oscar, a relief pharmacist, has never even signed in: he has a mail without a secret, and the paper.
"""

import pytest
from demo_world import code_shown, confirm_with, team
from playwright.sync_api import expect
from stage import Stage
from talking import THREAD, ask, begin, hears, said, say, sent

pytestmark = pytest.mark.browser


def parcel(stage: Stage) -> str:
    """Bob has set up the desk, and Alice asks it something; the path of her thread."""
    stage.founded()
    if "parcel" not in stage.kept:
        stage.found_team("bob", "desk")
        alice = stage.with_keys("alice", "/new?for=me")
        begin(alice, "My order", "Has my parcel come?")
        alice.wait_for_url(THREAD)
        sent(alice, "Has my parcel come?")
        stage.kept["parcel"] = alice.url.removeprefix(stage.demo.url)
    return stage.kept["parcel"]


def test_oscar_who_was_only_invited_by_mail_starts_alone_and_reads_and_answers_at_once(stage: Stage) -> None:
    stage.founded()
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "Is somebody there on Sunday?")
    order = parcel(stage)
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
    expect(oscar).to_have_title("Bob Rivera has let you in · Pharmacy messages")
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


def test_olivia_is_told_what_waits_where_her_code_does_not_open(stage: Stage) -> None:
    order = parcel(stage)
    stage.at("olivia", "/account")
    bob = stage.with_keys("bob", "/team")
    team(bob).locator("summary").filter(has_text="not opened messages yet").click()
    stage.just_now("bob")
    team(bob).get_by_role("button", name="Let in Olivia Park with a code").click()
    code, dialog = stage.with_code("bob"), bob.get_by_role("dialog")
    desk = dialog.get_by_label("Service desk")
    expect(desk).to_be_checked()
    # No team at all is no answer.
    for label in ("Pharmacists", "Service desk"):
        dialog.get_by_label(label).uncheck()
    dialog.locator("#secret-code").fill(code)
    dialog.get_by_role("button", name="Let in with a code").click()
    expect(dialog).to_contain_text("Choose at least one team.")
    dialog.get_by_label("Pharmacists").check()
    stage.just_now("bob")
    confirm_with(bob, code)
    sheet = bob.locator("[data-handed] .recovery-sheet")
    expect(sheet).to_contain_text("Olivia Park · Pharmacists · good until")
    paper = code_shown(bob)
    bob.get_by_role("button", name="I have printed it").click()

    stage.just_now("olivia")
    olivia = stage.at("olivia", "/inbox")
    olivia.locator("#secret-code").fill(paper)
    olivia.get_by_role("button", name="Come in").click()
    olivia.wait_for_url("**/inbox")
    waits = olivia.locator(".banner").filter(has_text="Service desk")
    expect(waits).to_contain_text("does not open for you")
    expect(waits).to_contain_text("Bob Rivera")
    olivia.goto(order)
    expect(olivia.get_by_text("Has my parcel come?")).to_have_count(0)
    waits.get_by_role("link", name="To the teams").click()
    expect(team(olivia, "desk")).to_contain_text("does not open for you")
    team(olivia, "desk").get_by_role("button", name="Ask to join").click()
    expect(team(olivia, "desk")).to_contain_text("A member of this team must let you in.")
