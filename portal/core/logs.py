"""Structured logs: one JSON object a line, for machines; nothing in them is about anybody's health.

Extras are codes and numbers, as in the audit record; text that is none is cut to its length. Of an error only its
kind and place are written, since its words may repeat a patient's data. Line breaks and terminal codes are encoded.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from portal.core.settings import Settings, UnsafeSettings

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MOST_FRAMES = 12

# The id of the request or job this thread or task is at; written to each line, and to the audit record by the web.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CODE = re.compile(r"[\x21-\x7e]{1,200}")
# Others' loggers write addresses and parameters into their sentences; ours pass them as extras.
_OURS = ("portal", "gunicorn")
_TALKATIVE = ("httpx", "httpcore", "urllib3", "sqlalchemy.engine", "alembic", "authlib", "mail.log")


class JsonLines(logging.Formatter):
    """One record as one line of JSON in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= {name: _value(value) for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["where"] = _frames(record.exc_info[2])
        return json.dumps(line, ensure_ascii=True, separators=(",", ":")).replace("\x7f", "\\u007f")


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error) as JSON lines. Raises UnsafeSettings."""
    level = settings.log_level.upper()
    if level not in LEVELS:
        raise UnsafeSettings([f"PORTAL_LOG_LEVEL must be one of {', '.join(LEVELS)}"])
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # No line says from which place, thread or process it came, so nobody needs to find out.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _event(record: logging.LogRecord) -> str:
    if record.name.split(".", 1)[0] in _OURS:
        return record.getMessage()[:500]
    return str(record.msg)[:500] if not record.args else f"{str(record.msg)[:200]} (arguments left out)"


def _value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(item) for item in value][:50]
    text = str(value)
    return text if _CODE.fullmatch(text) else f"({len(text)} characters left out)"


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-MOST_FRAMES:]
    return [f"{_short(frame.filename)}:{frame.lineno}:{frame.name}" for frame in frames]


def _short(path: str) -> str:
    """A file's place from the package on: where it is installed is nobody's business."""
    for before in ("/site-packages/", "/portal/"):
        _, found, within = path.rpartition(before)
        if found:
            return within if before == "/site-packages/" else f"portal/{within}"
    return path.rpartition("/")[2]
