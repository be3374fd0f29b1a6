"""JSON in and out: strict reading into dataclasses, problem details (RFC 9457) for whatever is wrong.

A body is an object whose members are exactly those of a frozen dataclass; `None` as default makes one optional.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Response, jsonify

from portal.core import strict_json
from portal.core.errors import BadInput, PortalError, TooLarge
from portal.identity.flask_session import asked

Body = TypeVar("Body")
Shape = Callable[[Any, str], Any]
BODY_LIMIT = 256 * 1024
RECORDS_LIMIT = 2 * 1024 * 1024
DEPTH_LIMIT = 12


@dataclasses.dataclass(frozen=True)
class Nothing:
    """A body without members."""


def takes(body_type: type[Body], *, limit: int = BODY_LIMIT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a view so that it gets its parsed body first; the type also goes into /openapi.json."""

    def around(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def reading(*args: Any, **kwargs: Any) -> Any:
            return view(body(body_type, limit=limit), *args, **kwargs)

        reading.body_type = body_type  # type: ignore[attr-defined]
        return reading

    return around


def body(body_type: type[Body], *, limit: int = BODY_LIMIT) -> Body:
    """The request's body as `body_type`. Raises BadInput (400) or TooLarge (413); the field is named in `extra`."""
    request = asked()
    if request.environ.get("CONTENT_TYPE") != "application/json":
        raise BadInput("content-type")
    if (request.content_length or 0) > limit:
        raise TooLarge()
    raw = request.get_data(cache=False)
    if len(raw) > limit:
        raise TooLarge()
    # PostgreSQL takes no NUL in a text. Strict JSON can hold one as this escape only, and nothing we take has a use for
    # it, nor for a backslash before these letters.
    if b"\\u0000" in raw:
        raise BadInput("json")
    try:
        value = strict_json.loads(raw, max_depth=DEPTH_LIMIT)
    except ValueError as problem:
        raise BadInput("json") from problem
    return typing.cast(Body, _shape(typing.cast(Any, body_type))(value, "body"))


@functools.cache
def _shape(wanted: Any) -> Shape:
    """What reads a value into this type; `place` is what it says is wrong."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _optional(wanted)
    if dataclasses.is_dataclass(wanted):
        return _object(typing.cast(type, wanted))
    if origin in (list, tuple):
        return _items(origin, _shape(typing.get_args(wanted)[0]))
    if wanted is Any:
        return lambda value, place: value
    return _plain(dict if origin is dict else wanted)


def _plain(wanted: type) -> Shape:
    def read(value: Any, place: str) -> Any:
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise _wrong(place)
        return value

    return read


def _optional(wanted: Any) -> Shape:
    options = typing.get_args(wanted)
    inner = _shape(next(option for option in options if option is not type(None)))
    nothing = type(None) in options
    return lambda value, place: None if value is None and nothing else inner(value, place)


def _items(kind: Callable[[list[Any]], Any], inner: Shape) -> Shape:
    def read(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise _wrong(place)
        return kind([inner(item, f"{place}[{i}]") for i, item in enumerate(value)])

    return read


def _object(wanted: type) -> Shape:
    hints = typing.get_type_hints(wanted)
    readers = {member.name: _shape(hints[member.name]) for member in dataclasses.fields(wanted)}
    needed = [
        member.name
        for member in dataclasses.fields(wanted)
        if member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING
    ]

    def read(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(place)
        for name in value:
            if name not in readers:
                raise _wrong(f"{place}.{name[:40]}", "unknown-field")
        for name in needed:
            if name not in value:
                raise _wrong(f"{place}.{name}", "missing-field")
        return wanted(**{name: readers[name](item, f"{place}.{name}") for name, item in value.items()})

    return read


def _wrong(place: str, code: str = "bad-field") -> BadInput:
    return BadInput(code, extra={"field": place.removeprefix("body.")})


@typing.overload
def stamp(moment: datetime) -> str: ...
@typing.overload
def stamp(moment: datetime | None) -> str | None: ...
def stamp(moment: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC with milliseconds; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def problem(error: PortalError, sentence: str) -> Response:
    """The answer to a program for an expected error."""
    answer = jsonify(
        {"type": "about:blank", "status": error.status, "code": error.code, "detail": sentence, **error.extra}
    )
    answer.status_code = error.status
    answer.content_type = "application/problem+json"
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def query_int(name: str, *, default: int | None = None, least: int = 0, most: int = 2**53 - 1) -> int | None:
    """A whole number of the query string. Raises BadInput for anything else."""
    text = asked().args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= most:
        raise BadInput("bad-field", extra={"field": name})
    return int(text)
