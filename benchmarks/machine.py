"""Processes under measurement: started, waited for, asked for their processor time and memory, and ended again."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all that it started, in seconds."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def proportional_memory(pid: int) -> int:
    """PSS of a process and all that it started, in bytes: shared pages are counted once."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True)
class Served:
    """A server that answers, and how long it took from its start to its first 200."""

    pid: int
    port: int
    seconds_to_first_answer: float

    def cpu(self) -> float:
        """Processor seconds so far."""
        return cpu_seconds(self.pid)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    port: int,
    path: str = "/healthz",
    host: str = "localhost",
    environment: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> Iterator[Served]:
    """Start a server and end it afterwards. Raises RuntimeError with its last words when it never answers."""
    log = Path(f"/tmp/portal-benchmark-{os.getpid()}-{port}.log")
    began = time.monotonic()
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=words, stderr=words, start_new_session=True
        )
    try:
        while not _answers(port, path, host):
            if process.poll() is not None or time.monotonic() - began > patience:
                raise RuntimeError(f"{command[0]} did not answer: {log.read_text()[-2000:]}")
            time.sleep(0.01)
        yield Served(process.pid, port, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.unlink(missing_ok=True)


def _answers(port: int, path: str, host: str) -> bool:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as line:
            line.settimeout(2)
            line.sendall(request)
            return line.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
