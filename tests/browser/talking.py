"""Asking and answering, as people do it on the pages of threads."""

import re

from playwright.sync_api import Locator, Page, expect
from stage import Stage

THREAD = re.compile(r"/thread/[0-9a-f]{32}$")
ARRIVED = re.compile("Sent|Delivered|Read by")


def say(page: Page, words: str) -> None:
    """Write into the box and send."""
    page.locator(".composer textarea").fill(words)
    page.locator(".composer button[type=submit]").click()


def send_when_up(page: Page) -> None:
    """Send once the files are up."""
    button = page.locator(".composer button[type=submit]")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.click()


def said(page: Page, words: str) -> Locator:
    """The message with these words."""
    return page.locator("article.bubble").filter(has_text=words)


def hears(page: Page, words: str) -> None:
    """Wait for a message."""
    expect(said(page, words)).to_be_visible()


def sent(page: Page, words: str) -> None:
    """Wait until the server has a message, so that others find it."""
    expect(said(page, words)).to_contain_text(ARRIVED)


def ask(page: Page, words: str) -> str:
    """Ask something for oneself; gives the path of the thread."""
    page.goto("/new?topic=other&for=me")
    say(page, words)
    page.wait_for_url(THREAD)
    sent(page, words)
    return "/thread/" + page.url.rsplit("/", 1)[1]


def begin(page: Page, topic: str, words: str) -> None:
    """Pick a topic and write; where something is to be picked, pick nothing."""
    page.get_by_text(topic, exact=True).click()
    none = page.get_by_role("button", name="None of these")
    box = page.locator(".composer textarea")
    none.or_(box).first.wait_for()
    if none.is_visible():
        none.click()
    say(page, words)


def asked(stage: Stage, who: str = "alice") -> str:
    """The path of a thread of somebody with the pharmacists: a question, an answer of Bob."""
    key = f"thread of {who}"
    if key not in stage.kept:
        stage.founded()
        page = stage.with_keys(who, "/new?for=me")
        begin(page, "Something else", "May I take ibuprofen with my tablets?")
        page.wait_for_url(THREAD)
        sent(page, "May I take ibuprofen with my tablets?")
        stage.kept[key] = page.url.removeprefix(stage.demo.url)
        bob = stage.with_keys("bob", stage.kept[key])
        say(bob, "Better take paracetamol. It is kinder to your kidneys.")
        sent(bob, "It is kinder to your kidneys.")
    return stage.kept[key]


def started_again(stage: Stage) -> str:
    """The path of a thread of Peggy, who has lost her keys since and started again."""
    path = asked(stage, "peggy")
    if "peggy began again" not in stage.kept:
        page = stage.at("peggy's new phone", "/recover", login="peggy")
        page.get_by_text("I understand that this cannot be taken back").click()
        page.get_by_role("button", name="Start again with new keys").click()
        page.wait_for_url("**/home*")
        stage.kept["peggy began again"] = "yes"
    return path
