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
    """From the manifest of the built client: what the page names in script and link elements, and its worker."""
    del quick
    built = json.loads((STATIC / "manifest.json").read_text("utf-8"))
    size = sum(built[name]["gz"] for name in ("portal.css", "thread.js", "worker-crypto.js"))
    yield Figure("thread page: script, style and worker, compressed (row 19)", size / KILOBYTE, "kB", most=120.0)
    older = size + built["worker-byhand.js"]["gz"]
    yield Figure("the same in a browser without X-Wing, ML-DSA or Ed25519", older / KILOBYTE, "kB")
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
