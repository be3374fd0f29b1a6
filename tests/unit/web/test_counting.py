"""Stories of the counters behind the rate limits."""

from threading import Thread

import pytest

from portal.web import counting
from portal.web.counting import Counting


def test_a_window_counts_up_and_begins_anew_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(counting.time, "time", lambda: now)
    counts = Counting()
    assert [counts.incr("alice", 60) for _ in range(3)] == [1, 2, 3]
    assert counts.incr("dave", 60) == 1
    assert (counts.get("alice"), counts.get_expiry("alice")) == (3, 1060.0)
    now = 1060.0
    assert counts.get("alice") == 0
    assert counts.incr("alice", 60) == 1


def test_one_counter_or_all_can_be_forgotten() -> None:
    counts = Counting()
    counts.incr("alice", 60)
    counts.incr("dave", 60, 5)
    counts.clear("alice")
    assert (counts.get("alice"), counts.get("dave")) == (0, 5)
    assert counts.reset() == 1
    assert counts.get("dave") == 0
    assert counts.check()


def test_windows_that_ended_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(counting.time, "time", lambda: now)
    monkeypatch.setattr(counting, "SWEEP_AT", 10)
    counts = Counting()
    for number in range(10):
        counts.incr(f"address:{number}", 60)
    now = 2000.0
    counts.incr("alice", 60)
    assert counts.reset() == 1


def test_nothing_is_lost_between_threads() -> None:
    counts = Counting()
    threads = [Thread(target=lambda: [counts.incr("alice", 60) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.get("alice") == 8000
