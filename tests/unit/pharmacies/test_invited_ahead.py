"""Oscar has only been invited by mail. Bob lets him in before he has ever signed in; until he comes he is nobody."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from at_once import at_once
from first_logins import comes, oscar_says
from sqlalchemy import select
from test_let_in_ahead import Handed, hand_over, made_for, take_over
from world import HARBOR, NOBODY, World, build
from world_keys import Keys

from portal.accounts import ahead, names, recovery, signing_in
from portal.accounts.roles import Role
from portal.accounts.signing_in import SignIn
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Conflict, Forbidden, NotFound, NotSignedIn, PortalError, Unprocessable
from portal.e2ee.open import open_team
from portal.identity.errors import LoginRefused
from portal.pharmacies import checklist, colleagues, profiles, staff, staff_invitations, team_records, teams
from portal.pharmacies.checklist import Step
from portal.pharmacies.staff_invitations import Newcomer
from portal.pharmacies.tables import StaffInvitation
from portal.pharmacies.teams import Seat, State

PHARMACISTS = "riverside_pharmacists"
OSCAR = Newcomer("oscar@example.org", "Oscar Bell", "pharmacist", teams=("pharmacists",))


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob")
    made.team(PHARMACISTS, "bob", "bob")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


@pytest.fixture
def invitation(world: World) -> str:
    return invite(world)


def invite(world: World, newcomer: Newcomer = OSCAR, who: str = "bob", pharmacy: str = "riverside") -> str:
    """Invite Oscar; from here on the world knows the row that waits for him."""
    with world.database.transaction() as session:
        made = staff_invitations.invite(session, actor=world.actor(who), pharmacy_id=pharmacy, newcomer=newcomer)
        world.accounts["oscar"] = session.get_one(StaffInvitation, made).account_id
    return made


def revoke(world: World, invitation_id: str) -> list[str]:
    with world.database.transaction() as session:
        return staff_invitations.revoke(
            session, actor=world.actor("bob"), pharmacy_id="riverside", invitation_id=invitation_id
        )


def let_in(keys: Keys) -> Handed:
    handed = made_for(keys.world, "oscar")
    hand_over(keys, handed)
    keys.team(PHARMACISTS, "bob", "bob", "oscar")
    return handed


def come(world: World) -> SignIn:
    with world.database.transaction() as session:
        return comes(session, oscar_says())


def seat_of(keys: Keys) -> Seat:
    with keys.world.database.reading() as session:
        found = teams.of_pharmacy(session, actor=keys.world.actor("bob"), pharmacy_id="riverside")
    return next(seat for team in found for seat in team.seats if seat.account == keys.world.accounts["oscar"])


def account(world: World) -> Account:
    with world.database.reading() as session:
        return session.get_one(Account, world.accounts["oscar"])


def test_oscar_who_was_only_invited_reads_at_once(keys: Keys, world: World, invitation: str) -> None:
    seat = seat_of(keys)
    assert (seat.name, seat.state, seat.has_keys, seat.flagged) == ("Oscar Bell", State.APPROVED, False, False)
    handed = let_in(keys)
    seat = seat_of(keys)
    assert (seat.state, seat.has_keys, seat.flagged) == (State.MEMBER, True, False)
    came = come(world)
    assert (came.account_id, came.created) == (world.accounts["oscar"], True)
    own = take_over(keys, handed, "oscar")
    with world.database.reading() as session:
        records = team_records.chains(session, [PHARMACISTS])[PHARMACISTS]
        assert set(open_team(records, own.id, [key.seed for key in own.keys])) == {1, 2}
    row = account(world)
    assert (row.issuer, row.subject, row.disabled_at, row.closed_by) == ("http://idp.test", "oscar", None, None)
    assert (row.display_name, row.email, row.ends_at) == ("Oscar Bell, RPh", "oscar@example.org", None)
    assert seat_of(keys).ahead is None
    # The second login is an ordinary one.
    assert come(world) == SignIn(row.id, Role.PHARMACIST, created=False)


def test_until_oscar_comes_he_is_nobody(keys: Keys, world: World, invitation: str) -> None:
    let_in(keys)
    oscar = world.accounts["oscar"]
    with pytest.raises(NotSignedIn):
        world.actor("oscar")
    row = account(world)
    assert (row.email, row.email_verified, row.last_login_at) == (None, False, None)
    bob, bus = world.actor("bob"), MemoryBus()
    by_hand: list[Callable[[Any], object]] = [
        lambda session: staff.find(session, oscar),
        lambda session: staff.find(session, row.subject),
        lambda session: staff.enable(session, account_id=oscar),
        lambda session: staff.disable(session, bus=bus, account_id=oscar),
        lambda session: staff.end_sessions(session, bus=bus, account_id=oscar),
        lambda session: staff.change_role(
            session, bus=bus, account_id=oscar, role=Role.SUPERVISOR, pharmacy_id="riverside"
        ),
        lambda session: colleagues.set_last_day(
            session, actor=bob, pharmacy_id="riverside", account_id=oscar, day=None
        ),
    ]
    for act in by_hand:
        with world.database.transaction() as session, pytest.raises(NotFound):
            act(session)
    with world.database.reading() as session:
        assert oscar not in {one.id for one in staff.accounts(session)}
        assert oscar not in {one.id for one in names.staff_of(session, "riverside")}
        people, _ = colleagues.everyone(session, actor=bob, pharmacy_id="riverside")
        assert oscar not in {one.account for one in people}
        assert signing_in.find(session, issuer="http://idp.test", subject=row.subject) is None
        # He is not who keeps the team's key from being lost.
        (pharmacists, *_) = teams.of_pharmacy(session, actor=bob, pharmacy_id="riverside")
        assert pharmacists.sole_member
    assert staff.close_past(world.database, bus) == 0
    with world.database.transaction() as session, pytest.raises(Conflict) as refused:
        colleagues.leave_all(session, actor=keys.actor("bob"), pharmacy_id="riverside")
    assert (refused.value.code, refused.value.extra) == ("sole-member", {"teams": [PHARMACISTS]})


def test_whoever_is_only_invited_does_not_make_a_pharmacy_staffed(world: World) -> None:
    with world.database.transaction() as session:
        profiles.create(session, agent=NOBODY, profile=replace(HARBOR, id="lake", name="Lake Pharmacy"))
    invite(world, replace(OSCAR, teams=()), "ivan", "lake")

    def staffed() -> bool:
        with world.database.reading() as session:
            return next(one.done for one in checklist.of(session, "lake") if one.step is Step.STAFF)

    assert not staffed()
    come(world)
    assert staffed()


def test_an_invitation_that_is_taken_back_takes_keys_and_seat_along(keys: Keys, world: World, invitation: str) -> None:
    let_in(keys)
    assert revoke(world, invitation) == [PHARMACISTS]
    seat = seat_of(keys)
    assert (seat.state, seat.flagged) == (State.LEAVING, True)
    with world.database.reading() as session:
        assert recovery.ways(session, world.accounts["oscar"]) == []
        assert ahead.waiting(session, [world.accounts["oscar"]])[world.accounts["oscar"]].ends_at <= clock.now()
    with pytest.raises(LoginRefused) as refused:
        come(world)
    assert refused.value.code == "login-no-role"
    with pytest.raises(Unprocessable) as unlisted:
        keys.team(PHARMACISTS, "bob", "bob", "oscar")
    assert unlisted.value.code == "member-leaves"
    keys.teams[PHARMACISTS].pop()
    assert keys.team(PHARMACISTS, "bob", "bob").left == (world.accounts["oscar"],)
    # Nobody makes new keys for the closed row; who is invited anew has another one.
    with pytest.raises(NotFound):
        hand_over(keys, made_for(world, "oscar"))
    before = world.accounts["oscar"]
    invite(world)
    assert world.accounts["oscar"] != before
    let_in(keys)
    assert come(world).account_id == world.accounts["oscar"]


def test_when_its_time_is_over_nobody_has_to_look_for_it_to_be_so(keys: Keys, world: World, invitation: str) -> None:
    let_in(keys)
    bus = MemoryBus()
    heard = bus.subscribe(frozenset({f"account:{world.accounts['bob']}"}))
    clock.shift(staff_invitations.LIVES)
    assert seat_of(keys).flagged
    with pytest.raises(LoginRefused):
        come(world)
    with pytest.raises(Unprocessable):
        keys.team(PHARMACISTS, "bob", "bob", "oscar")
    assert staff.close_uninvited(world.database, bus) == 1
    assert staff.close_uninvited(world.database, bus) == 0
    assert seat_of(keys).state is State.LEAVING
    told = heard.get(5)
    assert told is not None
    assert told["team"] == PHARMACISTS
    with world.database.reading() as session:
        (noted,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "staff.uninvited"))
        assert (noted.account_id, noted.detail["expired"]) == (None, True)


def test_keys_made_ahead_end_with_the_invitation(keys: Keys, world: World, invitation: str) -> None:
    with world.database.reading() as session:
        until = session.get_one(StaffInvitation, invitation).expires_at
    clock.shift(timedelta(days=10))
    let_in(keys)
    made = seat_of(keys).ahead
    assert made is not None
    assert made.ends_at == until


def test_who_closes_bobs_account_hears_of_the_team_that_oscar_was_in(keys: Keys, world: World, invitation: str) -> None:
    keys.enrol("erin")
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    hand_over(keys, made_for(world, "oscar"))
    keys.team(PHARMACISTS, "bob", "bob", "erin", "oscar")
    with world.database.transaction() as session:
        ended = staff.disable(session, bus=MemoryBus(), account_id=world.accounts["bob"])
    assert ended.teams == (PHARMACISTS,)
    with world.database.reading() as session:
        assert teams.seats_of(session, world.accounts["oscar"]) == {PHARMACISTS: State.LEAVING}


def test_the_login_without_the_code_decides_nothing_in_the_team(keys: Keys, world: World, invitation: str) -> None:
    """Somebody signs in as Oscar who does not have the paper: a seat that nobody has taken gives no say."""
    let_in(keys)
    come(world)
    with world.database.transaction() as session:
        teams.ask(session, actor=world.actor("erin"), team=PHARMACISTS)
    acts: list[Callable[[Any], object]] = [
        lambda session: staff_invitations.invite(
            session,
            actor=world.actor("oscar"),
            pharmacy_id="riverside",
            newcomer=replace(OSCAR, mail="friend@example.org"),
        ),
        lambda session: colleagues.set_last_day(
            session,
            actor=world.actor("oscar"),
            pharmacy_id="riverside",
            account_id=world.accounts["bob"],
            day=clock.now().date(),
        ),
        lambda session: teams.approve_ahead(
            session, actor=world.actor("oscar"), team=PHARMACISTS, account_id=world.accounts["erin"]
        ),
        lambda session: teams.decline(
            session, actor=world.actor("oscar"), team=PHARMACISTS, account_id=world.accounts["erin"]
        ),
    ]
    for act in acts:
        with world.database.transaction() as session, pytest.raises(Forbidden) as refused:
            act(session)
        assert refused.value.code in {"staff-team-first", "not-in-team"}


def test_coming_and_being_taken_back_at_once_ends_in_one_of_the_two(keys: Keys, world: World, invitation: str) -> None:
    let_in(keys)
    bob = world.actor("bob")
    outcomes = at_once(
        world.database,
        [
            lambda session: comes(session, oscar_says()),
            lambda session: staff_invitations.revoke(
                session, actor=bob, pharmacy_id="riverside", invitation_id=invitation
            ),
        ],
    )
    came, gone = outcomes
    seats = {PHARMACISTS: State.MEMBER if isinstance(came, SignIn) else State.LEAVING}
    assert isinstance(came, SignIn) == isinstance(gone, PortalError)
    assert (account(world).disabled_at is None) == isinstance(came, SignIn)
    with world.database.reading() as session:
        assert teams.seats_of(session, world.accounts["oscar"]) == seats


def test_how_each_of_those_invited_can_be_let_in_is_told(keys: Keys, world: World, invitation: str) -> None:
    def ways(who: str) -> list[tuple[str | None, bool]]:
        with world.database.reading() as session:
            rows = list(session.scalars(select(StaffInvitation)))
            found = staff_invitations.ways_in(session, actor=world.actor(who), rows=rows)
        return [(way.team, way.made is not None) for way in found.values()]

    assert ways("bob") == [(PHARMACISTS, False)]
    assert ways("grace") == [(None, False)]
    let_in(keys)
    assert ways("bob") == [(PHARMACISTS, True)]
    revoke(world, invitation)
    assert ways("bob") == []


@pytest.mark.parametrize(("keyed", "kept"), [(False, (0, 0)), (True, (1, 0))])
def test_of_who_never_came_nothing_is_kept_but_what_signed_records_name(
    keys: Keys, world: World, invitation: str, keyed: bool, kept: tuple[int, int]
) -> None:
    if keyed:
        let_in(keys)
    revoke(world, invitation)
    clock.shift(staff_invitations.KEPT_UNUSED + timedelta(hours=1))
    with world.database.transaction() as session:
        staff_invitations.forget_unused(session)
    with world.database.reading() as session:
        rows = session.scalars(select(Account).where(Account.id == world.accounts["oscar"])).all()
        assert (len(rows), len(session.scalars(select(StaffInvitation)).all())) == kept
