"""The EHR as an adversary: slow, broken, endless, enormous, lying about where to go (reference faults F30 to F46)."""

import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from ehr_answers import bundle, fhir, prescription
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from portal.ehr import transport
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.errors import DownReason, EhrProtocolError, EhrUnavailable, ProtocolFault
from portal.ehr.transport import Deadline, Transport

Answer = Callable[..., None]
ALICE = {"resourceType": "Patient", "id": "alice"}
SEARCH = [("patient", "alice")]


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100000\r\n\r\n", b"{"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    ],
    ids=["body", "headers"],
)
def test_what_only_trickles_ends_at_the_deadline(raw_server: Callable[..., str], head: bytes, drop: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(200):
            connection.sendall(drop)
            time.sleep(0.02)

    client = EhrClient(EhrConnection(raw_server(trickle)))
    with pytest.raises(EhrUnavailable) as caught:
        client.read("Patient", "alice", deadline=Deadline(0.3))
    client.close()
    assert caught.value.reason is DownReason.TIMEOUT


def test_a_silent_server_ends_at_the_deadline(raw_server: Callable[..., str]) -> None:
    done = threading.Event()
    client = EhrClient(EhrConnection(raw_server(lambda connection: done.wait(3))))
    with pytest.raises(EhrUnavailable) as caught:
        client.read("Patient", "alice", deadline=Deadline(0.2))
    done.set()
    client.close()
    assert caught.value.reason is DownReason.TIMEOUT


def test_a_body_cut_short_is_no_answer(raw_server: Callable[..., str]) -> None:
    def cut(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 500\r\n\r\n"
        connection.sendall(head + b'{"resourceType": "Patient", "id": "alice"}')

    client = EhrClient(EhrConnection(raw_server(cut)), pause=lambda seconds: None)
    with pytest.raises(EhrUnavailable):
        client.read("Patient", "alice", deadline=Deadline(3))
    client.close()


@pytest.mark.parametrize(
    ("content", "kind", "fault"),
    [
        (b'{"resourceType": "Patient", "id": "ali', "application/fhir+json", ProtocolFault.NOT_JSON),
        (b"<html>Please sign in</html>", "text/html", ProtocolFault.NOT_FHIR),
        (b"<html>Please sign in</html>", "application/fhir+json", ProtocolFault.NOT_JSON),
        (b"[]", "application/fhir+json", ProtocolFault.NOT_JSON),
        (b'{"no": "type"}', "application/fhir+json", ProtocolFault.NOT_FHIR),
        (b'{"resourceType": "Patient", "x": NaN}', "application/fhir+json", ProtocolFault.NOT_JSON),
        (b'{"resourceType": "Patient", "x": ' + b"9" * 5000 + b"}", "application/fhir+json", ProtocolFault.NOT_JSON),
        (
            b'{"resourceType": "Patient", "x": ' + b"[" * 100 + b"]" * 100 + b"}",
            "application/json",
            ProtocolFault.TOO_DEEP,
        ),
        (b'{"resourceType":' * 3000 + b"1" + b"}" * 3000, "application/json", ProtocolFault.TOO_DEEP),
        (b'{"resourceType": "Practitioner", "id": "alice"}', "application/fhir+json", ProtocolFault.WRONG_RESOURCE),
        (b'{"resourceType": "Patient", "id": "dave"}', "application/fhir+json", ProtocolFault.WRONG_RESOURCE),
    ],
)
def test_an_unusable_answer_is_named(
    ehr: EhrClient, answer: Answer, content: bytes, kind: str, fault: ProtocolFault
) -> None:
    answer("/Patient/alice", Response(content, 200, content_type=kind))
    with pytest.raises(EhrProtocolError) as caught:
        ehr.read("Patient", "alice")
    assert caught.value.fault is fault
    assert "alice" not in repr(caught.value)


def test_a_huge_answer_is_dropped_while_it_comes(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/fhir/Patient/alice").respond_with_data(b"{" + b" " * 3_000_000 + b"}")
    small = Transport(httpserver.url_for("/fhir"), max_bytes=1_000_000)
    with pytest.raises(EhrProtocolError) as caught:
        small.send("GET", httpserver.url_for("/fhir/Patient/alice"), deadline=Deadline())
    small.close()
    assert caught.value.fault is ProtocolFault.TOO_LARGE


def test_a_gzip_bomb_never_unfolds(ehr: EhrClient, httpserver: HTTPServer) -> None:
    bomb = gzip.compress(b"{" + b" " * 200_000_000 + b"}", compresslevel=9)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/fhir+json"}
    httpserver.expect_request("/fhir/Patient/alice").respond_with_data(bomb, headers=headers)
    tracemalloc.start()
    with pytest.raises(EhrProtocolError) as caught:
        ehr.read("Patient", "alice")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.fault is ProtocolFault.TOO_LARGE
    assert peak < 4 * transport.MAX_BYTES


def test_gzip_is_read_and_broken_gzip_is_named(ehr: EhrClient, httpserver: HTTPServer) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/fhir+json"}
    packed = gzip.compress(json.dumps({"resourceType": "Patient", "id": "alice"}).encode())
    httpserver.expect_request("/fhir/Patient/alice").respond_with_data(packed, headers=headers)
    httpserver.expect_request("/fhir/Patient/cut").respond_with_data(packed[:-12], headers=headers)
    httpserver.expect_request("/fhir/Patient/odd").respond_with_data(b"no gzip", headers=headers)
    assert ehr.read("Patient", "alice")["id"] == "alice"
    for name in ("cut", "odd"):
        with pytest.raises(EhrProtocolError):
            ehr.read("Patient", name)


def test_an_endless_chain_of_pages_stops_at_the_cap(ehr: EhrClient, httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def page(request: Request) -> Response:
        asked.append(request.query_string.decode())
        following = httpserver.url_for(f"/fhir/MedicationRequest?page={len(asked)}")
        return fhir(bundle(prescription(f"m{len(asked)}"), following=following))

    httpserver.expect_request("/fhir/MedicationRequest").respond_with_handler(page)
    found = ehr.search("MedicationRequest", SEARCH, max_pages=4)
    assert (len(asked), len(found.matches), found.truncated) == (4, 4, True)


def test_a_page_that_names_itself_is_read_once_more_at_most(ehr: EhrClient, httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def page(request: Request) -> Response:
        asked.append(request.query_string.decode())
        return fhir(bundle(prescription("m"), following=httpserver.url_for("/fhir/MedicationRequest?again")))

    httpserver.expect_request("/fhir/MedicationRequest").respond_with_handler(page)
    assert ehr.search("MedicationRequest", SEARCH).truncated
    assert len(asked) == 2


@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://evil.example/fhir/MedicationRequest?page=2",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//evil.example/fhir/MedicationRequest",
        "/admin/MedicationRequest",
        "/fhir/../admin",
        "/fhir/%2e%2e/admin",
        "/fhir2/MedicationRequest",
        "http://[broken",
    ],
)
def test_a_next_link_to_elsewhere_is_not_followed(ehr: EhrClient, httpserver: HTTPServer, link: str) -> None:
    httpserver.expect_request("/fhir/MedicationRequest").respond_with_response(
        fhir(bundle(prescription("m1"), following=link))
    )
    found = ehr.search("MedicationRequest", SEARCH)
    assert (len(found.matches), found.truncated) == (1, True)
    assert len(httpserver.log) == 1


def test_a_next_link_with_user_or_other_port_is_not_followed(ehr: EhrClient, httpserver: HTTPServer) -> None:
    for link in (f"http://me@localhost:{httpserver.port}/fhir/x", f"http://localhost:{httpserver.port + 1}/fhir/x"):
        httpserver.clear()
        httpserver.expect_request("/fhir/MedicationRequest").respond_with_response(fhir(bundle(following=link)))
        assert ehr.search("MedicationRequest", SEARCH).truncated


def test_a_redirect_is_not_followed(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient/alice", Response("", 302, {"Location": "http://169.254.169.254/"}))
    with pytest.raises(EhrProtocolError) as caught:
        ehr.read("Patient", "alice")
    assert caught.value.fault is ProtocolFault.REDIRECT
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("name", ["../admin", "a/b", "", "x" * 65, "a?b", "ä", "$everything"])
def test_an_id_cannot_leave_its_place_in_the_address(ehr: EhrClient, httpserver: HTTPServer, name: str) -> None:
    with pytest.raises(Exception, match="ehr-not-found"):
        ehr.read("Patient", name)
    assert httpserver.log == []


def test_a_name_that_moves_to_an_inside_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    outside = Transport("http://ehr.example/fhir")
    with pytest.raises(EhrUnavailable) as caught:
        outside.send("GET", "http://ehr.example/fhir/metadata", deadline=Deadline(2))
    outside.close()
    assert caught.value.reason is DownReason.CONNECTION


def test_a_name_is_resolved_once_and_pinned(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        asked.append(host)
        return real("127.0.0.1", port, *more, **named)

    def close(request: Request) -> Response:
        return Response("{}", 200, {"Connection": "close"}, content_type="application/json")

    httpserver.expect_request("/fhir/metadata").respond_with_handler(close)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    base = f"http://ehr.example:{httpserver.port}/fhir"
    pinned = Transport(base, private_network=True)
    for _ in range(3):
        pinned.send("GET", f"{base}/metadata", deadline=Deadline())
    pinned.close()
    assert asked.count("ehr.example") == 1


def test_a_certificate_nobody_vouches_for_is_refused(raw_server: Callable[..., str]) -> None:
    # The listener speaks no TLS at all; the client must say so rather than fall back.
    base = raw_server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")).replace("http:", "https:")
    secure = Transport(base, tls=ssl.create_default_context())
    with pytest.raises(EhrUnavailable) as caught:
        secure.send("GET", f"{base}/metadata", deadline=Deadline(2))
    secure.close()
    assert caught.value.reason is DownReason.TLS


def test_cookies_of_the_ehr_are_not_kept(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient/alice", fhir(ALICE, 200, **{"Set-Cookie": "track=1"}))
    ehr.read("Patient", "alice")
    ehr.read("Patient", "alice")
    assert all("Cookie" not in request.headers for request, _ in httpserver.log)
