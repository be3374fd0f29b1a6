"""A demo portal as a process of its own, with data of its own, for tests that need a real browser's other end."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext

# The first of these that the machine has, else Playwright's own. The shell is the same Chromium without the windows,
# tabs and menus around its pages, which take most of the time of a new profile.
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine has a name, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
START_SECONDS = 600
# Milliseconds until something must have happened in a browser. Nothing waits that long but what fails: the machine may
# be ten times slower than one of ours, and busy with other tests.
SOON = 60_000


def launching() -> dict[str, Any]:
    """Playwright's arguments for launching Chromium."""
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    return {"args": list(FLAGS)} | ({} if found is None else {"executable_path": found})


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row on loopback.

    Below those that systems give to outgoing connections: one of these could take a port before the portal does.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        held: list[socket.socket] = []
        try:
            held += (socket.create_server(("127.0.0.1", port + offset)) for offset in range(count))
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
        return port
    raise RuntimeError("no free ports in a row")


def start_portal(folder: Path, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start `portal demo` with data of its own in `folder`; gives the process and its address once it is ready.

    Raises RuntimeError with the portal's last words when it is not ready in time.
    """
    log = folder / "portal.log"
    for _ in range(3):
        process, address = _started(folder, log, free_ports(3), options)
        if address is not None:
            return process, address
        stop_portal(process)
        # Somebody else took the ports in the meantime.
        if b"in use" not in log.read_bytes():
            break
    raise RuntimeError(f"the portal did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")


def _started(folder: Path, log: Path, port: int, options: Sequence[str]) -> tuple[subprocess.Popen[bytes], str | None]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    environment |= {"PORTAL_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "portal.cli", "demo", "--port", str(port), *options]
    with log.open("wb") as words:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=words, stderr=subprocess.STDOUT)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                # It listens while the world is still being made; who signs in too early has no account.
                if answer.status == 200 and b"Ctrl-C ends everything" in log.read_bytes():
                    return process, f"http://localhost:{port}"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    return process, None


def stop_portal(process: subprocess.Popen[bytes]) -> None:
    """End a portal as Ctrl-C does, or harder when it does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


_ANSWER = """
new MutationObserver(() => document.querySelector("[data-whose] button")?.click())
  .observe(document, { childList: true, subtree: true });
"""


def on_own_device(context: BrowserContext) -> None:
    """Whoever makes first keys in this profile says that the device is their own, as most people do."""
    context.add_init_script(_ANSWER)
