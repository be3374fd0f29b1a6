"""What cases are built from: people with their keys, a thread in the making, headers bent out of shape."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from portal.e2ee import directory, seal
from portal.e2ee.directory import SignedEntry
from portal.e2ee.encoding import b64, header_bytes, pae, sha256, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.records import AnyRecord, Role, genesis
from portal.e2ee.seal import Party, Writer
from portal.e2ee.teams import TeamMember, TeamRecord
from portal.e2ee.verify import ThreadState

NOON = 1_800_000_000_000
THREAD = "5bd1e1a7c0ffee5bd1e1a7c0ffee0001"
TEAM = "linden_pharmacists"
Case = dict[str, Any]


def ok(name: str, **members: Any) -> Case:
    return {"name": name, **members, "expect": "ok"}


def no(why: str, name: str, **members: Any) -> Case:
    return {"name": name, **members, "expect": "reject", "why": why}


def bent(text: str) -> str:
    """One character of a b64 text changed, in the middle."""
    at = len(text) // 2
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def key_text(id: str, key: EncryptionKey) -> dict[str, Any]:
    return {"id": id, "gen": key.gen, "seed": b64(key.seed)}


def changed(h: bytes, **members: Any) -> bytes:
    """A header with other members; None takes one away."""
    both = {**json.loads(h), **members}
    return header_bytes({name: value for name, value in both.items() if value is not None})


class World:
    """Alice the patient, Bob her pharmacist with a team, Carol of another pharmacy, Dave who must see nothing."""

    def __init__(self, *people: str) -> None:
        self.people = {name: Person.new(name, f"{name}_phone") for name in people}
        self.chains = {name: [seal.first_entry(person)] for name, person in self.people.items()}
        self.certificates = {
            person.device.dev: seal.certificate(person.identity, person.device, NOON) for person in self.people.values()
        }
        self.teams: dict[str, list[TeamRecord]] = {}
        self.team_keys: dict[str, list[EncryptionKey]] = {}
        self.revocations: list[dict[str, Any]] = []

    def found(self, team: str, founder: str, *members: str) -> None:
        record, key = seal.found_team(team, self.people[founder], [self.seat(name) for name in (founder, *members)])
        self.teams[team], self.team_keys[team] = [record], [key]

    def change(self, team: str, by: str, *members: str) -> None:
        before, old = self.teams[team][-1], self.team_keys[team][-1]
        record, key = seal.change_team(before, old, self.people[by], [self.seat(name) for name in members])
        self.teams[team].append(record)
        self.team_keys[team].append(key)

    def seat(self, name: str, role: Role = Role.PHARMACIST) -> tuple[TeamMember, directory.Entry]:
        chain = [signed.entry for signed in self.chains[name]]
        return TeamMember(name, role, directory.who(chain)), chain[-1]

    def party(self, name: str, role: Role, n: int | None = None) -> Party:
        if role is Role.TEAM:
            return Party(self.teams[name][-1].entry, role)
        chain = self.chains[name]
        return Party(chain[-1 if n is None else n - 1].entry, role)

    def device(self, name: str, dev: str) -> Device:
        """One more certified device."""
        device = Device.new(name, dev)
        self.certificates[dev] = seal.certificate(self.people[name].identity, device, NOON)
        return device

    def begun_anew(self, name: str, dev: str) -> Device:
        """Keys that have nothing to do with those before: of the person, or of the server in the name of one."""
        before = self.chains[name][-1].entry
        identity, key, device = Identity.new(), EncryptionKey.new(before.gen + 1), Device.new(name, dev)
        self.chains[name].append(seal.reset_entry(before, identity, key))
        self.certificates[dev] = seal.certificate(identity, device, NOON)
        return device

    def text(self) -> dict[str, Any]:
        return {
            "users": {name: [signed.to_json() for signed in chain] for name, chain in self.chains.items()},
            "teams": {name: [record.to_json() for record in records] for name, records in self.teams.items()},
            "devices": deepcopy(self.certificates),
            "revocations": deepcopy(self.revocations),
        }


def linden() -> World:
    """Four people, and the team that Bob founded."""
    world = World("alice", "bob", "carol", "dave")
    world.found(TEAM, "bob")
    return world


def each_member_false(h: bytes, put: Callable[[bytes], Case], why: str = "form") -> list[Case]:
    """For each member of a header a case in which it is `false`, which nothing may be. Signatures come later."""
    kind = json.loads(h)["t"]
    names = [name for name in json.loads(h) if name not in ("v", "t")]
    return [no(why, f"{kind}: {name} is false", **put(changed(h, **{name: False}))) for name in names]


def signed_again(
    before: SignedEntry | None, h: bytes, own: Identity, old: Identity | None, **more: Any
) -> dict[str, Any]:
    """An entry with this header, both signatures in order."""
    entry = {"h": b64(h), "sig": own.sign(pae("user", h))}
    if old is not None:
        entry["prevsig"] = old.sign(pae("user", h))
    return entry | more


def raw(record: AnyRecord) -> dict[str, Any]:
    return record.to_json()


class Talk:
    """A thread in the making, written by several devices in turn."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = ThreadState.new(THREAD)
        self.secrets: dict[int, bytes] = {}
        self.records: list[dict[str, Any]] = []
        self.heads = [genesis(THREAD)]

    def by(self, device: Device) -> Writer:
        return Writer(device, self.state, self.secrets)

    def add(self, writer: Writer, record: AnyRecord) -> AnyRecord:
        self.state = writer.state
        self.records.append(raw(record))
        self.heads.append(self.state.head)
        return record

    def epoch(self, device: Device, *parties: Party, revoked: Sequence[str] = ()) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.epoch(parties, NOON + self.state.seq, revoked))

    def say(self, device: Device, text: str, **members: Any) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.message(text.encode(), NOON + self.state.seq, **members))

    def history(self, device: Device, to: Party, first: int, upto: int) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.history(to.entry, first, upto, NOON + self.state.seq))

    def redact(self, device: Device, target: int) -> AnyRecord:
        writer = self.by(device)
        return self.add(writer, writer.redact(target, "mistake", NOON + self.state.seq))

    def state_after(self, seq: int) -> ThreadState:
        """What a writer must know after `seq` records: place, head and the number of the epoch."""
        header = json.loads(unb64(self.records[seq - 1]["h"]))
        return ThreadState(THREAD, seq, self.heads[seq], epoch=header["epoch"])

    def resigned(self, device: Device, place: int, **members: Any) -> list[dict[str, Any]]:
        """The records up to `place`, that one with other members in its header, signed again."""
        records = deepcopy(self.records[:place])
        last = records[-1]
        h = changed(unb64(last["h"]), **members)
        body = unb64(last.get("cth") or last.get("wh") or b64(sha256(b"")))
        records[-1] = {**last, "h": b64(h), "sig": b64(device.sign(pae(json.loads(h)["t"], h, body)))}
        return records
