"""A directory in memory, filled with what has been verified: for members written in Python, and for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from portal.e2ee import teams
from portal.e2ee.certificates import verify_revocation
from portal.e2ee.directory import Entry, Maker, Pin, SignedEntry, heirs, verify_chain
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.teams import TeamRecord


class Register:
    """Implements `directory.Directory`. Every `add_…` verifies and raises Refused."""

    def __init__(self) -> None:
        self.chains: dict[str, list[SignedEntry]] = {}
        self.teams: dict[str, list[TeamRecord]] = {}
        self._certificates: dict[str, Mapping[str, Any]] = {}
        self._revoked: set[str] = set()

    def add_chain(self, id: str, raws: Sequence[Any], pin: Pin | None = None) -> list[SignedEntry]:
        """Take a user's whole chain, replacing what was known of it."""
        chain = verify_chain(raws, pin, id)
        self.chains[id] = chain
        return chain

    def add_team(self, id: str, raws: Sequence[Any], pin: Pin | None = None) -> list[TeamRecord]:
        """Take all generations of a team; its members' chains must have been added."""
        records = teams.verify_team(raws, self.heirs_of, pin, id)
        self.teams[id] = records
        return records

    def add_certificate(self, dev: str, raw: Mapping[str, Any]) -> None:
        """Take a certificate as shown; verifiers verify it when it is used."""
        self._certificates[dev] = raw

    def add_revocation(self, user: str, dev: str, raw: Mapping[str, Any]) -> None:
        """Take a user's revocation of a device."""
        verify_revocation(raw, user, dev, self.identities_of(user))
        self._revoked.add(dev)

    def identities_of(self, user: str) -> Sequence[IdentityKeys]:
        """All identities of a user's chain."""
        return [entry.identity for entry in self.entries(user) if entry.identity]

    def heirs_of(self, user: str, who: bytes) -> Sequence[IdentityKeys]:
        """The identities that sign where a team lists the user by this identity entry."""
        return heirs(self.entries(user), who)

    def user(self, id: str, gen: int | None = None) -> Entry | None:
        """The entry of a user or team in a generation; without one the newest."""
        found = [entry for entry in self._all(id) if gen is None or entry.gen == gen]
        return found[-1] if found else None

    def _all(self, id: str) -> list[Entry]:
        if id in self.teams:
            return [record.entry for record in self.teams[id]]
        return [signed.entry for signed in self.chains.get(id, [])]

    def entries(self, user: str) -> Sequence[Entry]:
        """A user's entries, oldest first."""
        return [signed.entry for signed in self.chains.get(user, [])]

    def device(self, dev: str) -> Mapping[str, Any] | None:
        """The certificate that is shown for a device."""
        return self._certificates.get(dev)

    def speaks_for(self, user: str, team: str, gen: int) -> bool:
        """Whether a user's devices speak for the team in that generation."""
        return any(record.gen == gen and record.speaks(user) for record in self.teams.get(team, []))

    def signers(self, user: str, team: str, gen: int) -> Sequence[IdentityKeys]:
        """The identities by which a user's devices speak for the team in that generation."""
        named = [record.who(user) for record in self.teams.get(team, []) if record.gen == gen]
        return self.heirs_of(user, named[0]) if named and named[0] is not None else []

    def vouches(self, user: str, team: str, gen: int) -> bool:
        """Whether a user may, as listed in that generation, say who somebody is that started again."""
        return any(record.gen == gen and record.vouches(user) for record in self.teams.get(team, []))

    def started_again(self, id: str, after: int, upto: int) -> bool:
        """Whether a person started again in one of these generations."""
        return any(entry.reset and after < entry.gen <= upto for entry in self.entries(id))

    def revocation(self, dev: str, maker: Maker) -> bool:
        """Whether a verified revocation of the device is known."""
        return dev in self._revoked
