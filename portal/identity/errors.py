"""Why a login did not succeed. The page says what to do next; the exact reason goes to the record only."""

from portal.core.errors import BadInput, Forbidden, NotSignedIn, PortalError, Unavailable


class LoginExpired(BadInput):
    """The state is unknown, used, too old or of another browser. Nothing of the request is believed."""

    code = "login-expired"


class LoginCancelled(NotSignedIn):
    """The person, or the provider in the person's name, said no."""

    code = "login-cancelled"


class LoginFailed(NotSignedIn):
    """What the provider answered does not prove who this is. `reason` is a word for the record."""

    code = "login-failed"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class LoginRefused(Forbidden):
    """The person is known, and may not come in: `login-no-role`, `login-disabled`, `login-ended` and others."""


class ProviderDown(Unavailable):
    """The provider does not answer, or not within bounds. Sessions that exist go on working."""

    code = "login-provider-down"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(retry_after=30)


def reason_of(problem: PortalError) -> str:
    """The word for the record and the log: the exact reason where there is one, else the code."""
    return str(getattr(problem, "reason", problem.code))
