"""Bob, the only pharmacist, loses everything. Erin and Grace read his threads with two of three printed sheets."""

import pytest
from demo_world import team
from playwright.sync_api import Page, expect
from sheets import PAGE, afresh, beginning, finish, made, name_holders, type_two
from stage import Stage
from talking import ask, hears, said, say, sent

pytestmark = pytest.mark.browser


def cannot_type(page: Page) -> None:
    """Nothing is asked for that could open anything."""
    page.goto("/sheets?do=use")
    page.get_by_role("link", name="Cancel").wait_for()
    expect(page.locator("#sheet-1")).to_have_count(0)


def test_two_people_and_two_sheets_open_what_bob_alone_could_read(stage: Stage) -> None:
    stage.founded()
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "May I take it with milk?")
    bob = stage.with_keys("bob", thread)
    say(bob, "Better with water.")
    sent(bob, "Better with water.")
    sheets = made(stage)
    bob.goto("/team")
    expect(team(bob).locator("[data-seat]")).to_have_count(2)
    expect(team(bob)).to_contain_text("Three sheets, two needed")
    alice.goto(thread)
    alice.locator(".readers summary").click()
    listed = "the recovery sheets of Riverside Pharmacy (three sheets, two needed)"
    expect(alice.locator(".readers")).to_contain_text(listed)

    # Bob's phone and his code are gone. Erin has keys of her own, and opens nothing of his.
    stage.forget("bob")
    stage.with_code("erin")
    erin = stage.with_keys("erin", "/team")
    cannot_type(erin)
    afresh(stage, "erin")
    erin.get_by_label("Erin Walsh").check()
    erin.get_by_label("Pharmacists", exact=True).check()
    erin.get_by_label("Why").fill("Bob has lost his phone and his code")
    stage.just_now("erin")
    erin.get_by_role("button", name="Ask, and tell everybody").click()
    erin.get_by_text("A second person has to say yes").first.wait_for()
    # Alone she can only call it off.
    expect(erin.get_by_role("button", name="Say yes")).to_have_count(0)
    cannot_type(erin)

    grace = afresh(stage, "grace")
    expect(grace.locator("[data-act='asked']")).to_contain_text("Bob has lost his phone and his code")
    stage.just_now("grace")
    grace.get_by_role("button", name="Say yes").click()
    grace.get_by_text("You have said yes").wait_for()

    erin.goto(PAGE)
    erin.get_by_role("link", name="Type two sheets").click()
    type_two(erin, sheets[1], "", "Let in")
    expect(erin.get_by_role("alert")).to_contain_text("mistyped or missing")
    stage.just_now("erin")
    type_two(erin, sheets[1], sheets[2], "Let in")
    erin.get_by_text("The messages can be opened again").wait_for()
    erin.goto(thread)
    hears(erin, "May I take it with milk?")
    hears(erin, "Better with water.")
    say(erin, "I am Erin, and I go on from here.")
    expect(said(alice, "I am Erin, and I go on from here.")).to_be_visible()

    # It stays to be seen, and new sheets are asked for.
    erin.goto("/team")
    expect(team(erin)).to_contain_text("made with the recovery sheets")
    expect(team(erin).locator("[data-seat]").filter(has_text="Bob")).to_have_count(0)
    grace.goto(PAGE)
    grace.get_by_text("These sheets were used. Make new ones.").wait_for()
    expect(grace.get_by_text("Second person: Grace Kim")).to_be_visible()
    # Erin makes new sheets; two of the old ones vouch for them, so that nobody has to compare anything.
    page = beginning(stage, "erin")
    page.locator("summary").filter(has_text="two of the old sheets").click()
    page.locator("#old-1").fill(sheets[0])
    page.locator("#old-2").fill(sheets[2])
    newer = finish(stage, name_holders(page), "erin")
    erin.goto("/sheets?do=try")
    erin.locator("#sheet-1").wait_for()
    type_two(erin, sheets[0], sheets[1])
    expect(erin.get_by_role("alert")).to_contain_text("not the newest sheets")
    type_two(erin, newer[1], newer[2])
    erin.get_by_text("The two sheets fit").wait_for()
    grace.goto(PAGE)
    expect(grace.get_by_text("The sheets open it")).to_be_visible()
    expect(grace.get_by_text("These sheets were used")).to_have_count(0)
    told = (
        "SELECT json_extract(payload, '$.what'), count(DISTINCT json_extract(payload, '$.account'))"
        " FROM outbox_job WHERE kind = 'notice.sheets' GROUP BY 1"
    )
    heard = {what for what, people in stage.read(told) if people >= 4}
    assert heard == {"sheets-made", "sheets-asked", "sheets-confirmed", "sheets-used"}
