"""FHIR servers on loopback for the contract tests: our sandbox, sekmet-fhir, and HAPI where the run names one."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from waiting import until
from werkzeug.serving import make_server

from portal.demo.sandbox import create_sandbox
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.transport import Transport

HAPI = os.environ.get("PORTAL_TEST_HAPI", "").rstrip("/")
SERVERS = ("sandbox", "sekmet", *(("hapi",) if HAPI else ()))


@dataclass
class Server:
    """A running server, and our client for it."""

    kind: str
    base_url: str
    client: EhrClient
    raw: Transport


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(kind: str, folder: Path) -> Iterator[Server]:
    """The server `kind`, until the block ends."""
    with _STARTERS[kind](folder) as base_url:
        client = EhrClient(EhrConnection(base_url, source=kind))
        raw = Transport(base_url)
        try:
            yield Server(kind, base_url, client, raw)
        finally:
            client.close()
            raw.close()


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    port = free_port()
    app = create_sandbox(folder / "sandbox.sqlite3", f"http://localhost:{port}/fhir")
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{port}/fhir"
    server.shutdown()
    thread.join(10)
    server.server_close()
    app.sandbox.close()


@contextmanager
def _sekmet(folder: Path) -> Iterator[str]:
    import uvicorn
    from sekmet.config import Settings, SimulatorSettings
    from sekmet.main import create_app

    port = free_port()
    settings = Settings(
        base_url=f"http://127.0.0.1:{port}/fhir",
        host="127.0.0.1",
        port=port,
        data_dir=str(folder),
        own_private_key_path=str(folder / "key.pem"),
        simulator=SimulatorSettings(enabled=False),
    )
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server stands")
    yield f"http://127.0.0.1:{port}/fhir"
    server.should_exit = True
    thread.join(10)


@contextmanager
def _hapi(folder: Path) -> Iterator[str]:
    yield HAPI


_STARTERS = {"sandbox": _sandbox, "sekmet": _sekmet, "hapi": _hapi}


@dataclass
class Hook:
    """A listener for rest-hook notices: what came, as (method, path, authorization, body)."""

    url: str
    notices: list[tuple[str, str, str, Any]]


@contextmanager
def hook() -> Iterator[Hook]:
    """A listener on loopback, until the block ends."""
    notices: list[tuple[str, str, str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            said = self.headers.get("authorization", "")
            notices.append((self.command, self.path, said, json.loads(body) if body else None))
            self.send_response(200)
            self.end_headers()

        do_POST = do_PUT

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Hook(f"http://127.0.0.1:{server.server_port}/hook", notices)
    server.shutdown()
    thread.join(10)
    server.server_close()
