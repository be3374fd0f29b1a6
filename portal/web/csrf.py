"""Tokens against forged requests: Flask-WTF's, and the memory of those that were found good."""

from collections import OrderedDict
from threading import Lock

from flask import Flask, g, session
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms import ValidationError

from portal.identity.flask_session import asked

HEADER = "X-CSRF-Token"
MOST_REMEMBERED = 4096
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Tokens(CSRFProtect):  # type: ignore[misc]
    """The check of every request that changes something.

    A token is a signature over its session's secret and has no end of its own. So token and secret, once found to
    belong together, belong together, and the signature of a page's many requests is verified once.
    """

    def __init__(self, app: Flask) -> None:
        self._lock = Lock()
        self._good: OrderedDict[tuple[str, str], None] = OrderedDict()
        super().__init__(app)

    def protect(self, apply_exemptions: bool = False) -> None:
        """Refuse the request unless it carries its session's token."""
        request = asked()
        if request.method in _SAFE:
            return
        token = request.environ.get("HTTP_X_CSRF_TOKEN")
        if token is None or not self._holds(token):
            super().protect(apply_exemptions)
        else:
            g.csrf_valid = True

    def _holds(self, token: str) -> bool:
        secret = session.get("csrf_token")
        if not isinstance(secret, str):
            return False
        if (token, secret) in self._good:
            return True
        try:
            validate_csrf(token)
        except ValidationError:
            return False
        with self._lock:
            self._good[token, secret] = None
            if len(self._good) > MOST_REMEMBERED:
                self._good.popitem(last=False)
        return True
