"""Who hears of a stop, whose sessions end, and who may end it: staff who have made sure who somebody is."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from world import World, build

from portal.accounts import carer_invitations, carers, stops
from portal.accounts.roles import Role
from portal.accounts.stops import Check
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Forbidden, NotFound, StepUpNeeded, Unprocessable
from portal.identity import session_life, session_rows, sessions
from portal.identity.session_life import Proof
from portal.notify.mail import Mail
from portal.outbox import Job
from portal.outbox.tables import OutboxJob
from portal.privacy import stopping


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def login(world: World, name: str) -> str:
    with world.database.transaction() as session:
        _, current = sessions.begin(
            session, account_id=world.accounts[name], role="patient", proof=Proof(clock.now(), None, (), None, None)
        )
    return current.ref


def press(world: World, name: str) -> None:
    with world.database.transaction() as session:
        stopping.press(session, actor=world.actor(name), bus=MemoryBus())


def end(world: World, by: str, name: str, check: Check = Check.CALL_BACK) -> None:
    with world.database.transaction() as session:
        stopping.end(session, actor=world.actor(by), account_id=world.accounts[name], check=check)


def seen(world: World, by: str) -> list[str]:
    with world.database.reading() as session:
        return [one.name for one in stopping.waiting(session, actor=world.actor(by))]


def told(world: World, kind: str) -> set[str]:
    with world.database.reading() as session:
        jobs = session.scalars(select(OutboxJob).where(OutboxJob.kind == kind))
        by_id = {id: name for name, id in world.accounts.items()}
        return {by_id[job.payload["account"]] for job in jobs}


def test_all_of_alices_sessions_end_and_nobody_elses(world: World) -> None:
    hers, his = [login(world, "alice"), login(world, "alice")], login(world, "dave")
    press(world, "alice")
    with world.database.reading() as session:
        assert {session_rows.state(session, ref) for ref in hers} == {session_life.State.ENDED}
        assert session_rows.state(session, his) is session_life.State.ACTIVE


def test_whom_a_thief_asked_to_help_in_her_name_is_not_asked_any_more_when_the_stop_has_ended(world: World) -> None:
    with world.database.transaction() as session:
        made, code = carer_invitations.invite(
            session,
            actor=world.actor("alice"),
            patient_id=world.patients["alice"],
            newcomer=carer_invitations.Newcomer("Mallory", None, "carer", "messages"),
            where=carers.Circumstances(zone="UTC", of_age=18, born=None),
        )
    press(world, "alice")
    end(world, "bob", "alice")
    with pytest.raises(Unprocessable) as refused, world.database.transaction() as session:
        carer_invitations.accept(session, actor=world.actor("judy"), invitation_id=made, code=code)
    assert refused.value.code == "carer-code"
    with world.database.reading() as session:
        (row,) = carer_invitations.invited(session, actor=world.actor("alice"), patient_id=world.patients["alice"])
        assert carer_invitations.state_of(row) is carer_invitations.State.REVOKED
        uninvited = select(AuditEvent.patient_id).where(AuditEvent.action == "carer.uninvited")
        assert list(session.scalars(uninvited)) == [world.patients["alice"]]


def test_her_pharmacys_privacy_officer_and_she_herself_are_told(world: World) -> None:
    press(world, "alice")
    assert told(world, stopping.OFFICE_JOB) == {"heidi"}
    assert told(world, "notice.keys") == {"alice"}


def test_where_nobody_is_privacy_officer_the_pharmacists_are_told_and_never_who_pressed_it(world: World) -> None:
    with world.database.transaction() as session:
        for account in session.scalars(select(Account).where(Account.role.in_((Role.PRIVACY, Role.SUPERVISOR)))):
            account.disabled_at = clock.now()
    press(world, "alice")
    pharmacists = told(world, stopping.OFFICE_JOB)
    assert "bob" in pharmacists
    assert "carol" not in pharmacists
    press(world, "bob")
    with world.database.reading() as session:
        jobs = session.scalars(select(OutboxJob).where(OutboxJob.kind == stopping.OFFICE_JOB))
        assert [job.payload["account"] for job in jobs].count(world.accounts["bob"]) == 1


def test_who_is_stopped_too_is_not_told_and_where_nobody_is_left_that_is_said(world: World) -> None:
    press(world, "heidi")
    press(world, "alice")
    # Heidi's stop went to Grace, and so does Alice's: Heidi may end nothing now.
    assert told(world, stopping.OFFICE_JOB) == {"grace"}
    with world.database.transaction() as session:
        everybody = select(Account).where(Account.pharmacy_id == "riverside", Account.id != world.accounts["bob"])
        for account in session.scalars(everybody):
            account.disabled_at = clock.now()
    with world.database.transaction() as session:
        assert stopping.press(session, actor=world.actor("bob"), bus=MemoryBus()) == ({}, False)


@pytest.mark.parametrize(
    ("what", "place"),
    [("somebody-stopped", "/stops"), ("somebody-unbound", "/privacy-office?action=relation.undone")],
)
def test_the_officers_mail_names_nobody(world: World, what: str, place: str) -> None:
    sent: list[Mail] = []

    class Postbox:
        def send(self, mail: Mail) -> None:
            sent.append(mail)

    payload = {"account": world.accounts["heidi"], "at": "2026-11-22T09:30:00+00:00", "what": what}
    job = Job("job1", stopping.OFFICE_JOB, payload, None, 1, clock.now())
    stopping.OfficeNotice(world.database, Postbox(), "https://portal.test")(job)
    (mail,) = sent
    assert mail.to == "heidi@example.org"
    assert f"https://portal.test/login?next={place}" in mail.text.split("\n")
    assert "alice" not in mail.text.lower()


def test_staff_of_a_pharmacy_that_works_with_her_end_it_and_it_is_on_record_how(world: World) -> None:
    press(world, "alice")
    assert seen(world, "bob") == seen(world, "heidi") == seen(world, "grace") == ["Alice"]
    assert seen(world, "carol") == []
    with pytest.raises(NotFound):
        end(world, "carol", "alice")
    with pytest.raises(Forbidden):
        end(world, "frank", "alice")
    end(world, "bob", "alice")
    with world.database.reading() as session:
        assert stops.standing(session, world.accounts["alice"]) is None
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "key.stop-ended"))
    assert row.detail == {"check": "call-back"}
    assert row.patient_id == world.patients["alice"]
    with pytest.raises(NotFound):
        end(world, "bob", "alice")


def test_it_takes_a_fresh_login_and_nobody_ends_the_own(world: World) -> None:
    press(world, "bob")
    late = replace(world.actor("erin"), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded), world.database.transaction() as session:
        stopping.end(session, actor=late, account_id=world.accounts["bob"], check=Check.IN_PERSON)
    assert seen(world, "bob") == []
    with pytest.raises(NotFound):
        end(world, "bob", "bob")
    end(world, "erin", "bob", Check.IN_PERSON)


def test_patients_and_the_operator_see_no_list(world: World) -> None:
    for name in ("alice", "ivan", "frank"):
        with pytest.raises(Forbidden):
            seen(world, name)


def test_whoever_is_shown_as_stopped_is_on_record(world: World) -> None:
    press(world, "alice")
    with world.database.transaction() as session:
        assert [one.name for one in stopping.show(session, actor=world.actor("bob"))] == ["Alice"]
    with world.database.reading() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.looked-up"))
    assert (row.account_id, row.entity_id, row.patient_id) == (
        world.accounts["bob"],
        world.accounts["alice"],
        world.patients["alice"],
    )
