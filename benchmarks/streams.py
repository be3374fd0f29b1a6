"""Event streams that lie open without a word: memory of each, and what two thousand of them cost the processor.

Row 13. Every account holds at most twelve, so the streams are those of many people.
"""

import socket
import time
from collections.abc import Iterator

from benchmarks import stage
from benchmarks.figures import Figure
from benchmarks.machine import proportional_memory
from benchmarks.people import People

OF_ONE = 10
GIB = 1 << 30


def measure(server: str, *, quick: bool) -> Iterator[Figure]:
    """Open the streams on `portal events`, wait until the server is quiet, look for some seconds."""
    count, seconds = (400, 10) if quick else (2000, 30)
    with (
        stage.database(server) as opened,
        stage.portal(opened, command="events", more={"PORTAL_STREAM_LIMIT": "10000"}) as portal,
    ):
        people = People(opened, pharmacists=1)
        cookies = [people.cookie(people.patient()) for _ in range(count // OF_ONE)]
        lines = [_open(portal, cookies[0]) for _ in range(2)]
        time.sleep(3)
        empty = proportional_memory(portal.served.pid)
        began = time.perf_counter()
        try:
            lines += [_open(portal, cookies[number // OF_ONE]) for number in range(2, count)]
            opening = time.perf_counter() - began
            # A stream says "ping" every thirty seconds; the first round belongs to opening.
            time.sleep(5)
            full = proportional_memory(portal.served.pid)
            cpu, began = portal.served.cpu(), time.perf_counter()
            time.sleep(seconds)
            share = (portal.served.cpu() - cpu) / (time.perf_counter() - began)
        finally:
            for line in lines:
                line.close()
    each = (full - empty) / (count - 2)
    yield Figure("streams opened", (count - 2) / opening, "1/s")
    yield Figure("memory of an idle stream", each / 1024, "KiB")
    yield Figure("idle streams in a GiB (row 13)", GIB / each, "", least=25_000)
    yield Figure(f"processor for {count:,} idle streams (row 13)", 100 * share, "% of a core", most=2.0 * count / 2000)


def _open(portal: stage.Portal, cookie: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", portal.served.port), 20)
    line.sendall(portal.read("/events", cookie))
    got = b""
    while b"event: ready" not in got:
        part = line.recv(65_536)
        if not part:
            raise RuntimeError(f"no stream: {got[-300:]!r}")
        got += part
    return line
