"""What opens a shared device: its lock key under a person's PIN or passkey (docs/protocol.md section 2)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portal.core import ids
from portal.e2ee import form, recovery
from portal.e2ee.checks import Check, require
from portal.e2ee.encoding import b64, hkdf, pae, sha256
from portal.e2ee.form import Form
from portal.e2ee.keys import TAG_BYTES, aead_open
from portal.e2ee.reasons import Reason, Refused

LOCK_KEY_BYTES = 32
SHARE_BYTES = 32
FACTOR_BYTES = 32
AUTH_BYTES = 32
SALT_BYTES = 16
IV_BYTES = 12
PASSKEY_PARAMS = "prf"
_PIN = re.compile(r"[0-9]{6}", re.ASCII)


class Method(StrEnum):
    """How a person shows on a shared device that it is they."""

    PIN = "pin"
    PASSKEY = "passkey"


@dataclass(frozen=True, slots=True)
class Guard:
    """The lock key of one device under one method."""

    user: str
    dev: str
    method: Method
    salt: bytes
    params: str
    iv: bytes
    ct: bytes

    @property
    def aad(self) -> bytes:
        """What the ciphertext is bound to."""
        return pae("guard", self.user, self.dev, self.method, self.params)

    def to_json(self) -> dict[str, Any]:
        """The object as it lies in the browser."""
        return {
            "v": 1,
            "t": "guard",
            "user": self.user,
            "dev": self.dev,
            "method": self.method.value,
            "salt": b64(self.salt),
            "params": self.params,
            "iv": b64(self.iv),
            "ct": b64(self.ct),
        }


FORMS: dict[str, Form] = {
    "guard": Form(
        {
            "user": form.identifier,
            "dev": form.identifier,
            "method": form.one_of(*Method),
            "salt": form.octets(SALT_BYTES),
            "params": form.text,
            "iv": form.octets(IV_BYTES),
            "ct": form.octets(LOCK_KEY_BYTES + TAG_BYTES),
        }
    )
}

PARAMETER_CHECKS: tuple[Check[Guard], ...] = (
    Check(
        "guard: parameters of a passkey",
        Reason.PARAMETERS,
        lambda it: it.method is not Method.PASSKEY or it.params == PASSKEY_PARAMS,
    ),
)
PLACE_CHECKS: tuple[Check[tuple[Guard, str, str]], ...] = (
    Check("guard: of this user", Reason.OBJECT, lambda it: it[0].user == it[1]),
    Check("guard: of this device", Reason.OBJECT, lambda it: it[0].dev == it[2]),
)
FACTOR_CHECKS: tuple[Check[bytes | str], ...] = (
    Check("guard: six digits", Reason.CODE, lambda it: isinstance(it, bytes) or _PIN.fullmatch(it) is not None),
)


def read_guard(raw: Any) -> Guard:
    """Read a kept object. Raises Refused: form, version, type, or parameters that are refused before any work."""
    members = dict(form.an_object(raw))
    kind = form.known_kind(members, FORMS)
    it = form.read_members(members, FORMS[kind])
    guard = Guard(**{**it, "method": Method(it["method"])})
    require(PARAMETER_CHECKS, guard)
    if guard.method is Method.PIN:
        recovery.read_cost(guard.params)
    return guard


def seal_guard(lock_key: bytes, user: str, dev: str, secret: str | bytes, share: bytes) -> Guard:
    """Put a lock key under a PIN (text) or the PRF output of a passkey (bytes) and the server's share.

    Raises Refused(code) for a PIN that is not six digits.
    """
    require(FACTOR_CHECKS, secret)
    method = Method.PIN if isinstance(secret, str) else Method.PASSKEY
    params = recovery.Argon2Cost().text() if method is Method.PIN else PASSKEY_PARAMS
    empty = Guard(user, dev, method, ids.random_bytes(SALT_BYTES), params, ids.random_bytes(IV_BYTES), b"")
    ct = AESGCM(_key(empty, secret, share)).encrypt(empty.iv, lock_key, empty.aad)
    return Guard(user, dev, method, empty.salt, params, empty.iv, ct)


def open_guard(guard: Guard, user: str, dev: str, secret: str | bytes, share: bytes) -> bytes:
    """The lock key. Raises Refused: `object` for another person's or device's guard, `code` for a PIN that is none,
    `aead` for a wrong PIN, passkey or share."""
    require(PLACE_CHECKS, (guard, user, dev))
    require(FACTOR_CHECKS, secret)
    return aead_open(_key(guard, secret, share), guard.iv, guard.ct, guard.aad)


def prf_input(guard: Guard) -> bytes:
    """What a passkey is asked for a guard, the member `eval.first` of the PRF extension."""
    return sha256(pae("guard-prf", guard.salt))


def auth_of(guard: Guard, secret: str | bytes) -> bytes:
    """What is shown to the server for the share: it says neither the PIN nor the key, and differs by salt.

    Raises Refused: `code` for a PIN that is not six digits, `form` for a PRF output of another length.
    """
    require(FACTOR_CHECKS, secret)
    return hkdf(_factor(guard, secret), guard.salt, pae("guard-auth", guard.user, guard.dev, guard.method), AUTH_BYTES)


def _factor(guard: Guard, secret: str | bytes) -> bytes:
    if isinstance(secret, str):
        return recovery.stretched(secret.encode(), guard.salt, recovery.read_cost(guard.params))
    if len(secret) != FACTOR_BYTES:
        raise Refused(Reason.FORM)
    return secret


def _key(guard: Guard, secret: str | bytes, share: bytes) -> bytes:
    factor = _factor(guard, secret)
    if len(share) != SHARE_BYTES:
        raise Refused(Reason.FORM)
    return hkdf(factor + share, guard.salt, pae("guard-key", guard.user, guard.dev, guard.method), 32)
