"""Opens what was sealed to us (docs/protocol.md sections 4, 7, 8). Needs private keys; the server never imports it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from portal.e2ee import franking, hpke, hybrid
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import Entry, SignedEntry
from portal.e2ee.encoding import pae, same
from portal.e2ee.keys import SEED_BYTES, commitment, message_key, object_key, previous_seed_key, root_box_key
from portal.e2ee.objects import InboundItem, RootBox, RootKind, SealedObject
from portal.e2ee.padding import unpad
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import SECRET_BYTES, AnyRecord, EpochHeader, HistoryHeader, MessageHeader, Record, RedactHeader
from portal.e2ee.teams import TeamRecord

Keyring = Mapping[tuple[str, int], bytes]
"""The encryption seeds that a reader holds, by id (its own and its teams') and generation."""

_COMMITMENT_BYTES = 32


def open_epoch(record: Record[EpochHeader], keyring: Keyring) -> bytes | None:
    """The secret of an epoch; None if nothing is sealed to our keys. Raises Refused, wrap or epoch commitment."""
    fault: Refused | None = None
    for seat in record.header.members:
        seed, wrap = keyring.get((seat.id, seat.gen)), (record.wraps or {}).get(seat.id)
        if seed is None or wrap is None:
            continue
        try:
            secret = hpke.open_sealed(seed, pae("wrap", record.h, seat.id, seat.gen), wrap)
            require(SECRET_CHECKS, (secret, record.header.commit))
        except Refused as refusal:
            fault = refusal
        else:
            return secret
    if fault is not None:
        raise fault
    return None


SECRET_CHECKS: tuple[Check[tuple[bytes, bytes]], ...] = (
    Check("epoch: commitment", Reason.EPOCH_COMMITMENT, lambda it: same(commitment(it[0]), it[1])),
)


def open_history(record: Record[HistoryHeader], keyring: Keyring, commits: Sequence[bytes]) -> dict[int, bytes]:
    """The secrets that a history record hands us, by epoch. `commits` are those of all epochs, in order.

    Empty if it is not sealed to a key of ours. Raises Refused with wrap or epoch commitment; then none may be used.
    """
    header = record.header
    seed, wrap = keyring.get((header.to.id, header.to.gen)), (record.wraps or {}).get(header.to.id)
    if seed is None or wrap is None:
        return {}
    joined = hpke.open_sealed(seed, pae("history", record.h, header.to.id, header.to.gen), wrap)
    secrets = {
        epoch: joined[at : at + SECRET_BYTES]
        for epoch, at in zip(range(header.first, header.upto + 1), range(0, len(joined), SECRET_BYTES), strict=True)
    }
    for epoch, secret in secrets.items():
        require(SECRET_CHECKS, (secret, commits[epoch - 1]))
    return secrets


@dataclass(frozen=True, slots=True)
class OpenedBody:
    """A message's text and the key with which it can be reported."""

    text: str
    frank_key: bytes

    @property
    def body(self) -> bytes:
        """The text's bytes, as they were sealed."""
        return self.text.encode()


@dataclass(slots=True)
class _Opening:
    record: Record[MessageHeader]
    ct: bytes
    secret: bytes
    content: bytes = b""
    text: str = ""

    @property
    def frank_key(self) -> bytes:
        return self.content[: franking.KEY_BYTES]

    @property
    def body(self) -> bytes:
        return self.content[franking.KEY_BYTES :]


def _commits_to_its_key(it: _Opening) -> bool:
    key = message_key(it.secret, it.record.header.salt, it.record.h)
    return same(key.commitment, it.ct[:_COMMITMENT_BYTES])


def _tag_fits(it: _Opening) -> bool:
    header = it.record.header
    return same(franking.tag(it.frank_key, header.thread, header.dev, it.body), header.frank)


KEY_CHECKS: tuple[Check[_Opening], ...] = (Check("msg: key commitment", Reason.KEY_COMMITMENT, _commits_to_its_key),)
CONTENT_CHECKS: tuple[Check[_Opening], ...] = (
    Check("msg: room for the franking key", Reason.PADDING, lambda it: len(it.frank_key) == franking.KEY_BYTES),
    Check("msg: franking tag", Reason.FRANK, _tag_fits),
)


def open_message(record: Record[MessageHeader], ct: bytes, secret: bytes) -> OpenedBody:
    """The text of a verified message. Raises Refused with key commitment, aead, padding, frank or body."""
    it = _Opening(record, ct, secret)
    require(KEY_CHECKS, it)
    key = message_key(secret, record.header.salt, record.h)
    it.content = unpad(key.open(ct[_COMMITMENT_BYTES:], record.h))
    require(CONTENT_CHECKS, it)
    return OpenedBody(_utf8(it.body), it.frank_key)


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as problem:
        raise Refused(Reason.BODY) from problem


class Shown(StrEnum):
    """What a reader sees of a message."""

    READ = "read"
    UNREADABLE = "unreadable"
    WITHHELD = "withheld"
    RETRACTED = "retracted"


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message as a reader sees it. `fault` says why it cannot be read; without one the secret is missing."""

    record: Record[MessageHeader]
    shown: Shown
    opened: OpenedBody | None = None
    fault: Reason | None = None


@dataclass(slots=True)
class Reading:
    """A verified thread as one reader sees it."""

    messages: list[ReadMessage] = field(default_factory=list)
    secrets: dict[int, bytes] = field(default_factory=dict)
    faults: dict[int, Reason] = field(default_factory=dict)
    """Faults that only this reader sees, by sequence number: of messages, epochs and history records."""


def read_thread(records: Sequence[AnyRecord], keyring: Keyring) -> Reading:
    """Open what can be opened of verified records, from the first on. Never raises Refused."""
    reading = Reading()
    commits = [record.header.commit for record in records if isinstance(record.header, EpochHeader)]
    redacted = {record.header.target for record in records if isinstance(record.header, RedactHeader)}
    for record in records:
        try:
            reading.secrets.update(_secrets(record, keyring, commits))
        except Refused as refusal:
            reading.faults[record.header.seq] = refusal.reason
    for record in records:
        if isinstance(record.header, MessageHeader):
            message = _read(cast(Record[MessageHeader], record), reading.secrets, redacted)
            reading.messages.append(message)
            if message.fault is not None:
                reading.faults[record.header.seq] = message.fault
    return reading


def _secrets(record: AnyRecord, keyring: Keyring, commits: Sequence[bytes]) -> dict[int, bytes]:
    if isinstance(record.header, EpochHeader):
        secret = open_epoch(cast(Record[EpochHeader], record), keyring)
        return {} if secret is None else {record.header.epoch: secret}
    if isinstance(record.header, HistoryHeader):
        return open_history(cast(Record[HistoryHeader], record), keyring, commits)
    return {}


def _read(record: Record[MessageHeader], secrets: Mapping[int, bytes], redacted: set[int]) -> ReadMessage:
    if record.header.seq in redacted:
        return ReadMessage(record, Shown.RETRACTED)
    if record.ct is None:
        return ReadMessage(record, Shown.WITHHELD)
    secret = secrets.get(record.header.epoch)
    if secret is None:
        return ReadMessage(record, Shown.UNREADABLE)
    try:
        return ReadMessage(record, Shown.READ, opened=open_message(record, record.ct, secret))
    except Refused as refusal:
        return ReadMessage(record, Shown.UNREADABLE, fault=refusal.reason)


# Seeds.


def _is_seed_of(seed: bytes, kem: bytes) -> bool:
    return len(seed) == SEED_BYTES and hpke.public_of(seed) == kem


SEED_CHECKS: tuple[Check[tuple[bytes, bytes]], ...] = (
    Check("seed: of the public key", Reason.WRAP, lambda it: _is_seed_of(it[0], it[1])),
)


def open_team_wrap(record: TeamRecord, member: str, seeds: Sequence[bytes]) -> bytes:
    """The team's seed of this generation, with the first of our `seeds` (newest first) that opens our wrap.

    Raises Refused(wrap), also if what opens is not the seed of the record's key.
    """
    fault = Refused(Reason.WRAP)
    for seed in seeds:
        try:
            team_seed = hpke.open_sealed(seed, pae("team-wrap", record.h, member, record.gen), record.wraps[member])
        except (Refused, KeyError):
            continue
        require(SEED_CHECKS, (team_seed, record.kem))
        return team_seed
    raise fault


def open_team(records: Sequence[TeamRecord], member: str, seeds: Sequence[bytes]) -> dict[int, bytes]:
    """All seeds of a team, by generation, for a member in the last of `records`; `seeds` as for `open_team_wrap`.

    Empty for somebody who is not listed there. Raises Refused(wrap).
    """
    if not records[-1].lists(member):
        return {}
    return walk_back(records, open_team_wrap(records[-1], member, seeds))


def walk_back(records: Sequence[TeamRecord], newest: bytes) -> dict[int, bytes]:
    """The seeds of all generations, from that of the last of the verified `records`. Raises Refused(wrap)."""
    seeds = {records[-1].gen: newest}
    for record, older in zip(reversed(records), reversed(records[:-1]), strict=False):
        key = previous_seed_key("team-prev", seeds[record.gen], record.h)
        seed = key.open(record.prev, record.h, Reason.WRAP)
        require(SEED_CHECKS, (seed, older.kem))
        seeds[older.gen] = seed
    return seeds


def open_previous_seed(signed: SignedEntry, seed: bytes, older: Entry) -> bytes:
    """The seed of the generation before a verified entry, `older` being the entry there. Raises Refused(wrap)."""
    h = signed.entry.h
    previous = previous_seed_key("user-prev", seed, h).open(signed.prevseed or b"", h, Reason.WRAP)
    require(SEED_CHECKS, (previous, older.kem))
    return previous


def walk_back_entries(chain: Sequence[SignedEntry], newest: bytes) -> dict[int, bytes]:
    """The seeds that the one of the last of verified entries leads back to, by generation. Raises Refused(wrap).

    The walk ends at the first entry, or where an entry hides no seed: after a reset nobody has the older ones.
    """
    seeds = {chain[-1].entry.gen: newest}
    for signed, older in zip(reversed(chain), reversed(chain[:-1]), strict=False):
        gen = older.entry.gen
        if gen == signed.entry.gen:
            continue
        if signed.prevseed is None:
            break
        seeds[gen] = open_previous_seed(signed, seeds[signed.entry.gen], older.entry)
    return seeds


def open_root_box(box: RootBox, urk: bytes, entry: Entry) -> bytes:
    """The seeds in a root box, `entry` being the one they belong to. Raises Refused, aead or member key."""
    content = root_box_key(urk, box.salt, box.h).open(box.ct, box.h)
    require(ROOT_CHECKS, (box, content, entry))
    return content


def _fits_entry(it: tuple[RootBox, bytes, Entry]) -> bool:
    box, content, entry = it
    if box.kind is RootKind.PUK:
        return _is_seed_of(content, entry.kem)
    return len(content) == 2 * SEED_BYTES and hybrid.public_of(content[:SEED_BYTES], content[SEED_BYTES:]) == (
        entry.identity or entry.ahead
    )


ROOT_CHECKS: tuple[Check[tuple[RootBox, bytes, Entry]], ...] = (
    Check("root box: keys of the directory", Reason.MEMBER_KEY, _fits_entry),
)


# Stored objects and inbound items.


def open_object(sealed: SealedObject, seed: bytes) -> bytes:
    """The content of a verified object, with the owner's seed of its generation. Raises Refused, aead or padding."""
    return unpad(object_key(seed, sealed.salt, sealed.h).open(sealed.ct, sealed.h))


def open_inbound(item: InboundItem, seed: bytes) -> bytes:
    """The content of an inbound item, with the team's seed of its generation. Raises Refused, wrap or padding."""
    return unpad(hpke.open_sealed(seed, pae("inbound", item.h), item.ct))
