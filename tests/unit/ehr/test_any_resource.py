"""Whatever an EHR puts into a resource, the panel of its patient is made: an odd entry costs at most itself."""

import copy
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.core import clock
from portal.demo.seed import demo_bundles
from portal.ehr.client import EhrClient
from portal.ehr.context import ContextReader, searches
from portal.ehr.paging import SearchResult
from portal.ehr.panel import context_to_json
from portal.ehr.projection import SUBJECT
from portal.ehr.reading import parse_resource

Json = dict[str, Any]
TODAY = date(2026, 11, 24)
TYPES = frozenset(kind for _, kind, _ in searches("alice"))
# What stands where something else belongs: each JSON type, numbers and days at and over the edge, texts that lead away.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**400, "", " ", "x" * 5000, "\u202eabc", "\x00"),
    *("2024", "2024-13-45", "0001-01-01", "9999-12-31", "2024-02-30T25:61:61Z", "0001-01-01T00:00:00+14:00"),
    *([], {}, [None], [[]], [{}], {"coding": None}, {"coding": [None]}, {"coding": [{"code": 5}]}),
    *({"value": "1e5"}, {"value": 10**400}, {"reference": "../../x"}, {"reference": 5}, [{"reference": "#"}]),
)


def _hers(resource: Json) -> Json:
    element = SUBJECT.get(resource["resourceType"])
    return {**resource, "id": "alice"} if element is None else {**resource, element: {"reference": "Patient/alice"}}


def _resources() -> list[Json]:
    """One of everything that the demo's patients have, told as Alice's: many shapes, few of each."""
    kinds: dict[str, list[Json]] = {}
    for name, bundle in sorted(demo_bundles(TODAY).items()):
        for number, entry in enumerate(bundle["entry"]):
            resource = {"id": f"{name}{number}", **entry["resource"]}
            if resource["resourceType"] in TYPES and len(kinds.setdefault(resource["resourceType"], [])) < 6:
                kinds[resource["resourceType"]].append(_hers(resource))
    kinds["Patient"] = kinds["Patient"][:1]
    return [one for kind in kinds.values() for one in kind]


WHOLE = _resources()


def _places(value: object, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*before, key)
        yield from _places(one, (*before, key))


def _put(resource: Any, place: Sequence[Any], odd: Any) -> None:
    for step in place[:-1]:
        resource = resource[step]
    resource[place[-1]] = copy.deepcopy(odd)


@st.composite
def odd_resources(draw: st.DrawFn) -> list[Json]:
    """The resources, some of them changed in some places. What says whose they are stays, or they would be left out."""
    resources = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 12))):
        resource = draw(st.sampled_from(resources))
        kept = {"resourceType", "id", SUBJECT.get(resource["resourceType"])}
        places = [place for place in _places(resource) if place[0] not in kept]
        if places:
            _put(resource, draw(st.sampled_from(places)), draw(st.sampled_from(ODD)))
    return resources


class Answering:
    """An EHR that answers every search of a context with what it has."""

    base_url = "http://ehr.test/fhir"
    connection = SimpleNamespace(source="ehr.test")

    def __init__(self, resources: Sequence[Json]) -> None:
        self.resources = resources

    def capabilities(self, **_: object) -> SimpleNamespace:
        return SimpleNamespace(resource_types=TYPES)

    def search_many(self, wanted: Sequence[tuple[str, object]], **_: object) -> list[SearchResult]:
        return [
            SearchResult(tuple(one for one in self.resources if one["resourceType"] == kind), ()) for kind, _ in wanted
        ]


def shown(resources: Sequence[Json], language: str = "en") -> bytes:
    """The panel that is made of the resources, as it is sent."""
    with clock.frozen(datetime(2026, 11, 24, 15, tzinfo=UTC)):
        context = ContextReader(cast(EhrClient, Answering(resources))).read("alice")
    return json.dumps(context_to_json(context, language, today=TODAY), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("kind", sorted(TYPES - {"ServiceRequest"}))
def test_each_place_may_hold_anything(kind: str) -> None:
    """Every member of every kind of resource, one after the other, with everything odd in it."""
    patient = next(one for one in WHOLE if one["resourceType"] == "Patient")
    tried = set()
    for resource in (one for one in WHOLE if one["resourceType"] == kind):
        for place in _places(resource):
            pattern = tuple("[]" if isinstance(step, int) else step for step in place)
            if place[0] in ("resourceType", "id", SUBJECT.get(kind)) or pattern in tried:
                continue
            tried.add(pattern)
            for odd in ODD:
                changed = copy.deepcopy(resource)
                _put(changed, place, odd)
                shown([changed] if kind == "Patient" else [patient, changed])
    assert len(tried) > 5


@settings(max_examples=60, deadline=None)
@given(odd_resources(), st.sampled_from(("en", "es")))
def test_the_panel_is_made_of_whatever_comes(resources: list[Json], language: str) -> None:
    shown(resources, language)


def test_the_resources_are_of_every_kind() -> None:
    assert {one["resourceType"] for one in WHOLE} >= TYPES - {"ServiceRequest"}


@pytest.mark.parametrize("words", ['"\\ud83d"', '"a\\udc8ab"', '"\\ud83d\\ud83d\\udc8a"'])
def test_half_a_character_costs_itself_alone(words: str) -> None:
    resource = parse_resource(f'{{"resourceType": "Patient", "id": "alice", "name": [{{"text": {words}}}]}}'.encode())
    told = resource["name"][0]["text"]
    assert "?" in told
    assert told.encode().decode() == told


def test_a_whole_character_written_in_halves_stays() -> None:
    assert parse_resource(b'{"resourceType": "Patient", "note": "\\ud83d\\udc8a"}')["note"] == "\N{PILL}"
