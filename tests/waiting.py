"""Waiting for something to come true that says nothing when it does."""

import time
from collections.abc import Callable
from typing import Any

SECONDS = 60.0
PAUSE_SECONDS = 0.1


def until(
    true: Callable[[], Any], otherwise: str, *, seconds: float = SECONDS, rest: Callable[[float], Any] = time.sleep
) -> Any:
    """What `true()` gives, once it is truthy: asked again and again, with a short `rest` (of seconds) between.

    Fails with `otherwise` when it stays false for `seconds`: a bound for what is broken, not a time for anything.
    """
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {otherwise}"
        rest(PAUSE_SECONDS)
    return found
