"""Password checks that cost the same for everyone, and wrong tries that cost more and more time.

Argon2id with 19 MiB and two passes (OWASP). A stranger's wrong tries are counted for the login at the stranger's
address, for the login from everywhere (at most a hundred in a row, NIST SP 800-63B), and for the address over all
logins, so that one password is not tried on everybody. The waiting never shuts out a browser that the person has
signed in with before; thirty people behind one address who mistype now and then do not feel it.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete

from portal.core import clock, ids
from portal.core.database import Database
from portal.demo.idp.store import KnownBrowser, WrongTries

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What nobody has tried for so long is forgotten; longer than the longest wait.
FORGOTTEN_AFTER = timedelta(hours=24)
ADDRESS_WINDOW = timedelta(hours=1)
# Keys of addresses begin so; keys of logins are hex.
AT = "at:"


@dataclass(frozen=True)
class Bound:
    """Wrong tries that are free; after them a wait that doubles with each one from `first` to `longest` seconds."""

    free: int
    first: int
    longest: int

    def wait(self, count: int) -> timedelta:
        """How long after the last of `count` wrong tries the next one is looked at."""
        if count < self.free:
            return timedelta()
        return timedelta(seconds=min(self.first * 2 ** min(count - self.free, 16), self.longest))


# One login from one address (or from one browser that is known there).
HERE = Bound(free=5, first=1, longest=32)
# One login from all strangers, wherever they are; also the end for a browser that is known.
EVERYWHERE = Bound(free=100, first=3600, longest=3600)
# One address, whatever the login: five wrong tries for each of thirty people within an hour.
ADDRESS = Bound(free=150, first=30, longest=900)


class TooSoon(Exception):
    """Many wrong tries; `seconds` until the next one is looked at."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__()


class Passwords:
    """The one password of all demo accounts, and the count of wrong tries."""

    def __init__(self, database: Database, logins: frozenset[str], password: str) -> None:
        self._database = database
        self._logins = logins
        self._hash = HASHER.hash(password)
        # Two at a time: each takes 19 MiB, and whoever hammers the form must not take them all.
        self._turns = threading.BoundedSemaphore(2)

    def check(self, login: str, password: str, browser: str, address: str) -> bool:
        """Whether the password is right for an account that exists. Raises TooSoon without looking at it.

        `browser` is the random value of the browser's cookie, `address` where it is.
        """
        bounds = self._bounds(login, browser, address)
        self._refuse_hurry(bounds)
        with self._turns:
            try:
                HASHER.verify(self._hash, password[:256])
                right = login in self._logins
            except VerifyMismatchError:
                right = False
        now = clock.now()
        with self._database.transaction() as session:
            if right:
                own = [key for key, bound in bounds if bound is not ADDRESS]
                session.execute(delete(WrongTries).where(WrongTries.key.in_(own)))
                session.merge(KnownBrowser(browser_hash=ids.digest(browser), login=login))
            else:
                for key in dict(bounds):
                    known = session.get(WrongTries, key)
                    count = known.count if known is not None and not _over(known, now) else 0
                    session.merge(WrongTries(key=key, count=count + 1, last_at=now))
                session.execute(delete(WrongTries).where(WrongTries.last_at < now - FORGOTTEN_AFTER))
        return right

    def _bounds(self, login: str, browser: str, address: str) -> list[tuple[str, Bound]]:
        with self._database.reading() as session:
            known = session.get(KnownBrowser, (ids.digest(browser), login)) is not None
        of_login = ids.digest(login)
        if known:
            key = f"{of_login}:{ids.digest(browser)}"
            return [(key, HERE), (key, EVERYWHERE)]
        return [
            (f"{of_login}:at:{ids.digest(address)}", HERE),
            (f"{of_login}:stranger", EVERYWHERE),
            (f"{AT}{ids.digest(address)}", ADDRESS),
        ]

    def _refuse_hurry(self, bounds: list[tuple[str, Bound]]) -> None:
        now = clock.now()
        with self._database.reading() as session:
            found = {key: session.get(WrongTries, key) for key, _ in bounds}
        left = [
            (tries.last_at + bound.wait(tries.count) - now).total_seconds()
            for key, bound in bounds
            if (tries := found[key]) is not None and not _over(tries, now)
        ]
        if max(left, default=0.0) > 0:
            raise TooSoon(int(max(left)) + 1)


def _over(tries: WrongTries, now: datetime) -> bool:
    """Whether a count is too old to go on with: an address is many people's, and none of them says when all is well."""
    return tries.key.startswith(AT) and tries.last_at + ADDRESS_WINDOW < now
