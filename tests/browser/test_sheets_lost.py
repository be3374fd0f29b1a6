"""Bob, the only pharmacist, loses everything, and there are no sheets: it is said plainly what is gone, what is not."""

import pytest
from checks import axe
from demo_world import team
from playwright.sync_api import expect
from stage import Stage
from talking import ask, hears, said, say, sent

pytestmark = pytest.mark.browser


def test_bob_alone_loses_all_and_the_sheets_too_and_is_told_what_is_gone(stage: Stage) -> None:
    stage.founded()
    alice = stage.with_keys("alice", "/home")
    thread = ask(alice, "May I take it with milk?")
    bob = stage.with_keys("bob", thread)
    say(bob, "Better with water.")
    sent(bob, "Better with water.")
    bob = stage.begins_again("bob", "/team")
    banner = team(bob).locator(".banner").filter(has_text="Your keys do not open this team")
    expect(banner).to_contain_text("Two of the three recovery sheets")
    expect(banner).to_contain_text("nobody can open the messages of this team here any more")
    # Nothing is offered that could not work.
    expect(team(bob).get_by_role("button", name="Make a new key")).to_have_count(0)
    assert axe(bob) == []
    bob.goto("/help#team")
    expect(bob.locator("#team")).to_contain_text("Patients still read their own")
    # And so they do.
    alice.goto(thread)
    hears(alice, "May I take it with milk?")
    expect(said(alice, "Better with water.")).to_be_visible()
