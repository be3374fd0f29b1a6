"""One set of promises, kept by the folder of the demo and by a real SMTP conversation alike."""

import email
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from portal.core.settings import Settings, UnsafeSettings
from portal.notify.mail import FileMailer, Mail, MailDelayed, Mailer, MailRefused, SmtpMailer, mailer, written

MAIL = Mail("rosa@example.test", "Tiene un mensaje pendiente", "Léalo aquí:\nhttps://portal.test\n", "es", "job1")


class Post(Protocol):
    """A mailer and what has arrived at its other end: (to, subject, text)."""

    mailer: Mailer

    def arrived(self) -> list[tuple[str, str, str]]: ...


class FolderPost:
    def __init__(self, folder: Path) -> None:
        self.mailer = self.folder = FileMailer(folder, "portal@example.test")

    def arrived(self) -> list[tuple[str, str, str]]:
        return [(mail.to, mail.subject, mail.text) for mail in reversed(self.folder.sent())]


class SmtpPost:
    """A server in this process that keeps what it is handed, and refuses what it is told to."""

    def __init__(self, **options: Any) -> None:
        self.kept: list[tuple[str, bytes]] = []
        self.answers: dict[str, str] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()
        self.mailer: Mailer = SmtpMailer(f"smtp://127.0.0.1:{self.port}", "portal@example.test")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "data" in self.answers:
            return self.answers["data"]
        self.kept.append((envelope.rcpt_tos[0], envelope.content))
        return "250 kept"

    def messages(self) -> list[EmailMessage]:
        return [email.message_from_bytes(content, policy=default) for _, content in self.kept]  # type: ignore[misc]

    def arrived(self) -> list[tuple[str, str, str]]:
        told = []
        for (to, _), message in zip(self.kept, self.messages(), strict=True):
            told.append((to, str(message["Subject"]), message.get_content().replace("\r\n", "\n")))
        return told


@pytest.fixture
def smtp() -> Iterator[SmtpPost]:
    server = SmtpPost()
    yield server
    server.controller.stop()


@pytest.fixture(params=["folder", "smtp"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Post:
    if request.param == "folder":
        return FolderPost(tmp_path / "mail")
    server: SmtpPost = request.getfixturevalue("smtp")
    return server


class TestBothWays:
    def test_a_mail_arrives_as_it_was_written(self, post: Post) -> None:
        post.mailer.send(MAIL)
        assert post.arrived() == [(MAIL.to, MAIL.subject, MAIL.text)]

    def test_mails_keep_their_order(self, post: Post, tuesday: object) -> None:
        for number in range(3):
            post.mailer.send(replace(MAIL, reference=f"job{number}", text=f"{number}\n"))
        assert [text for _, _, text in post.arrived()] == ["0\n", "1\n", "2\n"]

    @pytest.mark.parametrize(
        "to",
        [
            "",
            "rosa",
            "rosa@",
            "rosa@example.test\nBcc: everyone@example.test",
            "rosa@example.test\r\nX: y",
            "rosa@example.test, dave@example.test",
            "Rosa <rosa@example.test>",
            "rosa@exämple.test",
            "rosa@example.test ",
            "@example.test",
            "-rosa@-example.test",
        ],
    )
    def test_an_address_that_could_be_more_than_one_is_refused(self, post: Post, to: str) -> None:
        with pytest.raises(MailRefused, match="bad-address"):
            post.mailer.send(replace(MAIL, to=to))
        assert post.arrived() == []

    def test_a_reference_that_could_break_a_header_or_leave_the_folder_is_refused(self, post: Post) -> None:
        for reference in ("../up", "a b", "a\nb", ""):
            with pytest.raises(MailRefused, match="bad-reference"):
                post.mailer.send(replace(MAIL, reference=reference))
        assert post.arrived() == []


def test_the_folder_shows_the_newest_first_and_survives_a_restart(tmp_path: Path, tuesday: datetime) -> None:
    first = FileMailer(tmp_path, "portal@example.test")
    first.send(MAIL)
    first.send(replace(MAIL, reference="job2"))
    again = FileMailer(tmp_path, "portal@example.test").sent()
    assert [mail.reference for mail in again] == ["job2", "job1"]
    assert again[0].sent_at == "2026-11-24T15:00:00+00:00"
    assert len(first.sent(limit=1)) == 1
    assert FileMailer(tmp_path / "none", "portal@example.test").sent() == []


def test_the_headers_say_who_when_and_that_no_answer_is_wanted() -> None:
    message = written(MAIL, "portal@example.test", datetime(2026, 11, 24, 15, tzinfo=UTC))
    assert message["Message-ID"] == "<job1@example.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "es"
    assert message["Date"] == "Tue, 24 Nov 2026 15:00:00 +0000"
    assert message.get_content_type() == "text/plain"
    with pytest.raises(ValueError):
        written(replace(MAIL, subject="a\r\nBcc: x@example.test"), "portal@example.test")


@pytest.mark.parametrize(
    ("place", "answer", "problem"),
    [
        (MAIL.to, "550 no such mailbox", MailRefused),
        (MAIL.to, "450 later", MailDelayed),
        ("data", "554 no", MailDelayed),
        ("data", "451 later", MailDelayed),
    ],
)
def test_what_the_server_answers_decides_whether_it_is_tried_again(
    smtp: SmtpPost, place: str, answer: str, problem: type[Exception]
) -> None:
    smtp.answers[place] = answer
    with pytest.raises(problem) as refused:
        smtp.mailer.send(MAIL)
    assert answer[4:] not in str(refused.value)


def test_a_server_that_is_down_is_tried_again() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(MailDelayed, match="ConnectionRefusedError"):
        SmtpMailer(f"smtp://127.0.0.1:{port}", "portal@example.test").send(MAIL)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_password_is_used_for_the_login() -> None:
    seen = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)

    server = SmtpPost(authenticator=authenticate, auth_require_tls=False, auth_required=True)
    SmtpMailer(f"smtp://user:p%40ss@127.0.0.1:{server.port}", "portal@example.test").send(MAIL)
    with pytest.raises(MailDelayed, match="smtp-535"):
        SmtpMailer(f"smtp://user:wrong@127.0.0.1:{server.port}", "portal@example.test").send(MAIL)
    server.controller.stop()
    assert seen[0] == (b"user", b"p@ss")
    assert len(server.kept) == 1


def test_beyond_this_machine_nothing_is_said_without_encryption(
    smtp: SmtpPost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.notify.mail._LOOPBACK", ())
    with pytest.raises(MailDelayed, match="SMTPNotSupportedError"):
        smtp.mailer.send(MAIL)
    with pytest.raises(MailDelayed, match="SSL"):
        SmtpMailer(f"smtps://127.0.0.1:{smtp.port}", "portal@example.test").send(MAIL)
    assert smtp.kept == []


@pytest.mark.parametrize("url", ["http://host", "smtp://", "host:25", "smtp:host"])
def test_an_address_of_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(UnsafeSettings, match="PORTAL_SMTP_URL"):
        SmtpMailer(url, "portal@example.test")
    with pytest.raises(UnsafeSettings, match="PORTAL_MAIL_FROM"):
        SmtpMailer("smtp://localhost", "Portal <portal@example.test>")


def test_the_settings_choose_the_way(settings: Settings) -> None:
    assert isinstance(mailer(settings), FileMailer)
    assert isinstance(mailer(replace(settings, smtp_url="smtp://localhost")), SmtpMailer)


def test_a_mail_that_can_be_stopped_says_so_to_the_mail_program_in_one_line() -> None:
    stop = "https://portal.test/stop-notices/" + "f" * 300
    wire = written(replace(MAIL, stop=stop), "portal@example.test").as_bytes().decode()
    assert f"\r\nList-Unsubscribe: <{stop}>\r\n" in wire
    assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in wire
    assert "List-Unsubscribe" not in written(MAIL, "portal@example.test").as_string()
