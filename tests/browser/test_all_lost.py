"""Telephone, code, passphrase: all of it is lost at once. What comes back, by whom, and what is said to be gone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from checks import axe
from demo_world import Demo
from playwright.sync_api import Browser, Page, expect
from stage import Stage, founded_stage
from talking import ask, hears, say

pytestmark = pytest.mark.browser
MOMENT = "%Y-%m-%d %H:%M:%S.%f"


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    with founded_stage(demo, browser, r"status of (401|403|404|409)", "net::ERR_FAILED") as made:
        yield made


def choose(bob: Page, stage: Stage, path: str, how: str, button: str) -> None:
    """Bob opens a conversation of somebody with new keys and says how he makes sure who it is."""
    bob.goto(path)
    bob.get_by_role("radio", name=how).check()
    stage.just_now("bob")
    bob.get_by_role("button", name=button).click()


def test_dave_comes_by_and_reads_again_what_he_had_written(stage: Stage) -> None:
    stage.with_keys("dave", "/home")
    stage.with_code("dave")
    dave, bob = stage.with_keys("dave", "/home"), stage.with_keys("bob", "/inbox")
    old = ask(dave, "Asked before the flood")
    dave = stage.begins_again("dave", "/messages")
    expect(dave.get_by_text("Cannot be read here").first).to_be_visible()
    dave.goto(old)
    expect(dave.get_by_text("You started again with new keys").first).to_be_visible()
    assert dave.get_by_text("Asked before the flood").count() == 0
    # The lost code opens nothing any more: starting again has removed it.
    ways = "SELECT count(*) FROM recovery_wrap w JOIN account a ON a.id = w.account_id WHERE a.email LIKE 'dave@%'"
    assert stage.read(ways) == [(0,)]
    choose(bob, stage, old, "In person", "I made sure that it is Dave")
    hears(dave, "Asked before the flood")
    say(dave, "I am back")
    hears(bob, "I am back")


def test_who_can_neither_come_nor_be_called_waits_a_day_and_all_who_knew_her_are_told(stage: Stage) -> None:
    stage.with_keys("alice", "/home")
    stage.with_code("alice")
    alice, bob = stage.with_keys("alice", "/home"), stage.with_keys("bob", "/inbox")
    old = ask(alice, "Asked before all was lost")
    alice = stage.begins_again("alice", "/messages")
    choose(bob, stage, old, "I cannot see or call them", "Send the notices and wait")
    expect(bob.locator("[data-check=waiting]")).to_be_visible()
    assert axe(bob) == []
    told = stage.read("SELECT count(*) FROM outbox_job WHERE kind = 'notice.identity'")
    assert told[0][0] >= 1
    # She sees it herself, and could say no with one press; nobody does.
    alice.goto("/home")
    expect(alice.locator("a[href^='/objection/']")).to_be_visible()
    alice.goto(old)
    expect(alice.get_by_text("You started again with new keys").first).to_be_visible()
    stage.write("UPDATE identity_check SET made_at = ?", (datetime.now(UTC) - timedelta(hours=25)).strftime(MOMENT))
    bob.goto(old)
    bob.get_by_role("button", name="Open the old messages").click()
    hears(alice, "Asked before all was lost")
