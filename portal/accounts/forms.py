"""Reading what browsers send about keys: canonical base64url, and what the protocol refuses. Faults are BadInput."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core.errors import BadInput, Conflict, Unprocessable
from portal.e2ee.encoding import unb64
from portal.e2ee.reasons import Reason, Refused


def text_of_bytes(value: object, field: str, *, length: int | None = None) -> bytes:
    """The bytes of a b64url text without padding, of exactly `length` where given. Raises BadInput."""
    try:
        return unb64(value, length)
    except Refused as problem:
        raise BadInput("bad-field", extra={"field": field}) from problem


def wrong(field: str) -> NoReturn:
    """Refuse a field."""
    raise BadInput("bad-field", extra={"field": field})


MOST_NAME = 60


def clean_name(name: str, field: str) -> str:
    """A name that a person gave to a device or a passkey, without white space to spare. Raises BadInput."""
    cleaned = " ".join(name.split())
    if not 0 < len(cleaned) <= MOST_NAME or not cleaned.isprintable():
        wrong(field)
    return cleaned


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


@contextmanager
def first_wins(session: Session, code: str) -> Iterator[None]:
    """For a first row that two requests may write at the same moment: the second gets Conflict `code`."""
    try:
        yield
        session.flush()
    except IntegrityError as problem:
        raise Conflict(code) from problem
