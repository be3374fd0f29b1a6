"""Rate limits per account and address, by Flask-Limiter: memory for one process, Redis for several.

A whole pharmacy or family can sit behind one address, so signed-in people are counted by account and an address
alone only where nobody is signed in.
"""

import math
import time

from flask import Flask, request
from flask_limiter import Limiter

from portal.core.settings import Settings
from portal.identity.flask_session import PUBLIC_BLUEPRINTS, current_login
from portal.web import counting
from portal.web.wiring import client_address

PER_ACCOUNT = "1200 per minute"
LOGIN_PER_ADDRESS = "120 per minute"
REDEEM_PER_ACCOUNT = "20 per hour"
SEND_PER_ACCOUNT = "300 per minute"
UPLOAD_PER_ACCOUNT = "600 per minute"
# Files with the hash in their name, which browsers keep, and what machines ask all day.
UNCOUNTED = frozenset({"assets", "health"})


def who_counts() -> str:
    """The key a request is counted under. Routes that are the same for everybody do not ask for the session."""
    login = None if request.blueprint in PUBLIC_BLUEPRINTS else current_login()
    if login is not None:
        return f"account:{login.account_id}"
    return f"address:{client_address()}"


limiter = Limiter(key_func=who_counts, default_limits=[PER_ACCOUNT], headers_enabled=False, swallow_errors=False)


@limiter.request_filter
def uncounted() -> bool:
    """Whether this request is not counted at all."""
    return request.blueprint in UNCOUNTED


def seconds_left() -> int:
    """In how many seconds the limit that refused this request begins anew; at least one."""
    broken = limiter.current_limit
    # The limiter counts by the machine's clock, which a test or the demo does not move.
    if broken is None:
        return 60
    return max(1, min(math.ceil(broken.reset_at - time.time()), broken.limit.get_expiry()))


def limit(app: Flask, settings: Settings) -> None:
    """Count the requests of this app."""
    app.config["RATELIMIT_STORAGE_URI"] = settings.redis_url or f"{counting.SCHEME}://"
    app.config["RATELIMIT_STRATEGY"] = "fixed-window"
    limiter.init_app(app)
