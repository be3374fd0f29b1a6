"""The teams of a member: their keys, and the records that say who sits in them (docs/protocol.md section 3)."""

from collections.abc import Sequence
from typing import Any

from portal.accounts.roles import Role as AccountRole
from portal.accounts.roles import role_in_records
from portal.connector.client import PortalClient
from portal.connector.directory import ConfirmFirst, MemberDirectory
from portal.e2ee import seal
from portal.e2ee.directory import Entry, still, who
from portal.e2ee.identity import EncryptionKey, Person
from portal.e2ee.open import open_team
from portal.e2ee.records import Role
from portal.e2ee.teams import TeamMember


class Teams:
    """The teams one person sits in. `seeds` holds their keys, by team and generation, once they were opened.

    Raises Refused for what does not verify, ServerRefused.
    """

    def __init__(self, client: PortalClient, person: Person, directory: MemberDirectory) -> None:
        self.seeds: dict[tuple[str, int], bytes] = {}
        self._client = client
        self._person = person
        self._directory = directory

    def open(self) -> list[str]:
        """Open the keys of the teams the member sits in; their ids."""
        seats = self._client.get("/api/keys/me")["teams"]
        sits = [seat["team"] for seat in seats if seat["state"] == "member"]
        self._directory.load(sits, fresh=True)
        own = [key.seed for key in reversed(self._person.keys)]
        for team in sits:
            for gen, seed in open_team(self._directory.teams[team], self._person.id, own).items():
                self.seeds[team, gen] = seed
        return sits

    def found(self, team: str, members: Sequence[str] = ()) -> None:
        """Generation 1 of a team of the own pharmacy, with the founder and `members`. Asks for a fresh login."""
        record, _ = seal.found_team(team, self._person, self._listed([self._person.id, *members]))
        self._post(team, record.to_json())

    def change(self, team: str, members: Sequence[str]) -> None:
        """The next generation with exactly these members; the maker is one of the present ones.

        Raises ConfirmFirst where one of the present ones has begun anew: `admit` is for whom a person has made sure of.
        """
        self._change(team, members)

    def _change(self, team: str, members: Sequence[str], joining: str | None = None) -> None:
        self.open()
        before = self._directory.teams[team][-1]
        old = EncryptionKey(before.gen, self.seeds[team, before.gen])
        for member in before.members:
            if member.id in members and member.id != joining:
                self._directory.newest(member.id)
                if not still(self._directory.entries(member.id), member.who):
                    raise ConfirmFirst(member.id)
        record, _ = seal.change_team(before, old, self._person, self._listed(members))
        self._post(team, record.to_json())

    def admit(self, team: str, account: str) -> None:
        """Take somebody who asked into a team."""
        self._directory.load([team], fresh=True)
        present = [member.id for member in self._directory.teams[team][-1].members]
        self._change(team, [*present, account], account)

    def ask(self, team: str) -> None:
        """Ask for a seat."""
        self._client.post(f"/api/teams/{team}/ask")

    def _listed(self, accounts: Sequence[str]) -> list[tuple[TeamMember, Entry]]:
        listed = []
        for account in dict.fromkeys(accounts):
            entry = self._directory.newest(account)
            role = role_in_records(AccountRole(self._directory.people[account]["role"]))
            named = who(self._directory.entries(account))
            listed.append((TeamMember(account, Role(role), named), entry))
        return listed

    def _post(self, team: str, record: dict[str, Any]) -> None:
        self._client.post(f"/api/teams/{team}/records", {name: record[name] for name in ("h", "w", "prev", "sig")})
        self.open()
