"""Bob and Erin at one browser: each has a turn, and nothing of the one gets into a page of the other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from at_once import MANY, at_once, codes
from browsing import Browser, location
from misbehaving import MisbehavingProvider
from sqlalchemy import select
from sqlalchemy.orm import Session
from world import NOBODY, World

from portal.accounts import devices, notices, tiles
from portal.accounts.tables import Account
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import NotFound
from portal.identity import session_life, session_rows, sessions
from portal.identity.session_life import CurrentSession, State
from portal.outbox.tables import OutboxJob

NewBrowser = Callable[[], Browser]


def come(browser: Browser, database: Database, name: str) -> str:
    """Somebody signs in and is one of this browser's people from then on; gives the account."""
    browser.client.set_cookie("portal_shared", "1")
    browser.sign_in(name, email=f"{name}@example.org", email_verified=True)
    said = browser.session()
    assert said["shared"] is True
    ref = browser.client.get("/api/sessions").get_json()["items"][0]["ref"]
    value = browser_name(browser) or ids.token(32)
    with database.transaction() as rows:
        current = session_rows.by_ref(rows, ref)
        assert current is not None
        tiles.put(rows, browser=value, current=current)
    browser.client.set_cookie("portal_browser", value)
    return str(said["account"]["id"])


def browser_name(browser: Browser) -> str | None:
    """The cookie by which a browser is known."""
    kept = browser.client.get_cookie("portal_browser")
    return kept.value if kept is not None else None


def people(browser: Browser) -> list[dict[str, Any]]:
    return list(browser.client.get("/api/browser").get_json()["items"])


@pytest.fixture
def counter(new_browser: NewBrowser) -> Browser:
    return new_browser()


@pytest.fixture
def both(counter: Browser, database: Database) -> tuple[str, str]:
    """Bob was here, then Erin came."""
    bob = come(counter, database, "bob")
    assert counter.post("/api/browser/leave").status_code == 204
    return bob, come(counter, database, "erin")


def test_the_lock_page_shows_names_and_roles_to_this_browser_alone(
    counter: Browser, both: tuple[str, str], new_browser: NewBrowser
) -> None:
    bob, erin = both
    assert people(counter) == [
        {"account": bob, "name": "Bob", "role": "pharmacist", "signed_in": True, "current": False},
        {"account": erin, "name": "Erin", "role": "pharmacist", "signed_in": True, "current": True},
    ]
    stranger = new_browser()
    stranger.sign_in("bob")
    assert people(stranger) == []
    assert stranger.post("/api/browser/choose", {"account": erin}).status_code == 404


def test_choosing_locks_who_was_active_and_opens_nothing(counter: Browser, both: tuple[str, str]) -> None:
    bob, _ = both
    before = counter.cookie
    assert counter.post("/api/browser/choose", {"account": bob}).get_json() == {"signed_in": True}
    assert counter.cookie != before
    said = counter.session()
    assert (said["state"], said["account"]["id"], said["patients"]) == ("locked", bob, [])
    assert counter.client.get("/api/sessions").get_json()["code"] == "locked"
    assert before is not None
    assert counter.with_cookie(before).session()["state"] == "locked"


def test_a_page_of_bob_gets_nothing_while_erin_is_here(counter: Browser, both: tuple[str, str]) -> None:
    bob, erin = both
    for path in ("/api/sessions", "/api/keys/me?vault=0", "/api/threads/changes"):
        assert counter.client.get(path, headers={"Portal-Account": erin}).status_code == 200
        refused = counter.client.get(path, headers={"Portal-Account": bob})
        assert (refused.status_code, refused.get_json()["code"]) == (401, "session-ended")
    assert counter.client.get(f"/events?as={bob}").status_code == 401
    assert counter.post("/api/session/lock", **{"Portal-Account": bob}).status_code == 401
    assert counter.session()["state"] == "active"


def test_who_was_away_for_a_quarter_of_an_hour_signs_in_again(counter: Browser, both: tuple[str, str]) -> None:
    bob, _ = both
    clock.shift(timedelta(minutes=15))
    assert [one["signed_in"] for one in people(counter)] == [False, False]
    assert counter.post("/api/browser/choose", {"account": bob}).get_json() == {"signed_in": False}
    assert counter.session()["state"] == "anonymous"
    to = counter.client.get("/login").headers["Location"]
    assert "prompt=login" in to
    counter.sign_in("bob")
    assert counter.session()["shared"] is True
    assert [one["signed_in"] for one in people(counter)] == [True, False]


def test_whom_the_provider_remembers_does_not_come_back_without_a_password(
    counter: Browser, both: tuple[str, str], provider: MisbehavingProvider
) -> None:
    counter.post("/api/browser/leave")
    begun = counter.client.get("/login")
    # The next one at the counter took `prompt=login` out of the address: the provider answers for Bob unasked.
    provider.faults.claims = {"auth_time": int(clock.now().timestamp()) - 600}
    assert counter.come_back(begun, "bob").status_code == 401
    assert counter.session()["state"] == "anonymous"


def test_nor_where_the_browser_was_made_to_forget_that_it_is_shared(
    counter: Browser,
    both: tuple[str, str],
    provider: MisbehavingProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bob, _ = both
    counter.post("/api/browser/leave")
    for name in ("portal_browser", "portal_shared"):
        counter.client.delete_cookie(name)
    monkeypatch.setattr(devices, "has_shared", lambda rows, account: account == bob)
    provider.faults.claims = {"auth_time": int(clock.now().timestamp()) - 600}
    answer = counter.sign_in("bob", start="/login?next=/inbox")
    assert location(answer) == "/login?again=1&next=%2Finbox"
    assert counter.session()["state"] == "anonymous"
    again = counter.client.get(location(answer))
    assert "max_age=0" in again.headers["Location"]
    assert counter.come_back(again, "bob").status_code == 401


def test_somebody_who_signs_in_over_a_locked_screen_does_not_sign_the_other_out(
    counter: Browser, both: tuple[str, str], database: Database
) -> None:
    _, erin = both
    counter.post("/api/session/lock")
    assert location(counter.page("/account/sessions")).startswith("/lock?next=")
    counter.come_back(counter.client.get("/unlock"), "bob")
    assert [one["signed_in"] for one in people(counter)] == [True, True]
    assert counter.post("/api/browser/choose", {"account": erin}).get_json() == {"signed_in": True}


def test_a_copied_name_is_of_no_use_after_the_next_sign_in_here(
    counter: Browser, both: tuple[str, str], new_browser: NewBrowser
) -> None:
    bob, erin = both
    copied = browser_name(counter)
    assert copied is not None
    thief = new_browser()
    thief.client.set_cookie("portal_browser", copied)
    assert {one["account"] for one in people(thief)} == {bob, erin}
    counter.post("/api/browser/leave")
    counter.sign_in("alice")
    assert browser_name(counter) not in (None, copied)
    assert {one["account"] for one in people(counter)} == {bob, erin}
    assert people(thief) == []
    assert thief.post("/api/browser/choose", {"account": erin}).status_code == 404


def test_nor_after_somebody_has_chosen_a_tile(counter: Browser, both: tuple[str, str]) -> None:
    bob, erin = both
    names = {browser_name(counter)}
    for who in (bob, erin, bob):
        assert counter.post("/api/browser/choose", {"account": who}).status_code == 200
        names.add(browser_name(counter))
        assert {one["account"] for one in people(counter)} == {bob, erin}
    assert len(names) == 4


def test_a_name_that_somebody_made_up_is_none(new_browser: NewBrowser) -> None:
    browser = new_browser()
    planted = ids.token(32)
    browser.client.set_cookie("portal_browser", planted)
    assert people(browser) == []
    assert "prompt=login" not in browser.client.get("/login").headers["Location"]
    browser.sign_in("bob")
    assert browser.session()["shared"] is False


def test_a_browser_marked_as_shared_has_the_short_limits_from_the_first_moment(new_browser: NewBrowser) -> None:
    browser = new_browser()
    browser.client.set_cookie("portal_shared", "1")
    assert "prompt=login" in browser.client.get("/login").headers["Location"]
    browser.sign_in("bob")
    clock.shift(timedelta(minutes=2, seconds=50))
    assert browser.session()["state"] == "active"
    clock.shift(timedelta(seconds=15))
    assert browser.session()["state"] == "locked"
    clock.shift(timedelta(minutes=12))
    assert browser.session()["state"] == "anonymous"


def test_whoever_has_no_pin_here_yet_is_signed_out_when_somebody_else_comes(
    counter: Browser, both: tuple[str, str]
) -> None:
    counter.post("/api/browser/leave")
    counter.sign_in("alice")
    before = counter.cookie
    assert before is not None
    assert counter.post("/api/browser/leave").status_code == 204
    assert counter.with_cookie(before).session()["state"] == "anonymous"


def test_the_address_of_a_login_here_names_nobody(counter: Browser, both: tuple[str, str]) -> None:
    for path in ("/login", "/unlock", "/step-up"):
        assert "login_hint" not in counter.client.get(path).headers["Location"]


def test_who_is_removed_is_signed_out_here(counter: Browser, both: tuple[str, str]) -> None:
    bob, erin = both
    assert counter.post("/api/browser/remove", {"account": bob}).status_code == 204
    assert [one["account"] for one in people(counter)] == [erin]
    assert counter.post("/api/browser/remove", {"account": erin}).status_code == 204
    assert counter.session()["state"] == "anonymous"
    assert people(counter) == []


def told_of_tiles(database: Database) -> list[str]:
    """Whom a mail tells that somebody took them off a lock page."""
    with database.reading() as rows:
        jobs = rows.scalars(select(OutboxJob.payload).where(OutboxJob.kind == notices.KEYS_JOB)).all()
    return [job["account"] for job in jobs if job["what"] == "tile-removed"]


def test_who_is_taken_off_by_somebody_else_is_told_once_and_who_leaves_is_not(
    counter: Browser, both: tuple[str, str], database: Database
) -> None:
    bob, erin = both
    for _ in range(3):
        assert counter.post("/api/browser/remove", {"account": bob}).status_code == 204
    assert told_of_tiles(database) == [bob]
    assert counter.post("/api/browser/remove", {"account": erin}).status_code == 204
    assert told_of_tiles(database) == [bob]


def test_who_is_taken_off_while_locked_is_told_as_that_may_be_anybody(
    counter: Browser, both: tuple[str, str], database: Database
) -> None:
    _, erin = both
    clock.shift(timedelta(minutes=3, seconds=1))
    assert counter.session()["state"] == "locked"
    assert counter.post("/api/browser/remove", {"account": erin}).status_code == 204
    assert told_of_tiles(database) == [erin]


def test_of_nine_people_the_one_not_seen_longest_goes(world: World, database: Database) -> None:
    value, begun = ids.token(32), []
    for name in list(world.accounts)[:9]:
        clock.shift(timedelta(seconds=1))
        with database.transaction() as rows:
            _, current = sessions.begin(
                rows,
                account_id=world.accounts[name],
                role=current_role(rows, world.accounts[name]),
                proof=session_life.Proof(None, None, (), None, None),
                shared=True,
            )
            tiles.put(rows, browser=value, current=current)
        begun.append(current)
    with database.reading() as rows:
        here = {tile.account_id for tile in tiles.listed(rows, value)}
    assert here == {one.account_id for one in begun[1:]}
    with pytest.raises(NotFound), database.transaction() as rows:
        tiles.choose(rows, MemoryBus(), browser=value, account_id=begun[0].account_id, current=None)
    taken = again(database, begun[1], value)
    assert taken.state is State.LOCKED


def test_who_is_chosen_and_taken_off_at_the_same_moment_is_one_or_the_other(world: World, database: Database) -> None:
    for name in list(world.accounts)[:3]:
        value = ids.token(32)
        with database.transaction() as rows:
            _, current = sessions.begin(
                rows,
                account_id=world.accounts[name],
                role=current_role(rows, world.accounts[name]),
                proof=session_life.Proof(None, None, (), None, None),
                shared=True,
            )
            tiles.put(rows, browser=value, current=current)

        def choose(rows: Session, value: str = value, name: str = name) -> None:
            tiles.choose(rows, MemoryBus(), browser=value, account_id=world.accounts[name], current=None)
            tiles.renew(rows, value)

        def remove(rows: Session, value: str = value, name: str = name) -> bool:
            who: dict[str, Any] = {"account_id": world.accounts[name], "agent": NOBODY, "current": None}
            return tiles.remove(rows, MemoryBus(), browser=value, **who)

        outcomes = at_once(database, [choose, remove] * (MANY // 2))
        assert set(codes(outcomes)) <= {"not-found", "login-expired"}
        gone = any(one is True for one in outcomes)
        with database.reading() as rows:
            assert (session_rows.state(rows, current.ref) is State.ENDED) == gone


def current_role(rows: Any, account_id: str) -> str:
    return str(rows.get_one(Account, account_id).role)


def again(database: Database, one: CurrentSession, value: str) -> CurrentSession:
    """That person's tile was chosen."""
    with database.transaction() as rows:
        taken = tiles.choose(rows, MemoryBus(), browser=value, account_id=one.account_id, current=None)
    assert taken is not None
    return taken[1]


def test_who_signed_in_again_in_a_tab_is_told_of_the_pin_only_where_there_is_one(
    counter: Browser, both: tuple[str, str], new_browser: NewBrowser
) -> None:
    assert "Your PIN opens it again" in counter.client.get("/signed-in-again").get_data(as_text=True)
    own = new_browser()
    own.sign_in("bob", email="bob@example.org", email_verified=True)
    page = own.client.get("/signed-in-again").get_data(as_text=True)
    assert "Close this tab" in page
    assert "PIN" not in page
