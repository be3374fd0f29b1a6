"""docs/recovery.md: for each thing that can be lost a way back, what is gone for good, and a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.split("\n")
    if line.startswith("| ") and not line.startswith(("| ---", "| what is lost"))
]


def test_every_row_says_what_is_lost_how_it_comes_back_what_is_gone_and_what_holds_it() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        assert len(row) == 4, row
        assert all(row), row
        # Only the provider's own are held elsewhere.
        assert "::test_" in row[3] or row[3] == "the provider's business", row


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) >= len(ROWS)
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), (file, name)
