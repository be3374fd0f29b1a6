"""Password checks that cost the same for everyone, and wrong tries that cost more and more time.

Argon2id with 19 MiB and two passes (OWASP). A stranger gets at most a hundred wrong tries in a row (NIST SP 800-63B);
the waiting never shuts out a browser that the person has signed in with before.
"""

import threading
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete

from portal.core import clock, ids
from portal.core.database import Database
from portal.demo.idp.store import KnownBrowser, WrongTries

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
FREE_TRIES = 5
LONGEST_WAIT_SECONDS = 32
CEILING = 100
CEILING_WAIT = timedelta(hours=1)


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

    def check(self, login: str, password: str, browser: str) -> bool:
        """Whether the password is right for an account that exists. Raises TooSoon without looking at it.

        `browser` is the random value of the browser's cookie.
        """
        key = self._key(login, browser)
        self._refuse_hurry(key)
        with self._turns:
            try:
                HASHER.verify(self._hash, password[:256])
                right = login in self._logins
            except VerifyMismatchError:
                right = False
        with self._database.transaction() as session:
            if right:
                session.execute(delete(WrongTries).where(WrongTries.key == key))
                session.merge(KnownBrowser(browser_hash=ids.digest(browser), login=login))
            else:
                known = session.get(WrongTries, key)
                count = known.count if known is not None else 0
                session.merge(WrongTries(key=key, count=count + 1, last_at=clock.now()))
        return right

    def _key(self, login: str, browser: str) -> str:
        with self._database.reading() as session:
            known = session.get(KnownBrowser, (ids.digest(browser), login)) is not None
        return f"{ids.digest(login)}:{ids.digest(browser) if known else 'stranger'}"

    def _refuse_hurry(self, key: str) -> None:
        with self._database.reading() as session:
            tries = session.get(WrongTries, key)
        if tries is None or tries.count < FREE_TRIES:
            return
        wait = timedelta(seconds=min(2 ** (tries.count - FREE_TRIES), LONGEST_WAIT_SECONDS))
        if tries.count >= CEILING:
            wait = CEILING_WAIT
        left = (tries.last_at + wait - clock.now()).total_seconds()
        if left > 0:
            raise TooSoon(int(left) + 1)
