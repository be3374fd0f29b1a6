"""Each text has one meaning or is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.core.strict_json import LARGEST_INTEGER, StrictJSONError, loads

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
WHOLE = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.booleans())
def test_valid_json_means_what_the_standard_reader_says(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert loads(text) == loads(text.encode()) == json.loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '[{"a":{"b":1,"b":2}}]',
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        "1.0",
        "1e0",
        "1E400",
        "-0",
        "01",
        "+1",
        str(LARGEST_INTEGER + 1),
        str(-LARGEST_INTEGER - 1),
        "1" * 5_000,
        '"\\ud800"',
        '{"\\udc00":1}',
        '["\\ud83d", "\\ude00"]',
        '"a\nb"',
        "'a'",
        "[1,]",
        "{} {}",
        "",
        "\ufeff{}",
        "nul",
    ],
)
def test_ambiguous_text_is_refused(text: str) -> None:
    with pytest.raises(StrictJSONError):
        loads(text)
    with pytest.raises(StrictJSONError):
        loads(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "data", ['{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32"), b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"']
)
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(StrictJSONError):
        loads(data)


def test_a_text_with_an_unpaired_surrogate_of_its_own_is_refused() -> None:
    with pytest.raises(StrictJSONError):
        loads('"\ud800"')


def test_escaped_pairs_are_one_character() -> None:
    assert loads('"\\ud83d\\ude00"') == "\U0001f600"


def test_names_of_javascript_are_ordinary() -> None:
    assert loads('{"__proto__":1,"constructor":2}') == {"__proto__": 1, "constructor": 2}


@pytest.mark.parametrize(("text", "depth"), [("1", 0), ("[]", 1), ("[[1],[2]]", 2), ('{"a":[{"b":1}]}', 3)])
def test_depth_counts_lists_and_objects(text: str, depth: int) -> None:
    loads(text, max_depth=depth)
    if depth:
        with pytest.raises(StrictJSONError):
            loads(text, max_depth=depth - 1)


def test_very_deep_nesting_is_refused_without_a_crash() -> None:
    with pytest.raises(StrictJSONError):
        loads("[" * 200_000 + "]" * 200_000)


def test_brackets_in_texts_do_not_count_as_depth() -> None:
    assert loads('["[[[[[[{{{{{{"]', max_depth=1) == ["[[[[[[{{{{{{"]


def test_bytes_are_counted_not_characters() -> None:
    assert loads('"é"', max_bytes=4) == "é"
    with pytest.raises(StrictJSONError):
        loads('"é"', max_bytes=3)


def test_fractions_only_where_they_are_allowed() -> None:
    assert loads("[1.5, -2e3, 7]", floats=True) == [1.5, -2000.0, 7]
    with pytest.raises(StrictJSONError):
        loads("1e999", floats=True)


def test_numbers_below_zero_only_where_they_are_allowed() -> None:
    assert loads("-1") == -1
    with pytest.raises(StrictJSONError):
        loads("-1", negatives=False)
