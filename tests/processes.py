"""Programs that tests start and end."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 20


@contextmanager
def portal_command(*words: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`portal` with these words, what it says kept in `log`; asked to end in the end, and killed if it does not."""
    with log.open("wb") as said:
        command = [sys.executable, "-m", "portal.cli", *words]
        process = subprocess.Popen(command, env=dict(environment), stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
