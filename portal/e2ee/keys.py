"""How keys are derived from secrets, for those who seal and those who open (docs/protocol.md sections 2-4 and 8)."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portal.e2ee.encoding import hkdf, pae
from portal.e2ee.reasons import Reason, Refused

SEED_BYTES = 32
TAG_BYTES = 16
SEALED_SEED_BYTES = SEED_BYTES + TAG_BYTES


@dataclass(frozen=True, slots=True)
class BoxKey:
    """The key and nonce of one box: used once, as its header is in the derivation."""

    key: bytes
    nonce: bytes

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """AES-256-GCM."""
        return AESGCM(self.key).encrypt(self.nonce, plain, aad)

    def open(self, ct: bytes, aad: bytes, reason: Reason = Reason.AEAD) -> bytes:
        """What was sealed. Raises Refused with `reason`."""
        return aead_open(self.key, self.nonce, ct, aad, reason)


@dataclass(frozen=True, slots=True)
class MessageKey(BoxKey):
    """The key of one message, and what its ciphertext shows of it."""

    commitment: bytes


def aead_open(key: bytes, nonce: bytes, ct: bytes, aad: bytes, reason: Reason = Reason.AEAD) -> bytes:
    """AES-256-GCM. Raises Refused with `reason` if the tag does not fit."""
    try:
        return AESGCM(key).decrypt(nonce, ct, aad)
    except (InvalidTag, ValueError) as problem:
        raise Refused(reason) from problem


def commitment(secret: bytes) -> bytes:
    """What an epoch record shows of its secret."""
    return hkdf(secret, b"", pae("epoch-commit"), 32)


def message_key(secret: bytes, salt: bytes, h: bytes) -> MessageKey:
    """The key of the message with this header, under an epoch's secret."""
    out = hkdf(secret, salt, pae("msg-key", h), 76)
    return MessageKey(out[:32], out[32:44], out[44:])


def object_key(seed: bytes, salt: bytes, h: bytes) -> BoxKey:
    """The key of the sealed object with this header, under its owner's seed."""
    return _box(seed, salt, "obj-key", h)


def root_box_key(urk: bytes, salt: bytes, h: bytes) -> BoxKey:
    """The key of the root box with this header."""
    return _box(urk, salt, "root-key", h)


def previous_seed_key(label: str, seed: bytes, h: bytes) -> BoxKey:
    """The key of the seed before this one: `user-prev` in an entry, `team-prev` in a team record."""
    return _box(seed, b"", label, h)


def _box(secret: bytes, salt: bytes, label: str, h: bytes) -> BoxKey:
    out = hkdf(secret, salt, pae(label, h), 44)
    return BoxKey(out[:32], out[32:])
