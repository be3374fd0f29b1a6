"""A JSON reader that gives each text one meaning or refuses it.

The standard reader lets later duplicates win, reads NaN, other encodings and unpaired surrogates, and turns 5,000
digits into a number. Signed headers (docs/protocol.md section 1) and requests from outside are read here instead.
"""

import json
import math
import re
from functools import lru_cache
from typing import Any

LARGEST_INTEGER = 2**53 - 1
"""The largest whole number that JavaScript reads exactly."""

_LONGEST_INTEGER = len(str(-LARGEST_INTEGER))
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_BYTE_ORDER_MARK = "\ufeff"


class StrictJSONError(ValueError):
    """The text is not JSON with exactly one meaning. The message names the fault and never quotes the text."""


def loads(
    data: bytes | str,
    *,
    max_bytes: int | None = None,
    max_depth: int = 32,
    floats: bool = False,
    negatives: bool = True,
) -> Any:
    """Read one JSON value.

    `max_bytes` bounds the UTF-8 text, `max_depth` the nesting of lists and objects (a bare value has depth 0).
    Numbers are whole and at most 2**53 - 1 in size, unless `floats` allows finite fractions; `negatives=False`
    refuses a minus sign. Raises StrictJSONError, also for duplicate names, NaN, Infinity, -0, a byte order mark and
    unpaired surrogates.
    """
    text = _text(data, max_bytes)
    try:
        value = _decoder(floats, negatives).decode(text)
    except StrictJSONError:
        raise
    except (ValueError, RecursionError) as problem:
        raise StrictJSONError("not JSON") from problem
    _within_depth(text, value, max_depth)
    _without_surrogates(text, value)
    return value


def _text(data: bytes | str, max_bytes: int | None) -> str:
    try:
        raw = data.encode() if isinstance(data, str) else data
        text = data if isinstance(data, str) else raw.decode()
    except UnicodeError as problem:
        raise StrictJSONError("not UTF-8") from problem
    if max_bytes is not None and len(raw) > max_bytes:
        raise StrictJSONError("too long")
    if text.startswith(_BYTE_ORDER_MARK):
        raise StrictJSONError("byte order mark")
    return text


@lru_cache(maxsize=4)
def _decoder(floats: bool, negatives: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_int=_integer if negatives else _natural,
        parse_float=_fraction if floats else _no_fraction,
        parse_constant=_no_constant,
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJSONError("a name twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or digits == "-0":
        raise StrictJSONError("number out of range")
    number = int(digits)
    if abs(number) > LARGEST_INTEGER:
        raise StrictJSONError("number out of range")
    return number


def _natural(digits: str) -> int:
    if digits.startswith("-"):
        raise StrictJSONError("number below zero")
    return _integer(digits)


def _fraction(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise StrictJSONError("number out of range")
    return number


def _no_fraction(_digits: str) -> float:
    raise StrictJSONError("not a whole number")


def _no_constant(_name: str) -> float:
    raise StrictJSONError("not a number")


def _within_depth(text: str, value: Any, limit: int) -> None:
    if text.count("[") + text.count("{") > limit and _depth(value, limit) > limit:
        raise StrictJSONError("nested too deeply")


def _depth(value: Any, limit: int) -> int:
    """The nesting of `value`, counted no further than one beyond `limit`."""
    level = [value]
    for depth in range(limit + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return depth
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return limit + 1


def _without_surrogates(text: str, value: Any) -> None:
    if _SURROGATE_ESCAPE.search(text) is None:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as problem:
        raise StrictJSONError("unpaired surrogate") from problem
