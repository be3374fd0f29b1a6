"""Serving with gunicorn: the whole portal in one process for the laptop, several processes in production.

Embedded (SQLite): one process with many threads, the worker's loops inside. Production: `portal serve` (gthread),
`portal events` (gevent, nothing but the event stream) and `portal worker` are units of their own.
"""

import _thread
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from portal.web.events import stream

log = logging.getLogger(__name__)

# A request line and its headers; what is longer is an attack or a mistake.
REQUEST_LINE_LIMIT = 8190
GRACEFUL_SECONDS = 30
# After the requests: for what runs beside them, before the process ends itself, and the master before it kills it.
BESIDE_SECONDS = 25.0
MARGIN_SECONDS = 1


@dataclass(frozen=True)
class Plan:
    """How to serve: where, with how many processes and threads, and what runs beside the requests."""

    bind: str
    workers: int
    threads: int
    worker_class: str = "portal.serving.Threads"
    # Seconds a connection stays open after an answer, for the next request.
    keepalive: int = 15
    # Called once in each serving process, after the app is made; its result is called when the process ends.
    beside: Callable[[Flask], Callable[[], None]] | None = None
    # Seconds that requests under way get when all is to end, and what runs beside them after that.
    graceful: int = GRACEFUL_SECONDS
    beside_seconds: float = BESIDE_SECONDS
    # Tells a person at the terminal "stopping", then "stopped"; the log says both anyway.
    say: Callable[[str], None] = lambda step: None


class Threads(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads; who has only opened a connection and asked nothing does not hold up the end."""

    def murder_pending(self) -> None:
        """Close connections without a request: all of them once this process is to end."""
        if not self.alive:
            for connection in self.pending_conns:
                connection.timeout = 0.0
        super().murder_pending()


class _Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master. Ctrl-C ends as gently as SIGTERM does; a second one is in a hurry."""

    def __init__(self, app: "PortalServer", plan: Plan) -> None:
        self._plan = plan
        super().__init__(app)

    def handle_int(self) -> None:
        """Ctrl-C."""
        self.handle_term()

    def handle_term(self) -> None:
        """End; requests under way may finish."""
        log.info("stopping")
        self._plan.say("stopping")
        super().handle_term()


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
            "graceful_timeout": self._plan.graceful + int(self._plan.beside_seconds) + 2 * MARGIN_SECONDS,
            "limit_request_line": REQUEST_LINE_LIMIT,
            "limit_request_fields": 60,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "forwarded_allow_ips": "",
            "proc_name": "portal",
            # Signals are enough; a socket in the home folder would be one for all portals of a machine.
            "control_socket_disable": True,
            "worker_exit": lambda server, worker: self._end(),
            "on_exit": lambda server: self._ended(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # A terminal tells Ctrl-C to every process of the group; this one waits for the word of its master.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The master waits longer than this process, which so never has to be killed.
        self.cfg.set("graceful_timeout", self._plan.graceful)
        app = self._make_app()
        _when_asked_to_end(lambda: self._let_go(app))
        if self._plan.beside is not None:
            self._stop = self._plan.beside(app)
        return app

    def run(self) -> None:
        """Serve until the end."""
        _Master(self, self._plan).run()

    def _let_go(self, app: Flask) -> None:
        stream.end_all(app.extensions["portal"])
        threading.Event().wait(self._plan.graceful + self._plan.beside_seconds + MARGIN_SECONDS)
        # A request that hangs in a thread would keep the process alive. All that is committed is safe.
        log.warning("did not end in time")
        os._exit(0)

    def _end(self) -> None:
        if self._stop is not None:
            self._stop()

    def _ended(self) -> None:
        log.info("stopped")
        self._plan.say("stopped")


def _when_asked_to_end(act: Callable[[], None]) -> None:
    """Run `act` in this serving process when it is asked to end, beside what gunicorn does then.

    Open streams are requests under way: without it each restart would wait for them until their time is up.
    """
    for signalled in (signal.SIGTERM, signal.SIGQUIT):
        gunicorns = signal.getsignal(signalled)

        def both(number: int, frame: FrameType | None, then: Any = gunicorns) -> None:
            # Not in the signal's own frame, which may have interrupted somebody who holds the bus's lock; and without
            # the wait for the beginning that Thread.start has, which gevent does not allow there.
            _thread.start_new_thread(act, ())
            then(number, frame)

        signal.signal(signalled, both)


def serve(make_app: Callable[[], Flask], plan: Plan) -> None:
    """Serve until SIGTERM or SIGINT; requests under way get `plan.graceful` seconds to end."""
    PortalServer(make_app, plan).run()
