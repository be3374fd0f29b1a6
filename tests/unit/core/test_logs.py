"""Logs are JSON lines for machines, and hold nothing about anybody's health."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from portal.core import logs
from portal.core.settings import Settings, UnsafeSettings

log = logging.getLogger("portal.test")


@pytest.fixture
def stream(settings: Settings) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure(settings, written)
    token = logs.request_id.set(None)
    yield written
    logs.request_id.reset(token)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n") if line]


def test_a_line_says_when_where_what_and_for_which_request(stream: io.StringIO) -> None:
    token = logs.request_id.set("req-1")
    log.info("request", extra={"route": "/thread/<id>", "status": 200, "milliseconds": 1.5, "kinds": ["msg"]})
    logs.request_id.reset(token)
    log.warning("later")
    first, second = lines(stream)
    assert first.pop("at").endswith("+00:00")
    assert first == {
        "level": "info",
        "logger": "portal.test",
        "event": "request",
        "request_id": "req-1",
        "route": "/thread/<id>",
        "status": 200,
        "milliseconds": 1.5,
        "kinds": ["msg"],
    }
    assert "request_id" not in second


def test_words_of_people_do_not_get_through_extras(stream: io.StringIO) -> None:
    log.info("request", extra={"subject": "my metformin pills", "nested": {"drug": "metformin"}, "id": "f" * 300})
    assert "metformin" not in stream.getvalue()
    assert lines(stream)[0]["subject"] == "(18 characters left out)"


def test_of_an_error_only_kind_and_place_are_written(stream: io.StringIO) -> None:
    try:
        raise ValueError("input_value='Alice Larkin takes metformin'")
    except ValueError:
        log.exception("it failed")
    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert line["where"][-1].startswith("test_logs.py:")
    assert "metformin" not in stream.getvalue()


def test_nobody_forges_a_line_or_moves_the_cursor(stream: io.StringIO) -> None:
    log.warning('a\r\n{"level":"info"} \x1b[2J \x7f \x85 \u2028 \u202e')
    (line,) = lines(stream)
    assert line["level"] == "warning"
    written = stream.getvalue().rstrip("\n")
    assert all(0x20 <= ord(sign) < 0x7F for sign in written)


def test_sentences_of_other_libraries_lose_their_arguments(stream: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("GET %s", "https://ehr.test/fhir/Patient?name=Larkin")
    logging.getLogger("httpx").info("HTTP Request: GET https://ehr.test/fhir/Patient/7")
    (line,) = lines(stream)
    assert line["event"] == "GET %s (arguments left out)"


def test_warnings_are_lines_too(stream: io.StringIO) -> None:
    logging.getLogger("py.warnings").warning("%s", "deprecated")
    assert lines(stream)[0]["logger"] == "py.warnings"


def test_the_level_is_a_setting(settings: Settings) -> None:
    with pytest.raises(UnsafeSettings, match="PORTAL_LOG_LEVEL"):
        logs.configure(replace(settings, log_level="LOUD"))
