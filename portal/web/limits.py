"""Rate limits per account and address: counted in memory for one process, in Redis for several.

A whole pharmacy or family can sit behind one address, so signed-in people are counted by account and an address
alone only where nobody is signed in. Each route is counted for itself.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from flask import Flask
from limits import RateLimitItem, parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from portal.core.errors import TooMany
from portal.core.settings import Settings
from portal.identity.flask_session import PUBLIC_BLUEPRINTS, asked, current_login
from portal.web import counting
from portal.web.wiring import client_address

PER_ACCOUNT = "1200 per minute"
LOGIN_PER_ADDRESS = "120 per minute"
REDEEM_PER_ACCOUNT = "20 per hour"
MATCH_PER_ACCOUNT = "20 per hour"
FIND_PER_ACCOUNT = "120 per hour"
# What sends somebody else a mail each time, so that nobody fills a mailbox by pressing on.
TELL_PER_ACCOUNT = "60 per hour"
SEND_PER_ACCOUNT = "300 per minute"
UPLOAD_PER_ACCOUNT = "600 per minute"
# Files with the hash in their name, which browsers keep, and what machines ask all day.
UNCOUNTED = frozenset({"assets", "health"})
# Set by the demo while it writes its story: whether this request is not counted.
UNCOUNTED_IN = "portal.uncounted"

View = TypeVar("View", bound=Callable[..., Any])


class Limit(NamedTuple):
    """How often, and by whose key a request is counted."""

    rate: RateLimitItem
    key: Callable[[], str]


def who_counts() -> str:
    """The key a request is counted under. Routes that are the same for everybody do not ask for the session."""
    login = None if asked().blueprint in PUBLIC_BLUEPRINTS else current_login()
    if login is not None:
        return f"account:{login.account_id}"
    return f"address:{client_address()}"


def at_most(rate: str, *, key: Callable[[], str] = who_counts) -> Callable[[View], View]:
    """Mark a view that has a limit of its own instead of `PER_ACCOUNT`."""
    limit = Limit(parse(rate), key)

    def mark(view: View) -> View:
        view.limit = limit  # type: ignore[attr-defined]
        return view

    return mark


def limit(app: Flask, settings: Settings) -> None:
    """Count the requests of this app, those of a view without a limit of its own by `PER_ACCOUNT`."""
    storage = storage_from_string(settings.redis_url or f"{counting.SCHEME}://")
    windows = FixedWindowRateLimiter(storage)
    usually = Limit(parse(PER_ACCOUNT), who_counts)

    @app.before_request
    def count() -> None:
        request = asked()
        endpoint = request.endpoint
        if endpoint is None or request.blueprint in UNCOUNTED or UNCOUNTED_IN in request.environ:
            return
        limit: Limit = getattr(app.view_functions[endpoint], "limit", usually)
        key = limit.key()
        if not windows.hit(limit.rate, key, endpoint):
            ends = windows.get_window_stats(limit.rate, key, endpoint).reset_time
            # The windows count by the machine's clock, which a test or the demo does not move.
            raise TooMany(retry_after=max(1, min(math.ceil(ends - time.time()), limit.rate.get_expiry())))
