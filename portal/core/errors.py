"""The small family of errors that reach a person or another program.

Each says what happened and what to do next through a key of the text catalogue, and maps to one HTTP status
(RFC 9457 problem details). An error never carries health data, names or secrets.
"""

from collections.abc import Mapping
from typing import ClassVar

# The codes of core/database and of a query that fails while a request is answered.
_OF_DATABASE = frozenset({"database-down", "database-busy"})


class PortalError(Exception):
    """Base of all expected errors. `code` names the problem for programs, `text_key` the sentence for people."""

    status: ClassVar[int] = 500
    code: str = "internal"

    def __init__(
        self, code: str | None = None, *, extra: Mapping[str, object] | None = None, retry_after: int | None = None
    ) -> None:
        if code is not None:
            self.code = code
        self.extra = dict(extra or {})
        self.retry_after = retry_after
        super().__init__(self.code)

    @property
    def text_key(self) -> str:
        """Catalogue key of the sentence that says what happened and what to do next."""
        return f"errors.{self.code}"

    @property
    def of_database(self) -> bool:
        """Whether the portal's own database does not answer. Nothing makes up for that, as for an EHR that is down."""
        return self.code in _OF_DATABASE


class BadInput(PortalError):
    """The request is not well formed; nothing was changed. `field` in extra names the place where known."""

    status = 400
    code = "bad-input"


class NotSignedIn(PortalError):
    """No session, or a session that is locked (`locked`) or ended (`session-ended`)."""

    status = 401
    code = "not-signed-in"


class Forbidden(PortalError):
    """Known and refused. Used only where the existence of the thing is no secret from the person."""

    status = 403
    code = "forbidden"


class StepUpNeeded(Forbidden):
    """The act needs a login at most five minutes old (design: step-up)."""

    code = "step-up"


class NotFound(PortalError):
    """Unknown, or foreign: the two look the same to whoever asks."""

    status = 404
    code = "not-found"


class Conflict(PortalError):
    """The state moved on: `moved-head`, `rekey`, `reset`, `already-accepted` (docs/protocol.md section 6) and more."""

    status = 409
    code = "conflict"


class TooLarge(PortalError):
    """More bytes than the limit or the quota allows."""

    status = 413
    code = "too-large"


class Unprocessable(PortalError):
    """Well formed, but refused by a rule; `code` is the reason."""

    status = 422
    code = "unprocessable"


class TooMany(PortalError):
    """A rate limit; `retry_after` says in how many seconds it ends."""

    status = 429
    code = "too-many"


class Unavailable(PortalError):
    """Something this answer needs is down. Fails closed: no audit row, no data."""

    status = 503
    code = "unavailable"
