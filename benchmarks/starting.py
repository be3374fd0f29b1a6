"""How long until the first 200: the production command on a migrated database, and the demo's second start (row 15)."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure, median_of
from benchmarks.machine import free_port, serving

FIRST_START_SECONDS = 300.0


def measure(server: str, *, quick: bool) -> Iterator[Figure]:
    """Start each some times; the demo fills its world before it is started again."""
    with stage.database(server) as opened:
        starts = []
        for _ in range(2 if quick else 5):
            with stage.portal(opened) as portal:
                starts.append(portal.served.seconds_to_first_answer)
    yield median_of("portal serve: start to first 200 (row 15)", starts, "s", most=1.67)
    with tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder:
        began = time.monotonic()
        _fill_demo(Path(folder))
        yield Figure("demo: first start until the world is whole", time.monotonic() - began, "s")
        again = []
        for _ in range(1 if quick else 3):
            port = _three_ports()
            with serving(_demo(port), port=port, path="/readyz", environment=_environment(Path(folder))) as served:
                again.append(served.seconds_to_first_answer)
    yield median_of("demo: second start to /readyz (row 15)", again, "s", most=4.0)


def _demo(port: int) -> list[str]:
    return [sys.executable, "-c", "from portal.cli import main; main()", "demo", "--port", str(port)]


def _environment(folder: Path) -> dict[str, str]:
    return {"PORTAL_DATA_DIR": str(folder), "PYTHONPATH": str(stage.ROOT)}


def _fill_demo(folder: Path) -> None:
    process = subprocess.Popen(
        _demo(_three_ports()),
        env={**os.environ, **_environment(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + FIRST_START_SECONDS
    try:
        while not (folder / "demo" / "filled").exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the demo did not become whole")
            time.sleep(0.2)
        time.sleep(1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _three_ports() -> int:
    """A free port whose next two are free as well."""
    while True:
        port = free_port()
        if port < 60_000:
            return port
