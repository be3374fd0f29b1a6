"""`portal events`: one waiting stream must not hold up the others, so gevent comes before whatever waits.

And the end of it and of `portal serve`: Ctrl-C and SIGTERM let open streams go at once, and nothing has to be killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx
import pytest
from world import build

from portal.core import clock
from portal.core.database import Database
from portal.identity import sessions
from portal.identity.session_life import Proof
from portal.serving import GRACEFUL_SECONDS

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


@pytest.fixture
def command() -> str:
    """What is started."""
    return "events"


@pytest.fixture
def portal(database_url: str, tmp_path: Path, command: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`portal events` or another, and the address where it answers."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environment = os.environ | {
        "PORTAL_DATABASE_URL": database_url,
        "PORTAL_SECRET_KEY": "test-secret-key-of-at-least-32-characters",
        "PORTAL_DATA_DIR": str(tmp_path),
        "PORTAL_OIDC_ISSUER": "http://idp.test",
    }
    words = [sys.executable, "-m", "portal.cli", command, "--bind", f"127.0.0.1:{port}"]
    # A group of its own, as a terminal makes one.
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            assert _status(f"http://127.0.0.1:{port}/readyz") == 200
            yield f"http://localhost:{port}", process
        finally:
            process.kill()


def test_the_command_becomes_that_program(portal: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, process = portal
    assert _status(f"{address}/events") == 401
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0].decode()
    assert "MonkeyPatchWarning" not in said
    assert process.returncode == 0, said


@pytest.mark.parametrize("command", ["events", "serve"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_to_end_lets_its_streams_go(
    portal: tuple[str, subprocess.Popen[bytes]], database: Database, number: signal.Signals
) -> None:
    address, process = portal
    account = build(database).accounts["bob"]
    with database.transaction() as session:
        cookie, _ = sessions.begin(
            session, account_id=account, role="pharmacist", proof=Proof(clock.now(), None, (), None, None)
        )
    with httpx.Client(trust_env=False, cookies={"portal_session": cookie}, timeout=30) as browser:
        streams = [browser.stream("GET", f"{address}/events") for _ in range(2)]
        with streams[0] as one, streams[1] as other:
            heard = [answer.iter_lines() for answer in (one, other)]
            for lines in heard:
                assert "event: ready" in (next(lines) for _ in range(10))
            if number is signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            asked = time.monotonic()
            for lines in heard:
                assert not any(line.startswith("event") for line in lines)
            process.wait(60)
    assert time.monotonic() - asked < GRACEFUL_SECONDS / 2
    said = process.communicate()[0].decode()
    assert process.returncode == 0, said
    assert '"event":"stopping"' in said
    assert '"event":"stopped"' in said
    assert "SIGKILL" not in said


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
