"""Teams: founding, asking, joining, leaving, and everything a record must not be."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from world import World, build
from world_keys import Keys, raw

from portal.accounts import directory, recovery
from portal.accounts.roles import Role
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, Unprocessable
from portal.e2ee import recovery as wraps
from portal.e2ee import seal
from portal.e2ee.directory import who
from portal.e2ee.identity import Identity
from portal.e2ee.records import Role as RecordRole
from portal.e2ee.teams import TeamMember
from portal.pharmacies import colleagues, connections, generations, staff, team_records, teams
from portal.pharmacies.keys import ServerDirectory
from portal.pharmacies.teams import LIFE, Event, State
from portal.privacy import stopping

PHARMACISTS = "riverside_pharmacists"
DESK = "riverside_desk"


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob", "erin", "frank", "carol", "alice")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def seats(world: World, team: str) -> dict[str, str]:
    with world.database.reading() as session:
        found = teams.of_pharmacy(session, actor=world.actor("grace"), pharmacy_id="riverside")
    (wanted,) = [one for one in found if one.id == team]
    return {seat.name.lower(): seat.state.value for seat in wanted.seats}


def test_bob_founds_the_team_alone_and_is_told_that_he_is_alone(keys: Keys, world: World) -> None:
    appended = keys.team(PHARMACISTS, "bob", "bob")
    assert (appended.gen, appended.sole_member) == (1, True)
    with world.database.reading() as session:
        assert teams.teams_of(session, world.accounts["bob"]) == {PHARMACISTS}
        assert team_records.newest_generations(session, [PHARMACISTS, DESK]) == {PHARMACISTS: 1}
        assert teams.founded(session, ["riverside", "harbor"])["riverside"] == {teams.TeamKind.PHARMACISTS: PHARMACISTS}
        found = teams.of_pharmacy(session, actor=keys.actor("bob"), pharmacy_id="riverside")
    assert [(one.kind.value, one.gen, one.sole_member) for one in found] == [
        ("pharmacists", 1, True),
        ("desk", 0, False),
        ("supervisors", 0, False),
        ("privacy", 0, False),
    ]


def test_erin_asks_is_let_in_and_bob_leaves(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    with world.database.transaction() as session:
        assert teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS) is State.WAITING
        with pytest.raises(Conflict):
            teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS)
    assert seats(world, PHARMACISTS) == {"bob": "member", "erin": "waiting"}
    appended = keys.team(PHARMACISTS, "bob", "bob", "erin")
    assert (appended.joined, appended.left, appended.sole_member) == ((world.accounts["erin"],), (), False)
    with world.database.transaction() as session:
        assert teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS) is State.LEAVING
        # Access ends with the request, the key with the next record.
        assert teams.teams_of(session, world.accounts["bob"]) == frozenset()
    with pytest.raises(Unprocessable) as refused:
        keys.team(PHARMACISTS, "erin", "bob", "erin")
    assert refused.value.code == "member-leaves"
    keys.teams[PHARMACISTS].pop()
    appended = keys.team(PHARMACISTS, "erin", "erin")
    assert (appended.left, appended.gen) == ((world.accounts["bob"],), 3)
    assert seats(world, PHARMACISTS) == {"erin": "member"}
    with world.database.reading() as session:
        directory = ServerDirectory(session)
        bob, erin = world.accounts["bob"], world.accounts["erin"]
        assert [directory.speaks_for(bob, PHARMACISTS, gen) for gen in (1, 2, 3, 4)] == [True, True, False, False]
        assert [directory.speaks_for(erin, PHARMACISTS, gen) for gen in (1, 2, 3)] == [False, True, True]
        newest = directory.user(PHARMACISTS)
        assert newest is not None
        assert newest.gen == 3
        found = session.scalars(
            select(AuditEvent.action).where(AuditEvent.entity_id == PHARMACISTS).order_by(AuditEvent.seq)
        )
        assert list(found) == [
            "team.founded",
            "team.joined",
            "team.asked",
            "team.joined",
            "team.left",
            "team.left",
        ]


def test_the_last_one_cannot_leave(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    with world.database.transaction() as session, pytest.raises(Conflict) as refused:
        teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS)
    assert refused.value.code == "sole-member"


def test_nobody_gives_up_the_seat_of_somebody_who_is_stopped(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    with world.database.transaction() as session:
        stopping.press(session, actor=keys.actor("bob"), bus=MemoryBus())
    for give_up in (
        lambda session: teams.leave(session, actor=keys.actor("bob"), team=PHARMACISTS),
        lambda session: colleagues.leave_all(session, actor=keys.actor("bob"), pharmacy_id="riverside"),
    ):
        with world.database.transaction() as session, pytest.raises(Forbidden) as refused:
            give_up(session)
        assert refused.value.code == "keys-stopped"
    assert seats(world, PHARMACISTS) == {"bob": "member", "erin": "member"}


def test_whose_keys_were_begun_anew_sits_in_no_team_until_somebody_lets_them_in(keys: Keys, world: World) -> None:
    """With Erin's login alone somebody made new keys in her name: the team's key must not follow of itself."""
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    keys.start_again("erin")
    assert seats(world, PHARMACISTS) == {"bob": "member", "erin": "leaving"}
    with world.database.transaction() as session:
        ways_back = wraps.wrap_by_code(keys.people["erin"].urk, world.accounts["erin"], wraps.make_code()).to_json()
        recovery.set_way(session, actor=keys.actor("erin"), way=wraps.Method.CODE.value, wrap=ways_back)
    for by, code in (("erin", "refused"), ("bob", "member-leaves")):
        with pytest.raises(Unprocessable) as refused:
            keys.team(PHARMACISTS, by, "bob", "erin")
        assert refused.value.code == code
        keys.teams[PHARMACISTS].pop()
    assert keys.team(PHARMACISTS, "bob", "bob").left == (world.accounts["erin"],)
    with world.database.transaction() as session:
        teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS)
    assert keys.team(PHARMACISTS, "bob", "bob", "erin").joined == (world.accounts["erin"],)


def test_the_last_one_who_starts_again_keeps_the_seat(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    keys.start_again("bob")
    assert seats(world, PHARMACISTS) == {"bob": "member"}


def test_keys_begun_anew_sign_nothing_for_a_team_before_others_have_listed_them(keys: Keys, world: World) -> None:
    """With Bob's login alone somebody has new keys in his name, and his seat stayed: they make no generation."""
    keys.team(PHARMACISTS, "bob", "bob")
    keys.start_again("bob")
    with world.database.transaction() as session:
        ways_back = wraps.wrap_by_code(keys.people["bob"].urk, world.accounts["bob"], wraps.make_code()).to_json()
        recovery.set_way(session, actor=keys.actor("bob"), way=wraps.Method.CODE.value, wrap=ways_back)
    with pytest.raises(Unprocessable) as refused:
        keys.team(PHARMACISTS, "bob", "bob")
    assert (refused.value.code, refused.value.extra) == ("refused", {"reason": "certificate"})
    with world.database.reading() as session:
        assert team_records.newest_generations(session, [PHARMACISTS]) == {PHARMACISTS: 1}
    # A team that nobody has founded has no keys to lose: there the new ones are as good as any.
    assert keys.team(DESK, "bob", "bob").gen == 1


def test_who_was_let_in_again_after_starting_again_signs_as_before(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    keys.start_again("erin")
    with world.database.transaction() as session:
        ways_back = wraps.wrap_by_code(keys.people["erin"].urk, world.accounts["erin"], wraps.make_code()).to_json()
        recovery.set_way(session, actor=keys.actor("erin"), way=wraps.Method.CODE.value, wrap=ways_back)
    keys.team(PHARMACISTS, "bob", "bob")
    with world.database.transaction() as session:
        teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS)
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    assert keys.team(PHARMACISTS, "erin", "bob", "erin").gen == 4


def test_two_who_change_a_team_at_once_do_not_both_win(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    first = keys.make_team(PHARMACISTS, "bob", "bob", "erin")
    second = keys.make_team(PHARMACISTS, "bob", "bob")
    with world.database.transaction() as session:
        generations.append_record(session, actor=keys.actor("bob"), team=PHARMACISTS, record_=raw(first))
        with pytest.raises(Conflict) as moved:
            generations.append_record(session, actor=keys.actor("bob"), team=PHARMACISTS, record_=raw(second))
    assert (moved.value.code, moved.value.extra) == ("moved-generation", {"gen": 2})


def test_strangers_and_wrong_roles_found_nothing(keys: Keys, world: World) -> None:
    record = raw(keys.make_team(PHARMACISTS, "bob", "bob"))
    keys.teams.clear()
    with world.database.transaction() as session:
        for name in ("carol", "alice", "ivan"):
            with pytest.raises(NotFound):
                generations.append_record(session, actor=keys.actor(name), team=PHARMACISTS, record_=record)
        with pytest.raises(Forbidden):
            generations.append_record(session, actor=keys.actor("frank"), team=PHARMACISTS, record_=record)
        for unknown in ("nowhere_pharmacists", "riverside_boss", "riverside"):
            with pytest.raises(NotFound):
                generations.append_record(session, actor=keys.actor("bob"), team=unknown, record_=record)
        # Signed by Bob, sent by Erin: she is not in it.
        with pytest.raises(Unprocessable):
            generations.append_record(session, actor=keys.actor("erin"), team=PHARMACISTS, record_=record)
        # A record of one team is none of another.
        with pytest.raises(Unprocessable):
            generations.append_record(session, actor=keys.actor("bob"), team=DESK, record_=record)


def test_the_roster_follows_the_roles(keys: Keys, world: World) -> None:
    for names in (("bob", "frank"), ("bob", "carol"), ("bob", "alice")):
        with pytest.raises(Unprocessable) as refused:
            keys.team(PHARMACISTS, "bob", *names)
        assert refused.value.code == "team-not-for-role"
        keys.teams.clear()
    assert keys.team(DESK, "frank", "frank", "bob").gen == 1


def test_founding_asks_for_a_fresh_login_a_device_and_a_way_back(keys: Keys, world: World) -> None:
    record = raw(keys.make_team(PHARMACISTS, "bob", "bob"))
    bob = keys.actor("bob")
    with world.database.transaction() as session:
        late = replace(bob, auth_time=clock.now() - timedelta(minutes=6))
        with pytest.raises(StepUpNeeded):
            generations.append_record(session, actor=late, team=PHARMACISTS, record_=record)
        with pytest.raises(Forbidden) as refused:
            generations.append_record(session, actor=replace(bob, device_id=None), team=PHARMACISTS, record_=record)
        assert refused.value.code == "device-needed"
    keys.enrol("grace", with_recovery=False)
    with pytest.raises(Forbidden) as refused:
        keys.team("riverside_supervisors", "grace", "grace")
    assert refused.value.code == "recovery-first"


def test_a_member_without_keys_or_with_a_forged_signature_is_refused(keys: Keys, world: World) -> None:
    record = keys.make_team(PHARMACISTS, "bob", "bob")
    with world.database.transaction() as session:
        for changed, error in (
            ({"sig": Identity.new().sign(record.signed_bytes)}, Unprocessable),
            ({"w": {}}, Unprocessable),
            ({"h": "!"}, BadInput),
            ({"prev": "AAAA"}, BadInput),
        ):
            with pytest.raises(error):
                generations.append_record(
                    session, actor=keys.actor("bob"), team=PHARMACISTS, record_=raw(record) | changed
                )
        assert team_records.newest_generations(session, [PHARMACISTS]) == {}


def test_a_record_lists_everybody_by_the_keys_they_have(keys: Keys, world: World) -> None:
    bob, erin = world.accounts["bob"], world.accounts["erin"]
    with world.database.reading() as session:
        chains = directory.chains(session, [bob, erin])
    entry = chains[erin][-1]
    keys.start_again("erin")
    for named in (bytes(32), who([entry]), who(chains[bob])):
        listed = [
            (TeamMember(bob, RecordRole.PHARMACIST, who(chains[bob])), chains[bob][-1]),
            (TeamMember(erin, RecordRole.PHARMACIST, named), entry),
        ]
        record, _ = seal.found_team(PHARMACISTS, keys.people["bob"], listed)
        with world.database.transaction() as session, pytest.raises(Unprocessable) as refused:
            generations.append_record(session, actor=keys.actor("bob"), team=PHARMACISTS, record_=raw(record))
        assert refused.value.extra == {"reason": "member key"}
    assert keys.team(PHARMACISTS, "bob", "bob", "erin").gen == 1


def test_olivia_is_approved_before_she_ever_signed_in(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob")
    erin, frank = world.accounts["erin"], world.accounts["frank"]
    with world.database.transaction() as session:
        with pytest.raises(Forbidden):
            teams.approve_ahead(session, actor=keys.actor("erin"), team=PHARMACISTS, account_id=erin)
        with pytest.raises(Unprocessable):
            teams.approve_ahead(session, actor=keys.actor("bob"), team=PHARMACISTS, account_id=frank)
        with pytest.raises(NotFound):
            teams.approve_ahead(session, actor=keys.actor("bob"), team=PHARMACISTS, account_id=world.accounts["carol"])
        state = teams.approve_ahead(session, actor=keys.actor("bob"), team=PHARMACISTS, account_id=erin)
        assert state is State.APPROVED
        assert teams.decline(session, actor=keys.actor("bob"), team=PHARMACISTS, account_id=erin) is State.LEFT
        assert teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS) is State.WAITING
        with pytest.raises(Forbidden):
            teams.decline(session, actor=keys.actor("erin"), team=PHARMACISTS, account_id=world.accounts["bob"])
        assert teams.decline(session, actor=keys.actor("erin"), team=PHARMACISTS, account_id=erin) is State.LEFT


def test_a_disabled_member_is_without_access_at_once_and_flagged(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    bus = MemoryBus()
    with world.database.transaction() as session:
        ended = staff.disable(session, bus=bus, account_id=world.accounts["erin"])
        assert ended.teams == (PHARMACISTS,)
        assert teams.members(session, PHARMACISTS) == {world.accounts["bob"]}
    with world.database.reading() as session:
        found = teams.of_pharmacy(session, actor=keys.actor("bob"), pharmacy_id="riverside")[0]
    assert [(seat.name, seat.state, seat.flagged) for seat in found.seats if seat.flagged] == [
        ("Erin", State.LEAVING, True)
    ]
    assert keys.team(PHARMACISTS, "bob", "bob").left == (world.accounts["erin"],)


def test_another_role_takes_the_seat_and_comes_into_force_at_once(keys: Keys, world: World) -> None:
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    erin = world.accounts["erin"]
    with world.database.transaction() as session:
        with pytest.raises(BadInput):
            staff.change_role(session, bus=MemoryBus(), account_id=erin, role=Role.TECHNICIAN, pharmacy_id=None)
        with pytest.raises(NotFound):
            staff.change_role(session, bus=MemoryBus(), account_id=erin, role=Role.TECHNICIAN, pharmacy_id="x")
        staff.change_role(session, bus=MemoryBus(), account_id=erin, role=Role.TECHNICIAN, pharmacy_id="riverside")
        assert not teams.is_member(session, account_id=erin, team=PHARMACISTS)
        staff.enable(session, account_id=erin)
        assert staff.end_sessions(session, bus=MemoryBus(), account_id=erin) == 0
        with pytest.raises(NotFound):
            staff.end_sessions(session, bus=MemoryBus(), account_id="unknown")


def test_the_operator_lists_accounts_and_invites(world: World) -> None:
    with world.database.transaction() as session:
        rows = staff.accounts(session, pharmacy_id="riverside")
        assert {row.subject for row in rows} == {"bob", "erin", "frank", "grace", "heidi"}
        assert staff.find(session, "bob") == world.accounts["bob"] == staff.find(session, world.accounts["bob"])
        with pytest.raises(NotFound):
            staff.find(session, "zoe")
        twin = session.get(Account, world.accounts["erin"])
        assert twin is not None
        twin.issuer, twin.subject = "http://other.test", "bob"
        session.flush()
        with pytest.raises(BadInput):
            staff.find(session, "bob")
        assert len(staff.invite(session, pharmacy_id="riverside", fhir_id="pat").replace("-", "")) == 16
        with pytest.raises(NotFound):
            staff.invite(session, pharmacy_id="newtown", fhir_id="pat")
        connections.add(
            session, pharmacy_id="harbor", connection_id="harbor-ehr", base_url="https://ehr.test/", auth="none"
        )
        connection = connections.of_pharmacy(session, "harbor")
        assert connection is not None
        assert connection.base_url == "https://ehr.test"
        with pytest.raises(BadInput):
            connections.add(session, pharmacy_id="harbor", connection_id="x", base_url="ftp://x", auth="none")
        with pytest.raises(NotFound):
            connections.add(session, pharmacy_id="x", connection_id="x", base_url="https://x", auth="none")


def test_a_seat_can_only_do_what_the_table_says() -> None:
    assert LIFE.after(None, Event.LEAVE) is None
    assert LIFE.after(State.LEFT, Event.LEAVE) is None
    assert LIFE.after(State.LEAVING, Event.LISTED) is None
    assert LIFE.after(State.LEFT, Event.LISTED) is State.MEMBER
    # Every state can be reached, and none is a trap but for a seat that is left on purpose and can be asked for again.
    reached = {step.after for step in LIFE.steps}
    assert reached == set(State)
    assert {step.before for step in LIFE.steps} - {None} == set(State)
