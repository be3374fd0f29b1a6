"""Bytes as text, texts as bytes, hashes and key derivation: docs/protocol.md section 1."""

import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

from portal.e2ee.reasons import Reason, Refused

PROTOCOL = b"rxe2ee/1"
HASH_BYTES = 32
# Between the two alphabets; those of the standard one that are not ours become what no alphabet has.
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_+/", b"+/  ")
_LENGTH_OF_PROTOCOL = len(PROTOCOL).to_bytes(8, "big") + PROTOCOL


def b64(data: bytes) -> str:
    """The one base64url text, without padding, that stands for `data`."""
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def unb64(text: object, length: int | None = None) -> bytes:
    """The bytes that `text` stands for, exactly `length` of them if given. Raises Refused(form)."""
    if not isinstance(text, str):
        raise Refused(Reason.FORM)
    try:
        standard = text.encode("ascii").translate(_STANDARD)
        data = binascii.a2b_base64(standard + b"=" * (-len(standard) % 4))
    except ValueError as problem:
        raise Refused(Reason.FORM) from problem
    if not _canonical(standard, data) or not _of_length(data, length):
        raise Refused(Reason.FORM)
    return data


def _canonical(standard: bytes, data: bytes) -> bool:
    # The library skips characters it does not know and ignores unused bits; what it wrote itself has neither.
    return binascii.b2a_base64(data, newline=False).rstrip(b"=") == standard


def _of_length(data: bytes, length: int | None) -> bool:
    return length is None or len(data) == length


def pae(*parts: bytes | str | int) -> bytes:
    """Pre-authentication encoding: each part with its length before it, so that no two lists look alike."""
    out = [_LENGTH_OF_PROTOCOL]
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        out.append(len(data).to_bytes(8, "big"))
        out.append(data)
    return b"".join(out)


def sha256(data: bytes) -> bytes:
    """H of docs/protocol.md."""
    return hashlib.sha256(data).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """Compare without telling by the time taken where the first difference is."""
    return hmac.compare_digest(left, right)


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 (RFC 5869), any length of `info`."""
    return expand(hmac256(salt or bytes(HASH_BYTES), ikm), info, length, "sha256")


def expand(prk: bytes, info: bytes, length: int, algorithm: str) -> bytes:
    """The second half of HKDF, also for a key shorter than the hash (docs/protocol.md section 8 needs that)."""
    out, block, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = hmac.digest(prk, block + info + bytes([counter]), algorithm)
        out += block
    return out[:length]


def key_id(kem: bytes) -> bytes:
    """kid: names an encryption key."""
    return sha256(kem)[:16]


def wraps_hash(wraps: Mapping[str, bytes]) -> bytes:
    """H(w): over the compact JSON of [id, wrap], sorted by id."""
    pairs = [[name, b64(wraps[name])] for name in sorted(wraps)]
    return sha256(json.dumps(pairs, separators=(",", ":")).encode())


def header_bytes(members: Mapping[str, object]) -> bytes:
    """A header of our own making: compact JSON. Readers accept any other layout just as well."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
