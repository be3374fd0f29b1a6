"""Places where tests kill the process: `kill -9` in the middle of a send (tests/kill).

`PORTAL_FAULT` names a file. When a process reaches the point whose name stands in it, it takes the file away and dies
by SIGKILL, so that the process after it lives. Without the variable, and always under PORTAL_ENV=production, a point
costs one comparison and does nothing.
"""

import os
import signal
from pathlib import Path
from typing import Final

# The points of a send, in the order in which it passes them: around each of its statements.
SEND: Final = (
    "send.received",
    "send.locked",
    "send.asked",
    "send.verified",
    "send.counted",
    "send.written",
    "send.committed",
    "send.published",
)

_file = os.environ.get("PORTAL_FAULT", "") if os.environ.get("PORTAL_ENV", "development") == "development" else ""


def point(name: str) -> None:
    """Die here if a test has named this point."""
    if _file:
        _die_if_named(name, Path(_file))


def _die_if_named(name: str, file: Path) -> None:
    try:
        named = file.read_text("utf-8")
    except FileNotFoundError:
        return
    if named == name:
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
