"""What a resource can be found by: the search parameters of `fhir/search-parameters.json`, read out of it."""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from portal.ehr.contract import load

Json = dict[str, Any]
# name, value, system (or "reference"), upper end of a date
Row = tuple[str, str, str, str]


@cache
def parameters(kind: str) -> dict[str, dict[str, str]]:
    """Search parameters of a resource type: name to {type, path}. Raises KeyError for a type that is not served."""
    found: dict[str, dict[str, str]] = load("search-parameters.json")[kind]
    return found


def served_types() -> frozenset[str]:
    """The resource types of the sandbox."""
    return frozenset(load("search-parameters.json"))


def rows_of(resource: Json) -> Iterator[Row]:
    """The index rows of a resource."""
    for name, parameter in parameters(resource["resourceType"]).items():
        seen = set()
        for value in _at(resource, parameter["path"].split(".")):
            for row in _ROWS[parameter["type"]](value):
                if row not in seen:
                    seen.add(row)
                    yield (name, *row)


def span(words: str) -> tuple[str, str]:
    """First and last instant (UTC, ISO) that a FHIR date or dateTime covers. Raises ValueError for anything else."""
    if len(words) == 4:
        low, high = datetime(int(words), 1, 1, tzinfo=UTC), datetime(int(words) + 1, 1, 1, tzinfo=UTC)
    elif len(words) == 7:
        year, month = int(words[:4]), int(words[5:])
        low = datetime(year, month, 1, tzinfo=UTC)
        high = low + timedelta(days=calendar.monthrange(year, month)[1])
    elif len(words) == 10:
        day = date.fromisoformat(words)
        low = datetime(day.year, day.month, day.day, tzinfo=UTC)
        high = low + timedelta(days=1)
    else:
        at = datetime.fromisoformat(words.replace("Z", "+00:00"))
        low = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        high = low + timedelta(microseconds=1)
    return low.isoformat(timespec="microseconds"), (high - timedelta(microseconds=1)).isoformat(timespec="microseconds")


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _tokens(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, bool):
        yield str(value).lower(), "", ""
    elif isinstance(value, str):
        yield value, "", ""
    elif isinstance(value, dict) and "coding" in value:
        for coding in value["coding"]:
            yield from _tokens(coding)
    elif isinstance(value, dict):
        code = value.get("code", value.get("value"))
        if isinstance(code, str):
            yield code, value.get("system", ""), ""


def _references(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        yield value["reference"].split("/_history/")[0], "reference", ""


def _strings(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str):
        yield value.casefold(), "", ""
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _dates(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str):
        low, high = span(value)
        yield low, "", high


_ROWS = {"token": _tokens, "reference": _references, "string": _strings, "date": _dates}
