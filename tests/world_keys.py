"""Keys for the people of `world`: made as a browser makes them, stored through the portal's own functions."""

from dataclasses import dataclass, field, replace

from world import World

from portal.accounts import devices, directory, recovery
from portal.accounts.actor import Actor
from portal.accounts.devices import GuardShare
from portal.accounts.roles import Role, role_in_records
from portal.accounts.tables import Account
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.e2ee import recovery as ways
from portal.e2ee import seal
from portal.e2ee.directory import who
from portal.e2ee.identity import EncryptionKey, Person
from portal.e2ee.objects import RootKind
from portal.e2ee.records import Role as RecordRole
from portal.e2ee.teams import TeamMember, TeamRecord
from portal.pharmacies import teams
from portal.pharmacies.generations import Appended, append_record

BOX = devices.share_box(("test-secret-key-of-at-least-32-characters",))


@dataclass
class Keys:
    """The private side of everyone who has enrolled, by name, and of the teams, by id and generation."""

    world: World
    people: dict[str, Person] = field(default_factory=dict)
    teams: dict[str, list[EncryptionKey]] = field(default_factory=dict)
    records: dict[str, TeamRecord] = field(default_factory=dict)

    def actor(self, name: str) -> Actor:
        """The person, logged in just now, in a session bound to the own device."""
        person = self.people.get(name)
        return self.world.actor(name, device_id=person.device.dev if person is not None else None)

    def enrol(self, *names: str, with_recovery: bool = True, guard: GuardShare | None = None) -> None:
        """First keys, and a recovery code unless told otherwise; with a `guard` on a device that others use too."""
        for name in names:
            account_id = self.world.accounts[name]
            person = Person.new(account_id, ids.random_id())
            with self.world.database.transaction() as session:
                devices.enrol(
                    session,
                    actor=self.world.actor(name),
                    entry=seal.first_entry(person).to_json(),
                    certificate=certificate(person),
                    sealed=vault(person),
                    name=f"{name}'s browser",
                    box=BOX,
                    guard=guard,
                )
            self.people[name] = person
            if with_recovery:
                self.code_for(name)

    def code_for(self, name: str) -> None:
        """A recovery code for somebody with keys, in place of an earlier one."""
        person = self.people[name]
        with self.world.database.transaction() as session:
            recovery.set_way(
                session,
                actor=self.actor(name),
                way=ways.Method.CODE.value,
                wrap=ways.wrap_by_code(person.urk, person.id, ways.make_code()).to_json(),
            )

    def start_again(self, name: str) -> None:
        """New keys without the old ones, and a device of the new identity."""
        old = self.people[name]
        with self.world.database.reading() as session:
            before = directory.chains(session, [old.id])[old.id][-1]
        new = replace(Person.new(old.id, ids.random_id()), keys=[EncryptionKey.new(before.gen + 1)], role=old.role)
        entry, rev = seal.reset_entry(before, new.identity, new.key).to_json(), before.n + 1
        with self.world.database.transaction() as session:
            actor = self.world.actor(name)
            directory.add_next(session, actor=actor, entry=entry, sealed=vault(new, rev), rev=rev)
            teams.started_again(session, actor=actor)
        with self.world.database.transaction() as session:
            devices.add(session, actor=actor, certificate=certificate(new), name="a new browser", box=BOX)
        self.people[name] = new

    def lose_device(self, name: str) -> str:
        """End a person's device from that device itself; gives its id."""
        person = self.people[name]
        revocation = seal.revocation(person.identity, person.id, person.device.dev, clock.now_ms())
        with self.world.database.transaction() as session:
            devices.end(
                session,
                actor=self.actor(name),
                device_id=person.device.dev,
                revocation=revocation,
                bus=MemoryBus(),
            )
        return person.device.dev

    def team(self, team: str, by: str, *names: str) -> Appended:
        """Found a team with these people, or make its next generation; signed by `by`."""
        record = self.make_team(team, by, *names)
        with self.world.database.transaction() as session:
            appended = append_record(session, actor=self.actor(by), team=team, record_=raw(record))
        self.records[team] = record
        return appended

    def make_team(self, team: str, by: str, *names: str) -> TeamRecord:
        """As `team`, but not sent."""
        roles = {name: self.role_in_team(name) for name in names}
        with self.world.database.reading() as session:
            chains = directory.chains(session, [self.world.accounts[name] for name in names])
        listed = [
            (TeamMember(self.world.accounts[name], roles[name], who(own)), own[-1])
            for name, own in ((name, chains[self.world.accounts[name]]) for name in names)
        ]
        before = self.records.get(team)
        if before is None:
            record, key = seal.found_team(team, self.people[by], listed)
        else:
            record, key = seal.change_team(before, self.teams[team][-1], self.people[by], listed)
        self.teams.setdefault(team, []).append(key)
        return record

    def role_in_team(self, name: str) -> RecordRole:
        """The word for a person in a team's record."""
        with self.world.database.reading() as session:
            role = Role(session.get_one(Account, self.world.accounts[name]).role)
        is_pharmacist = role_in_records(role) == RecordRole.PHARMACIST
        return RecordRole.PHARMACIST if is_pharmacist else RecordRole.STAFF


def raw(record: TeamRecord) -> dict[str, object]:
    """A team record as a browser sends it."""
    return {name: value for name, value in record.to_json().items() if name != "by"}


def certificate(person: Person) -> dict[str, str]:
    """The certificate of a person's device."""
    return seal.certificate(person.identity, person.device, clock.now_ms())


def vault(person: Person, rev: int = 1) -> dict[str, object]:
    """A person's seeds under the own root key."""
    boxes = [
        seal.seal_root_box(person.urk, person.id, RootKind.UIK, 1, person.identity.seeds, clock.now_ms()),
        *(
            seal.seal_root_box(person.urk, person.id, RootKind.PUK, key.gen, key.seed, clock.now_ms())
            for key in person.keys
        ),
    ]
    return {"user": person.id, "rev": rev, "boxes": [box.to_json() for box in boxes]}
