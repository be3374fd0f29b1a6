"""What a member writes is nowhere on the server: not in a file, a mail or a log, and not in the portal's memory."""

import base64
import gzip
import json
import os
import secrets
import socket
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from processes import portal_command
from searching import disguises, in_bytes, in_folder, in_memory, processes_of
from waiting import until

from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.connector.messages import Message
from portal.e2ee.records import Role

PASSPHRASE = "five words that nobody else has"
READY_SECONDS = 90
MAIL_SECONDS = 30


@dataclass
class Demo:
    """An empty demo in a process of its own."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """Where the portal is."""
        return f"http://localhost:{self.port}"

    def member(self, name: str) -> Member:
        """Somebody who signs in at the provider and makes keys."""
        client = PortalClient(self.address)
        client.sign_in(name, "demo")
        return Member.enrol(client, passphrase=PASSPHRASE, device_name="test")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """The embedded provider, the FHIR sandbox, the portal and its worker, with all they keep in one folder."""
    (tmp_path / "temporary").mkdir()
    port = _three_ports()
    environment = {**os.environ, "PORTAL_DATA_DIR": str(tmp_path), "TMPDIR": str(tmp_path / "temporary")}
    log = tmp_path / "terminal.log"
    with portal_command("demo", "--empty", "--port", str(port), environment=environment, log=log) as process:
        until(lambda: b"ready after" in log.read_bytes(), "the demo is ready", seconds=READY_SECONDS)
        yield Demo(port, tmp_path, process)


@pytest.mark.timeout(300)
def test_nothing_that_a_member_writes_is_found_on_the_server(demo: Demo) -> None:
    mark = "Kö" + secrets.token_hex(12)
    alice, bob = demo.member("alice"), demo.member("bob")
    bob.teams.found("riverside_pharmacists")
    thread_id = secrets.token_hex(16)
    file = alice.upload(
        thread_id, "riverside", name=f"{mark}.txt", type="text/plain", content=f"inside {mark}".encode()
    )
    patient = alice.client.session()["patients"][0]["patient"]
    thread = alice.start_thread(
        Message(f"text {mark}", subject=f"subject {mark}", files=[file]),
        pharmacy="riverside",
        patient=patient,
        topic="medicine",
        team="riverside_pharmacists",
        people={alice.person.id: Role.PATIENT},
        thread=thread_id,
    )
    alice.objects.keep("draft", thread.id, f"draft {mark}".encode())

    read = bob.thread(thread.id)
    [line] = bob.read(read)
    assert (line.subject, line.text) == (f"subject {mark}", f"text {mark}")
    assert line.files[0]["name"] == f"{mark}.txt"
    assert bob.fetch_file(read, line) == f"inside {mark}".encode()
    assert alice.objects.kept("draft", thread.id) == f"draft {mark}".encode()
    bob.send(read, Message(f"answer {mark}"))
    _let_the_mail_go(demo)

    wanted = disguises(mark)
    assert in_folder(demo.folder, wanted) == {}
    processes = processes_of(demo.process.pid)
    assert {pid: in_memory(pid, wanted) for pid in processes} == {pid: set() for pid in processes}
    # The search does see what is there: ids in the files, and in the memory of whoever served them.
    assert in_folder(demo.folder, disguises(thread.id))
    assert any(in_memory(pid, disguises(thread.id)) for pid in processes)


def test_the_search_knows_every_disguise() -> None:
    mark = "Kö0123456789abcdef"
    raw = mark.encode()
    planted = {
        "utf-8": raw,
        "utf-16-le": mark.encode("utf-16-le"),
        "utf-16-be": mark.encode("utf-16-be"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(mark).encode(),
        "json": json.dumps({"text": mark}).encode(),
        "packed utf-8": gzip.compress(b"before " + raw),
        "packed hex": zlib.compress(raw.hex().encode()),
    }
    for offset in range(3):
        planted[f"base64 at {offset}"] = base64.b64encode(b"x" * offset + raw + b" and more")
        planted[f"base64url at {offset}"] = base64.urlsafe_b64encode(b"y" * offset + raw + b" and more")
    for name, content in planted.items():
        assert name in in_bytes(b"around " + content + b" around", disguises(mark)), name
    assert in_bytes(b"something else entirely " * 100, disguises(mark)) == set()


def test_the_search_reads_memory() -> None:
    mark = secrets.token_hex(16)
    assert in_memory(os.getpid(), {"utf-8": mark.encode()}) == {"utf-8"}


def _let_the_mail_go(demo: Demo) -> None:
    """An hour later the notice that something waits has left."""
    with httpx.Client(base_url=demo.address, trust_env=False) as visitor:
        page = visitor.get("/demo").text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        headers = {"Origin": demo.address}
        assert visitor.post("/demo/clock", data={"csrf_token": token, "act": "hour"}, headers=headers).is_redirect
    mails = demo.folder / "demo-empty" / "mail"
    until(
        lambda: any(b"alice@" in mail.read_bytes() for mail in mails.glob("*.json")),
        "a mail to Alice",
        seconds=MAIL_SECONDS,
    )


def _three_ports() -> int:
    """The first of three neighbouring ports that are free."""
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as held:
            port: int = held.getsockname()[1]
        try:
            for number in (port, port + 1, port + 2):
                socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no three ports are free")
