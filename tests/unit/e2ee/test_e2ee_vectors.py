"""The vectors of both languages, judged by this one."""

from typing import Any

import pytest
from e2ee_vectors import FOLDERS, KINDS, cases_of, verdict

ALL = [
    pytest.param(kind, case, id=f"{folder}/{kind}: {case['name']}")
    for folder in FOLDERS
    for kind in KINDS
    for case in cases_of(folder, kind)
]


@pytest.mark.parametrize(("kind", "case"), ALL)
def test_a_vector_is_judged_as_it_says(kind: str, case: Any) -> None:
    as_expected, outcome = verdict(kind, case)
    assert as_expected, outcome


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_has_cases_to_accept_and_to_refuse(kind: str) -> None:
    expected = {case["expect"] for case in cases_of("rxe2ee", kind)}
    assert expected == ({"ok"} if kind == "safety" else {"ok", "reject"})
