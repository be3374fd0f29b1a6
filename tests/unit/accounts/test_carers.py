"""Alice invites Judy to help her: by a code or by mail, in a scope, until a day; and ends it again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from at_once import at_once, codes
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from world import World, build

from portal.accounts import carer_invitations, carers, relations, stops
from portal.accounts.carer_invitations import LIFE, Event, InvitationMail, Newcomer, State, state_of
from portal.accounts.carers import CarerNotice, Circumstances
from portal.accounts.roles import Kind, Scope
from portal.accounts.tables import Account, CarerInvitation, NoticeChoice
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, TooMany, Unprocessable
from portal.notify.mail import Mail
from portal.notify.one_tap import OneTap
from portal.outbox import Runner

JUDY = Newcomer("Judy", None, "carer", "refills")
BY_MAIL = replace(JUDY, mail="Judy@Example.org")
HERE = Circumstances(zone="America/Chicago", of_age=18, born=None)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


class Post:
    """A mail server that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []

    def send(self, mail: Mail) -> None:
        self.sent.append(mail)


def deliver(world: World) -> list[Mail]:
    post = Post()
    handlers = {
        carer_invitations.MAIL_JOB: InvitationMail(world.database, post, "http://localhost"),
        carers.NOTICE_JOB: CarerNotice(
            world.database, post, "http://localhost", OneTap(["k" * 32], "http://localhost")
        ),
    }
    while Runner(world.database, handlers).run_due():
        pass
    return post.sent


def actions(database: Database, *, patient_id: str) -> list[str]:
    with database.reading() as session:
        rows = select(AuditEvent.action).where(AuditEvent.patient_id == patient_id).order_by(AuditEvent.seq)
        return list(session.scalars(rows))


def invite(
    world: World, newcomer: Newcomer = JUDY, who: str = "alice", where: Circumstances = HERE, **more: Any
) -> tuple[str, str | None]:
    with world.database.transaction() as session:
        return carer_invitations.invite(
            session, actor=world.actor(who, **more), patient_id=world.patients["alice"], newcomer=newcomer, where=where
        )


def send_again(world: World, invitation_id: str) -> str | None:
    with world.database.transaction() as session:
        return carer_invitations.send_again(session, actor=world.actor("alice"), invitation_id=invitation_id)


def accept(world: World, made: tuple[str, str | None], who: str = "judy") -> str:
    with world.database.transaction() as session:
        return carer_invitations.accept(session, actor=world.actor(who), invitation_id=made[0], code=made[1]).id


def row_of(world: World, invitation_id: str) -> CarerInvitation:
    with world.database.reading() as session:
        return session.get_one(CarerInvitation, invitation_id)


def mail_of(world: World, name: str, address: str, *, verified: bool = True) -> None:
    with world.database.transaction() as session:
        account = session.get_one(Account, world.accounts[name])
        account.email, account.email_verified = address, verified


def scope_of(world: World, name: str = "judy") -> str | None:
    relation = world.actor(name).relation(world.patients["alice"])
    return relation.scope if relation is not None else None


def change(world: World, relation_id: str, scope: str, last_day: date | None = None, **more: Any) -> None:
    with world.database.transaction() as session:
        carers.change(
            session,
            actor=world.actor("alice", **more),
            relation_id=relation_id,
            scope=scope,
            last_day=last_day,
            where=HERE,
        )


def test_judy_takes_up_what_the_code_says_and_both_are_told_without_content(world: World) -> None:
    mail_of(world, "judy", "judy@example.org")
    mail_of(world, "alice", "alice@example.org")
    made = invite(world)
    assert deliver(world) == []
    with world.database.reading() as session:
        offer = carer_invitations.offered(session, actor=world.actor("judy"), code=str(made[1]).lower())
    assert (offer.scope, offer.ends_at) == ("refills", None)
    assert scope_of(world) is None
    accept(world, made)
    assert scope_of(world) == "refills"
    told = deliver(world)
    assert sorted(mail.to for mail in told) == ["alice@example.org", "judy@example.org"]
    for mail in told:
        for hidden in ("Alice", "Judy", "refill", made[0], world.patients["alice"]):
            assert hidden not in mail.text + mail.subject
    assert actions(world.database, patient_id=world.patients["alice"])[-3:] == [
        "carer.invited",
        "relation.bound",
        "carer.accepted",
    ]


def test_a_code_works_once_and_only_its_hash_is_kept(world: World) -> None:
    made = invite(world)
    assert made[1] is not None
    row = row_of(world, made[0])
    assert made[1] not in str({column.name: getattr(row, column.name) for column in row.__table__.columns})
    accept(world, made)
    for who in ("judy", "dave"):
        with pytest.raises(Unprocessable) as refused:
            accept(world, made, who)
        assert refused.value.code == "carer-code"


@pytest.mark.parametrize(
    ("address", "verified", "fits"),
    [
        ("judy@example.org", True, True),
        ("JUDY@EXAMPLE.ORG", True, True),
        ("judy@example.org", False, False),
        ("judy+x@example.org", True, False),
        ("judy@example.org.evil.test", True, False),
        ("jud\u0443@example.org", True, False),  # a Cyrillic letter that looks like a y
    ],
)
def test_a_mail_is_taken_up_by_exactly_that_verified_address(
    world: World, address: str, verified: bool, fits: bool
) -> None:
    made = invite(world, BY_MAIL)
    assert made[1] is None
    mail_of(world, "judy", address, verified=verified)
    with world.database.reading() as session:
        assert [one.id for one in carer_invitations.offers(session, actor=world.actor("judy"))] == [made[0]] * fits
    if fits:
        accept(world, made)
        assert scope_of(world) == "refills"
    else:
        with pytest.raises(Unprocessable):
            accept(world, made)


def test_the_mail_does_not_say_who_invites_and_holds_no_secret(world: World) -> None:
    made = invite(world, BY_MAIL)
    (mail,) = deliver(world)
    assert mail.to == "judy@example.org"
    assert "http://localhost/login?next=/carers" in mail.text
    for hidden in ("Alice", "alice", "Judy", "refill", made[0]):
        assert hidden not in mail.text.replace("judy@example.org", "") + mail.subject


@pytest.mark.parametrize("who", ["dave", "judy", "bob", "heidi", "ivan"])
def test_nobody_else_invites_looks_changes_or_ends(world: World, who: str) -> None:
    with pytest.raises(NotFound):
        invite(world, who=who)
    made = invite(world)
    relation = accept(world, made)
    again = invite(world)
    alice = world.patients["alice"]
    for act in (
        lambda session, actor: carers.acting(session, actor=actor, patient_id=alice),
        lambda session, actor: carer_invitations.invited(session, actor=actor, patient_id=alice),
        lambda session, actor: carer_invitations.revoke(session, actor=actor, invitation_id=again[0]),
        lambda session, actor: carer_invitations.send_again(session, actor=actor, invitation_id=again[0]),
        lambda session, actor: carers.end(session, actor=actor, relation_id=relation),
    ):
        with world.database.transaction() as session, pytest.raises(NotFound):
            act(session, world.actor(who))
    assert scope_of(world) == "refills"


def test_staff_take_up_nothing_and_nobody_takes_up_the_own_invitation(world: World) -> None:
    made = invite(world)
    for who, error in (("bob", Forbidden), ("alice", Unprocessable)):
        with world.database.transaction() as session, pytest.raises(error):
            carer_invitations.accept(session, actor=world.actor(who), invitation_id=made[0], code=made[1])


def test_a_carer_does_not_let_in_another_one(world: World) -> None:
    accept(world, invite(world, replace(JUDY, scope="messages")))
    with pytest.raises(NotFound):
        invite(world, who="judy")


def test_more_asks_for_a_fresh_login_and_less_does_not(world: World) -> None:
    old = {"auth_time": clock.now() - timedelta(minutes=6)}
    with pytest.raises(StepUpNeeded):
        invite(world, **old)
    relation = accept(world, invite(world))
    with pytest.raises(StepUpNeeded):
        change(world, relation, "messages", **old)
    change(world, relation, "orders", **old)
    assert scope_of(world) == "orders"
    change(world, relation, "messages")
    assert scope_of(world) == "messages"
    assert actions(world.database, patient_id=world.patients["alice"])[-2:] == ["relation.changed"] * 2
    with pytest.raises(BadInput):
        change(world, relation, "all")
    with world.database.transaction() as session:
        carers.end(session, actor=world.actor("alice", **old), relation_id=relation)
    assert scope_of(world) is None
    with pytest.raises(NotFound):
        change(world, relation, "orders")


def test_who_pressed_the_emergency_stop_gives_nobody_more(world: World) -> None:
    relation = accept(world, invite(world))
    waiting = invite(world)
    with world.database.transaction() as session:
        stops.press(session, actor=world.actor("alice"))
    for act in (
        lambda: invite(world),
        lambda: change(world, relation, "messages"),
        lambda: send_again(world, waiting[0]),
    ):
        with pytest.raises(Forbidden) as refused:
            act()
        assert refused.value.code == "keys-stopped"
    change(world, relation, "orders")
    assert scope_of(world) == "orders"


def stop(world: World) -> None:
    with world.database.transaction() as session:
        stops.press(session, actor=world.actor("alice"))


def close_account(world: World) -> None:
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["alice"]).disabled_at = clock.now()


def part_from_the_patient(world: World) -> None:
    with world.database.transaction() as session:
        for one in relations.live(session, account_id=world.accounts["alice"]):
            relations.end(session, agent=world.actor("alice").agent, relation_id=one.id)


@pytest.mark.parametrize("happened", [stop, close_account, part_from_the_patient])
@pytest.mark.parametrize("newcomer", [JUDY, BY_MAIL])
def test_what_a_thief_offered_in_alices_name_opens_nothing_once_her_account_does_not_stand_for_it(
    world: World, newcomer: Newcomer, happened: Callable[[World], None]
) -> None:
    mail_of(world, "judy", "judy@example.org")
    made = invite(world, newcomer)
    happened(world)
    judy = world.actor("judy")
    acts: list[Callable[[Session], object]] = [
        partial(carer_invitations.accept, actor=judy, invitation_id=made[0], code=made[1]),
        partial(carer_invitations.decline, actor=judy, invitation_id=made[0], code=made[1]),
        partial(carer_invitations.offered, actor=judy, code=str(made[1])),
    ]
    for act in acts:
        with pytest.raises(Unprocessable) as refused, world.database.transaction() as session:
            act(session)
        assert refused.value.code == "carer-code"
    with world.database.reading() as session:
        assert carer_invitations.offers(session, actor=judy) == []
    assert scope_of(world) is None


def test_no_mail_goes_out_for_an_offer_that_opens_nothing(world: World) -> None:
    invite(world, BY_MAIL)
    close_account(world)
    assert deliver(world) == []


def test_a_code_typed_while_alice_presses_the_stop_comes_before_it_or_not_at_all(world: World) -> None:
    made = invite(world)
    found = at_once(
        world.database,
        [
            partial(stops.press, actor=world.actor("alice")),
            partial(carer_invitations.accept, actor=world.actor("judy"), invitation_id=made[0], code=made[1]),
        ],
    )
    assert codes(found) == ([] if scope_of(world) == "refills" else ["carer-code"])


def test_an_access_ends_with_its_last_day_and_both_are_warned_a_month_before(world: World) -> None:
    mail_of(world, "judy", "judy@example.org")
    mail_of(world, "alice", "alice@example.org")
    day = clock.now().date() + timedelta(days=60)
    relation = accept(world, invite(world, replace(JUDY, last_day=day)))
    deliver(world)
    with world.database.transaction() as session:
        assert carers.warn_of_ends(session) == 0
    clock.shift(timedelta(days=31, hours=12))
    with world.database.transaction() as session:
        assert carers.warn_of_ends(session) == 1
    with world.database.transaction() as session:
        assert carers.warn_of_ends(session) == 0
    told = deliver(world)
    assert sorted(mail.to for mail in told) == ["alice@example.org", "judy@example.org"]
    assert {mail.subject for mail in told} == {"Someone's help ends soon"}
    clock.shift(timedelta(days=30))
    assert scope_of(world) is None
    assert relation


def test_the_reminder_can_be_stopped_and_waits_for_the_end_of_quiet_hours(world: World) -> None:
    mail_of(world, "judy", "judy@example.org")
    mail_of(world, "alice", "alice@example.org")
    day = (clock.now() + timedelta(days=60)).date()
    accept(world, invite(world, replace(JUDY, last_day=day)))
    deliver(world)
    with world.database.transaction() as session:
        session.add(NoticeChoice(account_id=world.accounts["judy"], kind="reminder", channel="mail", wanted=False))
        alice = session.get_one(Account, world.accounts["alice"])
        now = clock.now()
        alice.time_zone = "UTC"
        alice.quiet_from = f"{now - timedelta(minutes=1):%H:%M}"
        alice.quiet_until = f"{now + timedelta(minutes=30):%H:%M}"
    clock.shift(timedelta(days=32))
    with world.database.transaction() as session:
        assert carers.warn_of_ends(session) == 1
    assert deliver(world) == []
    clock.shift(timedelta(minutes=31))
    (reminder,) = deliver(world)
    assert (reminder.to, reminder.stop is not None) == ("alice@example.org", True)
    assert str(reminder.stop) in reminder.text


def test_a_parents_access_ends_on_the_birthday_that_the_setting_names_and_no_later_day_moves_it(world: World) -> None:
    born = date(clock.now().year - 15, 3, 9)
    child = replace(HERE, born=born)
    parent = replace(JUDY, kind="parent", last_day=None)
    made = invite(world, parent, where=child)
    row = row_of(world, made[0])
    assert (row.by_age, row.ends_at) == (True, carers.comes_of_age(born, 18, "America/Chicago").astimezone(UTC))
    accept(world, made)
    late = invite(world, replace(parent, last_day=date(clock.now().year + 5, 1, 1)), where=child)
    assert row_of(world, late[0]).ends_at == row.ends_at
    early = invite(world, replace(parent, last_day=clock.now().date()), where=child)
    assert row_of(world, early[0]).by_age is False
    grown_up = invite(world, parent, where=replace(HERE, born=date(1974, 3, 9)))
    assert row_of(world, grown_up[0]).ends_at is None
    with pytest.raises(Unprocessable) as refused:
        invite(world, parent)
    assert refused.value.code == "carer-birth-date"


def test_who_is_born_on_a_leap_day_comes_of_age_on_the_first_of_march() -> None:
    assert carers.comes_of_age(date(2008, 2, 29), 18, "UTC") == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_new_code_ends_the_one_before_and_wakes_an_invitation_that_ran_out(world: World) -> None:
    made = invite(world)
    clock.shift(timedelta(days=15))
    assert state_of(row_of(world, made[0])) is State.EXPIRED
    with pytest.raises(Unprocessable):
        accept(world, made)
    with world.database.transaction() as session:
        code = carer_invitations.send_again(session, actor=world.actor("alice"), invitation_id=made[0])
    with pytest.raises(Unprocessable):
        accept(world, made)
    accept(world, (made[0], code))
    assert state_of(row_of(world, made[0])) is State.ACCEPTED


def test_a_mail_is_sent_again_not_too_soon_and_not_too_often(world: World) -> None:
    made = invite(world, BY_MAIL)
    for tried in range(4):
        with world.database.transaction() as session, pytest.raises(TooMany):
            carer_invitations.send_again(session, actor=world.actor("alice"), invitation_id=made[0])
        clock.shift(timedelta(minutes=11))
        if tried < 3:
            with world.database.transaction() as session:
                carer_invitations.send_again(session, actor=world.actor("alice"), invitation_id=made[0])
    with pytest.raises(Conflict):
        invite(world, BY_MAIL)


def test_declined_and_taken_back_are_over(world: World) -> None:
    no, back = invite(world), invite(world)
    with world.database.transaction() as session:
        carer_invitations.decline(session, actor=world.actor("judy"), invitation_id=no[0], code=no[1])
    with world.database.transaction() as session:
        carer_invitations.revoke(session, actor=world.actor("alice"), invitation_id=back[0])
    for made in (no, back):
        with pytest.raises(Unprocessable):
            accept(world, made)
        with world.database.transaction() as session, pytest.raises(Conflict):
            carer_invitations.revoke(session, actor=world.actor("alice"), invitation_id=made[0])
    with world.database.reading() as session:
        rows = carer_invitations.invited(session, actor=world.actor("alice"), patient_id=world.patients["alice"])
        assert {state_of(row) for row in rows} == {State.DECLINED, State.REVOKED}


def test_who_never_came_is_forgotten_a_month_after_the_end(world: World) -> None:
    used, unused = invite(world), invite(world, BY_MAIL)
    accept(world, used)
    clock.shift(timedelta(days=14 + 29))
    with world.database.transaction() as session:
        carer_invitations.forget_unused(session)
    assert row_of(world, unused[0]).mail
    clock.shift(timedelta(days=2))
    with world.database.transaction() as session:
        carer_invitations.forget_unused(session)
        assert [row.id for row in session.scalars(select(CarerInvitation))] == [used[0]]


def test_judy_stops_helping_by_herself_and_nobody_stops_being_oneself(world: World) -> None:
    accept(world, invite(world))
    alice = world.patients["alice"]
    with world.database.transaction() as session:
        carers.give_up(session, actor=world.actor("judy"), patient_id=alice)
    assert scope_of(world) is None
    for who in ("judy", "alice"):
        with world.database.transaction() as session, pytest.raises(NotFound):
            carers.give_up(session, actor=world.actor(who), patient_id=alice)


def test_alice_does_not_end_herself_as_if_she_were_a_carer(world: World) -> None:
    with world.database.reading() as session:
        (own,) = relations.live(session, account_id=world.accounts["alice"])
    with world.database.transaction() as session, pytest.raises(NotFound):
        carers.end(session, actor=world.actor("alice"), relation_id=own.id)


def test_bounds_hold_when_many_invitations_are_made(world: World) -> None:
    for _ in range(carer_invitations.MOST_OPEN):
        invite(world)
    with pytest.raises(TooMany):
        invite(world)


def test_of_many_who_type_the_code_at_once_one_comes_in(world: World) -> None:
    made = invite(world)
    actors = [world.actor(name) for name in ("judy", "dave", "rosa", "judy")]
    found = at_once(
        world.database,
        [partial(carer_invitations.accept, actor=actor, invitation_id=made[0], code=made[1]) for actor in actors],
    )
    assert codes(found) == ["carer-code"] * 3
    with world.database.reading() as session:
        assert len(relations.live(session, patient_id=world.patients["alice"])) == 2


@given(st.lists(st.sampled_from([event for event in Event if event is not Event.INVITE]), max_size=6))
def test_an_invitation_is_accepted_at_most_once_whatever_happens(events: list[Event]) -> None:
    state: State | None = State.OPEN
    accepted = 0
    for event in events:
        after = LIFE.after(state, event)
        if after is None:
            continue
        accepted += after is State.ACCEPTED
        state = after
    assert accepted <= 1
    assert (state is State.ACCEPTED) == bool(accepted)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "a" * 121}),
        ("mail", {"mail": "judy"}),
        ("kind", {"kind": "self"}),
        ("scope", {"scope": "all"}),
        ("last_day", {"last_day": date(2020, 1, 1)}),
    ],
)
def test_what_is_missing_or_wrong_is_named(world: World, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refused:
        invite(world, replace(JUDY, **wrong))
    assert refused.value.extra["field"] == field


def test_the_rows_of_an_invitation_are_about_alice(world: World) -> None:
    made = invite(world)
    accept(world, made)
    with world.database.reading() as session:
        row = session.scalars(select(CarerInvitation)).one()
        assert (row.used_by, row.scope) == (world.accounts["judy"], Scope.REFILLS)
        (bound,) = [
            one
            for one in relations.live(session, patient_id=world.patients["alice"])
            if one.account_id == world.accounts["judy"]
        ]
        assert bound.kind == Kind.CARER
