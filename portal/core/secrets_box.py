"""Small secrets at rest under the operator's key: ID tokens and credentials that a database dump must not give away.

AES-256-GCM under a key that HKDF-SHA-256 derives from PORTAL_SECRET_KEY for one purpose, so that no two uses share a
key. What was sealed under PORTAL_SECRET_KEY_PREVIOUS still opens, so that keys are rotated without signing anyone out.
"""

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal.core import ids

_FORM = b"\x01"
_NONCE_OCTETS = 12


class CannotOpen(ValueError):
    """The bytes were sealed for somebody else, for another purpose, under a key that is gone, or were changed."""


class SecretsBox:
    """Seals and opens under the operator's keys for one `purpose`."""

    def __init__(self, keys: Sequence[str], purpose: str) -> None:
        """`keys` is `Settings.secret_keys`: the first one seals, all of them open."""
        if not keys:
            raise ValueError("PORTAL_SECRET_KEY is empty")
        self._keys = [_derive(key, purpose) for key in keys]

    def seal(self, secret: str, *bound_to: str) -> bytes:
        """Ciphertext of `secret` that opens only with the same `bound_to` (for example account id and issuer)."""
        nonce = ids.random_bytes(_NONCE_OCTETS)
        return _FORM + nonce + self._keys[0].encrypt(nonce, secret.encode(), _bind(bound_to))

    def open(self, sealed: bytes, *bound_to: str) -> str:
        """The secret. Raises CannotOpen."""
        if sealed[:1] != _FORM:
            raise CannotOpen("unknown form")
        nonce, ciphertext = sealed[1 : 1 + _NONCE_OCTETS], sealed[1 + _NONCE_OCTETS :]
        for key in self._keys:
            try:
                return key.decrypt(nonce, ciphertext, _bind(bound_to)).decode()
            except (InvalidTag, ValueError):
                continue
        raise CannotOpen("no key opens it")


def _derive(key: str, purpose: str) -> AESGCM:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"portal secrets " + purpose.encode())
    return AESGCM(hkdf.derive(key.encode()))


def _bind(parts: tuple[str, ...]) -> bytes:
    # Each part carries its length, so that ("ab", "c") and ("a", "bc") stay apart.
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
