"""Strict reading of headers: which members each type has and what each must look like (docs/protocol.md section 1).

A reader takes the JSON value and gives the value the code works with, or raises Refused(form). The tables of all types
stand with the things they describe.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.core import strict_json
from portal.e2ee.encoding import unb64
from portal.e2ee.reasons import Reason, Refused

HEADER_BYTES_LIMIT = 32 * 1024
LIST_LIMIT = 256
# No header nests deeper than an object in a list in the header.
_DEPTH_LIMIT = 8

_ID = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_LONG_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """The members of one type beside `v` and `t`."""

    members: Mapping[str, Reader]
    optional: frozenset[str] = frozenset()


def refuse() -> Refused:
    """The refusal of a wrong form."""
    return Refused(Reason.FORM)


def read_header(data: bytes, forms: Mapping[str, Form]) -> tuple[str, dict[str, Any]]:
    """The type and the converted members of a header. Raises Refused with form, version or type, in this order."""
    members = parse_header(data)
    kind = known_kind(members, forms)
    return kind, read_members(members, forms[kind])


def known_kind(members: dict[str, Any], forms: Mapping[str, Form]) -> str:
    """Take `v` and `t` out of an object and give the type. Raises Refused with form, version or type."""
    version, kind = members.pop("v", None), members.pop("t", None)
    _version_and_type_are_given(version, kind)
    _is_version_1(version)
    _is_known_type(kind, forms)
    return str(kind)


def parse_header(data: bytes) -> dict[str, Any]:
    """The JSON object in a header's bytes."""
    try:
        value = strict_json.loads(data, max_bytes=HEADER_BYTES_LIMIT, max_depth=_DEPTH_LIMIT, negatives=False)
    except strict_json.StrictJSONError as problem:
        raise refuse() from problem
    return an_object(value)


def _version_and_type_are_given(version: object, kind: object) -> None:
    if not _is_number(version) or not isinstance(kind, str):
        raise refuse()


def _is_version_1(version: object) -> None:
    if version != 1:
        raise Refused(Reason.VERSION)


def _is_known_type(kind: object, forms: Mapping[str, Form]) -> None:
    if kind not in forms:
        raise Refused(Reason.TYPE)


def read_members(members: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """Exactly the listed members, converted."""
    _no_others(members, form)
    _none_missing(members, form)
    return {name: form.members[name](value) for name, value in members.items() if name in form.members}


def _no_others(members: Mapping[str, Any], form: Form) -> None:
    if not members.keys() <= form.members.keys():
        raise refuse()


def _none_missing(members: Mapping[str, Any], form: Form) -> None:
    if not form.members.keys() - members.keys() <= form.optional:
        raise refuse()


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def an_object(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise refuse()
    return value


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise refuse()
    return value


def number(value: Any) -> int:
    """A whole number from 0; the strict JSON reader has checked the range."""
    if not _is_number(value):
        raise refuse()
    return int(value)


def positive(value: Any) -> int:
    """A whole number from 1."""
    if number(value) == 0:
        raise refuse()
    return int(value)


def identifier(value: Any) -> str:
    """An id."""
    if _ID.fullmatch(text(value)) is None:
        raise refuse()
    return str(value)


def long_id(value: Any) -> str:
    """A 128-bit id, 32 lowercase hex digits."""
    if _LONG_ID.fullmatch(text(value)) is None:
        raise refuse()
    return str(value)


def octets(length: int) -> Reader:
    """b64 of exactly `length` bytes."""
    return lambda value: unb64(value, length)


def octets_or_none(length: int) -> Reader:
    """b64 of exactly `length` bytes, or the empty text for none."""
    return lambda value: b"" if value == "" else unb64(value, length)


def one_of(*words: str) -> Reader:
    """One of the texts."""

    def read(value: Any) -> str:
        if value not in words:
            raise refuse()
        return str(value)

    return read


def exactly_true(value: Any) -> bool:
    """The constant true."""
    if value is not True:
        raise refuse()
    return True


def a_list(entry: Reader) -> Reader:
    """A list of at most 256 entries."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not _within_list_limit(value):
            raise refuse()
        return tuple(entry(item) for item in value)

    return read


def _within_list_limit(value: list[Any]) -> bool:
    return len(value) <= LIST_LIMIT


def a_record(form: Form, made: Callable[..., Any]) -> Reader:
    """An object with exactly the members of `form`, as a value of our own."""
    return lambda value: made(**read_members(an_object(value), form))


def wraps(value: Any) -> dict[str, bytes]:
    """The wraps map of a transport object: ids to sealed bytes."""
    members = an_object(value)
    if not _within_wraps_limit(members):
        raise refuse()
    return {identifier(name): unb64(wrap) for name, wrap in members.items()}


def _within_wraps_limit(members: dict[str, Any]) -> bool:
    return len(members) <= LIST_LIMIT
