"""FHIR search as far as the portal asks: token, reference, string and date parameters, _include, _revinclude, _sort,
paging by links. Unknown parameters are ignored, or refused with `Prefer: handling=strict` (R4 section 3.1.1.6)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from portal.demo.sandbox.index import parameters, served_types, span
from portal.demo.sandbox.store import Json, Store, Stored

MAX_COUNT = 500
_CONTROL = frozenset({"_format", "_pretty", "_total", "_elements", "_summary"})
_DATE_PREFIXES = {
    "eq": "value <= ? AND high >= ?",
    "ne": "NOT (value <= ? AND high >= ?)",
    "gt": "high > ?",
    "ge": "high >= ?",
    "lt": "value < ?",
    "le": "value <= ?",
}
Pairs = Sequence[tuple[str, str]]


class FhirError(Exception):
    """A refusal, answered as OperationOutcome. `code` is an IssueType of R4."""

    def __init__(self, status: int, code: str, diagnostics: str) -> None:
        self.status, self.code, self.diagnostics = status, code, diagnostics
        super().__init__(code)


@dataclass
class _Query:
    kind: str
    where: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    include: list[str] = field(default_factory=list)
    revinclude: list[str] = field(default_factory=list)
    count: int = 50
    offset: int = 0
    count_only: bool = False


def search(store: Store, base_url: str, kind: str, pairs: Pairs, *, strict: bool = False) -> Json:
    """The searchset Bundle for `kind?pairs`. Raises FhirError."""
    query = _parse(base_url, kind, pairs, strict)
    where = " AND ".join(["c.type = ?", "c.deleted = 0", *query.where])
    # Here and below only our own fragments become SQL; what the asker wrote is always a bound value.
    counted = f"SELECT count(*) FROM current c WHERE {where}"  # noqa: S608
    total = store.query(counted, [kind, *query.values])[0][0]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": total}
    bundle["link"] = _links(base_url, query, pairs, total)
    if query.count_only:
        return bundle
    matches = _page(store, query, where)
    entries = [_entry(base_url, one, "match") for one in matches]
    entries += [_entry(base_url, one, "include") for one in _included(store, query, matches)]
    return {**bundle, "entry": entries} if entries else bundle


def find_ids(store: Store, base_url: str, kind: str, pairs: Pairs) -> list[str]:
    """The ids of all matches (conditional create and update, Subscription criteria). Unknown parameters refuse."""
    query = _parse(base_url, kind, pairs, strict=True)
    where = " AND ".join(["c.type = ?", "c.deleted = 0", *query.where])
    found = f"SELECT c.id FROM current c WHERE {where}"  # noqa: S608
    return [row[0] for row in store.query(found, [kind, *query.values])]


def everything(store: Store, base_url: str, patient_id: str) -> Json:
    """The Patient and all that names it (Patient/$everything)."""
    kept = _current(store, "Patient", patient_id)
    if kept is None:
        raise FhirError(404, "not-found", "no such Patient")
    rows = store.query(
        "SELECT DISTINCT type, id FROM entry WHERE value = ? AND system = 'reference' ORDER BY type, id",
        [f"Patient/{patient_id}"],
    )
    found = [one for kind, name in rows if kind != "Patient" and (one := _current(store, kind, name))]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found) + 1,
        "entry": [_entry(base_url, one, "match") for one in (kept, *found)],
    }


def _parse(base_url: str, kind: str, pairs: Pairs, strict: bool) -> _Query:
    query = _Query(kind)
    known = parameters(kind)
    for key, value in pairs:
        name, _, modifier = key.partition(":")
        if name == "_count":
            query.count = min(_whole(value), MAX_COUNT)
        elif name == "_offset":
            query.offset = _whole(value)
        elif name == "_sort":
            query.order = [(one.lstrip("-"), one.startswith("-")) for one in value.split(",") if one]
        elif name in ("_include", "_revinclude"):
            (query.include if name == "_include" else query.revinclude).append(value)
        elif name == "_id":
            query.where.append(f"c.id IN ({','.join('?' * len(value.split(',')))})")
            query.values += [one.removeprefix(f"{kind}/") for one in value.split(",")]
        elif name == "_lastUpdated":
            _add_updated(query, value)
        elif name in known:
            _add(query, base_url, name, known[name]["type"], modifier, value)
        elif name in _CONTROL:
            query.count_only |= (name, value) == ("_summary", "count")
        elif strict:
            raise FhirError(400, "not-supported", f"unknown search parameter {name}")
    query.count_only |= query.count == 0
    return query


def _add(query: _Query, base_url: str, name: str, kind: str, modifier: str, value: str) -> None:
    tests: list[str] = []
    values: list[Any] = []
    for one in _split(value, ","):
        test, more = _TESTS[kind](one, modifier, base_url)
        tests.append(f"({test})")
        values += more
    negated = "NOT " if modifier == "not" else ""
    entries = f"SELECT id FROM entry WHERE type = ? AND name = ? AND ({' OR '.join(tests)})"  # noqa: S608
    query.where.append(f"c.id {negated}IN ({entries})")
    query.values += [query.kind, name, *values]


def _split(value: str, mark: str) -> list[str]:
    """The parts between marks; one behind a backslash is a character (R4, search, "Escaping Search Parameters")."""
    parts, begin, at = [], 0, 0
    while at < len(value):
        if value[at] == "\\":
            at += 1
        elif value[at] == mark:
            parts.append(value[begin:at])
            begin = at + 1
        at += 1
    return [*parts, value[begin:]]


def _plain(value: str) -> str:
    return re.sub(r"\\([\\,$|])", r"\1", value)


def _token(value: str, modifier: str, base_url: str) -> tuple[str, list[Any]]:
    *systems, code = [_plain(one) for one in _split(value, "|")]
    if not systems:
        return "value = ?", [code]
    system = "|".join(systems)
    return ("value = ? AND system = ?", [code, system]) if code else ("system = ?", [system])


def _reference(value: str, modifier: str, base_url: str) -> tuple[str, list[Any]]:
    value = value.removeprefix(base_url + "/")
    if modifier and modifier in served_types() and "/" not in value:
        value = f"{modifier}/{value}"
    return ("value = ?", [value]) if "/" in value else ("value LIKE '%/' || ? ESCAPE '\\'", [_escaped(value)])


def _string(value: str, modifier: str, base_url: str) -> tuple[str, list[Any]]:
    value = _plain(value)
    folded = _escaped(value.casefold())
    if modifier == "exact":
        return "value = ?", [value.casefold()]
    return "value LIKE ? ESCAPE '\\'", [f"%{folded}%" if modifier == "contains" else f"{folded}%"]


def _date(value: str, modifier: str, base_url: str) -> tuple[str, list[Any]]:
    prefix = value[:2] if value[:2] in _DATE_PREFIXES else "eq"
    low, high = _span(value.removeprefix(prefix))
    return _DATE_PREFIXES[prefix], {"eq": [high, low], "ne": [high, low], "gt": [high], "ge": [low]}.get(
        prefix, [low] if prefix == "lt" else [high]
    )


_TESTS = {"token": _token, "reference": _reference, "string": _string, "date": _date}


def _add_updated(query: _Query, value: str) -> None:
    prefix = value[:2] if value[:2] in _DATE_PREFIXES else "eq"
    low, high = _span(value.removeprefix(prefix))
    sign = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}.get(prefix)
    updated = "replace(c.updated, 'Z', '000+00:00')"
    if sign:
        query.where.append(f"{updated} {sign} ?")
        query.values.append(high if prefix in ("gt", "le") else low)
    else:
        query.where.append(f"{updated} BETWEEN ? AND ?")
        query.values += [low, high]


def _page(store: Store, query: _Query, where: str) -> list[Stored]:
    order, values = [], []
    for name, down in query.order:
        direction = "DESC" if down else "ASC"
        if name in ("_lastUpdated", "_id"):
            order.append(f"{'c.updated' if name == '_lastUpdated' else 'c.id'} {direction}")
        elif name in parameters(query.kind):
            newest = "SELECT max(value) FROM entry e WHERE e.type = c.type AND e.id = c.id AND e.name = ?"
            order.append(f"({newest}) {direction}")
            values.append(name)
    order.append("c.id")
    page = f"SELECT c.id FROM current c WHERE {where} ORDER BY {', '.join(order)} LIMIT ? OFFSET ?"  # noqa: S608
    rows = store.query(page, [query.kind, *query.values, *values, query.count, query.offset])
    return [one for (name,) in rows if (one := _current(store, query.kind, name))]


def _included(store: Store, query: _Query, matches: Iterable[Stored]) -> list[Stored]:
    matched = {(one.type, one.id) for one in matches}
    found: dict[tuple[str, str], Stored] = {}
    for wanted in query.include:
        source, _, name = wanted.partition(":")
        name, _, target = name.partition(":")
        for kind, owner in sorted(matched) if source == query.kind else ():
            rows = store.query(
                "SELECT value FROM entry WHERE type = ? AND id = ? AND name = ? AND system = 'reference'",
                [kind, owner, name],
            )
            for (reference,) in rows:
                _keep(store, found, matched, reference, target)
    for wanted in query.revinclude:
        source, _, name = wanted.partition(":")
        for kind, owner in sorted(matched) if source in served_types() else ():
            rows = store.query(
                "SELECT id FROM entry WHERE type = ? AND name = ? AND value = ? AND system = 'reference'",
                [source, name, f"{kind}/{owner}"],
            )
            for (finder,) in rows:
                _keep(store, found, matched, f"{source}/{finder}", "")
    return list(found.values())


def _keep(
    store: Store, found: dict[tuple[str, str], Stored], matched: set[tuple[str, str]], reference: str, target: str
) -> None:
    kind, _, name = reference.partition("/")
    one = _current(store, kind, name)
    if one is not None and (kind, name) not in matched and target in ("", kind):
        found[(kind, name)] = one


def _current(store: Store, kind: str, name: str) -> Stored | None:
    one = store.get(kind, name)
    return one if one is not None and one.resource is not None else None


def _links(base_url: str, query: _Query, pairs: Pairs, total: int) -> list[Json]:
    kept = [(key, value) for key, value in pairs if key not in ("_offset", "_count")]
    size = [("_count", str(query.count))]
    steps = {"self": query.offset, "first": 0}
    if query.count and query.offset + query.count < total:
        steps["next"] = query.offset + query.count
    if query.count and query.offset:
        steps["previous"] = max(0, query.offset - query.count)
    return [
        {"relation": name, "url": f"{base_url}/{query.kind}?{urlencode([*kept, *size, ('_offset', str(offset))])}"}
        for name, offset in steps.items()
    ]


def _entry(base_url: str, one: Stored, mode: str) -> Json:
    return {"fullUrl": f"{base_url}/{one.type}/{one.id}", "resource": one.resource, "search": {"mode": mode}}


def _span(value: str) -> tuple[str, str]:
    try:
        return span(value)
    except ValueError as error:
        raise FhirError(400, "value", "not a date") from error


def _whole(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise FhirError(400, "value", "not a whole number")
    return int(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
