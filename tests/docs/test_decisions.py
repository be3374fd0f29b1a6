"""docs/decisions: each has a number of its own, without a gap, and whoever names one names one that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("docs", "portal", "client", "tests")
KINDS = {".md", ".py", ".ts", ".tsx"}
NAMED = re.compile(r"docs/decisions/(\d{4})|\]\((?:\.\./)?decisions/(\d{4})")


def numbers() -> list[int]:
    """The numbers of the decisions, as their files are sorted."""
    return [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def test_the_numbers_are_unique_and_in_order() -> None:
    assert numbers() == list(range(1, len(numbers()) + 1))


def test_a_decision_that_is_named_is_there() -> None:
    files = [
        path
        for place in PLACES
        for path in (ROOT / place).rglob("*")
        if path.suffix in KINDS and "node_modules" not in path.parts
    ]
    named = {int(one or other) for path in files for one, other in NAMED.findall(path.read_text("utf-8"))}
    assert named
    assert named <= set(numbers())
