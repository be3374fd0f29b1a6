"""Signed notes (C2SP signed-note v1): a text, an empty line, and signature lines by named Ed25519 keys."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
MOST_SIGNATURES = 100
LARGEST_NOTE = 1 << 20
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_NAME = re.compile(r"[^\s+]+")


class NoteRefused(ValueError):
    """A note, a key or a signature is malformed or wrong; the message says what."""


def key_id(name: str, public_key: bytes) -> bytes:
    """The four bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([ED25519]) + public_key).digest()[:4]


@dataclass(frozen=True)
class VerifierKey:
    """Who may have signed: a name and an Ed25519 public key. Its text form is the `vkey`."""

    name: str
    public_key: bytes

    def __str__(self) -> str:
        body = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{key_id(self.name, self.public_key).hex()}+{body}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `name+hash+key`. Raises NoteRefused for another form or another kind of key."""
        name, digest, body = _three(text)
        key = _key_bytes(body)
        if digest != key_id(name, key).hex():
            raise NoteRefused("the key's hash does not fit its name and bytes")
        return cls(name, key)

    def verifies(self, signature: bytes, text: str) -> bool:
        """Whether `signature` is this key's over `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A named Ed25519 private key; its text form (`PRIVATE+KEY+name+hash+seed`) is what a key file holds."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not _NAME.fullmatch(name):
            raise NoteRefused("a key's name has neither blanks nor a plus sign")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read the text form. Raises NoteRefused without repeating any of it."""
        prefix = "PRIVATE+KEY+"
        if not text.startswith(prefix):
            raise NoteRefused("this is not a private key of a signed note")
        name, digest, body = _three(text.removeprefix(prefix))
        key = cls(name, _key_bytes(body))
        if digest != key_id(name, key.verifier.public_key).hex():
            raise NoteRefused("the private key's hash does not fit its name and bytes")
        return key

    def secret_text(self) -> str:
        """The text form with the private key in it; for the key file alone."""
        name, public_key = self.verifier.name, self.verifier.public_key
        body = base64.b64encode(bytes([ED25519]) + self._seed).decode()
        return f"PRIVATE+KEY+{name}+{key_id(name, public_key).hex()}+{body}"

    def sign(self, text: str) -> str:
        """The note: `text` (which ends in a newline) with this key's signature line."""
        if not text.endswith("\n"):
            raise NoteRefused("the text of a note ends in a newline")
        name, public_key = self.verifier.name, self.verifier.public_key
        signature = base64.b64encode(key_id(name, public_key) + self._key.sign(text.encode())).decode()
        return f"{text}\n— {name} {signature}\n"


def open_note(note: str, keys: Iterable[VerifierKey]) -> str:
    """The text of a note that at least one of `keys` signed.

    Signatures of keys nobody knows are passed over, a wrong one of a known key refuses the whole note.
    Raises NoteRefused.
    """
    if len(note) > LARGEST_NOTE:
        raise NoteRefused("the note is too large")
    if any(ord(sign) < 0x20 and sign != "\n" for sign in note):
        raise NoteRefused("the note holds control characters")
    text, gap, tail = note.rpartition("\n\n")
    text += "\n"
    lines = tail.split("\n")
    if not gap or lines.pop() != "" or not 1 <= len(lines) <= MOST_SIGNATURES:
        raise NoteRefused("the note does not end in signature lines")
    known = {(key.name, key_id(key.name, key.public_key)): key for key in keys}
    signed = False
    for line in lines:
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise NoteRefused("a signature line is malformed")
        blob = decode_base64(parts[2])
        if len(blob) < 5:
            raise NoteRefused("a signature line is malformed")
        key = known.get((parts[1], blob[:4]))
        if key is None:
            continue
        if not key.verifies(blob[4:], text):
            raise NoteRefused(f"the signature of {key.name} is wrong")
        signed = True
    if not signed:
        raise NoteRefused("no known key signed the note")
    return text


def _three(text: str) -> tuple[str, str, str]:
    parts = text.split("+", 2)
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]) or not re.fullmatch(r"[0-9a-f]{8}", parts[1]):
        raise NoteRefused("a key has the form name+hash+bytes")
    return parts[0], parts[1], parts[2]


def _key_bytes(body: str) -> bytes:
    blob = decode_base64(body)
    if len(blob) != 33 or blob[0] != ED25519:
        raise NoteRefused("the key is not an Ed25519 key")
    return blob[1:]


def decode_base64(text: str) -> bytes:
    """Bytes from base64 in its one canonical spelling. Raises NoteRefused."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefused("this is not base64") from None
    if base64.b64encode(blob).decode() != text:
        raise NoteRefused("this is not canonical base64")
    return blob
