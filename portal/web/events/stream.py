"""GET /events: server-sent events that say which thread changed. Ids and numbers only.

The id of an event is a cursor over the reader's inboxes; a stream that comes back with it misses and doubles nothing.
The stream is no activity of a person: it neither delays the lock nor the end of a session, and closes with it.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from flask import Blueprint, Response, current_app, request

from portal.core import clock
from portal.core.bus import Event, Subscription
from portal.core.errors import NotSignedIn, TooMany, Unavailable
from portal.identity import flask_session
from portal.threads import inbox
from portal.web.acting import current_actor
from portal.web.api.threads import cursor_text, parse_cursor
from portal.web.events.watch import Watch
from portal.web.wiring import Services, services

blueprint = Blueprint("events", __name__)
# Below what the proxy in front waits for (deploy/nginx), and seldom: two thousand streams are woken for it.
PING_SECONDS = 30.0
# A stream ends by itself and the browser comes back: nothing stays open for ever on an old worker.
LONGEST_SECONDS = 30 * 60.0
CATCH_UP = 200
STREAMS_PER_ACCOUNT = 12
RETRY_MILLISECONDS = 2000
# What every stream of this process hears.
_PROCESS = "process"


class _Places:
    """How many streams are open in this process, and for whom."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_account: dict[str, int] = {}

    @contextmanager
    def taken(self, account_id: str, limit: int) -> Iterator[None]:
        with self._lock:
            if sum(self._of_account.values()) >= limit:
                raise Unavailable("streams-full", retry_after=10)
            if self._of_account.get(account_id, 0) >= STREAMS_PER_ACCOUNT:
                raise TooMany("streams-of-account", retry_after=10)
            self._of_account[account_id] = self._of_account.get(account_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._of_account[account_id] -= 1
                if not self._of_account[account_id]:
                    del self._of_account[account_id]


_places = _Places()


@blueprint.get("/events")
def events() -> Response:
    """The stream of one browser; `Last-Event-ID` or `since` continue an earlier one."""
    actor = current_actor()
    login = flask_session.require_login()
    # A stream carries no header by which a page says whose it is (flask_session.guard).
    if request.args.get("as", actor.account_id) != actor.account_id:
        raise NotSignedIn("session-ended")
    known = services()
    since = parse_cursor(request.headers.get("Last-Event-ID") or request.args.get("since", ""))
    with known.database.reading() as session:
        mine = inbox.my_readers(session, actor=actor)
    topics = {f"reader:{reader}" for reader in mine} | {f"account:{actor.account_id}", f"session:{login.ref}", _PROCESS}
    watch: Watch = current_app.extensions.setdefault("portal-stream-watch", Watch(known))
    with ExitStack() as taken:
        taken.enter_context(_places.taken(actor.account_id, known.settings.stream_limit))
        subscription = known.bus.subscribe(frozenset(topics))
        taken.callback(subscription.close)
        watch.add(login.ref, actor.account_id, mine)
        taken.callback(watch.remove, login.ref, actor.account_id, mine)
        stream = _stream(known, mine, since, subscription)
        answer = Response(stream, content_type="text/event-stream; charset=utf-8")
        answer.headers["X-Accel-Buffering"] = "no"
        # All of it is the open answer's from here on.
        answer.call_on_close(taken.pop_all().close)
    return answer


def letting_go(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application, which forgets each request once its answer has begun: a stream lies open for half an hour."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun = application(environ, start_response)
        # What the server itself looks for afterwards stays.
        for name in environ.keys() - {"wsgi.file_wrapper"}:
            del environ[name]
        return begun

    return answer


def end_all(services: Services) -> None:
    """This process is about to end: let go of all its streams, so that the browsers go on at the next one at once."""
    services.bus.deliver(_PROCESS, {"kind": "ending"})


def _stream(
    services: Services, mine: tuple[str, ...], since: Mapping[str, int], subscription: Subscription
) -> Iterator[str]:
    with services.database.reading() as session:
        now = inbox.since_now(session, mine)
    # Subscribed first, read after: what happens in between arrives twice and is dropped by its number.
    cursor = {reader: since.get(reader, now[reader]) for reader in mine}
    ping_at = clock.monotonic() + PING_SECONDS
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    yield from _catch_up(services, mine, cursor)
    yield _event("ready", {}, cursor)
    ends = clock.monotonic() + LONGEST_SECONDS
    while clock.monotonic() < ends and not subscription.overflowed:
        event = subscription.get(max(0.0, ping_at - clock.monotonic()))
        if event is None or (_known(event, cursor) and clock.monotonic() >= ping_at):
            # Also when all that comes is known already: only by writing is it noticed that a browser has gone.
            yield ": ping\n\n"
            ping_at = clock.monotonic() + PING_SECONDS
        elif event["kind"] == "session":
            yield _event("session", {"state": event["state"]}, cursor)
            return
        elif event["kind"] == "ending":
            return
        elif event["kind"] == "account":
            yield _event("account", {"keys": event.get("keys"), "team": event.get("team")}, cursor)
            if event.get("team") is not None:
                # Whose inboxes are the person's may have changed: the browser comes back and is asked again.
                return
        elif event["kind"] in ("thread", "number"):
            reader, number = event["reader"], event["no"]
            if number <= cursor[reader]:
                continue
            if event["kind"] == "number" or number > cursor[reader] + 1:
                # One of the numbers before is still on its way, or was lost: the database knows them all.
                yield from _catch_up(services, mine, cursor)
                continue
            cursor[reader] = number
            yield _event("thread", _thread(event["thread"], event["sequence"], reader), cursor)


def _known(event: Event, cursor: Mapping[str, int]) -> bool:
    return event["kind"] in ("thread", "number") and event["no"] <= cursor[event["reader"]]


def _catch_up(services: Services, mine: tuple[str, ...], cursor: dict[str, int]) -> Iterator[str]:
    while True:
        with services.database.reading() as session:
            rows = inbox.changed_since(session, mine=mine, since=cursor, limit=CATCH_UP)
        for row in rows:
            cursor[row.reader_id] = max(cursor[row.reader_id], row.change_no)
            yield _event("thread", _thread(row.thread_id, row.last_seq, row.reader_id), cursor)
        if len(rows) < CATCH_UP:
            return


def _thread(thread_id: str, sequence: int, reader: str) -> dict[str, Any]:
    return {"thread": thread_id, "sequence": sequence, "reader": reader}


def _event(kind: str, data: Mapping[str, Any], cursor: dict[str, int]) -> str:
    return f"id: {cursor_text(cursor)}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
