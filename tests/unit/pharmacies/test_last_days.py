"""Erin is at Riverside for a while: what ends with her last day, and how somebody leaves all teams at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from world import NOBODY, RIVERSIDE, World, build
from world_keys import Keys

from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, NotSignedIn, PortalError, StepUpNeeded
from portal.identity import session_rows, sessions
from portal.identity.session_life import EndedBy, Proof
from portal.identity.session_life import State as SessionState
from portal.pharmacies import colleagues, last_days, profiles, staff, staff_invitations, teams
from portal.pharmacies.staff_invitations import Newcomer
from portal.pharmacies.tables import StaffInvitation
from portal.pharmacies.teams import State

PHARMACISTS = "riverside_pharmacists"
# Tuesday noon at Riverside.
NOON = datetime(2026, 11, 24, 18, tzinfo=UTC)
TUESDAY = date(2026, 11, 24)
MIDNIGHT = datetime(2026, 11, 25, 6, tzinfo=UTC)


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob", "erin", "grace")
    made.team(PHARMACISTS, "bob", "bob", "erin")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def set_day(world: World, day: date | None, whose: str = "erin", who: str = "bob", **more: Any) -> None:
    with world.database.transaction() as session:
        colleagues.set_last_day(
            session,
            actor=world.actor(who, **more),
            pharmacy_id="riverside",
            account_id=world.accounts[whose],
            day=day,
        )


def signed_in(world: World, name: str) -> str:
    with world.database.transaction() as session:
        actor = world.actor(name)
        _, current = sessions.begin(
            session, account_id=actor.account_id, role=actor.role.value, proof=Proof(clock.now(), None, (), None, None)
        )
    return current.ref


def test_from_the_day_after_there_is_no_session_and_no_seat(world: World) -> None:
    bus = MemoryBus()
    with clock.frozen(MIDNIGHT - timedelta(minutes=5)):
        set_day(world, TUESDAY)
        ref = signed_in(world, "erin")
        with world.database.reading() as session:
            current = session_rows.by_ref(session, ref)
        # No session outlives the day, and the browser knows until when.
        assert current is not None
        assert (current.state, current.ends_at, current.lock_at) == (SessionState.ACTIVE, MIDNIGHT, MIDNIGHT)
        assert staff.close_past(world.database, bus) == 0
        clock.shift(timedelta(minutes=5))
        heard = bus.subscribe(frozenset({f"account:{world.accounts['bob']}"}))
        with world.database.reading() as session:
            assert session_rows.state(session, ref) is SessionState.ENDED
            assert session_rows.states(session, [ref]) == {ref: SessionState.ENDED}
        with pytest.raises(NotSignedIn):
            world.actor("erin")
        assert staff.close_past(world.database, bus) == 1
        assert staff.close_past(world.database, bus) == 0
    with world.database.reading() as session:
        current = session_rows.by_ref(session, ref)
        assert current is not None
        assert current.ended_by is EndedBy.LAST_DAY
        # Bob's browser is told, sees her flagged, and makes the next generation.
        assert teams.seats_of(session, world.accounts["erin"]) == {PHARMACISTS: State.LEAVING}
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "staff.ended"))
        assert (row.account_id, row.entity_id, row.detail) == (None, world.accounts["erin"], {"teams": [PHARMACISTS]})
    told = heard.get(5)
    assert told is not None
    assert told["team"] == PHARMACISTS


def test_the_sweep_ends_a_session_that_nobody_asks_for(world: World) -> None:
    with clock.frozen(MIDNIGHT - timedelta(minutes=5)):
        set_day(world, TUESDAY)
        signed_in(world, "erin")
        signed_in(world, "bob")
        clock.shift(timedelta(minutes=5))
        assert sessions.sweep(world.database, MemoryBus()) == 1


@pytest.mark.parametrize("day", [TUESDAY + timedelta(days=7), None])
def test_a_day_that_is_moved_before_it_ends_ends_nothing(world: World, day: date | None) -> None:
    with clock.frozen(NOON):
        set_day(world, TUESDAY)
        set_day(world, day)
        clock.shift(timedelta(days=1))
        assert staff.close_past(world.database, MemoryBus()) == 0
        assert world.actor("erin").account_id
        with world.database.reading() as session:
            assert PHARMACISTS in teams.teams_of(session, world.accounts["erin"])


def test_a_day_that_is_moved_after_it_ended_lets_her_in_again_without_seats(world: World) -> None:
    with clock.frozen(NOON):
        set_day(world, TUESDAY)
        clock.shift(timedelta(days=1))
        staff.close_past(world.database, MemoryBus())
        set_day(world, TUESDAY + timedelta(days=7))
        assert world.actor("erin").account_id
        with world.database.reading() as session:
            assert teams.teams_of(session, world.accounts["erin"]) == frozenset()


def test_who_was_closed_by_hand_is_not_opened_by_a_later_day(world: World) -> None:
    with clock.frozen(NOON):
        set_day(world, TUESDAY)
        clock.shift(timedelta(days=1))
        staff.close_past(world.database, MemoryBus())
        with world.database.transaction() as session:
            staff.disable(session, bus=MemoryBus(), account_id=world.accounts["erin"])
        with pytest.raises(NotFound):
            set_day(world, None)
        # By hand she is let in for good.
        with world.database.transaction() as session:
            staff.enable(session, account_id=world.accounts["erin"])
        assert world.actor("erin").account_id
        with world.database.reading() as session:
            kept = session.get_one(Account, world.accounts["erin"])
            assert (kept.ends_at, kept.closed_by) == (None, None)


@pytest.mark.parametrize(
    ("who", "whose", "code"),
    [
        ("erin", "erin", "last-day-of-oneself"),
        ("grace", "erin", "staff-team-first"),
        ("frank", "erin", "staff-not-for-role"),
        ("bob", "grace", "staff-not-for-role"),
        ("bob", "carol", "not-found"),
        ("bob", "alice", "not-found"),
        ("carol", "erin", "not-found"),
        ("alice", "erin", "not-found"),
        ("ivan", "erin", "staff-by-the-pharmacy"),
    ],
)
def test_who_may_say_so_and_of_whom(world: World, who: str, whose: str, code: str) -> None:
    with pytest.raises(PortalError) as refused, clock.frozen(NOON):
        set_day(world, TUESDAY, whose, who)
    assert refused.value.code == code
    assert isinstance(refused.value, NotFound | Forbidden)


@pytest.mark.parametrize("day", [TUESDAY - timedelta(days=1), TUESDAY + timedelta(days=800)])
def test_a_day_that_cannot_be(world: World, day: date) -> None:
    with pytest.raises(BadInput), clock.frozen(NOON):
        set_day(world, day)


def test_it_asks_for_a_fresh_login(world: World) -> None:
    with pytest.raises(StepUpNeeded), clock.frozen(NOON):
        set_day(world, TUESDAY, auth_time=NOON - timedelta(minutes=6))


def test_the_day_is_one_of_the_pharmacys_zone(world: World) -> None:
    # In New York it is Wednesday already; at Riverside Tuesday is not over.
    with clock.frozen(MIDNIGHT - timedelta(minutes=30)):
        set_day(world, TUESDAY)
        with world.database.reading() as session:
            listed, _ = colleagues.everyone(session, actor=world.actor("bob"), pharmacy_id="riverside")
        assert {one.name: one.last_day for one in listed}["Erin"] == TUESDAY
    # A day of 25 hours ends at midnight too.
    assert last_days.end_of_day(date(2026, 11, 1), "America/Chicago") == datetime(2026, 11, 2, 6, tzinfo=UTC)


def test_everyone_is_listed_with_seats_and_who_decided(world: World) -> None:
    with world.database.transaction() as session:
        teams.ask(session, actor=world.actor("grace"), team="riverside_supervisors")
    with world.database.reading() as session:
        listed, names = colleagues.everyone(session, actor=world.actor("frank"), pharmacy_id="riverside")
    found = {one.name: one for one in listed}
    assert list(found) == ["Bob", "Erin", "Frank", "Grace", "Heidi"]
    (seat,) = found["Erin"].seats
    assert (seat.kind.value, seat.state, names[str(seat.decided_by)]) == ("pharmacists", State.MEMBER, "Bob")
    assert [one.state for one in found["Grace"].seats] == [State.WAITING]
    for who in ("carol", "alice"):
        with world.database.reading() as session, pytest.raises(NotFound):
            colleagues.everyone(session, actor=world.actor(who), pharmacy_id="riverside")


def test_leaving_gives_up_all_seats_at_once(keys: Keys, world: World) -> None:
    keys.team("riverside_desk", "bob", "bob", "erin")
    with world.database.transaction() as session:
        left = colleagues.leave_all(session, actor=keys.actor("erin"), pharmacy_id="riverside")
    assert left == {
        "riverside_desk": frozenset({world.accounts["bob"]}),
        PHARMACISTS: frozenset({world.accounts["bob"]}),
    }
    with world.database.reading() as session:
        assert set(teams.seats_of(session, world.accounts["erin"]).values()) == {State.LEAVING}


def test_who_is_alone_in_a_team_leaves_none(keys: Keys, world: World) -> None:
    keys.team("riverside_desk", "erin", "erin")
    with pytest.raises(Conflict) as refused, world.database.transaction() as session:
        colleagues.leave_all(session, actor=keys.actor("erin"), pharmacy_id="riverside")
    assert (refused.value.code, refused.value.extra["teams"]) == ("sole-member", ["riverside_desk"])
    with world.database.reading() as session:
        assert set(teams.seats_of(session, world.accounts["erin"]).values()) == {State.MEMBER}


def test_the_day_stays_the_day_when_the_pharmacy_moves_to_another_zone(world: World) -> None:
    with clock.frozen(NOON):
        set_day(world, TUESDAY)
        with world.database.transaction() as session:
            made = staff_invitations.invite(
                session,
                actor=world.actor("bob"),
                pharmacy_id="riverside",
                newcomer=Newcomer("oscar@example.org", "Oscar Bell", "pharmacist", last_day=TUESDAY),
            )
        with world.database.transaction() as session:
            profiles.change(session, agent=NOBODY, profile=replace(RIVERSIDE, time_zone="America/New_York"))
        with world.database.reading() as session:
            invited = session.get_one(StaffInvitation, made)
            ends = [session.get_one(Account, id).ends_at for id in (world.accounts["erin"], invited.account_id)]
            assert [*ends, invited.expires_at] == [MIDNIGHT - timedelta(hours=1)] * 3
            listed, _ = colleagues.everyone(session, actor=world.actor("bob"), pharmacy_id="riverside")
            assert {one.name: one.last_day for one in listed}["Erin"] == TUESDAY


def test_whose_last_day_leaves_a_team_with_nobody_is_told_before(keys: Keys, world: World) -> None:
    def alone() -> dict[str, list[str]]:
        with world.database.reading() as session:
            listed, _ = colleagues.everyone(session, actor=world.actor("bob"), pharmacy_id="riverside")
        return {one.name: [kind.value for kind in one.alone_in] for one in listed if one.alone_in}

    keys.enrol("frank")
    keys.team("riverside_desk", "frank", "frank")
    with clock.frozen(NOON):
        set_day(world, TUESDAY)
        assert alone() == {}
        set_day(world, TUESDAY + timedelta(days=1), "frank")
        set_day(world, TUESDAY + timedelta(days=1), "bob", "erin")
        # Bob stays a day longer than Erin, and then there is nobody.
        assert alone() == {"Bob": ["pharmacists"], "Frank": ["desk"]}
