"""Reading what browsers send about keys: exact members, canonical base64url, whole numbers. Faults are BadInput."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from portal.core.errors import BadInput, Unprocessable
from portal.e2ee.encoding import unb64
from portal.e2ee.reasons import Reason, Refused

LARGEST_INTEGER = 2**53 - 1


def exact_members(value: dict[str, Any], names: set[str], field: str) -> None:
    """Whether an object has exactly the members `names`. Raises BadInput."""
    if set(value) != names:
        wrong(field)


def text_of_bytes(value: object, field: str, *, length: int | None = None) -> bytes:
    """The bytes of a b64url text without padding, of exactly `length` where given. Raises BadInput."""
    try:
        return unb64(value, length)
    except Refused as problem:
        raise BadInput("bad-field", extra={"field": field}) from problem


def whole_number(value: object, field: str, *, least: int = 0) -> int:
    """A whole number from `least` to 2^53 - 1; true and 1.0 are none. Raises BadInput."""
    if type(value) is not int or not least <= value <= LARGEST_INTEGER:
        wrong(field)
    return value


def wrong(field: str) -> NoReturn:
    """Refuse a field."""
    raise BadInput("bad-field", extra={"field": field})


@contextmanager
def answering_refusals() -> Iterator[None]:
    """Turn what the encryption layer refuses into the answer of docs/protocol.md section 6.

    A wrong form is BadInput `form`; anything else Unprocessable `refused` with the reason in `extra`.
    """
    try:
        yield
    except Refused as refusal:
        if refusal.reason in (Reason.FORM, Reason.VERSION, Reason.TYPE):
            raise BadInput("form", extra={"reason": refusal.reason.value}) from refusal
        raise Unprocessable("refused", extra={"reason": refusal.reason.value}) from refusal
