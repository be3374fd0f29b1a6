"""What can go wrong between the portal and an EHR, as typed errors.

None of them carries anything the EHR said: its texts hold patient data, and errors end in logs. `reason` is one of
the fixed words below; `path` of a validation problem names elements, never values.
"""

from enum import StrEnum
from typing import ClassVar

from portal.core.errors import Conflict, PortalError, Unavailable


class DownReason(StrEnum):
    """Why the EHR counts as unavailable."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    TLS = "tls"
    SERVER_ERROR = "server-error"
    BUSY = "busy"
    BREAKER_OPEN = "breaker-open"


class ProtocolFault(StrEnum):
    """How an answer broke the rules."""

    NOT_JSON = "not-json"
    NOT_FHIR = "not-fhir"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    REDIRECT = "redirect"
    FOREIGN_LINK = "foreign-link"
    WRONG_RESOURCE = "wrong-resource"
    DISCOVERY = "discovery"
    TOKEN = "token"  # noqa: S105  a word, not a secret


class EhrUnavailable(Unavailable):
    """The EHR does not answer now: show the last view or say so, the thread goes on. `retry_after` in seconds."""

    code = "ehr-unavailable"

    def __init__(self, reason: DownReason, *, retry_after: int | None = None) -> None:
        self.reason = reason
        super().__init__(extra={"reason": str(reason)}, retry_after=retry_after)


class EhrRefused(PortalError):
    """The EHR understood and said no (4xx). `http_status` is its answer; retrying the same changes nothing."""

    status: ClassVar[int] = 502
    code = "ehr-refused"

    def __init__(self, http_status: int) -> None:
        self.http_status = http_status
        super().__init__(extra={"http_status": http_status})


class EhrNotFound(EhrRefused):
    """The EHR has no such resource (404), or had it once (410)."""

    status: ClassVar[int] = 404
    code = "ehr-not-found"


class EditConflict(Conflict):
    """Somebody else changed the resource first: read it again, then decide. HAPI says 409 where FHIR says 412."""

    code = "ehr-edit-conflict"


class EhrProtocolError(PortalError):
    """The EHR's answer cannot be used: not JSON, not FHIR, too large, too deep, or it points elsewhere."""

    status: ClassVar[int] = 502
    code = "ehr-protocol"

    def __init__(self, fault: ProtocolFault) -> None:
        self.fault = fault
        super().__init__(extra={"fault": str(fault)})


class InvalidResource(PortalError):
    """A resource we were about to write (or accept) breaks R4. `paths` name elements, never values."""

    status: ClassVar[int] = 422
    code = "ehr-invalid-resource"

    def __init__(self, resource_type: str, paths: tuple[str, ...]) -> None:
        self.resource_type = resource_type
        self.paths = paths
        super().__init__(extra={"resource_type": resource_type, "paths": list(paths)})
