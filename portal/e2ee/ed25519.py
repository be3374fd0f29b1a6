"""Ed25519 as every reader must judge it: without cofactor, canonical encodings, no points of small order
(docs/protocol.md section 1). The equation is OpenSSL's, which compares R as bytes and refuses S from L upwards."""

from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_FIELD = 2**255 - 19
_SIGN_BIT = 2**255
# y of the points whose order divides 8; the sign of x does not matter.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)


def _canonical(y: int) -> bool:
    return y < _FIELD


def _not_small(y: int) -> bool:
    return y not in _SMALL_ORDER_Y


POINT_CHECKS: tuple[Callable[[int], bool], ...] = (_canonical, _not_small)


def acceptable_point(encoded: bytes) -> bool:
    """Whether 32 bytes may stand for a public key or for R. Whether they lie on the curve is the library's to say."""
    y = int.from_bytes(encoded, "little") % _SIGN_BIT
    return len(encoded) == KEY_BYTES and all(check(y) for check in POINT_CHECKS)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` holds under `public` (32 bytes). Malformed input is false."""
    if len(signature) != SIGNATURE_BYTES or not acceptable_point(public) or not acceptable_point(signature[:32]):
        return False
    try:
        _loaded(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def _loaded(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=256)
def _private(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_of(seed: bytes) -> bytes:
    """The public key of a 32-byte seed."""
    return _private(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """The signature of the key with this 32-byte seed."""
    return _private(seed).sign(message)
