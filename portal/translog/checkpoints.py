"""Checkpoints (C2SP tlog-checkpoint v1): a signed note that names a log, its size and its root.

Extension lines are not used and not accepted: what nobody reads should not be signed.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from portal.translog.merkle import HASH_BYTES
from portal.translog.notes import NoteRefused, SigningKey, VerifierKey, decode_base64, open_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """The state of the log `origin` after `size` leaves."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, key: SigningKey) -> str:
        """The checkpoint as a signed note. The key bears the name of the log."""
        if key.verifier.name != self.origin:
            raise NoteRefused("a checkpoint is signed by the key that bears the log's name")
        return key.sign(self.text())


def open_checkpoint(note: str, keys: Iterable[VerifierKey], *, origin: str) -> Checkpoint:
    """Read a checkpoint of the log `origin` that one of `keys` signed. Raises NoteRefused."""
    lines = open_note(note, keys).split("\n")
    if len(lines) != 4 or lines[3] != "":
        raise NoteRefused("a checkpoint has exactly three lines")
    if lines[0] != origin:
        raise NoteRefused("the checkpoint is of another log")
    if not _SIZE.fullmatch(lines[1]):
        raise NoteRefused("the size of the checkpoint is not a number")
    root = decode_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteRefused("the root of the checkpoint is not a hash")
    return Checkpoint(origin, int(lines[1]), root)
