"""Sends: how many a second and what each costs in processor time, against hello-world and PostgreSQL's own floor.

Rows 4, 5, 16 and 17 of the targets. The same messages go through one thread and through sixteen. In one thread every
message names the one before it, so only one can be under way, however many connections there are.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure, median_of
from benchmarks.load import Listed, Outcome, drive
from benchmarks.machine import Served, free_port, serving
from benchmarks.people import Chain, People

CONNECTIONS = (1, 8, 32)
THREADS = (1, 16)

FLOOR_TABLES = """
CREATE TABLE member (thread int, account int, PRIMARY KEY (thread, account));
CREATE TABLE head (thread int PRIMARY KEY, seq int NOT NULL, hash bytea NOT NULL);
CREATE TABLE message (thread int, seq int, body bytea NOT NULL, PRIMARY KEY (thread, seq));
CREATE TABLE audit (id bigserial PRIMARY KEY, thread int NOT NULL, account int NOT NULL, at timestamptz NOT NULL);
INSERT INTO member SELECT t, a FROM generate_series(1, 16) t, generate_series(1, 4) a;
INSERT INTO head SELECT t, 0, '' FROM generate_series(1, 16) t;
"""
FLOOR = """
\\set t random(1, 16)
\\set a random(1, 4)
BEGIN;
SELECT 1 FROM member WHERE thread = :t AND account = :a;
SELECT seq AS s FROM head WHERE thread = :t FOR UPDATE \\gset
INSERT INTO message VALUES (:t, :s + 1, decode(repeat('ab', 600), 'hex'));
INSERT INTO audit (thread, account, at) VALUES (:t, :a, now());
UPDATE head SET seq = seq + 1, hash = '\\\\x00' WHERE thread = :t;
END;
"""


def measure(server: str, *, quick: bool) -> Iterator[Figure]:
    """Sends through one and sixteen threads at 1, 8 and 32 connections, round by round between the two floors."""
    rounds = 1 if quick else 3
    seconds = 2 if quick else 3
    with (
        stage.database(server) as opened,
        stage.portal(opened) as portal,
        stage.portal(opened, module="benchmarks.without_audit") as silent,
        _hello() as hello,
        tempfile.TemporaryDirectory() as folder,
    ):
        people = People(opened)
        script = _floor(stage.url_of(opened), Path(folder))
        load = Load(people)
        load.run(portal, threads=16, sends=320, connections=8)
        load.run(silent, threads=16, sends=320, connections=8)
        for threads in THREADS:
            for connections in CONNECTIONS:
                sends = (200 if quick else 400) if threads == 1 else (400 if quick else 960)
                done: list[_Round] = []
                for _ in range(rounds):
                    outcome, cpu = load.run(portal, threads=threads, sends=sends, connections=connections)
                    said, hello_cpu = _say_hello(hello, connections, 4 * sends)
                    floor = _floor_per_second(stage.url_of(opened), script, connections, seconds)
                    done.append(_Round(outcome, cpu, said, hello_cpu, floor))
                yield from _figures(f"{threads} thread{'s' * (threads > 1)}, {connections} connections", done)
        yield _audit_cost(load, portal, silent, rounds=3 if quick else 6)


def measure_sqlite(*, quick: bool) -> Iterator[Figure]:
    """Sends to the laptop's database: one process, one write lock."""
    with stage.sqlite() as opened, stage.portal(opened) as portal:
        load = Load(People(opened))
        load.run(portal, threads=16, sends=160, connections=8)
        tails = []
        for _ in range(1 if quick else 3):
            outcome, _ = load.run(portal, threads=16, sends=960, connections=8)
            tails.append(outcome.quantile(0.99) / outcome.quantile(0.5))
        yield median_of("sqlite, 8 connections: p99 / p50 (row 17)", tails, "x", most=5.0)
        yield Figure("sqlite, 8 connections: sends", outcome.per_second, "1/s")
        yield Figure("sqlite, 8 connections: p50", outcome.quantile(0.5), "ms")


class _Round:
    def __init__(self, sends: Outcome, cpu: float, hello: Outcome, hello_cpu: float, floor: float) -> None:
        self.per_second = sends.per_second
        self.p50, self.p99 = sends.quantile(0.5), sends.quantile(0.99)
        self.cpu = 1000 * cpu / len(sends.latencies)
        self.hello_cpu = 1000 * hello_cpu / len(hello.latencies)
        self.hello_per_second = hello.per_second
        self.floor = floor


class Load:
    """Fresh threads for every measurement, sealed before the clock runs."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._csrf: dict[tuple[int, str], str] = {}

    def run(self, portal: stage.Portal, *, threads: int, sends: int, connections: int) -> tuple[Outcome, float]:
        """As `through`, with threads made for it."""
        chains = [self._people.chain(sends // threads) for _ in range(threads)]
        return self.through(portal, chains, connections=connections)

    def through(self, portal: stage.Portal, chains: Sequence[Chain], *, connections: int) -> tuple[Outcome, float]:
        """What came of the sends, and the processor seconds of the portal's processes."""
        turns = [Listed(iter(self.requests(portal, chain))) for chain in chains]
        before = portal.served.cpu()
        outcome = drive(portal.served.port, turns, connections=connections, wanted=201)
        cpu = portal.served.cpu() - before
        if outcome.refused:
            raise RuntimeError(f"{len(outcome.refused)} sends were refused: {outcome.refused[0][-300:]!r}")
        return outcome, cpu

    def requests(self, portal: stage.Portal, chain: Chain) -> list[bytes]:
        """The sends of a thread as bytes."""
        return [
            portal.send(chain.thread_id, send, self._people.cookie(send.sender), self.csrf(portal, send.sender))
            for send in chain.sends
        ]

    def csrf(self, portal: stage.Portal, name: str) -> str:
        """The token of somebody's session, as the portal gives it."""
        place = (portal.served.port, name)
        if place not in self._csrf:
            request = portal.read("/api/session", self._people.cookie(name))
            turn = Listed(iter([request]))
            answers = drive(portal.served.port, [turn], connections=1, wanted=0).refused
            self._csrf[place] = json.loads(answers[0].partition(b"\r\n\r\n")[2])["csrf"]
        return self._csrf[place]


def _hello() -> AbstractContextManager[Served]:
    port = free_port()
    return serving(
        [sys.executable, "-m", "benchmarks.hello", str(port)],
        port=port,
        path="/",
        environment={"PYTHONPATH": str(stage.ROOT)},
    )


def _say_hello(hello: Served, connections: int, count: int) -> tuple[Outcome, float]:
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n"
    turns = [Listed(iter([request] * (count // connections))) for _ in range(connections)]
    before = hello.cpu()
    outcome = drive(hello.port, turns, connections=connections)
    return outcome, hello.cpu() - before


def _floor(url: str, folder: Path) -> Path:
    script = folder / "send.sql"
    script.write_text(FLOOR)
    plain = url.replace("+psycopg", "")
    subprocess.run(["psql", "-q", plain], input=FLOOR_TABLES, text=True, check=True, capture_output=True)
    return script


def _floor_per_second(url: str, script: Path, clients: int, seconds: int) -> float:
    done = subprocess.run(
        [
            *("pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2))),
            *("-T", str(seconds), "-f", str(script), url.replace("+psycopg", "")),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return float(line.split("=")[1].split()[0])


def _figures(case: str, done: list[_Round]) -> Iterator[Figure]:
    judged = case == "16 threads, 8 connections"
    yield median_of(f"{case}: sends", [one.per_second for one in done], "1/s")
    yield median_of(f"{case}: p50", [one.p50 for one in done], "ms")
    yield median_of(f"{case}: p99", [one.p99 for one in done], "ms")
    yield median_of(f"{case}: CPU a send", [one.cpu for one in done], "ms")
    yield median_of(f"{case}: CPU of hello-world", [one.hello_cpu for one in done], "ms")
    yield median_of(f"{case}: hello-world", [one.hello_per_second for one in done], "1/s")
    yield median_of(f"{case}: floor of PostgreSQL", [one.floor for one in done], "1/s")
    yield median_of(
        f"{case}: CPU a send / CPU of hello-world (row 4)",
        [one.cpu / one.hello_cpu for one in done],
        "x",
        most=10.0 if judged else None,
    )
    yield median_of(
        f"{case}: sends / floor of PostgreSQL (row 5)",
        [one.per_second / one.floor for one in done],
        "x",
        least=0.07 if judged else None,
    )


def _audit_cost(load: Load, portal: stage.Portal, silent: stage.Portal, *, rounds: int) -> Figure:
    ratios = []
    for number in range(rounds):
        speeds = {}
        # Whoever comes first in a pair may have it easier: they take turns.
        for one in (portal, silent) if number % 2 == 0 else (silent, portal):
            speeds[one] = load.run(one, threads=16, sends=640, connections=8)[0].per_second
        ratios.append(speeds[portal] / speeds[silent])
    return median_of("sends with the audit record / without (row 16)", ratios, "x", least=0.85)
