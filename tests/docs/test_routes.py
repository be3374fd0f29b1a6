"""docs/architecture.md tells every JSON route with its method."""

import re
from pathlib import Path

from flask import Flask

from portal.app import create_app
from portal.core.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")


def places_left_open(text: str) -> str:
    """Names of places (`<thread_id>`, `<id>`) do not matter."""
    return re.sub(r"<[^>]*>", "<>", text)


def test_every_json_route_is_told(tmp_path: Path) -> None:
    app: Flask = create_app(Settings(database_url=f"sqlite:///{tmp_path}/portal.sqlite3", data_dir=str(tmp_path)))
    told = set(re.findall(r"(?:GET|POST|PUT|DELETE) /(?:api|events)[^\s?`]*", places_left_open(PAGE)))
    there = {
        f"{method} {places_left_open(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/api/", "/events"))
    }
    assert there - told == set()
    assert told - there == set()
