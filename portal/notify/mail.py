"""Sending mail: plain text over SMTP, or into a folder that the demo's control room shows.

A mail says that something waits and nothing else, but even that is told to nobody on the way: beyond this machine
the connection is encrypted or there is none.
"""

import json
import re
import smtplib
import ssl
from dataclasses import asdict, dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from portal.core import clock, ids
from portal.core.settings import Settings, UnsafeSettings

TIMEOUT_SECONDS = 10.0
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
LONGEST_ADDRESS = 254
# RFC 5322, 2.1.1.
_LONGEST_LINE = 998
_REFERENCE = re.compile(r"[A-Za-z0-9-]{1,64}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MailRefused(Exception):
    """This mail will never go out: a malformed address, or the server refuses the mailbox. `reason` is a code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class MailDelayed(Exception):
    """The server cannot be reached or wants it later. `reason` is a code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Mail:
    """One outgoing mail; only `portal.notify.words.compose` makes them."""

    to: str
    subject: str
    text: str
    language: str
    reference: str
    # The address that stops mails of this kind (portal.notify.one_tap); None for what is always sent.
    stop: str | None = None


@dataclass(frozen=True)
class SentMail:
    """A mail as the demo's control room shows it."""

    to: str
    subject: str
    text: str
    language: str
    reference: str
    sent_at: str
    stop: str | None = None


class Mailer(Protocol):
    """Where mail goes."""

    def send(self, mail: Mail) -> None:
        """Hand the mail over. Raises MailRefused or MailDelayed."""


class SmtpMailer:
    """Hands mail to an SMTP server: smtp://[user:password@]host[:port] with STARTTLS, or smtps://."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise UnsafeSettings(["PORTAL_SMTP_URL must look like smtp://user:password@host:587 or smtps://host:465"])
        if not _ADDRESS.fullmatch(sender):
            raise UnsafeSettings(["PORTAL_MAIL_FROM must be a plain e-mail address"])
        self._encrypted = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = parts.port or (465 if self._encrypted else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._sender = sender

    def send(self, mail: Mail) -> None:
        """Hand the mail to the server. Raises MailRefused or MailDelayed; neither repeats what the server said."""
        message = written(mail, self._sender)
        try:
            with self._connected() as server:
                server.send_message(message, self._sender, [mail.to])
        except smtplib.SMTPRecipientsRefused as problem:
            code = next(iter(problem.recipients.values()))[0]
            raise (MailRefused if code >= 500 else MailDelayed)(f"recipient-{code}") from None
        except smtplib.SMTPResponseException as problem:
            # A refused login or content is the operator's to mend; the mail itself may still go out then.
            raise MailDelayed(f"smtp-{problem.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as problem:
            raise MailDelayed(type(problem).__name__) from None

    def probe(self) -> str:
        """The server's address, once it has let us in. Raises MailDelayed. For `portal doctor`."""
        try:
            with self._connected() as server:
                server.noop()
        except (smtplib.SMTPException, OSError) as problem:
            raise MailDelayed(type(problem).__name__) from None
        return f"{self._host}:{self._port}"

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._encrypted:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            server.ehlo()
            if not self._encrypted and self._host not in _LOOPBACK:
                server.starttls(context=context)
                server.ehlo()
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server


class FileMailer:
    """Keeps each mail as a file, newest last by name; for the demo, and for development without a server."""

    def __init__(self, folder: Path, sender: str = "portal@localhost") -> None:
        self._folder = folder
        self._sender = sender

    def send(self, mail: Mail) -> None:
        """Keep the mail. Raises MailRefused for an address that no server would take."""
        written(mail, self._sender)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = SentMail(**asdict(mail), sent_at=clock.now().isoformat(timespec="seconds"))
        beside = self._folder / f".{ids.random_id()}"
        beside.write_text(json.dumps(asdict(kept), ensure_ascii=False), "utf-8")
        beside.replace(self._folder / f"{clock.now_ms():015d}-{mail.reference}.json")

    def sent(self, limit: int = 200) -> list[SentMail]:
        """The newest mails, newest first."""
        paths = sorted(self._folder.glob("*.json"), reverse=True)[:limit]
        return [SentMail(**json.loads(path.read_text("utf-8"))) for path in paths]


def mailer(settings: Settings) -> Mailer:
    """The mailer of these settings: SMTP where PORTAL_SMTP_URL is set, else the folder `mail` of the data."""
    if settings.smtp_url:
        return SmtpMailer(settings.smtp_url, settings.mail_from)
    return FileMailer(settings.data_path / "mail", settings.mail_from)


def normal_address(text: str) -> str | None:
    """A mail address as two of them are compared: ASCII only, in small letters. None for what mail cannot be sent to.

    Letters of other alphabets that look the same make another address, and none that anybody is told here. ASCII is
    asked for first: some foreign letters become ASCII when they are made small.
    """
    plain = text.strip()
    return plain.lower() if plain.isascii() and _ADDRESS.fullmatch(plain) and len(plain) <= LONGEST_ADDRESS else None


def written(mail: Mail, sender: str, at: datetime | None = None) -> EmailMessage:
    """The mail as bytes on the wire will say it. Raises MailRefused for an address that could carry anything else."""
    if not _ADDRESS.fullmatch(mail.to):
        raise MailRefused("bad-address")
    if not _REFERENCE.fullmatch(mail.reference):
        raise MailRefused("bad-reference")
    # A link of a header must not be broken over lines: some readers take the first part for all of it.
    message = EmailMessage(policy=SMTP.clone(max_line_length=_LONGEST_LINE))
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(at or clock.now())
    message["Message-ID"] = f"<{mail.reference}@{sender.rpartition('@')[2]}>"
    # RFC 3834: no answer from an absence notice, no loop.
    message["Auto-Submitted"] = "auto-generated"
    if mail.stop is not None:
        # RFC 2369 and RFC 8058: the mail program has a button that stops these mails with one tap.
        message["List-Unsubscribe"] = f"<{mail.stop}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text, charset="utf-8")
    message["Content-Language"] = mail.language
    return message
