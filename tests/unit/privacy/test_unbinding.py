"""Dave used Alice's card: Bob parts him from her at once, and her conversations, the record and Heidi hear of it."""

from collections.abc import Callable
from datetime import UTC, date

import pytest
from at_once import at_once, codes
from sqlalchemy import select
from sqlalchemy.orm import Session
from world import NOBODY, World, add_account, build
from world_keys import Keys
from world_threads import Threads, body

from portal.accounts import carer_invitations, carers, invitations, patients, relations
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Account, PatientRecord
from portal.audit.queries import Filters
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import Conflict, NotFound
from portal.e2ee.records import Role as RecordRole
from portal.e2ee.seal import begin_thread
from portal.identity import session_rows
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care
from portal.pharmacies.topics import Topic
from portal.privacy import record, unbinding
from portal.privacy.stopping import OFFICE_JOB
from portal.privacy.unbinding import Why
from portal.threads import inbox, joining, posting, sharing
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


def undo(world: World, patient: str, account: str = "quinn", by: str = "bob", at: str = "riverside") -> list[str]:
    with world.database.transaction() as session:
        return undoing(world, patient, account, by, at)(session)


def undoing(
    world: World, patient: str, account: str, by: str = "bob", at: str = "riverside"
) -> Callable[[Session], list[str]]:
    actor = world.actor(by)

    def act(session: Session) -> list[str]:
        told = unbinding.undo(
            session,
            actor=actor,
            bus=MemoryBus(),
            pharmacy_id=at,
            patient_id=world.patients[patient],
            account_id=world.accounts[account],
            why=Why.SOMEBODY_ELSE,
        )
        return [reader for one in told for reader in one.changes]

    return act


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
        assert session_rows.own(session, world.accounts["quinn"]) == []
        row = session.get_one(Thread, thread)
        assert [member.get("undone") for member in row.members if member["id"] == world.accounts["quinn"]] == [True]


def test_pressed_by_several_at_once_it_is_done_once(threads: Threads, world: World) -> None:
    outcomes = at_once(world.database, [undoing(world, "nora", "quinn", by) for by in ("bob", "erin", "frank")])
    assert codes(outcomes) == ["not-found", "not-found"]
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "relation.undone")).all()
    assert len(rows) == 1


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
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["quinn"]).email_verified = True
    judy_helps(world, "quinn", "nora")
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


def olga_takes_nadias_card(world: World) -> None:
    """Olga has the own record of Harbor, and takes Riverside's card of Nadia."""
    with world.database.transaction() as session:
        world.accounts["olga"] = add_account(session, "olga", Role.PATIENT)
        own = patients.ensure(session, connection_id="harbor-ehr", fhir_id="olga")
        relations.bind(session, agent=NOBODY, account_id=world.accounts["olga"], patient_id=own.id, kind=Kind.SELF)
        world.patients["olga"] = own.id
    assert redeem(world, "olga", "riverside", "nadia") == world.patients["olga"]


def test_who_took_a_card_beside_the_own_record_keeps_the_own_one(threads: Threads, world: World) -> None:
    olga_takes_nadias_card(world)
    undo(world, "olga", "olga", by="frank")
    assert world.actor("olga").relation(world.patients["olga"]) is not None
    with world.database.reading() as session:
        records = session.scalars(
            select(PatientRecord.connection_id).where(PatientRecord.patient_id == world.patients["olga"])
        ).all()
        assert records == ["harbor-ehr"]
        assert not care.in_care(session, patient_id=world.patients["olga"], pharmacy_id="riverside")


@pytest.fixture
def mixed(threads: Threads, world: World) -> Threads:
    """Quinn, who has Nora's record of Riverside, brings the own one of Harbor: both lie in one patient."""
    threads.keys.enrol("carol")
    threads.keys.team("harbor_pharmacists", "carol", "carol")
    assert redeem(world, "quinn", "harbor", "quinn") == world.patients["nora"]
    return threads


def acting(world: World, name: str) -> list[str]:
    return [one.patient_id for one in world.actor(name).acting]


def records_of(world: World, patient_id: str) -> list[tuple[str, str]]:
    with world.database.reading() as session:
        found = select(PatientRecord.connection_id, PatientRecord.fhir_id).where(PatientRecord.patient_id == patient_id)
        return sorted(tuple(row) for row in session.execute(found))


def cared_by(world: World, patient_id: str) -> list[str]:
    with world.database.reading() as session:
        return care.pharmacies_of(session, [patient_id])[patient_id]


def listed(threads: Threads, name: str) -> list[tuple[str, str | None]]:
    """The conversations in somebody's inboxes, with what their patient is called."""
    with threads.world.database.transaction() as session:
        page = inbox.page(session, actor=threads.keys.actor(name), reader=None, pharmacy_id=None, after=None)
    return sorted((head.thread.id, head.patient_name) for head in page.items)


def let_in(threads: Threads, thread: str) -> dict[str, tuple[tuple[str, str], ...]]:
    with threads.world.database.reading() as session:
        return joining.joinable(session, [session.get_one(Thread, thread)])


def shares(threads: Threads, by: str, *whose: str) -> set[str]:
    """Those whose keys somebody is shown for the sake of common conversations."""
    accounts = threads.world.accounts
    with threads.world.database.reading() as session:
        found = sharing.who_shares(session, threads.keys.actor(by), frozenset(accounts[name] for name in whose))
    return {name for name in whose if accounts[name] in found}


def comes_in(world: World, name: str, fhir_id: str) -> str:
    """Somebody new takes Riverside's card."""
    with world.database.transaction() as session:
        world.accounts[name] = add_account(session, name, Role.PATIENT)
    world.patients[name] = redeem(world, name, "riverside", fhir_id)
    return world.patients[name]


def judy_helps(world: World, name: str, patient: str) -> None:
    circumstances = carers.Circumstances(zone="UTC", of_age=18, born=None)
    with world.database.transaction() as session:
        made, code = carer_invitations.invite(
            session,
            actor=world.actor(name),
            patient_id=world.patients[patient],
            newcomer=carer_invitations.Newcomer("Judy", None, "carer", "messages"),
            where=circumstances,
        )
    with world.database.transaction() as session:
        carer_invitations.accept(session, actor=world.actor("judy"), invitation_id=made, code=code)


def judy_begins(threads: Threads, text: str) -> str:
    """A conversation that the helper begins before the person has keys."""
    parties = [threads.party("judy", RecordRole.PROXY), threads.party("riverside_pharmacists", RecordRole.TEAM)]
    content, key = body(text)
    device = threads.keys.people["judy"].device
    writer, made = begin_thread(device, parties, content, Topic.MEDICINE.value, clock.now_ms())
    patient_id = threads.world.patients["olga"]
    birth = posting.Birth(writer.state.thread, "riverside", patient_id, Topic.MEDICINE)
    with threads.world.database.transaction() as session:
        sealed = [record.to_json() for record in made]
        actor = threads.keys.actor("judy")
        return posting.start_thread(session, actor=actor, birth=birth, sealed=sealed, key=key, urgent=False).thread_id


def test_what_the_wrong_person_brought_of_another_pharmacy_goes_along(mixed: Threads, world: World) -> None:
    """Riverside's card was the wrong one, and Harbor's, which came later, the own: the right Nora reads none of it."""
    about_nora = mixed.start("quinn", "quinn", "May I drive?").thread_id
    own = mixed.start("quinn", "quinn", "My own tablets", pharmacy="harbor").thread_id
    undo(world, "nora")
    (mine,) = acting(world, "quinn")
    assert mine != world.patients["nora"]
    assert (records_of(world, mine), cared_by(world, mine)) == ([("harbor-ehr", "quinn")], ["harbor"])
    assert records_of(world, world.patients["nora"]) == [("riverside-ehr", "nora")]
    assert cared_by(world, world.patients["nora"]) == ["riverside"]
    # The own conversation goes on under the same keys, from both sides.
    assert [thread for thread, _ in listed(mixed, "quinn")] == [own]
    mixed.send("carol", own, "Two a day")
    mixed.send("quinn", own, "Thanks")
    assert mixed.texts("quinn", own) == ["My own tablets", "Two a day", "Thanks"]
    assert listed(mixed, "carol") == [(own, "Quinn")]

    assert comes_in(world, "nora", "nora") == world.patients["nora"]
    mixed.keys.enrol("nora")
    assert listed(mixed, "nora") == []
    for thread in (own, about_nora):
        with pytest.raises(NotFound):
            mixed.fetch("nora", thread)
        assert let_in(mixed, thread) == {}
    with world.database.reading() as session:
        history = care.history(session, [world.patients["nora"]])[world.patients["nora"]]
    assert [one.pharmacy_id for one in history] == ["riverside"]


def test_the_own_record_can_be_undone_as_well_and_the_wrong_one_given_back(mixed: Threads, world: World) -> None:
    undo(world, "nora")
    (world.patients["mine"],) = acting(world, "quinn")
    undo(world, "mine", by="carol", at="harbor")
    assert acting(world, "quinn") == []
    assert records_of(world, world.patients["mine"]) == [("harbor-ehr", "quinn")]
    assert redeem(world, "quinn", "riverside", "nora") == world.patients["nora"]
    assert redeem(world, "quinn", "harbor", "quinn") == world.patients["mine"]


def test_a_pharmacy_that_the_wrong_person_only_wrote_to_goes_along(threads: Threads, world: World) -> None:
    threads.keys.enrol("carol")
    threads.keys.team("harbor_pharmacists", "carol", "carol")
    own = threads.start("quinn", "quinn", "Do you open today?", pharmacy="harbor").thread_id
    waiting = threads.start("carol", "quinn", "For you alone", pharmacy="harbor", with_patient=False).thread_id
    undo(world, "nora")
    (mine,) = acting(world, "quinn")
    assert (records_of(world, mine), cared_by(world, mine)) == ([], ["harbor"])
    assert cared_by(world, world.patients["nora"]) == ["riverside"]
    comes_in(world, "nora", "nora")
    threads.keys.enrol("nora")
    for thread in (own, waiting):
        with pytest.raises(NotFound):
            threads.fetch("nora", thread)
        assert world.accounts["nora"] not in {one for one, _ in let_in(threads, thread).get(thread, ())}
    assert threads.texts("quinn", own) == ["Do you open today?"]


@pytest.fixture
def beside(threads: Threads, world: World) -> Threads:
    """Olga has the own record of Harbor, and takes Riverside's card of Nadia; Judy helps her."""
    olga_takes_nadias_card(world)
    judy_helps(world, "olga", "olga")
    threads.keys.enrol("judy")
    return threads


def riversides(world: World) -> str:
    """The patient under whom Nadia's record lies now."""
    with world.database.reading() as session:
        known = patients.known_as(session, connection_id="riverside-ehr", fhir_id="nadia")
        assert known is not None
        return known.id


def test_the_wrong_record_beside_the_own_one_gets_a_patient_of_its_own(beside: Threads, world: World) -> None:
    beside.keys.enrol("olga")
    thread = beside.start("bob", "olga", "You may drive").thread_id
    undo(world, "olga", "olga")
    apart = riversides(world)
    assert apart != world.patients["olga"]
    assert acting(world, "olga") == [world.patients["olga"]]
    assert (records_of(world, apart), cared_by(world, apart)) == ([("riverside-ehr", "nadia")], ["riverside"])
    assert (records_of(world, world.patients["olga"]), cared_by(world, world.patients["olga"])) == (
        [("harbor-ehr", "olga")],
        [],
    )
    # Staff have the conversations still, without the name of the person who was parted, and the keys to verify them.
    assert shares(beside, "bob", "olga", "judy") == {"olga"}
    assert listed(beside, "bob") == [(thread, None)]

    # Care that Olga begins anew is for herself: nothing of Nadia's comes back.
    with world.database.transaction() as session:
        care.choose(session, actor=world.actor("olga"), patient_id=world.patients["olga"], pharmacy_id="riverside")
    again = beside.start("olga", "olga", "It is me").thread_id
    for name in ("olga", "judy"):
        assert thread not in [one for one, _ in listed(beside, name)]
        with pytest.raises(NotFound):
            beside.fetch(name, thread)
    assert records_of(world, world.patients["olga"]) == [("harbor-ehr", "olga")]

    # The right person is invited, and reads neither the old conversation nor the new one.
    assert comes_in(world, "nadia", "nadia") == apart
    beside.keys.enrol("nadia")
    for one in (thread, again):
        with pytest.raises(NotFound):
            beside.fetch("nadia", one)
        assert let_in(beside, one) == {}
    mine = beside.start("nadia", "nadia", "This is Nadia").thread_id
    assert beside.texts("bob", mine) == ["This is Nadia"]


def test_two_who_part_the_wrong_record_at_once_leave_the_own_one_alone(beside: Threads, world: World) -> None:
    outcomes = at_once(world.database, [undoing(world, "olga", "olga", by) for by in ("bob", "erin", "frank")])
    assert codes(outcomes) == ["not-found", "not-found"]
    assert acting(world, "olga") == [world.patients["olga"]]
    assert acting(world, "judy") == [world.patients["rosa"], world.patients["olga"]]


def test_a_conversation_that_waited_for_the_wrong_person_is_for_the_right_one(beside: Threads, world: World) -> None:
    thread = beside.start("bob", "olga", "Your tablets came", with_patient=False).thread_id
    assert [one for one, _ in listed(beside, "olga")] == [thread]
    undo(world, "olga", "olga")
    assert (listed(beside, "olga"), listed(beside, "judy")) == ([], [])
    with world.database.reading() as session:
        readers = session.scalars(select(InboxRow.reader_id).where(InboxRow.thread_id == thread)).all()
    assert readers == ["riverside_pharmacists"]
    beside.keys.enrol("olga")
    with world.database.transaction() as session:
        care.choose(session, actor=world.actor("olga"), patient_id=world.patients["olga"], pharmacy_id="riverside")
    assert let_in(beside, thread) == {}
    for name in ("olga", "judy"):
        with pytest.raises(NotFound):
            beside.fetch(name, thread)
    comes_in(world, "nadia", "nadia")
    beside.keys.enrol("nadia")
    assert let_in(beside, thread) == {thread: ((world.accounts["nadia"], "patient"),)}


def test_what_a_helper_began_for_the_wrong_person_waits_for_nobody(beside: Threads, world: World) -> None:
    thread = judy_begins(beside, "For Olga")
    undo(world, "olga", "olga")
    comes_in(world, "nadia", "nadia")
    beside.keys.enrol("nadia", "olga")
    assert let_in(beside, thread) == {}
    for name in ("judy", "olga", "nadia"):
        with pytest.raises(NotFound):
            beside.fetch(name, thread)
    # The pharmacy reads it, and goes on in it without the helper.
    assert beside.texts("bob", thread) == ["For Olga"]
    writer = beside.writer("bob", thread)
    content, key = body("Who is this?")
    parties = [beside.party("riverside_pharmacists", RecordRole.TEAM)]
    made = [writer.epoch(parties, clock.now_ms()), writer.message(content, clock.now_ms())]
    beside.post("bob", thread, made, key=key)
    assert let_in(beside, thread) == {}
    assert listed(beside, "nadia") == []
    assert shares(beside, "bob", "judy", "nadia") == {"judy"}


def test_the_record_of_both_says_that_they_were_taken_apart(beside: Threads, world: World) -> None:
    undo(world, "olga", "olga")
    with world.database.reading() as session:
        rows = session.execute(
            select(AuditEvent.action, AuditEvent.patient_id, AuditEvent.account_id).where(
                AuditEvent.account_id == world.accounts["bob"]
            )
        ).all()
    own, apart, bob = world.patients["olga"], riversides(world), world.accounts["bob"]
    assert {tuple(row) for row in rows} >= {
        ("relation.undone", own, bob),
        ("care.ended", own, bob),
        ("relation.undone", apart, bob),
        ("care.started", apart, bob),
    }
    # What was looked at while both were one stays where it was written; Riverside's officer finds it, and the new one.
    with world.database.transaction() as session:
        found = record.search(session, actor=world.actor("heidi"), filters=Filters(patient_id=own))
        looks = record.look(session, actor=world.actor("heidi"), patient_id=apart, zone=UTC)
        cared = care.patients_in_care(session, actor=world.actor("bob"), pharmacy_id="riverside")
    assert {"care.started", "relation.undone", "care.ended"} <= {row.action for row in found.rows}
    assert {"relation.undone", "care.started"} <= {row.action for row in looks.rows}
    assert apart in {one.id for one in cared}
    assert own not in {one.id for one in cared}


def test_a_record_given_back_after_parting_can_be_undone_again(beside: Threads, world: World) -> None:
    beside.keys.enrol("olga")
    thread = beside.start("olga", "olga", "May I drive?").thread_id
    undo(world, "olga", "olga")
    world.patients["nadia"] = riversides(world)
    assert redeem(world, "olga", "riverside", "nadia") == world.patients["nadia"]
    assert acting(world, "olga") == [world.patients["olga"], world.patients["nadia"]]
    with pytest.raises(Conflict) as refused:
        beside.send("bob", thread, "It was you after all")
    assert refused.value.extra["members"] == [world.accounts["olga"]]
    undo(world, "nadia", "olga")
    assert (acting(world, "olga"), riversides(world)) == ([world.patients["olga"]], world.patients["nadia"])


@pytest.mark.parametrize("by", ["carol", "alice", "ivan"])
def test_nobody_else_parts_anybody(threads: Threads, world: World, by: str) -> None:
    with pytest.raises(NotFound):
        undo(world, "nora", by=by)
    with pytest.raises(NotFound):
        undo(world, "nora", account="dave")
    assert world.actor("quinn").relation(world.patients["nora"]) is not None
