"""Several people's requests at the very same moment, each in a thread and a transaction of its own.

SQLite lets one writer in at a time, so there the stories tell the outcome only; PostgreSQL really runs them at once.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.orm import Session

from portal.core.database import Database
from portal.core.errors import PortalError

# The pool of a test's database has four connections and may make sixteen more.
MANY = 8


def at_once(database: Database, acts: Sequence[Callable[[Session], Any]]) -> list[Any]:
    """Run each act in a transaction of its own, all beginning together; gives what each returned or was refused with.

    An error that is no refusal of the portal is raised.
    """
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[Session], Any]) -> Any:
        ready.wait()
        try:
            with database.transaction() as session:
                return act(session)
        except PortalError as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def all_at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """The same for acts that open their own transactions."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        ready.wait()
        try:
            return act()
        except PortalError as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def codes(outcomes: Sequence[Any]) -> list[str]:
    """What was refused, by code, sorted; what went well is left out."""
    return sorted(one.code for one in outcomes if isinstance(one, PortalError))
