"""Bytes of the first load of the thread page: scripts and styles as they travel, compressed (row 19)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.stage import ROOT

STATIC = ROOT / "portal/static"
KILOBYTE = 1000


def measure(*, quick: bool) -> Iterator[Figure]:
    """From the manifest of the built client: what the page names in script and link elements."""
    del quick
    built = json.loads((STATIC / "manifest.json").read_text("utf-8"))
    page = [name for name in ("thread.js", "portal.css") if name in built]
    size = sum(built[name]["gz"] for name in page)
    yield Figure("thread page: script and style, compressed (row 19)", size / KILOBYTE, "kB", most=120.0)
    workers = sum(part["gz"] for name, part in built.items() if name.startswith("worker"))
    yield Figure("workers, loaded after it, compressed", workers / KILOBYTE, "kB")
    foreign = sorted(_foreign(STATIC))
    yield Figure(
        "addresses of third parties in scripts and styles", float(len(foreign)), "", most=0.0, note=", ".join(foreign)
    )


def _foreign(folder: Path) -> set[str]:
    """Addresses that a browser would load from: in url(), import and fetch. Names of XML languages are none."""
    loading = re.compile(r"""(?:url\(|import\(|from\s*|fetch\()["']?(https?://[^"')\s]+)""")
    return {
        found
        for path in [*folder.glob("*.js"), *folder.glob("*.css")]
        for found in loading.findall(path.read_text("utf-8"))
    }
