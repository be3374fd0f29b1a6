"""HPKE base mode, one message a seal: MLKEM768-X25519, SHAKE256, AES-256-GCM (docs/protocol.md section 1).

Never another mode: who speaks is shown by signatures.
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from portal.e2ee.reasons import Reason, Refused

SEED_BYTES = 32
PUBLIC_BYTES = 1216
ENC_BYTES = 1120
OVERHEAD_BYTES = ENC_BYTES + 16

_ML_KEM_PUBLIC_BYTES = 1184
_ML_KEM_SEED_BYTES = 64
_FIELD = 2**255 - 19
_TOP_BIT = 2**255
# u of the points from which X25519 gives zero whatever the secret.
_SMALL_ORDER_U = frozenset(
    {
        0,
        1,
        int.from_bytes(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"),
        int.from_bytes(bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"),
        _FIELD - 1,
        _FIELD,
        _FIELD + 1,
    }
)


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.SHAKE256, AEAD.AES_256_GCM)


def public_of(seed: bytes) -> bytes:
    """The 1216-byte public key of a 32-byte seed."""
    return _halves(seed)[1]


def seal(public: bytes, info: bytes, plain: bytes) -> bytes:
    """enc and ciphertext of `plain` for the holder of `public`. Raises Refused(form) if that is not a key."""
    return _suite().encrypt(plain, _loaded(public), info)


def open_sealed(seed: bytes, info: bytes, sealed: bytes) -> bytes:
    """What was sealed. Raises Refused(wrap) if it was not sealed to this key under this `info`."""
    if not acceptable_enc(sealed[:ENC_BYTES]):
        raise Refused(Reason.WRAP)
    try:
        return _suite().decrypt(sealed, _halves(seed)[0], info)
    except (InvalidTag, ValueError) as problem:
        raise Refused(Reason.WRAP) from problem


def acceptable_enc(enc: bytes) -> bool:
    """Whether the X25519 part is not of small order; libraries do not show the result that is always zero."""
    return len(enc) == ENC_BYTES and int.from_bytes(enc[-32:], "little") % _TOP_BIT not in _SMALL_ORDER_U


@lru_cache(maxsize=1024)
def _halves(seed: bytes) -> tuple[MLKEM768X25519PrivateKey, bytes]:
    # The library has no constructor from a seed: the expansion is that of the X-Wing draft.
    expanded = hashlib.shake_256(seed).digest(_ML_KEM_SEED_BYTES + 32)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_ML_KEM_SEED_BYTES])
    curve = X25519PrivateKey.from_private_bytes(expanded[_ML_KEM_SEED_BYTES:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return MLKEM768X25519PrivateKey(lattice, curve), public


@lru_cache(maxsize=1024)
def _loaded(public: bytes) -> MLKEM768X25519PublicKey:
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(public[:_ML_KEM_PUBLIC_BYTES])
        curve = X25519PublicKey.from_public_bytes(public[_ML_KEM_PUBLIC_BYTES:])
    except ValueError as problem:
        raise Refused(Reason.FORM) from problem
    return MLKEM768X25519PublicKey(lattice, curve)
