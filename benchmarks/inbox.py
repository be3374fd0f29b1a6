"""Inboxes and threads at ten thousand, a hundred thousand and a million messages: what a page costs must not grow.

Row 9. The rows are made by the database itself from one real thread, ten messages each, so that everything but the
signatures looks as after years of use.
"""

import math
from collections.abc import Iterator

from sqlalchemy import text

from benchmarks import stage
from benchmarks.figures import Figure
from benchmarks.load import Listed, drive
from benchmarks.people import TEAM, Chain, People
from benchmarks.sends import Load
from portal.core.database import Database

SIZES = (10_000, 100_000, 1_000_000)
MESSAGES = 10

# A thread, its patient and everything around them, copied for the numbers from :first to :last.
COPIES = (
    """INSERT INTO patient (id, status, created_at)
       SELECT md5('p' || n), 'active', now() FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n""",
    """INSERT INTO care_relation (pharmacy_id, patient_id, starts_at, source)
       SELECT 'riverside', md5('p' || n), now() - interval '1 year', 'dispenser'
       FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n""",
    """INSERT INTO thread (id, pharmacy_id, patient_id, topic, created_by, created_at, head_seq, head, last_message_seq,
                           epoch, members, state, waits_for_keys)
       SELECT md5('t' || n), pharmacy_id, md5('p' || n), topic, created_by, created_at - n * interval '1 minute',
              head_seq, head, last_message_seq, epoch, members, state, waits_for_keys
       FROM thread, generate_series(CAST(:first AS int), CAST(:last AS int)) n WHERE id = :model""",
    """INSERT INTO record (pharmacy_id, thread_id, seq, kind, h, sig, ct, cth, w, wh, account_id, received_at, urgent)
       SELECT pharmacy_id, md5('t' || n), seq, kind, h, sig, ct, cth, w, wh, account_id,
              received_at - n * interval '1 minute', urgent
       FROM record, generate_series(CAST(:first AS int), CAST(:last AS int)) n WHERE thread_id = :model""",
    """INSERT INTO inbox_row (pharmacy_id, reader_id, thread_id, last_at, last_seq, awaiting, urgent, change_no)
       SELECT 'riverside', reader, md5('t' || n), now() - n * interval '1 minute', 11, n % 20 = 0, false, n
       FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n,
            LATERAL (VALUES (CAST(:team AS text)), (md5('a' || n))) AS readers (reader)""",
)


def measure(server: str, *, quick: bool) -> Iterator[Figure]:
    """Pages over HTTP at each size, their growth, and sends at the largest size against the smallest."""
    sizes = SIZES[:2] if quick else SIZES
    with stage.database(server) as opened, stage.portal(opened) as portal:
        people = People(opened, pharmacists=4)
        model = people.chain(MESSAGES - 1)
        _send_all(portal, people, model)
        probe = _Probe(portal, people)
        costs: dict[str, list[float]] = {}
        sends: list[float] = []
        filled = 0
        for size in sizes:
            _fill(opened, model.thread_id, filled + 1, size // MESSAGES)
            filled = size // MESSAGES
            for name, milliseconds in probe.pages().items():
                costs.setdefault(name, []).append(milliseconds)
                yield Figure(f"{size:,} messages: {name}", milliseconds, "ms")
            sends.append(_send_all(portal, people, people.chain(60)))
            yield Figure(f"{size:,} messages: sends over one connection", sends[-1], "1/s")
        for name, found in costs.items():
            yield Figure(f"{name}: exponent (row 9)", _exponent(sizes, found), "", most=0.05)
            yield Figure(f"{name}: largest / smallest (row 9)", found[-1] / found[0], "x", most=1.2)
        yield Figure("sends: largest / smallest (row 9)", sends[-1] / sends[0], "x", least=0.9)


class _Probe:
    """Asks for the same pages again and again over one connection, as a pharmacist does."""

    def __init__(self, portal: stage.Portal, people: People) -> None:
        self._portal = portal
        self._people = people

    def pages(self) -> dict[str, float]:
        """Medians in milliseconds of 60 askings each; the pages take turns so that noise falls on all of them."""
        middle = self._middle()
        paths = {
            "inbox, first page and badge": "/api/threads",
            "inbox, page in the middle": f"/api/threads?reader={TEAM}&after={middle[0]}",
            "what waits": "/api/threads?awaiting=1",
            "thread": f"/api/threads/{middle[1]}",
            "thread, newest records": f"/api/threads/{middle[1]}/records",
        }
        times: dict[str, list[float]] = {name: [] for name in paths}
        for number in range(66):
            # Three pharmacists share the asking: none comes near the limit of requests.
            cookie = self._people.cookie(self._people.pharmacists[1 + number % 3])
            for name, path in paths.items():
                outcome = drive(
                    self._portal.served.port, [Listed(iter([self._portal.read(path, cookie)]))], connections=1
                )
                if outcome.refused:
                    raise RuntimeError(f"{path}: {outcome.refused[0][-300:]!r}")
                if number >= 6:
                    times[name].append(1000 * outcome.latencies[0])
        return {name: sorted(found)[len(found) // 2] for name, found in times.items()}

    def _middle(self) -> tuple[str, str]:
        with self._people.database.reading() as session:
            rows = session.execute(
                text("SELECT last_at, thread_id FROM inbox_row WHERE reader_id = :team ORDER BY change_no"),
                {"team": TEAM},
            ).all()
        last_at, thread_id = rows[len(rows) // 2]
        return f"{int(last_at.timestamp() * 1_000_000)}.{thread_id}", thread_id


def _fill(opened: Database, model: str, first: int, last: int) -> None:
    with opened.transaction() as session:
        for copy in COPIES:
            session.execute(text(copy), {"first": first, "last": last, "model": model, "team": TEAM})
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _send_all(portal: stage.Portal, people: People, chain: Chain) -> float:
    return Load(people).through(portal, [chain], connections=1)[0].per_second


def _exponent(sizes: tuple[int, ...], costs: list[float]) -> float:
    """The slope of cost over size in double logarithm, by least squares."""
    x = [math.log(size) for size in sizes[: len(costs)]]
    y = [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
