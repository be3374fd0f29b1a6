"""docs/audit.md has a line for every act, and none for an act that does not exist."""

import re
from pathlib import Path

from portal.audit import Action


def test_every_act_has_its_line() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text("utf-8")
    table = page.split("## What is recorded")[1].split("\nRefusals stand")[0]
    first_cells = [line.split("|")[1] for line in table.split("\n") if line.startswith("| `")]
    told = re.findall(r"`([a-z.-]+)`", " ".join(first_cells))
    assert len(told) == len(set(told))
    assert set(told) == {action.value for action in Action}
