"""The one place randomness comes from: ids, tokens and jitter."""

import hashlib
import re
import secrets

_HEX128 = re.compile(r"[0-9a-f]{32}")
# Crockford base32 leaves out I, L, O and U, which people misread.
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def random_id() -> str:
    """A fresh 128-bit id as 32 lowercase hex digits (docs/protocol.md section 4)."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether `text` has the form of a 128-bit id."""
    return _HEX128.fullmatch(text) is not None


def token(octets: int = 32) -> str:
    """A fresh secret of `octets` random bytes as URL-safe text without padding."""
    return secrets.token_urlsafe(octets)


def random_bytes(octets: int) -> bytes:
    """`octets` bytes from the operating system's generator."""
    return secrets.token_bytes(octets)


def hand_code(bits: int = 80) -> str:
    """A secret that people read aloud or type: Crockford base32, grouped by four, at least `bits` bits."""
    length = -(-bits // 5)
    text = "".join(secrets.choice(_CROCKFORD) for _ in range(length))
    return "-".join(text[i : i + 4] for i in range(0, length, 4))


def normal_hand_code(typed: str) -> str:
    """What a person typed for a `hand_code`, with case, spaces and look-alike letters set right."""
    text = re.sub(r"[\s-]", "", typed).upper()
    return text.translate(str.maketrans("ILO", "110"))


def digest(secret: str) -> str:
    """SHA-256 of a secret as hex: what the database keeps instead of a session id or a code."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hand_code_digest(typed: str) -> str:
    """What the database keeps of a `hand_code`: the same for every way of typing it."""
    return digest(normal_hand_code(typed))


def jitter() -> float:
    """A number in [0, 1) that spreads retries."""
    return secrets.randbelow(1 << 20) / (1 << 20)
