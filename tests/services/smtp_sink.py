"""A mail server for tests: smtp_sink.py FOLDER PORT keeps each mail as FOLDER/<number>.eml, whole or not at all.

The envelope stands in front of the mail as X-Envelope-From and X-Envelope-To. An address that begins with
"refused" is refused for good (550), one that begins with "busy" for now (451).
"""

import asyncio
import itertools
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

ANSWERS = {"refused": "550 5.1.1 no such mailbox", "busy": "451 4.3.0 try again later"}


class Keeper:
    """Writes what arrives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = itertools.count(1)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        for beginning, answer in ANSWERS.items():
            if address.startswith(beginning):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a mail."""
        content = envelope.original_content or b""
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        number = next(self.numbers)
        unfinished = self.folder / f".{number:04d}"
        unfinished.write_bytes(head.encode() + content)
        unfinished.rename(self.folder / f"{number:04d}.eml")
        return "250 2.0.0 kept"


async def serve(folder: Path, port: int) -> None:
    """Listen until the process is ended; FOLDER/.ready says that mail is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, hostname="mail.test"), "127.0.0.1", port)
    (folder / ".ready").touch()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
