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

from flask import Response, jsonify, request

from portal.core import strict_json
from portal.core.errors import BadInput, PortalError, TooLarge

Body = TypeVar("Body")
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
    if request.content_type != "application/json":
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
    return typing.cast(Body, _shape(body_type, value, "body"))


def _shape(wanted: Any, value: Any, place: str) -> Any:
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(wanted)
        if value is None and type(None) in options:
            return None
        return _shape(next(option for option in options if option is not type(None)), value, place)
    if dataclasses.is_dataclass(wanted):
        return _shape_object(typing.cast(type, wanted), value, place)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise _wrong(place)
        inner = typing.get_args(wanted)[0]
        items = [_shape(inner, item, f"{place}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if origin is dict or wanted is dict:
        if not isinstance(value, dict):
            raise _wrong(place)
        return value
    if wanted is Any:
        return value
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise _wrong(place)
    return value


@functools.cache
def _members(wanted: type) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    return typing.get_type_hints(wanted), {member.name: member for member in dataclasses.fields(wanted)}


def _shape_object(wanted: type, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place)
    hints, members = _members(wanted)
    for name in value:
        if name not in members:
            raise _wrong(f"{place}.{name[:40]}", "unknown-field")
    given: dict[str, Any] = {}
    for name, member in members.items():
        if name in value:
            given[name] = _shape(hints[name], value[name], f"{place}.{name}")
        elif member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING:
            raise _wrong(f"{place}.{name}", "missing-field")
    return wanted(**given)


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
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= most:
        raise BadInput("bad-field", extra={"field": name})
    return int(text)
