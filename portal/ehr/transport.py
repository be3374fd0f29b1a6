"""The one module that speaks HTTP to an EHR, and the only one that imports httpx.

The EHR is hostile input. Every request has one deadline for everything (a server that trickles one byte a second
must not hold a thread), every answer a size limit that also holds after gzip, redirects are not followed, proxies of
the environment are ignored, and a host name is resolved once and pinned, so that a name cannot move to an inside
address later (DNS rebinding).
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from portal.core import clock
from portal.ehr.errors import DownReason, EhrProtocolError, EhrUnavailable, ProtocolFault

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_BYTES = 8 * 1024 * 1024
FHIR_JSON = "application/fhir+json"


class Deadline:
    """One moment by which a whole operation, its retries and its pages must be done.

    `hurried`: whoever asks can do without, so a lost connection is tried once more and nothing is waited for.
    """

    def __init__(self, seconds: float = TOTAL_SECONDS, *, hurried: bool = False) -> None:
        self._end = clock.monotonic() + seconds
        self.hurried = hurried

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - clock.monotonic())

    def check(self) -> None:
        """Raise EhrUnavailable (timeout) once the time is used up."""
        if self.remaining <= 0:
            raise EhrUnavailable(DownReason.TIMEOUT)


@dataclass(frozen=True)
class Reply:
    """An answer read to its end, within all bounds. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Bounded HTTP to one origin. Thread-safe; keeps connections alive between requests.

    `private_network` allows a name that resolves to an inside address; a base URL that itself names a loopback or
    private address is such a permission already. `tls` replaces the system's trust store (tests, private CAs).
    """

    def __init__(
        self,
        base_url: str,
        *,
        private_network: bool = False,
        tls: ssl.SSLContext | None = None,
        max_bytes: int = MAX_BYTES,
        connections: int = 8,
    ) -> None:
        self.max_bytes = max_bytes
        self._backend = _PinnedBackend(private_network or _names_inside_address(base_url))
        self._client = httpx.Client(
            transport=_PoolTransport(self._backend, tls or ssl.create_default_context(), connections),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "pharmacy-portal"},
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        """One request, one answer. Raises EhrUnavailable or EhrProtocolError; never returns a redirect."""
        deadline.check()
        self._backend.use(deadline)
        connect = min(CONNECT_SECONDS, deadline.remaining)
        timeout = httpx.Timeout(deadline.remaining, connect=connect, pool=connect)
        wanted = {"Accept": FHIR_JSON, "Accept-Encoding": "gzip", **(headers or {})}
        try:
            request = self._client.build_request(method, url, headers=wanted, content=content, timeout=timeout)
            with contextlib.closing(self._client.send(request, stream=True)) as answer:
                self._client.cookies.clear()
                body = self._read(answer, deadline)
        except (httpx.TimeoutException, httpcore.TimeoutException) as error:
            raise EhrUnavailable(DownReason.TIMEOUT) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpcore.UnsupportedProtocol) as error:
            raise EhrProtocolError(ProtocolFault.FOREIGN_LINK) from error
        except (httpx.TransportError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            self._backend.forget()
            raise EhrUnavailable(_down_reason(error)) from error
        if 300 <= answer.status_code < 400 and answer.status_code != 304:
            raise EhrProtocolError(ProtocolFault.REDIRECT)
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body)

    def close(self) -> None:
        """Close all kept connections."""
        self._client.close()

    def _read(self, answer: httpx.Response, deadline: Deadline) -> bytes:
        encoding = answer.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", ""):
            raise EhrProtocolError(ProtocolFault.NOT_FHIR)
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        body = bytearray()
        for chunk in answer.iter_raw(64 * 1024):
            deadline.check()
            if inflate is not None:
                # max_length keeps one small chunk from growing to gigabytes before it is counted.
                try:
                    chunk = inflate.decompress(chunk, self.max_bytes - len(body) + 1)
                except zlib.error as error:
                    raise EhrProtocolError(ProtocolFault.NOT_FHIR) from error
            body += chunk
            if len(body) > self.max_bytes:
                raise EhrProtocolError(ProtocolFault.TOO_LARGE)
        if inflate is not None and not inflate.eof and body:
            raise EhrProtocolError(ProtocolFault.NOT_JSON)
        return bytes(body)


def _down_reason(error: Exception) -> DownReason:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return DownReason.TLS
        cause = cause.__cause__ or cause.__context__
    return DownReason.CONNECTION


def _names_inside_address(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


class _PoolTransport(httpx.BaseTransport):
    """httpx on a connection pool whose sockets obey our deadline and our pinned addresses."""

    def __init__(self, backend: "_PinnedBackend", tls: ssl.SSLContext, connections: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30.0,
            network_backend=backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        try:
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout("deadline") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.TransportError("connection") from error
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_PoolStream(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _PoolStream(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class _PinnedBackend(httpcore.NetworkBackend):
    """Opens sockets to the address a name had at first, under the deadline of the running request.

    Time-outs of HTTP libraries hold for one socket operation, so a trickling server never meets them: here each
    operation gets what is left of the whole request.
    """

    def __init__(self, inside_allowed: bool) -> None:
        self._inside_allowed = inside_allowed
        self._real = httpcore.SyncBackend()
        self._pinned: dict[tuple[str, int], str] = {}
        self._running = threading.local()

    def use(self, deadline: Deadline) -> None:
        """All socket work of this thread belongs to `deadline` from now on."""
        self._running.deadline = deadline

    def forget(self) -> None:
        """Resolve again next time: the server may have moved to another outside address."""
        self._pinned.clear()

    def left(self, timeout: float | None) -> float:
        """The smaller of the library's time-out and what the whole request has left."""
        deadline: Deadline | None = getattr(self._running, "deadline", None)
        remaining = TOTAL_SECONDS if deadline is None else deadline.remaining
        return max(0.001, remaining if timeout is None else min(timeout, remaining))

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._pinned.get((host, port))
        if address is None:
            address = self._resolve(host, port, self.left(timeout))
            self._pinned[(host, port)] = address
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *(socket_options or ())]
        stream = self._real.connect_tcp(address, port, self.left(timeout), local_address, options)
        return _DeadlineStream(stream, self)

    def _resolve(self, host: str, port: int, timeout: float) -> str:
        answers = _in_time(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), timeout)
        # IPv4 first: servers on "localhost" often listen on 127.0.0.1 alone.
        found = sorted({str(answer[4][0]) for answer in answers}, key=lambda address: ":" in address)
        for address in found:
            if self._inside_allowed or ipaddress.ip_address(address.split("%")[0]).is_global:
                return address
        raise httpcore.ConnectError("no permitted address")


def _in_time(resolve: Any, timeout: float) -> list[Any]:
    """getaddrinfo has no time-out of its own; a daemon thread lets us stop waiting for it."""
    promise: Future[list[Any]] = Future()

    def work() -> None:
        try:
            promise.set_result(resolve())
        except OSError as error:
            promise.set_exception(error)

    threading.Thread(target=work, daemon=True, name="ehr-resolve").start()
    try:
        return promise.result(timeout)
    except FutureTimeout as error:
        raise httpcore.ConnectTimeout("resolve") from error
    except OSError as error:
        raise httpcore.ConnectError("resolve") from error


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, backend: _PinnedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._backend.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        upgraded = self._stream.start_tls(ssl_context, server_hostname, self._backend.left(timeout))
        return _DeadlineStream(upgraded, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
