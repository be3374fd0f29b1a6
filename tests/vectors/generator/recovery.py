"""Passphrases, recovery codes and passkeys (docs/protocol.md section 2)."""

from typing import Any

from portal.core import ids
from portal.e2ee import recovery
from portal.e2ee.encoding import b64

from .building import Case, bent, no, ok

PASSPHRASE = "correct horse battery staple"


def recovery_cases() -> tuple[Case, list[Case]]:
    urk, code = ids.random_bytes(32), recovery.make_code()
    by_words = recovery.wrap_by_passphrase(urk, "alice", PASSPHRASE).to_json()
    by_code = recovery.wrap_by_code(urk, "alice", code).to_json()
    costly = recovery.wrap_by_passphrase(urk, "alice", PASSPHRASE, recovery.Argon2Cost(65_536, 4, 2)).to_json()
    accents = recovery.wrap_by_passphrase(urk, "alice", "Café Müller \ufb01nds 12 pills").to_json()
    other = recovery.make_code()
    credential, given, first = ids.random_bytes(32), ids.random_bytes(32), b64(recovery.prf_input("alice"))
    by_passkey = recovery.wrap_by_passkey(urk, "alice", credential, given).to_json()
    shown = recovery.make_code()
    by_device = recovery.wrap_by_device(urk, "alice", shown).to_json()

    def passkey(params: str) -> dict[str, Any]:
        return {"wrap": {**by_passkey, "params": params}, "secret": b64(given)}

    others = {
        "no credential": "prf,cred=",
        "no credential, no name": "prf",
        "those of a code": "hkdf",
        "a credential of 15 bytes": f"prf,cred={b64(bytes(15))}",
        "a credential of 1024 bytes": f"prf,cred={b64(bytes(1024))}",
        "a credential with padding": f"prf,cred={b64(credential)}=",
        "a credential of an impossible length": f"prf,cred={b64(credential)}AA",
        "a credential with unused bits": f"prf,cred={b64(credential)[:-1]}{_next(b64(credential)[-1])}",
        "something behind the credential": f"prf,cred={b64(credential)},x=1",
        "a line break after it": f"prf,cred={b64(credential)}\n",
        "another order": f"cred={b64(credential)},prf",
    }

    def words(**members: Any) -> dict[str, Any]:
        return {**by_words, **members}

    weak = {
        "less memory": "argon2id,v=19,m=65535,t=3,p=1",
        "much less memory": "argon2id,v=19,m=8,t=3,p=1",
        "too much memory": "argon2id,v=19,m=1048577,t=3,p=1",
        "fewer passes": "argon2id,v=19,m=65536,t=2,p=1",
        "too many passes": "argon2id,v=19,m=65536,t=17,p=1",
        "too many lanes": "argon2id,v=19,m=65536,t=3,p=5",
        "no lanes": "argon2id,v=19,m=65536,t=3,p=0",
        "an older version": "argon2id,v=16,m=65536,t=3,p=1",
        "another function": "argon2i,v=19,m=65536,t=3,p=1",
        "another order": "argon2id,v=19,t=3,m=65536,p=1",
        "a leading zero": "argon2id,v=19,m=065536,t=3,p=1",
        "a line break after it": "argon2id,v=19,m=65536,t=3,p=1\n",
        "other digits": "argon2id,v=19,m=\u0666\u0665\u0665\u0663\u0666,t=3,p=1",
        "none": "",
        "those of a code": "hkdf",
    }
    return {"user": "alice", "urk": b64(urk), "secret": PASSPHRASE, "wrap": by_words}, [
        ok("by passphrase"),
        ok("by passphrase, typed with other spaces", secret="  correct\thorse  battery\r\nstaple "),
        ok(
            "by passphrase in other letters of the same form",
            wrap=accents,
            secret="Cafe\u0301 Mu\u0308ller finds \uff11\uff12 pills",
        ),
        ok("by passphrase under a higher cost", wrap=costly),
        ok("by code", wrap=by_code, secret=code),
        ok(
            "by code, as people type",
            wrap=by_code,
            secret=code.lower().replace("-", " ").replace("0", "o").replace("1", "l"),
        ),
        ok("by passkey", wrap=by_passkey, secret=b64(given), first=first),
        ok(
            "by passkey with the shortest id",
            wrap=recovery.wrap_by_passkey(urk, "alice", credential[:16], given).to_json(),
            secret=b64(given),
        ),
        ok(
            "by passkey with the longest id",
            wrap=recovery.wrap_by_passkey(urk, "alice", credential * 31 + credential[:31], given).to_json(),
            secret=b64(given),
        ),
        ok("by the code of another device", wrap=by_device, secret=shown, offer=recovery.offer_name("alice", shown)),
        no("aead", "what another passkey gives", wrap=by_passkey, secret=b64(credential)),
        no("aead", "a passkey's wrap under another credential", **passkey(f"prf,cred={b64(given)}")),
        no("object", "a passkey's wrap of somebody else", wrap=by_passkey, secret=b64(given), user="bob"),
        no("form", "31 bytes for a passkey", wrap=by_passkey, secret=b64(given[:31])),
        no("form", "33 bytes for a passkey", wrap=by_passkey, secret=b64(given + b"x")),
        no("form", "a code for a passkey", wrap=by_passkey, secret=code),
        *(no("parameters", f"passkey: {name}", **passkey(params)) for name, params in others.items()),
        no("parameters", "a code with the parameters of a passkey", wrap={**by_code, "params": by_passkey["params"]}),
        no("aead", "a recovery code as the code of another device", wrap={**by_code, "method": "device"}, secret=code),
        no("code", "the code of another device, mistyped", wrap=by_device, secret=shown[:-1]),
        no("aead", "another passphrase", secret=PASSPHRASE + "s"),
        no("aead", "capitals matter", secret=PASSPHRASE.title()),
        no("aead", "another code", wrap=by_code, secret=other),
        no("aead", "a costly wrap whose cost was lowered", wrap={**costly, "params": by_words["params"]}),
        no("aead", "bent", wrap=words(ct=bent(by_words["ct"]))),
        no("object", "of somebody else", user="bob"),
        no("aead", "of somebody else, renamed", wrap=words(user="bob"), user="bob"),
        no("code", "a passphrase for a code", wrap=by_code),
        no(
            "parameters",
            "a code with the parameters of a passphrase",
            wrap={**by_code, "params": by_words["params"]},
            secret=code,
        ),
        *(no("parameters", f"parameters: {name}", wrap=words(params=params)) for name, params in weak.items()),
        no("form", "salt of another length", wrap=words(salt=b64(bytes(15)))),
        no("form", "iv of another length", wrap=words(iv=b64(bytes(16)))),
        no("form", "ct of another length", wrap=words(ct=b64(bytes(47)))),
        no("form", "another method", wrap=words(method="pin")),
        no("form", "a further member", wrap=words(hint="x")),
        no("form", "no salt", wrap={name: value for name, value in by_words.items() if name != "salt"}),
        *(no("form", f"urk: {name} is false", wrap=words(**{name: False})) for name in by_words if name not in "vt"),
        no("form", "version is true", wrap=words(v=True)),
        no("version", "version 2", wrap=words(v=2)),
        no("type", "another type", wrap=words(t="root")),
    ]


def _next(symbol: str) -> str:
    """A last symbol that stands for the same byte under another spelling: the lowest bit is not used by 32 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(symbol) ^ 1]


def code_cases() -> tuple[Case, list[Case]]:
    code = "0123-4567-89AB-CDEF-GHJK-MNPQ-RS"
    symbols = code.replace("-", "")
    whole = symbols + recovery.check_symbol(symbols)
    zeros, ones = "0" * 26, "Z" * 26
    swapped = whole[1] + whole[0] + whole[2:]
    extended = _with_check("U")
    return {}, [
        ok("in groups", typed=code + whole[-1], symbols=symbols),
        ok("in small letters with spaces", typed=" ".join(whole.lower()), symbols=symbols),
        ok("O, I and L for 0 and 1", typed=whole.replace("0", "O").replace("1", "i", 1), symbols=symbols),
        ok("all zeros", typed=zeros + "0", symbols=zeros),
        ok("all Z", typed=ones + recovery.check_symbol(ones), symbols=ones),
        ok("check symbol U", typed=extended.lower(), symbols=extended[:-1]),
        ok("check symbol *", typed=_with_check("*"), symbols=_with_check("*")[:-1]),
        ok("check symbol =", typed=_with_check("="), symbols=_with_check("=")[:-1]),
        no("code", "one symbol changed", typed="Z" + whole[1:]),
        no("code", "two symbols exchanged", typed=swapped),
        no("code", "a wrong check symbol", typed=symbols + ("0" if whole[-1] != "0" else "1")),
        no("code", "one symbol short", typed=whole[:-1]),
        no("code", "one symbol more", typed="0" + whole),
        no("code", "U inside", typed="U" + whole[1:]),
        no("code", "a check symbol inside", typed="*" + whole[1:]),
        no("code", "another mark between the groups", typed=code.replace("-", ".") + whole[-1]),
        no("code", "nothing", typed=""),
        no("code", "a digit of another script", typed="\uff10" + whole[1:]),
    ]


def _with_check(symbol: str) -> str:
    """The smallest code that ends with this check symbol."""
    number = recovery.CHECK_ALPHABET.index(symbol)
    symbols = ("0" * 24) + recovery.ALPHABET[number // 32] + recovery.ALPHABET[number % 32]
    return symbols + recovery.check_symbol(symbols)
