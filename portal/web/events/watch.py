"""One watch for all streams of a process: which sessions have closed, which inboxes moved on unheard.

The bus tells both at once; the watch is for what the bus lost (a crash between commit and telling, a cut line, time
running out on an idle session). Two queries every few seconds, however many streams are open.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable

from portal.core.errors import PortalError
from portal.identity import flask_session
from portal.threads import inbox
from portal.web.wiring import Services

log = logging.getLogger(__name__)
EVERY_SECONDS = 3.0


class Watch:
    """Runs while there are streams; started by the first one."""

    def __init__(self, reach: Services) -> None:
        self._reach = reach
        self._lock = threading.Lock()
        self._sessions: Counter[str] = Counter()
        self._readers: Counter[str] = Counter()
        self._said: dict[str, int] = {}
        self._running = False

    def add(self, ref: str, readers: Iterable[str]) -> None:
        """Watch over one more stream."""
        with self._lock:
            self._sessions[ref] += 1
            self._readers.update(readers)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="stream-watch", daemon=True).start()

    def remove(self, ref: str, readers: Iterable[str]) -> None:
        """The stream is closed."""
        with self._lock:
            self._sessions[ref] -= 1
            self._readers.subtract(readers)
            self._sessions += Counter()
            self._readers += Counter()

    def look(self) -> None:
        """One round: tell the streams of this process what they should have heard."""
        with self._lock:
            sessions, readers = tuple(self._sessions), tuple(self._readers)
        with self._reach.database.reading() as session:
            still_open = flask_session.open_refs(session, sessions)
            numbers = inbox.since_now(session, readers)
        for ref in sessions:
            if ref not in still_open:
                self._reach.bus.deliver(f"session:{ref}", {"kind": "session", "state": "closed"})
        for reader, number in numbers.items():
            # Said once for each number: thousands of idle streams are not to be woken for nothing.
            if self._said.get(reader) != number:
                self._reach.bus.deliver(f"reader:{reader}", {"kind": "number", "reader": reader, "no": number})
        self._said = numbers

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(EVERY_SECONDS)
            with self._lock:
                if not self._sessions:
                    self._running = False
                    return
            try:
                self.look()
            except PortalError as problem:
                log.warning("stream watch could not look", extra={"code": problem.code})
