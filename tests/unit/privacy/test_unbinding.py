"""Dave used Alice's card: Bob parts him from her at once, and her conversations, the record and Heidi hear of it."""

from datetime import date

import pytest
from sqlalchemy import select
from world import NOBODY, World, add_account, build
from world_keys import Keys
from world_threads import Threads, body

from portal.accounts import carers, invitations, patients, relations
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Account, PatientRecord
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Conflict, NotFound
from portal.e2ee.records import Role as RecordRole
from portal.identity import sessions
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care
from portal.privacy import unbinding
from portal.privacy.stopping import OFFICE_JOB
from portal.privacy.unbinding import Why
from portal.threads.tables import InboxRow, Thread

BORN = date(1974, 3, 9)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def threads(world: World) -> Threads:
    """Nora's record has no account yet; Quinn's account takes her card, and both sides write."""
    with world.database.transaction() as session:
        world.accounts["quinn"] = add_account(session, "quinn", Role.PATIENT)
        nora = patients.ensure(session, connection_id="riverside-ehr", fhir_id="nora")
        world.patients["nora"] = world.patients["quinn"] = nora.id
    redeem(world, "quinn", "riverside", "nora")
    keys = Keys(world)
    keys.enrol("quinn", "bob")
    keys.team("riverside_pharmacists", "bob", "bob")
    return Threads(keys)


def redeem(world: World, name: str, pharmacy: str, fhir_id: str) -> str:
    with world.database.transaction() as session:
        _, code = invitations.create(
            session, agent=NOBODY, pharmacy_id=pharmacy, connection_id=f"{pharmacy}-ehr", fhir_id=fhir_id
        )
    return invitations.redeem(
        world.database,
        actor=world.actor(name),
        code=code,
        birth_date=BORN,
        birth_date_from_ehr=lambda connection, fhir: BORN,
        also=lambda session, redeemed: care.start(
            session,
            agent=NOBODY,
            patient_id=redeemed.patient_id,
            pharmacy_id=redeemed.pharmacy_id,
            source=care.Source.INVITATION,
        ),
    ).patient_id


def undo(world: World, patient: str, account: str = "quinn", by: str = "bob") -> list[str]:
    with world.database.transaction() as session:
        told = unbinding.undo(
            session,
            actor=world.actor(by),
            bus=MemoryBus(),
            pharmacy_id="riverside",
            patient_id=world.patients[patient],
            account_id=world.accounts[account],
            why=Why.SOMEBODY_ELSE,
        )
        return [reader for one in told for reader in one.changes]


def rekeyed(threads: Threads, thread: str, text: str) -> None:
    """Bob's browser makes the epoch that was asked for, and sends."""
    writer = threads.writer("bob", thread)
    content, key = body(text)
    parties = [threads.party("quinn", RecordRole.PATIENT), threads.party("riverside_pharmacists", RecordRole.TEAM)]
    made = [writer.epoch(parties, clock.now_ms()), writer.message(content, clock.now_ms())]
    threads.post("bob", thread, made, key=key)


def test_the_wrong_account_loses_the_patient_at_once(threads: Threads, world: World) -> None:
    thread = threads.start("quinn", "quinn", "May I drive?").thread_id
    assert undo(world, "nora") == ["riverside_pharmacists"]
    assert world.actor("quinn").acting == ()
    with pytest.raises(NotFound):
        threads.fetch("quinn", thread)
    with world.database.reading() as session:
        assert (
            session.scalars(select(InboxRow.thread_id).where(InboxRow.reader_id == world.accounts["quinn"])).all() == []
        )
        assert sessions.own(session, world.accounts["quinn"]) == []
        row = session.get_one(Thread, thread)
        assert [member.get("undone") for member in row.members if member["id"] == world.accounts["quinn"]] == [True]


def test_the_next_epoch_gives_no_key_and_the_conversation_goes_on_saying_so(threads: Threads, world: World) -> None:
    thread = threads.start("quinn", "quinn", "May I drive?").thread_id
    undo(world, "nora")
    with pytest.raises(Conflict) as refused:
        threads.send("bob", thread, "Who are you?")
    assert refused.value.extra["ended"] == [world.accounts["quinn"]]
    rekeyed(threads, thread, "Who are you?")
    with world.database.reading() as session:
        (member,) = [one for one in session.get_one(Thread, thread).members if one["id"] == world.accounts["quinn"]]
    assert (member["ended"], member["undone"]) == (True, True)


def test_the_record_says_who_and_why_and_the_privacy_officer_is_told(threads: Threads, world: World) -> None:
    undo(world, "nora")
    with world.database.reading() as session:
        row = session.scalars(select(AuditEvent).where(AuditEvent.action == "relation.undone")).one()
        jobs = session.scalars(select(OutboxJob.payload).where(OutboxJob.kind == OFFICE_JOB)).all()
    assert (row.account_id, row.patient_id, row.entity_id, row.detail) == (
        world.accounts["bob"],
        world.patients["nora"],
        world.accounts["quinn"],
        {"why": "somebody-else"},
    )
    assert [(job["account"], job["what"]) for job in jobs] == [(world.accounts["heidi"], "somebody-unbound")]


def test_whom_the_wrong_person_has_brought_goes_too(threads: Threads, world: World) -> None:
    circumstances = carers.Circumstances(zone="UTC", of_age=18, born=None)
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["quinn"]).email_verified = True
        made, code = carers.invite(
            session,
            actor=world.actor("quinn"),
            patient_id=world.patients["nora"],
            newcomer=carers.Newcomer("Judy", None, "carer", "messages"),
            where=circumstances,
        )
    with world.database.transaction() as session:
        carers.accept(session, actor=world.actor("judy"), invitation_id=made, code=code)
    assert world.actor("judy").relation(world.patients["nora"]) is not None
    undo(world, "nora")
    assert world.actor("judy").relation(world.patients["nora"]) is None
    assert world.actor("judy").relation(world.patients["rosa"]) is not None


def test_the_way_back_is_a_new_invitation(threads: Threads, world: World) -> None:
    thread = threads.start("quinn", "quinn", "May I drive?").thread_id
    undo(world, "nora")
    assert redeem(world, "quinn", "riverside", "nora") == world.patients["nora"]
    # Old conversations open with the pharmacy's next message, which makes a new key for all.
    with pytest.raises(NotFound):
        threads.fetch("quinn", thread)
    with pytest.raises(Conflict) as refused:
        threads.send("bob", thread, "It was you after all")
    assert refused.value.extra["members"] == [world.accounts["quinn"]]
    rekeyed(threads, thread, "It was you after all")
    assert "It was you after all" in threads.texts("quinn", thread)


def test_who_took_a_card_beside_the_own_record_keeps_the_own_one(threads: Threads, world: World) -> None:
    with world.database.transaction() as session:
        world.accounts["olga"] = add_account(session, "olga", Role.PATIENT)
        own = patients.ensure(session, connection_id="harbor-ehr", fhir_id="olga")
        relations.bind(session, agent=NOBODY, account_id=world.accounts["olga"], patient_id=own.id, kind=Kind.SELF)
        world.patients["olga"] = own.id
    assert redeem(world, "olga", "riverside", "nadia") == world.patients["olga"]
    undo(world, "olga", "olga", by="frank")
    assert world.actor("olga").relation(world.patients["olga"]) is not None
    with world.database.reading() as session:
        records = session.scalars(
            select(PatientRecord.connection_id).where(PatientRecord.patient_id == world.patients["olga"])
        ).all()
        assert records == ["harbor-ehr"]
        assert not care.in_care(session, patient_id=world.patients["olga"], pharmacy_id="riverside")


@pytest.mark.parametrize("by", ["carol", "alice", "ivan"])
def test_nobody_else_parts_anybody(threads: Threads, world: World, by: str) -> None:
    with pytest.raises(NotFound):
        undo(world, "nora", by=by)
    with pytest.raises(NotFound):
        undo(world, "nora", account="dave")
    assert world.actor("quinn").relation(world.patients["nora"]) is not None
