"""What is remembered: briefly, little, and asked for once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from portal.core import clock
from portal.ehr.cache import BoundedCache


def test_nothing_is_kept_longer_than_five_minutes() -> None:
    cache: BoundedCache[str] = BoundedCache(seconds=10_000)
    cache.put("a", "x", 1)
    clock.shift(timedelta(seconds=299))
    assert cache.get("a")
    clock.shift(timedelta(seconds=2))
    assert cache.get("a") is None


def test_the_oldest_leave_when_there_are_too_many_or_too_much() -> None:
    cache: BoundedCache[str] = BoundedCache(entries=3, octets=100)
    for name in "abcd":
        cache.put(name, name, 10)
    assert [name for name in "abcd" if cache.get(name)] == ["b", "c", "d"]
    cache.put("e", "e", 85)
    assert [name for name in "bcde" if cache.get(name)] == ["d", "e"]
    cache.put("f", "f", 101)
    assert cache.get("f") is None
    assert cache.get("e")


def test_putting_again_counts_once() -> None:
    cache: BoundedCache[str] = BoundedCache(octets=100)
    for _ in range(50):
        cache.put("a", "x", 60)
    cache.put("b", "x", 40)
    assert cache.get("a")
    assert cache.get("b")


def test_forgetting() -> None:
    cache: BoundedCache[str] = BoundedCache()
    cache.put("alice/1", "x", 1)
    cache.put("dave/1", "x", 1)
    cache.forget(lambda key: key.startswith("alice"))
    assert cache.get("alice/1") is None
    assert cache.get("dave/1")


def test_one_flight_at_a_time_for_a_key_and_none_left_behind() -> None:
    cache: BoundedCache[int] = BoundedCache()
    work: list[int] = []
    lock = threading.Lock()

    def ask(_: int) -> int:
        with cache.flight("k"):
            kept = cache.get("k")
            if kept is None:
                with lock:
                    work.append(1)
                time.sleep(0.02)
                cache.put("k", 7, 1)
                return 7
            return kept.value

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(40))) == {7}
    assert len(work) == 1
    assert cache._flights == {}
