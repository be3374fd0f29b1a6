"""docs/architecture.md names only what is there: each module of "Python contracts" has each of its names."""

import re
import tomllib
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

from portal.core import texts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROWS = [
    (row[1], re.findall(r"`([\w.]+)`", row[2]))
    for line in PAGE.split("## Python contracts\n")[1].split("\n## ")[0].splitlines()
    if (row := re.match(r"\| `(portal\.[\w.]+)` \| (.+?) \|", line))
]


def test_the_page_names_what_each_package_offers() -> None:
    told = {module.split(".")[1] for module, _ in ROWS}
    assert {"audit", "outbox", "core", "accounts", "pharmacies", "privacy", "web"} <= told


def test_the_layers_are_those_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (held,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    # Brackets are import-linter's for a package that may be missing.
    drawn = PAGE.split("## Packages\n")[1].split("```")[1].split("\n")
    assert [line for line in drawn if line] == [re.sub(r"[()]", "", layer).replace(" | ", " · ") for layer in held]


def test_every_kind_of_job_has_its_row() -> None:
    """Those of the operator's page, which a test of its own compares with the handlers of the worker."""
    rows = re.findall(r"^\| (`.+?) \|", PAGE.split("## Jobs\n")[1].split("\n## ")[0], re.MULTILINE)
    named = {kind for row in rows for kind in re.findall(r"`([\w.-]+)`", row)}
    assert named == {key.removeprefix("operator.job.") for key in texts.catalogue("en") if key[:13] == "operator.job."}


@pytest.mark.parametrize(("module", "names"), ROWS, ids=[module for module, _ in ROWS])
def test_each_name_is_there(module: str, names: list[str]) -> None:
    assert names
    found = import_module(module)
    for name in names:
        attrgetter(name)(found)
