"""Sealed objects, root boxes, inbound items (docs/protocol.md section 8)."""

import json
from typing import Any

from portal.e2ee import hpke, objects, seal
from portal.e2ee.encoding import b64, pae, sha256, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.keys import object_key, root_box_key
from portal.e2ee.objects import RootKind, Via
from portal.e2ee.padding import pad

from .building import NOON, TEAM, Case, World, bent, changed, each_member_false, linden, no, ok


def object_cases() -> tuple[Case, list[Case]]:
    world = linden()
    alice, bob, dave = (world.people[name] for name in ("alice", "bob", "dave"))
    team_key = world.team_keys[TEAM][0]

    def draft(
        person: Person = alice,
        owner: str = "alice",
        key: EncryptionKey = alice.key,
        content: bytes = b"half a sentence",
        rev: int = 2,
    ) -> dict[str, Any]:
        sealed = seal.seal_object(owner, key, person.device, content, kind="draft", id="d1", rev=rev, ts=NOON)
        return sealed.to_json()

    good = draft()
    wanted = {"owner": "alice", "kind": "draft", "id": "d1", "rev": 2}

    def again(device: Device = alice.device, ct: bytes | None = None, **members: Any) -> dict[str, str]:
        h = changed(unb64(good["h"]), **members)
        ct = unb64(good["ct"]) if ct is None else ct
        return {"h": b64(h), "ct": b64(ct), "sig": b64(device.sign(pae("obj", h, sha256(ct))))}

    h = unb64(good["h"])
    key = object_key(alice.key.seed, unb64(json.loads(h)["salt"]), h)
    loose = again(ct=key.seal(pad(b"half a sentence") + bytes(256), h))
    dirty = again(ct=key.seal(pad(b"half a sentence")[:-1] + b"x", h))
    no_aad = again(ct=key.seal(pad(b"half a sentence"), b""))
    fresh = Identity.new()
    second = seal.reset_entry(world.chains["alice"][0].entry, fresh, EncryptionKey.new(2))
    after_reset = world.text()
    after_reset["users"]["alice"].append(second.to_json())
    broken = world.text()
    broken["devices"]["alice_phone"]["sig"] = bent(broken["devices"]["alice_phone"]["sig"])
    garbled = world.text()
    garbled["devices"]["alice_phone"]["h"] = "e30"
    nobody = world.text()
    nobody["users"].pop("alice")
    content = b64(b"half a sentence")
    common = {"world": world.text(), "wanted": wanted, "seed": b64(alice.key.seed)}
    team = {"wanted": {"owner": TEAM, "kind": "draft", "id": "d1", "rev": 1}, "seed": b64(team_key.seed)}
    return common, [
        ok("alice's draft", object=good, content=content),
        ok("nothing in it", object=draft(content=b""), content=""),
        ok("a newer revision than seen", object=draft(rev=3), content=content),
        ok("bob writes for his team", object=draft(bob, TEAM, team_key), content=content, **team),
        no("object", "of another owner", object=good, wanted={**wanted, "owner": "bob"}),
        no("object", "of another kind", object=good, wanted={**wanted, "kind": "pins"}),
        no("object", "another id", object=good, wanted={**wanted, "id": "d2"}),
        no("rollback", "an older revision", object=draft(rev=1)),
        no("unknown device", "from a device nobody knows", object=again(dev="nobody")),
        no("unknown user", "from a user nobody knows", object=good, world=nobody),
        no("certificate", "a certificate that does not hold", object=good, world=broken),
        no("certificate", "a certificate that cannot be read", object=good, world=garbled),
        no(
            "certificate",
            "by the old identity, in a generation after the reset",
            object=again(gen=2),
            world=after_reset,
        ),
        no("not a member", "dave writes for alice", object=draft(dave)),
        no("not a member", "dave writes for the team", object=draft(dave, TEAM, team_key), **team),
        no(
            "not a member",
            "bob writes for a generation that there is not",
            object=draft(bob, TEAM, EncryptionKey(2, team_key.seed)),
            **team,
        ),
        no("signature", "signed by dave", object=again(dave.device)),
        no("signature", "the content exchanged", object={**good, "ct": draft(content=b"another sentence")["ct"]}),
        no(
            "signature",
            "signed under another label",
            object={**good, "sig": b64(alice.device.sign(pae("msg", h, sha256(unb64(good["ct"])))))},
        ),
        no("aead", "another key", object=good, seed=b64(dave.key.seed)),
        no("aead", "sealed without the header", object=no_aad),
        no("padding", "a bucket too large", object=loose),
        no("padding", "filled with something else than zeros", object=dirty),
        no("form", "rev is 0", object=again(rev=0)),
        no("form", "gen is 0", object=again(gen=0)),
        no("form", "salt of another length", object=again(salt=b64(bytes(15)))),
        no("form", "a further member", object=again(note="x")),
        no("form", "no content", object={"h": good["h"], "sig": good["sig"]}),
        no("form", "a signature of 63 bytes", object={**good, "sig": b64(unb64(good["sig"])[:63])}),
        *each_member_false(h, lambda header: {"object": {**good, "h": b64(header)}}),
        no("version", "version 2", object=again(v=2)),
        no("type", "another type", object=again(t="root")),
        *_begun_anew(world, team_key, team),
    ]


def _begun_anew(world: World, team_key: EncryptionKey, team: Case) -> list[Case]:
    """The server begins Bob's keys anew: his device of them does not write for the team that lists those before."""
    false = world.begun_anew("bob", "bob_false")
    sealed = seal.seal_object(TEAM, team_key, false, b"half a sentence", kind="draft", id="d1", rev=2, ts=NOON)
    return [
        no(
            "not a member",
            "keys begun anew in bob's name write for the team",
            object=sealed.to_json(),
            **{**team, "world": world.text()},
        )
    ]


def root_cases() -> tuple[Case, list[Case]]:
    alice, other = Person.new("alice", "alice_phone"), Person.new("alice", "x")
    first = seal.first_entry(alice)
    key2 = EncryptionKey.new(2)
    second = seal.new_generation(first.entry, alice.key, key2, alice.identity)

    def box(kind: RootKind, n: int, seeds: bytes, user: str = "alice", urk: bytes = alice.urk) -> dict[str, Any]:
        return seal.seal_root_box(urk, user, kind, n, seeds, NOON).to_json()

    uik, puk = box(RootKind.UIK, 1, alice.identity.seeds), box(RootKind.PUK, 2, key2.seed)

    def with_members(**members: Any) -> dict[str, str]:
        h = changed(unb64(uik["h"]), **members)
        ct = root_box_key(alice.urk, unb64(json.loads(unb64(uik["h"]))["salt"]), h).seal(alice.identity.seeds, h)
        return {"h": b64(h), "ct": b64(ct)}

    h = unb64(uik["h"])
    salt = unb64(json.loads(h)["salt"])
    wrong_label = object_key(alice.urk, salt, h).seal(alice.identity.seeds, h)
    common = {
        "id": "alice",
        "pin": None,
        "urk": b64(alice.urk),
        "entries": [first.to_json(), second.to_json()],
        "kind": "uik",
        "n": 1,
    }
    return common, [
        ok("the identity", box=uik, seeds=b64(alice.identity.seeds)),
        ok("an encryption key", box=puk, seeds=b64(key2.seed), kind="puk", n=2),
        no("object", "of another user", box=box(RootKind.UIK, 1, alice.identity.seeds, user="bob")),
        no("object", "of another kind", box=puk),
        no("object", "another number", box=box(RootKind.PUK, 1, alice.key.seed), kind="puk", n=2),
        no("aead", "another root key", box=uik, urk=b64(other.urk)),
        no("aead", "bent", box={**uik, "ct": bent(uik["ct"])}),
        no("aead", "sealed as an object", box={**uik, "ct": b64(wrong_label)}),
        no(
            "aead",
            "sealed without the header",
            box={**uik, "ct": b64(root_box_key(alice.urk, salt, h).seal(alice.identity.seeds, b""))},
        ),
        no("member key", "another identity", box=box(RootKind.UIK, 1, other.identity.seeds)),
        no("member key", "half an identity", box=box(RootKind.UIK, 1, alice.identity.ed_seed)),
        no(
            "member key",
            "the identity's halves exchanged",
            box=box(RootKind.UIK, 1, alice.identity.ml_seed + alice.identity.ed_seed),
        ),
        no("member key", "another encryption key", box=box(RootKind.PUK, 2, alice.key.seed), kind="puk", n=2),
        no("form", "another kind of thing", box=with_members(kind="dsk")),
        no("form", "n is 0", box=with_members(n=0)),
        no("form", "a further member", box=with_members(note="x")),
        no("form", "no content", box={"h": uik["h"]}),
        *each_member_false(h, lambda header: {"box": {**uik, "h": b64(header)}}),
        no("version", "version 2", box=with_members(v=2)),
        no("type", "another type", box=with_members(t="obj")),
    ]


def inbound_cases() -> tuple[Case, list[Case]]:
    world = linden()
    world.change(TEAM, "bob", "bob")
    generations, keys = world.teams[TEAM], world.team_keys[TEAM]
    item = objects.seal_inbound(generations[1].entry, b"Are you open on Sunday?", Via.MAIL)
    old = objects.seal_inbound(generations[0].entry, b"Earlier", Via.FORM)
    good = item.to_json()

    def again(content: bytes | None = None, **members: Any) -> dict[str, str]:
        h = changed(item.h, **members)
        return {
            "h": b64(h),
            "ct": b64(hpke.seal(keys[1].public, pae("inbound", h), pad(b"x") if content is None else content)),
        }

    common = {"world": world.text(), "team": TEAM, "id": item.id, "seed": b64(keys[1].seed)}
    return common, [
        ok("a mail", item=good, content=b64(b"Are you open on Sunday?")),
        ok("to an older generation", item=old.to_json(), id=old.id, content=b64(b"Earlier"), seed=b64(keys[0].seed)),
        no("object", "another item", item=old.to_json()),
        no("object", "of another team", item=again(team="rowan_pharmacists")),
        no("member key", "to a key that is not the team's", item=again(kid=b64(bytes(16)))),
        no("member key", "a generation that there is not", item=again(gen=3)),
        no("member key", "the key of another generation", item=again(gen=1)),
        no("wrap", "another seed", item=good, seed=b64(keys[0].seed)),
        no("wrap", "another header", item={**good, "h": b64(changed(item.h, via="form"))}),
        no("wrap", "bent", item={**good, "ct": bent(good["ct"])}),
        no("padding", "not padded", item=again(b"Are you open on Sunday?")),
        no("form", "came by pigeon", item=again(via="pigeon")),
        no("form", "an id of another form", item=again(id="x")),
        no("form", "a kid of another length", item=again(kid=b64(bytes(15)))),
        no("form", "gen is 0", item=again(gen=0)),
        no("form", "a further member", item=again(sender="x")),
        no("form", "no content", item={"h": good["h"]}),
        *each_member_false(item.h, lambda h: {"item": {**good, "h": b64(h)}}),
        no("version", "version 2", item=again(v=2)),
        no("type", "another type", item=again(t="obj")),
    ]
