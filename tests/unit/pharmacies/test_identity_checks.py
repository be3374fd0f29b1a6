"""How a pharmacy makes sure who started again: who may say so, who hears of a wait, who says no."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from world import NOBODY, World, build
from world_keys import Keys

from portal.accounts import relations
from portal.accounts.roles import Scope
from portal.accounts.tables import Account, Device
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Conflict, Forbidden, NotFound, StepUpNeeded
from portal.notify.mail import Mail
from portal.outbox import Job
from portal.outbox.tables import OutboxJob
from portal.pharmacies import identity_checks
from portal.pharmacies.identity_checks import Check, How, IdentityNotice, State
from portal.pharmacies.tables import IdentityCheck
from portal.privacy import stopping


@pytest.fixture
def keys(database: Database) -> Keys:
    """Rosa, whose daughter Judy acts for her, has started again. Bob, Heidi and Carol sit in their teams."""
    made = Keys(build(database))
    made.enrol("rosa", "judy", "bob", "heidi", "carol")
    for team, name in (
        ("riverside_pharmacists", "bob"),
        ("riverside_privacy", "heidi"),
        ("harbor_pharmacists", "carol"),
    ):
        made.team(team, name, name)
    made.start_again("rosa")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


def make(world: World, by: str, how: How, name: str = "rosa", auth_time: datetime | None = None) -> Check:
    """Said at the browser that has the person's keys, where there are any."""
    with world.database.transaction() as session:
        device = session.scalar(
            select(Device.id).where(Device.account_id == world.accounts[by]).order_by(Device.created_at.desc())
        )
        actor = world.actor(by, device_id=device, auth_time=auth_time)
        return identity_checks.make(session, actor=actor, account_id=world.accounts[name], how=how)


def of(world: World, by: str) -> Check | None:
    with world.database.reading() as session:
        return identity_checks.of(session, actor=world.actor(by), account_id=world.accounts["rosa"])


def link(world: World) -> str:
    with world.database.reading() as session:
        return str(session.scalar(select(IdentityCheck.objection).where(IdentityCheck.objection.is_not(None))))


def say_no(world: World, objection: str) -> None:
    with world.database.transaction() as session:
        identity_checks.object_to(session, objection=objection, address="192.0.2.9", request_id="r")


def mails(world: World) -> list[Mail]:
    """What the notices of the outbox send now."""
    sent: list[Mail] = []

    class Postbox:
        def send(self, mail: Mail) -> None:
            sent.append(mail)

    with world.database.reading() as session:
        rows = session.scalars(select(OutboxJob).where(OutboxJob.kind == identity_checks.NOTICE_JOB))
        jobs = [Job(row.id, row.kind, row.payload, None, 1, clock.now()) for row in rows]
    for job in jobs:
        IdentityNotice(world.database, Postbox(), "https://portal.test")(job)
    return sent


@pytest.mark.parametrize("how", [How.IN_PERSON, How.CALL_BACK])
def test_seen_or_called_back_it_is_said_how_and_stands_on_rosas_page(world: World, how: How) -> None:
    assert of(world, "bob") is None
    assert make(world, "bob", how) == Check(State.PASSED, how, None)
    assert of(world, "heidi") == Check(State.PASSED, how, None)
    assert mails(world) == []
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "identity.checked"))
    assert (row.patient_id, row.account_id) == (world.patients["rosa"], world.accounts["bob"])
    assert row.detail == {"how": how.value, "gen": 2}


def test_only_who_may_vouch_at_a_pharmacy_that_cares_for_her_says_so(world: World) -> None:
    for name in ("frank", "grace", "ivan", "rosa", "judy"):
        with pytest.raises(Forbidden):
            make(world, name, How.IN_PERSON)
    with pytest.raises(NotFound):
        make(world, "carol", How.IN_PERSON)
    with pytest.raises(NotFound):
        make(world, "bob", How.IN_PERSON, "judy")
    make(world, "heidi", How.IN_PERSON)


def test_who_says_so_has_signed_in_just_now(world: World) -> None:
    for how in How:
        with pytest.raises(StepUpNeeded):
            make(world, "bob", how, auth_time=clock.now() - timedelta(minutes=6))
    assert of(world, "bob") is None
    # Who may not say so at all is not sent to sign in first.
    cold = world.actor("frank", auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(Forbidden), world.database.transaction() as session:
        identity_checks.make(session, actor=cold, account_id=world.accounts["rosa"], how=How.IN_PERSON)


@pytest.mark.parametrize("how", How)
def test_a_stolen_login_of_the_pharmacist_vouches_for_nobody(world: World, keys: Keys, how: How) -> None:
    with pytest.raises(Forbidden) as refused, world.database.transaction() as session:
        identity_checks.make(session, actor=world.actor("bob"), account_id=world.accounts["rosa"], how=how)
    assert refused.value.code == "device-needed"
    # Whoever has the login of a colleague who has no keys yet, or begins the pharmacist's keys anew with it.
    with pytest.raises(Forbidden) as refused:
        make(world, "erin", how)
    assert refused.value.code == "not-in-team"
    keys.enrol("erin")
    # The only one of the team keeps the seat.
    keys.start_again("bob")
    for name in ("erin", "bob"):
        with pytest.raises(Forbidden) as refused:
            make(world, name, how)
        assert refused.value.code == "not-in-team"
    assert of(world, "heidi") is None


def test_who_is_stopped_vouches_for_nobody(world: World) -> None:
    with world.database.transaction() as session:
        stopping.press(session, actor=world.actor("bob"), bus=MemoryBus())
    with pytest.raises(Forbidden) as refused:
        make(world, "bob", How.IN_PERSON)
    assert refused.value.code == "keys-stopped"


def test_all_who_knew_her_hear_of_the_wait_at_the_address_before_too(world: World) -> None:
    with world.database.transaction() as session:
        rosa = session.get_one(Account, world.accounts["rosa"])
        rosa.earlier_email, rosa.email_changed_at = "rosa.before@example.org", clock.now()
    made = make(world, "bob", How.WAITED)
    assert made.state is State.WAITING
    sent = mails(world)
    assert {mail.to for mail in sent} == {"rosa@example.org", "rosa.before@example.org", "judy@example.org"}
    for mail in sent:
        assert f"https://portal.test/objection/{link(world)}" in mail.text.split("\n")
        assert "rosa" not in mail.text.lower()
    # Asking again sends nothing again and moves nothing.
    assert make(world, "heidi", How.WAITED) == made
    assert len(mails(world)) == len(sent)


def test_the_daughters_page_shows_it_too_and_nobody_elses(world: World) -> None:
    make(world, "bob", How.WAITED)
    with world.database.reading() as session:
        for name, count in (("judy", 1), ("rosa", 1), ("dave", 0)):
            assert len(identity_checks.waiting_for(session, actor=world.actor(name))) == count
    say_no(world, link(world))
    with world.database.reading() as session:
        assert identity_checks.waiting_for(session, actor=world.actor("judy")) == []
    assert mails(world) == []


def test_who_looks_after_rosas_orders_alone_gets_no_link_but_for_the_own_keys(world: World, keys: Keys) -> None:
    with world.database.transaction() as session:
        (relation,) = relations.live(session, account_id=world.accounts["judy"])
        relations.change(session, agent=NOBODY, relation=relation, scope=Scope.ORDERS, until=None)
    make(world, "bob", How.WAITED)
    with world.database.reading() as session:
        assert identity_checks.waiting_for(session, actor=world.actor("judy")) == []
    keys.start_again("judy")
    make(world, "bob", How.WAITED, "judy")
    with world.database.reading() as session:
        assert len(identity_checks.waiting_for(session, actor=world.actor("judy"))) == 1


def test_a_no_is_on_record_also_when_rosa_acts_for_nobody_any_more(world: World) -> None:
    make(world, "bob", How.WAITED)
    with world.database.transaction() as session:
        for one in relations.live(session, account_id=world.accounts["rosa"]):
            relations.end(session, agent=NOBODY, relation_id=one.id)
    say_no(world, link(world))
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "identity.objected"))
    assert (row.patient_id, row.pharmacy_id, row.entity_id) == (None, "riverside", world.accounts["rosa"])


def test_a_no_stops_it_once_and_is_late_after_the_day(world: World) -> None:
    make(world, "bob", How.WAITED)
    objection = link(world)
    with pytest.raises(NotFound):
        say_no(world, "x" * 43)
    with clock.at(clock.now() + timedelta(hours=24, seconds=1)):
        with pytest.raises(Conflict) as refused:
            say_no(world, objection)
        assert refused.value.code == "check-over"
        assert mails(world) == []
    say_no(world, objection)
    say_no(world, objection)
    assert state_of(world) is State.OBJECTED
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "identity.objected"))
    assert row.account_id is None
    assert make(world, "bob", How.CALL_BACK).state is State.PASSED
    assert of(world, "bob") == Check(State.PASSED, How.CALL_BACK, None)


def state_of(world: World) -> State:
    found = of(world, "bob")
    assert found is not None
    return found.state


def test_a_carer_who_lost_all_is_made_sure_of_as_a_patient_is(world: World, keys: Keys) -> None:
    keys.start_again("judy")
    assert make(world, "bob", How.CALL_BACK, "judy").state is State.PASSED
    # Rosa's own new keys are another matter: nothing is said of them.
    assert of(world, "bob") is None


def test_each_pharmacy_makes_sure_for_itself(world: World, keys: Keys) -> None:
    keys.enrol("dave")
    keys.start_again("dave")
    make(world, "bob", How.IN_PERSON, "dave")
    with world.database.reading() as session:
        at_harbor = identity_checks.of(session, actor=world.actor("carol"), account_id=world.accounts["dave"])
    assert at_harbor is None
