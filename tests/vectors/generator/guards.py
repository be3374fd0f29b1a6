"""The lock key of a shared device under a PIN or a passkey (docs/protocol.md section 2)."""

from typing import Any

from portal.core import ids
from portal.e2ee import guard
from portal.e2ee.encoding import b64

from .building import Case, bent, no, ok

PIN = "402715"


def guard_cases() -> tuple[Case, list[Case]]:
    lock_key, share, prf = ids.random_bytes(32), ids.random_bytes(32), ids.random_bytes(32)
    of_bob, with_prf = (guard.seal_guard(lock_key, "bob", "counter", secret, share) for secret in (PIN, prf))
    by_pin, by_passkey = of_bob.to_json(), with_prf.to_json()
    shown = guard.auth_of(with_prf, prf)
    other_share, other_prf = ids.random_bytes(32), ids.random_bytes(32)

    def passkey(**members: Any) -> dict[str, Any]:
        return {**by_passkey, **members}

    def pin(**members: Any) -> dict[str, Any]:
        return {**by_pin, **members}

    costlier = pin(params="argon2id,v=19,m=65536,t=4,p=1")
    weak = {
        "less memory": "argon2id,v=19,m=65535,t=3,p=1",
        "fewer passes": "argon2id,v=19,m=65536,t=2,p=1",
        "too much memory": "argon2id,v=19,m=1048577,t=3,p=1",
        "those of a passkey": "prf",
    }
    common = {
        "user": "bob",
        "dev": "counter",
        "share": b64(share),
        "lock": b64(lock_key),
        "guard": by_passkey,
        "prf": b64(prf),
        "auth": b64(shown),
    }
    of_pin = {"guard": by_pin, "prf": None, "pin": PIN, "auth": b64(guard.auth_of(of_bob, PIN))}
    return common, [
        ok("by passkey", input=b64(guard.prf_input(with_prf))),
        ok("by PIN", **of_pin),
        no("aead", "another PIN", **{**of_pin, "pin": "402716"}),
        no("aead", "the PIN with another share", **of_pin, share=b64(other_share)),
        no("aead", "another passkey", prf=b64(other_prf)),
        no("aead", "another share", share=b64(other_share)),
        no("aead", "factor and share exchanged", prf=b64(share), share=b64(prf)),
        no("aead", "what the server is shown, in the place of the factor", prf=b64(shown)),
        no("aead", "bent", guard=passkey(ct=bent(by_passkey["ct"]))),
        no("aead", "another salt", guard=passkey(salt=b64(bytes(16)))),
        no("object", "of somebody else", user="grace"),
        no("object", "of another device", dev="back_room"),
        no("aead", "of somebody else, renamed", user="grace", guard=passkey(user="grace")),
        no("aead", "of another device, renamed", dev="back_room", guard=passkey(dev="back_room")),
        no("aead", "under another method's name", guard=passkey(method="pin", params=by_pin["params"])),
        no(
            "aead",
            "a higher cost than it was made with",
            **{**of_pin, "guard": costlier},
        ),
        no("code", "five digits", **{**of_pin, "pin": PIN[:5]}),
        no("code", "seven digits", **{**of_pin, "pin": PIN + "0"}),
        no("code", "a letter", **{**of_pin, "pin": "40271a"}),
        no("code", "digits of another script", **{**of_pin, "pin": "\u0664\u0660\u0662\u0667\u0661\u0665"}),
        no("code", "a line break after it", **{**of_pin, "pin": PIN + "\n"}),
        *(no("parameters", f"parameters: {name}", **{**of_pin, "guard": pin(params=it)}) for name, it in weak.items()),
        no("parameters", "a passkey with the parameters of a PIN", guard=passkey(params=by_pin["params"])),
        no("parameters", "a passkey without parameters", guard=passkey(params="")),
        no("form", "a share of 31 bytes", share=b64(bytes(31))),
        no("form", "a factor of 33 bytes", prf=b64(bytes(33))),
        no("form", "salt of another length", guard=passkey(salt=b64(bytes(15)))),
        no("form", "iv of another length", guard=passkey(iv=b64(bytes(16)))),
        no("form", "ct of another length", guard=passkey(ct=b64(bytes(47)))),
        no("form", "another method", guard=passkey(method="face")),
        no("form", "a further member", guard=passkey(hint="x")),
        no("form", "no device", guard={name: value for name, value in by_passkey.items() if name != "dev"}),
        *(
            no("form", f"guard: {name} is false", guard=passkey(**{name: False}))
            for name in by_passkey
            if name not in "vt"
        ),
        no("form", "version is true", guard=passkey(v=True)),
        no("version", "version 2", guard=passkey(v=2)),
        no("type", "another type", guard=passkey(t="urk")),
    ]
