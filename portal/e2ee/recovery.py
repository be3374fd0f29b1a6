"""Getting the user's root key back: by passkey, printed code or passphrase (docs/protocol.md section 2)."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from portal.core import ids
from portal.e2ee import form
from portal.e2ee.checks import Check, require
from portal.e2ee.encoding import b64, hkdf, pae, sha256, unb64
from portal.e2ee.form import Form
from portal.e2ee.keys import TAG_BYTES, aead_open
from portal.e2ee.reasons import Reason, Refused

URK_BYTES = 32
SALT_BYTES = 16
IV_BYTES = 12
PASSPHRASE_CHARACTERS = 20
"""The least length of a passphrase that a person chose."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECK_ALPHABET = ALPHABET + "*~$=U"
CODE_SYMBOLS = 26
CODE_PARAMS = "hkdf"
PRF_BYTES = 32
"""What a passkey gives by the PRF extension of WebAuthn."""

_SPACES = re.compile(r"[ \t\r\n]+")
_LOOKALIKES = str.maketrans("OIL", "011")
_PASSKEY_PARAMS = re.compile(r"prf,cred=([A-Za-z0-9_-]+)", re.ASCII)
_ARGON2_PARAMS = re.compile(r"argon2id,v=19,m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})", re.ASCII)


class Method(StrEnum):
    """What opens a wrap. `device`: a code that one device of the person shows to another, once."""

    PASSPHRASE = "passphrase"  # noqa: S105 (a name, no secret)
    CODE = "code"
    PASSKEY = "passkey"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What a guess at a passphrase costs: `memory` in KiB, `passes` over it, `lanes` side by side."""

    memory: int = 65_536
    passes: int = 3
    lanes: int = 1

    def text(self) -> str:
        """As `params` of a wrap."""
        return f"argon2id,v=19,m={self.memory},t={self.passes},p={self.lanes}"


COST_CHECKS: tuple[Check[Argon2Cost], ...] = (
    Check("argon2: enough memory", Reason.PARAMETERS, lambda cost: cost.memory >= 65_536),
    Check("argon2: not too much memory", Reason.PARAMETERS, lambda cost: cost.memory <= 1_048_576),
    Check("argon2: enough passes", Reason.PARAMETERS, lambda cost: cost.passes >= 3),
    Check("argon2: not too many passes", Reason.PARAMETERS, lambda cost: cost.passes <= 16),
    Check("argon2: not too many lanes", Reason.PARAMETERS, lambda cost: cost.lanes <= 4),
)


def read_cost(params: str) -> Argon2Cost:
    """The cost in `params`. Raises Refused(parameters) for another text, weaker parameters and absurd ones."""
    match = _ARGON2_PARAMS.fullmatch(params)
    if match is None:
        raise Refused(Reason.PARAMETERS)
    memory, passes, lanes = (int(number) for number in match.groups())
    cost = Argon2Cost(memory, passes, lanes)
    require(COST_CHECKS, cost)
    return cost


CREDENTIAL_CHECKS: tuple[Check[bytes], ...] = (
    Check("passkey: credential not too short", Reason.PARAMETERS, lambda credential: len(credential) >= 16),
    Check("passkey: credential not too long", Reason.PARAMETERS, lambda credential: len(credential) <= 1023),
)


def read_credential(params: str) -> bytes:
    """The id of the passkey in `params`. Raises Refused(parameters) for another text or length."""
    match = _PASSKEY_PARAMS.fullmatch(params)
    if match is None:
        raise Refused(Reason.PARAMETERS)
    try:
        credential = unb64(match[1])
    except Refused as problem:
        raise Refused(Reason.PARAMETERS) from problem
    require(CREDENTIAL_CHECKS, credential)
    return credential


def prf_input(user: str) -> bytes:
    """What a passkey of `user` is asked for, the member `eval.first` of the PRF extension."""
    return sha256(pae("prf", "urk", user))


def normal_passphrase(typed: str) -> bytes:
    """The bytes that a typed passphrase stands for: NFKC, single spaces, none at either end."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", typed)).strip(" ").encode()


def make_code() -> str:
    """A fresh recovery code, 130 random bits: 26 symbols and the check symbol, in groups of four."""
    number = int.from_bytes(ids.random_bytes(17), "big") % (1 << 5 * CODE_SYMBOLS)
    symbols = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(CODE_SYMBOLS)))
    whole = symbols + check_symbol(symbols)
    return "-".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def check_symbol(symbols: str) -> str:
    """The 27th symbol: the number that the others write, modulo 37."""
    number = 0
    for symbol in symbols:
        number = number * 32 + ALPHABET.index(symbol)
    return CHECK_ALPHABET[number % 37]


CODE_CHECKS: tuple[Check[str], ...] = (
    Check("code: length", Reason.CODE, lambda code: len(code) == CODE_SYMBOLS + 1),
    Check("code: symbols", Reason.CODE, lambda code: all(symbol in ALPHABET for symbol in code[:CODE_SYMBOLS])),
    Check("code: check symbol", Reason.CODE, lambda code: code[-1] == check_symbol(code[:CODE_SYMBOLS])),
)


def bare_code(typed: str) -> str:
    """The symbols of something typed from paper: capitals, no spaces or hyphens, look-alikes as what they stand for."""
    return re.sub(r"[ \t\r\n-]", "", typed).upper().translate(_LOOKALIKES)


def read_code(typed: str) -> str:
    """The 26 symbols of a typed code; case, spaces, hyphens and look-alikes do not matter. Raises Refused(code)."""
    code = bare_code(typed)
    require(CODE_CHECKS, code)
    return code[:CODE_SYMBOLS]


def offer_name(user: str, typed: str) -> str:
    """Under which name the server keeps what one device of `user` offers to another. Raises Refused(code)."""
    return sha256(pae("device-offer", user, read_code(typed)))[:16].hex()


@dataclass(frozen=True, slots=True)
class URKWrap:
    """A user's root key under one way back."""

    user: str
    method: Method
    salt: bytes
    params: str
    iv: bytes
    ct: bytes

    @property
    def aad(self) -> bytes:
        """What the ciphertext is bound to."""
        return pae("urk", self.user, self.method, self.params)

    @property
    def way(self) -> str:
        """The id of this way back: the method's name, of a passkey 32 hex digits for its credential."""
        if self.method is Method.PASSKEY:
            return sha256(read_credential(self.params))[:16].hex()
        return self.method.value

    def to_json(self) -> dict[str, Any]:
        """The stored object."""
        return {
            "v": 1,
            "t": "urk",
            "user": self.user,
            "method": self.method.value,
            "salt": b64(self.salt),
            "params": self.params,
            "iv": b64(self.iv),
            "ct": b64(self.ct),
        }


FORMS: dict[str, Form] = {
    "urk": Form(
        {
            "user": form.identifier,
            "method": form.one_of(*Method),
            "salt": form.octets(SALT_BYTES),
            "params": form.text,
            "iv": form.octets(IV_BYTES),
            "ct": form.octets(URK_BYTES + TAG_BYTES),
        }
    )
}


def read_wrap(raw: Any) -> URKWrap:
    """Read a stored object. Raises Refused: form, version, type, or parameters that are refused before any work."""
    members = dict(form.an_object(raw))
    kind = form.known_kind(members, FORMS)
    it = form.read_members(members, FORMS[kind])
    wrap = URKWrap(**{**it, "method": Method(it["method"])})
    if wrap.method is Method.PASSPHRASE:
        read_cost(wrap.params)
    elif wrap.method is Method.PASSKEY:
        read_credential(wrap.params)
    elif wrap.params != CODE_PARAMS:
        raise Refused(Reason.PARAMETERS)
    return wrap


def wrap_by_passphrase(urk: bytes, user: str, passphrase: str, cost: Argon2Cost | None = None) -> URKWrap:
    """Wrap a root key so that the passphrase opens it. Raises Refused(parameters) for one that is too short."""
    if len(normal_passphrase(passphrase).decode()) < PASSPHRASE_CHARACTERS:
        raise Refused(Reason.PARAMETERS)
    return _wrap(urk, user, Method.PASSPHRASE, (cost or Argon2Cost()).text(), passphrase)


def wrap_by_code(urk: bytes, user: str, code: str) -> URKWrap:
    """Wrap a root key so that the recovery code opens it. Raises Refused(code) if it is none."""
    return _wrap(urk, user, Method.CODE, CODE_PARAMS, code)


def wrap_by_device(urk: bytes, user: str, code: str) -> URKWrap:
    """Wrap a root key for one other device of the person, which is shown `code`. Raises Refused(code)."""
    return _wrap(urk, user, Method.DEVICE, CODE_PARAMS, code)


def wrap_by_passkey(urk: bytes, user: str, credential: bytes, given: bytes) -> URKWrap:
    """Wrap a root key so that a passkey opens it, `given` being what it gives for `prf_input(user)`.

    Raises Refused(parameters) for a credential id of another length.
    """
    params = f"prf,cred={b64(credential)}"
    read_credential(params)
    return _wrap(urk, user, Method.PASSKEY, params, b64(given))


def _wrap(urk: bytes, user: str, method: Method, params: str, secret: str) -> URKWrap:
    wrap = URKWrap(user, method, ids.random_bytes(SALT_BYTES), params, ids.random_bytes(IV_BYTES), b"")
    ct = AESGCM(_key(wrap, secret)).encrypt(wrap.iv, urk, wrap.aad)
    return URKWrap(user, method, wrap.salt, params, wrap.iv, ct)


OWNER_CHECKS: tuple[Check[tuple[URKWrap, str]], ...] = (
    Check("urk: of this user", Reason.OBJECT, lambda it: it[0].user == it[1]),
)


def unwrap(wrap: URKWrap, user: str, secret: str) -> bytes:
    """The root key of `user`, by passphrase or code as typed, or by b64 of what the passkey gave. Raises Refused.

    `object` for the wrap of somebody else, `code` for a mistyped code, `form` for what no passkey gives, `aead` for a
    wrong secret.
    """
    require(OWNER_CHECKS, (wrap, user))
    return aead_open(_key(wrap, secret), wrap.iv, wrap.ct, wrap.aad)


def _key(wrap: URKWrap, secret: str) -> bytes:
    if wrap.method is Method.PASSPHRASE:
        ikm = stretched(normal_passphrase(secret), wrap.salt, read_cost(wrap.params))
    elif wrap.method is Method.PASSKEY:
        ikm = unb64(secret, PRF_BYTES)
    else:
        ikm = read_code(secret).encode()
    return hkdf(ikm, wrap.salt, pae("urk-key", wrap.user, wrap.method), 32)


def stretched(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> bytes:
    """Argon2id of a normalised passphrase, 32 bytes."""
    argon2 = Argon2id(salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    return argon2.derive(passphrase)
