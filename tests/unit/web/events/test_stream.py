"""The event stream: closes with its session, loses and doubles nothing however often the line is cut, and is capped."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from world import World, build
from world_keys import Keys
from world_threads import Threads, body
from world_web import Browser, portal_app

from portal.accounts.roles import Role
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.settings import Settings
from portal.pharmacies import staff
from portal.threads import inbox, posting
from portal.web.events import stream as streams
from portal.web.events.watch import EVERY_SECONDS, Watch


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream with nothing to say pings at once, so that a test sees that it is drained."""
    monkeypatch.setattr(streams, "PING_SECONDS", 0.01)


@pytest.fixture
def threads(database: Database) -> Threads:
    keys = Keys(build(database))
    keys.enrol("alice", "bob", "erin", "dave")
    keys.team("riverside_pharmacists", "bob", "bob", "erin")
    return Threads(keys)


@pytest.fixture
def world(threads: Threads) -> World:
    made: World = threads.world
    return made


@pytest.fixture
def app(settings: Settings, database: Database, world: World, monkeypatch: pytest.MonkeyPatch) -> Flask:
    # The watch is asked by the tests themselves instead of every few seconds.
    monkeypatch.setattr(Watch, "_run", lambda self: None)
    made = portal_app(settings, database)
    made.extensions["portal"].bus = MemoryBus()
    return made


@dataclass
class Stream:
    """An open stream of a browser."""

    browser: Browser
    last_id: str = ""
    events: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def open(self) -> "Stream":
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.answer = self.browser.client.get("/events", headers=headers)
        assert self.answer.status_code == 200
        self._chunks: Iterator[bytes] = iter(self.answer.response)  # type: ignore[arg-type]
        return self

    def drain(self, most: int = 10_000) -> bool:
        """Read until there is nothing more to read, or `most` events; whether the stream is still open."""
        for chunk in self._chunks:
            text = chunk.decode() if isinstance(chunk, bytes) else chunk
            if text.startswith(": ping"):
                return True
            found = re.fullmatch(r"id: (.*)\nevent: (\w+)\ndata: (.*)\n\n", text)
            if found is not None:
                self.last_id = found[1]
                self.events.append((found[1], found[2], json.loads(found[3])))
                most -= found[2] == "thread"
                if most <= 0:
                    return True
        return False

    def cut(self) -> None:
        self.answer.close()

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events]


def look(app: Flask) -> None:
    app.extensions["portal-stream-watch"].look()


def opened(app: Flask, world: World, name: str) -> Stream:
    stream = Stream(Browser(app, world, name)).open()
    assert stream.drain()
    assert stream.kinds() == ["ready"]
    return stream


def logout(app: Flask, world: World, stream: Stream) -> None:
    browser = stream.browser
    browser.client.post("/logout", data={"csrf_token": browser.csrf}, headers={"Origin": "http://localhost"})


def end_from_elsewhere(app: Flask, world: World, stream: Stream) -> None:
    assert Browser(app, world, "bob").post(f"/api/sessions/{stream.browser.session_ref}/end").status_code == 204


def end_others(app: Flask, world: World, stream: Stream) -> None:
    assert Browser(app, world, "bob").post("/api/sessions/end-others").status_code == 200


def disable(app: Flask, world: World, stream: Stream) -> None:
    with world.database.transaction() as session:
        staff.disable(session, bus=app.extensions["portal"].bus, account_id=world.accounts["bob"])


def change_role(app: Flask, world: World, stream: Stream) -> None:
    with world.database.transaction() as session:
        staff.change_role(
            session,
            bus=app.extensions["portal"].bus,
            account_id=world.accounts["bob"],
            role=Role.TECHNICIAN,
            pharmacy_id="riverside",
        )


@pytest.mark.parametrize("end", [logout, end_from_elsewhere, end_others, disable, change_role])
def test_a_stream_ends_at_once_with_its_session(app: Flask, world: World, end) -> None:  # type: ignore[no-untyped-def]
    bob = opened(app, world, "bob")
    end(app, world, bob)
    assert not bob.drain()
    assert bob.kinds()[-1] == "session"
    bob.cut()
    assert bob.browser.client.get("/events").status_code == 401


@pytest.mark.parametrize(("minutes", "state"), [(16, "locked"), (13 * 60, "ended")])
def test_time_closes_a_stream_within_five_seconds_and_the_stream_is_no_activity(
    app: Flask, world: World, minutes: int, state: str
) -> None:
    assert EVERY_SECONDS < 5
    began = clock.now()
    with clock.frozen(began):
        bob = opened(app, world, "bob")
    with clock.frozen(began + timedelta(minutes=14)):
        look(app)
        assert bob.drain()
    with clock.frozen(began + timedelta(minutes=minutes)):
        look(app)
        assert not bob.drain()
        assert bob.events[-1][1:] == ("session", {"state": state})
        bob.cut()
        assert bob.browser.client.get("/events").status_code == 401


@pytest.mark.parametrize("seed", range(3))
def test_two_readers_lose_and_double_nothing_however_often_the_line_is_cut(
    app: Flask, world: World, threads: Threads, seed: int
) -> None:
    """Messages come while lines are cut at any place, and a third of the news never reaches the bus."""
    dice = random.Random(seed)
    alice, bob = opened(app, world, "alice"), opened(app, world, "bob")
    both = (alice, bob)
    own = [threads.start("alice", "alice", f"Question {number}").thread_id for number in range(3)]
    for number in range(16):
        writer = dice.choice(("alice", "bob"))
        thread = dice.choice(own)
        made, key = body(f"Message {number}")
        record = threads.writer(writer, thread).message(made, clock.now_ms())
        with world.database.transaction() as session:
            posted = posting.append(
                session,
                actor=threads.keys.actor(writer),
                thread_id=thread,
                sealed=[record.to_json()],
                key=key,
                urgent=False,
            )
        if dice.random() > 0.33 and posted.told is not None:
            posted.told.publish(app.extensions["portal"].bus)
        for stream in both:
            if dice.random() < 0.4:
                stream.drain(most=dice.randint(1, 3))
            if dice.random() < 0.3:
                stream.cut()
                stream.open()
        if dice.random() < 0.2:
            look(app)
    look(app)
    for stream in both:
        while not stream.drain():
            stream.open()
        stream.cut()
    for stream, reader in ((alice, world.accounts["alice"]), (bob, "riverside_pharmacists")):
        mine = [
            (number_of(event_id, reader), data)
            for event_id, kind, data in stream.events
            if kind == "thread" and data["reader"] == reader
        ]
        numbers, told = [number for number, _ in mine], [data for _, data in mine]
        assert numbers == sorted(set(numbers)), "an event came twice, or out of order"
        with world.database.reading() as session:
            there = inbox.since_now(session, (reader,))
        assert number_of(stream.last_id, reader) == there[reader], "an event was lost"
        newest = {thread: max(one["sequence"] for one in told if one["thread"] == thread) for thread in own}  # type: ignore[type-var]
        assert newest == {thread: len(threads.fetch("bob", thread)[0]) for thread in own}
    others = {world.accounts["dave"], "harbor_pharmacists"}
    assert not any(data.get("reader") in others for stream in both for _, _, data in stream.events)


def number_of(event_id: str, reader: str) -> int:
    found = dict(part.rsplit(":", 1) for part in event_id.split(","))
    return int(found[reader])


def test_events_hold_ids_and_numbers_only(app: Flask, world: World, threads: Threads) -> None:
    bob = opened(app, world, "bob")
    posted = threads.start("alice", "alice", "unique-words-of-alice")
    assert posted.told is not None
    posted.told.publish(app.extensions["portal"].bus)
    bob.drain()
    bob.cut()
    assert [kind for kind in bob.kinds() if kind == "thread"] == ["thread"]
    data = bob.events[-1][2]
    assert data == {"thread": posted.thread_id, "sequence": 2, "reader": "riverside_pharmacists"}


def test_another_browser_hears_of_new_keys_and_of_a_team_without_breaking(app: Flask, world: World) -> None:
    bob, bus = opened(app, world, "bob"), app.extensions["portal"].bus
    account = world.accounts["bob"]
    bus.publish(f"account:{account}", {"kind": "account", "account": account, "keys": "device-added"})
    assert bob.drain()
    assert bob.events[-1][1:] == ("account", {"keys": "device-added", "team": None})
    frank = Browser(app, world, "frank")
    assert frank.post("/api/teams/riverside_desk/ask").status_code == 200
    erin = Browser(app, world, "erin")
    assert erin.post("/api/teams/riverside_pharmacists/leave").status_code == 200
    assert not bob.drain()
    assert bob.events[-1][1:] == ("account", {"keys": None, "team": "riverside_pharmacists"})
    bob.cut()


def leave(app: Flask, threads: Threads) -> None:
    """Erin gives up her seat in another of her browsers."""
    other = Browser(app, threads.world, "erin")
    assert other.post("/api/teams/riverside_pharmacists/leave").status_code == 200


def removed(app: Flask, threads: Threads) -> None:
    """Bob takes Erin out with the next key, and the news of it never reaches the bus."""
    threads.keys.team("riverside_pharmacists", "bob", "bob")
    look(app)


@pytest.mark.parametrize("go", [leave, removed])
def test_who_has_left_a_team_hears_no_more_of_its_threads_within_five_seconds(
    app: Flask,
    world: World,
    threads: Threads,
    go,  # type: ignore[no-untyped-def]
) -> None:
    assert EVERY_SECONDS < 5
    erin = opened(app, world, "erin")
    look(app)
    assert erin.drain()
    go(app, threads)
    assert not erin.drain()
    assert erin.events[-1][1:] == ("account", {"keys": None, "team": "riverside_pharmacists"})
    erin.cut()
    erin.open()
    told = threads.start("alice", "alice", "Not for Erin any more.").told
    assert told is not None
    told.publish(app.extensions["portal"].bus)
    look(app)
    assert erin.drain()
    assert "thread" not in erin.kinds()
    erin.cut()


def test_streams_are_capped_and_a_closed_one_makes_room(
    app: Flask, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.extensions["portal"].settings = replace(settings, stream_limit=2)
    held = [opened(app, world, "alice"), opened(app, world, "bob")]
    dave = Browser(app, world, "dave")
    full = dave.get("/events")
    assert (full.status_code, full.get_json()["code"]) == (503, "streams-full")
    assert int(full.headers["Retry-After"]) > 0
    assert dave.get("/api/threads/changes").status_code == 200
    held.pop().cut()
    held.append(opened(app, world, "dave"))
    for stream in held:
        stream.cut()
    monkeypatch.setattr(streams, "STREAMS_PER_ACCOUNT", 1)
    first = opened(app, world, "alice")
    second = Browser(app, world, "alice").get("/events")
    assert (second.status_code, second.get_json()["code"]) == (429, "streams-of-account")
    first.cut()


@pytest.mark.parametrize(
    "cursor", ["x", "a:b", "a:-1", "a:" + "9" * 16, ",", ",".join(f"a{n}:1" for n in range(65)), "¹:²"]
)
def test_a_cursor_that_is_none_is_refused(app: Flask, world: World, cursor: str) -> None:
    assert Browser(app, world, "alice").get("/events", since=cursor).status_code == 400


def test_an_open_answer_keeps_nothing_of_its_request() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[str]:
        return [environ["PATH_INFO"]]

    environ = {"PATH_INFO": "/events", "HTTP_COOKIE": "secret", "wsgi.file_wrapper": object}
    assert streams.letting_go(application)(environ, None) == ["/events"]
    assert environ == {"wsgi.file_wrapper": object}


def test_a_stream_that_is_told_nothing_new_pings_all_the_same(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The watch repeats the newest number every few seconds; a browser that has gone is noticed only by writing to it.
    monkeypatch.setattr(streams, "PING_SECONDS", 20.0)
    browser = Browser(app, world, "alice")
    stream = Stream(browser).open()
    for _ in range(2):
        next(stream._chunks)
    reader = world.accounts["alice"]
    bus = app.extensions["portal"].bus
    for _ in range(4):
        clock.shift(timedelta(seconds=7))
        bus.publish(f"reader:{reader}", {"kind": "number", "reader": reader, "no": 0})
    bus.publish(f"session:{browser.session_ref}", {"kind": "session", "state": "ended"})
    assert next(stream._chunks) == b": ping\n\n"
