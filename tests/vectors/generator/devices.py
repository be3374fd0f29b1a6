"""Certificates and revocations of devices, sessions bound to them (docs/protocol.md sections 2 and 3)."""

from typing import Any

from portal.core import ids
from portal.e2ee import seal
from portal.e2ee.encoding import b64, pae, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person

from .building import NOON, Case, bent, changed, each_member_false, no, ok


def certificate_cases() -> tuple[Case, list[Case]]:
    alice, bob = Person.new("alice", "alice_phone"), Person.new("bob", "bob_phone")
    first = seal.first_entry(alice)
    fresh = Identity.new()
    second = seal.new_identity(first.entry, alice.identity, fresh, alice.key)
    device, entries = alice.device, [first.to_json()]
    good = seal.certificate(alice.identity, device, NOON)
    h = unb64(good["h"])

    def with_header(header: bytes, signer: Identity = alice.identity) -> dict[str, str]:
        return {**good, "h": b64(header), "sig": signer.sign(pae("dev", header))}

    def with_members(**members: Any) -> dict[str, str]:
        return with_header(changed(h, **members))

    of_bob = Device("bob", device.dev, device.seed)
    twin = Device("alice", "tablet", device.seed)
    small = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    no_ts = changed(h, ts=None)
    other_pop = bob.device.sign(unb64(good["h"]))
    ahead = seal.entry_ahead(alice)
    taken = seal.new_identity(ahead.entry, alice.identity, fresh, EncryptionKey.new(2))
    common = {"user": "alice", "dev": device.dev, "entries": entries}
    return common, [
        ok("by the identity", certificate=good),
        ok("without a time", certificate=with_header(no_ts)),
        ok("by an earlier identity", certificate=good, entries=[*entries, second.to_json()]),
        ok(
            "by the newest identity",
            certificate=seal.certificate(fresh, device, NOON),
            entries=[*entries, second.to_json()],
        ),
        ok(
            "by one's own identity, after one made ahead",
            certificate=seal.certificate(fresh, device, NOON),
            entries=[ahead.to_json(), taken.to_json()],
        ),
        no("certificate", "by an identity made ahead", certificate=good, entries=[ahead.to_json()]),
        no(
            "certificate",
            "by an identity made ahead that was taken over",
            certificate=good,
            entries=[ahead.to_json(), taken.to_json()],
        ),
        no("certificate", "by a later identity than there is", certificate=seal.certificate(fresh, device, NOON)),
        no("certificate", "by another user", certificate=seal.certificate(bob.identity, device, NOON)),
        no("certificate", "of another device", certificate=seal.certificate(alice.identity, twin, NOON)),
        no("certificate", "of another user", certificate=seal.certificate(alice.identity, of_bob, NOON)),
        no("certificate", "possession not shown", certificate={"h": good["h"], "sig": good["sig"]}),
        no(
            "certificate",
            "possession by another device",
            certificate={**good, "pop": b64(bob.device.sign(pae("dev-pop", "alice", device.dev, device.public)))},
        ),
        no(
            "certificate",
            "possession for another user",
            certificate={**good, "pop": b64(device.sign(pae("dev-pop", "bob", device.dev, device.public)))},
        ),
        no("certificate", "possession over something else", certificate={**good, "pop": b64(other_pop)}),
        no("certificate", "a key of small order", certificate={**with_members(ed=small), "pop": small + "A" * 43}),
        no("certificate", "signed as a revocation", certificate={**good, "sig": alice.identity.sign(pae("devrev", h))}),
        no("certificate", "the header bent", certificate={**good, "h": bent(good["h"])}),
        no("certificate", "a further member", certificate=with_members(role="patient")),
        no("certificate", "the time is a text", certificate=with_members(ts="now")),
        no("certificate", "version 2", certificate=with_members(v=2)),
        no("certificate", "another type", certificate=with_members(t="user")),
        no("certificate", "a key of 31 bytes", certificate=with_members(ed=b64(bytes(31)))),
        *each_member_false(h, lambda header: {"certificate": with_header(header)}, "certificate"),
        no("certificate", "possession of 63 bytes", certificate={**good, "pop": b64(unb64(good["pop"])[:63])}),
    ]


def revocation_cases() -> tuple[Case, list[Case]]:
    alice, bob = Person.new("alice", "alice_phone"), Person.new("bob", "bob_phone")
    first = seal.first_entry(alice)
    fresh = Identity.new()
    second = seal.new_identity(first.entry, alice.identity, fresh, alice.key)
    dev, entries = alice.device.dev, [first.to_json()]
    good = seal.revocation(alice.identity, "alice", dev, NOON)
    h = unb64(good["h"])

    def with_members(**members: Any) -> dict[str, str]:
        header = changed(h, **members)
        return {"h": b64(header), "sig": alice.identity.sign(pae("devrev", header))}

    certificate = seal.certificate(alice.identity, alice.device, NOON)
    ahead = seal.entry_ahead(alice).to_json()
    return {"user": "alice", "dev": dev, "entries": entries}, [
        no("revocation", "by an identity made ahead", revocation=good, entries=[ahead]),
        ok("by the identity", revocation=good),
        ok(
            "by a later identity",
            revocation=seal.revocation(fresh, "alice", dev, NOON),
            entries=[*entries, second.to_json()],
        ),
        no("revocation", "by another user", revocation=seal.revocation(bob.identity, "alice", dev, NOON)),
        no("revocation", "of another device", revocation=seal.revocation(alice.identity, "alice", "tablet", NOON)),
        no("revocation", "of another user", revocation=seal.revocation(alice.identity, "bob", dev, NOON)),
        no("revocation", "one half of the signature", revocation={**good, "sig": good["sig"].split(".")[0]}),
        no("revocation", "signed as a certificate", revocation={**good, "sig": alice.identity.sign(pae("dev", h))}),
        no("revocation", "a certificate served as one", revocation=certificate),
        no("revocation", "no time", revocation=with_members(ts=None)),
        no("revocation", "a further member", revocation=with_members(reason="lost")),
        no("revocation", "version 2", revocation=with_members(v=2)),
        no("revocation", "no signature", revocation={"h": good["h"]}),
        *each_member_false(
            h,
            lambda header: {"revocation": {"h": b64(header), "sig": alice.identity.sign(pae("devrev", header))}},
            "revocation",
        ),
    ]


def session_cases() -> tuple[Case, list[Case]]:
    device, other = Device.new("alice", "alice_phone"), Device.new("alice", "alice_phone")
    challenge = ids.random_bytes(32)
    long = ids.random_bytes(64)
    tablet = Device("alice", "alice_tablet", device.seed)
    common = {"ed": b64(device.public), "dev": device.dev, "challenge": b64(challenge)}
    return common, [
        ok("by the device", sig=b64(seal.session_signature(device, challenge))),
        ok("the longest challenge", challenge=b64(long), sig=b64(seal.session_signature(device, long))),
        no("signature", "by another device", sig=b64(seal.session_signature(other, challenge))),
        no("signature", "for another device id", sig=b64(seal.session_signature(tablet, challenge))),
        no("signature", "over another challenge", sig=b64(seal.session_signature(device, long))),
        no("signature", "over the bare challenge", sig=b64(device.sign(challenge))),
        no(
            "form",
            "a challenge of 15 bytes",
            challenge=b64(challenge[:15]),
            sig=b64(seal.session_signature(device, challenge[:15])),
        ),
        no(
            "form",
            "a challenge of 65 bytes",
            challenge=b64(long + b"x"),
            sig=b64(seal.session_signature(device, long + b"x")),
        ),
        no("form", "a signature of 63 bytes", sig=b64(seal.session_signature(device, challenge)[:63])),
    ]
