"""`portal connector`: a member of threads for programs, for example a service beside an EHR (docs/connector.md).

Name and password of the login and the passphrase of the keys come from the environment, so that they stand neither in
the list of processes nor in the shell's history.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import httpx

from portal.connector import keyfile
from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.connector.messages import Message
from portal.core.errors import BadInput, PortalError
from portal.e2ee.reasons import Refused

LOGIN, PASSWORD, PASSPHRASE = (f"PORTAL_CONNECTOR_{name}" for name in ("LOGIN", "PASSWORD", "PASSPHRASE"))
DEVICE_NAME = "Connector"
LONGEST = 64 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--portal", required=True, metavar="URL", help="address of the portal")
    parser.add_argument("--keys", required=True, type=Path, metavar="FILE", help="where device and pins are kept")
    acts = parser.add_subparsers(dest="act", required=True, metavar="act")
    acts.add_parser("join", help="make keys, or a new device of keys that exist, and write FILE")
    acts.add_parser("inbox", help="the newest threads, one JSON object a line")
    read = acts.add_parser("read", help="the messages of a thread, verified and opened, one JSON object a line")
    read.add_argument("thread", help="its id, as inbox shows it")
    send = acts.add_parser("send", help="send standard input as a message")
    send.add_argument("thread", help="its id, as inbox shows it")
    send.add_argument("--id", help="32 hex digits; the same id is sent once, however often it is tried")
    send.add_argument("--urgent", action="store_true", help="put it into the urgent lane")


def run(given: argparse.Namespace, *, client: PortalClient | None = None, output: TextIO | None = None) -> int:
    """Do it. Raises PortalError, Refused, httpx.TransportError."""
    out = output or sys.stdout
    with client or PortalClient(given.portal) as portal:
        if portal.session()["account"] is None:
            portal.sign_in(_secret(LOGIN), _secret(PASSWORD))
        member = _join(portal) if given.act == "join" else keyfile.resume(given.keys, portal)
        try:
            _act(member, given, out)
        finally:
            keyfile.write(given.keys, member)
    return 0


def answer(given: argparse.Namespace) -> int:
    """As `run`; what goes wrong is said on standard error and makes the exit code 1."""
    try:
        return run(given)
    except PortalError as problem:
        print(f"portal connector: {problem.code}", file=sys.stderr)
    except Refused as refusal:
        print(f"portal connector: refused: {refusal.reason}", file=sys.stderr)
    except httpx.TransportError as problem:
        print(f"portal connector: no answer ({type(problem).__name__})", file=sys.stderr)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """As a program of its own: `python -m portal.connector`."""
    parser = argparse.ArgumentParser(prog="portal connector", description="A member of threads for programs.")
    add_arguments(parser)
    return answer(parser.parse_args(arguments))


def _join(client: PortalClient) -> Member:
    passphrase = _secret(PASSPHRASE)
    if client.get("/api/keys/me")["entries"]:
        return Member.recover(client, secret=passphrase, device_name=DEVICE_NAME)
    return Member.enrol(client, passphrase=passphrase, device_name=DEVICE_NAME)


def _act(member: Member, given: argparse.Namespace, out: TextIO) -> None:
    if given.act == "join":
        _say(out, {"account": member.person.id, "device": member.person.device.dev})
    elif given.act == "inbox":
        names = ("thread", "patient", "topic", "urgent", "awaiting", "unread", "last_at")
        for head in member.inbox():
            _say(out, {name: head[name] for name in names})
    elif given.act == "read":
        for line in member.read(member.thread(given.thread)):
            _say(out, vars(line))
    else:
        text = sys.stdin.read(LONGEST + 1)
        if not text or len(text) > LONGEST:
            raise BadInput("bad-field", extra={"field": "text"})
        message = Message(text, **({"id": given.id} if given.id else {}))
        sent = member.send(member.thread(given.thread), message, urgent=given.urgent)
        _say(out, {"thread": sent.thread, "sequence": sent.sequence, "id": message.id})


def _say(out: TextIO, members: dict[str, Any]) -> None:
    print(json.dumps(members, ensure_ascii=False), file=out)


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise BadInput("missing-field", extra={"field": variable})
    return value
