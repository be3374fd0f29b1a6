"""One watch for all streams of a process: closed sessions, left teams, inboxes that moved on unheard.

The bus tells all of it at once; the watch is for what the bus lost (a crash between commit and telling, a cut line,
time running out on an idle session). Three queries every few seconds, however many streams are open.
"""

import logging
import threading
from collections import Counter

from portal.core.errors import PortalError
from portal.identity.session_life import State
from portal.identity.session_rows import states
from portal.pharmacies import teams
from portal.threads import inbox
from portal.web.wiring import Services

log = logging.getLogger(__name__)
EVERY_SECONDS = 3.0


class Watch:
    """Runs while there are streams; started by the first one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._sessions: Counter[str] = Counter()
        # Each stream's person, and the inboxes it was opened for.
        self._inboxes: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._said: dict[str, int] = {}
        self._running = False

    def add(self, ref: str, account_id: str, readers: tuple[str, ...]) -> None:
        """Watch over one more stream."""
        with self._lock:
            self._sessions[ref] += 1
            self._inboxes[account_id, readers] += 1
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="stream-watch", daemon=True).start()

    def remove(self, ref: str, account_id: str, readers: tuple[str, ...]) -> None:
        """The stream is closed."""
        with self._lock:
            self._sessions[ref] -= 1
            self._inboxes[account_id, readers] -= 1
            self._sessions += Counter()
            self._inboxes += Counter()

    def look(self) -> None:
        """One round: tell the streams of this process what they should have heard."""
        with self._lock:
            sessions, inboxes = tuple(self._sessions), tuple(self._inboxes)
        readers = sorted({reader for _, mine in inboxes for reader in mine})
        with self._services.database.reading() as session:
            became = states(session, sessions)
            seats = teams.members_among(session, {account_id for account_id, _ in inboxes})
            numbers = inbox.since_now(session, readers)
        for ref in sessions:
            if became[ref] is not State.ACTIVE:
                self._services.bus.deliver(f"session:{ref}", {"kind": "session", "state": became[ref].value})
        for account_id, mine in inboxes:
            # Who sits in another set of teams than when the stream was opened comes back for the right inboxes.
            for team in sorted(seats[account_id].symmetric_difference(set(mine) - {account_id}))[:1]:
                news = {"kind": "account", "account": account_id, "team": team}
                self._services.bus.deliver(f"account:{account_id}", news)
        for reader, number in numbers.items():
            # Said once for each number: thousands of idle streams are not to be woken for nothing.
            if self._said.get(reader) != number:
                self._services.bus.deliver(f"reader:{reader}", {"kind": "number", "reader": reader, "no": number})
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
