"""How soon a message is heard of, and that nothing is lost or doubled while lines break (rows 6 and 7).

Sends come at fixed times, whatever became of those before (open loop). Bob's browser listens; his stream is cut again
and again and goes on with `Last-Event-ID`, by turns at two serving processes that share nothing but PostgreSQL.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from itertools import cycle

from benchmarks import stage
from benchmarks.figures import Figure
from benchmarks.load import Listed, drive
from benchmarks.people import TEAM, Chain, People
from benchmarks.sends import Load

A_SECOND = 5
THREADS = 4


def measure(server: str, *, quick: bool) -> Iterator[Figure]:
    """Once over a quiet line, once over one that breaks twenty times."""
    with (
        stage.database(server) as opened,
        stage.portal(opened) as portal,
        stage.portal(opened, command="events") as one,
        stage.portal(opened, command="events") as other,
    ):
        people = People(opened, pharmacists=4)
        cookie = people.cookie("bob")
        load = Load(people)
        count = 40 if quick else 150
        with _Listener([one], cookie, cuts=0, seconds=count / A_SECOND) as listener:
            acks, sent = _open_loop(load, portal, [people.chain(count // THREADS + 1) for _ in range(THREADS)], count)
            listener.finish(sent)
        delays = sorted(1000 * delay for delay in listener.delays(sent))
        ack = sorted(acks)[len(acks) // 2]
        yield Figure("delivery: p50 from the sender's beginning", delays[len(delays) // 2], "ms")
        yield Figure("delivery: p99", delays[min(len(delays) - 1, int(0.99 * len(delays)))], "ms", most=50.0)
        yield Figure(
            "delivery p50 / the sender's own answer p50 (row 6)", delays[len(delays) // 2] / ack, "x", most=1.5
        )
        yield Figure("quiet line: lost", float(listener.lost(sent)), "", most=0.0)
        cuts = 6 if quick else 20
        with _Listener([one, other], cookie, cuts=cuts, seconds=count / A_SECOND) as listener:
            _, sent = _open_loop(load, portal, [people.chain(count // THREADS + 1) for _ in range(THREADS)], count)
            listener.finish(sent)
        yield Figure("breaking line: cut and resumed", float(listener.cut), "", least=float(cuts))
        yield Figure("breaking line: lost (row 7)", float(listener.lost(sent)), "", most=0.0)
        yield Figure("breaking line: doubled (row 7)", float(listener.doubled), "", most=0.0)


Place = tuple[str, int]


def _open_loop(
    load: Load, portal: stage.Portal, chains: list[Chain], count: int
) -> tuple[list[float], dict[Place, float]]:
    """Milliseconds until each answer, and when each (thread, sequence) was sent."""
    # Epoch 1 and message 2 began the thread.
    turns = cycle([(chain, iter(enumerate(load.requests(portal, chain), 3))) for chain in chains])
    acks: list[float] = []
    sent: dict[Place, float] = {}
    began = time.perf_counter()
    for number in range(count):
        chain, requests = next(turns)
        sequence, request = next(requests)
        time.sleep(max(0.0, began + number / A_SECOND - time.perf_counter()))
        sent[chain.thread_id, sequence] = time.perf_counter()
        outcome = drive(portal.served.port, [Listed(iter([request]))], connections=1, wanted=201)
        if outcome.refused:
            raise RuntimeError(f"a send was refused: {outcome.refused[0][-300:]!r}")
        acks.append(1000 * outcome.latencies[0])
    return acks, sent


class _Listener:
    """A browser's stream in a thread of its own; what it heard of, and when."""

    def __init__(self, portals: list[stage.Portal], cookie: str, *, cuts: int, seconds: float) -> None:
        self._portals = cycle(portals)
        self._cookie = cookie
        self._cuts = cuts
        self._pause = seconds / (cuts + 1)
        self._heard: list[tuple[float, str, int]] = []
        self._cursor = ""
        self._number = -1
        self._ready = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self.cut = 0
        self.doubled = 0

    def __enter__(self) -> "_Listener":
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the stream did not open")
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def finish(self, sent: dict[Place, float]) -> None:
        """Wait until all was heard of, at most ten seconds."""
        until = time.perf_counter() + 10
        while self.lost(sent) and time.perf_counter() < until:
            time.sleep(0.1)

    def lost(self, sent: dict[Place, float]) -> int:
        """Messages that no event led to: a browser fetches everything up to the sequence an event names."""
        reached: dict[str, int] = {}
        for _, thread_id, sequence in list(self._heard):
            reached[thread_id] = max(sequence, reached.get(thread_id, 0))
        return sum(sequence > reached.get(thread_id, 0) for thread_id, sequence in sent)

    def delays(self, sent: dict[Place, float]) -> Iterator[float]:
        """Seconds from sending to the first event that leads to each message."""
        for (thread_id, sequence), moment in sent.items():
            heard = [at for at, thread, upto in self._heard if thread == thread_id and upto >= sequence]
            if heard:
                yield min(heard) - moment

    def _listen(self) -> None:
        while not self._done.is_set():
            with self._open(next(self._portals)) as line:
                until = time.perf_counter() + self._pause if self.cut < self._cuts else float("inf")
                self._read(line, until)
            if not self._done.is_set():
                self.cut += 1

    def _open(self, portal: stage.Portal) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", portal.served.port), 10)
        request = portal.read("/events", self._cookie)
        if self._cursor:
            request = request[:-2] + f"Last-Event-ID: {self._cursor}\r\n\r\n".encode()
        line.sendall(request)
        line.settimeout(0.2)
        return line

    def _read(self, line: socket.socket, until: float) -> None:
        buffer = b""
        while not self._done.is_set() and time.perf_counter() < until:
            try:
                part = line.recv(65_536)
            except TimeoutError:
                continue
            if not part:
                return
            buffer += part
            *events, buffer = buffer.split(b"\n\n")
            for event in events:
                self._hear(event.decode())

    def _hear(self, event: str) -> None:
        # A chunk's own length may stand before the event.
        lines = dict(line.partition(": ")[::2] for line in event.splitlines())
        if "id" not in lines:
            return
        self._cursor = lines["id"]
        self._ready.set()
        if lines.get("event") != "thread":
            return
        data = json.loads(lines["data"])
        number = next(int(part.rpartition(":")[2]) for part in self._cursor.split(",") if part.startswith(f"{TEAM}:"))
        if number <= self._number:
            self.doubled += 1
        self._number = number
        self._heard.append((time.perf_counter(), data["thread"], data["sequence"]))
