"""Load over keep-alive connections from one thread: so little work of its own that the server is what is measured."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol


class Turn(Protocol):
    """Requests that must follow one another; whichever connection is free sends the next one."""

    def next(self) -> bytes | None:
        """The next request, None when there is no more."""


@dataclass
class Listed:
    """Requests in a fixed order."""

    requests: Iterator[bytes]

    def next(self) -> bytes | None:
        return next(self.requests, None)


@dataclass
class Outcome:
    """What came of a load. Latencies in seconds, of answers with the wanted status only."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    last: bytes = b""

    @property
    def per_second(self) -> float:
        """Wanted answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def last_header(self, name: str) -> str:
        """A header of the last wanted answer; empty without it."""
        for line in self.last.partition(b"\r\n\r\n")[0].decode("latin-1").splitlines()[1:]:
            if line.lower().startswith(f"{name}:"):
                return line.partition(":")[2].strip()
        return ""

    def quantile(self, share: float) -> float:
        """A quantile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Line:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.turn: Turn | None = None
        self.began = 0.0
        self.answer = b""

    def begin(self, turn: Turn, request: bytes) -> None:
        self.turn, self.answer, self.began = turn, b"", time.perf_counter()
        self.socket.sendall(request)

    def complete(self) -> bool:
        """Read what is there; whether the answer is whole."""
        part = self.socket.recv(262_144)
        if not part:
            raise ConnectionError("the server closed a connection")
        self.answer += part
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            return False
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 and not head.startswith(b"HTTP/1.1 304") else 0
        return len(body) >= length


def drive(port: int, turns: Iterable[Turn], *, connections: int, wanted: int = 200) -> Outcome:
    """Send everything the turns have over so many connections. Each turn has one request under way at a time."""
    waiting = deque(turns)
    outcome = Outcome()
    ready = selectors.DefaultSelector()
    lines = [_Line(port) for _ in range(connections)]
    free = deque(lines)
    status = f"HTTP/1.1 {wanted}".encode()
    began = time.perf_counter()
    busy = 0
    for line in lines:
        ready.register(line.socket, selectors.EVENT_READ, line)
    try:
        while True:
            while free and waiting:
                turn = waiting.popleft()
                request = turn.next()
                if request is not None:
                    free.popleft().begin(turn, request)
                    busy += 1
            if not busy:
                break
            for key, _ in ready.select():
                line = key.data
                if not line.complete():
                    continue
                busy -= 1
                if line.answer.startswith(status):
                    outcome.latencies.append(time.perf_counter() - line.began)
                    outcome.last = line.answer
                else:
                    outcome.refused.append(line.answer)
                waiting.append(line.turn)
                free.append(line)
    finally:
        for line in lines:
            line.socket.close()
        ready.close()
    outcome.seconds = time.perf_counter() - began
    return outcome
