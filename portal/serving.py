"""Serving with gunicorn: the whole portal in one process for the laptop, several processes in production.

Embedded (SQLite): one process with many threads, the worker's loops inside. Production: `portal serve` (gthread),
`portal events` (gevent, nothing but the event stream) and `portal worker` are units of their own.
"""

import _thread
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from portal.web.events import stream

# A request line and its headers; what is longer is an attack or a mistake.
REQUEST_LINE_LIMIT = 8190
GRACEFUL_SECONDS = 30


@dataclass(frozen=True)
class Plan:
    """How to serve: where, with how many processes and threads, and what runs beside the requests."""

    bind: str
    workers: int
    threads: int
    worker_class: str = "gthread"
    # Seconds a connection stays open after an answer, for the next request.
    keepalive: int = 15
    # Called once in each serving process, after the app is made; its result is called when the process ends.
    beside: Callable[[Flask], Callable[[], None]] | None = None


class PortalServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up from code."""

    def __init__(self, make_app: Callable[[], Flask], plan: Plan) -> None:
        self._make_app = make_app
        self._plan = plan
        self._stop: Callable[[], None] | None = None
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._plan.bind,
            "workers": self._plan.workers,
            "threads": self._plan.threads,
            "worker_class": self._plan.worker_class,
            "worker_connections": 10_000,
            "keepalive": self._plan.keepalive,
            "timeout": 60,
            "graceful_timeout": GRACEFUL_SECONDS,
            "limit_request_line": REQUEST_LINE_LIMIT,
            "limit_request_fields": 60,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "forwarded_allow_ips": "",
            "proc_name": "portal",
            "worker_exit": lambda server, worker: self._end(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        app = self._make_app()
        _when_asked_to_end(lambda: stream.end_all(app.extensions["portal"]))
        if self._plan.beside is not None:
            self._stop = self._plan.beside(app)
        return app

    def _end(self) -> None:
        if self._stop is not None:
            self._stop()


def _when_asked_to_end(act: Callable[[], None]) -> None:
    """Run `act` in this serving process when it gets SIGTERM, beside what gunicorn does then.

    Open streams are requests under way: without it each restart would wait for them until their time is up.
    """
    gunicorns = signal.getsignal(signal.SIGTERM)

    def both(number: int, frame: FrameType | None) -> None:
        # Not in the signal's own frame, which may have interrupted somebody who holds the bus's lock; and without the
        # wait for the beginning that Thread.start has, which gevent does not allow there.
        _thread.start_new_thread(act, ())
        if callable(gunicorns):
            gunicorns(number, frame)

    signal.signal(signal.SIGTERM, both)


def serve(make_app: Callable[[], Flask], plan: Plan) -> None:
    """Serve until SIGTERM or SIGINT; requests under way get up to 30 seconds to end."""
    PortalServer(make_app, plan).run()
