"""The drawings in docs/architecture.md are those of the tables in code."""

from pathlib import Path

from portal.accounts import devices
from portal.pharmacies import teams

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_page_draws_what_the_tables_say() -> None:
    page = PAGE.read_text("utf-8")
    for life in (devices.LIFE, teams.LIFE):
        assert f"```mermaid\n{life.drawing()}\n```" in page, f"put this for the {life.name}:\n{life.drawing()}"
