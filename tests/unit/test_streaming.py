"""`portal events`: one waiting stream must not hold up the others, so gevent comes before whatever waits."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

WAITS = (
    "import portal.streaming, queue, select, socket, threading\n"
    "from gevent import monkey\n"
    "import psycopg.waiting\n"
    "assert all(monkey.is_module_patched(name) for name in ('socket', 'ssl', 'select', 'threading', 'queue'))\n"
    "assert psycopg.waiting.wait is not psycopg.waiting.wait_c\n"
)


def test_whatever_waits_lets_the_other_streams_go_on() -> None:
    said = subprocess.run([sys.executable, "-W", "error", "-c", WAITS], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_the_command_becomes_that_program(migrated_sqlite: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environment = os.environ | {
        "PORTAL_DATABASE_URL": f"sqlite:///{migrated_sqlite}",
        "PORTAL_SECRET_KEY": "test-secret-key-of-at-least-32-characters",
        "PORTAL_DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "portal.cli", "events", "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert _status(f"http://127.0.0.1:{port}/readyz") == 200
            assert _status(f"http://localhost:{port}/events") == 401
        finally:
            process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0].decode()
    assert "MonkeyPatchWarning" not in said
    assert process.returncode == 0, said


def _status(url: str) -> int:
    for _ in range(600):
        try:
            with urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as refused:
            return refused.code
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")
