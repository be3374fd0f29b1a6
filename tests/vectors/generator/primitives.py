"""Signatures of identities, sealing to a key (docs/protocol.md section 1)."""

from portal.e2ee import hpke
from portal.e2ee.encoding import b64, pae, sha256, unb64
from portal.e2ee.identity import EncryptionKey, Identity

from .building import Case, no, ok
from .randomness import RANDOMNESS


def hybrid_cases() -> tuple[Case, list[Case]]:
    identity, other, message = Identity.new(), Identity.new(), b"signed twice"
    keys = identity.keys
    good, foreign = identity.sign(message), other.sign(message)
    (ed, ml), (other_ed, other_ml) = good.split("."), foreign.split(".")
    plain_context = b64(_lattice_without_context(identity, message))
    common = {"ed": b64(keys.ed), "ml": b64(keys.ml), "message": b64(message)}
    return common, [
        ok("both halves", sig=good),
        no("certificate", "the Ed25519 half is another's", sig=f"{other_ed}.{ml}"),
        no("certificate", "the ML-DSA half is another's", sig=f"{ed}.{other_ml}"),
        no("certificate", "the Ed25519 half alone", sig=ed),
        no("certificate", "the Ed25519 half with a dot", sig=f"{ed}."),
        no("certificate", "three parts", sig=f"{good}.{ed}"),
        no("certificate", "over another message", sig=identity.sign(b"signed once")),
        no("certificate", "ML-DSA without the context", sig=f"{ed}.{plain_context}"),
        no("certificate", "padded base64url", sig=f"{ed}==.{ml}"),
        no("certificate", "one byte more in the ML-DSA half", sig=f"{ed}.{b64(unb64(ml) + b'x')}"),
    ]


def _lattice_without_context(identity: Identity, message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    name = b64(sha256(pae("no context", identity.ml_seed, message)))
    draw = RANDOMNESS._taped(name, lambda: b64(MLDSA65PrivateKey.from_seed_bytes(identity.ml_seed).sign(message)))
    return unb64(draw)


def hpke_cases() -> tuple[Case, list[Case]]:
    key, other = EncryptionKey.new(), EncryptionKey.new()
    info, plain = pae("wrap", b"header", "alice", 1), bytes(range(32))
    sealed = hpke.seal(key.public, info, plain)
    small = {
        "0": 0,
        "1": 1,
        "p - 1": 2**255 - 20,
        "p": 2**255 - 19,
        "p + 1": 2**255 - 18,
        "of order 8": int.from_bytes(unb64("4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA"), "little"),
        "of order 8, the other": int.from_bytes(unb64("X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc"), "little"),
        "0 with the top bit": 2**255,
        "p + 1 with the top bit": 2**256 - 18,
    }

    def with_u(u: int) -> str:
        return b64(sealed[: hpke.ENC_BYTES - 32] + u.to_bytes(32, "little") + sealed[hpke.ENC_BYTES :])

    common = {"seed": b64(key.seed), "public": b64(key.public), "info": b64(info), "plain": b64(plain)}
    return common, [
        ok("32 bytes", sealed=b64(sealed)),
        ok("nothing", sealed=b64(hpke.seal(key.public, info, b"")), plain=""),
        ok("an info of 40,000 bytes", sealed=b64(hpke.seal(key.public, bytes(40_000), plain)), info=b64(bytes(40_000))),
        no("wrap", "another info", sealed=b64(sealed), info=b64(pae("wrap", b"header", "alice", 2))),
        no("wrap", "another key", sealed=b64(sealed), seed=b64(other.seed)),
        no("wrap", "a bit of the ML-KEM part", sealed=b64(bytes([sealed[0] ^ 1]) + sealed[1:])),
        no("wrap", "a bit of the tag", sealed=b64(sealed[:-1] + bytes([sealed[-1] ^ 1]))),
        no("wrap", "shorter than enc", sealed=b64(sealed[:1000])),
        no("wrap", "without tag", sealed=b64(sealed[: hpke.ENC_BYTES])),
        *(no("wrap", f"X25519 part {name}", sealed=with_u(u)) for name, u in small.items()),
    ]
