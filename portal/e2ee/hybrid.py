"""Identity signatures: Ed25519 and ML-DSA-65 over the same bytes, both must verify (docs/protocol.md section 1)."""

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from portal.e2ee import ed25519
from portal.e2ee.encoding import PROTOCOL, b64, unb64
from portal.e2ee.reasons import Refused

ML_KEY_BYTES = 1952
ML_SIGNATURE_BYTES = 3309


@dataclass(frozen=True, slots=True)
class IdentityKeys:
    """The two public keys of an identity."""

    ed: bytes
    ml: bytes


def verify(keys: IdentityKeys, signature: object, message: bytes) -> bool:
    """Whether both halves of `signature` hold. Malformed input is simply false."""
    halves = signature.split(".") if isinstance(signature, str) else []
    if len(halves) != 2:
        return False
    try:
        classical = unb64(halves[0], ed25519.SIGNATURE_BYTES)
        lattice = unb64(halves[1], ML_SIGNATURE_BYTES)
    except Refused:
        return False
    return _classical_holds(keys, classical, message) and _lattice_holds(keys, lattice, message)


def _classical_holds(keys: IdentityKeys, signature: bytes, message: bytes) -> bool:
    return ed25519.verify(keys.ed, signature, message)


def _lattice_holds(keys: IdentityKeys, signature: bytes, message: bytes) -> bool:
    try:
        _loaded(keys.ml).verify(signature, message, PROTOCOL)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=1024)
def _loaded(ml: bytes) -> MLDSA65PublicKey:
    return MLDSA65PublicKey.from_public_bytes(ml)


def public_of(ed_seed: bytes, ml_seed: bytes) -> IdentityKeys:
    """The public keys of an identity with these two 32-byte seeds."""
    lattice = MLDSA65PrivateKey.from_seed_bytes(ml_seed).public_key().public_bytes_raw()
    return IdentityKeys(ed=ed25519.public_of(ed_seed), ml=lattice)


def sign(ed_seed: bytes, ml_seed: bytes, message: bytes) -> str:
    """Both signatures, as the text that travels."""
    lattice = MLDSA65PrivateKey.from_seed_bytes(ml_seed).sign(message, PROTOCOL)
    return b64(ed25519.sign(ed_seed, message)) + "." + b64(lattice)
