"""The key directory as the verifier asks for it, read from the database of this server.

Chains, certificates and team records were verified when they were appended; what the verifier reads here again is
remembered in the process, so that a send costs about one signature.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from threading import Lock
from typing import Any, Generic, NamedTuple, Self, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Pool, Select, bindparam, select
from sqlalchemy.orm import Session

from portal.accounts import devices, directory
from portal.accounts.tables import Device, DirectoryEntry
from portal.core.database import table_of
from portal.core.errors import Unprocessable
from portal.core.together import Answers
from portal.e2ee.directory import Entry, Maker, heirs
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.teams import TeamRecord, read_team
from portal.pharmacies import tables
from portal.pharmacies.topics import split_team_id

Value = TypeVar("Value")


class _Memory(Generic[Value]):
    """The last results of something that depends on nothing but its name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, name: Hashable, make: Callable[[], Value | None]) -> Value | None:
        """What is remembered under `name`, else what `make` finds; that nothing was found is not remembered."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        made = make()
        if made is not None:
            with self._lock:
                self._kept[name] = made
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return made


# Generations of teams are only ever added, so a database has one record for each name.
_teams: WeakKeyDictionary[Pool, _Memory[TeamRecord]] = WeakKeyDictionary()
_teams_lock = Lock()

_DEVICES = table_of(Device)
_ENTRIES = table_of(DirectoryEntry)
_DEVICE = select(
    *(_DEVICES.c[name] for name in ("account_id", "certificate", "signed_by", "revocation", "ended_at"))
).where(_DEVICES.c.id == bindparam("dev"))
# What to ask ahead, together with other things, of the device that is about to sign and of its owner.
QUESTIONS: Mapping[str, Select[Any]] = {
    "device": _DEVICE,
    "chain": select(_ENTRIES.c.n, _ENTRIES.c.entry).where(_ENTRIES.c.id == bindparam("owner")),
}
_TEAM = select(tables.TeamRecord.record).where(
    tables.TeamRecord.team_id == bindparam("team"), tables.TeamRecord.gen == bindparam("gen")
)


def _teams_of(session: Session) -> _Memory[TeamRecord]:
    with _teams_lock:
        return _teams.setdefault(session.connection().engine.pool, _Memory(256))


class _Device(NamedTuple):
    account_id: str
    certificate: dict[str, Any]
    signed_by: int
    revocation: dict[str, Any] | None
    ended_at: datetime | None


def _chain_of(user: str, entries: Sequence[dict[str, Any]]) -> list[Entry]:
    # Oldest first; empty for one without keys or whose chain does not verify.
    try:
        return directory.chain_of(user, entries) if entries else []
    except Unprocessable:
        return []


class ServerDirectory:
    """Implements `portal.e2ee.directory.Directory` for one transaction; each id is looked up once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entries: dict[str, list[Entry]] = {}
        self._devices: dict[str, _Device | None] = {}
        self._records: dict[tuple[str, int], TeamRecord | None] = {}

    def knows(self, answers: Answers, *, dev: str | None, owner: str) -> Self:
        """Take over what was asked ahead (`QUESTIONS`) of a device and of a person."""
        if dev is not None:
            self._devices[dev] = next((_Device(*row) for row in answers["device"]), None)
        self._entries[owner] = _chain_of(owner, [entry for _, entry in sorted(answers["chain"], key=itemgetter(0))])
        return self

    def user(self, id: str, gen: int | None = None) -> Entry | None:
        """The entry of a person or team in a generation; the newest without one."""
        if split_team_id(id) is not None:
            record = self._team(id, gen) if gen is not None else self._newest_team(id)
            return record.entry if record is not None else None
        chain = self._chain(id)
        if gen is None:
            return chain[-1] if chain else None
        return next((entry for entry in reversed(chain) if entry.gen == gen), None)

    def entries(self, user: str) -> Sequence[Entry]:
        """The newest entry of a person: on append only certificates of the newest identity count."""
        return self._chain(user)[-1:]

    def _chain(self, user: str) -> Sequence[Entry]:
        if user not in self._entries:
            self._entries[user] = _chain_of(user, directory.own_entries(self._session, user))
        return self._entries[user]

    def device(self, dev: str) -> Mapping[str, Any] | None:
        """The certificate of a device, as it travels."""
        row = self._device(dev)
        return row.certificate if row is not None else None

    def speaks_for(self, user: str, team: str, gen: int) -> bool:
        """Whether a person is listed in that generation of a team."""
        record = self._team(team, gen)
        return record is not None and record.speaks(user)

    def signers(self, user: str, team: str, gen: int) -> Sequence[IdentityKeys]:
        """The identities by which a person's devices speak for a team, as listed in that generation."""
        record = self._team(team, gen)
        named = record.who(user) if record is not None else None
        return heirs(self._chain(user), named) if named is not None else []

    def vouches(self, user: str, team: str, gen: int) -> bool:
        """Whether a person may, as listed in that generation, say who somebody is that started again."""
        record = self._team(team, gen)
        return record is not None and record.vouches(user)

    def started_again(self, id: str, after: int, upto: int) -> bool:
        """Whether a person started again in one of these generations."""
        return any(entry.reset and after < entry.gen <= upto for entry in self._chain(id))

    def revocation(self, dev: str, maker: Maker) -> bool:
        """Whether the device's owner took it back; the record was verified when it was stored."""
        row = self._device(dev)
        return row is not None and row.revocation is not None

    def active(self, dev: str | None) -> bool:
        """Whether a device may sign now: not ended, and certified by its owner's newest identity."""
        row = self._device(dev) if dev is not None else None
        return row is not None and devices.state_of(row, self._chain(row.account_id)) is devices.State.ACTIVE

    def owner(self, dev: str) -> str | None:
        """The account a device belongs to."""
        row = self._device(dev)
        return row.account_id if row is not None else None

    def _device(self, dev: str) -> _Device | None:
        if dev not in self._devices:
            row = self._session.execute(_DEVICE, {"dev": dev}).one_or_none()
            self._devices[dev] = _Device(*row) if row is not None else None
        return self._devices[dev]

    def _team(self, team: str, gen: int) -> TeamRecord | None:
        if (team, gen) not in self._records:
            self._records[team, gen] = _teams_of(self._session).get((team, gen), lambda: self._read_team(team, gen))
        return self._records[team, gen]

    def _read_team(self, team: str, gen: int) -> TeamRecord | None:
        record = self._session.scalar(_TEAM, {"team": team, "gen": gen})
        return read_team(record) if record is not None else None

    def _newest_team(self, team: str) -> TeamRecord | None:
        gen = self._session.scalar(
            select(tables.TeamRecord.gen)
            .where(tables.TeamRecord.team_id == team)
            .order_by(tables.TeamRecord.gen.desc())
            .limit(1)
        )
        return self._team(team, gen) if gen is not None else None
