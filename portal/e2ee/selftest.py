"""Known answers, asked before anything is trusted: a `cryptography` without ML-KEM, ML-DSA or Argon2 fails here and
not in the middle of a conversation (docs/protocol.md section 12)."""

from collections.abc import Callable, Mapping
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm

from portal.e2ee import attachments, ed25519, hpke, hybrid, recovery
from portal.e2ee.encoding import hkdf, pae

_SEED = bytes(range(32))
_OTHER_SEED = bytes(range(32, 64))
_INFO = pae("self-test")


class SelfTestFailed(RuntimeError):
    """A primitive is missing or gives wrong answers; the message names it. Nothing may be sealed or verified."""


def _xwing() -> bool:
    public = hpke.public_of(_SEED)
    known = sha256(public).hexdigest() == "c9a3565ffde4f72b51661be391ee13e46378d7f06dd5c8bf5af9d2cfb5b8336b"
    return known and hpke.open_sealed(_SEED, _INFO, hpke.seal(public, _INFO, b"known")) == b"known"


def _ml_dsa() -> bool:
    keys = hybrid.public_of(_SEED, _OTHER_SEED)
    signature = hybrid.sign(_SEED, _OTHER_SEED, b"known")
    known = sha256(keys.ml).hexdigest() == "408071bcaf4fe051b0b68f8e5b2a9dbbc15dabd9440757bf197a677bbca50b9b"
    return known and hybrid.verify(keys, signature, b"known") and not hybrid.verify(keys, signature, b"other")


def _ed25519() -> bool:
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
        "5141438e7a100b"
    )
    neutral = (1).to_bytes(32, "little")
    return ed25519.verify(public, signature, b"") and not ed25519.verify(neutral, neutral + bytes(32), b"")


def _argon2() -> bool:
    key = recovery.stretched(b"known passphrase", _SEED[:16], recovery.Argon2Cost())
    return key.hex() == "5081a9a9a96b0875586f254b885eb74c488f3bd0306c3e1ade551e853a87c615"


def _hkdf() -> bool:
    okm = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    return okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def _chunks() -> bool:
    stored = attachments.seal_file("0" * 32, "known", b"known", _SEED, _SEED[:24]).stored
    return sha256(stored).hexdigest() == "20ac53e248097430bc6de3fad0c1da5f10ba357ea4a0db9a7ee13c9c13d0554a"


TESTS: Mapping[str, Callable[[], bool]] = {
    "HKDF-SHA-256": _hkdf,
    "Ed25519": _ed25519,
    "MLKEM768-X25519 with HPKE": _xwing,
    "ML-DSA-65": _ml_dsa,
    "Argon2id": _argon2,
    "chunked AES-256-GCM": _chunks,
}


def run() -> tuple[str, ...]:
    """The names of the primitives that gave the right answers: all of them. Takes about 0.2 seconds.

    Raises SelfTestFailed, naming the first that did not.
    """
    for name, holds in TESTS.items():
        try:
            right = holds()
        except (UnsupportedAlgorithm, ValueError) as problem:
            raise SelfTestFailed(name) from problem
        if not right:
            raise SelfTestFailed(name)
    return tuple(TESTS)
