"""Making what members send: entries, certificates, team records, thread records, stored objects (docs/protocol.md
sections 2 to 4 and 8). Used by the connector and by tests; browsers have their own.

Every function that puts a time into a header takes `ts`, Unix milliseconds. Nothing here is sent or remembered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from portal.core import ids
from portal.e2ee import franking, hpke
from portal.e2ee.certificates import VerifiedDevice, possession_bytes, session_bytes
from portal.e2ee.directory import Entry, EntryRole, SignedEntry
from portal.e2ee.encoding import b64, header_bytes, pae, sha256, wraps_hash
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.keys import commitment, message_key, object_key, previous_seed_key, root_box_key
from portal.e2ee.objects import RootBox, RootKind, SealedObject, read_object
from portal.e2ee.padding import pad
from portal.e2ee.records import (
    NOTHING_HASH,
    SALT_BYTES,
    SECRET_BYTES,
    SUITE,
    WRAP_BYTES,
    AnyRecord,
    ReceiptKind,
    Role,
    Seat,
    read_record,
)
from portal.e2ee.teams import TeamMember, TeamRecord, signed_bytes
from portal.e2ee.verify import Head, ThreadState, advance_unchecked

# Directory.


def first_entry(person: Person) -> SignedEntry:
    """Entry n = 1 of a new user."""
    return _entry(person.id, person.role, person.identity, person.key, 1, None)


def entry_ahead(person: Person) -> SignedEntry:
    """Entry n = 1 that a colleague makes for somebody: its identity signs entry 2 and nothing else."""
    return _entry(person.id, person.role, person.identity, person.key, 1, None, extra="ahead")


def new_generation(before: Entry, old: EncryptionKey, new: EncryptionKey, identity: Identity) -> SignedEntry:
    """The next entry of the same identity, with a new encryption key that also leads to the old one."""
    signed = _entry(before.id, before.role, identity, new, before.n + 1, before)
    h = signed.entry.h
    prevseed = previous_seed_key("user-prev", new.seed, h).seal(old.seed, h)
    return SignedEntry(signed.entry, signed.sig, identity.sign(pae("user", h)), prevseed)


def new_identity(
    before: Entry, old: Identity, new: Identity, key: EncryptionKey, old_key: EncryptionKey | None = None
) -> SignedEntry:
    """The next entry under another identity, for which the old one vouches.

    `key` is the present one or the next; the next leads back to `old_key`, if that is given.
    """
    signed = _entry(before.id, before.role, new, key, before.n + 1, before)
    h = signed.entry.h
    prevseed = None if old_key is None else previous_seed_key("user-prev", key.seed, h).seal(old_key.seed, h)
    return SignedEntry(signed.entry, signed.sig, old.sign(pae("user", h)), prevseed)


def reset_entry(before: Entry, new: Identity, key: EncryptionKey) -> SignedEntry:
    """Start again: nothing of the old identity is left. `key` has the generation after that of `before`."""
    return _entry(before.id, before.role, new, key, before.n + 1, before, extra="reset")


def _entry(
    id: str,
    role: EntryRole,
    identity: Identity,
    key: EncryptionKey,
    n: int,
    before: Entry | None,
    *,
    extra: Literal["reset", "ahead"] | None = None,
) -> SignedEntry:
    keys, prev = identity.keys, sha256(before.h) if before else b""
    members: dict[str, object] = {"v": 1, "t": "user", "id": id, "role": role.value}
    members |= {
        "ed": b64(keys.ed),
        "ml": b64(keys.ml),
        "gen": key.gen,
        "kem": b64(key.public),
        "n": n,
        "prev": b64(prev),
    }
    h = header_bytes(members | ({extra: True} if extra else {}))
    own, ahead = (None, keys) if extra == "ahead" else (keys, None)
    entry = Entry(id, role, key.gen, key.public, n, own, prev, extra == "reset", h, ahead)
    return SignedEntry(entry, identity.sign(pae("user", h)))


def certificate(identity: Identity, device: Device, ts: int) -> dict[str, str]:
    """The identity vouches for the device, the device shows its key."""
    members = {"v": 1, "t": "dev", "user": device.user, "dev": device.dev, "ed": b64(device.public), "ts": ts}
    h = header_bytes(members)
    pop = device.sign(possession_bytes(device.user, device.dev, device.public))
    return {"h": b64(h), "sig": identity.sign(pae("dev", h)), "pop": b64(pop)}


def revocation(identity: Identity, user: str, dev: str, ts: int) -> dict[str, str]:
    """The identity takes a device back."""
    h = header_bytes({"v": 1, "t": "devrev", "user": user, "dev": dev, "ts": ts})
    return {"h": b64(h), "sig": identity.sign(pae("devrev", h))}


def session_signature(device: Device, challenge: bytes) -> bytes:
    """Binds a session to the device."""
    return device.sign(session_bytes(device.dev, challenge))


# Teams.


def found_team(
    team: str, founder: Person, members: Sequence[tuple[TeamMember, Entry]]
) -> tuple[TeamRecord, EncryptionKey]:
    """Generation 1 of a team, made by one of its members, and its key."""
    key = EncryptionKey.new(1)
    return _team(team, key, members, None, None, founder), key


def change_team(
    before: TeamRecord, old: EncryptionKey, by: Person, members: Sequence[tuple[TeamMember, Entry]]
) -> tuple[TeamRecord, EncryptionKey]:
    """The next generation with exactly these members, made by a member of `before`: joining, leaving, a new key."""
    key = EncryptionKey.new(before.gen + 1)
    return _team(before.id, key, members, before, old, by), key


def _team(
    id: str,
    key: EncryptionKey,
    members: Sequence[tuple[TeamMember, Entry]],
    before: TeamRecord | None,
    old: EncryptionKey | None,
    by: Person,
) -> TeamRecord:
    listed = tuple(member for member, _ in members)
    prevrec = sha256(before.h) if before else b""
    h = header_bytes(
        {
            "v": 1,
            "t": "team",
            "id": id,
            "gen": key.gen,
            "kem": b64(key.public),
            "members": [{"id": member.id, "role": member.role.value, "who": b64(member.who)} for member in listed],
            "prevrec": b64(prevrec),
        }
    )
    wraps = {
        member.id: hpke.seal(entry.kem, pae("team-wrap", h, member.id, key.gen), key.seed) for member, entry in members
    }
    prev = previous_seed_key("team-prev", key.seed, h).seal(old.seed, h) if old else b""
    sig = by.identity.sign(signed_bytes(h, wraps, prev))
    return TeamRecord(id, key.gen, key.public, listed, prevrec, h, wraps, prev, sig, by.id)


# Threads.


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody an epoch is sealed to; with `shut` one whose access has ended: noise stands in place of the seal."""

    entry: Entry
    role: Role
    shut: bool = False

    @property
    def seat(self) -> Seat:
        """Its place in the header."""
        return Seat(self.entry.id, self.role, self.entry.gen, self.entry.kid)


@dataclass(slots=True)
class Writer:
    """Seals records for one thread with one device, each following the one before.

    `state` is what this member has verified; it moves on with each record made, so several can be sent together. When
    the server says that the head has moved, take the state before, verify what came between, and seal again.
    """

    device: Device
    state: ThreadState
    secrets: dict[int, bytes] = field(default_factory=dict)

    def epoch(
        self, parties: Sequence[Party], ts: int, revoked: Sequence[str] = (), secret: bytes | None = None
    ) -> AnyRecord:
        """A new epoch with exactly these members: the first, a change, or a re-key."""
        secret = ids.random_bytes(SECRET_BYTES) if secret is None else secret
        number = self.state.epoch + 1
        seats = [party.seat for party in parties]
        listed = [{"id": it.id, "role": it.role.value, "gen": it.gen, "kid": b64(it.kid)} for it in seats]
        members: dict[str, Any] = {"suite": SUITE, "commit": b64(commitment(secret)), "members": listed}
        if revoked:
            members["revoked"] = list(revoked)
        h = self._header("epoch", number, ts, members)
        wraps = {
            party.entry.id: ids.random_bytes(WRAP_BYTES)
            if party.shut
            else hpke.seal(party.entry.kem, pae("wrap", h, party.entry.id, party.entry.gen), secret)
            for party in parties
        }
        record = self._wrapped("epoch", h, wraps)
        self.secrets[number] = secret
        return self._move_on(record)

    def message(
        self,
        body: bytes,
        ts: int,
        *,
        topic: str | None = None,
        attachments: Sequence[Mapping[str, object]] = (),
    ) -> AnyRecord:
        """A message. `topic` labels the first of a thread; `attachments` are `SealedFile.in_header()`."""
        salt, key = ids.random_bytes(SALT_BYTES), ids.random_bytes(franking.KEY_BYTES)
        tag = franking.tag(key, self.state.thread, self.device.dev, body)
        members: dict[str, Any] = {"salt": b64(salt), "frank": b64(tag)}
        if topic is not None:
            members["label"] = {"topic": topic}
        if attachments:
            members["att"] = [dict(attachment) for attachment in attachments]
        h = self._header("msg", self.state.epoch, ts, members)
        return self._move_on(self._sealed_message(h, salt, key + body))

    def history(self, to: Entry, first: int, upto: int, ts: int) -> AnyRecord:
        """Hand the secrets of the epochs `first` … `upto` to a member of the current one."""
        members = {"to": {"id": to.id, "gen": to.gen, "kid": b64(to.kid)}, "from": first, "upto": upto}
        h = self._header("history", self.state.epoch, ts, members)
        joined = b"".join(self.secrets[epoch] for epoch in range(first, upto + 1))
        wrap = hpke.seal(to.kem, pae("history", h, to.id, to.gen), joined)
        return self._move_on(self._wrapped("history", h, {to.id: wrap}))

    def redact(self, target: int, reason: str, ts: int) -> AnyRecord:
        """Take an own message back."""
        h = self._header("redact", self.state.epoch, ts, {"target": target, "reason": reason})
        return self._move_on(read_record({"h": b64(h), "sig": b64(self.device.sign(pae("redact", h, NOTHING_HASH)))}))

    def receipt(self, kind: ReceiptKind, head: Head, ts: int) -> dict[str, str]:
        """Say how far one has got. Does not touch the chain."""
        members = {"v": 1, "t": "receipt", "thread": self.state.thread, "seq": head.seq, "head": b64(head.hash)}
        h = header_bytes({**members, "kind": kind.value, "dev": self.device.dev, "ts": ts})
        return {"h": b64(h), "sig": b64(self.device.sign(pae("receipt", h)))}

    def _header(self, kind: str, epoch: int, ts: int, own: Mapping[str, object]) -> bytes:
        state = self.state
        members: dict[str, object] = {"v": 1, "t": kind, "thread": state.thread, "epoch": epoch, "seq": state.seq + 1}
        members |= {"prev": b64(state.head), "user": self.device.user, "dev": self.device.dev, "ts": ts}
        return header_bytes(members | dict(own))

    def _sealed_message(self, h: bytes, salt: bytes, content: bytes) -> AnyRecord:
        key = message_key(self.secrets[self.state.epoch], salt, h)
        ct = key.commitment + key.seal(pad(content), h)
        sig = self.device.sign(pae("msg", h, sha256(ct)))
        return read_record({"h": b64(h), "sig": b64(sig), "cth": b64(sha256(ct)), "ct": b64(ct)})

    def _wrapped(self, kind: str, h: bytes, wraps: Mapping[str, bytes]) -> AnyRecord:
        wh = wraps_hash(wraps)
        sig = self.device.sign(pae(kind, h, wh))
        w = {name: b64(wrap) for name, wrap in wraps.items()}
        return read_record({"h": b64(h), "sig": b64(sig), "wh": b64(wh), "w": w})

    def _move_on(self, record: AnyRecord) -> AnyRecord:
        device = VerifiedDevice(self.device.dev, self.device.user, self.device.public, None)
        self.state = advance_unchecked(self.state, record, device)
        return record


def begin_thread(
    device: Device, parties: Sequence[Party], body: bytes, topic: str, ts: int, thread: str | None = None
) -> tuple[Writer, list[AnyRecord]]:
    """A thread is born: epoch 1 and message 2, to be sent in one request."""
    writer = Writer(device, ThreadState.new(thread or ids.random_id()))
    records = [writer.epoch(parties, ts), writer.message(body, ts, topic=topic)]
    return writer, records


# Stored objects.


def seal_object(
    owner: str, key: EncryptionKey, device: Device, content: bytes, *, kind: str, id: str, rev: int, ts: int
) -> SealedObject:
    """Seal something for its owner alone, a user or a team, under the owner's key."""
    salt = ids.random_bytes(SALT_BYTES)
    members = {
        "v": 1,
        "t": "obj",
        "owner": owner,
        "kind": kind,
        "id": id,
        "rev": rev,
        "gen": key.gen,
        "salt": b64(salt),
    }
    h = header_bytes({**members, "dev": device.dev, "ts": ts})
    ct = object_key(key.seed, salt, h).seal(pad(content), h)
    sig = device.sign(pae("obj", h, sha256(ct)))
    return read_object({"h": b64(h), "ct": b64(ct), "sig": b64(sig)})


def seal_root_box(urk: bytes, user: str, kind: RootKind, n: int, seeds: bytes, ts: int) -> RootBox:
    """Put seeds under the root key: the two of an identity, or that of an encryption key."""
    salt = ids.random_bytes(SALT_BYTES)
    h = header_bytes({"v": 1, "t": "root", "user": user, "kind": kind.value, "n": n, "salt": b64(salt), "ts": ts})
    return RootBox(user, kind, n, salt, ts, h, root_box_key(urk, salt, h).seal(seeds, h))
