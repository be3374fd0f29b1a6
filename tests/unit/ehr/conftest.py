"""An EHR that says what the test wants, on loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ehr_answers import fhir
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from portal.ehr.client import EhrClient, EhrConnection


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def ehr(httpserver: HTTPServer, pauses: list[float]) -> Iterator[EhrClient]:
    """Our client for the test's EHR; it notes its pauses instead of sleeping."""
    client = EhrClient(EhrConnection(httpserver.url_for("/fhir")), pause=pauses.append)
    yield client
    client.close()


@pytest.fixture
def answer(httpserver: HTTPServer) -> Callable[..., None]:
    """Say how the EHR answers one address, by value or by function."""

    def say(path: str, what: Any, method: str = "GET") -> None:
        expected = httpserver.expect_request(f"/fhir{path}", method=method)
        if callable(what) and not isinstance(what, Response):
            expected.respond_with_handler(what)
        else:
            expected.respond_with_response(what if isinstance(what, Response) else fhir(what))

    return say


@pytest.fixture
def in_turn() -> Callable[..., Callable[[Request], Response]]:
    """A handler that gives one answer after the other, the last one for ever."""

    def make(*answers: Response) -> Callable[[Request], Response]:
        left = list(answers)
        return lambda request: left.pop(0) if len(left) > 1 else left[0]

    return make


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """A server below HTTP: each connection is handed to the given function. Returns the base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(talk: Callable[[socket.socket], None]) -> str:
        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65536)
                    talk(connection)
                except OSError:
                    return

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"

    yield start
    stop.set()
    listener.close()
    for thread in threads:
        thread.join(6)
