"""An hour at the counter: three of the pharmacy share a browser and answer forty questions in twelve turns.

Somebody with developer tools, or with a copy of the browser's folder, finds nothing of who is not there.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from complaints import Complaints
from counter import BOB, FRANK, HEIDI, STAFF, Colleague, Turns, alice_asks, choose, first_day, lock
from demo_world import Demo
from playwright.sync_api import BrowserContext, BrowserType, Page
from running import SOON, launching
from snooping import ask_about, blocks_of, copy_profile, heap, on_disk, reach, stay_of, unsnappy
from talking import hears

pytestmark = pytest.mark.browser
QUESTIONS, SWITCHES = 40, 12
ANYBODY = re.compile(r"(bob|frank|heidi)(question|answer)\d\d")

Opens = Callable[..., BrowserContext]


@pytest.fixture
def opens(browser_type: BrowserType, complaints: Complaints, demo: Demo) -> Iterator[Opens]:
    """Start a Chromium of its own on a folder; `cookies` are what was copied from another one."""
    complaints.allow(r"status of 4(01|03|04|09)")
    opened: list[BrowserContext] = []

    def start(folder: Path, cookies: Any = ()) -> BrowserContext:
        context = browser_type.launch_persistent_context(
            folder, **launching(), base_url=demo.url, viewport={"width": 1280, "height": 900}, locale="en-US"
        )
        context.set_default_timeout(SOON)
        complaints.listen(context)
        context.add_cookies(cookies)
        opened.append(context)
        return context

    yield start
    for context in opened:
        context.close()


class Counter:
    """The shared browser, what its people do there, and what is found of others."""

    def __init__(self, demo: Demo, page: Page) -> None:
        self.page = page
        first_day(page, demo.url)
        self.turns = Turns(page, alice_asks(demo.url, QUESTIONS))
        with sqlite3.connect(demo.database, timeout=20) as rows:
            known = rows.execute(
                "SELECT account.email, account.id, device.id FROM account JOIN device ON device.account_id = account.id"
            ).fetchall()
        rows.close()
        self.accounts = {email.partition("@")[0]: account for email, account, _ in known}
        self.devices = {email.partition("@")[0]: device for email, _, device in known}

    def of_others(self, who: Colleague | None) -> list[str]:
        """What a script, or a person with developer tools, gets here of anybody else; of anybody at all while locked.

        While it is locked the memory of the page is searched, too: whoever comes next begins with that.
        """
        found = across(self.page, who, self.accounts)
        if who is None:
            found += words_in(heap(self.page))
        return found

    def answered_about(self, who: Colleague) -> list[str]:
        """What the server gives this person's session of the others'."""
        given = []
        for other in STAFF:
            if other is not who:
                account = self.accounts[other.login]
                thread = self.turns.paths[other.login][self.turns.answered[other.login] - 1].rsplit("/", 1)[1]
                paths = [f"/api/threads/{thread}", f"/api/threads/{thread}/records"]
                paths += [f"/api/objects/{account}/{kind}" for kind in ("draft", "pins", "outbox_key")]
                tried = ask_about(self.page, paths=paths, device=self.devices[other.login], account=account)
                given += [f"{path}: {status}" for path, status, _ in tried if status not in (401, 403, 404, 409)]
        return given


def across(page: Page, who: Colleague | None, accounts: dict[str, str]) -> list[str]:
    """The words of others in this page and browser, and what lies there of their keys that would open without a PIN."""
    found = reach(page)
    across = [word for word in words_in(found["text"]) if who is None or who.words.fullmatch(word) is None]
    across += [f"a key that can be taken out: {key}" for key in found["keys"] if key["extractable"]]
    for one in found["kept"]:
        if who is not None and one["database"] == f"portal-{accounts[who.login]}":
            continue
        known = (one["store"], one["id"].partition(":")[0])
        if known in {("keys", "stay"), ("keys", "wrap"), ("keys", "pending")} or one["kind"] in ("handle", "sealed"):
            across.append(f"{one['database']} {one['store']} {one['id']}")
    return across


def words_in(text: str) -> list[str]:
    """The words of questions and answers in a text, each once."""
    return sorted({match.group() for match in ANYBODY.finditer(text)})


def plain_on_disk(folder: Path) -> list[str]:
    """The words that a copied folder shows; what is known to lie there, the place where somebody was, is found."""
    spoken, place, found = re.compile(ANYBODY.pattern.encode()), False, set()
    for path, data in on_disk(folder):
        place = place or ("IndexedDB" in str(path) and b"/thread/" in data)
        found |= {f"{path.relative_to(folder)}: {match.group()!r}" for match in spoken.finditer(data)}
    assert place, "the search finds what is there"
    return sorted(found)


@pytest.mark.timeout(1800)
def test_an_hour_of_forty_questions_and_twelve_switches(opens: Opens, demo: Demo, tmp_path: Path) -> None:
    context = opens(tmp_path / "profile")
    counter = Counter(demo, context.pages[0])
    page, turns = counter.page, counter.turns
    reads: list[str] = []
    for number in range(SWITCHES):
        who = STAFF[number % len(STAFF)]
        turns.comes(who)
        turns.works(who, until=len(turns.paths[who.login]) * (number // len(STAFF) + 1) // (SWITCHES // len(STAFF)))
        assert who.words.search(reach(page)["text"]), "the search finds what is there"
        reads += counter.of_others(who) + counter.answered_about(who)
        lock(page)
        reads += counter.of_others(None)
    assert reads == []
    assert sum(turns.answered.values()) == QUESTIONS

    # Somebody copies the folder and all cookies while Bob is there, and opens the copy once he has locked.
    turns.comes(BOB)
    hears(page, BOB.question(len(turns.paths[BOB.login]) - 1))
    while_bob, his = copy_profile(tmp_path / "profile", tmp_path / "while bob is there"), context.cookies()
    lock(page)
    locked, theirs = copy_profile(tmp_path / "profile", tmp_path / "locked"), context.cookies()
    assert plain_on_disk(while_bob) == []
    assert plain_on_disk(locked) == []
    for folder, cookies in ((while_bob, his), (locked, theirs)):
        copy = opens(folder, cookies)
        thief = copy.pages[0]
        thief.goto("/inbox")
        thief.locator("#pin").wait_for()
        assert len({one["database"] for one in reach(thief)["kept"]}) == len(STAFF)
        # What was kept for the time of a session is there, and worth nothing: its share is gone with the lock.
        assert [one for one in across(thief, None, counter.accounts) if not one.endswith(" keys stay")] == []
        assert stay_of(thief) == 401
        copy.close()

    # Copied while Frank is there it is his session until he locks, and nothing of the others, whose tiles ask for PINs.
    turns.comes(FRANK)
    hears(page, FRANK.question(len(turns.paths[FRANK.login]) - 1))
    copy = opens(copy_profile(tmp_path / "profile", tmp_path / "while frank is there"), context.cookies())
    thief = copy.pages[0]
    thief.goto(turns.paths[BOB.login][0])
    thief.get_by_role("heading", name="We cannot find this conversation").wait_for()
    assert across(thief, FRANK, counter.accounts) == []
    lock(page)
    thief.goto("/inbox")
    thief.locator("#pin").wait_for()
    assert stay_of(thief) == 401
    choose(thief, HEIDI)
    assert [one for one in across(thief, None, counter.accounts) if not one.endswith(" keys stay")] == []
    assert stay_of(thief) == 401
    assert plain_on_disk(tmp_path / "while frank is there") == []


def test_what_lies_packed_on_a_disk_is_read() -> None:
    packed = bytes([24, 11 << 2]) + b"a secret of " + bytes([(12 - 1) << 2 | 2, 12, 0])
    assert unsnappy(packed) == b"a secret of a secret of "
    # A table of LevelDB: one packed block, the index that names it, and the footer that names the index.
    index = bytes([0, 1, 2]) + b"k" + bytes([0, len(packed)]) + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    table = packed + b"\1crc." + index + b"\0crc."
    footer = bytes([0, 0, len(packed) + 5, len(index)])
    assert list(blocks_of(table + footer.ljust(48, b"\0"))) == [b"a secret of a secret of "]
