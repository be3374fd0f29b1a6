"""Bob invites Oscar, a relief pharmacist, by mail: who may, what the mail says, and how an invitation ends."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from at_once import MANY, at_once, codes
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from world import World, add_account, build
from world_keys import Keys

from portal.accounts.roles import STAFF, Role
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, PortalError, StepUpNeeded, TooMany
from portal.notify.mail import Mail, MailDelayed, MailRefused
from portal.outbox import Runner, dead_letters
from portal.pharmacies import staff_invitations as invitations
from portal.pharmacies.staff_invitations import LIFE, Event, InvitationMail, Newcomer, State, state_of
from portal.pharmacies.tables import StaffInvitation
from portal.pharmacies.topics import TeamKind

OSCAR = Newcomer("Oscar@Example.org", "Oscar Bell", "pharmacist", teams=("pharmacists",))
PHARMACISTS = "riverside_pharmacists"


@pytest.fixture
def world(database: Database) -> World:
    """Bob has founded the pharmacists of Riverside."""
    keys = Keys(build(database))
    keys.enrol("bob", "grace")
    keys.team(PHARMACISTS, "bob", "bob")
    return keys.world


class Post:
    """A mail server: keeps what it is given, or fails as told."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.problem: Exception | None = None

    def send(self, mail: Mail) -> None:
        if self.problem is not None:
            raise self.problem
        self.sent.append(mail)


def invite(world: World, who: str = "bob", newcomer: Newcomer = OSCAR, pharmacy: str = "riverside", **more: Any) -> str:
    with world.database.transaction() as session:
        return invitations.invite(session, actor=world.actor(who, **more), pharmacy_id=pharmacy, newcomer=newcomer)


def act(world: World, what: Any, invitation_id: str, who: str = "bob", pharmacy: str = "riverside") -> None:
    with world.database.transaction() as session:
        what(session, actor=world.actor(who), pharmacy_id=pharmacy, invitation_id=invitation_id)


def row_of(world: World, invitation_id: str) -> StaffInvitation:
    with world.database.reading() as session:
        return session.get_one(StaffInvitation, invitation_id)


def deliver(world: World, post: Post) -> None:
    runner = Runner(world.database, {invitations.MAIL_JOB: InvitationMail(world.database, post, "http://localhost")})
    while runner.run_due():
        pass


def actions(world: World, entity_id: str) -> list[str]:
    with world.database.reading() as session:
        rows = select(AuditEvent.action).where(AuditEvent.entity_id == entity_id).order_by(AuditEvent.seq)
        return list(session.scalars(rows))


def test_the_mail_says_who_invites_where_and_until_when_and_holds_no_secret(world: World) -> None:
    post, made = Post(), invite(world)
    deliver(world, post)
    (mail,) = post.sent
    row = row_of(world, made)
    assert mail.to == row.mail == "oscar@example.org"
    for said in ("Bob", "Riverside Pharmacy", "http://localhost/login?next=/team", "(America/Chicago)"):
        assert said in mail.text
    for hidden in (row.id, row.account_id, "harmacist"):
        assert hidden not in mail.text + mail.subject
    assert row.mailed_at is not None
    assert actions(world, made) == ["staff.invited", "notice.sent"]


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("grace", "staff-team-first"),  # in charge, but in no team yet
        ("frank", "staff-not-for-role"),
        ("heidi", "staff-not-for-role"),
        ("ivan", "staff-by-the-pharmacy"),  # the pharmacy has its first team
        ("carol", "not-found"),
        ("alice", "not-found"),
    ],
)
def test_nobody_else_brings_people_in(world: World, who: str, code: str) -> None:
    with pytest.raises(PortalError) as refused:
        invite(world, who)
    assert refused.value.code == code
    made = invite(world)
    for what in (invitations.revoke, invitations.send_again):
        with pytest.raises((NotFound, Forbidden)):
            act(world, what, made, who)


def test_the_operator_brings_in_the_first_people_and_no_more(world: World) -> None:
    made = invite(world, "ivan", replace(OSCAR, teams=(), role="supervisor"), pharmacy="harbor")
    assert row_of(world, made).role == "supervisor"
    with pytest.raises(BadInput):  # nobody can say yes to a seat in a team that is not there
        invite(world, "ivan", replace(OSCAR, mail="else@example.org"), pharmacy="harbor")
    with pytest.raises(NotFound):
        invite(world, "ivan", pharmacy="atlantis")


def test_inviting_asks_for_a_fresh_login(world: World) -> None:
    with pytest.raises(StepUpNeeded):
        invite(world, auth_time=clock.now() - timedelta(minutes=6))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"mail": "oscar"}, "mail"),
        ({"mail": "оscar@example.org"}, "mail"),  # a Cyrillic о
        ({"mail": "os\u212aar@example.org"}, "mail"),  # the Kelvin sign, which is k when made small
        ({"mail": "a@example.org\nBcc: b@example.org"}, "mail"),
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "Os\ncar"}, "name"),
        ({"role": "patient"}, "role"),
        ({"role": "operator"}, "role"),
        ({"role": "supervisor"}, "role"),  # Grace is one already, so who is one decides
        ({"role": "technician"}, "teams"),  # pharmacists' team
        ({"teams": ("desk",)}, "teams"),  # Bob does not sit there
        ({"teams": ("nonsense",)}, "teams"),
        ({"last_day": date(2001, 1, 1)}, "last_day"),
        ({"last_day": date(2199, 1, 1)}, "last_day"),
        ({"language": "tlh"}, "language"),
    ],
)
def test_what_does_not_fit_is_named(world: World, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        invite(world, newcomer=replace(OSCAR, **wrong))
    assert refused.value.extra["field"] == field


def test_a_pharmacist_brings_in_the_first_supervisor_and_privacy_officer_only(world: World) -> None:
    with world.database.transaction() as session:
        add_account(session, "zoe", Role.PHARMACIST, "lake")
    with world.database.reading() as session:
        may = invitations.choices(session, actor=world.actor("bob"), pharmacy_id="riverside")
        assert set(may.teams) == {Role.PHARMACIST, Role.TECHNICIAN}
        assert may.teams[Role.PHARMACIST] == (TeamKind.PHARMACISTS,)
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["heidi"]).disabled_at = clock.now()
    invite(world, newcomer=replace(OSCAR, role="privacy", teams=()))
    with pytest.raises(BadInput):  # one is asked already
        invite(world, newcomer=replace(OSCAR, mail="two@example.org", role="privacy", teams=()))
    with world.database.reading() as session:
        assert set(invitations.choices(session, actor=world.actor("ivan"), pharmacy_id="harbor").teams) == STAFF


def test_one_invitation_is_open_for_a_mail_and_pharmacy(world: World) -> None:
    made = invite(world)
    with pytest.raises(Conflict) as refused:
        invite(world, newcomer=replace(OSCAR, mail=" OSCAR@example.org "))
    assert refused.value.code == "already-invited"
    act(world, invitations.revoke, made)
    again = invite(world)
    clock.shift(invitations.LIVES)
    assert state_of(row_of(world, again)) is State.EXPIRED
    assert invite(world) not in (made, again)
    with pytest.raises(Conflict) as refused:
        invite(world, newcomer=replace(OSCAR, mail="Erin@example.org"))
    assert refused.value.code == "works-here"


def test_two_who_invite_the_same_person_at_once_make_one_invitation(world: World) -> None:
    bob = world.actor("bob")
    ask = [lambda session: invitations.invite(session, actor=bob, pharmacy_id="riverside", newcomer=OSCAR)] * MANY
    assert codes(at_once(world.database, ask)) == ["already-invited"] * (MANY - 1)


def test_a_pharmacys_open_invitations_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_OPEN", 2)
    monkeypatch.setattr(invitations, "MOST_A_DAY", 3)
    one, _ = (invite(world, newcomer=replace(OSCAR, mail=f"{n}@example.org")) for n in "ab")
    with pytest.raises(TooMany):
        invite(world, newcomer=replace(OSCAR, mail="c@example.org"))
    act(world, invitations.revoke, one)
    act(world, invitations.revoke, invite(world, newcomer=replace(OSCAR, mail="c@example.org")))
    # Taking back makes no room for a fourth mail today.
    with pytest.raises(TooMany):
        invite(world, newcomer=replace(OSCAR, mail="d@example.org"))
    clock.shift(timedelta(days=1, seconds=1))
    invite(world, newcomer=replace(OSCAR, mail="d@example.org"))


def test_the_mail_is_sent_again_a_few_times_and_not_at_once(world: World) -> None:
    post = Post()
    with clock.frozen(clock.now()):
        made = invite(world)
        with pytest.raises(TooMany) as refused:
            act(world, invitations.send_again, made)
    assert refused.value.retry_after == 601
    for _ in range(invitations.MOST_MAILS - 1):
        deliver(world, post)
        clock.shift(invitations.BETWEEN_MAILS)
        act(world, invitations.send_again, made)
    deliver(world, post)
    assert len(post.sent) == invitations.MOST_MAILS
    clock.shift(invitations.BETWEEN_MAILS)
    with pytest.raises(TooMany):
        act(world, invitations.send_again, made)
    assert actions(world, made).count("staff.invited-again") == invitations.MOST_MAILS - 1


def test_a_mail_that_fails_says_so_and_can_be_sent_again_at_once(world: World) -> None:
    post, made = Post(), invite(world)
    post.problem = MailDelayed("ConnectionRefusedError")
    deliver(world, post)
    row = row_of(world, made)
    assert (row.failure, row.failed_at, row.mailed_at) == ("ConnectionRefusedError", None, None)
    clock.shift(timedelta(minutes=1))
    post.problem = MailRefused("recipient-550")
    deliver(world, post)
    row = row_of(world, made)
    assert row.failure == "recipient-550"
    assert row.failed_at is not None
    with world.database.reading() as session:
        assert [one.kind for one in dead_letters.find(session)] == [invitations.MAIL_JOB]
    post.problem = None
    act(world, invitations.send_again, made)
    deliver(world, post)
    row = row_of(world, made)
    assert (row.failure, row.failed_at, len(post.sent)) == (None, None, 1)


def test_a_mail_server_that_never_answers_ends_as_a_failure(world: World) -> None:
    post, made = Post(), invite(world)
    post.problem = MailDelayed("TimeoutError")
    for _ in range(16):
        deliver(world, post)
        clock.shift(timedelta(hours=2))
    assert row_of(world, made).failed_at is not None


def test_nothing_is_sent_for_an_invitation_that_was_taken_back(world: World) -> None:
    post, made = Post(), invite(world)
    act(world, invitations.revoke, made)
    deliver(world, post)
    assert post.sent == []
    for what in (invitations.revoke, invitations.send_again):
        with pytest.raises(Conflict):
            act(world, what, made)
    assert actions(world, made) == ["staff.invited", "staff.uninvited"]


def test_a_foreign_invitation_does_not_exist(world: World) -> None:
    made = invite(world)
    keys = Keys(world)
    keys.enrol("carol")
    keys.team("harbor_pharmacists", "carol", "carol")
    for id in (made, ids.random_id()):
        for what in (invitations.revoke, invitations.send_again):
            with pytest.raises(NotFound):
                act(world, what, id, "carol", "harbor")


def test_the_list_goes_on_where_it_stopped(world: World) -> None:
    made = []
    for number in range(5):
        clock.shift(timedelta(seconds=1))
        made.append(invite(world, newcomer=replace(OSCAR, mail=f"{number}@example.org")))
    seen: list[str] = []
    after = None
    with world.database.reading() as session:
        for count in (2, 2, 1):
            rows, after = invitations.unused(
                session, actor=world.actor("bob"), pharmacy_id="riverside", after=after, limit=2
            )
            assert len(rows) == count
            seen += [row.id for row in rows]
        assert after is None
        with pytest.raises(NotFound):
            invitations.unused(session, actor=world.actor("bob"), pharmacy_id="riverside", after="0" * 32)
    assert seen == made[::-1]


def test_addresses_of_people_who_never_came_are_forgotten(world: World) -> None:
    kept, gone = invite(world), invite(world, newcomer=replace(OSCAR, mail="b@example.org"))
    with world.database.transaction() as session:
        session.get_one(StaffInvitation, kept).used_at = clock.now()
    clock.shift(invitations.LIVES + invitations.KEPT_UNUSED - timedelta(hours=1))
    with world.database.transaction() as session:
        invitations.forget_unused(session)
        assert session.scalar(select(func.count()).select_from(StaffInvitation)) == 2
    clock.shift(timedelta(hours=1))
    with world.database.transaction() as session:
        invitations.forget_unused(session)
        assert list(session.scalars(select(StaffInvitation.id))) == [kept]
    assert gone != kept


@given(st.lists(st.sampled_from(list(Event))))
def test_whatever_happens_an_invitation_lets_in_once_at_most_and_never_after_its_end(events: list[Event]) -> None:
    state, came = LIFE.after(None, Event.INVITE), 0
    for event in events:
        assert state is not None
        after = LIFE.after(state, event)
        if after is not None:
            came += event is Event.COME
            assert state is State.OPEN
            state = after
    assert came <= 1
    assert {step.after for step in LIFE.steps} == set(State)
