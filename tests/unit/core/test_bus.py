"""Buses across processes, as far as they need no server: what comes in is passed on, or passed over."""

import json

import pytest

from portal.core.bus import RedisBus

TOPIC = "reader:alice"


@pytest.fixture
def bus() -> RedisBus:
    return RedisBus("redis://127.0.0.1:9")


@pytest.mark.parametrize("payload", ["", "not JSON", "3", "[3]", '[{"topic": "reader:alice"}]'])
def test_what_nobody_understands_is_passed_over(bus: RedisBus, payload: str, caplog: pytest.LogCaptureFixture) -> None:
    heard = bus._hub.subscribe(frozenset({TOPIC}))
    bus._receive(payload)
    assert heard.get(0) is None
    bus._receive(json.dumps([{"topic": TOPIC, "event": {"kind": "thread"}}]))
    assert heard.get(0) == {"topic": TOPIC, "kind": "thread"}
    assert "nobody understands" in caplog.text
