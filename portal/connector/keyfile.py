"""What a service keeps between two runs: its device, its root key, its pins and how far each thread had come.

The file opens everything the member can read. It is written with mode 0600 and belongs on an encrypted disk.
"""

import json
import os
from pathlib import Path
from typing import Any

from portal.connector.client import PortalClient
from portal.connector.member import Member, Memory
from portal.core import ids
from portal.core.errors import BadInput
from portal.e2ee.directory import Pin
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device
from portal.e2ee.reasons import Refused
from portal.e2ee.verify import Head

VERSION = 1


def write(path: Path, member: Member) -> None:
    """Keep a member; the file before it stays whole until the new one is."""
    person, memory = member.person, member.memory
    kept = {
        "v": VERSION,
        "user": person.id,
        "dev": person.device.dev,
        "seed": b64(person.device.seed),
        "urk": b64(person.urk),
        "pins": [[pin.id, pin.place, b64(pin.hash)] for pin in memory.pins.values()],
        "heads": {thread: [head.seq, b64(head.hash)] for thread, head in memory.heads.items()},
    }
    beside = path.with_name(f".{path.name}.{ids.random_id()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def resume(path: Path, client: PortalClient) -> Member:
    """The member of a file, on a session of the same person. Raises BadInput for a file that is none."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        device = Device(kept["user"], kept["dev"], unb64(kept["seed"], 32))
        urk = unb64(kept["urk"], 32)
        pins = {id: Pin(id, place, unb64(hashed, 32)) for id, place, hashed in kept["pins"]}
        heads = {thread: Head(seq, unb64(hashed, 32)) for thread, (seq, hashed) in kept["heads"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Refused) as problem:
        raise BadInput("bad-field", extra={"field": "keys"}) from problem
    return Member.resume(client, urk, device, Memory(pins, heads))
