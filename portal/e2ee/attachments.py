"""Attachments: C2SP chunked encryption, instance Cobblestone-256, in a stream (docs/protocol.md section 8).

Nothing needs the whole file in memory. A chunk is given out only when its tag has been checked; that the file is
complete is known after `finish` alone.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portal.core import ids
from portal.e2ee.checks import Check, require
from portal.e2ee.encoding import b64, expand, pae, same, sha256
from portal.e2ee.keys import TAG_BYTES, aead_open
from portal.e2ee.padding import bucket
from portal.e2ee.reasons import Reason, Refused

KEY_BYTES = 32
SALT_BYTES = 24
COMMITMENT_BYTES = 32
HEADER_BYTES = SALT_BYTES + COMMITMENT_BYTES
CHUNK_BYTES = 16_384
_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"


def context(thread: str, attachment: str) -> bytes:
    """Binds a file to its place."""
    return pae("att", thread, attachment)


def stored_size(size: int) -> int:
    """The bytes that a content of `size` bytes takes when stored."""
    padded = bucket(size)
    return HEADER_BYTES + padded + (padded // CHUNK_BYTES + 1) * TAG_BYTES


class _Chunks:
    """Keys and nonces of one file."""

    def __init__(self, key: bytes, salt: bytes, context: bytes) -> None:
        out = expand(key, _LABEL + salt + context, 76, "sha512")
        self.key = out[:32]
        self.base = int.from_bytes(out[32:44], "big")
        self.commitment = out[44:]
        self.count = 0

    def nonce(self) -> bytes:
        """The nonce of the next chunk."""
        nonce = (self.base ^ self.count).to_bytes(12, "big")
        self.count += 1
        return nonce


class Sealer:
    """Seals a stream. `key` is 32 random bytes for this file alone; the first bytes come from `begin`."""

    def __init__(self, key: bytes, context: bytes, salt: bytes | None = None) -> None:
        self._salt = ids.random_bytes(SALT_BYTES) if salt is None else salt
        self._chunks = _Chunks(key, self._salt, context)
        self._buffer = bytearray()

    def begin(self) -> bytes:
        """Salt and commitment."""
        return self._salt + self._chunks.commitment

    def update(self, plain: bytes) -> bytes:
        """The chunks that are full now."""
        self._buffer += plain
        out = bytearray()
        while len(self._buffer) >= CHUNK_BYTES:
            out += self._seal(CHUNK_BYTES)
        return bytes(out)

    def finish(self) -> bytes:
        """The last chunk, shorter than the others, maybe empty."""
        return self._seal(len(self._buffer))

    def _seal(self, size: int) -> bytes:
        chunk = bytes(self._buffer[:size])
        del self._buffer[:size]
        return AESGCM(self._chunks.key).encrypt(self._chunks.nonce(), chunk, None)


class Opener:
    """Opens a stream. Raises Refused(attachment) as soon as something is wrong."""

    def __init__(self, key: bytes, context: bytes) -> None:
        self._key = key
        self._context = context
        self._chunks: _Chunks | None = None
        self._buffer = bytearray()

    def update(self, sealed: bytes) -> bytes:
        """The content of the chunks that are complete now. The last chunk waits for `finish`."""
        self._buffer += sealed
        if self._chunks is None and len(self._buffer) >= HEADER_BYTES:
            self._begin()
        out = bytearray()
        while self._chunks is not None and len(self._buffer) > _SEALED_CHUNK_BYTES:
            out += self._open(self._chunks, _SEALED_CHUNK_BYTES)
        return bytes(out)

    def finish(self) -> bytes:
        """The content of the last chunk. Only now is it known that nothing is missing."""
        if self._chunks is None:
            raise Refused(Reason.ATTACHMENT)
        last = self._open(self._chunks, len(self._buffer))
        require(LAST_CHUNK_CHECKS, last)
        return last

    def _begin(self) -> None:
        salt, shown = bytes(self._buffer[:SALT_BYTES]), bytes(self._buffer[SALT_BYTES:HEADER_BYTES])
        del self._buffer[:HEADER_BYTES]
        self._chunks = _Chunks(self._key, salt, self._context)
        require(COMMITMENT_CHECKS, (self._chunks.commitment, shown))

    def _open(self, chunks: _Chunks, size: int) -> bytes:
        chunk = bytes(self._buffer[:size])
        del self._buffer[:size]
        return aead_open(chunks.key, chunks.nonce(), chunk, b"", Reason.ATTACHMENT)


COMMITMENT_CHECKS: tuple[Check[tuple[bytes, bytes]], ...] = (
    Check("attachment: commitment", Reason.ATTACHMENT, lambda it: same(*it)),
)
LAST_CHUNK_CHECKS: tuple[Check[bytes], ...] = (
    Check("attachment: the last chunk is short", Reason.ATTACHMENT, lambda last: len(last) < CHUNK_BYTES),
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a message says of a file: its place, `cth` of the stored bytes, and in its body key, size and hash."""

    thread: str
    id: str
    cth: bytes
    key: bytes
    size: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file as it is stored, and what the message's body says of it: input key, true size, hash of the content."""

    id: str
    stored: bytes
    key: bytes
    size: int
    hash: bytes

    @property
    def cth(self) -> bytes:
        """What the message's header says of the stored bytes."""
        return sha256(self.stored)

    def in_header(self) -> dict[str, object]:
        """An entry of `att`."""
        return {"id": self.id, "size": len(self.stored), "cth": b64(self.cth)}


def seal_file(
    thread: str, attachment: str, content: bytes, key: bytes | None = None, salt: bytes | None = None
) -> SealedFile:
    """Pad and seal a whole file that is in memory."""
    key = ids.random_bytes(KEY_BYTES) if key is None else key
    sealer = Sealer(key, context(thread, attachment), salt)
    padded = content.ljust(bucket(len(content)), b"\0")
    stored = sealer.begin() + sealer.update(padded) + sealer.finish()
    return SealedFile(attachment, stored, key, len(content), sha256(content))


def open_bytes(stored: bytes, key: bytes, context: bytes) -> bytes:
    """What was chunked, padding included. Raises Refused(attachment)."""
    opener = Opener(key, context)
    return opener.update(stored) + opener.finish()


@dataclass(frozen=True, slots=True)
class _Opened:
    padded: bytes
    facts: FileFacts


FILE_CHECKS: tuple[Check[_Opened], ...] = (
    Check("attachment: bucket", Reason.ATTACHMENT, lambda it: len(it.padded) == bucket(it.facts.size)),
    Check("attachment: zeros", Reason.ATTACHMENT, lambda it: not any(it.padded[it.facts.size :])),
    Check(
        "attachment: hash of the content",
        Reason.ATTACHMENT,
        lambda it: sha256(it.padded[: it.facts.size]) == it.facts.hash,
    ),
)
STORED_CHECKS: tuple[Check[tuple[bytes, FileFacts]], ...] = (
    Check("attachment: hash of the stored bytes", Reason.ATTACHMENT, lambda it: sha256(it[0]) == it[1].cth),
)


def open_file(stored: bytes, facts: FileFacts) -> bytes:
    """The content of a whole file that is in memory. Raises Refused(attachment)."""
    require(STORED_CHECKS, (stored, facts))
    padded = open_bytes(stored, facts.key, context(facts.thread, facts.id))
    require(FILE_CHECKS, _Opened(padded, facts))
    return padded[: facts.size]
