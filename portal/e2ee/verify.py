"""What anyone can check of a thread without a secret: docs/protocol.md sections 1, 4 and 5.

The server asks `advance` for each record it is given; readers fold it over a whole thread with `verify_thread`. Each
check is a named step; the order of the tuples is the order of the protocol. A message costs one Ed25519 verification.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from portal.e2ee import ed25519
from portal.e2ee.certificates import VerifiedDevice, verify_certificate
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import Directory, Entry, EntryRole, Maker
from portal.e2ee.encoding import b64, pae, sha256, unb64, wraps_hash
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import (
    SUITE,
    AnyRecord,
    EpochHeader,
    Header,
    HistoryHeader,
    MessageHeader,
    Receipt,
    Record,
    RedactHeader,
    Role,
    Seat,
    genesis,
    read_receipt,
    read_record,
)

AuthorOf = Callable[[int], str | None]
"""The user who wrote the message at a sequence number; None if that is not a message."""


@dataclass(frozen=True, slots=True)
class Known:
    """An id that is or was a member: its role, its last generation, the epochs (first and last) it was there."""

    role: Role
    gen: int
    spans: tuple[tuple[int, int], ...]

    def was_there(self, first: int, upto: int) -> bool:
        """Whether it was a member of every epoch from `first` to `upto`."""
        return any(begin <= first and upto <= end for begin, end in self.spans)


# A thread's keys and commitments are read and written again with each record of it.
_text_of = lru_cache(maxsize=8192)(b64)
_bytes_of = lru_cache(maxsize=8192)(unb64)


@dataclass(frozen=True, slots=True)
class ThreadState:
    """All that accepting a thread's next record needs. Grows with epochs, members and devices, not with messages."""

    thread: str
    seq: int
    head: bytes
    epoch: int = 0
    members: tuple[Seat, ...] = ()
    commits: tuple[bytes, ...] = ()
    known: Mapping[str, Known] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    """The user of each device key that has spoken, by b64 of the key."""
    revoked: frozenset[str] = frozenset()
    messages: bool = False
    """Whether there is a message already."""

    @classmethod
    def new(cls, thread: str) -> "ThreadState":
        """A thread without records."""
        return cls(thread, 0, genesis(thread))

    def seat(self, id: str) -> Seat | None:
        """The member of the current epoch with this id."""
        return next((seat for seat in self.members if seat.id == id), None)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, to be kept in a row."""
        return {
            "thread": self.thread,
            "seq": self.seq,
            "head": b64(self.head),
            "epoch": self.epoch,
            "members": [[seat.id, seat.role.value, seat.gen, _text_of(seat.kid)] for seat in self.members],
            "commits": [_text_of(commit) for commit in self.commits],
            "known": {id: [it.role.value, it.gen, [list(span) for span in it.spans]] for id, it in self.known.items()},
            "keys": dict(self.keys),
            "revoked": sorted(self.revoked),
            "messages": self.messages,
        }

    @classmethod
    def from_json(cls, it: Mapping[str, Any]) -> "ThreadState":
        """Read what `to_json` wrote. It is our own and trusted."""
        return cls(
            thread=it["thread"],
            seq=it["seq"],
            head=unb64(it["head"]),
            epoch=it["epoch"],
            members=tuple(Seat(id, Role(role), gen, _bytes_of(kid)) for id, role, gen, kid in it["members"]),
            commits=tuple(map(_bytes_of, it["commits"])),
            known={
                id: Known(Role(role), gen, tuple((first, last) for first, last in spans))
                for id, (role, gen, spans) in it["known"].items()
            },
            keys=dict(it["keys"]),
            revoked=frozenset(it["revoked"]),
            messages=it["messages"],
        )


H = TypeVar("H", bound=Header)


@dataclass(slots=True)
class Appending(Generic[H]):
    """A record and what it is held against. The certificate check sets `device`."""

    state: ThreadState
    record: Record[H]
    directory: Directory
    author_of: AuthorOf
    device: VerifiedDevice | None = None

    @property
    def header(self) -> H:
        """The record's header."""
        return self.record.header

    def voices(self, members: Iterable[Seat]) -> list[Seat]:
        """The members as which the sender may act: itself, and the teams it speaks for."""
        return voices(self.header.user, self.header.dev, members, self.directory)


def voices(user: str, dev: str, members: Iterable[Seat], directory: Directory) -> list[Seat]:
    """The members as which a user may act on a device: itself, and the teams it speaks for in the generation named."""
    return [
        seat
        for seat in members
        if seat.id == user or (seat.role is Role.TEAM and speaks_for(user, dev, seat.id, seat.gen, directory))
    ]


def speaks_for(user: str, dev: str, team: str, gen: int, directory: Directory) -> bool:
    """Whether a device speaks for a team: its user is listed there, and the identity listed, or an heir, certified it.

    Else a server could begin the keys of anybody in a team anew, and speak for the team with them.
    """
    if not directory.speaks_for(user, team, gen):
        return False
    return _certified_by(directory, user, dev, directory.signers(user, team, gen)) is not None


def _certified(it: Appending[Header]) -> bool:
    device = _verified_device(it.directory, it.header.user, it.header.dev, _least_generation(it))
    if device is None:
        return False
    it.device = device
    return True


def _verified_device(directory: Directory, user: str, dev: str, least_gen: int) -> VerifiedDevice | None:
    identities = [
        entry.identity
        for entry in directory.entries(user)
        if entry.identity and entry.gen >= least_gen and not _begun_anew(directory, user, least_gen, entry.gen)
    ]
    return _certified_by(directory, user, dev, identities)


def _begun_anew(directory: Directory, user: str, named: int, gen: int) -> bool:
    # Under an epoch that names somebody's generation (0: none), who started again since is not yet that member.
    return named > 0 and directory.started_again(user, named, gen)


def _certified_by(
    directory: Directory, user: str, dev: str, identities: Sequence[IdentityKeys]
) -> VerifiedDevice | None:
    try:
        return verify_certificate(directory.device(dev), user, dev, identities)
    except Refused:
        return None


def _least_generation(it: Appending[Header]) -> int:
    """The sender's generation that the record's epoch names: older identities no longer count under it."""
    seats = it.header.members if isinstance(it.header, EpochHeader) else it.state.members
    return next((seat.gen for seat in seats if seat.id == it.header.user), 0)


def _one_user_a_key(it: Appending[Header]) -> bool:
    return it.device is None or it.state.keys.get(b64(it.device.ed), it.device.user) == it.device.user


def _signed(it: Appending[Any]) -> bool:
    return it.device is not None and ed25519.verify(it.device.ed, it.record.sig, it.record.signed_bytes)


COMMON_CHECKS: tuple[Check[Appending[Header]], ...] = (
    Check("thread", Reason.THREAD, lambda it: it.header.thread == it.state.thread),
    Check("sequence", Reason.SEQUENCE, lambda it: it.header.seq == it.state.seq + 1),
    Check("chain", Reason.CHAIN, lambda it: it.header.prev == it.state.head),
    Check("device is known", Reason.UNKNOWN_DEVICE, lambda it: it.directory.device(it.header.dev) is not None),
    Check("user is known", Reason.UNKNOWN_USER, lambda it: it.directory.user(it.header.user) is not None),
    Check("certificate", Reason.CERTIFICATE, _certified),
    Check("one user a device key", Reason.CERTIFICATE, _one_user_a_key),
    Check("device not revoked", Reason.REVOKED, lambda it: it.header.dev not in it.state.revoked),
)


# Epoch records.

Epoch = Appending[EpochHeader]


def _ids(seats: Iterable[Seat]) -> set[str]:
    return {seat.id for seat in seats}


def _creator(it: Epoch) -> bool:
    return bool(_acting(it)) if it.state.epoch else bool(it.voices(it.header.members))


def _acting(it: Epoch) -> list[Seat]:
    """The voices of the maker, under the generations named here, that were members of the epoch before."""
    before = _ids(it.state.members)
    return [seat for seat in it.voices(it.header.members) if seat.id in before]


def _patients_stay(it: Epoch) -> bool:
    here = _ids(it.header.members)
    return all(seat.id in here for seat in it.state.members if seat.role is Role.PATIENT)


def _may_change(it: Epoch) -> bool:
    before, here = _ids(it.state.members), _ids(it.header.members)
    if not it.state.epoch or before == here:
        return True
    if any(seat.role is Role.TEAM for seat in _acting(it)):
        return True
    changed = [seat for seat in (*it.state.members, *it.header.members) if seat.id in before ^ here]
    own = it.state.seat(it.header.user)
    return own is not None and own.role is Role.PATIENT and all(seat.role is Role.PROXY for seat in changed)


def _roles_stay(it: Epoch) -> bool:
    return all(it.state.known[seat.id].role is seat.role for seat in it.header.members if seat.id in it.state.known)


def _entries_of(it: Epoch) -> list[tuple[Seat, Entry | None]]:
    return [(seat, it.directory.user(seat.id, seat.gen)) for seat in it.header.members]


_ROLE_OF_ENTRY = {Role.TEAM: EntryRole.TEAM, Role.SERVICE: EntryRole.SERVICE}


def _entry_roles(it: Epoch) -> bool:
    return all(
        entry is None or entry.role is _ROLE_OF_ENTRY.get(seat.role, EntryRole.PERSON)
        for seat, entry in _entries_of(it)
    )


def _generations_do_not_fall(it: Epoch) -> bool:
    known = it.state.known
    return all(seat.gen >= known[seat.id].gen for seat in it.header.members if seat.id in known)


def _who_started_again_is_vouched_for(it: Epoch) -> bool:
    known = it.state.known
    again = any(
        it.directory.started_again(seat.id, known[seat.id].gen, seat.gen)
        for seat in it.header.members
        if seat.role is not Role.TEAM and seat.id in known and seat.gen > known[seat.id].gen
    )
    return not again or any(
        seat.role is Role.TEAM and it.directory.vouches(it.header.user, seat.id, seat.gen) for seat in _acting(it)
    )


def _revocations_backed(it: Epoch) -> bool:
    here = it.voices(it.header.members)
    maker = Maker(
        it.header.user,
        is_patient=any(seat.role is Role.PATIENT for seat in here),
        speaks_for_team=any(seat.role is Role.TEAM for seat in here),
    )
    return all(it.directory.revocation(dev, maker) for dev in it.header.revoked)


def _wraps_of_members(it: Epoch) -> bool:
    return it.record.wraps is None or it.record.wraps.keys() == _ids(it.header.members)


def _wraps_match(it: Appending[Any]) -> bool:
    return it.record.wraps is None or wraps_hash(it.record.wraps) == it.record.body_hash


EPOCH_CHECKS: tuple[Check[Epoch], ...] = (
    Check("epoch: number", Reason.EPOCH_NUMBER, lambda it: it.header.epoch == it.state.epoch + 1),
    Check("epoch: suite", Reason.SUITE, lambda it: it.header.suite == SUITE),
    Check("epoch: creator", Reason.CREATOR, _creator),
    Check("epoch: a team", Reason.MEMBERSHIP, lambda it: any(seat.role is Role.TEAM for seat in it.header.members)),
    Check("epoch: patients stay", Reason.MEMBERSHIP, _patients_stay),
    Check("epoch: who may change members", Reason.MEMBERSHIP, _may_change),
    Check("epoch: roles stay", Reason.MEMBERSHIP, _roles_stay),
    Check("epoch: nobody twice", Reason.DUPLICATE, lambda it: len(_ids(it.header.members)) == len(it.header.members)),
    Check(
        "epoch: keys of the directory",
        Reason.MEMBER_KEY,
        lambda it: all(entry is not None and entry.kid == seat.kid for seat, entry in _entries_of(it)),
    ),
    Check("epoch: roles of the directory", Reason.MEMBER_KEY, _entry_roles),
    Check("epoch: generations do not fall", Reason.MEMBER_KEY, _generations_do_not_fall),
    Check("epoch: who started again is vouched for", Reason.MEMBERSHIP, _who_started_again_is_vouched_for),
    Check(
        "epoch: no device revoked twice",
        Reason.REVOKED,
        lambda it: len(set(it.header.revoked)) == len(it.header.revoked),
    ),
    Check("epoch: not its own device", Reason.REVOKED, lambda it: it.header.dev not in it.header.revoked),
    Check(
        "epoch: revoked devices have certificates",
        Reason.REVOKED,
        lambda it: all(it.directory.device(dev) is not None for dev in it.header.revoked),
    ),
    Check("epoch: revocations", Reason.REVOKED, _revocations_backed),
    Check("epoch: a new commitment", Reason.COMMITMENT_REUSED, lambda it: it.header.commit not in it.state.commits),
    Check("epoch: wraps of the members", Reason.WRAP_LIST, _wraps_of_members),
    Check("epoch: signature", Reason.SIGNATURE, _signed),
    Check("epoch: wraps as signed", Reason.WRAP_HASH, _wraps_match),
)


# Messages.

Message = Appending[MessageHeader]


def _in_current_epoch(it: Appending[Any]) -> bool:
    return it.state.epoch > 0 and it.header.epoch == it.state.epoch


def _a_member(it: Appending[Any]) -> bool:
    return bool(it.voices(it.state.members))


MESSAGE_CHECKS: tuple[Check[Message], ...] = (
    Check("msg: label in the first only", Reason.FORM, lambda it: it.header.label is None or not it.state.messages),
    Check("msg: epoch", Reason.EPOCH, _in_current_epoch),
    Check("msg: member", Reason.NOT_A_MEMBER, _a_member),
    Check("msg: signature", Reason.SIGNATURE, _signed),
    Check(
        "msg: ciphertext hash",
        Reason.CIPHERTEXT_HASH,
        lambda it: it.record.ct is None or sha256(it.record.ct) == it.record.body_hash,
    ),
)


# History records.

History = Appending[HistoryHeader]


def _maker_was_there(it: History) -> bool:
    first, upto = it.header.first, it.header.upto
    return any(
        it.state.known[seat.id].was_there(first, upto)
        for seat in it.voices(it.state.members)
        if seat.role not in (Role.PROXY, Role.SERVICE)
    )


def _addressee_key(it: History) -> bool:
    entry = it.directory.user(it.header.to.id, it.header.to.gen)
    return entry is not None and entry.kid == it.header.to.kid


HISTORY_CHECKS: tuple[Check[History], ...] = (
    Check("history: epoch", Reason.EPOCH, _in_current_epoch),
    Check("history: from 1 on", Reason.HISTORY, lambda it: it.header.first >= 1),
    Check("history: from before upto", Reason.HISTORY, lambda it: it.header.first <= it.header.upto),
    Check("history: before this epoch", Reason.HISTORY, lambda it: it.header.upto < it.header.epoch),
    Check("history: maker was there", Reason.HISTORY, _maker_was_there),
    Check("history: to a member", Reason.HISTORY, lambda it: it.state.seat(it.header.to.id) is not None),
    Check("history: key of the directory", Reason.HISTORY, _addressee_key),
    Check(
        "history: one wrap",
        Reason.HISTORY,
        lambda it: it.record.wraps is None or it.record.wraps.keys() == {it.header.to.id},
    ),
    Check("history: signature", Reason.SIGNATURE, _signed),
    Check("history: wraps as signed", Reason.WRAP_HASH, _wraps_match),
)


# Redact records.

Redact = Appending[RedactHeader]

REDACT_CHECKS: tuple[Check[Redact], ...] = (
    Check("redact: epoch", Reason.EPOCH, _in_current_epoch),
    Check("redact: member", Reason.NOT_A_MEMBER, _a_member),
    Check("redact: signature", Reason.SIGNATURE, _signed),
    Check("redact: own message", Reason.REDACT, lambda it: it.author_of(it.header.target) == it.header.user),
)

CHECKS: dict[str, tuple[Check[Any], ...]] = {
    "epoch": EPOCH_CHECKS,
    "msg": MESSAGE_CHECKS,
    "history": HISTORY_CHECKS,
    "redact": REDACT_CHECKS,
}


def advance(state: ThreadState, record: AnyRecord, directory: Directory, author_of: AuthorOf) -> ThreadState:
    """The state after one more record. Raises Refused, whose `seq` is the place the record would have had.

    `author_of` is asked about redacted messages only, for sequence numbers below this record's.
    """
    it: Appending[Any] = Appending(state, record, directory, author_of)
    place = state.seq + 1
    require(COMMON_CHECKS, it, place)
    require(CHECKS[record.kind], it, place)
    return _after(state, record, it.device)


def advance_unchecked(state: ThreadState, record: AnyRecord, device: VerifiedDevice) -> ThreadState:
    """The state after a record of our own making by `device`, which nobody else has seen yet."""
    return _after(state, record, device)


def _after(state: ThreadState, record: AnyRecord, device: VerifiedDevice | None) -> ThreadState:
    header = record.header
    changes: dict[str, Any] = {"seq": header.seq, "head": record.head}
    if device is not None and b64(device.ed) not in state.keys:
        changes["keys"] = {**state.keys, b64(device.ed): device.user}
    if isinstance(header, MessageHeader) and not state.messages:
        changes["messages"] = True
    if isinstance(header, EpochHeader):
        changes["epoch"] = header.epoch
        changes["members"] = header.members
        changes["commits"] = (*state.commits, header.commit)
        changes["known"] = {**state.known, **{seat.id: _known(state, seat) for seat in header.members}}
        changes["revoked"] = state.revoked | set(header.revoked)
    return replace(state, **changes)


def _known(state: ThreadState, seat: Seat) -> Known:
    number = state.epoch + 1
    earlier = state.known.get(seat.id)
    spans = earlier.spans if earlier else ()
    if spans and spans[-1][1] == state.epoch:
        spans = (*spans[:-1], (spans[-1][0], number))
    else:
        spans = (*spans, (number, number))
    return Known(seat.role, seat.gen, spans)


@dataclass(frozen=True, slots=True)
class Head:
    """A place of a thread: how many records, and the hash that the next one must name."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class VerifiedThread:
    """What holds of a thread: its records up to the first that does not, and why that was refused."""

    records: tuple[AnyRecord, ...]
    state: ThreadState
    refusal: Refused | None


def verify_thread(thread: str, raws: Iterable[Any], directory: Directory, kept: Head | None = None) -> VerifiedThread:
    """Verify a thread from its genesis.

    `kept` is the highest head seen before: a thread may not end below it (rollback) nor have another head there (fork).
    """
    state = ThreadState.new(thread)
    records: list[AnyRecord] = []
    try:
        require_not_forked(state, kept)
        for raw in raws:
            record = _read(raw, state)
            after = advance(state, record, directory, lambda seq: author_of(records, seq))
            require_not_forked(after, kept)
            records.append(record)
            state = after
        _require_not_rolled_back(state, kept)
    except Refused as refusal:
        return VerifiedThread(tuple(records), state, refusal)
    return VerifiedThread(tuple(records), state, None)


def _read(raw: Any, state: ThreadState) -> AnyRecord:
    try:
        return read_record(raw)
    except Refused as refusal:
        raise Refused(refusal.reason, state.seq + 1) from refusal


def author_of(records: Sequence[AnyRecord], seq: int) -> str | None:
    """The author of the message at `seq` in a list that begins with record 1."""
    if not 1 <= seq <= len(records) or records[seq - 1].kind != "msg":
        return None
    return records[seq - 1].header.user


def require_not_forked(state: ThreadState, kept: Head | None) -> None:
    """Refuse a thread that has come to the kept place with another head."""
    if kept is not None and state.seq == kept.seq and state.head != kept.hash:
        raise Refused(Reason.FORK, state.seq)


def _require_not_rolled_back(state: ThreadState, kept: Head | None) -> None:
    if kept is not None and state.seq < kept.seq:
        raise Refused(Reason.ROLLBACK, state.seq)


# Receipts, outside the chain.


@dataclass(frozen=True, slots=True)
class Place:
    """What a receipt is held against: the thread up to now, and what lay at the receipt's seq."""

    state: ThreadState
    head: bytes | None
    """The head after the receipt's seq; None if the thread has not come so far."""
    members: tuple[Seat, ...]
    """The members of the epoch that was current there."""


@dataclass(slots=True)
class _Receiving:
    receipt: Receipt
    place: Place
    directory: Directory
    user: str
    device: VerifiedDevice | None = None


def _receipt_certified(it: _Receiving) -> bool:
    least = next((seat.gen for seat in it.place.members if seat.id == it.user), 0)
    it.device = _verified_device(it.directory, it.user, it.receipt.dev, least)
    return it.device is not None


def _receipt_signed(it: _Receiving) -> bool:
    return it.device is not None and ed25519.verify(it.device.ed, it.receipt.sig, pae("receipt", it.receipt.h))


RECEIPT_CHECKS: tuple[Check[_Receiving], ...] = (
    Check("receipt: thread", Reason.THREAD, lambda it: it.receipt.thread == it.place.state.thread),
    Check("receipt: not beyond the thread", Reason.SEQUENCE, lambda it: it.place.head is not None),
    Check("receipt: head", Reason.FORK, lambda it: it.receipt.head == it.place.head),
    Check(
        "receipt: device is known", Reason.UNKNOWN_DEVICE, lambda it: it.directory.device(it.receipt.dev) is not None
    ),
    Check("receipt: user is known", Reason.UNKNOWN_USER, lambda it: it.directory.user(it.user) is not None),
    Check("receipt: certificate", Reason.CERTIFICATE, _receipt_certified),
    Check("receipt: device not revoked", Reason.REVOKED, lambda it: it.receipt.dev not in it.place.state.revoked),
    Check(
        "receipt: member",
        Reason.NOT_A_MEMBER,
        lambda it: bool(voices(it.user, it.receipt.dev, it.place.members, it.directory)),
    ),
    Check("receipt: signature", Reason.SIGNATURE, _receipt_signed),
)


def verify_receipt(raw: Any, user: str, place_at: Callable[[int], Place], directory: Directory) -> Receipt:
    """A receipt of `user` that holds. `place_at` tells what lay at a sequence number. Raises Refused."""
    receipt = read_receipt(raw)
    require(RECEIPT_CHECKS, _Receiving(receipt, place_at(receipt.seq), directory, user), receipt.seq)
    return receipt


def place_in(thread: VerifiedThread) -> Callable[[int], Place]:
    """`place_at` for a thread that is at hand as a whole."""

    def place_at(seq: int) -> Place:
        head = thread.records[seq - 1].head if 1 <= seq <= len(thread.records) else None
        epochs = [record.header for record in thread.records[:seq] if isinstance(record.header, EpochHeader)]
        return Place(thread.state, head, epochs[-1].members if epochs else ())

    return place_at
