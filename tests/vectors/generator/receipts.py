"""Receipts and reports (docs/protocol.md section 4)."""

from collections.abc import Callable
from typing import Any

from portal.e2ee import franking, seal
from portal.e2ee.encoding import b64, pae, unb64
from portal.e2ee.identity import Device
from portal.e2ee.records import AnyRecord, ReceiptKind, Role
from portal.e2ee.verify import Head

from .building import NOON, TEAM, THREAD, Case, Talk, World, bent, changed, each_member_false, linden, no, ok


def receipt_cases() -> tuple[Case, list[Case]]:
    world = linden()
    alice, bob, dave = (world.people[name] for name in ("alice", "bob", "dave"))
    tablet = world.device("alice", "alice_tablet")
    world.revocations.append(
        {
            "user": "alice",
            "dev": "alice_tablet",
            "revocation": seal.revocation(alice.identity, "alice", "alice_tablet", NOON),
        }
    )
    patient, team, proxy = (
        world.party("alice", Role.PATIENT),
        world.party(TEAM, Role.TEAM),
        world.party("dave", Role.PROXY),
    )
    talk = Talk(world)
    talk.epoch(alice.device, patient, team)
    talk.say(alice.device, "hello", topic="other")
    talk.epoch(bob.device, patient, team, proxy, revoked=["alice_tablet"])
    talk.say(bob.device, "hello")

    def receipt(
        device: Device, seq: int = 4, kind: ReceiptKind = ReceiptKind.READ, head: bytes | None = None
    ) -> dict[str, str]:
        return talk.by(device).receipt(kind, Head(seq, head or talk.heads[min(seq, 4)]), NOON)

    def with_members(**members: Any) -> dict[str, str]:
        h = changed(unb64(receipt(alice.device)["h"]), **members)
        return {"h": b64(h), "sig": b64(alice.device.sign(pae("receipt", h)))}

    good = receipt(alice.device)
    common = {"thread": THREAD, "records": talk.records, "world": world.text(), "user": "alice"}
    return common, [
        ok("read by alice", receipt=good),
        ok("delivered up to the first message", receipt=receipt(alice.device, 2, ReceiptKind.DELIVERED)),
        ok(
            "unreadable to bob, who speaks for the team",
            receipt=receipt(bob.device, 4, ReceiptKind.UNREADABLE),
            user="bob",
        ),
        ok("read by the proxy", receipt=receipt(dave.device), user="dave"),
        no("not a member", "by the proxy, before he was there", receipt=receipt(dave.device, 2), user="dave"),
        no("not a member", "by carol", receipt=receipt(world.people["carol"].device), user="carol"),
        no("thread", "of another thread", receipt=with_members(thread="0" * 32)),
        no("sequence", "beyond the thread", receipt=receipt(alice.device, 5)),
        no("fork", "another head", receipt=receipt(alice.device, 4, head=talk.heads[3])),
        no("unknown device", "from a device nobody knows", receipt=with_members(dev="nobody")),
        no("unknown user", "of somebody nobody knows", receipt=good, user="nobody"),
        no("certificate", "of somebody else's device", receipt=good, user="bob"),
        no("revoked", "from a device that was taken back", receipt=receipt(tablet)),
        no("signature", "signed by bob", receipt={**good, "sig": receipt(bob.device)["sig"]}),
        no(
            "signature",
            "signed as a message",
            receipt={**good, "sig": b64(alice.device.sign(pae("msg", unb64(good["h"]))))},
        ),
        no("form", "of nothing", receipt=with_members(seq=0)),
        no("form", "another kind", receipt=with_members(kind="seen")),
        no("form", "a further member", receipt=with_members(user="alice")),
        no("form", "no time", receipt=with_members(ts=None)),
        no("form", "a signature of 63 bytes", receipt={**good, "sig": b64(unb64(good["sig"])[:63])}),
        *each_member_false(unb64(good["h"]), lambda h: {"receipt": {**good, "h": b64(h)}}),
        no("version", "version 2", receipt=with_members(v=2)),
        no("type", "another type", receipt=with_members(t="msg")),
        *_begun_anew(world, receipt),
    ]


def _begun_anew(world: World, receipt: Callable[[Device], dict[str, Any]]) -> list[Case]:
    """The server begins keys anew: they say neither for Bob's team nor for Alice that something was read."""
    his = world.begun_anew("bob", "bob_false")
    hers = world.begun_anew("alice", "alice_false")
    shared = {"world": world.text()}
    return [
        no("not a member", "by keys begun anew in bob's name", receipt=receipt(his), user="bob", **shared),
        no("certificate", "by keys begun anew in alice's name", receipt=receipt(hers), **shared),
    ]


def report_cases() -> tuple[Case, list[Case]]:
    world = linden()
    alice, bob = world.people["alice"], world.people["bob"]
    talk = Talk(world)
    talk.epoch(alice.device, world.party("alice", Role.PATIENT), world.party(TEAM, Role.TEAM))
    epoch = talk.records[0]
    record = talk.say(bob.device, "Take two of them", topic="medicine")
    other = talk.say(bob.device, "Take three of them")
    key = _frank_key(talk, record)
    good = franking.make_report(record, b"Take two of them", key)  # type: ignore[arg-type]
    without_bob = world.text()
    del without_bob["devices"]["bob_phone"]
    unknown_bob = world.text()
    del unknown_bob["users"]["bob"]
    unknown_bob["teams"] = {}
    forged = world.text()
    forged["devices"]["bob_phone"]["sig"] = bent(forged["devices"]["bob_phone"]["sig"])
    h = changed(record.h, v=2)
    return {"world": world.text()}, [
        ok("what bob wrote", report=good, user="bob", body="Take two of them"),
        no("frank", "another text", report={**good, "body": "Take ten of them"}),
        no("frank", "another key", report={**good, "fk": b64(bytes(32))}),
        no("form", "a key with a zero byte more", report={**good, "fk": b64(key + b"\0")}),
        no("form", "no text", report={name: value for name, value in good.items() if name != "body"}),
        no("form", "a text with an unpaired surrogate", report={**good, "body": "\ud800"}),
        no("signature", "another ciphertext", report={**good, "cth": b64(other.body_hash)}),
        no("signature", "another signature", report={**good, "sig": b64(other.sig)}),
        no("type", "an epoch record", report={**good, "h": epoch["h"], "sig": epoch["sig"], "cth": epoch["wh"]}),
        no("version", "version 2", report={**good, "h": b64(h)}),
        no("unknown device", "no certificate", report=good, world=without_bob),
        no("unknown user", "no entry", report=good, world=unknown_bob),
        no("certificate", "a certificate that does not hold", report=good, world=forged),
    ]


def _frank_key(talk: Talk, record: AnyRecord) -> bytes:
    from portal.e2ee.open import open_message

    return open_message(record, record.ct or b"", talk.secrets[record.header.epoch]).frank_key  # type: ignore[arg-type]
